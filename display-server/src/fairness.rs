//! How the processor is shared: cheap calls do not wait for expensive ones.
//!
//! A connection has an allowance of work, which fills up with time. One that has used it up is heavy, and executes only while it has
//! a place in the [`Lane`]. There are two, given out to one address after the other. A connection keeps its place while it
//! lets other tasks run, and gives it up when it waits for its client, or at the end of a slice if others wait for the lane.
//!
//! Those that wait are in the queue of the lane and not in that of the runtime. So, however many clients ask for as much as they can,
//! the runtime has at most two turns of theirs to run before a cheap call. A heavy client that is alone never waits.

use crate::turns::Turns;
use draw_protocol::session::Peer;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Pixels after which a connection lets others run: a quarter of a millisecond of filling, up to a millisecond on a slow machine. With
/// half of it, 20 clients that fill without a pause get a tenth less done, since each switch also sends answers.
pub(crate) const WORK: u64 = 1_000_000;

/// What a request costs beside its pixels, in those: some 50 ns.
pub(crate) const CALL: u64 = 50;

/// The work that a connection may have done beyond what time allows and not be heavy: 0.1 ms, so that a hundred that come at once
/// are 10 ms, once.
const ALLOWANCE: u64 = 100_000;

/// The time that allows one pixel: a client that waits for each of its calls makes 50,000 of them in a second, which is half of that.
/// A hundred of them take half a processor, in small pieces.
const PIXEL_TIME: Duration = Duration::from_nanos(200);

/// Connections in the lane at a time: two that draw use two cores; more cores would mostly wait for memory.
const PLACES: usize = 2;

/// Where heavy connections take turns. Clones are the same lane.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lane(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Never held while anything else is called.
    places: Mutex<Places>,
    /// Connections that wait. It is read without the lock, and may be late.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Places {
    taken: usize,
    /// There is somebody only while all places are taken. Some may have ceased to wait.
    turns: Turns<oneshot::Sender<Place>>,
}

impl Lane {
    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_wanted(&self) -> bool {
        self.0.waiting.load(Relaxed) > 0
    }

    /// Returns a place if one is free. Then nobody waits for it.
    fn try_enter(&self) -> Option<Place> {
        let mut places = self.places();
        let is_free = places.taken < PLACES;
        if is_free {
            places.taken += 1;
        }
        is_free.then(|| Place(Some(self.clone())))
    }

    /// Returns where a place for one from `peer` comes.
    fn enter(&self, peer: Peer) -> Entering {
        self.0.waiting.fetch_add(1, Relaxed);
        let (sender, turn) = oneshot::channel();
        self.places().turns.push(peer, sender);
        let entering = Entering { lane: self.clone(), turn };
        // One may have become free meanwhile.
        if let Some(place) = self.try_enter() {
            drop(place);
        }
        entering
    }
}

/// A place in the lane, which is for the next when it is dropped.
#[derive(Debug)]
struct Place(Option<Lane>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some(lane) = self.0.take() else { return };
        loop {
            let mut places = lane.places();
            let Some(next) = places.turns.pop() else {
                places.taken -= 1;
                return;
            };
            drop(places);
            match next.send(Place(Some(lane.clone()))) {
                Ok(()) => return,
                // It has ceased to wait: the place is for the one behind it.
                Err(mut place) => place.0 = None,
            }
        }
    }
}

/// A connection that waits for a place.
#[derive(Debug)]
struct Entering {
    lane: Lane,
    turn: oneshot::Receiver<Place>,
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.lane.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// The work of one connection.
pub(crate) struct Work {
    lane: Lane,
    peer: Peer,
    /// Done, beyond what time has allowed until then.
    owed: u64,
    at: Instant,
    place: Option<Place>,
    entering: Option<Entering>,
    /// Done since it last let others run.
    unbroken: u64,
}

impl Work {
    pub(crate) fn new(lane: &Lane, peer: Peer, now: Instant) -> Work {
        Work { lane: lane.clone(), peer, owed: 0, at: now, place: None, entering: None, unbroken: 0 }
    }

    /// Returns what may be done in a turn that begins now: nothing if the connection has to wait for a place.
    pub(crate) fn may_do(&mut self, now: Instant) -> u64 {
        if self.place.is_none() {
            let passed = now.saturating_duration_since(self.at).as_nanos() / PIXEL_TIME.as_nanos();
            let passed = u64::try_from(passed).unwrap_or(u64::MAX);
            if passed > 0 {
                self.owed = self.owed.saturating_sub(passed).min(WORK);
                self.at = now;
            }
            if self.owed < ALLOWANCE {
                // It needs no turn any more, if it has waited for one.
                self.entering = None;
                return ALLOWANCE - self.owed;
            }
            self.place = self.lane.try_enter();
        }
        match self.place {
            Some(_) => WORK.saturating_sub(self.unbroken).max(1),
            None => 0,
        }
    }

    /// Counts the work that was done in a turn. Returns whether others are to run before the next.
    pub(crate) fn did(&mut self, work: u64) -> bool {
        self.owed = self.owed.saturating_add(work);
        self.unbroken = self.unbroken.saturating_add(work);
        let is_over = self.unbroken >= WORK;
        if is_over && self.lane.is_wanted() {
            self.place = None;
        }
        is_over
    }

    /// Gives up the place and the turn of a connection that executes nothing more.
    pub(crate) fn leave(&mut self) {
        (self.place, self.entering) = (None, None);
    }

    /// Begins a new slice: the connection lets others run, and keeps its place meanwhile.
    pub(crate) fn pause(&mut self) {
        self.unbroken = 0;
    }

    /// Gives up the place: the connection waits for something else than its turn.
    pub(crate) fn wait(&mut self) {
        (self.place, self.unbroken) = (None, 0);
    }

    /// Ready when the connection has a place.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Work { lane, peer, entering, .. } = self;
        let entering = entering.get_or_insert_with(|| lane.enter(*peer));
        // Without a place, which is never so, it asks again.
        self.place = ready!(Pin::new(&mut entering.turn).poll(cx)).ok();
        self.entering = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::net::IpAddr;
    use std::task::Waker;

    fn is_ready(work: &mut Work) -> bool {
        work.poll_turn(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Some that have done more than they may.
    fn heavy(lane: &Lane, count: usize, now: Instant) -> Vec<Work> {
        let mut heavy: Vec<_> = (0..count).map(|_| Work::new(lane, Peer::default(), now)).collect();
        for work in &mut heavy {
            assert!(work.may_do(now) > 0);
            _ = work.did(WORK);
            work.wait();
        }
        heavy
    }

    #[test]
    fn one_that_is_alone_never_waits_and_lets_others_run_now_and_then() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut work = Work::new(&lane, Peer::default(), now);
        assert_eq!(work.may_do(now), ALLOWANCE);
        assert!(!work.did(ALLOWANCE));
        assert_eq!(work.may_do(now), WORK - ALLOWANCE);
        assert!(work.did(WORK - ALLOWANCE));
        for _ in 0..10 {
            work.pause();
            assert_eq!(work.may_do(now), WORK);
            assert!(work.did(WORK));
        }
    }

    #[test]
    fn a_place_is_kept_until_its_holder_waits_or_its_slice_is_over_and_others_wait() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 4, now);
        assert!(heavy[0].may_do(now) > 0 && heavy[1].may_do(now) > 0);
        assert!(heavy[0].did(WORK), "its slice is over");
        heavy[0].pause();
        assert_eq!(heavy[2].may_do(now), 0, "the first keeps its place while it lets others run");
        assert!(!is_ready(&mut heavy[2]));
        assert!(!heavy[0].did(WORK / 2));
        assert!(!is_ready(&mut heavy[2]), "the slice is not over");
        assert!(heavy[0].did(WORK / 2));
        assert!(is_ready(&mut heavy[2]));
        assert_eq!(heavy[2].may_do(now), WORK);
        assert_eq!(heavy[0].may_do(now), 0, "the first waits for its next turn");

        assert_eq!(heavy[3].may_do(now), 0);
        heavy[1].wait();
        assert!(heavy[3].may_do(now) > 0, "a connection that waits for its client has no place");
    }

    #[test]
    fn the_heavy_take_turns_and_one_that_asks_for_little_waits_for_none_of_them() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 8, now);
        for (number, work) in heavy.iter_mut().enumerate() {
            assert_eq!(work.may_do(now) > 0, number < PLACES, "two are in the lane");
        }
        assert!(heavy[2..].iter_mut().all(|work| !is_ready(work)));
        assert_eq!(Work::new(&lane, Peer::default(), now).may_do(now), ALLOWANCE);
        // Each slice that ends lets in the one that has waited the longest, and no other.
        for turn in 0..40 {
            let (leaving, next) = (turn % 8, (turn + 2) % 8);
            assert!(heavy[leaving].did(WORK));
            heavy[leaving].pause();
            assert_eq!(heavy[leaving].may_do(now), 0);
            for (number, work) in heavy.iter_mut().enumerate().filter(|(_, work)| work.place.is_none()) {
                assert_eq!(is_ready(work), number == next, "{number} in turn {turn}");
            }
        }
    }

    #[test]
    fn a_heavy_client_has_as_many_turns_as_all_those_of_another_address() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 20, now);
        heavy[19].peer = IpAddr::from([10, 0, 0, 9]).into();
        let (mut turns, mut holders) = ([0; 20], VecDeque::new());
        for _ in 0..80 {
            for (number, work) in heavy.iter_mut().enumerate().filter(|(_, work)| work.place.is_none()) {
                if work.may_do(now) > 0 || is_ready(work) {
                    holders.push_back(number);
                }
            }
            let first = holders.pop_front().expect("two are in the lane");
            turns[first] += 1;
            assert!(heavy[first].did(WORK));
            heavy[first].pause();
        }
        // While it has one of the two places, the others may take more than one turn.
        assert!(turns[19] >= 20, "{turns:?}");
    }

    #[test]
    fn one_that_goes_while_it_waits_is_in_nobody_s_way() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 4, now);
        assert!(heavy[0].may_do(now) > 0 && heavy[1].may_do(now) > 0);
        assert!(!is_ready(&mut heavy[2]) && !is_ready(&mut heavy[3]));
        drop(heavy.remove(2));
        assert!(heavy[0].did(WORK));
        assert!(is_ready(&mut heavy[2]));
        assert_eq!(lane.0.waiting.load(Relaxed), 0);
    }

    #[test]
    fn a_turn_that_is_not_wanted_any_more_is_for_the_next() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 6, now);
        assert!(heavy[0].may_do(now) > 0 && heavy[1].may_do(now) > 0);
        assert!(heavy[2..].iter_mut().all(|work| !is_ready(work)));
        // Whoever ends, and whoever has become light, keeps neither a place nor its turn in the queue.
        heavy[2].leave();
        assert!(heavy[3].may_do(now + PIXEL_TIME * WORK as u32) > 0);
        heavy[0].leave();
        assert!(is_ready(&mut heavy[4]));
        assert_eq!(lane.0.waiting.load(Relaxed), 1);
    }

    #[test]
    fn time_makes_a_heavy_one_light_again() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 3, now);
        assert!(heavy[0].may_do(now) > 0 && heavy[1].may_do(now) > 0);
        assert_eq!(heavy[2].may_do(now), 0);
        assert_eq!(heavy[2].may_do(now + PIXEL_TIME * WORK as u32), ALLOWANCE);
    }
}
