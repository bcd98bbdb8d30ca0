//! Sessions on a connection: which request is executed, what is sent again, and how a session starts here and leaves.

use super::answer::Executing;
use super::choice::Awaiting;
use super::{Config, Connection, ConnectionState, Step};
use crate::codec::checksum;
use crate::codec::envelope::Message;
use crate::codec::reader::Reader;
use crate::fault::{Code, Fault};
use crate::hello;
use crate::session::{self, Id, Misuse, Resume, Session, Standing, Verdict};

impl Connection {
    /// Takes the session from the connection, for another connection or to wait for its client. No further request is executed
    /// here. Returns `None` in the middle of a request, when it is unknown whether the request was executed.
    pub fn take_session(&mut self) -> Option<(Id, Session)> {
        self.state.session.as_ref()?;
        let text = "the session goes on on another connection";
        // The goodbye reports progress, which may still reach the client, so the session has to record it.
        self.state.end(None, Fault::new(Code::Superseded, text));
        let (id, mut session) = self.state.session.take()?;
        session.interrupt();
        // A request that changes nothing and is not answered yet is sent again.
        let is_between = match self.state.progress.executing {
            None => true,
            Some(Executing::Request { method, .. }) => method.may_be_repeated(),
            Some(Executing::Notification) => false,
        };
        is_between.then_some((id, session))
    }
}

impl ConnectionState {
    /// Checks, after `hello`, that this request is the next to be executed. If not, returns the step to take instead.
    #[inline]
    pub(super) fn check_number<'a>(&mut self, msgid: u32, message: &[u8]) -> Option<Step<'a>> {
        let Some((_, session)) = &mut self.session else {
            let expected = self.progress.applied.wrapping_add(1) as u32;
            if msgid == expected {
                return None;
            }
            let text = format!(
                "request {msgid} came where {expected} was due: after hello, requests are numbered 1, 2, 3, ..."
            );
            self.end(None, Fault::new(Code::Malformed, text));
            return Some(Step::Wait);
        };
        let number = session::number_near(self.progress.applied, msgid);
        match session.handle_request(number, message) {
            Ok(Verdict::Execute) => None,
            other => Some(self.pass_over(msgid, number, other)),
        }
    }

    /// Handles a request of a session that is not the next to be executed.
    #[cold]
    fn pass_over<'a>(&mut self, msgid: u32, number: u64, verdict: Result<Verdict, Misuse>) -> Step<'a> {
        let Some((_, session)) = &self.session else { return Step::Continue };
        if number <= session.durable_through() {
            // What the response reports may not be on the disk yet.
            self.close_gate();
        }
        let Some((_, session)) = &self.session else { return Step::Continue };
        match verdict {
            // Without a kept response the request succeeded, which progress reports.
            Ok(Verdict::Again) => {
                let checksum = self.receiving.verifier.agreed();
                self.progress.must_report |=
                    !session.write_response(number, checksum, &mut self.sending.out.bytes);
            }
            // Requests are executed one at a time. The next is examined when the last is answered.
            Ok(Verdict::Attach | Verdict::Execute) => {}
            Ok(Verdict::Stale) => {
                let text = format!("request {number} came again, and its reply has been acknowledged");
                self.write_fault(msgid, &Fault::new(Code::Stale, text), true);
            }
            Err(misuse) => {
                self.end(None, Fault::new(Code::Malformed, misuse.to_string()));
                return Step::Wait;
            }
        }
        Step::Continue
    }

    /// Handles the notifications of a session: `ack` and `end`.
    #[cold]
    pub(super) fn handle_session<'a>(&mut self, method: &[u8], mut params: Reader<'_>) -> Step<'a> {
        let Some((_, session)) = &mut self.session else { return Step::Continue };
        if method == hello::END.as_bytes() {
            session.end();
            return Step::Continue;
        }
        let ack = match params.array() {
            Ok(1..) => params.int().ok().and_then(|ack| u64::try_from(ack).ok()),
            _ => None,
        };
        let wrong = match ack.map(|ack| session.acknowledge(ack)) {
            Some(Ok(())) => return Step::Continue,
            Some(Err(misuse)) => misuse.to_string(),
            None => "ack takes one parameter, the number up to which every reply has arrived".to_owned(),
        };
        self.end(None, Fault::new(Code::Malformed, wrong));
        Step::Wait
    }

    /// Handles the first message after the welcome of a session, which has to be `confirm`. Any other message may be a late
    /// copy from an older connection.
    #[cold]
    pub(super) fn handle_unconfirmed<'a>(&mut self, said: &Message<'_>) -> Step<'a> {
        let confirmed = match said {
            Message::Notification { method, params } if *method == hello::CONFIRM.as_bytes() => {
                let mut params = *params;
                params.array().ok().and_then(|_| params.int().ok())
            }
            Message::Notification { method, .. } if checksum::is_name(method) => {
                self.end_corrupted("a check is not as checks are");
                return Step::Wait;
            }
            _ => None,
        };
        let wanted = self.handshake.unconfirmed.map(|nonce| i128::from(nonce.get()));
        if confirmed.is_some() && confirmed.map(i128::from) == wanted {
            self.handshake.unconfirmed = None;
            return Step::Continue;
        }
        let text = "what came after the welcome is not `confirm` with its nonce: it was not said to this connection, and \
                    nothing of it is executed";
        self.end(None, Fault::new(Code::Unconfirmed, text));
        Step::Wait
    }

    pub(super) fn resume(&mut self, found: &mut Option<Session>) {
        let Some((msgid, asked)) = self.take_resuming() else { return };
        let Some(Config { instance: Some((instance, _)), nonce, .. }) = &self.handshake.config else {
            return;
        };
        if self.closing.is_some() {
            return;
        }
        let (instance, nonce) = (*instance, nonce.filter(|_| asked.confirms));
        match Session::enter(found, &asked, instance, nonce) {
            Ok((session, standing)) => {
                self.handshake.unconfirmed = nonce;
                // Otherwise a crash would lose the beginning of the session and all that follows without notice.
                let is_promised = self.has_journal() && standing != Standing::Resumed;
                if is_promised || session.durable_through() > asked.ack {
                    self.close_gate();
                }
                (self.progress.applied, self.progress.reported) =
                    (session.filter().applied(), session.filter().ack());
                self.handshake.standing = Some(standing);
                self.welcome(msgid, Some(standing));
                // Responses that the client has not acknowledged, in their order.
                session.write_responses(self.receiving.verifier.agreed(), &mut self.sending.out.bytes);
                self.session = Some((asked.session, session));
            }
            Err(fault) => self.refuse(msgid, fault),
        }
    }

    pub(super) fn overtaken(&mut self, latest: u64) {
        let Some((msgid, asked)) = self.take_resuming() else { return };
        if self.closing.is_none() {
            self.refuse(msgid, asked.overtaken(latest));
        }
    }

    fn take_resuming(&mut self) -> Option<(u32, Resume)> {
        match std::mem::take(&mut self.handshake.awaiting) {
            Awaiting::Session(msgid, asked) => Some((msgid, asked)),
            other => {
                self.handshake.awaiting = other;
                None
            }
        }
    }
}
