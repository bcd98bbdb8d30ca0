//! The shared part of the memory: how much each connection holds, and which ones wait.

use super::{Progress, WaitsFor};
use crate::limits;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Waker;
use std::time::{Duration, Instant};

/// For each of this many units of its total, a waiting connection lets later ones overtake ...
const SMALL: usize = 1 << 10;
/// ... for this long: a connection with 16 MiB lets those with less than 1 MiB overtake for four seconds.
const LETS: Duration = Duration::from_millis(250);
/// For how long a connection that is not proven lets proven ones overtake.
const LETS_PROVEN: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Pool {
    units: usize,
    /// Units reserved for one connection at a time to complete a message.
    finish: usize,
    /// The connection that uses them, until it holds no memory.
    finisher: Option<u64>,
    /// Units that were added to the reserves of connections.
    bands: usize,
    /// Units that were granted, and those of them to connections that are not proven.
    used: usize,
    used_unproven: usize,
    members: HashMap<u64, Member>,
    /// Waiting connections, in the order in which they are served.
    queue: BTreeMap<Place, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Member {
    band: usize,
    units: usize,
    /// Units that were granted before it was proven.
    unproven: usize,
    place: Option<Place>,
    progress: Arc<Progress>,
}

/// The priority of a waiting connection, and the order of arrival.
type Place = (Instant, u64);

#[derive(Debug)]
struct Waiting {
    want: Want,
    waker: Waker,
}

/// The units that a connection asks for, beyond those it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    pub(super) id: u64,
    pub(super) units: usize,
    pub(super) is_proven: bool,
}

impl Pool {
    /// Creates a pool of `units`, of which `finish` are reserved for completing messages.
    pub(super) fn new(units: usize, finish: usize) -> Pool {
        let (members, queue) = (HashMap::new(), BTreeMap::new());
        // In a small pool this may be too little.
        let finish = finish.min(units / 4);
        Pool { units, finish, finisher: None, bands: 0, used: 0, used_unproven: 0, members, queue, next: 0 }
    }

    /// Adds a connection. Returns its id.
    pub(super) fn enter(&mut self, progress: Arc<Progress>) -> u64 {
        self.next += 1;
        self.members.insert(self.next, Member { band: 0, units: 0, unproven: 0, place: None, progress });
        self.next
    }

    /// Adds `band` units to the reserve of a connection, if there is room and no connection waits. Returns whether that
    /// was so.
    pub(super) fn take_band(&mut self, id: u64, band: usize) -> bool {
        let has_room = self.used + self.bands + band + self.finish <= self.units && self.queue.is_empty();
        if has_room && let Some(member) = self.members.get_mut(&id) {
            member.band += band;
            self.bands += band;
        }
        has_room
    }

    /// Removes a connection, and frees the memory that it held.
    pub(super) fn leave(&mut self, id: u64) {
        let Some(member) = self.members.remove(&id) else { return };
        if let Some(place) = member.place {
            self.queue.remove(&place);
        }
        self.bands -= member.band;
        self.used -= member.units;
        self.used_unproven -= member.unproven;
        self.finisher = self.finisher.filter(|finisher| *finisher != id);
        self.serve();
    }

    /// Returns the units that a connection holds.
    fn held(&self, id: u64) -> usize {
        self.members.get(&id).map_or(0, |member| member.units)
    }

    /// Returns whether there is room for this request. If no other connection holds memory, there always is.
    fn fits(&self, want: &Want) -> bool {
        self.used == self.held(want.id) || self.is_room(want, self.finish)
    }

    /// Returns whether the connection may use the part reserved for completing messages.
    fn may_finish(&self, want: &Want) -> bool {
        let is_free = self.finisher.is_none_or(|finisher| finisher == want.id);
        is_free && self.held(want.id) > 0 && self.is_room(want, 0)
    }

    /// Returns whether there is room for this request when `alone` units are left free.
    fn is_room(&self, want: &Want, alone: usize) -> bool {
        let shared = self.units.saturating_sub(self.bands);
        let for_unproven = shared - shared / limits::RESERVED_PART;
        self.used + want.units + alone <= shared
            && (want.is_proven || self.used_unproven + want.units + alone <= for_unproven)
    }

    fn grant(&mut self, want: &Want) {
        let unproven = if want.is_proven { 0 } else { want.units };
        if let Some(member) = self.members.get_mut(&want.id) {
            member.units += want.units;
            member.unproven += unproven;
            member.place = None;
            self.used += want.units;
            self.used_unproven += unproven;
        }
    }

    fn place(&self, want: &Want, now: Instant) -> Instant {
        let has = self.held(want.id);
        let lets = LETS.saturating_mul(u32::try_from((has + want.units) / SMALL).unwrap_or(u32::MAX));
        let lets = lets.min(limits::MEMORY_TIMEOUT / 2);
        now + lets + if want.is_proven { Duration::ZERO } else { LETS_PROVEN }
    }

    /// Grants the request if there is room and no waiting connection has a higher priority.
    pub(super) fn try_take(&mut self, want: Want, now: Instant) -> bool {
        let at = self.place(&want, now);
        // A waiting connection that is not proven does not block a proven one, which may use more of the memory.
        let is_before = |(place, waiting): (&Place, &Waiting)| {
            place.0 <= at && (waiting.want.is_proven || !want.is_proven)
        };
        if !self.fits(&want) || self.queue.iter().any(is_before) {
            if !self.may_finish(&want) {
                return false;
            }
            self.finisher = Some(want.id);
        }
        self.grant(&want);
        true
    }

    /// Grants the request, or queues it. Returns whether it was granted.
    pub(super) fn take_or_wait(&mut self, want: Want, waker: &Waker, now: Instant) -> bool {
        if self.try_take(want, now) {
            return true;
        }
        self.next += 1;
        let place = (self.place(&want, now), self.next);
        if let Some(member) = self.members.get_mut(&want.id) {
            member.place = Some(place);
            self.queue.insert(place, Waiting { want, waker: waker.clone() });
        }
        false
    }

    pub(super) fn set_waker(&mut self, id: u64, waker: &Waker) {
        let place = self.members.get(&id).and_then(|member| member.place);
        if let Some(waiting) = place.and_then(|place| self.queue.get_mut(&place))
            && !waiting.waker.will_wake(waker)
        {
            waiting.waker = waker.clone();
        }
    }

    /// Returns whether the connection waits. If it waited before, its request was granted.
    pub(super) fn is_waiting(&self, id: u64) -> bool {
        self.members.get(&id).is_some_and(|member| member.place.is_some())
    }

    pub(super) fn stop_waiting(&mut self, id: u64) {
        let place = self.members.get_mut(&id).and_then(|member| member.place.take());
        if let Some(place) = place {
            self.queue.remove(&place);
            // It may have blocked other connections.
            self.serve();
        }
    }

    pub(super) fn give_back(&mut self, id: u64, units: usize) {
        let Some(member) = self.members.get_mut(&id) else { return };
        member.units -= units;
        let unproven = member.unproven.saturating_sub(member.units);
        member.unproven -= unproven;
        self.used -= units;
        self.used_unproven -= unproven;
        if self.held(id) == 0 {
            self.finisher = self.finisher.filter(|finisher| *finisher != id);
        }
        self.serve();
    }

    /// Grants waiting requests that fit, in order. A proven connection does not wait for one that is not.
    fn serve(&mut self) {
        loop {
            let mut is_blocked = false;
            let found = self.queue.iter().find_map(|(place, Waiting { want, .. })| {
                match (self.fits(want), want.is_proven) {
                    (_, false) if is_blocked => None,
                    (true, _) => Some(Some(*place)),
                    (false, true) => Some(None),
                    (false, false) => {
                        is_blocked = true;
                        None
                    }
                }
            });
            let mut place = found.flatten();
            if place.is_none()
                && let Some((finishing, waiting)) =
                    self.queue.iter().find(|(_, waiting)| self.may_finish(&waiting.want))
            {
                self.finisher = Some(waiting.want.id);
                place = Some(*finishing);
            }
            let Some(Waiting { want, waker }) = place.and_then(|place| self.queue.remove(&place)) else {
                return;
            };
            self.grant(&want);
            waker.wake();
        }
    }

    /// Cuts connections that hold memory and make no progress, the largest first, until there is enough for connection
    /// `id`. `now` is in milliseconds.
    pub(super) fn reclaim(&mut self, id: u64, now: u64) {
        let Some(asking) = self.members.get(&id) else { return };
        let waiting = asking.place.and_then(|place| self.queue.get(&place));
        let Some(mut wanted) = waiting.map(|waiting| waiting.want.units) else { return };
        let in_all = asking.units + wanted;
        let patience = limits::RECLAIM.as_millis() as u64;
        let is_stuck = |member: &Member, waits: WaitsFor, patience: u64| {
            let progress = &member.progress;
            progress.waits.load(Relaxed) == waits as u8
                && now.saturating_sub(progress.since.load(Relaxed)) >= patience
        };
        let is_cut = |member: &Member| member.progress.is_cut.load(Relaxed);
        let cut = |member: &Member| {
            member.progress.is_cut.store(true, Relaxed);
            member.progress.cut.wake();
        };
        let mut holders: Vec<_> =
            self.members.iter().filter(|(other, member)| **other != id && member.units > 0).collect();
        holders.sort_by_key(|(other, member)| (std::cmp::Reverse(member.units), **other));
        for (_, member) in &holders {
            // A connection that waits for memory itself is cut if it holds much more than this one will.
            let is_in_the_way = is_stuck(member, WaitsFor::Client, patience)
                || (member.units > 2 * in_all && is_stuck(member, WaitsFor::Memory, patience));
            if wanted > 0 && (is_cut(member) || is_in_the_way) {
                wanted = wanted.saturating_sub(member.units);
                cut(member);
            }
        }
        // All connections that hold memory may wait for each other, if one needs more than the part reserved for
        // completing messages.
        let gets_on = |member: &Member| is_cut(member) || !is_stuck(member, WaitsFor::Memory, 2 * patience);
        if !holders.iter().any(|(_, member)| gets_on(member)) {
            for (_, member) in holders {
                if wanted > 0 {
                    wanted = wanted.saturating_sub(member.units);
                    cut(member);
                }
            }
        }
    }
}
