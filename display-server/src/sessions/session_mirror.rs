//! The sessions as a journal will restore them.

use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Answer, Fault, limits};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Expired sessions are removed from the mirror in batches. It keeps at least this many sessions.
const FEW: usize = 64;

/// The most sessions that are kept while a journal is read: journals of version 1 do not record which of them have
/// expired.
const MOST: usize = 2 * limits::SESSIONS_RESTORED;

/// The state of each session as far as the journal has recorded it, so that it is the same after drawing and after a
/// replay. The sessions themselves belong to their connections.
#[derive(Default)]
pub(crate) struct SessionMirror {
    /// Changed only while the log of the journal is locked, so it corresponds to the log. Nothing is called while it is
    /// locked.
    known: Mutex<Known>,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) sessions: HashMap<Id, Session>,
    /// The memory of all sessions in bytes, approximately.
    pub(super) memory: usize,
    /// The memory of the sessions that were left after the last removal.
    left: usize,
}

impl Known {
    fn insert(&mut self, id: Id, session: Session) {
        self.memory += session.memory();
        if let Some(before) = self.sessions.insert(id, session) {
            self.memory -= before.memory();
        }
    }

    /// Removes and returns the sessions for which `is_kept` returns false.
    fn forget(&mut self, is_kept: impl Fn(&Id, &Session) -> bool) -> Vec<(Id, Session)> {
        let gone: Vec<_> = self.sessions.extract_if(|id, session| !is_kept(id, session)).collect();
        self.memory -= gone.iter().map(|(_, session)| session.memory()).sum::<usize>();
        self.left = self.memory;
        gone
    }

    /// Adds a session that is read from a journal. If there are too many, sessions that have not ended, and those with
    /// the most executed calls, are kept.
    fn read(&mut self, id: Id, session: Session) {
        self.insert(id, session);
        if self.sessions.len() > MOST {
            // Ties are broken by the order of the map, which is arbitrary.
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

    /// Records that a connection has begun or resumed a session. If there are many others, in number or in bytes, only
    /// those for which `is_known` returns true are kept. The others are returned in their ended state, for the journal.
    pub(crate) fn record(
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

    /// Records the result of a journaled call of a session.
    pub(crate) fn drawn(&self, stamp: Stamp, result: &Result<Answer, Fault>) {
        let mut known = self.lock();
        // An unknown session began while the journal could not be written. It is not restored.
        if let Some(session) = known.sessions.get_mut(&stamp.session) {
            let response = match result {
                Ok(Answer::Done(())) => None,
                Ok(answer) => Some(answer.to_response(stamp.number)),
                Err(fault) => Some(fault.to_response(stamp.number)),
            };
            let before = session.memory();
            session.replay(stamp, response.as_deref());
            let after = session.memory();
            known.memory = known.memory - before + after;
        }
    }

    /// Adds a session that is read from a journal. If there are too many, some are removed.
    pub(crate) fn read(&self, id: Id, session: Session) {
        self.lock().read(id, session);
    }

    /// Calls `visit` with each session. No session changes meanwhile.
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(Id, &Session)) {
        self.lock().sessions.iter().for_each(|(id, session)| visit(*id, session));
    }

    /// Returns copies of all sessions.
    pub(crate) fn all(&self) -> Vec<(Id, Session)> {
        self.lock().sessions.iter().map(|(id, session)| (*id, session.clone())).collect()
    }
}
