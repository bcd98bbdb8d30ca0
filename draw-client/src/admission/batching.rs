//! Decides when a loop of calls reads the clock and lets other tasks run. Both cost at least as much as a call.

use crate::clock::now;
use std::time::{Duration, Instant};

/// How long callers may keep the driver from writing.
const TURN: Duration = Duration::from_micros(500);
/// How many bytes callers may leave for the driver to write. Half of it costs more system calls, twice as much leaves
/// the processor's cache (both were 10 to 20 % slower with one connection; with 512 half was faster).
const WRITE: usize = 32 << 10;
/// How many calls may share one reading of the clock and the checks before a call, and how fast they must follow each
/// other for that.
const SHARED: u32 = 8;
const FAST: Duration = Duration::from_micros(20);

#[derive(Debug)]
pub(crate) struct Batching {
    /// The last reading of the clock; until when the next call follows the last one closely; how many more calls may
    /// join the last one; whether calls follow each other closely.
    last: Instant,
    close_until: Instant,
    left: u32,
    is_fast: bool,
    /// Whether an answer was waited for since the last call. Then the next call does not follow it closely, however
    /// soon it comes. True at first, because of the greeting.
    has_waited: bool,
    /// When the driver must run, or how many unsent bytes make it run.
    due: Instant,
    most: usize,
}

impl Batching {
    pub(crate) fn new(now: Instant) -> Batching {
        Batching {
            last: now,
            close_until: now + FAST,
            left: 0,
            is_fast: false,
            has_waited: true,
            due: now + TURN,
            most: WRITE,
        }
    }

    /// Reads the clock for a call. If the call had to wait for credit, calls come faster than the display executes
    /// them.
    pub(crate) fn clock(&mut self, had_no_credit: bool) -> Instant {
        let now = now();
        let is_close = now < self.close_until;
        self.is_fast = had_no_credit || (is_close && !self.has_waited);
        self.has_waited = false;
        (self.last, self.close_until) = (now, now + FAST);
        self.left = 0;
        now
    }

    /// Notes that an answer is waited for.
    pub(crate) fn answer_awaited(&mut self) {
        self.has_waited = true;
    }

    /// Notes that a caller has written its call itself. That takes longer than a call, and does not separate it from
    /// the next.
    pub(crate) fn caller_wrote(&mut self) {
        let now = now();
        (self.last, self.close_until) = (now, now + FAST);
    }

    /// Returns whether calls follow each other so closely that others will be sent together with this one.
    pub(crate) fn is_fast(&self) -> bool {
        self.is_fast
    }

    /// Returns the same, and whether a write of the unsent bytes would not be full.
    pub(crate) fn is_filling(&self, unsent: usize) -> bool {
        self.is_fast && !Batching::is_full(unsent)
    }

    /// Returns whether `unsent` bytes fill a write.
    pub(crate) fn is_full(unsent: usize) -> bool {
        unsent >= WRITE
    }

    /// Notes that the call was accepted at the time of [`Batching::clock`].
    pub(crate) fn accepted(&mut self) {
        self.left = if self.is_fast { SHARED - 1 } else { 0 };
    }

    /// Returns whether one more call may join the last one, without checks and with the same time.
    #[inline]
    pub(crate) fn may_join(&self) -> bool {
        self.left > 0
    }

    #[inline]
    pub(crate) fn join(&mut self) {
        self.left -= 1;
    }

    /// Makes the next call go through all checks.
    pub(crate) fn stop_joining(&mut self) {
        self.left = 0;
    }

    /// Returns whether other tasks must run now, before more than `unsent` bytes are unsent. Returns `true` once, until
    /// more bytes are unsent or more time has passed.
    pub(crate) fn must_yield(&mut self, unsent: usize, now: Instant) -> bool {
        let must = unsent >= self.most || now > self.due;
        if must {
            (self.due, self.most) = (now + TURN, unsent + WRITE);
        }
        must
    }

    /// Notes that a call has woken the driver. (The driver runs when its turn comes. That other tasks run before it is
    /// no reason for this caller to yield.)
    pub(crate) fn driver_woken(&mut self) {
        self.due = self.last + TURN;
    }

    /// Notes that the driver takes all that is unsent. The next call is checked: it may come much later, even in a
    /// process that was forked meanwhile.
    pub(crate) fn driver_ran(&mut self) {
        self.most = WRITE;
        self.left = 0;
    }
}
