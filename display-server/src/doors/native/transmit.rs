//! Sends the output of the machine, as far as the stream takes it.

use super::Connection;
use draw_protocol::trace::Direction;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::AsyncWrite;

impl<S: AsyncWrite + Unpin> Connection<'_, S> {
    pub(super) fn is_all_sent(&mut self, now: Instant) -> bool {
        !self.machine.is_held() && self.machine.poll_transmit(now).is_empty() && !self.link.needs_flush
    }

    /// Sends what the stream takes. Returns whether that lets the connection continue with something that waited for
    /// it.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let had_room = self.machine.wants_input();
        let has_sent = self.poll_write(cx, now)?;
        if has_sent {
            self.settle();
        }
        Ok(has_sent && (!had_room || self.input.is_at_end || self.grants.share.is_waiting()))
    }

    /// Sends what the stream takes. Returns whether it took anything.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let mut has_sent = false;
        self.input.unanswered = 0;
        loop {
            let unsent = self.machine.poll_transmit(now);
            if unsent.is_empty() {
                break;
            }
            match Pin::new(&mut self.link.stream).poll_write(cx, unsent)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(n) => {
                    self.link.trace.pass(Direction::ToClient, &unsent[..n]);
                    self.machine.handle_transmitted(n, now);
                    self.grants.share.sent(n, now);
                    (has_sent, self.link.needs_flush) = (true, true);
                }
                Poll::Pending => return Ok(has_sent),
            }
        }
        if self.link.needs_flush && Pin::new(&mut self.link.stream).poll_flush(cx)?.is_ready() {
            (has_sent, self.link.needs_flush) = (true, false);
        }
        Ok(has_sent)
    }
}
