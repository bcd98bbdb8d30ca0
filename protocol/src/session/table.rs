//! The sessions of one display: which are in use, and which wait for their client to come back.

use super::{Id, Session};
use crate::limits;
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

/// The sessions of one display. Who waits for a session that another connection has is told by `C`.
///
/// A session belongs to one connection at a time, which has it whole: a connection that comes back takes it from the older
/// one, so nothing that still arrives there can be executed any more.
#[derive(Debug)]
pub struct Sessions<C> {
    slots: HashMap<Id, Slot<C>>,
    /// Those that wait, the longest first. (Two may have begun to wait at the same time.)
    parked: BTreeSet<(Instant, Id)>,
    /// Bytes of those that wait.
    bytes: usize,
}

#[derive(Debug)]
enum Slot<C> {
    /// A connection has it.
    Held(C),
    /// Its client may come back.
    Parked(Session, Instant),
}

/// What a connection finds that asks for a session.
#[derive(Debug)]
pub enum Claim<'a, C> {
    /// Nobody has it, so the caller has it now. There was none, or what there was of it.
    Granted(Option<Session>),
    /// Another connection has it: ask that one to [`park`](Sessions::park) it, and come again.
    Held(&'a C),
}

impl<C> Default for Sessions<C> {
    fn default() -> Sessions<C> {
        Sessions { slots: HashMap::new(), parked: BTreeSet::new(), bytes: 0 }
    }
}

impl<C> Sessions<C> {
    /// How many sessions there are, and how many of them wait for their client.
    pub fn count(&self) -> (usize, usize) {
        (self.slots.len(), self.parked.len())
    }

    /// Those that wait for their clients. (Those that are in use are with their connections.)
    pub fn parked(&self) -> impl Iterator<Item = (Id, &Session)> {
        self.parked.iter().filter_map(|(_, id)| match self.slots.get(id) {
            Some(Slot::Parked(session, _)) => Some((*id, session)),
            _ => None,
        })
    }

    /// Whether there is such a session.
    pub fn contains(&self, id: Id) -> bool {
        self.slots.contains_key(&id)
    }

    /// A connection asks for a session. `holder` is how others will tell it that they want it.
    pub fn claim(&mut self, id: Id, holder: C, now: Instant) -> Claim<'_, C> {
        self.expire(now);
        // (Looked up twice, since what is borrowed in one arm cannot be changed in the other.)
        if matches!(self.slots.get(&id), Some(Slot::Held(_))) {
            let Some(Slot::Held(other)) = self.slots.get(&id) else { unreachable!("it is held") };
            return Claim::Held(other);
        }
        let found = self.unpark(id);
        self.slots.insert(id, Slot::Held(holder));
        Claim::Granted(found)
    }

    /// A connection that has a session gives it back, to wait for its client unless that has ended it. Those that have waited for too long, or the
    /// longest when there are too many, are forgotten.
    pub fn park(&mut self, id: Id, session: Session, now: Instant) {
        self.unpark(id);
        if session.is_ended {
            return;
        }
        self.bytes += size(&session);
        self.parked.insert((now, id));
        self.slots.insert(id, Slot::Parked(session, now));
        self.expire(now);
    }

    /// A connection that has a session will not give it back: there is none any more.
    pub fn forget(&mut self, id: Id) {
        self.unpark(id);
    }

    /// Forgets those whose lease is over.
    pub fn expire(&mut self, now: Instant) {
        while let Some(&(since, id)) = self.parked.first() {
            let is_over = now.saturating_duration_since(since) >= limits::SESSION_LEASE;
            let are_too_many = self.parked.len() > limits::SESSIONS
                || (self.bytes > limits::SESSION_MEMORY && self.parked.len() > 1);
            if !is_over && !are_too_many {
                return;
            }
            self.unpark(id);
        }
    }

    fn unpark(&mut self, id: Id) -> Option<Session> {
        match self.slots.remove(&id)? {
            Slot::Held(_) => None,
            Slot::Parked(session, since) => {
                self.parked.remove(&(since, id));
                self.bytes -= size(&session);
                Some(session)
            }
        }
    }
}

/// A session and its places in the two tables.
fn size(session: &Session) -> usize {
    session.memory() + 256
}
