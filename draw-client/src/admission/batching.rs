//! When a loop of calls reads the clock, and when it lets others run. Both cost as much as a call, or more.

use crate::clock::now;
use std::time::{Duration, Instant};

/// How long callers may keep the driver from writing.
const TURN: Duration = Duration::from_micros(500);
/// How much they may leave it to write. Half of it costs more system calls, twice as much leaves the processor's cache
/// (both were 10 to 20 % slower with one connection; with 512 half was faster).
const WRITE: usize = 32 << 10;
/// How many calls may share one reading of the clock and all else that is checked before a call, and how fast they must
/// follow each other for that.
const SHARED: u32 = 8;
const FAST: Duration = Duration::from_micros(20);

#[derive(Debug)]
pub(crate) struct Batching {
    /// The clock as it was read last, until when the next call follows the last closely, how many more calls may be taken as made
    /// then, and whether calls follow each other closely.
    last: Instant,
    close_until: Instant,
    left: u32,
    is_fast: bool,
    /// An answer was waited for since (first of all, to the greeting): however soon it came, the next call does not follow
    /// the last one closely.
    has_waited: bool,
    /// When the driver is to run at the latest, or how much is to be unsent before it does.
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

    /// The time of a call. One that had to wait for credit comes faster than the display takes them.
    pub(crate) fn clock(&mut self, had_no_credit: bool) -> Instant {
        let now = now();
        let is_close = now < self.close_until;
        self.is_fast = had_no_credit || (is_close && !self.has_waited);
        self.has_waited = false;
        (self.last, self.close_until) = (now, now + FAST);
        self.left = 0;
        now
    }

    /// An answer is waited for.
    pub(crate) fn answer_awaited(&mut self) {
        self.has_waited = true;
    }

    /// A caller has written its call itself. That takes longer than a call, and does not part it from the next.
    pub(crate) fn caller_wrote(&mut self) {
        let now = now();
        (self.last, self.close_until) = (now, now + FAST);
    }

    /// Whether calls follow each other so closely that others will be there to travel with this one.
    pub(crate) fn is_fast(&self) -> bool {
        self.is_fast
    }

    /// The same, and a write of what is unsent would not be full.
    pub(crate) fn is_filling(&self, unsent: usize) -> bool {
        self.is_fast && !Batching::is_full(unsent)
    }

    /// Whether `unsent` bytes are as much as a write is to carry.
    pub(crate) fn is_full(unsent: usize) -> bool {
        unsent >= WRITE
    }

    /// The call was accepted at that time.
    pub(crate) fn accepted(&mut self) {
        self.left = if self.is_fast { SHARED - 1 } else { 0 };
    }

    /// Whether one more call may go ahead as the last one did, unchecked and at the same time.
    #[inline]
    pub(crate) fn may_join(&self) -> bool {
        self.left > 0
    }

    #[inline]
    pub(crate) fn join(&mut self) {
        self.left -= 1;
    }

    /// What the last call was checked for is not so any more.
    pub(crate) fn stop_joining(&mut self) {
        self.left = 0;
    }

    /// Whether others are to run now, before `unsent` bytes become more. Answers so once, until more has come up.
    pub(crate) fn must_yield(&mut self, unsent: usize, now: Instant) -> bool {
        let must = unsent >= self.most || now > self.due;
        if must {
            (self.due, self.most) = (now + TURN, unsent + WRITE);
        }
        must
    }

    /// The driver has been woken by a call. (It runs when its turn comes; that others have theirs first is no reason
    /// for this caller to stand back.)
    pub(crate) fn driver_woken(&mut self) {
        self.due = self.last + TURN;
    }

    /// The driver is about to take all that is unsent. Whatever is called next is looked at: it may come much later, even in a
    /// process that was forked meanwhile.
    pub(crate) fn driver_ran(&mut self) {
        self.most = WRITE;
        self.left = 0;
    }
}
