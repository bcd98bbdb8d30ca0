//! The sessions of one display: which are in use, and which wait for their client to come back.

use super::quota::{Entry, Limits, Peer, Quota};
use super::{Id, Resume, Session};
use crate::limits;
use std::collections::HashMap;
use std::time::Instant;

/// The sessions of one display. Who waits for a session that another connection has is told by `C`.
///
/// A session belongs to one connection at a time, which has it whole: a connection that comes back takes it from the older
/// one, so nothing that still arrives there can be executed any more.
#[derive(Debug)]
pub struct Sessions<C> {
    slots: HashMap<Id, Slot<C>>,
    parked: Quota,
    /// Those of them that were read back from a journal and have not been taken up since. What clients leave behind after a start
    /// pushes none of these out.
    restored: Quota,
    /// Sessions that are gone, of clients that do not confirm: the last `hello` of each, which a late one has to exceed.
    tombstones: HashMap<Id, (u64, Entry)>,
    buried: Quota,
}

#[derive(Debug)]
enum Slot<C> {
    /// A connection has it, that of `hello` number `attempt`.
    Held { holder: C, attempt: u64, peer: Peer },
    /// Its client may come back.
    Parked(Box<Session>, Entry),
}

/// What a connection finds that asks for a session.
#[derive(Debug)]
pub enum Claim<'a, C> {
    /// Nobody has it, so the caller has it now. There was none, or what there was of it.
    Granted(Option<Session>),
    /// Another connection has it, of an earlier `hello`: ask that one to [`park`](Sessions::park) it, and come again.
    Held(&'a C),
    /// A later `hello` of the session has come, this one: see [`Connection::overtaken`](crate::server::Connection::overtaken).
    /// Nobody is disturbed by it.
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
    /// How many sessions there are, and how many of them wait for their client.
    pub fn count(&self) -> (usize, usize) {
        (self.slots.len(), self.parked.count() + self.restored.count())
    }

    /// How many sessions that are gone are remembered.
    pub fn tombstones(&self) -> usize {
        self.tombstones.len()
    }

    /// Those that wait for their clients. (Those that are in use are with their connections.)
    pub fn parked(&self) -> impl Iterator<Item = (Id, &Session)> {
        self.restored.ids().chain(self.parked.ids()).filter_map(|id| match self.slots.get(&id) {
            Some(Slot::Parked(session, _)) => Some((id, &**session)),
            _ => None,
        })
    }

    /// Whether there is such a session.
    pub fn contains(&self, id: Id) -> bool {
        self.slots.contains_key(&id)
    }

    /// A connection of `peer` asks for a session. `holder` is how others will tell it that they want it.
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
        // (Looked up twice, since what is borrowed in one arm cannot be changed in the other.)
        if matches!(self.slots.get(&id), Some(Slot::Held { .. })) {
            let Some(Slot::Held { holder, .. }) = self.slots.get(&id) else { unreachable!("it is held") };
            return Claim::Held(holder);
        }
        let found = self.unpark(id);
        self.slots.insert(id, Slot::Held { holder, attempt, peer });
        Claim::Granted(found)
    }

    /// A connection that has a session gives it back, to wait for its client unless that has ended it. Those that have waited for too
    /// long are forgotten, and others where there are too many: see [`limits::SESSIONS`].
    pub fn park(&mut self, id: Id, session: Session, now: Instant) {
        let peer = match self.slots.get(&id) {
            Some(Slot::Held { peer, .. } | Slot::Parked(_, Entry { peer, .. })) => *peer,
            None => Peer::default(),
        };
        self.wait(id, session, peer, now);
    }

    /// A session that was read back from a journal waits for its client. It belongs to no address before that comes: until then, or
    /// until its lease is over, it makes room only where a journal has more of them than there may be, those first for which the
    /// least was executed. A journal says at least how much that was.
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

    /// A connection that has a session will not give it back: there is none any more.
    pub fn forget(&mut self, id: Id) {
        self.unpark(id);
    }

    /// Forgets those whose lease is over.
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

    /// Where what waits of this peer is counted.
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

    /// A session is gone. What its client has sent may arrive again: of one that confirms it is never executed, and of others not as
    /// long as the last `hello` is known.
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

/// A session and its places in the tables.
fn size(session: &Session) -> usize {
    session.memory() + 512
}

#[cfg(test)]
mod tests;
