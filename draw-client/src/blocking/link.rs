//! One connection of a synchronous client: writes and reads in the caller's own thread, and makes another when it is lost.

use crate::address;
use crate::checksums::{self, may_greet_again};
use crate::durability::Durability;
use crate::error::{Error, Lost, Outcome, Result};
use crate::process::Owner;
use crate::reconnect::{Before, Outage, hello, may_return};
use crate::shared::Stats;
use crate::socket;
use crate::status::Picture;
use draw_printer::Printer;
use draw_protocol::client::{Connection, Event, Lent};
use draw_protocol::trace::Direction;
use draw_protocol::{Answer, Request, Size, Welcome, limits};
use socket2::Socket;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Whom a connection goes to, and how long it may take to come about.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) connect_timeout: Duration,
    /// For how long it is tried to make another when one is lost.
    pub(super) reconnect: Duration,
    /// What its answers are to mean.
    pub(super) durability: Durability,
    /// Whether what is altered on its way is to be noticed; nothing where that depends on where it goes.
    pub(super) checksums: Option<bool>,
}

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
    /// The connection is lost, or another one has not been answered yet. Whether there is another one.
    outage: Option<Outage>,
    before: Before,
    is_connected: bool,
    /// How often the first greeting was tried.
    greetings: u32,
}

/// A write that takes longer looks whether there is something to read: else both sides could wait for the other to
/// read first, for ever.
const WRITE_SLICE: Duration = Duration::from_millis(100);

/// A connection, set up as calls need it.
fn dial(peer: &Peer, deadline: Instant) -> Result<TcpStream, Option<std::io::Error>> {
    let found: Vec<_> = (&*peer.host, peer.port).to_socket_addrs().map_err(Some)?.collect();
    let mut last = None;
    for (i, one) in found.iter().enumerate() {
        let share = address::share(deadline, Instant::now(), found.len() - i);
        let connect =
            |socket: Socket| socket.connect_timeout(&(*one).into(), share).map(|()| TcpStream::from(socket));
        match socket::open(one).and_then(connect) {
            Ok(stream) => {
                socket::set_up((&stream).into())?;
                stream.set_write_timeout(Some(WRITE_SLICE))?;
                limit_reads(&stream, deadline.saturating_duration_since(Instant::now()))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}

/// Why waiting for an event ended without it.
enum Failed {
    TimedOut,
    Lost(Lost),
}

impl Failed {
    fn into_error(self, outcome: Outcome, after: Duration) -> Error {
        match self {
            Failed::TimedOut => Error::Timeout { after, outcome },
            Failed::Lost(reason) => Error::Disconnected { reason: reason.into(), outcome },
        }
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Failed {
        Failed::Lost(Lost::Io(Arc::new(error)))
    }
}

fn would_block(error: &std::io::Error) -> bool {
    match error.kind() {
        ErrorKind::WouldBlock => true,
        // Windows says it so. Where another system does, the network is dead.
        ErrorKind::TimedOut => cfg!(windows) || error.raw_os_error().is_none(),
        _ => false,
    }
}

/// A read that blocks ends after `left`.
fn limit_reads(stream: &TcpStream, left: Duration) -> std::io::Result<()> {
    // The system takes a timeout of zero for none.
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))
}

/// By how much reads may end late. To set the system's timeout for each of the reads of an image takes a tenth of its time.
const LATE: Duration = Duration::from_millis(10);

/// Reads that end by the deadline, however slowly the bytes trickle in.
struct Until<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
    limited: &'a mut Option<Instant>,
}

impl Until<'_> {
    /// Has the next read end by the deadline.
    fn limit(&mut self) -> std::io::Result<()> {
        let now = Instant::now();
        let left = self.deadline.saturating_duration_since(now);
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        if self.limited.is_none_or(|at| now > at + LATE) {
            limit_reads(self.stream, left)?;
            *self.limited = Some(now);
        }
        Ok(())
    }
}

impl Read for Until<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.limit()?;
        self.stream.read(buffer)
    }
}

impl Link {
    /// Connects and is greeted.
    pub(super) fn connect(peer: Peer, timeout: Duration, trace: Printer, deadline: Instant) -> Result<Link> {
        let shown = address::show(&peer.host, peer.port);
        let stream = dial(&peer, deadline).map_err(|last| address::unreachable(&shown, last))?;
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
            outage: None,
            before: Before::default(),
            is_connected: true,
            greetings: 0,
        };
        let welcomed = link.run(deadline, &mut Lent::default(), |event, _| {
            matches!(event, Some(Event::Welcome)).then_some(())
        });
        welcomed.map_err(|failed| link.fail(failed, Outcome::Rejected))?;
        // That confirms the welcome. Should it not all go, it goes before the first call.
        _ = link.write_some(&mut Lent::default());
        link.timeout = timeout;
        let limited = link.stream.set_read_timeout(Some(link.usual_timeout()));
        limited.map_err(|error| address::unreachable(&shown, Some(error)))?;
        Ok(link)
    }

    pub(super) fn size(&self) -> Size {
        self.machine.welcome().map_or(Size { width: 0, height: 0 }, Welcome::size)
    }

    /// Sends what waits, and what was lent, and reads until `wanted` finds what it wants in an event or in how far the calls are
    /// done. Comes back when the connection is lost meanwhile.
    fn run<T>(
        &mut self,
        deadline: Instant,
        lent: &mut Lent<'_>,
        mut wanted: impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<T, Failed> {
        loop {
            if !self.is_connected {
                self.come_back(deadline)?;
            }
            let result = match self.outage {
                None => self.talk(deadline, lent, &mut wanted),
                Some(_) => match self.greet_again(deadline, &mut wanted) {
                    Ok(None) => continue,
                    Ok(Some(found)) => return Ok(found),
                    Err(failed) => Err(failed),
                },
            };
            let reason = match (result, self.machine.goodbye()) {
                (Err(Failed::Lost(Lost::Eof | Lost::Io(_))), Some(fault)) => Lost::Goodbye(fault.clone()),
                (Err(Failed::Lost(reason)), _) => reason,
                (Err(Failed::TimedOut), _) if self.outage.is_some() && Instant::now() < deadline => {
                    Lost::Io(Arc::new(ErrorKind::TimedOut.into()))
                }
                (result, _) => return result,
            };
            if self.peer.reconnect.is_zero() || !self.may_return(&reason) {
                return Err(Failed::Lost(reason));
            }
            // What was lent may have to go once more, in its place among the rest.
            self.machine.keep(std::mem::take(lent));
            self.lose(reason);
        }
    }

    /// Whether another connection may be better.
    fn may_return(&mut self, reason: &Lost) -> bool {
        if self.machine.welcome().is_some() {
            return self.machine.is_resumable() && may_return(reason);
        }
        self.greetings += 1;
        may_greet_again(&self.machine, reason, self.greetings)
    }

    /// The connection is lost; it is worth trying to make another.
    fn lose(&mut self, reason: Lost) {
        let now = Instant::now();
        self.trace.end(Direction::ToClient);
        self.machine.handle_disconnected(Vec::new());
        self.is_connected = false;
        match &mut self.outage {
            Some(outage) => outage.failed(reason, now),
            None => {
                tracing::warn!("the connection to the display is lost ({reason}); trying to make another");
                let spread = u64::from(self.stream.local_addr().map_or(0, |address| address.port()));
                let new = Outage::new(reason, now, self.peer.reconnect, spread);
                let (applied, is_busy) = (self.machine.applied(), self.machine.in_flight() > 0);
                self.outage = Some(self.before.begin(new, applied, is_busy, now));
            }
        }
    }

    /// Makes another connection, and is about to greet on it.
    fn come_back(&mut self, deadline: Instant) -> Result<(), Failed> {
        while let Some(outage) = &mut self.outage {
            let now = Instant::now();
            if now >= outage.until() {
                return Err(Failed::Lost(outage.give_up(now)));
            }
            if now >= deadline {
                return Err(Failed::TimedOut);
            }
            let at = outage.next.min(outage.until());
            if now < at {
                std::thread::sleep(at.min(deadline) - now);
                continue;
            }
            let patience = (now + self.peer.connect_timeout).min(deadline).min(outage.until());
            match dial(&self.peer, patience) {
                Ok(stream) => {
                    self.stream = stream;
                    self.limited = Some(Instant::now());
                    self.is_connected = true;
                    self.trace.restart();
                    self.machine.reconnect(false);
                    return Ok(());
                }
                Err(error) => {
                    let error = error.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into());
                    outage.failed(Lost::Io(Arc::new(error)), Instant::now());
                }
            }
        }
        Ok(())
    }

    /// Greets on another connection. What comes with the answer may be what is `wanted` already.
    fn greet_again<T>(
        &mut self,
        deadline: Instant,
        wanted: &mut impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<Option<T>, Failed> {
        // A display that takes the connection and then says nothing is as good as none.
        let patience = (Instant::now() + self.peer.connect_timeout).min(deadline);
        let (mut found, mut applied) = (None, 0);
        self.talk(patience, &mut Lent::default(), &mut |event, machine: &Connection| {
            if matches!(event, Some(Event::Resumed(..))) {
                applied = machine.applied();
            }
            let resumed = match &event {
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
            resumed
        })?;
        self.before.end(self.outage.take(), applied, self.machine.is_restarted(), Instant::now());
        Ok(found)
    }

    /// Nothing more comes: the display need not remember this client.
    pub(super) fn finish(&mut self) {
        self.trace.end(Direction::ToDisplay);
        if self.is_connected && self.machine.in_flight() == 0 {
            self.machine.end_session();
            // It is a courtesy. Where it cannot be done the display forgets by itself.
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
        deadline.min(look.max(now + Duration::from_millis(1)))
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
                // A session that is resumed has lost no call.
                let picture = Picture::of(standing, machine.is_restarted()).unwrap_or(Picture::Kept);
                Some(Err(Error::SessionLost { picture }))
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

    /// What the caller is told.
    fn fail(&self, failed: Failed, outcome: Outcome) -> Error {
        match (failed, self.machine.goodbye()) {
            (Failed::Lost(Lost::Eof | Lost::Io(_)), Some(fault)) => {
                Failed::Lost(Lost::Goodbye(fault.clone()))
            }
            (failed, _) => failed,
        }
        .into_error(outcome, self.timeout)
    }
}

/// What came of a call that was given up after its deadline: nobody waits for it any more.
fn report(event: &Event) {
    if let Event::Fault(made, fault) = event {
        tracing::warn!(call = made.number, "{} failed after its deadline: {fault}", made.call);
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_dead_network_will_be_noticed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (host, connect_timeout) = ("127.0.0.1".to_owned(), limits::CONNECT_TIMEOUT);
        let durability = Durability::default();
        let (reconnect, checksums) = (limits::RECONNECT, None);
        let peer = Peer { host, port, connect_timeout, reconnect, durability, checksums };
        let stream = dial(&peer, Instant::now() + connect_timeout).expect("it listens");
        socket::check((&stream).into());
        // What the system says then ends the connection; what a read says whose time is up does not.
        let timed_out = std::io::Error::from_raw_os_error(110);
        assert!(timed_out.kind() == ErrorKind::TimedOut && !would_block(&timed_out));
        limit_reads(&stream, Duration::from_millis(1)).expect("an option");
        assert!(would_block(&(&stream).read(&mut [0]).expect_err("nobody writes")));
    }
}
