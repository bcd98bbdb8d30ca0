//! A program that draws: a client state machine and its driver.

use super::ledger::{Ledger, Process};
use super::link::{Kind, Link};
use super::random::Random;
use draw_protocol::client::{Connection, Ended, Event};
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Code, Hello, limits};
use std::time::Instant;

/// The way in which bytes are taken from the state machine.
#[derive(Debug)]
enum Sender {
    /// Borrows the bytes, and reports how many were sent.
    Polls,
    /// Takes the whole buffer, and sends it later.
    Swaps { buffer: Vec<u8>, sent: usize },
}

#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) session: usize,
    pub(crate) machine: Connection,
    pub(crate) link: Option<usize>,
    sender: Sender,
    /// With checks, bits of its messages may be flipped.
    pub(crate) kind: Kind,
    /// The number of connections on which it detected corruption.
    pub(crate) altered: usize,
    /// The number of refusals because a copy of its greeting arrived first, or because its session was taken away.
    pub(crate) overtaken: usize,
    /// Whether it has not connected yet. The first greeting needs no call of `reconnect`.
    is_new: bool,
    accepts_loss: bool,
    /// The display's boot number in the last answer.
    boot: Option<u64>,
    pub(crate) resumed: Option<Standing>,
    /// Whether it has ended its session. It sends nothing more.
    pub(crate) has_ended: bool,
    /// Whether the display has answered the greeting of this connection.
    pub(crate) is_greeted: bool,
    /// The deadline for that answer.
    greeting: Option<Instant>,
    done: u64,
}

/// The next action of a program after it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    /// Close the connection.
    Leave,
    /// Decide whether to accept that the display has lost calls reported done.
    Decide,
}

impl Program {
    pub(crate) fn new(id: Id, kind: Kind, ledger: &mut Ledger) -> Program {
        let session = ledger.open(id);
        let hello = Hello::new("program").with_session(id).with_durability(ledger.is_durable(session));
        let hello = hello.with_checks(kind.is_checked).with_confirmation(kind.confirms);
        Program {
            session,
            machine: Connection::new(&hello),
            link: None,
            sender: Sender::Polls,
            kind,
            altered: 0,
            overtaken: 0,
            is_new: true,
            accepts_loss: false,
            boot: None,
            resumed: None,
            has_ended: false,
            is_greeted: false,
            greeting: None,
            done: 0,
        }
    }

    /// Returns whether the deadline for the answer to the greeting has passed. The greeting may be corrupted, or the
    /// display frozen.
    pub(crate) fn is_impatient(&self, now: Instant) -> bool {
        self.link.is_some() && !self.is_greeted && self.greeting.is_some_and(|until| until <= now)
    }

    pub(crate) fn connect(&mut self, link: usize, random: &mut Random, now: Instant) {
        self.link = Some(link);
        self.greeting = Some(now + limits::CONNECT_TIMEOUT);
        self.is_greeted = false;
        if !std::mem::take(&mut self.is_new) {
            self.machine.reconnect(std::mem::take(&mut self.accepts_loss));
        }
        self.sender = match random.happens(1, 2) {
            true => Sender::Polls,
            false => Sender::Swaps { buffer: Vec::new(), sent: 0 },
        };
    }

    pub(crate) fn accept_loss(&mut self) {
        self.accepts_loss = true;
    }

    pub(crate) fn send(&mut self, link: &mut Link, random: &mut Random) {
        match &mut self.sender {
            Sender::Polls => {
                let bytes = self.machine.poll_transmit();
                let n = random.portion(bytes.len());
                link.up.push(&bytes[..n]);
                self.machine.handle_transmitted(n);
                // A sender may change from polling to swapping.
                if random.happens(1, 10) {
                    self.sender = Sender::Swaps { buffer: Vec::new(), sent: 0 };
                }
            }
            Sender::Swaps { buffer, sent } => {
                if *sent == buffer.len() {
                    (*buffer, *sent) = (self.machine.swap_transmit(std::mem::take(buffer)), 0);
                }
                let n = random.portion(buffer.len() - *sent);
                link.up.push(&buffer[*sent..][..n]);
                *sent += n;
            }
        }
    }

    /// Closes the connection, possibly during a write of which an unknown part was sent.
    pub(crate) fn disconnect(&mut self, link: &mut Link, random: &mut Random) {
        let taken = match std::mem::replace(&mut self.sender, Sender::Polls) {
            Sender::Polls => {
                if random.happens(1, 4) {
                    let bytes = self.machine.poll_transmit();
                    link.up.push(&bytes[..random.portion(bytes.len())]);
                }
                Vec::new()
            }
            Sender::Swaps { buffer, sent } => {
                if random.happens(1, 4) {
                    link.up.push(&buffer[sent..][..random.portion(buffer.len() - sent)]);
                }
                buffer
            }
        };
        self.machine.handle_disconnected(taken);
        self.is_greeted = false;
        self.link = None;
        link.leave_client();
    }

    /// Gives up all calls. The program makes no further connection.
    pub(crate) fn give_up(&mut self, ledger: &mut Ledger) {
        let lost = self.machine.give_up();
        let [begun, unsent] =
            [lost.begun, lost.unsent].map(|calls| calls.iter().map(|made| made.number).collect::<Vec<_>>());
        ledger.gave_up(self.session, &begun, &unsent);
    }

    /// Receives arriving bytes. `may_lose` is true if the display may have taken the session from this connection.
    pub(crate) fn take(
        &mut self,
        mut input: &[u8],
        by: Process,
        may_lose: bool,
        now: Instant,
        ledger: &mut Ledger,
    ) -> Next {
        let next = loop {
            match self.machine.handle_input(&mut input, now) {
                Ok(None) => break Next::GoOn,
                Ok(Some(event)) => self.hear(event, by, ledger),
                Err(Ended::Refused(fault)) if fault.code == Code::StateRegressed => {
                    ledger.check(!ledger.is_durable(self.session), || {
                        format!("durable {}: {fault}", self.session)
                    });
                    break Next::Decide;
                }
                Err(Ended::Refused(fault)) if fault.code == Code::TooSlow => break Next::Leave,
                Err(Ended::Refused(fault)) if fault.code == Code::Superseded => {
                    ledger.check(may_lose, || format!("session {} was refused: {fault}", self.session));
                    self.overtaken += 1;
                    break Next::Leave;
                }
                Err(Ended::Corrupted(_)) if self.kind.is_checked => {
                    self.altered += 1;
                    break Next::Leave;
                }
                Err(ended) => {
                    ledger.check(false, || format!("session {}: {ended}", self.session));
                    break Next::Leave;
                }
            }
        };
        let done = self.machine.done();
        ledger.check(done >= self.done, || format!("done went from {} to {done}", self.done));
        self.done = done;
        ledger.done(self.session, done);
        let is_right = |code: &Code| match code {
            Code::TooSlow => true,
            // This is its latest hello, so only a copy or a robbed session explains the loss.
            Code::Superseded => may_lose,
            code => *code == Code::Corrupted && self.kind.is_checked,
        };
        let wrong = self.machine.goodbye().filter(|fault| !is_right(&fault.code));
        // The refusal was already checked.
        if let Some(fault) = wrong.filter(|fault| fault.code != Code::StateRegressed) {
            ledger.check(false, || format!("session {} was told goodbye: {fault}", self.session));
        }
        next
    }

    fn hear(&mut self, event: Event, by: Process, ledger: &mut Ledger) {
        self.is_greeted |= matches!(event, Event::Welcome | Event::Resumed(..));
        match event {
            Event::Welcome => {
                self.boot = self.machine.welcome().and_then(|welcome| welcome.boot);
                ledger.welcomed(self.session, by);
            }
            Event::Fault(made, fault) => ledger.failed(self.session, made.number, &fault),
            Event::Answer(made, answer) => ledger.answered(self.session, made.number, &answer),
            Event::Resumed(standing, lost) => {
                self.resumed = Some(standing);
                let boot = self.machine.welcome().and_then(|welcome| welcome.boot);
                if standing == Standing::Expired && boot != self.boot && !ledger.is_durable(self.session) {
                    // The display was restarted and has forgotten the session, so it may have lost any calls.
                    ledger.forgive(self.session);
                }
                self.boot = boot;
                let unknown: Vec<_> = lost.iter().map(|made| made.number).collect();
                // Calls done before the reconnect are not in `unknown`.
                ledger.resumed(self.session, by, standing, &unknown);
            }
            other => ledger.check(false, || format!("nobody knows this event: {other:?}")),
        }
    }
}
