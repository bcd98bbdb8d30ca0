//! Who has a place, who waits for one, and who has to give his to another.
//!
//! While there are places everybody who comes has one. When there are none left, those who enqueue wait in a small room of
//! [`limits::WAITING`], for [`limits::WAITING_TIME`] at most: then they are told that the display is busy. A place becomes free when
//! somebody goes, and for one who has said something also when another gives it up:
//!
//! 1. one that is on its way out, and only waits for its client to end as well;
//! 2. one that has said nothing for [`limits::SILENT`]: of the address that has the most places, the one that came first;
//! 3. one that has been idle for [`limits::IDLE`] at least, of an address that has more than half of all places, or more than twice as
//!    many as the newcomer's: of the address that has the most, the one that has been idle for the longest.
//!
//! A client that draws, or has greeted and comes from an address with one or two places, is never among them. Of those that wait, one
//! that has said something goes first, from the address that has the fewest places.

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

/// How often it is rechecked after those who wait for a place.
pub(crate) const RECHECK: Duration = Duration::from_millis(20);

/// What a connection lets others know of what it does, and where it comes from.
#[derive(Debug)]
pub(crate) struct Slot {
    peer: Peer,
    since: Instant,
    /// [`State`] in one word, since each turn of a connection writes it: two flags, and above them microseconds after `since`.
    state: AtomicU64,
}

#[derive(Debug, Clone, Copy)]
struct State {
    has_spoken: bool,
    is_leaving: bool,
    /// When it last waited for its client.
    touched: Instant,
}

impl Slot {
    const SPOKEN: u64 = 1;
    const LEAVING: u64 = 2;
    /// What the time is multiplied by.
    const TIME: u64 = 4;

    /// The slot of a connection that comes from no address.
    pub(crate) fn new(now: Instant) -> Slot {
        Slot::of(Peer::default(), now)
    }

    pub(crate) fn of(peer: Peer, now: Instant) -> Slot {
        Slot { peer, since: now, state: AtomicU64::new(0) }
    }

    pub(crate) fn peer(&self) -> Peer {
        self.peer
    }

    fn state(&self) -> State {
        let state = self.state.load(Relaxed);
        State {
            has_spoken: state & Slot::SPOKEN != 0,
            is_leaving: state & Slot::LEAVING != 0,
            touched: self.since + Duration::from_micros(state / Slot::TIME),
        }
    }

    /// It begins to wait for its client. Not called after [`Slot::leave`].
    pub(crate) fn touch(&self, has_spoken: bool, now: Instant) {
        let micros = now.saturating_duration_since(self.since).as_micros() as u64;
        self.state.store(micros * Slot::TIME + u64::from(has_spoken) * Slot::SPOKEN, Relaxed);
    }

    /// It only waits for its client to end as well.
    pub(crate) fn leave(&self) {
        self.state.fetch_or(Slot::LEAVING, Relaxed);
    }
}

/// One that waits for a place, with whatever it is.
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
    /// It was told to go.
    is_evicted: bool,
}

/// The places of a server.
#[derive(Debug)]
pub(crate) struct Admission<T> {
    places: usize,
    occupants: HashMap<Id, Occupant>,
    /// How many each has that were not told to go.
    counts: HashMap<Peer, usize>,
    /// Holders that were told to go and have not gone yet.
    evicted: usize,
    waiting: VecDeque<Newcomer<T>>,
    /// Addresses for which no holder gives up a place, as far as the last search found: a flood of newcomers does not repeat the search
    /// for each.
    refused: HashSet<Peer>,
    rechecked: Instant,
}

/// What is to be done for one that waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision<T> {
    /// Give it a place, with [`Admission::occupy`].
    Admit(T, Peer),
    /// Tell it that there is none.
    TurnAway(T),
    /// It has said nothing: let it go.
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

    /// Whether anybody waits, so that [`Admission::next`] is to be asked again in a while.
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(crate) fn has_room_to_wait(&self) -> bool {
        self.waiting.len() < limits::WAITING
    }

    /// Returns those that wait, in the order in which they came.
    pub(crate) fn into_waiting(self) -> impl Iterator<Item = T> {
        self.waiting.into_iter().map(|newcomer| newcomer.client)
    }

    /// One more comes.
    pub(crate) fn enqueue(&mut self, client: T, peer: Peer, now: Instant) {
        self.waiting.push_back(Newcomer { client, peer, since: now });
    }

    /// One was given a place, as `task`.
    pub(crate) fn occupy(&mut self, task: AbortHandle, slot: Arc<Slot>, now: Instant) {
        *self.counts.entry(slot.peer).or_default() += 1;
        self.occupants.insert(task.id(), Occupant { slot, since: now, task, is_evicted: false });
    }

    /// A task is over. Answers whether it had a place.
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

    /// What is to be done now, if anything. `has_spoken` finds out whether one that waits has said anything.
    pub(crate) fn next(&mut self, now: Instant, has_spoken: impl Fn(&T) -> bool) -> Option<Decision<T>> {
        if self.waiting.is_empty() {
            return None;
        }
        if !self.is_full() {
            // Those of an address keep their order.
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
        // One that has said nothing makes room for the next to wait.
        if let Some(newcomer) = silent.and_then(|silent| self.take(silent)) {
            return Some(Decision::Drop(newcomer.client));
        }
        let is_each_wanting = wanting.len() == self.waiting.len();
        wanting.sort_unstable_by_key(|&(count, number, _)| (count, number));
        self.make_room(&wanting, now);
        let late = self.waiting.iter().position(|newcomer| is_late(newcomer, limits::WAITING_TIME));
        // All that wait have something to say, and no holder makes room.
        let is_over = is_crowded && is_each_wanting && self.evicted == 0;
        let most =
            wanting.iter().filter(|_| is_over).max_by_key(|&&(count, number, _)| (count, Reverse(number)));
        let refused = late.or(most.map(|&(_, number, _)| number));
        refused.and_then(|refused| self.take(refused)).map(|newcomer| Decision::TurnAway(newcomer.client))
    }

    fn take(&mut self, number: usize) -> Option<Newcomer<T>> {
        self.waiting.remove(number)
    }

    /// Has somebody give up a place for each of these who wait, in this order, where that is possible.
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

    /// Who gives its place to one from `peer`, which has `held` places.
    fn victim(&self, peer: Peer, held: usize, now: Instant) -> Option<Id> {
        let is_over = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        let rank = |holder: &Occupant| {
            let (state, of) = (holder.slot.state(), holder.slot.peer);
            if state.is_leaving {
                return Some((2, 0, Reverse(holder.since)));
            }
            if !state.has_spoken && is_over(holder.since, limits::SILENT) {
                return Some((1, self.count(of), Reverse(holder.since)));
            }
            let is_idle = of != peer && is_over(state.touched, limits::IDLE);
            let count = if is_idle { self.count(of) } else { 0 };
            let is_crowd = count > self.places / 2 || count > 2 * (held + 1);
            is_crowd.then_some((0, count, Reverse(state.touched)))
        };
        let staying = self.occupants.iter().filter(|(_, holder)| !holder.is_evicted);
        let ranked = staying.filter_map(|(id, holder)| Some((rank(holder)?, *id)));
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, id)| id)
    }
}
