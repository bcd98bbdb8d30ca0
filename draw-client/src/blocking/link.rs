//! The connection of a synchronous client: writes and reads in the caller's thread. When to connect anew is decided by the
//! [`Reconnect`] machine.

use super::dial::{Peer, Until, dial, limit_reads, would_block};
use crate::address;
use crate::checksums;
use crate::error::{Error, Lost, Outcome, Result};
use crate::process::Owner;
use crate::reconnect::{self, hello};
use crate::shared::Stats;
use draw_printer::Printer;
use draw_protocol::client::{Connection, Event, Lent};
use draw_protocol::reconnect::{Policy, Reconnect, Retry};
use draw_protocol::trace::Direction;
use draw_protocol::{Answer, Request, Size, Welcome, limits};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

pub(super) struct Link {
    pub(super) stream: TcpStream,
    pub(super) machine: Connection,
    buffer: Vec<u8>,
    pub(super) timeout: Duration,
    /// When the last call was made, and when anything was heard last: the doctor reads no clock of its own, since two more
    /// readings cost more than all that it does.
    pub(super) called_at: Instant,
    pub(super) heard_at: Instant,
    /// The socket's timeout for reads is less than `timeout` for the moment, since then.
    limited: Option<Instant>,
    pub(super) trace: Printer,
    pub(super) peer: Peer,
    /// Whether there is a connection, and when there may be another.
    pub(super) reconnect: Reconnect<Lost>,
}

/// How long a read may take at least.
const LEAST: Duration = Duration::from_millis(1);

/// Why waiting for an event ended without it.
enum Failed {
    TimedOut,
    Lost(Lost),
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        Failed::Lost(Lost::io(error))
    }
}

impl Link {
    /// Connects, and waits for the answer to `hello`.
    pub(super) fn connect(peer: Peer, timeout: Duration, trace: Printer, deadline: Instant) -> Result<Link> {
        let shown = address::show(&peer.host, peer.port);
        let policy = Policy { window: peer.reconnect, attempt: peer.connect_timeout, accepts_loss: false };
        let mut reconnect = reconnect::machine(policy, deadline, Instant::now());
        _ = reconnect.poll_dial(Instant::now());
        let stream = dial(&peer, deadline).map_err(|last| address::unreachable(&shown, last))?;
        reconnect.handle_dialed(Instant::now());
        let checks = checksums::are_wanted(peer.checksums, stream.peer_addr());
        let mut link = Link {
            stream,
            machine: Connection::new(&hello(peer.durability, checks)),
            buffer: vec![0; limits::READ],
            timeout: peer.connect_timeout,
            called_at: Instant::now(),
            heard_at: Instant::now(),
            limited: Some(Instant::now()),
            trace,
            peer,
            reconnect,
        };
        let welcomed = link.run(deadline, &mut Lent::default(), |event, _| {
            matches!(event, Some(Event::Welcome)).then_some(())
        });
        welcomed.map_err(|failed| link.fail(failed, Outcome::Rejected))?;
        // That confirms the welcome. What is not sent of it goes before the first call.
        _ = link.write_some(&mut Lent::default());
        link.timeout = timeout;
        let limited = link.stream.set_read_timeout(Some(link.usual_timeout()));
        limited.map_err(|error| address::unreachable(&shown, Some(error)))?;
        Ok(link)
    }

    pub(super) fn size(&self) -> Size {
        self.machine.welcome().map_or(Size { width: 0, height: 0 }, Welcome::size)
    }

    /// Sends what waits and what was lent, and reads until `wanted` finds what it wants in an event or in how far the calls are
    /// done. Connects anew when the connection is lost meanwhile.
    fn run<T>(
        &mut self,
        deadline: Instant,
        lent: &mut Lent<'_>,
        mut wanted: impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<T, Failed> {
        loop {
            if !self.reconnect.has_connection() {
                self.dial_again(deadline)?;
            }
            let result = match self.reconnect.is_connected() {
                true => self.talk(deadline, lent, &mut wanted).map(Some),
                false => self.greet(deadline, &mut wanted),
            };
            let now = Instant::now();
            match result {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => continue,
                Err(Failed::TimedOut) if now >= deadline || self.reconnect.is_connected() => {
                    return Err(Failed::TimedOut);
                }
                Err(Failed::TimedOut) => self.reconnect.handle_timeout(now),
                Err(Failed::Lost(reason)) => {
                    let reason = reason.explained(&self.machine);
                    self.reconnect.handle_lost(reason, self.machine.progress(), now);
                }
            }
            if let Some(end) = self.reconnect.end() {
                return Err(Failed::Lost(reconnect::lost(end)));
            }
            // What was lent may have to be sent once more, in its place among the rest.
            self.machine.keep(std::mem::take(lent));
            self.trace.end(Direction::ToClient);
            self.machine.handle_disconnected(Vec::new());
            self.report_retry();
        }
    }

    /// Connects anew, within the deadline of the call that waits for it.
    fn dial_again(&mut self, deadline: Instant) -> Result<(), Failed> {
        while !self.reconnect.has_connection() {
            let now = Instant::now();
            self.reconnect.handle_timeout(now);
            if let Some(end) = self.reconnect.end() {
                return Err(Failed::Lost(reconnect::lost(end)));
            }
            if now >= deadline {
                return Err(Failed::TimedOut);
            }
            if let Some(until) = self.reconnect.poll_dial(now) {
                match dial(&self.peer, until.min(deadline)) {
                    Ok(stream) => {
                        self.stream = stream;
                        self.limited = Some(Instant::now());
                        self.trace.restart();
                        self.machine.reconnect(self.reconnect.accepts_loss());
                        self.reconnect.handle_dialed(Instant::now());
                    }
                    Err(error) => {
                        let error = error.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into());
                        self.reconnect.handle_failed(Lost::io(error), Instant::now());
                        self.report_retry();
                    }
                }
            } else if let Some(next) = self.reconnect.poll_timeout() {
                std::thread::sleep(next.min(deadline).saturating_duration_since(now));
            }
        }
        Ok(())
    }

    fn report_retry(&mut self) {
        if let Some(Retry { reason, is_loss: true, .. }) = self.reconnect.poll_retry() {
            tracing::warn!("the connection to the display is lost ({reason}); trying to make another");
        }
    }

    /// Waits for the answer to `hello`. What comes with it may be what is `wanted` already.
    fn greet<T>(
        &mut self,
        deadline: Instant,
        wanted: &mut impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<Option<T>, Failed> {
        let until = self.reconnect.poll_timeout().unwrap_or(deadline).min(deadline);
        // What has come while no call was made is read, however late it is.
        let now = Instant::now();
        let until = until.max(now + LEAST);
        limit_reads(&self.stream, until - now)?;
        self.limited = Some(now);
        let mut found = None;
        self.talk(until, &mut Lent::default(), &mut |event, machine: &Connection| {
            let is_greeted = match &event {
                Some(Event::Welcome) => Some(()),
                Some(Event::Resumed(standing, lost)) => {
                    tracing::info!(
                        lost = lost.len(),
                        "connected again: the session is {}",
                        standing.as_str()
                    );
                    Some(())
                }
                _ => None,
            };
            found = found.take().or_else(|| wanted(event, machine));
            is_greeted
        })?;
        Ok(found)
    }

    /// Ends the session, which the display then need not keep.
    pub(super) fn finish(&mut self) {
        self.trace.end(Direction::ToDisplay);
        if self.reconnect.has_connection() && self.machine.in_flight() == 0 {
            self.machine.end_session();
            // Where this cannot be sent, the display forgets the client by itself.
            while let Ok(n @ 1..) = self.stream.write(self.machine.poll_transmit()) {
                self.machine.handle_transmitted(n);
            }
        }
    }

    /// The same, as long as there is this connection.
    fn talk<T>(
        &mut self,
        deadline: Instant,
        lent: &mut Lent<'_>,
        wanted: &mut impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<T, Failed> {
        // The socket's own timeout is the whole deadline, so the usual call, written at once and answered at once, sets
        // none.
        let mut is_usual = true;
        while !(self.machine.poll_transmit().is_empty() && lent.is_empty()) {
            match self.write_some(lent) {
                Ok(0) => return Err(std::io::Error::from(ErrorKind::WriteZero).into()),
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
                    if let Some(found) = self.take_in(n, wanted)? {
                        return Ok(found);
                    }
                }
                // The reason may be in what the other side said last.
                Err(error) => return self.read_goodbye(error),
            }
            is_usual &= self.machine.poll_transmit().is_empty() && lent.is_empty();
            // A peer that takes a little now and then does not stop the clock.
            if !is_usual && Instant::now() >= deadline {
                return Err(Failed::TimedOut);
            }
        }
        let mut until = self.read_until(deadline);
        is_usual &= self.machine.poll_timeout().is_none();
        let result = loop {
            let read = match std::mem::take(&mut is_usual) {
                true => self.read_some(until),
                false => {
                    let limited = &mut self.limited;
                    let limited = Until { stream: &self.stream, deadline: until, limited }.limit();
                    limited.and_then(|()| self.read_some(until))
                }
            };
            match read {
                Ok(None) => {
                    self.trace.end(Direction::ToClient);
                    break Err(Failed::Lost(Lost::Eof));
                }
                Ok(Some(n)) => match self.take_in(n, wanted) {
                    Ok(Some(found)) => break Ok(found),
                    Ok(None) => {}
                    Err(failed) => break Err(failed),
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if would_block(&error) => match self.wait_on(deadline) {
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

    /// The socket's timeout for reads while no other is needed.
    fn usual_timeout(&self) -> Duration {
        // Where there are checks, a message that does not come to its end is looked at before the call is over.
        if self.machine.is_checked() { self.timeout.min(limits::DEAD_NETWORK) } else { self.timeout }
    }

    /// Until when a read may take, of a call that is to be done by the deadline.
    fn read_until(&self, deadline: Instant) -> Instant {
        if !self.machine.is_checked() {
            return deadline;
        }
        let now = Instant::now();
        let look = self.machine.poll_timeout().unwrap_or(now + limits::DEAD_NETWORK);
        // What has come meanwhile is read, however late it is.
        deadline.min(look.max(now + LEAST))
    }

    /// Nothing has come for as long as a read may take. Answers until when the next may.
    fn wait_on(&mut self, deadline: Instant) -> Result<Instant, Failed> {
        let now = Instant::now();
        if now >= deadline {
            return Err(Failed::TimedOut);
        }
        self.machine.handle_timeout(now);
        if let Err(ended) = self.machine.handle_input(&mut &[][..], now) {
            return Err(Failed::Lost(Lost::Protocol(ended)));
        }
        Ok(self.read_until(deadline))
    }

    /// Writes once, and answers how much.
    fn write_some(&mut self, lent: &mut Lent<'_>) -> std::io::Result<usize> {
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

    /// Reads once, and answers how much of the buffer there is to take in; a long answer goes straight to where it
    /// belongs. `None`: the other side has closed.
    fn read_some(&mut self, deadline: Instant) -> std::io::Result<Option<usize>> {
        let Some((body, room)) = self.machine.body() else {
            let length = self.machine.read_length();
            let n = self.stream.read(&mut self.buffer[..length])?;
            return Ok((n > 0).then_some(n));
        };
        let before = body.len();
        // (Reads of 64 KiB at once are 60 system calls for a frame and not 311. On one core that was 6 % faster, on two it
        // was 18 % slower: who reads that much falls asleep more often, and waking him costs the display.)
        let until = Until { stream: &self.stream, deadline, limited: &mut self.limited };
        let read = until.take(room as u64).read_to_end(body);
        self.trace.pass(Direction::ToClient, &body[before..]);
        let n = read?;
        Ok((n == room).then_some(0))
    }

    /// Takes in the first `n` bytes of the buffer.
    fn take_in<T>(
        &mut self,
        n: usize,
        wanted: &mut impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<Option<T>, Failed> {
        let (mut input, now) = (&self.buffer[..n], Instant::now());
        self.heard_at = now;
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

    fn read_goodbye<T>(&mut self, error: std::io::Error) -> Result<T, Failed> {
        if let Ok(n @ 1..) = self.stream.read(&mut self.buffer) {
            self.take_in::<T>(n, &mut |_, _| None)?;
        }
        Err(error.into())
    }

    /// `owner` is the process that has connected.
    pub(super) fn call(&mut self, request: &Request<'_>, stats: &mut Stats, owner: Owner) -> Result<Answer> {
        let now = Instant::now();
        if owner.is_other() {
            return Err(owner.refuse(Outcome::Rejected));
        }
        let deadline = now + self.timeout;
        // Calls that were given up after their deadline are still under way, and their bytes may wait here.
        if !self.machine.has_credit(request, 0) {
            let waited = self.run(deadline, &mut Lent::default(), |event, machine| {
                event.iter().for_each(report);
                machine.has_credit(request, 0).then_some(())
            });
            waited.map_err(|failed| self.fail(failed, Outcome::Rejected))?;
        }
        // An image is sent from where the caller has it.
        let (number, mut lent) = self.machine.call_lending(request, now)?;
        self.called_at = now;
        stats.calls += 1;
        stats.waits += 1;
        let done = self.run(deadline, &mut lent, |event, machine| match event {
            Some(Event::Fault(made, fault)) if made.number == number => Some(Err(Error::Fault(fault))),
            Some(Event::Answer(made, answer)) if made.number == number => Some(Ok(answer)),
            Some(Event::Resumed(standing, lost)) if lost.iter().any(|made| made.number == number) => {
                Some(Err(Error::Forgotten { standing }))
            }
            Some(event) => {
                report(&event);
                None
            }
            None => {
                (machine.done() >= number && !request.method().has_answer()).then_some(Ok(Answer::Done(())))
            }
        });
        // Should the call be given up before it is reported, what is missing of it goes before the next one.
        self.machine.keep(lent);
        done.unwrap_or_else(|failed| {
            let outcome = self.outcome(number, &failed);
            Err(self.fail(failed, outcome))
        })
    }

    /// What became of a call that was made and is not done.
    fn outcome(&mut self, number: u64, failed: &Failed) -> Outcome {
        match failed {
            // It goes on, and what is not sent of it may be.
            Failed::TimedOut => Outcome::Unknown,
            Failed::Lost(_) if self.machine.give_up().unsent.iter().any(|made| made.number == number) => {
                Outcome::Rejected
            }
            Failed::Lost(_) => Outcome::Unknown,
        }
    }

    /// Returns what the caller is told.
    fn fail(&self, failed: Failed, outcome: Outcome) -> Error {
        match failed {
            Failed::TimedOut => Error::Timeout { after: self.timeout, outcome },
            Failed::Lost(reason) => Error::Disconnected { reason, outcome },
        }
    }
}

/// What came of a call that was given up after its deadline: nobody waits for it any more.
fn report(event: &Event) {
    if let Event::Fault(made, fault) = event {
        tracing::warn!(call = made.number, "{} failed after its deadline: {fault}", made.call);
    }
}
