//! The sessions as a journal will bring them back.

use crate::journal::{Companion, Entry};
use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Answer, Fault, Request, limits};
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
pub(crate) struct Shadow {
    /// Changed only by who has the log of the journal, so it is as far as that. Nothing is called meanwhile.
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
            // Of several for which as much was executed nobody can choose which: a map has no order of its own.
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

impl fmt::Debug for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shadow").field("sessions", &self.lock().sessions.len()).finish()
    }
}

impl Shadow {
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

    /// All that were found.
    pub(crate) fn all(&self) -> Vec<(Id, Session)> {
        self.lock().sessions.iter().map(|(id, session)| (*id, session.clone())).collect()
    }
}

impl Companion for Shadow {
    fn restore(&self, mut state: &[u8]) -> Result<(), String> {
        let mut known = self.lock();
        while !state.is_empty() {
            let cut_off = || "the sessions are cut off".to_owned();
            let (id, rest) = state.split_first_chunk::<16>().ok_or_else(cut_off)?;
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
            let (bytes, rest) =
                rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_off)?;
            let session = Session::decode(bytes).map_err(|error| error.to_string())?;
            known.read(Id(*id), session);
            state = rest;
        }
        Ok(())
    }

    fn replay(&self, _: u64, entry: &Entry<'_>, result: &Result<Answer, Fault>) {
        let Some(stamp) = entry.session else { return };
        match entry.request {
            // A sync is not journaled; in its place this says that a session was taken up.
            Request::Sync {} => {
                if let Ok(session) = Session::decode(entry.exceptions) {
                    self.lock().read(stamp.session, session);
                }
            }
            _ => self.drawn(stamp, result),
        }
    }

    fn save(&self) -> Vec<u8> {
        let mut state = Vec::new();
        for (Id(id), session) in &self.lock().sessions {
            state.extend_from_slice(id);
            let length_at = state.len();
            state.extend_from_slice(&[0; 4]);
            session.encode(&mut state);
            let length = (state.len() - length_at - 4) as u32;
            state[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        }
        state
    }
}
