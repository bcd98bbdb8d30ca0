//! Limits what clients leave behind, and chooses what to evict beyond a limit.
//!
//! Every peer keeps half of its share, which is the limit divided by the number of peers, whatever others do. Those halves are
//! at most half of the limit together, so beyond the limit there are always other entries to evict. Of these the entry with the
//! least executed requests is evicted: many addresses that did little evict nothing of an address that did more, although it
//! holds more than each of them. Among equals an entry of the peer that holds the most is evicted, then the oldest. The address
//! itself does not matter.

use super::Id;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The address that sessions of a connection count against. Connections without an address count as one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Peer(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
enum Kind {
    #[default]
    NoAddress,
    Address(IpAddr),
    /// A session that was read from a journal, which has no addresses: each is a peer of its own.
    Restored(Id),
    /// All that were read back and are gone.
    Gone,
}

impl From<IpAddr> for Peer {
    /// Returns the peer of an address. Of an IPv6 address only the first half counts, since a machine has all addresses that
    /// share it.
    fn from(address: IpAddr) -> Peer {
        Peer(Kind::Address(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & u128::MAX << 64).into(),
            address => address,
        }))
    }
}

impl Peer {
    /// Returns the peer of a session that was read from a journal.
    pub(super) fn restored(id: Id) -> Peer {
        Peer(Kind::Restored(id))
    }

    /// Returns whether it is that of such a session.
    pub(super) fn is_restored(self) -> bool {
        matches!(self.0, Kind::Restored(_))
    }

    /// Returns the peer of the tombstone of its session.
    pub(super) fn of_tombstone(self) -> Peer {
        if self.is_restored() { Peer(Kind::Gone) } else { self }
    }
}

/// What counts of one entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) peer: Peer,
    /// Since when it waits.
    pub(super) since: Instant,
    /// How many requests were executed for it.
    pub(super) executed: u64,
    pub(super) bytes: usize,
}

/// How many entries there may be, of how many bytes together if these count, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) lease: Duration,
    pub(super) count: usize,
    pub(super) bytes: Option<usize>,
}

/// The less comes first, then the older.
type Work = (u64, Instant, Id);

#[derive(Debug)]
pub(super) struct Quota {
    limits: Limits,
    /// The longest first. (Two may have begun to wait at the same time.)
    by_age: BTreeSet<(Instant, Id)>,
    peers: HashMap<Peer, Lot>,
    /// Of each peer the entry that would go first, by how many it has ...
    by_count: Ranking,
    /// ... and by how many bytes. Empty where bytes do not count.
    by_bytes: Ranking,
    bytes: usize,
}

/// What one peer has.
#[derive(Debug, Default)]
struct Lot {
    by_work: BTreeSet<Work>,
    /// The largest first; of those that are as large the one for which the least was executed. Empty where bytes do not count.
    by_size: BTreeSet<(Reverse<usize>, Work)>,
    bytes: usize,
}

/// Of each peer one entry, by how much the peer has. Of peers that have as much the entry with the least work comes first.
#[derive(Debug, Default)]
struct Ranking(BTreeMap<usize, BTreeSet<Work>>);

impl Ranking {
    fn insert(&mut self, amount: usize, work: Work) {
        self.0.entry(amount).or_default().insert(work);
    }

    fn remove(&mut self, amount: usize, work: &Work) {
        if let Some(works) = self.0.get_mut(&amount) {
            works.remove(work);
            if works.is_empty() {
                self.0.remove(&amount);
            }
        }
    }

    /// Returns the entry that goes first of those of peers that have more than `kept`.
    fn first_above(&self, kept: usize) -> Option<Id> {
        // No more steps than there are different amounts: of counts there are less than a hundred.
        let firsts = self.0.range(kept + 1..).filter_map(|(amount, works)| Some((amount, works.first()?)));
        let first = firsts.min_by_key(|&(amount, &(executed, ..))| (executed, Reverse(amount)));
        first.map(|(_, &(.., id))| id)
    }
}

impl Lot {
    /// Takes it out of the rankings, or puts it in.
    fn rank(&self, by_count: &mut Ranking, by_bytes: &mut Ranking, change: fn(&mut Ranking, usize, Work)) {
        if let Some(work) = self.by_work.first() {
            change(by_count, self.by_work.len(), *work);
        }
        if let Some((_, work)) = self.by_size.first() {
            change(by_bytes, self.bytes, *work);
        }
    }
}

impl Quota {
    pub(super) fn new(limits: Limits) -> Quota {
        Quota {
            limits,
            by_age: BTreeSet::new(),
            peers: HashMap::new(),
            by_count: Ranking::default(),
            by_bytes: Ranking::default(),
            bytes: 0,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.by_age.len()
    }

    /// Iterates over all entries, the oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.by_age.iter().map(|(_, id)| *id)
    }

    pub(super) fn insert(&mut self, id: Id, entry: &Entry) {
        let Entry { since, executed, bytes, .. } = *entry;
        self.by_age.insert((since, id));
        let do_bytes_count = self.limits.bytes.is_some();
        self.change(entry.peer, |lot| {
            lot.by_work.insert((executed, since, id));
            if do_bytes_count {
                lot.by_size.insert((Reverse(bytes), (executed, since, id)));
            }
            lot.bytes += bytes;
        });
        self.bytes += bytes;
    }

    /// Takes an entry out that was put in.
    pub(super) fn remove(&mut self, id: Id, entry: &Entry) {
        let Entry { since, executed, bytes, .. } = *entry;
        self.by_age.remove(&(since, id));
        self.change(entry.peer, |lot| {
            lot.by_work.remove(&(executed, since, id));
            lot.by_size.remove(&(Reverse(bytes), (executed, since, id)));
            lot.bytes -= bytes;
        });
        self.bytes -= bytes;
    }

    fn change(&mut self, peer: Peer, change: impl FnOnce(&mut Lot)) {
        let Quota { peers, by_count, by_bytes, .. } = self;
        let lot = peers.entry(peer).or_default();
        lot.rank(by_count, by_bytes, |ranking, amount, work| ranking.remove(amount, &work));
        change(lot);
        lot.rank(by_count, by_bytes, Ranking::insert);
        if lot.by_work.is_empty() {
            peers.remove(&peer);
        }
    }

    /// Returns the entry that has to go next, if one has: its time is over, or there is too much.
    pub(super) fn next_to_go(&self, now: Instant) -> Option<Id> {
        let &(since, oldest) = self.by_age.first()?;
        if now.saturating_duration_since(since) >= self.limits.lease {
            return Some(oldest);
        }
        let half_share = |limit: usize| limit / (2 * self.peers.len());
        if self.count() > self.limits.count {
            return self.by_count.first_above(half_share(self.limits.count));
        }
        match self.limits.bytes {
            Some(limit) if self.bytes > limit && self.count() > 1 => {
                self.by_bytes.first_above(half_share(limit))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
