//! When the window's thread is to be woken. `fuzz/interleavings/window.rs` runs it in every order.

use crate::sync::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Has a thread woken at most once until it has woken up: how much is drawn makes no difference to the number of events
/// it gets.
#[derive(Debug)]
pub(super) struct WakeCoalescer {
    is_pending: AtomicBool,
    is_closing: AtomicBool,
}

impl WakeCoalescer {
    pub(super) fn new() -> WakeCoalescer {
        WakeCoalescer { is_pending: AtomicBool::new(false), is_closing: AtomicBool::new(false) }
    }

    /// Calls `send` if nothing is on its way to the thread. When that wakes up next, it sees what this thread did before.
    pub(super) fn wake(&self, send: impl FnOnce()) {
        if !self.is_pending.swap(true, Release) {
            send();
        }
    }

    /// The thread is to close the window when it is next woken, which has to follow.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Relaxed);
    }

    /// Called by the woken thread before it looks at what there is to do. Answers whether it is to close the window.
    pub(super) fn woken(&self) -> bool {
        // Not a store, which would not acquire what those released who found it set.
        self.is_pending.fetch_and(false, Acquire);
        self.is_closing.load(Relaxed)
    }
}
