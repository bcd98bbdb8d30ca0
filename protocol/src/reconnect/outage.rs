//! A time without a connection, with the pauses between attempts.

use super::{Progress, Reason};
use crate::limits;
use std::time::{Duration, Instant};

/// The first pause before an attempt, and the longest. Each is twice the one before.
pub(super) const FIRST: Duration = Duration::from_millis(100);
pub(super) const LONGEST: Duration = Duration::from_secs(5);

/// From the loss of a connection until another one is greeted.
#[derive(Debug)]
pub(super) struct Outage<R> {
    pub(super) since: Instant,
    /// When it is given up.
    pub(super) until: Instant,
    /// Why the connection was lost, or the last attempt failed.
    pub(super) reason: R,
    /// When the next attempt is due.
    pub(super) next: Instant,
    pub(super) pause: Duration,
}

impl<R: Reason> Outage<R> {
    /// Begins an outage. The display may only have dropped this one connection, so the first attempt is due soon.
    pub(super) fn new(reason: R, now: Instant, window: Duration, jitter: &mut Jitter) -> Outage<R> {
        Outage { since: now, until: now + window, reason, next: now + jitter.vary(FIRST), pause: FIRST }
    }

    /// Notes that an attempt has failed.
    pub(super) fn fail(&mut self, reason: R, now: Instant, jitter: &mut Jitter) {
        self.reason = reason;
        self.pause = (2 * self.pause).min(LONGEST);
        self.next = now + jitter.vary(self.pause);
    }
}

/// The outage before the present connection. If that is lost before anything is achieved, the outage continues: a display that greets and
/// then resets or floods, or a network that alters or doubles bytes each time, is of no use although there is a connection each time.
#[derive(Debug)]
pub(super) struct Previous<R>(Option<Ended<R>>);

#[derive(Debug)]
struct Ended<R> {
    outage: Outage<R>,
    at: Instant,
    applied: u64,
}

impl<R> Default for Previous<R> {
    fn default() -> Previous<R> {
        Previous(None)
    }
}

impl<R: Reason> Previous<R> {
    /// Sets the outage that has just ended, when `applied` requests were executed. A display that was restarted is useful again: it
    /// was gone for a reason of its own.
    pub(super) fn set(&mut self, outage: Option<Outage<R>>, applied: u64, is_restarted: bool, now: Instant) {
        let outage = outage.filter(|_| !is_restarted);
        self.0 = outage.map(|outage| Ended { outage, at: now, applied });
    }

    /// Returns the outage that begins with the loss of a connection: `new`, or the one before if it continues.
    pub(super) fn begin(
        &mut self,
        new: Outage<R>,
        progress: &Progress,
        now: Instant,
        jitter: &mut Jitter,
    ) -> Outage<R> {
        let Some(Ended { mut outage, at, applied }) = self.0.take() else { return new };
        let lasted = now.saturating_duration_since(at);
        // A client that has nothing to draw achieves nothing either, so a connection of its that has lasted counts as one.
        let may_recur = new.reason.kind().may_recur() && outage.reason.kind().may_recur();
        let is_useless = progress.is_busy || lasted < limits::STEADY || may_recur;
        if applied != progress.applied || !is_useless {
            return new;
        }
        // The display was there meanwhile: that time does not count.
        (outage.since, outage.until) = (outage.since + lasted, outage.until + lasted);
        outage.fail(new.reason, now, jitter);
        outage
    }
}

/// Varies pauses, so that clients which lost their display at the same moment come back at different ones.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// Returns `time`, up to a fifth longer or shorter.
    fn vary(&mut self, time: Duration) -> Duration {
        // Knuth's multiplicative generator (MMIX); its upper bits are the better ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (self.0 >> 33) as f64 / (1u64 << 31) as f64;
        time.mul_f64(0.8 + 0.4 * share)
    }
}
