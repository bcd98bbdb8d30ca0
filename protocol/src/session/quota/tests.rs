//! Tests of which sessions are evicted, with random and hostile peers.

use super::*;

const LEASE: Duration = Duration::from_secs(100);

/// A generator of pseudorandom numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn peer(name: u64) -> Peer {
    IpAddr::from((name as u32).to_be_bytes()).into()
}

/// A quota and its entries.
struct Kept {
    quota: Quota,
    entries: Vec<(Id, Entry)>,
    start: Instant,
    made: u64,
}

impl Kept {
    fn new(count: usize, bytes: Option<usize>) -> Kept {
        let quota = Quota::new(Limits { lease: LEASE, count, bytes });
        Kept { quota, entries: Vec::new(), start: Instant::now(), made: 0 }
    }

    /// Adds an entry and returns the entries evicted for it.
    fn add(&mut self, peer: Peer, executed: u64, bytes: usize, random: &mut Random) -> Vec<Entry> {
        self.made += 1;
        let mut id = [random.below(256) as u8; 16];
        id[8..].copy_from_slice(&self.made.to_be_bytes());
        // Three entries have the same time.
        let since = self.start + Duration::from_nanos(self.made / 3);
        let entry = Entry { peer, since, executed, bytes };
        self.quota.insert(Id(id), &entry);
        self.entries.push((Id(id), entry));
        let mut gone = Vec::new();
        while let Some(id) = self.quota.next_to_go(since) {
            self.check(id);
            gone.push(self.take(|(other, _)| *other == id));
        }
        gone
    }

    fn take(&mut self, is_it: impl Fn(&(Id, Entry)) -> bool) -> Entry {
        let at = self.entries.iter().position(is_it).expect("there is one");
        let (id, entry) = self.entries.swap_remove(at);
        self.quota.remove(id, &entry);
        entry
    }

    /// Removes all entries and checks that the quota is empty.
    fn end(mut self) {
        while !self.entries.is_empty() {
            self.take(|_| true);
        }
        let Quota { by_age, peers, by_count, by_bytes, bytes, .. } = self.quota;
        let left = (by_age.len(), peers.len(), by_count.0.len(), by_bytes.0.len(), bytes);
        assert_eq!(left, (0, 0, 0, 0, 0));
    }

    /// Checks an eviction against the rule, with a search through all entries.
    fn check(&self, gone: Id) {
        let (limit, is_count) = match self.quota.limits {
            Limits { count, .. } if self.entries.len() > count => (count, true),
            Limits { bytes, .. } => (bytes.expect("bytes count"), false),
        };
        let (mut amounts, mut largest) = (HashMap::<_, usize>::new(), HashMap::<_, usize>::new());
        for (_, Entry { peer, bytes, .. }) in &self.entries {
            *amounts.entry(*peer).or_default() += if is_count { 1 } else { *bytes };
            let largest = largest.entry(*peer).or_default();
            *largest = *bytes.max(largest);
        }
        // A peer with exactly half of its share loses nothing.
        let has_to_give = |peer: Peer| amounts[&peer] * 2 * amounts.len() > limit;
        let candidates = self.entries.iter().filter(|(_, entry)| {
            has_to_give(entry.peer) && (is_count || largest[&entry.peer] == entry.bytes)
        });
        let expected = candidates
            .min_by_key(|(id, entry)| (entry.executed, Reverse(amounts[&entry.peer]), entry.since, *id));
        assert_eq!(expected.map(|(id, _)| *id), Some(gone));
    }
}

#[test]
fn what_has_to_go_is_of_a_peer_with_more_than_half_of_its_share_and_did_the_least() {
    let mut random = Random(1);
    for round in 0..100 {
        let bytes = (round % 2 == 0).then_some(2_000);
        let mut kept = Kept::new(1 + random.below(40) as usize, bytes);
        let peers = 1 + random.below(30);
        for _ in 0..150 {
            let name = random.below(peers).min(random.below(peers));
            let (executed, bytes) = (random.below(4), 1 + random.below(100) as usize);
            kept.add(peer(name), executed, bytes, &mut random);
            if random.below(4) == 0 && kept.entries.len() > 1 {
                let at = random.below(kept.entries.len() as u64) as usize;
                let id = kept.entries[at].0;
                kept.take(|(other, _)| *other == id);
            }
        }
        kept.end();
    }
}

/// An address with at most half of the allowed sessions loses none of them to sessions with fewer executed requests,
/// for any number of attacking addresses and sessions.
#[test]
fn no_number_of_addresses_pushes_out_a_session_that_did_more() {
    const LIMIT: u64 = 60;
    let mut random = Random(2);
    for round in 0..60 {
        let mut kept = Kept::new(LIMIT as usize, None);
        // The honest address is the first, the last, or one in between.
        let (attackers, honest) = (1 + random.below(2 * LIMIT), [0, 500, 1_000][round % 3]);
        let sessions = 1 + random.below(LIMIT / 2);
        let mut left = sessions;
        for _ in 0..6 * LIMIT {
            let gone = if left > 0 && random.below(3) == 0 {
                left -= 1;
                kept.add(peer(honest), 5 + random.below(5), 0, &mut random)
            } else {
                let name = 1 + random.below(attackers) * 900 / attackers;
                kept.add(peer(if name == 500 { 501 } else { name }), random.below(5), 0, &mut random)
            };
            let lost = gone.iter().find(|entry| entry.peer == peer(honest));
            assert!(lost.is_none(), "{sessions} sessions, {attackers} addresses: {lost:?}");
        }
    }
}

/// An address with at most half of its share keeps even sessions that executed nothing, whatever an attacker executes.
#[test]
fn an_address_with_half_of_its_share_loses_nothing_to_those_that_did_more() {
    const LIMIT: u64 = 60;
    let mut random = Random(3);
    for attackers in 1..15 {
        let mut kept = Kept::new(LIMIT as usize, Some(6_000));
        let honest = LIMIT / (2 * (attackers + 1));
        for n in 0..8 * LIMIT {
            let gone = if n % 8 == 0 && n / 8 < honest {
                kept.add(peer(0), 0, 100, &mut random)
            } else {
                kept.add(peer(1 + n % attackers), 1_000, 1 + random.below(300) as usize, &mut random)
            };
            assert!(gone.iter().all(|entry| entry.peer != peer(0)), "{attackers}: {gone:?}");
        }
    }
}

#[test]
fn a_session_that_was_read_back_is_nobodys() {
    let (one, other) = (Peer::restored(Id([1; 16])), Peer::restored(Id([2; 16])));
    assert!(one.is_restored() && one != other && one.of_tombstone() == other.of_tombstone());
    assert!(!one.of_tombstone().is_restored() && one.of_tombstone() != Peer::default());
    assert!(!Peer::default().is_restored() && peer(1).of_tombstone() == peer(1));
}

fn entry(name: u64, since: Instant, bytes: usize) -> Entry {
    Entry { peer: peer(name), since, executed: 1, bytes }
}

#[test]
fn the_first_whose_lease_is_over_goes_and_no_other() {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let mut quota = Quota::new(Limits { lease: LEASE, count: 9, bytes: None });
    for n in 1..=3 {
        quota.insert(Id([n; 16]), &entry(1, start + u32::from(n) * second, 0));
    }
    assert_eq!(quota.next_to_go(start + LEASE), None);
    assert_eq!(quota.next_to_go(start + second + LEASE), Some(Id([1; 16])));
}

#[test]
fn of_two_that_count_the_same_the_older_goes_whatever_its_id() {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let mut quota = Quota::new(Limits { lease: LEASE, count: 1, bytes: None });
    quota.insert(Id([9; 16]), &entry(1, start, 0));
    quota.insert(Id([2; 16]), &entry(2, start + second, 0));
    assert_eq!(quota.next_to_go(start + second), Some(Id([9; 16])));
}

#[test]
fn as_many_bytes_as_there_may_be_are_not_too_many() {
    let start = Instant::now();
    let mut quota = Quota::new(Limits { lease: LEASE, count: 9, bytes: Some(100) });
    quota.insert(Id([1; 16]), &entry(1, start, 60));
    quota.insert(Id([2; 16]), &entry(1, start, 40));
    assert_eq!(quota.next_to_go(start), None);
    quota.insert(Id([3; 16]), &entry(1, start, 1));
    assert!(quota.next_to_go(start).is_some());
}
