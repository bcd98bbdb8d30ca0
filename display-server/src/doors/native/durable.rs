//! Holds answers back until their calls are durable.

use super::Connection;
use std::task::{Context, Poll, ready};

impl<S> Connection<'_, S> {
    /// Releases answers whose calls are on the disk, and begins to wait for the rest. Is ready when no answer waits.
    pub(super) fn poll_durable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if ready!(self.target.caller.poll_durable(cx)) {
                self.machine.release();
            }
            if !self.machine.mark() {
                return Poll::Ready(());
            }
            if !self.target.caller.wait_durable() {
                self.machine.release();
            }
        }
    }
}
