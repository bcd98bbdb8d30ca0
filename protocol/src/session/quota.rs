//! What may stay of what clients leave behind, and what has to go when there is too much of it.
//!
//! Whoever leaves much pushes out its own: what goes is of the peer that holds the most of what is short, so a peer that holds no
//! more than its share, the limit divided by the number of peers, loses nothing to others.

use super::Id;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Who is answerable for what a connection leaves behind: an address. Connections that have none count as one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Peer(Option<IpAddr>);

impl From<IpAddr> for Peer {
    /// Of an IPv6 address the first half: a machine is given all addresses that share it.
    fn from(address: IpAddr) -> Peer {
        Peer(Some(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
            address => address,
        }))
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

/// How many entries there may be, of how many bytes together, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) lease: Duration,
    pub(super) count: usize,
    pub(super) bytes: usize,
}

#[derive(Debug)]
pub(super) struct Quota {
    limits: Limits,
    /// The longest first. (Two may have begun to wait at the same time.)
    by_age: BTreeSet<(Instant, Id)>,
    peers: HashMap<Peer, Lot>,
    /// Who has the most, last.
    by_count: BTreeSet<(usize, Peer)>,
    by_bytes: BTreeSet<(usize, Peer)>,
    bytes: usize,
}

/// What one peer has.
#[derive(Debug, Default)]
struct Lot {
    /// Those for which the least was executed first, then the oldest.
    by_work: BTreeSet<(u64, Instant, Id)>,
    /// The largest last; of those that are as large the one for which the least was executed, then the oldest.
    by_size: BTreeSet<(usize, Reverse<u64>, Reverse<Instant>, Id)>,
    bytes: usize,
}

impl Quota {
    pub(super) fn new(limits: Limits) -> Quota {
        let (by_age, peers) = (BTreeSet::new(), HashMap::new());
        Quota { limits, by_age, peers, by_count: BTreeSet::new(), by_bytes: BTreeSet::new(), bytes: 0 }
    }

    pub(super) fn count(&self) -> usize {
        self.by_age.len()
    }

    /// All entries, the oldest first.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        self.by_age.iter().map(|(_, id)| *id)
    }

    pub(super) fn insert(&mut self, id: Id, entry: &Entry) {
        let Entry { peer, since, executed, bytes } = *entry;
        self.by_age.insert((since, id));
        self.change(peer, |lot| {
            lot.by_work.insert((executed, since, id));
            lot.by_size.insert((bytes, Reverse(executed), Reverse(since), id));
            lot.bytes += bytes;
        });
        self.bytes += bytes;
    }

    /// Takes an entry out that was put in.
    pub(super) fn remove(&mut self, id: Id, entry: &Entry) {
        let Entry { peer, since, executed, bytes } = *entry;
        self.by_age.remove(&(since, id));
        self.change(peer, |lot| {
            lot.by_work.remove(&(executed, since, id));
            lot.by_size.remove(&(bytes, Reverse(executed), Reverse(since), id));
            lot.bytes -= bytes;
        });
        self.bytes -= bytes;
    }

    fn change(&mut self, peer: Peer, change: impl FnOnce(&mut Lot)) {
        let lot = self.peers.entry(peer).or_default();
        self.by_count.remove(&(lot.by_work.len(), peer));
        self.by_bytes.remove(&(lot.bytes, peer));
        change(lot);
        if lot.by_work.is_empty() {
            self.peers.remove(&peer);
        } else {
            self.by_count.insert((lot.by_work.len(), peer));
            self.by_bytes.insert((lot.bytes, peer));
        }
    }

    /// The entry that has to go next, if one has: its time is over, or there is too much.
    pub(super) fn next_to_go(&self, now: Instant) -> Option<Id> {
        let &(since, oldest) = self.by_age.first()?;
        if now.saturating_duration_since(since) >= self.limits.lease {
            return Some(oldest);
        }
        if self.count() > self.limits.count {
            // One for which nothing was executed keeps nothing from its client.
            let (_, peer) = self.by_count.last()?;
            return self.peers.get(peer)?.by_work.first().map(|&(.., id)| id);
        }
        if self.bytes > self.limits.bytes && self.count() > 1 {
            let (_, peer) = self.by_bytes.last()?;
            return self.peers.get(peer)?.by_size.last().map(|&(.., id)| id);
        }
        None
    }
}
