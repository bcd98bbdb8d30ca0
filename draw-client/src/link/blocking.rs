//! The connection of a blocking client: the caller's thread writes and reads. The [`Reconnect`] machine decides when to
//! connect again.

mod exchange;

use crate::error::{Error, Lost, Outcome, Picture, Result};
use crate::process::Owner;
use crate::reconnect::{self, hello};
use crate::shared::Stats;
use crate::transport::address::{self, Address};
use crate::transport::blocking_tcp::{dial, limit_reads};
use crate::transport::checksums;
use draw_printer::Printer;
use draw_protocol::client::{Connection, Event, Lent};
use draw_protocol::reconnect::{Policy, Reconnect, Retry};
use draw_protocol::trace::Direction;
use draw_protocol::{Answer, DisplayName, Request, Size, Welcome, limits};
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The peer of a connection, and its options.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name of the display on the server.
    pub(crate) display: Option<DisplayName>,
    pub(crate) connect_timeout: Duration,
    /// How long the client tries to reconnect.
    pub(crate) reconnect: Duration,
    /// Whether a call is done only when it is on the display's disk.
    pub(crate) is_durable: bool,
    /// Whether messages have checksums. If `None`, that depends on the address.
    pub(crate) checksums: Option<bool>,
}

pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    pub(crate) machine: Connection,
    pub(crate) buffer: Vec<u8>,
    pub(crate) timeout: Duration,
    /// When the last call was made, and when anything was received last. The doctor uses these: two more readings of
    /// the clock would cost more than everything else that it does.
    pub(crate) called_at: Instant,
    pub(crate) received_at: Instant,
    /// When the socket's timeout for reads was set to less than `timeout`, if it was.
    pub(crate) limited: Option<Instant>,
    pub(crate) trace: Printer,
    pub(crate) peer: Peer,
    /// Whether there is a connection, and when there may be another.
    pub(crate) reconnect: Reconnect<Lost>,
}

/// The shortest timeout of a read.
pub(crate) const SHORTEST_READ: Duration = Duration::from_millis(1);

/// Why waiting for an event ended without it.
pub(crate) enum Failed {
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
    pub(crate) fn connect(peer: Peer, timeout: Duration, trace: Printer, deadline: Instant) -> Result<Link> {
        let Peer { host, port, display, .. } = peer.clone();
        let shown = Address { host, port, display: display.clone() }.to_string();
        let policy = Policy { window: peer.reconnect, attempt: peer.connect_timeout, accepts_loss: false };
        let mut reconnect = reconnect::machine(policy, deadline, Instant::now());
        _ = reconnect.poll_dial(Instant::now());
        let stream =
            dial(&peer.host, peer.port, deadline).map_err(|last| address::unreachable(&shown, last))?;
        reconnect.handle_dialed(Instant::now());
        let checks = checksums::are_wanted(peer.checksums, stream.peer_addr());
        let mut link = Link {
            stream,
            machine: Connection::new(&hello(peer.is_durable, checks).with_display(display)),
            buffer: vec![0; limits::READ],
            timeout: peer.connect_timeout,
            called_at: Instant::now(),
            received_at: Instant::now(),
            limited: Some(Instant::now()),
            trace,
            peer,
            reconnect,
        };
        let welcomed = link.run(deadline, &mut Lent::default(), |event, _| {
            matches!(event, Some(Event::Welcome)).then_some(())
        });
        welcomed.map_err(|failed| match failed {
            Failed::Lost(reason) => Error::never_connected(&shown, reason),
            Failed::TimedOut => link.fail(failed, Outcome::Rejected),
        })?;
        // This confirms the welcome. What is not written of it precedes the first call.
        _ = link.write_some(&mut Lent::default());
        link.timeout = timeout;
        let limited = link.stream.set_read_timeout(Some(link.usual_timeout()));
        limited.map_err(|error| address::unreachable(&shown, Some(error)))?;
        Ok(link)
    }

    pub(crate) fn size(&self) -> Size {
        self.machine.welcome().map_or(Size { width: 0, height: 0 }, Welcome::size)
    }

    /// Sends what is unsent and the borrowed data, and reads until `wanted` finds what it wants in an event or in how
    /// far the calls are done. Reconnects when the connection is lost meanwhile.
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
                true => self.exchange(deadline, lent, &mut wanted).map(Some),
                false => self.handshake(deadline, &mut wanted),
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
            // Borrowed data may have to be sent once more, in its place among the rest.
            self.machine.keep(std::mem::take(lent));
            self.trace.end(Direction::ToClient);
            self.machine.handle_disconnected(Vec::new());
            self.report_retry();
        }
    }

    /// Reconnects, within the deadline of the call that waits for it.
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
                match dial(&self.peer.host, self.peer.port, until.min(deadline)) {
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
            tracing::warn!("the connection to the display is lost ({reason}); reconnecting");
        }
    }

    /// Waits for the answer to `hello`. What arrives with it may be what is `wanted` already.
    fn handshake<T>(
        &mut self,
        deadline: Instant,
        wanted: &mut impl FnMut(Option<Event>, &Connection) -> Option<T>,
    ) -> Result<Option<T>, Failed> {
        let until = self.reconnect.poll_timeout().unwrap_or(deadline).min(deadline);
        // What has arrived while no call was made is read, however late it is.
        let now = Instant::now();
        let until = until.max(now + SHORTEST_READ);
        limit_reads(&self.stream, until - now)?;
        self.limited = Some(now);
        let mut found = None;
        self.exchange(until, &mut Lent::default(), &mut |event, machine: &Connection| {
            let is_greeted = match &event {
                Some(Event::Welcome) => Some(()),
                Some(Event::Resumed(standing, lost)) => {
                    tracing::info!(lost = lost.len(), "reconnected: the session is {}", standing.as_str());
                    Some(())
                }
                _ => None,
            };
            found = found.take().or_else(|| wanted(event, machine));
            is_greeted
        })?;
        Ok(found)
    }

    /// Ends the session, so that the display need not keep it.
    pub(crate) fn finish(&mut self) {
        self.trace.end(Direction::ToDisplay);
        if self.reconnect.has_connection() && self.machine.in_flight() == 0 {
            self.machine.end_session();
            // If this cannot be sent, the session expires by itself.
            while let Ok(n @ 1..) = self.stream.write(self.machine.poll_transmit()) {
                self.machine.handle_transmitted(n);
            }
        }
    }

    /// Makes a call and waits for its answer. `owner` is the process that has connected.
    pub(crate) fn call(&mut self, request: &Request<'_>, stats: &mut Stats, owner: Owner) -> Result<Answer> {
        let now = Instant::now();
        if owner.is_other() {
            return Err(owner.refuse(Outcome::Rejected));
        }
        let deadline = now + self.timeout;
        // Calls whose deadline has passed are still under way, and may use up the credit.
        if !self.machine.has_credit(request, 0) {
            let waited = self.run(deadline, &mut Lent::default(), |event, machine| {
                event.iter().for_each(report);
                machine.has_credit(request, 0).then_some(())
            });
            waited.map_err(|failed| self.fail(failed, Outcome::Rejected))?;
        }
        // An image is sent from the caller's memory.
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
        // If the deadline passes before the call is done, the rest of it is sent before the next call.
        self.machine.keep(lent);
        done.unwrap_or_else(|failed| {
            let outcome = self.outcome(number, &failed);
            Err(self.fail(failed, outcome))
        })
    }

    /// Returns the outcome of a call that was made and is not done.
    fn outcome(&mut self, number: u64, failed: &Failed) -> Outcome {
        match failed {
            // The call continues, and what is not sent of it may still be sent.
            Failed::TimedOut => Outcome::Unknown,
            Failed::Lost(_) if self.machine.give_up().unsent.iter().any(|made| made.number == number) => {
                Outcome::Rejected
            }
            Failed::Lost(_) => Outcome::Unknown,
        }
    }

    /// Returns the error for the caller.
    fn fail(&self, failed: Failed, outcome: Outcome) -> Error {
        match failed {
            Failed::TimedOut => Error::Timeout { after: self.timeout, outcome },
            Failed::Lost(reason) => Error::Disconnected { reason: reason.into(), outcome },
        }
    }
}

/// Reports the result of a call whose deadline had passed, since nothing waits for it any more.
fn report(event: &Event) {
    if let Event::Fault(made, fault) = event {
        tracing::warn!(call = made.number, "{} failed after its deadline: {fault}", made.call);
    }
}
