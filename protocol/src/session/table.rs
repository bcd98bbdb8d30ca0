//! The sessions of one display: those in use, and those that wait for their client to return.

use super::quota::{Entry, Limits, Peer, Quota};
use super::{Id, Resume, Session};
use crate::limits;
use std::collections::HashMap;
use std::time::Instant;

/// The sessions of one display. `C` identifies the connection that holds a session.
///
/// A session belongs to one connection at a time. A new connection takes it from the older one, so no request that still
/// arrives there is executed.
#[derive(Debug)]
pub struct Sessions<C> {
    slots: HashMap<Id, Slot<C>>,
    parked: Quota,
    /// Parked sessions that were read from a journal and have not been taken up since. Sessions that clients leave later do not
    /// evict these.
    restored: Quota,
    /// The number of the last `hello` of each session that is gone and whose client does not confirm. A late `hello` has to
    /// exceed it.
    tombstones: HashMap<Id, (u64, Entry)>,
    buried: Quota,
}

#[derive(Debug)]
enum Slot<C> {
    /// A connection has the session since `hello` number `attempt`.
    Held { holder: C, attempt: u64, peer: Peer },
    /// The session waits for its client.
    Parked(Box<Session>, Entry),
}

/// The result of [`Sessions::claim`].
#[derive(Debug)]
pub enum Claim<'a, C> {
    /// The caller has the session now. `None` if there was no such session.
    Granted(Option<Session>),
    /// Another connection of an earlier `hello` has it: ask that one to [`park`](Sessions::park) it, and claim again.
    Held(&'a C),
    /// This later `hello` of the session has arrived: see [`Connection::overtaken`](crate::server::Connection::overtaken).
    /// Other connections are not affected.
    Overtaken(u64),
}

impl<C> Default for Sessions<C> {
    fn default() -> Sessions<C> {
        let (count, bytes, lease) = (limits::SESSIONS, limits::SESSION_MEMORY, limits::SESSION_LEASE);
        let bytes = Some(bytes);
        let restored = Limits { lease, count: limits::SESSIONS_RESTORED, bytes };
        let (tombstones, lease_of_one) = (limits::SESSION_TOMBSTONES, limits::SESSION_TOMBSTONE);
        let buried = Limits { lease: lease_of_one, count: tombstones, bytes: None };
        Sessions {
            slots: HashMap::new(),
            parked: Quota::new(Limits { lease, count, bytes }),
            restored: Quota::new(restored),
            tombstones: HashMap::new(),
            buried: Quota::new(buried),
        }
    }
}

impl<C> Sessions<C> {
    /// Returns how many sessions there are, and how many of them wait for their client.
    pub fn count(&self) -> (usize, usize) {
        (self.slots.len(), self.parked.count() + self.restored.count())
    }

    /// Returns how many tombstones there are: sessions that are gone and whose last `hello` is remembered.
    pub fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Returns the sessions that wait for their clients. (Connections have the others.)
    pub fn parked(&self) -> impl Iterator<Item = (Id, &Session)> {
        self.restored.ids().chain(self.parked.ids()).filter_map(|id| match self.slots.get(&id) {
            Some(Slot::Parked(session, _)) => Some((id, &**session)),
            _ => None,
        })
    }

    /// Returns whether there is such a session.
    pub fn contains(&self, id: Id) -> bool {
        self.slots.contains_key(&id)
    }

    /// Claims a session for a connection of `peer`. Later claims return `holder` as [`Claim::Held`].
    pub fn claim(&mut self, asked: &Resume, peer: Peer, holder: C, now: Instant) -> Claim<'_, C> {
        self.expire(now);
        let (id, attempt) = (asked.session, asked.attempt);
        let latest = match self.slots.get(&id) {
            Some(Slot::Held { attempt, .. }) => Some(*attempt),
            Some(Slot::Parked(session, _)) => Some(session.attempt()),
            None => self.tombstones.get(&id).map(|(attempt, _)| *attempt),
        };
        if let Some(latest) = latest.filter(|latest| attempt <= *latest) {
            return Claim::Overtaken(latest);
        }
        // Looked up twice to satisfy the borrow checker.
        if matches!(self.slots.get(&id), Some(Slot::Held { .. })) {
            let Some(Slot::Held { holder, .. }) = self.slots.get(&id) else { unreachable!("it is held") };
            return Claim::Held(holder);
        }
        let found = self.unpark(id);
        self.slots.insert(id, Slot::Held { holder, attempt, peer });
        Claim::Granted(found)
    }

    /// Parks the session of a connection until its client returns, unless the client has ended it. Evicts sessions that have
    /// waited for too long or are too many: see [`limits::SESSIONS`].
    pub fn park(&mut self, id: Id, session: Session, now: Instant) {
        let peer = match self.slots.get(&id) {
            Some(Slot::Held { peer, .. } | Slot::Parked(_, Entry { peer, .. })) => *peer,
            None => Peer::default(),
        };
        self.wait(id, session, peer, now);
    }

    /// Parks a session that was read from a journal. It belongs to no address until its client returns. Until then, or until
    /// its lease is over, it is evicted only where a journal has more sessions than the limit, those with the least executed
    /// requests first.
    pub fn restore(&mut self, id: Id, session: Session, now: Instant) {
        self.wait(id, session, Peer::restored(id), now);
    }

    fn wait(&mut self, id: Id, session: Session, peer: Peer, now: Instant) {
        self.unpark(id);
        let entry = Entry { peer, since: now, executed: session.executed, bytes: size(&session) };
        if session.is_ended {
            self.bury(id, &session, peer, now);
        } else {
            self.waiting(peer).insert(id, &entry);
            self.slots.insert(id, Slot::Parked(Box::new(session), entry));
        }
        self.expire(now);
    }

    /// Removes a session whose connection will not park it.
    pub fn forget(&mut self, id: Id) {
        self.unpark(id);
    }

    /// Removes sessions whose lease is over.
    pub fn expire(&mut self, now: Instant) {
        while let Some(id) = self.parked.next_to_go(now).or_else(|| self.restored.next_to_go(now)) {
            let Some(Slot::Parked(session, entry)) = self.slots.remove(&id) else { unreachable!("it waits") };
            self.waiting(entry.peer).remove(id, &entry);
            self.bury(id, &session, entry.peer, now);
        }
        while let Some(id) = self.buried.next_to_go(now) {
            self.unbury(id);
        }
    }

    /// Returns the quota that counts parked sessions of this peer.
    fn waiting(&mut self, peer: Peer) -> &mut Quota {
        if peer.is_restored() { &mut self.restored } else { &mut self.parked }
    }

    fn unpark(&mut self, id: Id) -> Option<Session> {
        match self.slots.remove(&id)? {
            Slot::Held { .. } => None,
            Slot::Parked(session, entry) => {
                self.waiting(entry.peer).remove(id, &entry);
                Some(*session)
            }
        }
    }

    /// Keeps a tombstone of a session that is gone, since late copies of its messages may arrive. A client that confirms needs
    /// none.
    fn bury(&mut self, id: Id, session: &Session, peer: Peer, now: Instant) {
        if session.is_confirmed() {
            return;
        }
        let (mut attempt, mut executed) = (session.attempt(), session.executed);
        if let Some((before, entry)) = self.tombstones.get(&id) {
            (attempt, executed) = (attempt.max(*before), executed.max(entry.executed));
            self.unbury(id);
        }
        let entry = Entry { peer: peer.of_tombstone(), since: now, executed, bytes: 0 };
        self.buried.insert(id, &entry);
        self.tombstones.insert(id, (attempt, entry));
    }

    fn unbury(&mut self, id: Id) {
        if let Some((_, entry)) = self.tombstones.remove(&id) {
            self.buried.remove(id, &entry);
        }
    }
}

/// Returns the memory of a session and of its entries in the tables.
fn size(session: &Session) -> usize {
    session.memory() + 512
}

#[cfg(test)]
mod tests;
