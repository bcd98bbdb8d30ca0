//! When a call is accepted, and when it is sent: credit, batching, and the queue of calls made while there is no connection.
//!
//! This folder contains state without locks and without I/O; [`shared`](crate::shared) composes it. It may use `completion`, `error`,
//! `clock`, `limits` and `draw_protocol`.

mod batching;
mod credit_queue;
mod offline;
mod offline_queue;
mod while_offline;

pub(crate) use batching::Batching;
pub(crate) use credit_queue::CreditQueue;
pub(crate) use offline::Offline;
pub(crate) use offline_queue::{OfflineQueue, Waiting};
pub use while_offline::WhileOffline;

use crate::clock::now;
use std::task::Waker;
use std::thread::Thread;
use std::time::Instant;

/// Credit and batching. While calls wait for credit no other call is accepted, and whenever something is unsent the driver has been
/// woken, or a caller is writing it.
pub(crate) struct Admission {
    pub(crate) credit: CreditQueue,
    pub(crate) batching: Batching,
    pub(crate) driver: DriverWake,
}

/// How the driver is woken.
#[derive(Default)]
pub(crate) struct DriverWake {
    pub(crate) waker: Option<Waker>,
    /// Whether it was woken since it last ran.
    pub(crate) is_woken: bool,
    /// Its thread, while it delays a write: see `batch_delay.rs`.
    pub(crate) delaying: Option<Thread>,
    /// When it will look for passed deadlines.
    pub(crate) alarm: Option<Instant>,
}

/// What happens to a call that asks to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// It is made now.
    Now,
    /// It waits for its turn, or for credit.
    Wait,
    /// It is accepted and goes into the offline queue.
    Queue,
}

impl Default for Admission {
    fn default() -> Admission {
        Admission {
            credit: CreditQueue::default(),
            batching: Batching::new(now()),
            driver: DriverWake::default(),
        }
    }
}
