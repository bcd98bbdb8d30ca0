//! What was said and waits for the disk.
//!
//! Whoever keeps a journal executes on while it is synced, so it is asked in two steps: [`Connection::mark`] notes how far
//! the bytes to be sent are, and when everything that was executed until then is on the disk, [`Connection::release`] lets
//! exactly those go. What is said in between waits for the next mark. A client that sends without a pause is answered once
//! a sync, and never has to wait for a moment of silence.

use super::{Connection, Talk};
use crate::fault::{Code, Fault};

/// Which bytes wait. Only a connection on which some do has one.
#[derive(Debug, Default)]
pub(super) struct Hold {
    /// So many of the unsent bytes may be sent, whole messages.
    released: usize,
    /// So many when the disk has come after, once that is being waited for.
    marked: Option<usize>,
    /// Something behind the mark has to wait, too.
    is_wanted: bool,
    /// Everything has to, always.
    is_lasting: bool,
}

impl Hold {
    /// Of a client that has said `durable`, behind so many unsent bytes.
    pub(super) fn lasting(released: usize) -> Hold {
        Hold { released, is_lasting: true, ..Hold::default() }
    }

    pub(super) fn advance(&mut self, n: usize) {
        self.released -= n;
        self.marked = self.marked.map(|marked| marked - n);
    }
}

impl Connection {
    /// Whether the client has asked to be told only what is durable.
    pub fn is_durable(&self) -> bool {
        self.talk.hold.as_ref().is_some_and(|hold| hold.is_lasting)
    }

    /// Whether anything waits to be released, marked or not.
    pub fn is_held(&self) -> bool {
        let talk = &self.talk;
        talk.hold.as_ref().is_some_and(|hold| hold.released < talk.out.unsent().len() || talk.has_to_report())
    }

    /// Notes how far that is what has been said, progress included. If it answers yes, [`Connection::release`] is to be called
    /// when everything that was executed until now is on the disk. If no, nothing new waits, or what was marked last does.
    pub fn mark(&mut self) -> bool {
        let talk = &mut self.talk;
        if talk.hold.as_ref().is_none_or(|hold| hold.marked.is_some()) {
            return false;
        }
        talk.report();
        let end = talk.out.unsent().len();
        let Some(hold) = &mut talk.hold else { return false };
        if end > hold.released {
            hold.marked = Some(end);
        }
        hold.is_wanted = false;
        end > hold.released
    }

    /// What was marked may be sent.
    pub fn release(&mut self) {
        let Some(hold) = &mut self.talk.hold else { return };
        let Some(marked) = hold.marked.take() else { return };
        hold.released = marked;
        if !hold.is_wanted && !hold.is_lasting {
            self.talk.hold = None;
        }
    }

    /// The disk has failed: what waits is never said, and nothing executed since is reported. Before
    /// [`Connection::close`], whose reason can then be sent.
    pub fn forget_held(&mut self) {
        let talk = &mut self.talk;
        if let Some(hold) = talk.hold.take() {
            talk.out.truncate(hold.released);
            (talk.reported, talk.must_report) = (talk.applied, false);
        }
    }
}

impl Talk {
    /// What is said from here on waits.
    #[cold]
    pub(super) fn hold_back(&mut self) {
        if self.hold.is_none() {
            // What was done before need not wait as well.
            self.report();
        }
        let released = self.out.unsent().len();
        self.hold.get_or_insert_with(|| Hold { released, ..Hold::default() }).is_wanted = true;
    }

    /// The bytes that may be sent.
    pub(super) fn sendable(&self) -> &[u8] {
        let unsent = self.out.unsent();
        match &self.hold {
            None => unsent,
            Some(hold) => &unsent[..hold.released],
        }
    }
}

pub(super) fn no_journal() -> Fault {
    let text = "this display keeps no journal, so nothing on it is durable: start it with `display-server --journal DIR`";
    Fault::new(Code::NoJournal, text)
}
