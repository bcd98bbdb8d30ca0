//! Notifies the connection that has a session. `fuzz/interleavings/sessions.rs` runs it in every order.

use crate::sync::{AtomicBool, AtomicWaker};
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;

/// Notifies a connection that another one claims its session.
#[derive(Default)]
pub(crate) struct Holder {
    is_wanted: AtomicBool,
    waker: AtomicWaker,
}

impl Holder {
    /// Returns whether another connection claims the session. If not, the task of `cx` is woken when one does.
    pub(crate) fn is_wanted(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        // Loaded after `register`, which makes visible what happened before a `wake` that found no waker.
        self.is_wanted.load(Relaxed)
    }

    pub(super) fn want(&self) {
        self.is_wanted.store(true, Relaxed);
        self.waker.wake();
    }
}
