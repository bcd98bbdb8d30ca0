//! The sessions as a journal will bring them back.

use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Answer, Fault, limits};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sessions that are forgotten here a little after they are gone: never fewer than this.
const FEW: usize = 64;

/// Sessions that are kept while a journal is read, at most: a journal of before does not say which of them are gone.
const MOST: usize = 2 * limits::SESSIONS_RESTORED;

/// What is known of each session by what is in the journal: no more, so that it is the same whether it is kept while calls
/// are drawn or found when they are drawn again. The sessions themselves belong to their connections.
#[derive(Default)]
pub(crate) struct SessionMirror {
    /// Changed only while the log of the journal is held, so it is as far as that. Nothing is called meanwhile.
    known: Mutex<Known>,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) sessions: HashMap<Id, Session>,
    /// Bytes of all of them, about.
    pub(super) memory: usize,
    /// Bytes of those that were left when those that are gone were forgotten.
    left: usize,
}

impl Known {
    fn insert(&mut self, id: Id, session: Session) {
        self.memory += session.memory();
        if let Some(before) = self.sessions.insert(id, session) {
            self.memory -= before.memory();
        }
    }

    /// Forgets those of which `is_kept` says so, and returns them.
    fn forget(&mut self, is_kept: impl Fn(&Id, &Session) -> bool) -> Vec<(Id, Session)> {
        let gone: Vec<_> = self.sessions.extract_if(|id, session| !is_kept(id, session)).collect();
        self.memory -= gone.iter().map(|(_, session)| session.memory()).sum::<usize>();
        self.left = self.memory;
        gone
    }

    /// While a journal is read: of too many those stay that are not ended, and for which the most was executed.
    fn read(&mut self, id: Id, session: Session) {
        self.insert(id, session);
        if self.sessions.len() > MOST {
            // Of several for which as much was executed any may go: a map has no order of its own.
            let by_work = |(at, (id, session)): (usize, (&Id, &Session))| {
                ((!session.is_ended(), session.requests(), at), *id)
            };
            let mut by_work: Vec<_> = self.sessions.iter().enumerate().map(by_work).collect();
            let (least, ..) = by_work.select_nth_unstable(MOST / 2);
            let least: HashSet<Id> = least.iter().map(|(_, id)| *id).collect();
            self.forget(|id, _| !least.contains(id));
        }
    }
}

impl fmt::Debug for SessionMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMirror").field("sessions", &self.lock().sessions.len()).finish()
    }
}

impl SessionMirror {
    pub(super) fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection has taken a session up. When there are many others, in number or in bytes, only those of them are kept that are
    /// still `known`. The others are returned, as the journal is to have them.
    pub(crate) fn taken_up(
        &self,
        id: Id,
        session: Session,
        is_known: impl Fn(Id) -> bool,
        count: usize,
    ) -> Vec<(Id, Session)> {
        let mut known = self.lock();
        known.insert(id, session);
        if known.sessions.len() <= 2 * count + FEW && known.memory <= 2 * known.left + limits::SESSION_MEMORY
        {
            return Vec::new();
        }
        let gone = known.forget(|id, _| is_known(*id)).into_iter();
        gone.filter(|(_, session)| !session.is_ended()).map(|(id, session)| (id, session.ended())).collect()
    }

    /// A call of a session is journaled, and this came of it.
    pub(crate) fn drawn(&self, stamp: Stamp, result: &Result<Answer, Fault>) {
        let mut known = self.lock();
        // One that is not known began when the journal could not be written. It is not brought back.
        if let Some(session) = known.sessions.get_mut(&stamp.session) {
            let response = result.as_ref().err().map(|fault| fault.to_response(stamp.number));
            let before = session.memory();
            session.replay(stamp, response.as_deref());
            let after = session.memory();
            known.memory = known.memory - before + after;
        }
    }

    /// Adds a session that is read from a journal. Of too many some are forgotten.
    pub(crate) fn read(&self, id: Id, session: Session) {
        self.lock().read(id, session);
    }

    /// Calls `visit` with each session. Nothing changes meanwhile.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(Id, &Session)) {
        self.lock().sessions.iter().for_each(|(id, session)| visit(*id, session));
    }

    /// Returns copies of all sessions.
    pub(crate) fn all(&self) -> Vec<(Id, Session)> {
        self.lock().sessions.iter().map(|(id, session)| (*id, session.clone())).collect()
    }
}
