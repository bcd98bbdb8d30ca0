//! Bytes to send, and the deadlines of a peer that does not read them or does not finish its message.

use super::durability_gate::DurabilityGate;
use super::{Connection, ConnectionState};
use crate::codec::envelope::Head;
use crate::codec::message_decoder::MessageDecoder;
use crate::codec::output_buffer::OutputBuffer;
use crate::fault::{Code, Fault};
use crate::limits;
use std::time::{Duration, Instant};

/// Bytes that are not sent yet.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) out: OutputBuffer,
    /// Holds back unsent bytes until the disk has what they report.
    pub(super) gate: Option<DurabilityGate>,
    /// Bytes that are missing of an image that is answered in pieces. Nothing else may be written before them.
    pub(super) owed: usize,
    /// When the peer last accepted bytes, while some are unsent.
    pub(super) unsent_since: Option<Instant>,
}

impl Connection {
    /// Records that `n` bytes of [`Connection::poll_transmit`] have been sent.
    pub fn handle_transmitted(&mut self, n: usize, now: Instant) {
        if n == 0 {
            return;
        }
        let state = &mut self.state;
        let was_full = state.is_full();
        state.sending.out.advance(n, limits::IDLE_BUFFER);
        if let Some(gate) = &mut state.sending.gate {
            gate.advance(n);
        }
        state.sending.unsent_since = (!state.sendable().is_empty()).then_some(now);
        if was_full && !state.is_full() {
            // No input was accepted meanwhile, so the time does not count against the peer.
            state.receiving.message_began = state.receiving.message_began.map(|_| now);
        }
    }

    /// Closes the connection if a deadline of [`Connection::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.state.closing.is_some() {
            return;
        }
        if self.stall_deadline().is_some_and(|at| at <= now) {
            let message = format!(
                "the client has not read its answers for {} s, {} bytes wait",
                limits::STALLED.as_secs(),
                self.state.sending.out.unsent().len()
            );
            self.state.end(None, Fault::new(Code::TooSlow, message));
        } else if self.message_deadline().is_some_and(|at| at <= now) {
            let message = format!(
                "a message was begun and not finished: {} bytes came within {} s and a second per {} KiB",
                self.decoder.len(),
                limits::MESSAGE_GRACE.as_secs(),
                limits::MESSAGE_RATE >> 10
            );
            let msgid = Head::read(self.decoder.started()).msgid;
            self.state.end_unreadable(msgid, Fault::new(Code::TooSlow, message));
        }
    }

    /// Returns the bytes to send. Call it when everything that was read has been executed: this writes one acknowledgement for
    /// all of it. Bytes that wait for the disk are not included: see [`Connection::mark`].
    pub fn poll_transmit(&mut self, now: Instant) -> &[u8] {
        let state = &mut self.state;
        if state.sending.gate.is_none() {
            state.report();
        }
        if state.closing.is_some() {
            // No more input is accepted, so an incomplete message is of no use.
            self.decoder = MessageDecoder::default();
        }
        // Bytes that wait for the disk do not count against the peer.
        if !state.sendable().is_empty() {
            state.sending.unsent_since.get_or_insert(now);
        }
        state.sendable()
    }

    /// Returns when to call [`Connection::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.state.closing.is_some() {
            return None;
        }
        [self.stall_deadline(), self.message_deadline()].into_iter().flatten().min()
    }

    fn stall_deadline(&self) -> Option<Instant> {
        self.state.sending.unsent_since?.checked_add(limits::STALLED)
    }

    fn message_deadline(&self) -> Option<Instant> {
        if self.state.is_full() || self.decoder.len() == 0 {
            return None;
        }
        let allowed = Duration::from_millis(self.decoder.len() as u64 * 1000 / limits::MESSAGE_RATE);
        self.state.receiving.message_began?.checked_add(limits::MESSAGE_GRACE + allowed)
    }
}

impl ConnectionState {
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.sending.owed > 0 || self.sending.out.unsent().len() >= limits::UNSENT
    }

    /// Returns the bytes that may be sent.
    #[inline]
    pub(super) fn sendable(&self) -> &[u8] {
        let unsent = self.sending.out.unsent();
        match &self.sending.gate {
            None => unsent,
            Some(gate) => &unsent[..gate.released],
        }
    }
}
