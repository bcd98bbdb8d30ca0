//! The handshake: the first message, `hello` and its welcome, and the refusal of either.

use super::choice::Awaiting;
use super::{Config, ConnectionState, Step};
use crate::codec::envelope;
use crate::fault::{Code, Fault};
use crate::hello::{self, Hello, Welcome};
use crate::limits;
use crate::session::{Nonce, Standing};
use std::time::Instant;

/// How far the handshake is, and what it has settled.
#[derive(Debug)]
pub(super) struct Handshake {
    pub(super) phase: Phase,
    /// The configuration of the display, once a display is chosen.
    pub(super) config: Option<Config>,
    /// The caller chooses the display.
    pub(super) is_open: bool,
    /// Bytes that one message may have.
    pub(super) message: usize,
    /// The client asked for the display by its name.
    pub(super) is_named: bool,
    /// What the caller has to answer. No input is accepted meanwhile.
    pub(super) awaiting: Awaiting,
    /// Why the first message is refused, whatever it is.
    pub(super) refusal: Option<Fault>,
    /// The nonce that the client has to confirm before any other message is accepted.
    pub(super) unconfirmed: Option<Nonce>,
    /// How the session stood when this connection took it up.
    pub(super) standing: Option<Standing>,
    /// What the client calls itself.
    pub(super) client: Option<String>,
}

/// How far the handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Before the first message.
    First,
    /// Without `hello`: each request gets a response, and the server sends nothing unasked.
    Plain,
    /// After `hello`: consecutive numbers, cumulative progress.
    Greeted,
}

impl Handshake {
    /// Returns the state before the first message, which may have up to `message` bytes.
    pub(super) fn new(message: usize) -> Handshake {
        Handshake {
            phase: Phase::First,
            config: None,
            is_open: true,
            message,
            is_named: false,
            awaiting: Awaiting::Nothing,
            refusal: None,
            unconfirmed: None,
            standing: None,
            client: None,
        }
    }
}

impl ConnectionState {
    #[cold]
    pub(super) fn greet<'a>(&'a mut self, msgid: u32, params: &[u8], now: Instant) -> Step<'a> {
        let asked: Result<(Hello,), _> = rmp_serde::from_slice(params);
        match (&asked, self.receiving.verifier.was_checked()) {
            (Ok((Hello { checks: true, .. },)), false) => {
                self.end_corrupted("a hello that promises checks came without one");
                return Step::Wait;
            }
            // The second hello could not be parsed but arrived with a check, so the refusal has one too: without it the client
            // would take the refusal for a corrupted one.
            (Ok((Hello { checks: true, .. },)) | Err(_), true) => self.receiving.verifier.agree(),
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
                "hello takes one parameter, a map with the number `version` and what else hello.md lists",
            ),
        };
        self.refuse_hello(msgid, &fault, now)
    }

    /// Ends a plain connection on which the client sends `hello` late. The first message may have been the check of that
    /// `hello`, corrupted so that it was not recognised, and the following messages may be calls of a session.
    #[cold]
    pub(super) fn end_late_hello<'a>(&mut self, msgid: u32) -> Step<'a> {
        let text = "hello may only be the first message of a connection: connect anew to say it";
        self.end(Some(msgid), Fault::new(Code::Malformed, text));
        Step::Wait
    }

    /// Ends a connection for which the server has no capacity. A client that returns with its session gets no response: it
    /// retries when a connection just ends, and might give up when it is refused.
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
            if self.receiving.verifier.was_checked() {
                self.receiving.verifier.agree();
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

    pub(super) fn welcome(&mut self, msgid: u32, standing: Option<Standing>) {
        let Some(config) = &self.handshake.config else { return };
        let mut welcome = Welcome::new(&*config.server, config.size, config.message);
        if let Some((instance, boot)) = config.instance {
            (welcome.instance, welcome.boot) = (Some(instance), Some(boot));
        }
        welcome.display = self.handshake.is_named.then(|| config.display.to_string());
        (welcome.session, welcome.applied) = (standing, standing.map(|_| self.progress.applied));
        welcome.nonce = self.handshake.unconfirmed.map(Nonce::get);
        self.say(|out| {
            envelope::write_response_head(out, msgid);
            out.push(0xc0);
            envelope::write_map(out, &welcome);
        });
    }

    pub(super) fn refuse(&mut self, msgid: u32, fault: Fault) {
        self.write_fault(msgid, &fault, true);
        self.end(None, fault);
    }
}
