//! Shares the processor, so that cheap calls do not wait for expensive ones.
//!
//! A connection has an allowance of work, which refills with time. A connection that has used it up is heavy, and
//! executes only while it has a place in the [`Lane`]. Addresses get places in turn, and within an address
//! [proven](crate::limits::PROVEN) and other connections alternate. Within these, the connection comes next that would
//! finish its turn first if all shared the lane evenly, as in [weighted fair queueing]: so an occasional image does not
//! wait for a turn of every connection that draws without a pause. A connection keeps its place while it yields to
//! other tasks, and gives it up when it waits for its client, or at the end of a slice if other connections wait for
//! the lane.
//!
//! The size of a place is that of the connection's recent turns, and the lane has room for two of the largest. While
//! all heavy connections fit into it together, as dozens of streams of small batches do, they need no places.
//!
//! Waiting connections are in the queue of the lane and not in that of the runtime. So, for any number of heavy
//! clients, the runtime runs at most two of their largest turns before a cheap call. A single heavy client never waits.
//!
//! [weighted fair queueing]: https://doi.org/10.1145/75247.75248

use crate::resources::round_robin::RoundRobin;
use draw_protocol::session::Peer;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The work of a slice, in pixels filled: a quarter of a millisecond, up to a millisecond on a slow machine. With half
/// of it, 20 clients that fill without a pause are a tenth slower, since each switch also sends answers.
pub(crate) const WORK: u64 = 1_000_000;

/// The work of a connection after which a thread lets other processes run, if connections wait for the lane.
const THREAD_WORK: u64 = WORK / 4;

/// The constant cost of a request, in pixels filled: some 50 ns.
pub(crate) const CALL: u64 = 50;

/// The work that a connection may do in advance without being heavy: 0.1 ms, so that a hundred new connections take 10
/// ms together.
const ALLOWANCE: u64 = 100_000;

/// The time in which the allowance grows by one pixel. A client that waits for each of its calls makes 50,000 of them
/// in a second, which uses half of the allowance. A hundred such clients take half a processor, in small pieces.
const PIXEL_TIME: Duration = Duration::from_nanos(200);

/// The work in the lane at a time: two drawing connections use two cores. More cores would mostly wait for memory.
const ROOM: u64 = 2 * WORK;

/// The size of the smallest place. A turn that executes one read of small calls costs less, but also reads and answers.
const LEAST: u64 = WORK / 32;

/// The places of heavy connections. Clones are the same lane.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lane(Arc<Inner>);

/// All access to the counters is sequentially consistent: if a connection that gives room back finds no waiting
/// connection, then a connection that begins to wait finds that room.
///
/// Aligned to cache lines of its own: every turn of a heavy connection reads `heavy`, and no unrelated write is to
/// invalidate its cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Inner {
    /// The sum of the sizes of all heavy connections. It changes rarely, so reading it is cheap.
    heavy: AtomicU64,
    /// The sum of the sizes of all granted places.
    taken: AtomicU64,
    /// The number of waiting connections.
    waiting: AtomicUsize,
    /// The largest [`Work::start`] of all granted places.
    virtual_time: AtomicU64,
    /// Waiting connections. Some may have stopped waiting. Never locked while anything is woken.
    turns: Mutex<RoundRobin<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    size: u64,
    start: u64,
    sender: oneshot::Sender<Place>,
}

impl Lane {
    fn turns(&self) -> MutexGuard<'_, RoundRobin<Waiting>> {
        self.0.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_wanted(&self) -> bool {
        self.0.waiting.load(SeqCst) > 0
    }

    /// Updates the size of a heavy connection from `before` to `after`; 0 if it is not heavy.
    fn resize(&self, before: u64, after: u64) {
        if before != after {
            // The difference wraps if it is negative; the sum over all connections never does.
            self.0.heavy.fetch_add(after.wrapping_sub(before), SeqCst);
        }
    }

    /// Returns whether all heavy connections fit into the lane together.
    fn has_room_for_all(&self) -> bool {
        self.0.heavy.load(SeqCst) <= ROOM
    }

    fn try_take(&self, size: u64) -> bool {
        let more = |taken| Some(taken + size).filter(|taken| *taken <= ROOM);
        self.0.taken.fetch_update(SeqCst, SeqCst, more).is_ok()
    }

    /// Takes a place of this size, at most [`WORK`], if there is room and no connection waits.
    fn try_enter(&self, size: u64, start: u64) -> bool {
        let is_taken = !self.is_wanted() && self.try_take(size);
        if is_taken {
            self.0.virtual_time.fetch_max(start, SeqCst);
        }
        is_taken
    }

    /// Gives back a place of this size.
    fn leave(&self, size: u64) {
        self.0.taken.fetch_sub(size, SeqCst);
        if self.is_wanted() {
            self.give_out();
        }
    }

    /// Queues a connection from `peer` for a place.
    fn enter(&self, peer: Peer, is_proven: bool, size: u64, start: u64, least: u64) -> Entering {
        let (sender, turn) = oneshot::channel();
        self.0.waiting.fetch_add(1, SeqCst);
        self.turns().push(peer, is_proven, start.saturating_add(size), Waiting { size, start, sender });
        self.give_out();
        Entering { lane: self.clone(), least, turn }
    }

    /// Grants places to waiting connections, in order, while there is room.
    fn give_out(&self) {
        loop {
            let next = self.turns().pop_if(|next| self.try_take(next.size));
            let Some(Waiting { size, start, sender }) = next else { return };
            self.0.virtual_time.fetch_max(start, SeqCst);
            // If the connection has stopped waiting, the place is dropped, which grants it to the next one.
            _ = sender.send(Place { lane: Some(self.clone()), size });
        }
    }
}

/// A place that was granted to a connection, which has not taken it yet.
#[derive(Debug)]
struct Place {
    lane: Option<Lane>,
    size: u64,
}

impl Place {
    /// Returns the size of the place, which the caller has to give back.
    fn take(mut self) -> u64 {
        self.lane = None;
        self.size
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(lane) = &self.lane {
            lane.leave(self.size);
        }
    }
}

/// A connection that waits for a place.
#[derive(Debug)]
struct Entering {
    lane: Lane,
    /// The least that the connection owes however long it waits. Otherwise, hundreds that wait for long would all become light, and
    /// execute at once.
    least: u64,
    turn: oneshot::Receiver<Place>,
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.lane.0.waiting.fetch_sub(1, SeqCst);
    }
}

/// Accounts for the work of one connection.
pub(crate) struct Work {
    lane: Lane,
    peer: Peer,
    /// Work done beyond the allowance, at the time `at`.
    owed: u64,
    at: Instant,
    /// The size of the place that the connection has.
    place: Option<u64>,
    entering: Option<Entering>,
    /// Work done since the last yield.
    unbroken: u64,
    /// Work done since the thread let other processes run.
    on_thread: u64,
    /// The size of the next place, at most [`WORK`].
    size: u64,
    /// The size that is counted in the lane: 0 unless the connection is heavy.
    counted: u64,
    /// While the connection is heavy: the virtual time at which its next turn starts, in units of work.
    start: u64,
}

impl Work {
    pub(crate) fn new(lane: &Lane, peer: Peer, now: Instant) -> Work {
        let (place, entering) = (None, None);
        Work {
            lane: lane.clone(),
            peer,
            owed: 0,
            at: now,
            place,
            entering,
            unbroken: 0,
            on_thread: 0,
            size: LEAST,
            counted: 0,
            start: 0,
        }
    }

    /// Returns the work that may be done in a turn that begins now: 0 if the connection has to wait for a place.
    pub(crate) fn allowance(&mut self, now: Instant) -> u64 {
        if self.place.is_none() {
            if self.owed < ALLOWANCE / 2 {
                // The time that has passed is counted once it matters: reading it costs more than a small call.
                return ALLOWANCE - self.owed;
            }
            // 64 bits of nanoseconds last for centuries. A division of 128 bits took longer than the rest of this
            // function.
            let passed =
                now.saturating_duration_since(self.at).as_nanos() as u64 / PIXEL_TIME.as_nanos() as u64;
            if passed > 0 {
                let least = self.entering.as_ref().map_or(0, |entering| entering.least);
                self.owed = self.owed.saturating_sub(passed).max(least).min(WORK);
                self.at = now;
            }
            if self.owed < ALLOWANCE {
                // The connection no longer needs a place, if it waits for one.
                self.entering = None;
                self.count(0);
                // Enough for one read of small calls: an interrupted turn would send its answers separately.
                return (ALLOWANCE - self.owed).max(LEAST);
            }
            // A connection that did less than its share does not save it up.
            let virtual_time = self.lane.0.virtual_time.load(SeqCst);
            self.start =
                if self.counted == 0 { virtual_time + self.owed } else { self.start.max(virtual_time) };
            self.count(self.size);
            if self.lane.has_room_for_all() {
                self.entering = None;
                return WORK;
            }
            self.place = self.lane.try_enter(self.size, self.start).then_some(self.size);
            if self.place.is_none() {
                return 0;
            }
        }
        WORK.saturating_sub(self.unbroken).max(1)
    }

    /// Counts the work of a turn. Returns whether the connection should yield before the next one.
    pub(crate) fn charge(&mut self, work: u64) -> bool {
        self.owed = self.owed.saturating_add(work);
        self.unbroken = self.unbroken.saturating_add(work);
        self.on_thread = self.on_thread.saturating_add(work);
        self.start = self.start.saturating_add(work);
        let is_over = self.unbroken >= WORK;
        if work >= self.size {
            self.size = work.max(2 * self.size).min(WORK);
        } else if work < self.size / 4 {
            self.size = (self.size / 2).max(LEAST);
        }
        // A connection that needs a larger place has to wait for that.
        if is_over && self.lane.is_wanted() || self.place.is_some_and(|size| size < self.size) {
            self.leave_lane();
        }
        is_over
    }

    /// Gives up the place, also one that is waited for, of a connection that executes nothing more.
    pub(crate) fn leave(&mut self) {
        self.leave_lane();
        self.count(0);
        self.entering = None;
    }

    fn count(&mut self, size: u64) {
        self.lane.resize(std::mem::replace(&mut self.counted, size), size);
    }

    fn leave_lane(&mut self) {
        if let Some(size) = self.place.take() {
            self.lane.leave(size);
        }
    }

    /// Returns whether the thread should let other processes run, if connections wait for the lane. With more work than
    /// processors, the kernel would run this thread for several milliseconds before a client on this machine that was
    /// just answered.
    pub(crate) fn is_due_to_yield(&mut self) -> bool {
        let is_due = self.on_thread >= THREAD_WORK;
        if is_due {
            self.on_thread = 0;
        }
        is_due && self.lane.is_wanted()
    }

    /// Begins a new slice: the connection yields, and keeps its place meanwhile.
    pub(crate) fn pause(&mut self) {
        self.unbroken = 0;
    }

    /// Gives up the place: the connection waits for an event.
    pub(crate) fn wait(&mut self) {
        self.leave_lane();
        self.unbroken = 0;
    }

    /// Is ready when the connection has a place.
    pub(crate) fn poll_turn(&mut self, cx: &mut Context<'_>, is_proven: bool) -> Poll<()> {
        let Work { lane, peer, owed, entering, size, start, .. } = self;
        let least = owed.saturating_sub(ALLOWANCE);
        let entering = entering.get_or_insert_with(|| lane.enter(*peer, is_proven, *size, *start, least));
        // If the sender was dropped, which does not happen, the connection asks again.
        self.place = ready!(Pin::new(&mut entering.turn).poll(cx)).ok().map(Place::take);
        self.entering = None;
        Poll::Ready(())
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::net::IpAddr;
    use std::task::Waker;

    fn is_ready(work: &mut Work) -> bool {
        work.poll_turn(&mut Context::from_waker(Waker::noop()), false).is_ready()
    }

    /// Some that have done more than they may.
    fn heavy(lane: &Lane, count: usize, now: Instant) -> Vec<Work> {
        let mut heavy: Vec<_> = (0..count).map(|_| Work::new(lane, Peer::default(), now)).collect();
        for work in &mut heavy {
            assert!(work.allowance(now) > 0);
            _ = work.charge(WORK);
            _ = work.allowance(now);
            work.wait();
        }
        heavy
    }

    #[test]
    fn one_that_is_alone_never_waits_and_lets_others_run_now_and_then() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut work = Work::new(&lane, Peer::default(), now);
        assert_eq!(work.allowance(now), ALLOWANCE);
        assert!(!work.charge(ALLOWANCE));
        assert_eq!(work.allowance(now), WORK);
        assert!(work.charge(WORK - ALLOWANCE), "it has done a whole slice");
        for _ in 0..10 {
            work.pause();
            assert_eq!(work.allowance(now), WORK);
            assert!(work.charge(WORK));
        }
    }

    #[test]
    fn a_place_is_kept_until_its_holder_waits_or_its_slice_is_over_and_others_wait() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 4, now);
        assert!(heavy[0].allowance(now) > 0 && heavy[1].allowance(now) > 0);
        assert!(heavy[0].charge(WORK), "its slice is over");
        heavy[0].pause();
        assert_eq!(heavy[2].allowance(now), 0, "the first keeps its place while it lets others run");
        assert!(!is_ready(&mut heavy[2]));
        assert!(!heavy[0].charge(WORK / 2));
        assert!(!is_ready(&mut heavy[2]), "the slice is not over");
        assert!(heavy[0].charge(WORK / 2));
        assert!(is_ready(&mut heavy[2]));
        assert_eq!(heavy[2].allowance(now), WORK);
        assert_eq!(heavy[0].allowance(now), 0, "the first waits for its next turn");

        assert_eq!(heavy[3].allowance(now), 0);
        heavy[1].wait();
        assert!(heavy[3].allowance(now) > 0, "a connection that waits for its client has no place");
    }

    #[test]
    fn the_heavy_take_turns_and_one_that_asks_for_little_waits_for_none_of_them() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 8, now);
        for (number, work) in heavy.iter_mut().enumerate() {
            assert_eq!(work.allowance(now) > 0, number < 2, "two are in the lane");
        }
        assert!(heavy[2..].iter_mut().all(|work| !is_ready(work)));
        assert_eq!(Work::new(&lane, Peer::default(), now).allowance(now), ALLOWANCE);
        // Each slice that ends lets in the one that has waited the longest, and no other.
        for turn in 0..40 {
            let (leaving, next) = (turn % 8, (turn + 2) % 8);
            assert!(heavy[leaving].charge(WORK));
            heavy[leaving].pause();
            assert_eq!(heavy[leaving].allowance(now), 0);
            for (number, work) in heavy.iter_mut().enumerate().filter(|(_, work)| work.place.is_none()) {
                assert_eq!(is_ready(work), number == next, "{number} in turn {turn}");
            }
        }
    }

    #[test]
    fn heavy_connections_stay_heavy_however_long_the_turns_of_others_take() {
        let (lane, mut now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 48, now);
        let mut turns = [0; 48];
        for _ in 0..240 {
            // All are woken, as by input. Those that wait do so for 24 turns, in which an allowance would refill.
            for (number, work) in heavy.iter_mut().enumerate() {
                turns[number] +=
                    usize::from(work.place.is_some() || work.allowance(now) > 0 || is_ready(work));
            }
            let executing = heavy.iter_mut().filter_map(|work| (work.allowance(now) > 0).then_some(work));
            let count = executing.map(|work| (_ = work.charge(WORK), work.pause())).count();
            assert!(count <= 2, "{count} have a turn");
            now += Duration::from_millis(10);
        }
        assert!(turns.iter().all(|turns| (9..=11).contains(turns)), "{turns:?}");
        // The allowance refills while a connection waits for its client.
        heavy[7].leave();
        now += WORK as u32 * PIXEL_TIME;
        assert_eq!(heavy[7].allowance(now), ALLOWANCE);
    }

    #[test]
    fn connections_of_small_turns_need_no_places_until_there_are_too_many_of_them() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut small = heavy(&lane, 64, now);
        // Turns of a few batches each.
        (0..10).for_each(|_| small.iter_mut().for_each(|work| _ = work.charge(LEAST / 8)));
        small.iter_mut().for_each(|work| _ = work.allowance(now));
        small.iter_mut().for_each(Work::wait);
        assert!(small.iter_mut().all(|work| work.allowance(now) == WORK && work.place.is_none()));

        // One more: all take places, and it waits until half of them are free, with those behind it: here one that has
        // done more work since.
        let mut large = heavy(&lane, 1, now).remove(0);
        assert_eq!(large.allowance(now), WORK);
        large.wait();
        assert!(small.iter_mut().all(|work| work.allowance(now) == WORK && work.place == Some(LEAST)));
        (0..600).for_each(|_| _ = small[40].charge(LEAST / 8));
        small[40].wait();
        assert!(large.allowance(now) == 0 && !is_ready(&mut large));
        assert!(small[40].allowance(now) == 0 && !is_ready(&mut small[40]));
        for work in &mut small[..31] {
            assert!(!is_ready(&mut large));
            work.wait();
        }
        assert!(is_ready(&mut large) && !is_ready(&mut small[40]));
        // A turn that comes to more than its place is the last in it.
        assert!(!small[50].charge(3 * LEAST));
        assert!(is_ready(&mut small[40]) && small[50].place.is_none());
        // Those that end leave room for all again.
        drop(large);
        assert!(small[50].allowance(now) > 0 && small[50].place.is_some());
        small.truncate(40);
        assert!(small[0].allowance(now) == WORK && small[0].place.is_none());
    }

    #[test]
    fn a_connection_that_waits_when_all_fit_in_again_leaves_the_queue() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 3, now);
        assert!(heavy[0].allowance(now) > 0 && heavy[1].allowance(now) > 0);
        assert!(heavy[2].allowance(now) == 0 && !is_ready(&mut heavy[2]));
        // Its place is on its way when it finds that it needs none.
        drop(heavy.remove(0));
        assert_eq!(heavy[1].allowance(now), WORK);
        assert!(heavy[1].place.is_none());
        heavy[0].wait();
        assert_eq!((lane.0.taken.load(SeqCst), lane.0.waiting.load(SeqCst)), (0, 0));
    }

    #[test]
    fn a_heavy_client_has_as_many_turns_as_all_those_of_another_address() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 20, now);
        heavy[19].peer = IpAddr::from([10, 0, 0, 9]).into();
        let (mut turns, mut holders) = ([0; 20], VecDeque::new());
        for _ in 0..80 {
            for (number, work) in heavy.iter_mut().enumerate().filter(|(_, work)| work.place.is_none()) {
                if work.allowance(now) > 0 || is_ready(work) {
                    holders.push_back(number);
                }
            }
            let first = holders.pop_front().expect("two are in the lane");
            turns[first] += 1;
            assert!(heavy[first].charge(WORK));
            heavy[first].pause();
        }
        // While it has one of the two places, the others may take more than one turn.
        assert!(turns[19] >= 20, "{turns:?}");
    }

    #[test]
    fn a_heavy_client_that_did_less_than_its_share_comes_before_those_that_never_pause() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 20, now);
        let mut occasional = Work::new(&lane, Peer::default(), now);
        assert!(occasional.allowance(now) > 0);
        let (mut holders, mut served) = (VecDeque::new(), 0);
        for turn in 0..400 {
            for (number, work) in heavy.iter_mut().enumerate().filter(|(_, work)| work.place.is_none()) {
                if work.allowance(now) > 0 || is_ready(work) {
                    holders.push_back(number);
                }
            }
            if turn % 40 == 20 {
                // A fifth of a turn's work, while each of the others has two turns.
                _ = occasional.charge(WORK / 5);
                assert_eq!(occasional.allowance(now), 0);
                assert!(!is_ready(&mut occasional));
            }
            let first = holders.pop_front().expect("two are in the lane");
            assert!(heavy[first].charge(WORK));
            heavy[first].pause();
            assert_eq!(heavy[first].allowance(now), 0, "others wait");
            if turn % 40 == 20 {
                assert!(is_ready(&mut occasional), "turn {turn}");
                occasional.wait();
                served += 1;
            }
        }
        assert_eq!(served, 10);
    }

    #[test]
    fn one_that_is_proven_waits_for_one_turn_of_those_that_are_not() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 20, now);
        assert!(heavy[0].allowance(now) > 0 && heavy[1].allowance(now) > 0);
        assert!(heavy[2..19].iter_mut().all(|work| !is_ready(work)));
        let mut proven = heavy.pop().expect("there are twenty");
        let is_ready =
            |work: &mut Work| work.poll_turn(&mut Context::from_waker(Waker::noop()), true).is_ready();
        assert!(!is_ready(&mut proven));
        heavy[0].wait();
        heavy[1].wait();
        assert!(is_ready(&mut proven) && lane.0.waiting.load(SeqCst) == 17);
    }

    #[test]
    fn one_that_goes_while_it_waits_is_in_nobody_s_way() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 4, now);
        assert!(heavy[0].allowance(now) > 0 && heavy[1].allowance(now) > 0);
        assert!(!is_ready(&mut heavy[2]) && !is_ready(&mut heavy[3]));
        drop(heavy.remove(2));
        assert!(heavy[0].charge(WORK));
        assert!(is_ready(&mut heavy[2]));
        assert_eq!(lane.0.waiting.load(SeqCst), 0);
    }

    #[test]
    fn a_turn_that_is_not_wanted_any_more_is_for_the_next() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 6, now);
        assert!(heavy[0].allowance(now) > 0 && heavy[1].allowance(now) > 0);
        assert!(heavy[2..].iter_mut().all(|work| !is_ready(work)));
        // A connection that ends keeps neither a place nor its turn in the queue.
        for ended in [2, 3, 0] {
            heavy[ended].leave();
        }
        assert!(is_ready(&mut heavy[4]));
        assert_eq!(lane.0.waiting.load(SeqCst), 1);
    }

    #[test]
    fn time_makes_a_heavy_one_light_again() {
        let (lane, now) = (Lane::default(), Instant::now());
        let mut heavy = heavy(&lane, 3, now);
        assert!(heavy[0].allowance(now) > 0 && heavy[1].allowance(now) > 0);
        assert_eq!(heavy[2].allowance(now), 0);
        assert_eq!(heavy[2].allowance(now + PIXEL_TIME * WORK as u32), ALLOWANCE);
    }
}
