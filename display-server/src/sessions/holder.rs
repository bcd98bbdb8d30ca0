//! The connection that has a session. `fuzz/interleavings/sessions.rs` runs it in every order.

use crate::sync::{AtomicBool, AtomicWaker};
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;

/// How a connection hears that another one wants its session.
#[derive(Default)]
pub(crate) struct Holder {
    is_wanted: AtomicBool,
    waker: AtomicWaker,
}

impl Holder {
    /// Whether another connection wants the session. Until then the task of `cx` is woken when one does.
    pub(crate) fn is_wanted(&self, cx: &Context<'_>) -> bool {
        self.waker.register(cx.waker());
        // Behind that: whatever came before a `wake` that finds no waker is seen after `register`.
        self.is_wanted.load(Relaxed)
    }

    pub(super) fn want(&self) {
        self.is_wanted.store(true, Relaxed);
        self.waker.wake();
    }
}
