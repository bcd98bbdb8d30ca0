//! Coalesces wake-ups of the windows' thread. `fuzz/interleavings/window.rs` runs it in every order.

use crate::sync::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Sends a thread at most one event until it has woken up, however much is drawn.
#[derive(Debug)]
pub(super) struct WakeCoalescer {
    is_pending: AtomicBool,
    is_closing: AtomicBool,
}

impl WakeCoalescer {
    pub(super) fn new() -> WakeCoalescer {
        WakeCoalescer { is_pending: AtomicBool::new(false), is_closing: AtomicBool::new(false) }
    }

    /// Calls `send` unless an event is pending. When the thread wakes up next, it sees what this thread did before.
    pub(super) fn wake(&self, send: impl FnOnce()) {
        if !self.is_pending.swap(true, Release) {
            send();
        }
    }

    /// Notes that the windows must be closed. A call of [`wake`](WakeCoalescer::wake) must follow.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Relaxed);
    }

    /// Must be called by the woken thread before it looks for work. Returns whether it must close its windows.
    pub(super) fn woken(&self) -> bool {
        // A store would not acquire what threads released that found the flag set.
        self.is_pending.fetch_and(false, Acquire);
        self.is_closing.load(Relaxed)
    }
}
