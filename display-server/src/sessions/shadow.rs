//! The sessions as a journal will bring them back.

use crate::journal::{Companion, Entry};
use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Answer, Fault, Request};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sessions that are forgotten here a little after they are gone: never fewer than this.
const FEW: usize = 64;

/// What is known of each session by what is in the journal: no more, so that it is the same whether it is kept while calls
/// are drawn or found when they are drawn again. The sessions themselves belong to their connections.
#[derive(Default)]
pub(crate) struct Shadow {
    /// Changed only by who has the log of the journal, so it is as far as that. Nothing is called meanwhile.
    sessions: Mutex<HashMap<Id, Session>>,
}

impl fmt::Debug for Shadow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shadow").field("sessions", &self.lock().len()).finish()
    }
}

impl Shadow {
    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection has taken a session up. Of the others only those are kept that are still `known`.
    pub(crate) fn taken_up(&self, id: Id, session: Session, known: impl Fn(Id) -> bool, count: usize) {
        let mut sessions = self.lock();
        sessions.insert(id, session);
        if sessions.len() > 2 * count + FEW {
            sessions.retain(|id, _| known(*id));
        }
    }

    /// A call of a session is journaled, and this came of it.
    pub(crate) fn drawn(&self, stamp: Stamp, result: &Result<Answer, Fault>) {
        // One that is not known began when the journal could not be written. It is not brought back.
        if let Some(session) = self.lock().get_mut(&stamp.session) {
            let response = result.as_ref().err().map(|fault| fault.to_response(stamp.number));
            session.replay(stamp, response.as_deref());
        }
    }

    /// All that were found.
    pub(crate) fn all(&self) -> Vec<(Id, Session)> {
        self.lock().iter().map(|(id, session)| (*id, session.clone())).collect()
    }
}

impl Companion for Shadow {
    fn restore(&self, mut state: &[u8]) -> Result<(), String> {
        let mut sessions = self.lock();
        while !state.is_empty() {
            let cut_off = || "the sessions are cut off".to_owned();
            let (id, rest) = state.split_first_chunk::<16>().ok_or_else(cut_off)?;
            let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(cut_off)?;
            let (bytes, rest) =
                rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(cut_off)?;
            let session = Session::decode(bytes).map_err(|error| error.to_string())?;
            sessions.insert(Id(*id), session);
            state = rest;
        }
        Ok(())
    }

    fn replay(&self, _: u64, entry: &Entry<'_>, result: &Result<Answer, Fault>) {
        let Some(stamp) = entry.session else { return };
        match entry.request {
            // Questions are not journaled; in their place this says that a session was taken up.
            Request::Sync {} => {
                if let Ok(session) = Session::decode(entry.exceptions) {
                    self.lock().insert(stamp.session, session);
                }
            }
            _ => self.drawn(stamp, result),
        }
    }

    fn save(&self) -> Vec<u8> {
        let mut state = Vec::new();
        for (Id(id), session) in &*self.lock() {
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
