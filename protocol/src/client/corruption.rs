//! What a client makes of bytes that were altered on their way.

use super::{Connection, Ended, violation};
use crate::limits;
use std::time::{Duration, Instant};

impl Connection {
    /// Whether each message of either side has a check in front: [`Hello::checks`](crate::Hello::checks) was said.
    pub fn is_checked(&self) -> bool {
        self.session.hello.checks
    }

    /// It cannot be believed, and another connection may be better.
    #[cold]
    pub(super) fn altered(&self, what: &str) -> Ended {
        if let Some(stranger) = self.stranger() {
            return stranger;
        }
        Ended::Corrupted(match &self.session.welcome {
            Some(_) => format!("what the display said was altered on its way: {what}"),
            None => format!(
                "what the display answered was altered on its way, or the display does not know checksums and is to be greeted \
                 without: {what}"
            ),
        })
    }

    /// The bytes are no message. With checks that is another's doing; without, nobody knows whose.
    #[cold]
    pub(super) fn unreadable(&self, what: &str) -> Ended {
        if self.receive.arriving.is_known() {
            return self.altered(what);
        }
        self.stranger().unwrap_or_else(|| violation(what))
    }

    /// What came before the greeting was answered shows that the other side is no display.
    pub(super) fn stranger(&self) -> Option<Ended> {
        if self.out.is_open() { None } else { self.receive.first.stranger().map(Ended::Stranger) }
    }

    /// All that came was taken, or there is a whole message.
    #[inline]
    pub(super) fn note_message(&mut self, is_whole: bool, now: Instant) {
        if self.session.hello.checks {
            self.receive.message_began = if is_whole || self.receive.inbox.len() == 0 {
                None
            } else {
                self.receive.message_began.or(Some(now))
            };
        }
    }

    /// Ends the connection if the deadline of [`Connection::poll_timeout`] has passed: [`Connection::handle_input`] then says
    /// so. Whatever has come is to be handed in before.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.receive.ended.is_none() && self.poll_timeout().is_some_and(|at| at <= now) {
            let (bytes, grace) = (self.receive.inbox.len(), limits::DEAD_NETWORK.as_secs());
            let text = format!(
                "a message was begun and not finished: {bytes} bytes came within {grace} s and a second per {} KiB",
                limits::MESSAGE_RATE >> 10
            );
            self.receive.ended = Some(self.altered(&text));
        }
    }

    /// When [`Connection::handle_timeout`] is to be called. Where there are checks, a message that does not come to its end may
    /// have been altered to seem longer than it is, and would take all that follows for its own.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let allowed = Duration::from_millis(self.receive.inbox.len() as u64 * 1000 / limits::MESSAGE_RATE);
        self.receive.message_began?.checked_add(limits::DEAD_NETWORK + allowed)
    }
}
