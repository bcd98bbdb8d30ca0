//! Reads what the client sends, into memory that there is.

use super::Connection;
use super::ahead::Ahead;
use super::memory::step;
use crate::budget::LARGE;
use crate::buffers::ReadBuffer;
use bytes::BufMut;
use draw_protocol::limits;
use draw_protocol::trace::Direction;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::Context;
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

impl<S: AsyncRead + Unpin> Connection<'_, S> {
    /// Reads, if that is wanted and there is memory for it. Answers whether there is something to execute now.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        if !self.machine.wants_input() || (self.is_at_end && self.input.is_none()) {
            self.share.stop_waiting();
            return Ok(false);
        }
        let step = step(&self.machine, self.input.as_ref());
        if self.share.poll_cover(cx, step).is_pending() {
            return Ok(self.end_if_hopeless());
        }
        if self.input.is_some() {
            return Ok(true);
        }
        let read = if let Some((body, room)) = self.machine.body() {
            // Straight to where it is executed from. The future reads in one poll or not at all, so it may be dropped.
            let before = body.len();
            let mut room = (&mut *body).limit(room);
            let read = pin!(self.stream.read_buf(&mut room)).poll(cx)?;
            self.trace.pass(Direction::ToDisplay, &body[before..]);
            read.map(|n| {
                (self.is_at_end, self.is_streaming) = (n == 0, n >= limits::READ);
                self.unheard += n;
            })
        } else {
            let is_large = self.is_large && self.share.try_cover_all(step + LARGE);
            let mut buffer = ReadBuffer::take(is_large);
            let mut room = ReadBuf::new(buffer.room());
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut room)?;
            let n = room.filled().len();
            self.trace.pass(Direction::ToDisplay, room.filled());
            read.map(|()| {
                (self.is_at_end, self.is_streaming) = (n == 0, n == buffer.capacity());
                self.is_large = n >= limits::READ;
                self.unheard += n;
                buffer.fill(n);
                self.input = (n > 0).then_some(buffer);
            })
        };
        if read.is_ready() && self.machine.unsent() == 0 {
            self.share.came(self.input.as_ref().map_or(limits::READ, |input| input.unread().len()), now);
        }
        if read.is_pending() {
            // There is no buffer now, and others may want a large one.
            self.share.shrink(step);
        }
        if read.is_ready() && self.is_at_end {
            self.trace.end(Direction::ToDisplay);
        }
        Ok(read.is_ready())
    }

    /// Ends the input when the message that has begun can never be whole: the client sends nothing more, and what it has sent is too
    /// little. A connection that waits for memory does not read, and would only find out when it has some. Returns whether
    /// that was so.
    fn end_if_hopeless(&mut self) -> bool {
        let here = self.input.as_ref().map_or(0, |input| input.unread().len());
        let (Ahead::Ended(left) | Ahead::Gone(left)) = (self.ahead)(&self.stream) else { return false };
        let is_hopeless = left.saturating_add(here) < self.machine.missing();
        if is_hopeless {
            self.share.stop_waiting();
            (self.input, self.is_at_end) = (None, true);
            self.trace.end(Direction::ToDisplay);
        }
        is_hopeless
    }
}
