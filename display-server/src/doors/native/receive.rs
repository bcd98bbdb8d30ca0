//! Reads from the client, once the budget has granted the memory.

use super::Connection;
use super::memory::step;
use crate::resources::budget::LARGE;
use crate::resources::buffers::ReadBuffer;
use crate::transport::peer_state::PeerState;
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
    /// Reads, if the machine wants input and there is memory for it. Returns whether there is something to execute now.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        if !self.machine.wants_input() || (self.input.is_at_end && self.input.buffer.is_none()) {
            self.grants.share.stop_waiting();
            return Ok(false);
        }
        let step = step(&self.machine, self.input.buffer.as_ref());
        if self.grants.share.poll_cover(cx, step).is_pending() {
            return Ok(self.end_if_hopeless());
        }
        if self.input.buffer.is_some() {
            return Ok(true);
        }
        let read = if let Some((body, room)) = self.machine.body() {
            // Reads directly into the message. The future reads in one poll or not at all, so it may be dropped.
            let before = body.len();
            let mut room = (&mut *body).limit(room);
            let read = pin!(self.link.stream.read_buf(&mut room)).poll(cx)?;
            self.link.trace.pass(Direction::ToDisplay, &body[before..]);
            read.map(|n| {
                (self.input.is_at_end, self.input.is_streaming) = (n == 0, n >= limits::READ);
                self.input.unanswered += n;
            })
        } else {
            let is_large = self.input.is_large && self.grants.share.try_cover_all(step + LARGE);
            let mut buffer = ReadBuffer::take(is_large);
            let mut room = ReadBuf::new(buffer.room());
            let read = Pin::new(&mut self.link.stream).poll_read(cx, &mut room)?;
            let n = room.filled().len();
            self.link.trace.pass(Direction::ToDisplay, room.filled());
            read.map(|()| {
                (self.input.is_at_end, self.input.is_streaming) = (n == 0, n == buffer.capacity());
                self.input.is_large = n >= limits::READ;
                self.input.unanswered += n;
                buffer.fill(n);
                self.input.buffer = (n > 0).then_some(buffer);
            })
        };
        if read.is_ready() && self.machine.unsent() == 0 {
            self.grants
                .share
                .received(self.input.buffer.as_ref().map_or(limits::READ, |input| input.unread().len()), now);
        }
        if read.is_pending() {
            // The buffer was given back, and others may use the memory of a large one.
            self.grants.share.shrink(step);
        }
        if read.is_ready() && self.input.is_at_end {
            self.link.trace.end(Direction::ToDisplay);
        }
        Ok(read.is_ready())
    }

    /// Ends the input if the message that has begun can never be complete: the client has closed its side, and the
    /// unread bytes are too few. A connection that waits for memory does not read, so it would not notice before the
    /// memory is granted. Returns whether the input was ended.
    fn end_if_hopeless(&mut self) -> bool {
        let here = self.input.buffer.as_ref().map_or(0, |input| input.unread().len());
        let (PeerState::HalfClosed(left) | PeerState::Closed(left)) = (self.link.probe)(&self.link.stream)
        else {
            return false;
        };
        let is_hopeless = left.saturating_add(here) < self.machine.missing();
        if is_hopeless {
            self.grants.share.stop_waiting();
            (self.input.buffer, self.input.is_at_end) = (None, true);
            self.link.trace.end(Direction::ToDisplay);
        }
        is_hopeless
    }
}
