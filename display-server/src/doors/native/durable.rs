//! Holds back what may be said only when the journal has it on the disk.

use super::Connection;
use std::task::{Context, Poll, ready};

impl<S> Connection<'_, S> {
    /// Lets the machine say what the journal has on the disk by now, and finds out when it has the rest. Ready when nothing
    /// waits.
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
