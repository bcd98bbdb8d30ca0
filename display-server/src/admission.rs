//! Who has a place, who waits for one, and who has to give his to another.
//!
//! While there are places everybody who comes has one. When there are none left, those who come wait in a small room of
//! [`limits::WAITING`], for [`limits::WAITING_TIME`] at most: then they are told that the display is busy. A place becomes free when
//! somebody goes, and for one who has said something also when another gives it up:
//!
//! 1. one that is on its way out, and only waits for its client to end as well;
//! 2. one that has said nothing for [`limits::SILENT`]: of the address that has the most places, the one that came first;
//! 3. for one that comes from another address than the one that has more than half of all places: the one of that address that has
//!    been idle for the longest, and for [`limits::IDLE`] at least.
//!
//! A client that draws, or has greeted and comes from an address with less than half of the places, is never among them.

mod pace;
#[cfg(test)]
mod tests;

use draw_protocol::limits;
pub(crate) use pace::Pace;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;
use tokio::task::{AbortHandle, Id};

/// What a connection lets others know of what it does.
#[derive(Debug)]
pub(crate) struct Seat(Mutex<State>);

#[derive(Debug, Clone, Copy)]
struct State {
    has_spoken: bool,
    is_leaving: bool,
    /// When it last waited for its client.
    touched: Instant,
}

impl Seat {
    pub(crate) fn new(now: Instant) -> Seat {
        Seat(Mutex::new(State { has_spoken: false, is_leaving: false, touched: now }))
    }

    fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It begins to wait for its client.
    pub(crate) fn touch(&self, has_spoken: bool, now: Instant) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.has_spoken, state.touched) = (has_spoken, now);
    }

    /// It only waits for its client to end as well.
    pub(crate) fn leave(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_leaving = true;
    }
}

/// Where a client comes from: machines have one address of version 4, and a network of version 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Origin(IpAddr);

impl From<IpAddr> for Origin {
    fn from(address: IpAddr) -> Origin {
        Origin(match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        })
    }
}

/// One that waits for a place, with whatever it is.
#[derive(Debug)]
struct Newcomer<T> {
    client: T,
    origin: Origin,
    since: Instant,
}

#[derive(Debug)]
struct Holder {
    seat: Arc<Seat>,
    origin: Origin,
    since: Instant,
    task: AbortHandle,
    /// It was told to go.
    is_evicted: bool,
}

/// The places of a server.
#[derive(Debug)]
pub(crate) struct Admission<T> {
    places: usize,
    holders: HashMap<Id, Holder>,
    origins: HashMap<Origin, usize>,
    waiting: VecDeque<Newcomer<T>>,
}

/// What is to be done for one that waits.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next<T> {
    /// Give it a place, with [`Admission::seat`].
    Admit(T, Origin),
    /// Tell it that there is none.
    TurnAway(T),
    /// It has said nothing: let it go.
    Drop(T),
}

impl<T> Admission<T> {
    pub(crate) fn new(places: usize) -> Admission<T> {
        Admission { places, holders: HashMap::new(), origins: HashMap::new(), waiting: VecDeque::new() }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.holders.len() >= self.places
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
    pub(crate) fn come(&mut self, client: T, address: IpAddr, now: Instant) {
        self.waiting.push_back(Newcomer { client, origin: address.into(), since: now });
    }

    /// One was given a place, as `task`.
    pub(crate) fn seat(&mut self, task: AbortHandle, origin: Origin, seat: Arc<Seat>, now: Instant) {
        *self.origins.entry(origin).or_default() += 1;
        let holder = Holder { seat, origin, since: now, task: task.clone(), is_evicted: false };
        self.holders.insert(task.id(), holder);
    }

    /// A task is over. Answers whether it had a place.
    pub(crate) fn free(&mut self, task: Id) -> bool {
        let Some(holder) = self.holders.remove(&task) else { return false };
        if let Some(count) = self.origins.get_mut(&holder.origin) {
            *count -= 1;
            if *count == 0 {
                self.origins.remove(&holder.origin);
            }
        }
        true
    }

    /// What is to be done now, if anything. `has_spoken` finds out whether one that waits has said anything.
    pub(crate) fn next(&mut self, now: Instant, has_spoken: impl Fn(&T) -> bool) -> Option<Next<T>> {
        if !self.is_full() {
            return self.waiting.pop_front().map(|newcomer| Next::Admit(newcomer.client, newcomer.origin));
        }
        let is_late = |newcomer: &Newcomer<T>| now.saturating_duration_since(newcomer.since);
        let is_crowded = !self.has_room_to_wait();
        // One that has said nothing makes room for the next to wait.
        let silent = self.waiting.iter().position(|newcomer| {
            let waits = is_late(newcomer);
            (waits >= limits::WAITING_TIME || (is_crowded && waits >= limits::WAITING_SILENT))
                && !has_spoken(&newcomer.client)
        });
        if let Some(newcomer) = silent.and_then(|silent| self.waiting.remove(silent)) {
            return Some(Next::Drop(newcomer.client));
        }
        let mut evicted = self.holders.values().filter(|holder| holder.is_evicted).count();
        let wanting: Vec<_> = (self.waiting.iter().enumerate())
            .filter(|(_, newcomer)| has_spoken(&newcomer.client))
            .map(|(number, newcomer)| (number, newcomer.origin))
            .collect();
        // Who has said something goes before those who have not.
        if let Some(&(first, _)) = wanting.first()
            && let Some(newcomer) = self.waiting.remove(first)
        {
            self.waiting.push_front(newcomer);
        }
        for (_, origin) in wanting.iter().skip(evicted) {
            let Some(victim) = self.victim(*origin, now) else { break };
            if let Some(holder) = self.holders.get_mut(&victim) {
                holder.is_evicted = true;
                holder.task.abort();
                evicted += 1;
            }
        }
        // All who wait have something to say, and nobody makes room.
        let is_over = is_crowded && wanting.len() == self.waiting.len() && evicted == 0;
        let late = |newcomer: &Newcomer<T>| is_late(newcomer) >= limits::WAITING_TIME;
        let front = self.waiting.front().is_some_and(|newcomer| is_over || late(newcomer));
        if front {
            return self.waiting.pop_front().map(|newcomer| Next::TurnAway(newcomer.client));
        }
        None
    }

    /// Who gives its place to one from `origin`.
    fn victim(&self, origin: Origin, now: Instant) -> Option<Id> {
        let staying = || self.holders.iter().filter(|(_, holder)| !holder.is_evicted);
        let count = |holder: &Holder| self.origins.get(&holder.origin).copied().unwrap_or(0);
        let leaving = staying().filter(|(_, holder)| holder.seat.state().is_leaving);
        if let Some((id, _)) = leaving.min_by_key(|(_, holder)| holder.since) {
            return Some(*id);
        }
        let silent = staying().filter(|(_, holder)| {
            !holder.seat.state().has_spoken && now.saturating_duration_since(holder.since) >= limits::SILENT
        });
        let most = silent.max_by_key(|(_, holder)| (count(holder), std::cmp::Reverse(holder.since)));
        if let Some((id, _)) = most {
            return Some(*id);
        }
        let crowd =
            staying().filter(|(_, holder)| holder.origin != origin && count(holder) > self.places / 2);
        let touched = crowd.map(|(id, holder)| (holder.seat.state().touched, *id));
        let idle = touched.filter(|(at, _)| now.saturating_duration_since(*at) >= limits::IDLE);
        idle.min_by_key(|(at, _)| *at).map(|(_, id)| id)
    }
}
