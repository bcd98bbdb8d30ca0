//! Handles bytes that were altered in transit.

use super::ended::violation;
use super::{Connection, Ended};
use crate::limits;
use std::time::{Duration, Instant};

impl Connection {
    /// Returns whether each message of either side has a check in front: see [`Hello::checks`](crate::Hello::checks).
    pub fn is_checked(&self) -> bool {
        self.session.checksum.is_some()
    }

    /// Returns that what came is not believed, and that another connection may be better.
    #[cold]
    pub(super) fn corrupted(&self, what: &str) -> Ended {
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

    /// Returns why bytes that are no message end the connection. With checks they were altered in transit; without, the cause is unknown.
    #[cold]
    pub(super) fn unreadable(&self, what: &str) -> Ended {
        if self.receive.verifier.is_known() {
            return self.corrupted(what);
        }
        self.stranger().unwrap_or_else(|| violation(what))
    }

    /// Returns what the other side is, if what came before the answer to `hello` shows that it is no display.
    pub(super) fn stranger(&self) -> Option<Ended> {
        if self.out.is_open() { None } else { self.receive.first.stranger().map(Ended::Stranger) }
    }

    /// Notes that a message is whole, or that all that came was taken.
    #[inline]
    pub(super) fn note_message(&mut self, is_whole: bool, now: Instant) {
        if self.session.checksum.is_some() {
            self.receive.message_began = if is_whole || self.receive.decoder.len() == 0 {
                None
            } else {
                self.receive.message_began.or(Some(now))
            };
        }
    }

    /// Ends the connection if the deadline of [`Connection::poll_timeout`] has passed: [`Connection::handle_input`] then returns that.
    /// What has come has to be handled before.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.receive.ended.is_none() && self.poll_timeout().is_some_and(|at| at <= now) {
            let (bytes, grace) = (self.receive.decoder.len(), limits::DEAD_NETWORK.as_secs());
            let text = format!(
                "a message was begun and not finished: {bytes} bytes came within {grace} s and a second per {} KiB",
                limits::MESSAGE_RATE >> 10
            );
            self.receive.ended = Some(self.corrupted(&text));
        }
    }

    /// Returns when [`Connection::handle_timeout`] is to be called. With checks, a message that does not come to its end may have been
    /// altered to seem longer than it is, and would include all that follows.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let allowed = Duration::from_millis(self.receive.decoder.len() as u64 * 1000 / limits::MESSAGE_RATE);
        self.receive.message_began?.checked_add(limits::DEAD_NETWORK + allowed)
    }
}
