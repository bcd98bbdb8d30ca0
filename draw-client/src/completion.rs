//! What becomes of accepted calls: their results, the deadlines of those that are awaited, and late errors with the scopes whose
//! callbacks receive them.
//!
//! This folder contains state without I/O; its only locks are those of the callbacks. [`shared`](crate::shared) composes it. It may use
//! `error`, `limits` and `draw_protocol`.

mod call_numbering;
mod dropped;
mod in_flight;
mod last_dropped;
mod late_queue;
mod reply_state;
mod report;
mod scope;
mod tags;
mod waiters;

pub(crate) use dropped::Dropped;
pub(crate) use in_flight::Completion;
pub(crate) use last_dropped::{LastDropped, Left};
pub(crate) use late_queue::{Callback, Failed, LateQueue, Work, enter_callback_of, is_callback_of};
pub(crate) use reply_state::ReplyState;
pub(crate) use report::LateReport;
pub(crate) use scope::{Caller, Scope, Tag, current_span, drop_quietly, is_traced};
pub(crate) use waiters::Waiters;
