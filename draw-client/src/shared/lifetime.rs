//! The life of a connection: whether calls can be made, and what waits for its end.

use crate::error::{Error, Lost, Outcome};
use crate::limits;
use std::task::Waker;
use std::time::{Duration, Instant};

/// From `connect` until the end. Once `ended` is set it does not change, and no call is under way.
#[derive(Default)]
pub(crate) struct Lifetime {
    /// Why no call can be made any more.
    pub(crate) ended: Option<Lost>,
    /// When `close` was called. Since then no call is accepted, and the driver ends when all is done.
    pub(super) closing: Option<Instant>,
    /// When the last handle was dropped.
    pub(super) abandoned: Option<Instant>,
    /// Wakers of `close`, which waits for the end and for the callbacks.
    pub(super) close_waiters: Vec<Waker>,
}

impl Lifetime {
    /// Returns why no call can be made, if none can.
    #[inline]
    pub(super) fn check(&self) -> Result<(), Error> {
        match (&self.ended, self.closing) {
            (None, None) => Ok(()),
            (None, Some(_)) | (Some(Lost::Closed), _) => Err(Error::closed()),
            (Some(Lost::Reentrant), _) => Err(Error::WouldDeadlock { in_callback: false }),
            (Some(reason), _) => {
                Err(Error::Disconnected { reason: reason.clone().into(), outcome: Outcome::Rejected })
            }
        }
    }

    /// Returns whether the program still uses the display.
    pub(super) fn is_in_use(&self) -> bool {
        self.closing.is_none() && self.abandoned.is_none()
    }

    /// Returns the deadline by which the connection must end and how long that is, if this side wants it to end.
    pub(crate) fn shutdown_deadline(&self, timeout: Duration) -> Option<(Instant, Duration)> {
        let abandoned = self.abandoned.map(|since| (since + limits::FAREWELL, limits::FAREWELL));
        let closing = self.closing.map(|since| (since + timeout, timeout));
        abandoned.into_iter().chain(closing).min()
    }

    pub(super) fn add_close_waiter(&mut self, waker: &Waker) {
        // A task that polls `close` again and again is in the list once.
        if !self.close_waiters.iter().any(|waiter| waiter.will_wake(waker)) {
            self.close_waiters.push(waker.clone());
        }
    }

    pub(super) fn wake_close_waiters(&mut self) {
        self.close_waiters.drain(..).for_each(Waker::wake);
    }
}
