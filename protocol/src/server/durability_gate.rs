//! What was said and waits for the disk.
//!
//! Whoever keeps a journal executes on while it is synced, so it is asked in two steps: [`Connection::mark`] notes how far
//! the bytes to be sent are, and when everything that was executed until then is on the disk, [`Connection::release`] lets
//! exactly those go. What is said in between waits for the next mark. A client that sends without a pause is answered once
//! a sync, and never has to wait for a moment of silence.

use super::{Connection, ConnectionState};
use crate::fault::{Code, Fault};

/// Which bytes wait. Only a connection on which some do has one.
#[derive(Debug, Default)]
pub(super) struct DurabilityGate {
    /// So many of the unsent bytes may be sent, whole messages.
    pub(super) released: usize,
    /// So many when the disk has come after, once that is being waited for.
    marked: Option<usize>,
    /// Something behind the mark has to wait, too.
    is_wanted: bool,
    /// Everything has to, always.
    is_lasting: bool,
}

impl DurabilityGate {
    /// Of a client that has said `durable`, behind so many unsent bytes.
    pub(super) fn lasting(released: usize) -> DurabilityGate {
        DurabilityGate { released, is_lasting: true, ..DurabilityGate::default() }
    }

    pub(super) fn advance(&mut self, n: usize) {
        self.released -= n;
        self.marked = self.marked.map(|marked| marked - n);
    }
}

impl Connection {
    /// Whether the client has asked to be told only what is durable.
    pub fn is_durable(&self) -> bool {
        self.state.sending.gate.as_ref().is_some_and(|gate| gate.is_lasting)
    }

    /// Whether anything waits to be released, marked or not.
    pub fn is_held(&self) -> bool {
        let state = &self.state;
        state
            .sending
            .gate
            .as_ref()
            .is_some_and(|gate| gate.released < state.sending.out.unsent().len() || state.has_to_report())
    }

    /// Notes how far that is what has been said, progress included. If it answers yes, [`Connection::release`] is to be called
    /// when everything that was executed until now is on the disk. If no, nothing new waits, or what was marked last does.
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

    /// What was marked may be sent.
    pub fn release(&mut self) {
        let Some(gate) = &mut self.state.sending.gate else { return };
        let Some(marked) = gate.marked.take() else { return };
        gate.released = marked;
        if !gate.is_wanted && !gate.is_lasting {
            self.state.sending.gate = None;
        }
    }

    /// The disk has failed: what waits is never said, and nothing executed since is reported. Before
    /// [`Connection::close`], whose reason can then be sent.
    pub fn forget_held(&mut self) {
        let state = &mut self.state;
        if let Some(gate) = state.sending.gate.take() {
            state.sending.out.truncate(gate.released);
            (state.progress.reported, state.progress.must_report) = (state.progress.applied, false);
        }
    }
}

impl ConnectionState {
    /// What is said from here on waits.
    #[cold]
    pub(super) fn close_gate(&mut self) {
        if self.sending.gate.is_none() {
            // What was done before need not wait as well.
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
