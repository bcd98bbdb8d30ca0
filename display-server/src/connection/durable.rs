//! Holds back what may be said only when the journal has it: in its file, or on the disk.

use super::Connection;
use std::task::{Context, Poll, ready};

impl<S> Connection<'_, S> {
    /// Nothing is sent before everything up to this number is on the disk.
    pub(super) fn hold_back(&mut self, number: u64) {
        self.written = self.journal.map(|journal| Box::pin(journal.until_durable(number)) as _);
    }

    /// Ready when what was executed is in the file.
    pub(super) fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(written) = &mut self.written {
            ready!(written.as_mut().poll(cx));
            self.written = None;
        }
        Poll::Ready(())
    }

    /// Lets the machine say what the journal has on the disk by now, and finds out when it has the rest. Ready when nothing
    /// waits.
    pub(super) fn poll_durable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(durable) = &mut self.durable {
                ready!(durable.as_mut().poll(cx));
                self.durable = None;
                self.machine.release();
            }
            if !self.machine.mark() {
                return Poll::Ready(());
            }
            match self.journal {
                Some(journal) if !journal.has_durable(self.recorded) => {
                    self.durable = Some(Box::pin(journal.until_durable(self.recorded)));
                }
                _ => self.machine.release(),
            }
        }
    }
}
