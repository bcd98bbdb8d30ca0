//! The state that the handles of one asynchronous connection share with its driver, and the locks around it.
//!
//! This folder composes `admission`, `completion`, the protocol's machines and the writer of `transport`. Every method
//! that needs more than one of them is here. It may use those, `doctor`, `error` and `process`, and nothing of `link`
//! and `api`.
//!
//! [`State`] is behind one mutex, held for short and never across an await or a callback. The [`Writer`] has a mutex of
//! its own, because the driver holds it during system calls. The order is writer, then state: a thread that holds the
//! state may only *try* to lock the writer.

mod account;
mod admission;
mod batch_delay;
mod completion;
mod deadlines;
mod deferred;
mod dispatch;
mod doctor_hooks;
mod end;
mod errors;
mod guard;
mod input;
mod lifetime;
mod offline;
mod results;

pub use account::Stats;
pub(crate) use guard::Guard;

use crate::admission::{Admission, Admitted, Offline};
use crate::clock::now;
use crate::completion::{Caller, Completion, LastDropped, Left, ReplyState, Scope, current_span, is_traced};
use crate::error::{Error, Lost, Outcome, Result};
use crate::process::{Inside, Mark, Owner};
use crate::reconnect;
use crate::reconnect::NEVER;
use crate::shared::account::Account;
use crate::shared::errors::ErrorDelivery;
use crate::shared::guard::StandIns;
use crate::shared::lifetime::Lifetime;
use crate::transport::Writer;
use draw_protocol::client::Connection;
use draw_protocol::reconnect::Reconnect;
use draw_protocol::{Hello, Request};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tracing::Span;

pub(crate) struct Shared {
    state: Mutex<State>,
    stand_ins: StandIns,
    mark: Mark,
    /// The process that has connected.
    owner: Owner,
    last_dropped: LastDropped,
    pub(crate) writer: Mutex<Writer>,
    /// The display's own scope, around all others.
    pub(crate) outermost: Arc<Scope>,
    pub(crate) timeout: Duration,
}

/// Everything that calls, replies, the driver and the thread for callbacks change. Each part keeps an invariant of its
/// own, which its file states.
pub(crate) struct State {
    pub(crate) machine: Connection,
    /// Whether there is a connection, and when there may be another.
    pub(crate) reconnect: Reconnect<Lost>,
    pub(crate) admission: Admission,
    pub(crate) completion: Completion,
    pub(crate) offline: Offline,
    pub(crate) errors: ErrorDelivery,
    pub(crate) lifetime: Lifetime,
    pub(crate) account: Account,
}

/// The progress of a call that is not accepted yet.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    /// Its place in the queue for credit, and the deadline there.
    pub(crate) turn: Option<(u64, Instant)>,
    /// Whether it has yielded to other tasks.
    has_yielded: bool,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Creates the state of a connection. Calls that the machine has in flight already have no replies.
    pub(crate) fn new(
        machine: Connection,
        writer: Writer,
        timeout: Duration,
        reconnect: Reconnect<Lost>,
    ) -> Shared {
        let outermost = Arc::new(Scope::outermost());
        Shared {
            state: Mutex::new(State::new(machine, reconnect, &outermost)),
            stand_ins: StandIns::default(),
            mark: Mark::new(),
            owner: Owner::here(),
            last_dropped: LastDropped::new(),
            writer: Mutex::new(writer),
            outermost,
            timeout,
        }
    }

    /// Returns what identifies this connection for the thread of callbacks.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Notes which reply was dropped last.
    #[inline]
    fn note_dropped(&self, state: &mut State) {
        let number = self.last_dropped.take();
        if number != 0 {
            match state.completion.quick_reply(number) {
                Some(reply) => *reply = ReplyState::Dropped,
                None => self.note_dropped_elsewhere(state, number),
            }
        }
    }

    #[cold]
    fn note_dropped_elsewhere(&self, state: &mut State, number: u64) {
        match state.reply(number) {
            Some(reply) => *reply = ReplyState::Dropped,
            None => self.forget_result(state, number, ReplyState::Dropped),
        }
    }

    /// Notes that the reply of a call was dropped, as nearly all are.
    #[inline]
    pub(crate) fn drop_reply(&self, number: u64) {
        match self.last_dropped.leave(number) {
            Left::Nothing => {}
            Left::Lock => self.note_dropped_now(),
            Left::All => self.forget(number, ReplyState::Dropped),
        }
    }

    #[cold]
    fn note_dropped_now(&self) {
        State::release(self.lock());
    }

    /// Makes a call once it is accepted, and returns its number.
    pub(crate) fn poll_call(
        &self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        wait: &mut Wait,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64>> {
        if is_traced() {
            return self.poll_call_traced(request, caller, wait, cx);
        }
        self.poll_call_within(None, request, caller, wait, cx)
    }

    #[cold]
    fn poll_call_traced(
        &self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        wait: &mut Wait,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64>> {
        // The span is looked up and dropped outside of the lock.
        let span = current_span();
        self.poll_call_within(span.as_ref(), request, caller, wait, cx)
    }

    // Compiled twice: the usual call, of which there are millions, has no span at compile time.
    #[inline(always)]
    fn poll_call_within(
        &self,
        span: Option<&Arc<Span>>,
        request: &Request<'_>,
        caller: &Caller<'_>,
        wait: &mut Wait,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64>> {
        let (inside, mut state) = self.lock_in_parts();
        if let Some(number) = state.join(span, request, caller, wait) {
            return Poll::Ready(Ok(number));
        }
        let Wait { turn, has_yielded } = wait;
        // The clock is read under the lock, so that deadlines rise with the numbers of calls and of turns.
        let at = state.admission.batching.clock(turn.is_some());
        if self.owner.is_other() {
            self.detach(Guard::of(inside, state));
            return Poll::Ready(Err(self.owner.refuse(Outcome::Rejected)));
        }
        if !*has_yielded && state.must_yield(at) {
            *has_yielded = true;
            state.end_delay();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let may_go = state.may_call(request, *turn, self.address());
        let result = match may_go {
            Ok(Admitted::Now) => state.call(request, at, caller, span),
            Ok(Admitted::Queue) => {
                if let Some((id, _)) = turn.take() {
                    state.leave_queue(id);
                }
                return Poll::Ready(self.enqueue_offline(
                    Guard::of(inside, state),
                    request,
                    at,
                    caller,
                    span,
                ));
            }
            Ok(Admitted::Wait) => {
                let now = now();
                let (id, deadline) = match *turn {
                    Some(turn) => turn,
                    None => {
                        let turn = state.queue(now + self.timeout, cx.waker());
                        state.note_turn(turn.0, request, caller.place, now);
                        turn
                    }
                };
                *turn = Some((id, deadline));
                if deadline > now {
                    state.admission.credit.refresh(id, cx.waker());
                    state.set_alarm(deadline);
                    state.end_delay();
                    return Poll::Pending;
                }
                Err(Error::Timeout { after: self.timeout, outcome: Outcome::Rejected })
            }
            Err(error) => Err(error),
        };
        if let Some((id, _)) = turn.take() {
            state.leave_queue(id);
        }
        if let Err(error) = &result {
            state.note_refused(request, caller.place, error);
        } else {
            // While calls wait for credit, each call has to take its turn.
            if state.admission.credit.is_empty() {
                state.admission.batching.accepted();
            }
            self.send(inside, state);
        }
        Poll::Ready(result)
    }

    /// Sends the call: at once if it is alone, else through the driver, which will find more. (On one processor an
    /// answer may arrive before the next call of a loop, so that no call in flight does not mean that a call is alone.)
    #[inline(always)]
    fn send(&self, inside: Inside, mut state: MutexGuard<'_, State>) {
        if state.machine.in_flight() == 1
            && !state.admission.batching.is_fast()
            && let Ok(mut writer) = self.writer.try_lock()
            && writer.is_empty()
        {
            writer.refill(&mut state.machine);
            drop(state);
            drop(inside);
            // If not all is written, the driver continues with a waker of its own; it also notices a broken stream.
            let written = writer.poll_write(&mut Context::from_waker(Waker::noop()));
            drop(writer);
            let mut state = self.lock();
            state.admission.batching.caller_wrote();
            // On a new connection, only what precedes the call was taken.
            if !matches!(written, Poll::Ready(Ok(()))) || state.machine.unsent() > 0 {
                state.wake_driver();
            }
            return;
        }
        state.wake_driver();
        drop(state);
        drop(inside);
    }
}

impl State {
    fn new(machine: Connection, reconnect: Reconnect<Lost>, outermost: &Arc<Scope>) -> State {
        State {
            completion: Completion::new(&machine, outermost),
            machine,
            reconnect,
            admission: Admission::default(),
            offline: Offline::default(),
            errors: ErrorDelivery::default(),
            lifetime: Lifetime::default(),
            account: Account::default(),
        }
    }

    /// Returns the state of a connection that ended before it began.
    fn ended(reason: Lost) -> State {
        let machine = Connection::new(&Hello::new("no client"));
        let reconnect = reconnect::machine(NEVER, now(), now());
        let mut state = State::new(machine, reconnect, &Arc::new(Scope::outermost()));
        state.errors.late.finish();
        state.lifetime.ended = Some(reason);
        state
    }
}
