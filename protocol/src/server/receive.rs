//! Takes messages from the input and handles each.

use super::answer::Executing;
use super::choice::{Awaiting, Choice};
use super::decode::{is_known, not_rpc};
use super::durability_gate::no_journal;
use super::rate_limit::RateLimit;
use super::{Connection, ConnectionState, DisplayRequest, Phase, Step};
use crate::codec::checksum::{self, Verified, Verifier};
use crate::codec::envelope::{Head, Message};
use crate::codec::scan::ScanError;
use crate::fault::{Code, Fault};
use crate::hello;
use crate::limits;
use crate::table::Method;
use std::time::Instant;

/// What the next message has to satisfy.
#[derive(Debug)]
pub(super) struct Receiving {
    /// Verifies the checksum of each message that arrives. Once checksums are agreed, each message that is sent has one too.
    pub(super) verifier: Verifier,
    /// How many malformed requests are still accepted.
    pub(super) malformed: RateLimit,
    /// When the message began that is not whole yet.
    pub(super) message_began: Option<Instant>,
}

impl Receiving {
    pub(super) fn new(now: Instant) -> Receiving {
        Receiving { verifier: Verifier::default(), malformed: RateLimit::full(now), message_began: None }
    }
}

impl Connection {
    /// Takes bytes from the front of `input` until there is something to execute.
    ///
    /// The request borrows from the input or from the connection: execute it, then call [`Connection::answer`].
    pub fn handle_input<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8], now: Instant) -> Step<'a> {
        if !self.wants_input() {
            return self.state.greet_chosen(now);
        }
        let (phase, message) = (self.state.handshake.phase, self.state.handshake.message);
        let limit = |bytes: &[u8]| {
            let is_stranger = phase == Phase::First && Head::read(bytes).method.is_none_or(|m| !is_known(m));
            if is_stranger { limits::FIRST_MESSAGE } else { message }
        };
        let state = &mut self.state;
        loop {
            let before = *input;
            match self.decoder.next(input, limit) {
                Ok(Some(found)) => {
                    if phase == Phase::First && state.needs_choice(self.decoder.message(found)) {
                        self.decoder.put_back(found, input, before);
                        state.handshake.awaiting = Awaiting::Choice(Choice::Plain);
                        return Step::Greet(DisplayRequest { display: None });
                    }
                    state.receiving.message_began = None;
                    match state.receiving.verifier.verify(self.decoder.message(found)) {
                        Ok(Verified::Message) => {
                            return state.handle_message(self.decoder.message(found), now);
                        }
                        Ok(Verified::Check) => continue,
                        Err(altered) => state.end_corrupted(altered.to_string()),
                    }
                }
                Ok(None) => {
                    let started = self.decoder.started();
                    if !started.is_empty() {
                        state.receiving.message_began.get_or_insert(now);
                        let head = Head::read(started);
                        if !head.is_possible() {
                            state.end_unreadable(head.msgid, not_rpc());
                        }
                    }
                }
                Err(error) => {
                    let code = match error {
                        ScanError::TooLong { .. } | ScanError::TooManyValues => Code::TooLarge,
                        _ => Code::Malformed,
                    };
                    // Bytes that cannot be a message get the same fault as when they arrive one by one.
                    let fault = match Head::read(self.decoder.before_refused()).is_possible() {
                        true => Fault::new(code, error.to_string()),
                        false => not_rpc(),
                    };
                    let msgid = Head::read(self.decoder.started()).msgid;
                    state.end_unreadable(msgid, fault);
                }
            }
            return Step::Wait;
        }
    }

    /// Returns the buffer into which the rest of a long message can be read directly, and how many bytes: append at most that
    /// many bytes, then call [`Connection::handle_input`] with no input.
    pub fn body(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        if self.wants_input() { self.decoder.body() } else { None }
    }
}

impl ConnectionState {
    #[inline]
    pub(super) fn handle_message<'a>(&'a mut self, message: &'a [u8], now: Instant) -> Step<'a> {
        let is_first = self.handshake.phase == Phase::First;
        if self.handshake.unconfirmed.is_some()
            && let Some(said) = Head::read(message).message()
        {
            return self.handle_unconfirmed(&said);
        }
        match Head::read(message).message() {
            None => {
                // The same as when only the beginning has arrived: with a correct check the sender is not at fault.
                match self.receiving.verifier.was_checked() {
                    true => self.end_corrupted(not_rpc().message),
                    false => self.end(Head::read(message).msgid, not_rpc()),
                }
                Step::Wait
            }
            Some(Message::Response { .. }) => {
                // The server sends no requests, so a response has no request.
                self.count_malformed(None, now);
                Step::Continue
            }
            Some(Message::Request { msgid, method, mut params }) => {
                if self.handshake.refusal.is_some()
                    && let Some(fault) = self.handshake.refusal.take()
                {
                    return self.turn_away(msgid, method, params.rest(), fault);
                }
                if is_first && method == hello::HELLO.as_bytes() {
                    return self.greet(msgid, params.rest(), now);
                }
                if self.handshake.phase == Phase::Plain && method == hello::HELLO.as_bytes() {
                    return self.end_late_hello(msgid);
                }
                if is_first {
                    self.handshake.phase = Phase::Plain;
                }
                if self.handshake.phase == Phase::Greeted
                    && let Some(step) = self.check_number(msgid, message)
                {
                    return step;
                }
                match self.decode(method, &mut params) {
                    Ok(request) => {
                        let method = request.method();
                        if method == Method::SyncDurable && !self.has_journal() {
                            self.stats.faults += 1;
                            self.respond(msgid, Err(no_journal()), false);
                            return Step::Continue;
                        }
                        self.progress.executing = Some(Executing::Request { msgid, method });
                        let stamp = self.session.as_ref().map(|(id, session)| session.stamp(*id));
                        Step::Execute(request, stamp)
                    }
                    Err(fault) => {
                        if self.count_malformed(Some(msgid), now) {
                            self.respond(msgid, Err(fault), false);
                        }
                        Step::Continue
                    }
                }
            }
            Some(Message::Notification { .. }) if self.handshake.refusal.is_some() => {
                // A notification has no response.
                self.closing = self.handshake.refusal.take();
                Step::Wait
            }
            Some(Message::Notification { method, mut params }) => {
                if checksum::is_name(method) {
                    // It may be a check that has swallowed the message behind it, which would then never be answered.
                    self.end_corrupted("a check is not as checks are");
                    return Step::Wait;
                }
                if is_first {
                    self.handshake.phase = Phase::Plain;
                }
                if self.session.is_some()
                    && (method == hello::ACK.as_bytes() || method == hello::END.as_bytes())
                {
                    return self.handle_session(method, params);
                }
                match self.decode(method, &mut params) {
                    Ok(request) if request.method().is_ignored_as_notification() => {
                        self.stats.ignored_questions += 1;
                        Step::Continue
                    }
                    Ok(request) => {
                        self.progress.executing = Some(Executing::Notification);
                        Step::Execute(request, None)
                    }
                    Err(_) => {
                        self.stats.unheard_faults += 1;
                        self.count_malformed(None, now);
                        Step::Continue
                    }
                }
            }
        }
    }

    /// Counts a malformed request. Returns false, and ends the connection, if there were too many.
    pub(super) fn count_malformed(&mut self, msgid: Option<u32>, now: Instant) -> bool {
        self.stats.malformed += 1;
        let is_borne = self.receiving.malformed.take(now);
        if !is_borne {
            let text = format!(
                "more than {} malformed requests and {} a second",
                limits::MALFORMED_BURST,
                limits::MALFORMED_PER_SECOND
            );
            self.end(msgid, Fault::new(Code::TooManyErrors, text));
        }
        is_borne
    }
}
