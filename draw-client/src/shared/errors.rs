//! Delivery of errors that no reply returns.

use super::deferred::Deferred;
use crate::completion::LateQueue;

/// Late errors, from when a call has failed until a callback, `sync` or `close` has reported it. An error is in `late` or has been
/// reported; code of the program never runs while the lock is held, but is put into `deferred`, which `State::release` runs.
#[derive(Default)]
pub(crate) struct ErrorDelivery {
    pub(crate) late: LateQueue,
    pub(super) deferred: Deferred,
    /// Whether a `sync` has returned that the connection is lost.
    pub(crate) is_loss_reported: bool,
}

impl ErrorDelivery {
    /// Returns how many errors callbacks have not been called with yet. They count as calls under way.
    pub(super) fn undelivered(&self) -> usize {
        usize::try_from(self.late.undelivered()).unwrap_or(usize::MAX)
    }
}
