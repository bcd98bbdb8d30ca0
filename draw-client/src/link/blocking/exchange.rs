//! Writes and reads of a blocking call, within its deadline.

use super::{Failed, Link, SHORTEST_READ};
use crate::error::Lost;
use crate::transport::blocking_tcp::{DeadlineReader, would_block};
use draw_protocol::client::{Connection, Event, Lent};
use draw_protocol::limits;
use draw_protocol::trace::Direction;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

impl Link {
    /// Sends and reads on the present connection, until `wanted` finds what it wants.
    pub(super) fn exchange<T>(
        &mut self,
        deadline: Instant,
        lent: &mut Lent<'_>,
        wanted: &mut impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<T, Failed> {
        // The socket's timeout covers the deadline, so the usual call, written at once and answered at once, sets none.
        let mut is_usual = true;
        while !(self.machine.poll_transmit().is_empty() && lent.is_empty()) {
            match self.write_some(lent) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if would_block(&error) => {
                    self.stream.set_nonblocking(true)?;
                    let read = self.stream.read(&mut self.buffer);
                    self.stream.set_nonblocking(false)?;
                    let n = match read {
                        Ok(0) => return Err(Failed::Lost(Lost::Eof)),
                        Err(error) if would_block(&error) => 0,
                        read => read?,
                    };
                    if let Some(found) = self.handle_received(n, wanted)? {
                        return Ok(found);
                    }
                }
                // The display may have sent its reason before.
                Err(error) => return self.read_goodbye(error),
            }
            is_usual &= self.machine.poll_transmit().is_empty() && lent.is_empty();
            // The deadline holds even if the display takes a few bytes now and then.
            if !is_usual && Instant::now() >= deadline {
                return Err(Failed::TimedOut);
            }
        }
        let mut until = self.read_deadline(deadline);
        is_usual &= self.machine.poll_timeout().is_none();
        let result = loop {
            let read = match std::mem::take(&mut is_usual) {
                true => self.read_some(until),
                false => {
                    let limited = &mut self.limited;
                    let limited = DeadlineReader { stream: &self.stream, deadline: until, limited }.limit();
                    limited.and_then(|()| self.read_some(until))
                }
            };
            match read {
                Ok(None) => {
                    self.trace.end(Direction::ToClient);
                    break Err(Failed::Lost(Lost::Eof));
                }
                Ok(Some(n)) => match self.handle_received(n, wanted) {
                    Ok(Some(found)) => break Ok(found),
                    Ok(None) => {}
                    Err(failed) => break Err(failed),
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if would_block(&error) => match self.handle_read_timeout(deadline) {
                    Ok(later) => until = later,
                    Err(failed) => break Err(failed),
                },
                Err(error) => break Err(error.into()),
            }
        };
        if self.limited.take().is_some() {
            self.stream.set_read_timeout(Some(self.usual_timeout()))?;
        }
        result
    }

    /// Returns the socket's timeout for reads while no other is needed.
    pub(super) fn usual_timeout(&self) -> Duration {
        // With checksums, a message that does not arrive completely is noticed before the call is over.
        if self.machine.is_checked() { self.timeout.min(limits::DEAD_NETWORK) } else { self.timeout }
    }

    /// Returns the deadline of a read, for a call that has this deadline.
    fn read_deadline(&self, deadline: Instant) -> Instant {
        if !self.machine.is_checked() {
            return deadline;
        }
        let now = Instant::now();
        let look = self.machine.poll_timeout().unwrap_or(now + limits::DEAD_NETWORK);
        // What has arrived meanwhile is read, however late it is.
        deadline.min(look.max(now + SHORTEST_READ))
    }

    /// Handles that nothing has arrived until the deadline of a read. Returns the deadline of the next.
    fn handle_read_timeout(&mut self, deadline: Instant) -> Result<Instant, Failed> {
        let now = Instant::now();
        if now >= deadline {
            return Err(Failed::TimedOut);
        }
        self.machine.handle_timeout(now);
        if let Err(ended) = self.machine.handle_input(&mut &[][..], now) {
            return Err(Failed::Lost(Lost::Protocol(ended)));
        }
        Ok(self.read_deadline(deadline))
    }

    /// Writes once. Returns how many bytes.
    pub(super) fn write_some(&mut self, lent: &mut Lent<'_>) -> io::Result<usize> {
        if lent.is_empty() {
            let n = self.stream.write(self.machine.poll_transmit())?;
            self.trace.pass(Direction::ToDisplay, &self.machine.poll_transmit()[..n]);
            self.machine.handle_transmitted(n);
            return Ok(n);
        }
        let slices = self.machine.poll_transmit_lent(lent);
        let n = self.stream.write_vectored(&slices)?;
        let mut left = n;
        for slice in &slices {
            let written = &slice[..left.min(slice.len())];
            self.trace.pass(Direction::ToDisplay, written);
            left -= written.len();
        }
        drop(slices);
        self.machine.handle_transmitted_lent(lent, n);
        Ok(n)
    }

    /// Reads once. Returns how many bytes of the buffer are to be handled; a long answer is read straight into its
    /// place. `None` means that the other side has closed the connection.
    fn read_some(&mut self, deadline: Instant) -> io::Result<Option<usize>> {
        let Some((body, room)) = self.machine.body() else {
            let length = self.machine.read_length();
            let n = self.stream.read(&mut self.buffer[..length])?;
            return Ok((n > 0).then_some(n));
        };
        let before = body.len();
        // (Reads of 64 KiB take 60 system calls for a frame instead of 311. That was 6 % faster on one core, and 18 %
        // slower on two: a reader of that much sleeps more often, and waking it costs the display.)
        let until = DeadlineReader { stream: &self.stream, deadline, limited: &mut self.limited };
        let read = until.take(room as u64).read_to_end(body);
        self.trace.pass(Direction::ToClient, &body[before..]);
        let n = read?;
        Ok((n == room).then_some(0))
    }

    /// Handles the first `n` bytes of the buffer.
    fn handle_received<T>(
        &mut self,
        n: usize,
        wanted: &mut impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<Option<T>, Failed> {
        let (mut input, now) = (&self.buffer[..n], Instant::now());
        self.received_at = now;
        self.trace.pass(Direction::ToClient, input);
        let mut found = None;
        loop {
            let event = self
                .machine
                .handle_input(&mut input, now)
                .map_err(|ended| Failed::Lost(Lost::Protocol(ended)))?;
            if matches!(event, Some(Event::Welcome | Event::Resumed(..))) {
                let (applied, is_restarted) = (self.machine.applied(), self.machine.is_restarted());
                self.reconnect.handle_connected(applied, is_restarted, now);
            }
            let is_last = event.is_none();
            let this = wanted(event, &self.machine);
            found = found.or(this);
            if is_last {
                return Ok(found);
            }
        }
    }

    fn read_goodbye<T>(&mut self, error: io::Error) -> Result<T, Failed> {
        if let Ok(n @ 1..) = self.stream.read(&mut self.buffer) {
            self.handle_received::<T>(n, &mut |_, _| None)?;
        }
        Err(error.into())
    }
}
