//! Chooses the display of a connection: the first message names it, and the caller looks it up.

use super::durability_gate::{DurabilityGate, no_journal};
use super::{ConnectionState, Phase, Step};
use crate::codec::checksum;
use crate::codec::envelope::{Head, Message};
use crate::fault::{Code, Fault};
use crate::hello::{self, Hello};
use crate::session::{Id, Nonce, Resume};
use crate::types::DisplayName;
use crate::types::Size;
use std::fmt::Display;
use std::time::Instant;

/// What a server tells the clients of a display, the same for every connection but for the nonce.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name of the display, which the welcome repeats to a client that asked for it.
    pub display: DisplayName,
    /// What the server calls itself.
    pub server: String,
    /// Width and height of the display.
    pub size: Size,
    /// Bytes that one message may have, at most [`MESSAGE_HARDEST`](crate::limits::MESSAGE_HARDEST). Clients believe no less than
    /// [`FIRST_MESSAGE`](crate::limits::FIRST_MESSAGE).
    pub message: usize,
    /// The id of the display, and how often it was started. Sessions need it: without it the display offers none.
    pub instance: Option<(Id, u64)>,
    /// Whether the display keeps a journal, so that anything on it is durable.
    pub has_journal: bool,
    /// A random number, different for each connection, which clients with sessions confirm. Without it late copies of their
    /// messages are recognised only while their session is remembered.
    pub nonce: Option<Nonce>,
}

/// What the first message says about the display: see [`Step::Greet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DisplayRequest<'a> {
    /// The name that the client asks for, as it was sent: any text. `None` is the server's first display.
    pub display: Option<&'a str>,
}

/// A question that the caller has not answered yet.
#[derive(Debug, Default)]
pub(super) enum Awaiting {
    #[default]
    Nothing,
    /// A display.
    Choice(Choice),
    /// The display was chosen, or refused with this fault: the `hello` with this msgid is answered when input is handled again.
    Chosen(u32, Box<Hello>, Option<Fault>),
    /// A session: the msgid of `hello`, and the request for the session.
    Session(u32, Resume),
}

/// A request for a display that the caller has not answered yet.
#[derive(Debug)]
pub(super) enum Choice {
    /// Of a `hello`, with its msgid.
    Hello(u32, Box<Hello>),
    /// Of a plain connection. The message comes again when the display is chosen.
    Plain,
}

/// The characters of an asked name that a fault repeats: twice as many as a name may have.
const SHOWN: usize = 64;

impl Fault {
    /// Returns the fault of a server that has no display of the name `asked`, but those of `names`. A name that is longer than
    /// any display's is cut, and ends in `...`.
    pub fn unknown_display<N: Display>(asked: &str, names: impl IntoIterator<Item = N>) -> Fault {
        let shown = match asked.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{:?}...", &asked[..end]),
            None => format!("{asked:?}"),
        };
        let names: Vec<_> = names.into_iter().map(|name| name.to_string()).collect();
        let are = if names.len() == 1 { "its only display is" } else { "its displays are" };
        let text = format!("this server has no display {shown}; {are} {}", names.join(", "));
        Fault::new(Code::UnknownDisplay, text)
    }
}

impl ConnectionState {
    /// Returns whether this first message needs a display that has not been chosen. `hello` is handled when it is decoded.
    #[cold]
    pub(super) fn needs_choice(&self, message: &[u8]) -> bool {
        let is_call = match Head::read(message).message() {
            Some(Message::Request { method, .. }) => method != hello::HELLO.as_bytes(),
            Some(Message::Notification { method, .. }) => !checksum::is_name(method),
            Some(Message::Response { .. }) | None => false,
        };
        is_call && self.handshake.config.is_none() && self.handshake.refusal.is_none()
    }

    /// Asks the caller for the display of a `hello` with a supported version.
    pub(super) fn ask_for_display<'a>(&'a mut self, msgid: u32, hello: Hello, now: Instant) -> Step<'a> {
        if let Some(config) = &self.handshake.config {
            let is_there = hello.display.as_deref().is_none_or(|asked| asked == config.display.as_str());
            let refused = (!is_there)
                .then(|| Fault::unknown_display(hello.display.as_deref().unwrap_or(""), [&config.display]));
            return match refused {
                Some(fault) => self.refuse_hello(msgid, &fault, now),
                None => self.go_on(msgid, hello, now),
            };
        }
        self.handshake.awaiting = Awaiting::Choice(Choice::Hello(msgid, Box::new(hello)));
        match &self.handshake.awaiting {
            Awaiting::Choice(Choice::Hello(_, hello)) => {
                Step::Greet(DisplayRequest { display: hello.display.as_deref() })
            }
            _ => Step::Wait,
        }
    }

    pub(super) fn choose(&mut self, chosen: Result<Config, Fault>) {
        let choice = match std::mem::take(&mut self.handshake.awaiting) {
            Awaiting::Choice(choice) => choice,
            other => {
                self.handshake.awaiting = other;
                return;
            }
        };
        let refused = match chosen {
            Ok(config) => {
                self.handshake.config = Some(config);
                None
            }
            Err(fault) => Some(fault),
        };
        match choice {
            Choice::Hello(msgid, hello) => self.handshake.awaiting = Awaiting::Chosen(msgid, hello, refused),
            Choice::Plain => self.handshake.refusal = refused,
        }
    }

    /// Responds to the `hello` whose display is chosen, if there is one.
    #[cold]
    pub(super) fn greet_chosen(&mut self, now: Instant) -> Step<'static> {
        match std::mem::take(&mut self.handshake.awaiting) {
            Awaiting::Chosen(msgid, hello, None) if self.closing.is_none() => self.go_on(msgid, *hello, now),
            Awaiting::Chosen(msgid, _, Some(fault)) if self.closing.is_none() => {
                self.refuse_hello(msgid, &fault, now)
            }
            Awaiting::Chosen(..) => Step::Wait,
            other => {
                self.handshake.awaiting = other;
                Step::Wait
            }
        }
    }

    /// Continues with a `hello` whose display is chosen.
    fn go_on(&mut self, msgid: u32, hello: Hello, now: Instant) -> Step<'static> {
        if hello.durable && !self.has_journal() {
            let step = self.refuse_hello(msgid, &no_journal(), now);
            if self.handshake.is_open {
                // The next hello may ask for another display.
                self.handshake.config = None;
            }
            return step;
        }
        self.sending.gate = hello.durable.then(|| DurabilityGate::lasting(self.sending.out.unsent().len()));
        let has_sessions = self.handshake.config.as_ref().is_some_and(|config| config.instance.is_some());
        let resume = hello.resume().filter(|_| has_sessions);
        self.handshake.phase = Phase::Greeted;
        self.handshake.is_named = hello.display.is_some();
        self.handshake.client = hello.client.map(|name| name.chars().take(100).collect());
        let Some(resume) = resume else {
            self.welcome(msgid, None);
            return Step::Continue;
        };
        self.handshake.awaiting = Awaiting::Session(msgid, resume);
        Step::Resume(resume)
    }

    /// Responds to a `hello` with a fault. The connection continues as before its first message.
    pub(super) fn refuse_hello(&mut self, msgid: u32, fault: &Fault, now: Instant) -> Step<'static> {
        if self.count_malformed(Some(msgid), now) {
            self.write_fault(msgid, fault, true);
        }
        Step::Continue
    }

    pub(super) fn has_journal(&self) -> bool {
        self.handshake.config.as_ref().is_some_and(|config| config.has_journal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_marked_as_cut() {
        let fault = |asked: &str| Fault::unknown_display(asked, ["main"]).message;
        let (longest, longer) = ("é".repeat(SHOWN), "é".repeat(SHOWN + 1));
        assert_eq!(fault("chart"), "this server has no display \"chart\"; its only display is main");
        assert_eq!(
            fault(&longest),
            format!("this server has no display \"{longest}\"; its only display is main")
        );
        assert_eq!(
            fault(&longer),
            format!("this server has no display \"{longest}\"...; its only display is main")
        );
    }
}
