//! Limits the number of connections, and decides which clients get a place when there are too many.
//!
//! While places are free, each new client gets one. When none is left, up to [`limits::WAITING`] new clients wait, for
//! [`limits::WAITING_TIME`] at most, and are then told that the display is busy. A place becomes free when a connection
//! ends. For a waiting client that has sent something, a connection is evicted, in this order:
//!
//! 1. one that is closing, and only waits for its client to close its side;
//! 2. one that has sent nothing for [`limits::SILENT`]: of the address with the most places, the oldest;
//! 3. one that has been idle for at least [`limits::IDLE`], of an address that has more than half of all places, or
//!    more than twice as many as the newcomer's: of the address with the most places, the one that has been idle for
//!    the longest.
//!
//! A connection that draws, or has said hello and comes from an address with one or two places, is never evicted. Among
//! waiting clients, one that has sent something goes first, from the address with the fewest places.

mod rate_limit;
#[cfg(test)]
mod tests;

use crate::limits;
use draw_protocol::session::Peer;
pub(crate) use rate_limit::RateLimit;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::task::{AbortHandle, Id};

/// How often waiting clients are checked again.
pub(crate) const RECHECK: Duration = Duration::from_millis(20);

/// The place of a connection: its address, and what the server needs to know of its activity.
#[derive(Debug)]
pub(crate) struct Slot {
    peer: Peer,
    since: Instant,
    /// [`Activity`] in one word, since each turn of a connection writes it: two flags, and above them microseconds
    /// after `since`.
    state: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct Activity {
    has_spoken: bool,
    is_leaving: bool,
    /// When the connection last waited for its client.
    touched: Instant,
}

impl Slot {
    const SPOKEN: u64 = 1;
    const LEAVING: u64 = 2;
    /// The factor of the time, which is above the flags.
    const TIME: u64 = 4;

    /// Creates the slot of a connection without an address.
    pub(crate) fn new(now: Instant) -> Slot {
        Slot::of(Peer::default(), now)
    }

    pub(crate) fn of(peer: Peer, now: Instant) -> Slot {
        Slot { peer, since: now, state: AtomicU64::new(0) }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    fn activity(&self) -> Activity {
        let state = self.state.load(Relaxed);
        Activity {
            has_spoken: state & Slot::SPOKEN != 0,
            is_leaving: state & Slot::LEAVING != 0,
            touched: self.since + Duration::from_micros(state / Slot::TIME),
        }
    }

    /// Records that the connection waits for its client. Must not be called after [`Slot::leave`].
    pub(crate) fn touch(&self, has_spoken: bool, now: Instant) {
        let micros = now.saturating_duration_since(self.since).as_micros() as u64;
        self.state.store(micros * Slot::TIME + u64::from(has_spoken) * Slot::SPOKEN, Relaxed);
    }

    /// Records that the connection only waits for its client to close its side.
    pub(crate) fn leave(&self) {
        self.state.fetch_or(Slot::LEAVING, Relaxed);
    }
}

/// A client that waits for a place.
#[derive(Debug)]
struct Newcomer<T> {
    client: T,
    peer: Peer,
    since: Instant,
}

#[derive(Debug)]
struct Occupant {
    slot: Arc<Slot>,
    since: Instant,
    task: AbortHandle,
    /// It was evicted, and has not ended yet.
    is_evicted: bool,
}

/// The places of a server, and the clients that wait for one.
#[derive(Debug)]
pub(crate) struct Admission<T> {
    places: usize,
    occupants: HashMap<Id, Occupant>,
    /// Connections of each address that were not evicted.
    counts: HashMap<Peer, usize>,
    /// Connections that were evicted and have not ended yet.
    evicted: usize,
    waiting: VecDeque<Newcomer<T>>,
    /// Addresses for which the last search found no connection to evict, so that a flood of newcomers does not repeat
    /// the search for each.
    refused: HashSet<Peer>,
    rechecked: Instant,
}

/// What to do with a waiting client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision<T> {
    /// Serve it, and call [`Admission::occupy`].
    Admit(T, Peer),
    /// Tell it that the display is busy.
    TurnAway(T),
    /// Close its connection: it has sent nothing.
    Drop(T),
}

impl<T> Admission<T> {
    pub(crate) fn new(places: usize, now: Instant) -> Admission<T> {
        Admission {
            places,
            occupants: HashMap::new(),
            counts: HashMap::new(),
            evicted: 0,
            waiting: VecDeque::new(),
            refused: HashSet::new(),
            rechecked: now,
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.occupants.len() >= self.places
    }

    /// Returns whether any client waits, so that [`Admission::next`] has to be called again after a while.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn has_room_to_wait(&self) -> bool {
        self.waiting.len() < limits::WAITING
    }

    /// Returns the waiting clients, in order of arrival.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = T> {
        self.waiting.into_iter().map(|newcomer| newcomer.client)
    }

    /// Adds a client that waits.
    pub(crate) fn enqueue(&mut self, client: T, peer: Peer, now: Instant) {
        self.waiting.push_back(Newcomer { client, peer, since: now });
    }

    /// Records that a client was given a place, and is served by `task`.
    pub(crate) fn occupy(&mut self, task: AbortHandle, slot: Arc<Slot>, now: Instant) {
        *self.counts.entry(slot.peer).or_default() += 1;
        self.occupants.insert(task.id(), Occupant { slot, since: now, task, is_evicted: false });
    }

    /// Records that a task has ended. Returns whether it had a place.
    pub(crate) fn free(&mut self, task: Id) -> bool {
        let Some(holder) = self.occupants.remove(&task) else { return false };
        match holder.is_evicted {
            true => self.evicted -= 1,
            false => self.uncount(holder.slot.peer),
        }
        true
    }

    fn uncount(&mut self, peer: Peer) {
        if let Some(count) = self.counts.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&peer);
            }
        }
    }

    fn count(&self, peer: Peer) -> usize {
        self.counts.get(&peer).copied().unwrap_or(0)
    }

    /// Returns what to do now, if anything. `has_spoken` returns whether a waiting client has sent anything.
    pub(crate) fn next(&mut self, now: Instant, has_spoken: impl Fn(&T) -> bool) -> Option<Decision<T>> {
        if self.waiting.is_empty() {
            return None;
        }
        if !self.is_full() {
            // Clients of the same address keep their order.
            let key = |newcomer: &Newcomer<T>| (!has_spoken(&newcomer.client), self.count(newcomer.peer));
            let first = match self.waiting.len() {
                1 => Some(0),
                waiting => (0..waiting).min_by_key(|&number| key(&self.waiting[number])),
            };
            return first
                .and_then(|first| self.take(first))
                .map(|newcomer| Decision::Admit(newcomer.client, newcomer.peer));
        }
        let is_late = |newcomer: &Newcomer<T>, time| now.saturating_duration_since(newcomer.since) >= time;
        let is_crowded = !self.has_room_to_wait();
        let (mut wanting, mut silent) = (Vec::new(), None);
        for (number, newcomer) in self.waiting.iter().enumerate() {
            if has_spoken(&newcomer.client) {
                wanting.push((self.count(newcomer.peer), number, newcomer.peer));
            } else if is_late(newcomer, limits::WAITING_TIME)
                || (is_crowded && is_late(newcomer, limits::WAITING_SILENT))
            {
                silent = silent.or(Some(number));
            }
        }
        // A silent client makes room for the next one to wait.
        if let Some(newcomer) = silent.and_then(|silent| self.take(silent)) {
            return Some(Decision::Drop(newcomer.client));
        }
        let is_each_wanting = wanting.len() == self.waiting.len();
        wanting.sort_unstable_by_key(|&(count, number, _)| (count, number));
        self.make_room(&wanting, now);
        let late = self.waiting.iter().position(|newcomer| is_late(newcomer, limits::WAITING_TIME));
        // All waiting clients have sent something, and no connection is being evicted.
        let is_over = is_crowded && is_each_wanting && self.evicted == 0;
        let most =
            wanting.iter().filter(|_| is_over).max_by_key(|&&(count, number, _)| (count, Reverse(number)));
        let refused = late.or(most.map(|&(_, number, _)| number));
        refused.and_then(|refused| self.take(refused)).map(|newcomer| Decision::TurnAway(newcomer.client))
    }

    fn take(&mut self, number: usize) -> Option<Newcomer<T>> {
        self.waiting.remove(number)
    }

    /// Evicts a connection for each of these waiting clients, in this order, where that is allowed.
    fn make_room(&mut self, wanting: &[(usize, usize, Peer)], now: Instant) {
        if now.saturating_duration_since(self.rechecked) >= RECHECK {
            self.refused.clear();
            self.rechecked = now;
        }
        for (before, &(count, _, peer)) in wanting.iter().enumerate().skip(self.evicted) {
            if self.refused.contains(&peer) {
                continue;
            }
            let coming = wanting[..before].iter().filter(|(.., other)| *other == peer).count();
            let Some(victim) = self.victim(peer, count + coming, now) else {
                self.refused.insert(peer);
                continue;
            };
            if let Some(holder) = self.occupants.get_mut(&victim) {
                holder.is_evicted = true;
                holder.task.abort();
                self.evicted += 1;
                let peer = holder.slot.peer;
                self.uncount(peer);
            }
        }
    }

    /// Returns the connection to evict for a client from `peer`, which has `held` places.
    fn victim(&self, peer: Peer, held: usize, now: Instant) -> Option<Id> {
        let is_over = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        let rank = |holder: &Occupant| {
            let (activity, of) = (holder.slot.activity(), holder.slot.peer);
            if activity.is_leaving {
                return Some((2, 0, Reverse(holder.since)));
            }
            if !activity.has_spoken && is_over(holder.since, limits::SILENT) {
                return Some((1, self.count(of), Reverse(holder.since)));
            }
            let is_idle = of != peer && is_over(activity.touched, limits::IDLE);
            let count = if is_idle { self.count(of) } else { 0 };
            let is_crowd = count > self.places / 2 || count > 2 * (held + 1);
            is_crowd.then_some((0, count, Reverse(activity.touched)))
        };
        let staying = self.occupants.iter().filter(|(_, holder)| !holder.is_evicted);
        let ranked = staying.filter_map(|(id, holder)| Some((rank(holder)?, *id)));
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, id)| id)
    }
}
