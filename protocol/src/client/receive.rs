//! Handles what the server sends.

use super::completion::read_answer;
use super::ended::violation;
use super::flight::{InFlight, Load};
use super::flood::Noise;
use super::foreign_protocol::First;
use super::fragment::Limits;
use super::image::Received;
use super::refusal::{read_fault, read_refusal};
use super::send::granted;
use super::{Connection, Ended, Event};
use crate::codec::checksum::{Checksum, Verified, Verifier};
use crate::codec::envelope::{Head, Message};
use crate::codec::message_decoder::{Found, MessageDecoder};
use crate::codec::reader::Reader;
use crate::fault::Fault;
use crate::hello::{self, Welcome};
use crate::limits;
use crate::table::Answer;
use std::time::Instant;

/// What has come on the present connection. Nothing that comes after `ended` is set is believed.
#[derive(Debug)]
pub(super) struct Receive {
    pub(super) decoder: MessageDecoder,
    /// What came first.
    pub(super) first: First,
    /// What came that did nothing.
    pub(super) flood: Noise,
    /// What each message that arrives has to be.
    pub(super) verifier: Verifier,
    /// With checks: when the message began that is not whole yet.
    pub(super) message_began: Option<Instant>,
    /// The reason from the server's goodbye.
    pub(super) goodbye: Option<Fault>,
    /// Why nothing more is believed.
    pub(super) ended: Option<Ended>,
}

impl Receive {
    /// Creates the state of a connection on which nothing has come.
    pub(super) fn new(checksum: Option<Checksum>) -> Receive {
        Receive {
            decoder: MessageDecoder::default(),
            first: First::default(),
            flood: Noise::default(),
            verifier: Verifier::new(checksum),
            message_began: None,
            goodbye: None,
            ended: None,
        }
    }
}

impl Connection {
    /// Takes bytes from the front of `input` until there is an event. Returns `None` once all are taken.
    ///
    /// # Errors
    /// [`Ended`]: nothing more can be believed, then or later. Every event has been handed out; what is in flight is
    /// to be given up, see [`Connection::give_up`].
    pub fn handle_input(&mut self, input: &mut &[u8], now: Instant) -> Result<Option<Event>, Ended> {
        if !self.out.is_open() {
            self.receive.first.note(input);
        }
        loop {
            if let Some(event) = self.calls.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(ended) = &self.receive.ended {
                return Err(ended.clone());
            }
            let limit = match &self.session.welcome {
                Some(welcome) => Limits::of(welcome).message,
                None => limits::FIRST_MESSAGE,
            };
            let (used, applied) = (self.flight.bytes(), self.flight.applied());
            match self.receive_band(input) {
                Received::Nothing => {}
                Received::Part => return Ok(None),
                Received::Whole => {
                    self.measure(used, now);
                    continue;
                }
            }
            let handled = match self.receive.decoder.next(input, |_| limit) {
                Ok(Some(Found::InInput(message))) => {
                    let handled = self.handle_arrived(message);
                    handled.and_then(|arrived| self.note_arrived(arrived, message.len(), applied, now))
                }
                Ok(Some(Found::Kept)) => {
                    let message = self.receive.decoder.take_kept();
                    let handled = self.handle_arrived(&message);
                    let length = message.len();
                    self.receive.decoder.put_kept_back(message);
                    handled.and_then(|arrived| self.note_arrived(arrived, length, applied, now))
                }
                Ok(None)
                    if self.receive.decoder.len() == 0
                        || Head::read(self.receive.decoder.started()).is_possible() =>
                {
                    self.note_message(false, now);
                    return Ok(None);
                }
                Ok(None) => Err(self.unreadable("its bytes are no message")),
                Err(error) => Err(self.unreadable(&error.to_string())),
            };
            self.measure(used, now);
            self.note_message(true, now);
            if let Err(ended) = handled {
                // Events that the same message caused still go out first.
                self.receive.decoder = MessageDecoder::default();
                self.receive.ended = Some(ended);
            }
        }
    }

    /// Handles a whole message, or the check of the next one.
    fn handle_arrived(&mut self, message: &[u8]) -> Result<Verified, Ended> {
        let arrived = self.receive.verifier.verify(message);
        match arrived {
            Ok(Verified::Message) => self.handle_message(message).map(|()| Verified::Message),
            Ok(Verified::Check) => Ok(Verified::Check),
            Err(altered) => Err(self.corrupted(&altered.to_string())),
        }
    }

    /// Measures the path: calls have been answered when `used` bytes were in flight.
    fn measure(&mut self, used: usize, now: Instant) {
        if let Some(welcome) = &self.session.welcome {
            self.flow.measure(used, granted(welcome), now);
        }
    }

    /// Returns where the rest of a long message may be read to directly: append at most that many bytes, then call
    /// [`Connection::handle_input`] without input.
    pub fn body(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        self.calls.image.body().or_else(|| self.receive.decoder.body())
    }

    fn handle_message(&mut self, message: &[u8]) -> Result<(), Ended> {
        match Head::read(message).message() {
            Some(Message::Response { msgid, rest }) if !self.out.is_open() => {
                self.handle_welcome(msgid, rest)
            }
            Some(Message::Response { msgid, rest }) => self.handle_response(msgid, rest),
            Some(Message::Notification { method, params }) => match method {
                _ if method == hello::PROGRESS.as_bytes() => self.handle_progress(params),
                _ if method == hello::GOODBYE.as_bytes() => {
                    let said: Result<(Fault,), _> = rmp_serde::from_slice(params.rest());
                    let (mut fault,) = said.map_err(|_| violation("its goodbye has no reason"))?;
                    fault.clear();
                    fault.shorten(limits::STRING);
                    self.receive.goodbye = Some(fault);
                    Ok(())
                }
                // A later version may send more. What is not understood is not needed.
                _ => Ok(()),
            },
            Some(Message::Request { .. }) => Err(violation("it sent a request; a display only answers")),
            // With a check, it was altered in transit.
            None if self.receive.verifier.was_checked() => Err(self.corrupted("its bytes are no message")),
            None => Err(self.stranger().unwrap_or_else(|| violation("its bytes are no message"))),
        }
    }

    fn handle_welcome(&mut self, msgid: u32, mut rest: Reader<'_>) -> Result<(), Ended> {
        if msgid != 0 {
            return Err(violation(format!("it answered request {msgid}, which was never made")));
        }
        if !rest.nil() {
            return Err(Ended::Refused(read_refusal(rest)?));
        }
        let mut welcome: Welcome = rmp_serde::from_slice(rest.rest())
            .map_err(|error| violation(format!("its answer to hello cannot be read: {error}")))?;
        if welcome.version != limits::VERSION {
            let text = format!("it chose version {}; this side speaks {}", welcome.version, limits::VERSION);
            return Err(violation(text));
        }
        self.check_display(&mut welcome)?;
        self.joining.most = Limits::of(&welcome).batch.min(limits::JOINED);
        self.begin(welcome)
    }

    fn handle_response(&mut self, msgid: u32, mut rest: Reader<'_>) -> Result<(), Ended> {
        let applied = self.flight.applied();
        let distance = msgid.wrapping_sub(applied as u32);
        self.session.heard += rest.rest().len();
        if distance == 0 || u64::from(distance) > self.flight.len() as u64 {
            return Err(violation(format!("it answered request {msgid}, which is not in flight")));
        }
        // Requests are executed in order, so the answer to one means that all before it are done.
        self.advance(applied + u64::from(distance) - 1)?;
        // Read before it is taken out: a call whose answer is not believed stays in flight, to be given up.
        let fault = if rest.nil() { None } else { Some(read_fault(rest)?) };
        let answer = match (&fault, self.flight.first()) {
            (None, Some(InFlight { load: Load::Part(part), .. })) => {
                read_answer(part, &mut rest, &mut self.calls.image)?
            }
            _ => Answer::Done(()),
        };
        self.complete_first(fault, answer);
        Ok(())
    }

    fn handle_progress(&mut self, mut params: Reader<'_>) -> Result<(), Ended> {
        let applied = match params.array() {
            Ok(1..) => params.int(),
            _ => return Err(violation("its progress names no number")),
        };
        let applied = applied.ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX);
        let before = self.flight.applied();
        if applied < before || applied - before > self.flight.len() as u64 {
            return Err(violation(format!(
                "it reported request {applied} as done; {} to {} are in flight",
                before + 1,
                before + self.flight.len() as u64
            )));
        }
        self.advance(applied)
    }
}
