//! A program that draws: a client state machine, its driver, and the events that it got.

use super::ledger::{Ledger, Process};
use super::link::{Kind, Link};
use super::random::Random;
use draw_protocol::client::{Connection, Ended, Event};
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Code, Hello, limits};
use std::time::Instant;

/// How bytes are taken from the machine.
#[derive(Debug)]
enum Sender {
    /// Looks at them, and says how many are gone.
    Polls,
    /// Takes them all, and sends them in its own time.
    Swaps { buffer: Vec<u8>, sent: usize },
}

#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) session: usize,
    pub(crate) machine: Connection,
    pub(crate) link: Option<usize>,
    sender: Sender,
    /// Where it wants checks, what it says and hears may be altered on its way.
    pub(crate) kind: Kind,
    /// How often it, or the display, has found that something was.
    pub(crate) altered: usize,
    /// How often it was refused because a copy of its greeting had come first, or lost its session for no reason.
    pub(crate) overtaken: usize,
    /// It greets as soon as it is made.
    is_new: bool,
    accepts_loss: bool,
    /// How often the display had been started when it answered last.
    boot: Option<u64>,
    pub(crate) resumed: Option<Standing>,
    /// It has ended its session, and will say nothing more.
    pub(crate) has_ended: bool,
    /// The display has answered on this connection.
    pub(crate) is_greeted: bool,
    /// Until when it is to have.
    greeting: Option<Instant>,
    done: u64,
}

/// What a program does after it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    GoOn,
    /// The connection is of no use any more.
    Leave,
    /// The display has lost what this program knew to be done.
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

    /// Whether it has waited for too long for the display to greet back. What it said may have been altered beyond recognition, or the
    /// display is frozen.
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
                // A sender may change its manner once.
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

    /// The connection is given up, perhaps in the middle of a write of which nobody knows how far it came.
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

    /// It will make no other connection.
    pub(crate) fn give_up(&mut self, ledger: &mut Ledger) {
        let lost = self.machine.give_up();
        let [begun, unsent] =
            [lost.begun, lost.unsent].map(|calls| calls.iter().map(|made| made.number).collect::<Vec<_>>());
        ledger.gave_up(self.session, &begun, &unsent);
    }

    /// Takes in bytes that arrive. `may_lose` says that its session may have been given to another connection, which is its own, too.
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
            // It has said no later hello than this one, so nothing else may have taken its session.
            Code::Superseded => may_lose,
            code => *code == Code::Corrupted && self.kind.is_checked,
        };
        let wrong = self.machine.goodbye().filter(|fault| !is_right(&fault.code));
        // Why it was refused has been told already.
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
                    // It was restarted, and has nothing to compare with: it may have lost anything.
                    ledger.forgive(self.session);
                }
                self.boot = boot;
                let unknown: Vec<_> = lost.iter().map(|made| made.number).collect();
                // What was done before it is not part of what it says.
                ledger.resumed(self.session, by, standing, &unknown);
            }
            other => ledger.check(false, || format!("nobody knows this event: {other:?}")),
        }
    }
}
