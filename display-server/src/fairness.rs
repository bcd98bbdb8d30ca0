//! How the processor is shared: cheap calls do not wait for expensive ones.
//!
//! A connection has an allowance of work, which fills up with time. One that has used it up is heavy, and executes only in the
//! [`Lane`]: two at a time, in the order in which they came, each for a slice, and one at a time when many are there. So, however many
//! clients ask for as much as they can, the runtime has at most two turns of theirs to run before the call of one that asks for
//! little, and a heavy client that is alone waits for nobody.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pixels after which a connection lets others run: about a millisecond of filling.
pub(crate) const WORK: u64 = 1_000_000;

/// The same in the lane while others wait for it: a cheap call may have to wait for the rest of one, and each is a switch.
const SLICE: u64 = 500_000;

/// What a request costs beside its pixels, in those: some 50 ns.
pub(crate) const CALL: u64 = 50;

/// The work that a connection may have done beyond what time allows and not be heavy: 0.1 ms, so that a hundred that come at once
/// are 10 ms, once.
const ALLOWANCE: u64 = 100_000;

/// The time that allows one pixel: a client that waits for each of its calls makes 50,000 of them in a second, which is half of that.
/// A hundred of them take half a processor, in small pieces.
const PIXEL_TIME: Duration = Duration::from_nanos(200);

/// Who is in the lane at a time: one for each thread that serves.
const PLACES: u32 = 2;

/// So many that wait are a crowd: then one at a time is in, and the other thread is for those that are not heavy.
const CROWD: usize = 3;

/// Where the heavy take turns. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    places: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

impl Default for Lane {
    fn default() -> Lane {
        Lane { places: Arc::new(Semaphore::new(PLACES as usize)), waiting: Arc::default() }
    }
}

/// One that waits for its turn.
struct Entering {
    waiting: Arc<AtomicUsize>,
    turn: Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>,
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Relaxed);
    }
}

/// The work of one connection.
pub(crate) struct Work {
    lane: Lane,
    /// Done, beyond what time has allowed until then.
    owed: u64,
    at: Instant,
    place: Option<OwnedSemaphorePermit>,
    entering: Option<Entering>,
    /// Done since it last let others run.
    unbroken: u64,
}

impl Work {
    pub(crate) fn new(lane: &Lane, now: Instant) -> Work {
        Work { lane: lane.clone(), owed: 0, at: now, place: None, entering: None, unbroken: 0 }
    }

    /// What may be done in a turn that begins now; nothing if it is to wait for its turn.
    pub(crate) fn may_do(&mut self, now: Instant) -> u64 {
        if self.place.is_some() {
            return if self.lane.waiting.load(Relaxed) > 0 { SLICE } else { WORK };
        }
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
        // Nobody is before it when there is a place.
        self.place = self.lane.places.clone().try_acquire_owned().ok();
        if self.place.is_some() { WORK } else { 0 }
    }

    /// So much was done in a turn. Answers whether others are to run before the next.
    pub(crate) fn did(&mut self, work: u64) -> bool {
        self.owed = self.owed.saturating_add(work);
        self.unbroken = self.unbroken.saturating_add(work);
        self.place = None;
        self.unbroken >= WORK
    }

    /// It executes nothing any more: its turn is for the next.
    pub(crate) fn leave(&mut self) {
        (self.place, self.entering) = (None, None);
    }

    /// It waits, or lets others run.
    pub(crate) fn pause(&mut self) {
        self.unbroken = 0;
    }

    /// Ready when it is its turn.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Work { lane, entering, .. } = self;
        let entering = entering.get_or_insert_with(|| {
            let is_crowd = lane.waiting.fetch_add(1, Relaxed) >= CROWD;
            let places = lane.places.clone().acquire_many_owned(if is_crowd { PLACES } else { 1 });
            // It is never closed.
            Entering { waiting: lane.waiting.clone(), turn: Box::pin(async { places.await.ok() }) }
        });
        self.place = ready!(entering.turn.as_mut().poll(cx));
        self.entering = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn is_ready(work: &mut Work) -> bool {
        work.poll_turn(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// Some that have done more than they may.
    fn heavy(lane: &Lane, count: usize, now: Instant) -> Vec<Work> {
        let mut heavy: Vec<_> = (0..count).map(|_| Work::new(lane, now)).collect();
        for work in &mut heavy {
            assert!(work.may_do(now) > 0);
            _ = work.did(WORK);
        }
        heavy
    }

    #[test]
    fn one_that_is_alone_never_waits_and_lets_others_run_now_and_then() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut work = Work::new(&lane, now);
        assert_eq!(work.may_do(now), ALLOWANCE);
        assert!(!work.did(ALLOWANCE));
        for _ in 0..10 {
            assert_eq!(work.may_do(now), WORK);
            assert!(work.did(WORK));
            work.pause();
        }
    }

    #[test]
    fn the_heavy_take_turns_and_one_that_asks_for_little_waits_for_none_of_them() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 8, now);
        for (number, work) in heavy.iter_mut().enumerate() {
            assert_eq!(work.may_do(now) > 0, number < 2, "two are in the lane");
        }
        let waiting = &mut heavy[2..];
        assert!(waiting.iter_mut().all(|work| !is_ready(work)));
        assert_eq!(Work::new(&lane, now).may_do(now), ALLOWANCE);

        // One leaves: the first that waited is in, and no other.
        _ = heavy[0].did(WORK);
        let ready: Vec<_> = heavy[2..].iter_mut().map(is_ready).collect();
        assert_eq!(ready, [true, false, false, false, false, false]);
        assert_eq!(heavy[2].may_do(now), SLICE, "others wait");
        // Those that came as a crowd have both places, one at a time.
        _ = heavy[1].did(WORK);
        for number in 2..7 {
            _ = heavy[number].did(WORK);
            if heavy[number + 1].place.is_none() {
                assert!(is_ready(&mut heavy[number + 1]), "{number}");
            }
            assert!(heavy[number + 2..].iter_mut().skip(1).all(|work| !is_ready(work)), "{number}");
        }
    }

    #[test]
    fn one_that_goes_while_it_waits_is_in_nobody_s_way() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 4, now);
        assert!(heavy[0].may_do(now) > 0 && heavy[1].may_do(now) > 0);
        assert!(!is_ready(&mut heavy[2]) && !is_ready(&mut heavy[3]));
        drop(heavy.remove(2));
        _ = heavy[0].did(WORK);
        assert!(is_ready(&mut heavy[2]));
        assert_eq!(lane.waiting.load(Relaxed), 0);
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
        assert_eq!(lane.waiting.load(Relaxed), 1);
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
