//! How a connection is greeted, and how a session goes on on it.

use super::{Awaiting, Config, Step, Talk};
use crate::codec::envelope::{self, Message};
use crate::codec::reader::Reader;
use crate::fault::{Code, Fault};
use crate::hello::{self, Hello, Welcome};
use crate::limits;
use crate::session::{self, Misuse, Nonce, Resume, Session, Standing, Verdict};
use std::time::Instant;

impl Talk {
    /// After `hello`: whether this request is the next to be executed. If not, what is done instead.
    pub(super) fn check_number<'a>(&mut self, msgid: u32, message: &[u8]) -> Option<Step<'a>> {
        let Some((_, session)) = &mut self.session else {
            let expected = self.applied.wrapping_add(1) as u32;
            if msgid == expected {
                return None;
            }
            let text = format!(
                "request {msgid} came where {expected} was due: after hello, requests are numbered 1, 2, 3, ..."
            );
            self.end(Some(msgid), Fault::new(Code::Malformed, text));
            return Some(Step::Wait);
        };
        let number = session::number_near(self.applied, msgid);
        match session.handle_request(number, message) {
            Ok(Verdict::Execute) => None,
            other => Some(self.pass_over(msgid, number, other)),
        }
    }

    /// What is done about a request of a session that is not the next.
    #[cold]
    fn pass_over<'a>(&mut self, msgid: u32, number: u64, verdict: Result<Verdict, Misuse>) -> Step<'a> {
        let Some((_, session)) = &self.session else { return Step::Continue };
        if number <= session.vouched_to() {
            // What the answer says may not be on the disk yet.
            self.hold_back();
        }
        let Some((_, session)) = &self.session else { return Step::Continue };
        match verdict {
            // It succeeded, if there is none, which is said as it is of any other: all up to the last are executed.
            Ok(Verdict::Again) => {
                let is_checked = self.arriving.is_agreed();
                self.must_report |= !session.write_response(number, is_checked, &mut self.out.bytes);
            }
            // Requests are executed one at a time, and the next is looked at when the last is answered.
            Ok(Verdict::Attach | Verdict::Execute) => {}
            Ok(Verdict::Stale) => {
                let text = format!("request {number} came again, and its reply has been acknowledged");
                self.write_fault(msgid, &Fault::new(Code::Stale, text), true);
            }
            Err(misuse) => {
                self.end(Some(msgid), Fault::new(Code::Malformed, misuse.to_string()));
                return Step::Wait;
            }
        }
        Step::Continue
    }

    /// What a client tells of its session.
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

    /// What a client says first in its session: that it has heard the welcome. Anything else may be a copy of what was said on an
    /// older connection.
    #[cold]
    pub(super) fn handle_unconfirmed<'a>(&mut self, said: &Message<'_>) -> Step<'a> {
        let confirmed = match said {
            Message::Notification { method, params } if *method == hello::CONFIRM.as_bytes() => {
                let mut params = *params;
                params.array().ok().filter(|&count| count > 0).and_then(|_| params.int().ok())
            }
            Message::Notification { method, .. } if *method == hello::CHECK.as_bytes() => {
                self.end_altered("a check is not as checks are");
                return Step::Wait;
            }
            _ => None,
        };
        let wanted = self.unconfirmed.map(|nonce| i128::from(nonce.get()));
        if confirmed.is_some() && confirmed.map(i128::from) == wanted {
            self.unconfirmed = None;
            return Step::Continue;
        }
        let text = "what came after the welcome is not `confirm` with its nonce: it was not said to this connection, and \
                    nothing of it is executed";
        self.end(None, Fault::new(Code::Unconfirmed, text));
        Step::Wait
    }

    /// Ends a plain connection on which the client greets after all. What came first may have been the check of that greeting, altered
    /// so that it was none; and what follows may be the calls of a session, copied from an older connection.
    #[cold]
    pub(super) fn end_late_hello<'a>(&mut self, msgid: u32) -> Step<'a> {
        let text = "hello may only be the first message of a connection: connect anew to say it";
        self.end(Some(msgid), Fault::new(Code::Malformed, text));
        Step::Wait
    }

    /// Ends a connection for which there is no place. A client that comes back with its session is told nothing: it tries again
    /// when a connection only ends, and may give up when it is refused.
    #[cold]
    pub(super) fn turn_away<'a>(
        &mut self,
        msgid: u32,
        method: &[u8],
        params: &[u8],
        fault: Fault,
    ) -> Step<'a> {
        if method == hello::HELLO.as_bytes() {
            let asked: Result<(Hello,), _> = rmp_serde::from_slice(params);
            if self.arriving.was_checked() {
                self.arriving.agree();
            }
            if asked.is_ok_and(|(hello,)| hello.attempt <= 1) {
                self.write_fault(msgid, &fault, true);
            }
        } else {
            self.write_fault(msgid, &fault, false);
        }
        self.closing = Some(fault);
        Step::Wait
    }

    #[cold]
    pub(super) fn greet<'a>(&'a mut self, msgid: u32, params: &[u8], now: Instant) -> Step<'a> {
        let asked: Result<(Hello,), _> = rmp_serde::from_slice(params);
        match (&asked, self.arriving.was_checked()) {
            (Ok((Hello { checks: true, .. },)), false) => {
                self.end_altered("a hello that promises checks came without one");
                return Step::Wait;
            }
            // What the second wants nobody knows. A refusal without a check would be taken for one that was altered.
            (Ok((Hello { checks: true, .. },)) | Err(_), true) => self.arriving.agree(),
            _ => {}
        }
        let fault = match asked {
            Ok((hello,)) if hello.version == limits::VERSION => {
                return self.ask_for_display(msgid, hello, now);
            }
            Ok((hello,)) => {
                let text = format!(
                    "this display speaks version {0} to {0}, not {1}",
                    limits::VERSION,
                    hello.version
                );
                Fault::new(Code::UnsupportedVersion, text)
            }
            Err(_) => Fault::invalid(
                "hello takes one parameter, a map with the number `version` and what else SPEC.md lists",
            ),
        };
        self.refuse_hello(msgid, &fault, now)
    }

    pub(super) fn welcome(&mut self, msgid: u32, standing: Option<Standing>) {
        let Some(config) = &self.config else { return };
        let mut welcome = Welcome::new(&*config.server, config.size, config.message);
        if let Some((instance, boot)) = config.instance {
            (welcome.instance, welcome.boot) = (Some(instance), Some(boot));
        }
        welcome.display = self.is_named.then(|| config.display.to_string());
        (welcome.session, welcome.applied) = (standing, standing.map(|_| self.applied));
        welcome.nonce = self.unconfirmed.map(Nonce::get);
        self.say(|out| {
            envelope::write_response_head(out, msgid);
            out.push(0xc0);
            envelope::write_map(out, &welcome);
        });
    }

    pub(super) fn resume(&mut self, found: &mut Option<Session>) {
        let Some((msgid, asked)) = self.take_resuming() else { return };
        let Some(Config { instance: Some((instance, _)), nonce, .. }) = &self.config else { return };
        if self.closing.is_some() {
            return;
        }
        let (instance, nonce) = (*instance, nonce.filter(|_| asked.confirms));
        match Session::enter(found, &asked, instance, nonce) {
            Ok((session, standing)) => {
                self.unconfirmed = nonce;
                // What follows the beginning of a session would be lost with it, and nobody would know.
                let is_promised = self.has_journal() && standing != Standing::Resumed;
                if is_promised || session.vouched_to() > asked.ack {
                    self.hold_back();
                }
                (self.applied, self.reported) = (session.filter().applied(), session.filter().ack());
                self.standing = Some(standing);
                self.welcome(msgid, Some(standing));
                // What it had been told that did not arrive, in the order in which it was.
                session.write_responses(self.arriving.is_agreed(), &mut self.out.bytes);
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
        match std::mem::take(&mut self.awaiting) {
            Awaiting::Session(msgid, asked) => Some((msgid, asked)),
            other => {
                self.awaiting = other;
                None
            }
        }
    }

    fn refuse(&mut self, msgid: u32, fault: Fault) {
        self.write_fault(msgid, &fault, true);
        self.end(None, fault);
    }
}
