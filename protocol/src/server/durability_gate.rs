//! Holds output back until the disk has what the output reports.
//!
//! A display with a journal continues to execute while the journal is synced, so output is released in two steps.
//! [`Connection::mark`] records the end of the unsent bytes. When everything that was executed until then is on the disk,
//! [`Connection::release`] releases the bytes up to the mark. Later output waits for the next mark. A client that sends without
//! a pause is answered once per sync.

use super::{Connection, ConnectionState};
use crate::fault::{Code, Fault};

/// Which unsent bytes are held back. A connection without such bytes has no gate.
#[derive(Debug, Default)]
pub(super) struct DurabilityGate {
    /// How many of the unsent bytes may be sent; always whole messages.
    pub(super) released: usize,
    /// How many may be sent after the sync that is being waited for.
    marked: Option<usize>,
    /// Output behind the mark has to wait, too.
    is_wanted: bool,
    /// All output waits, on this connection always.
    is_lasting: bool,
}

impl DurabilityGate {
    /// Creates the gate of a client that asked for `durable`. The first `released` unsent bytes may be sent.
    pub(super) fn lasting(released: usize) -> DurabilityGate {
        DurabilityGate { released, is_lasting: true, ..DurabilityGate::default() }
    }

    pub(super) fn advance(&mut self, n: usize) {
        self.released -= n;
        self.marked = self.marked.map(|marked| marked - n);
    }
}

impl Connection {
    /// Returns whether the client asked for `durable`: it is told only of what is on the disk.
    pub fn is_durable(&self) -> bool {
        self.state.sending.gate.as_ref().is_some_and(|gate| gate.is_lasting)
    }

    /// Returns whether any output waits to be released, marked or not.
    pub fn is_held(&self) -> bool {
        let state = &self.state;
        state
            .sending
            .gate
            .as_ref()
            .is_some_and(|gate| gate.released < state.sending.out.unsent().len() || state.has_to_report())
    }

    /// Marks the end of the output, progress included. If this returns true, call [`Connection::release`] when everything that
    /// was executed until now is on the disk. If false, nothing new waits, or the last mark is not released yet.
    pub fn mark(&mut self) -> bool {
        let state = &mut self.state;
        if state.sending.gate.as_ref().is_none_or(|gate| gate.marked.is_some()) {
            return false;
        }
        state.report();
        let end = state.sending.out.unsent().len();
        let Some(gate) = &mut state.sending.gate else { return false };
        if end > gate.released {
            gate.marked = Some(end);
        }
        gate.is_wanted = false;
        end > gate.released
    }

    /// Releases the output up to the mark.
    pub fn release(&mut self) {
        let Some(gate) = &mut self.state.sending.gate else { return };
        let Some(marked) = gate.marked.take() else { return };
        gate.released = marked;
        if !gate.is_wanted && !gate.is_lasting {
            self.state.sending.gate = None;
        }
    }

    /// Discards the output that is held back, since the disk has failed, and reports nothing that was executed since. Call it
    /// before [`Connection::close`], so that the reason can be sent.
    pub fn forget_held(&mut self) {
        let state = &mut self.state;
        if let Some(gate) = state.sending.gate.take() {
            state.sending.out.truncate(gate.released);
            (state.progress.reported, state.progress.must_report) = (state.progress.applied, false);
        }
    }
}

impl ConnectionState {
    /// Holds back all output from here on.
    #[cold]
    pub(super) fn close_gate(&mut self) {
        if self.sending.gate.is_none() {
            // Requests that were executed before need not wait.
            self.report();
        }
        let released = self.sending.out.unsent().len();
        self.sending
            .gate
            .get_or_insert_with(|| DurabilityGate { released, ..DurabilityGate::default() })
            .is_wanted = true;
    }
}

pub(super) fn no_journal() -> Fault {
    let text = "this display keeps no journal, so nothing on it is durable: start it with `display-server --journal DIR`";
    Fault::new(Code::NoJournal, text)
}
