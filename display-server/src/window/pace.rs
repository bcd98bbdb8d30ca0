//! Decides when the next frame is due.

use std::time::{Duration, Instant};

/// The interval of frames on a monitor that does not report its rate.
const USUAL: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// Plausible rates, in thousandths of a frame a second; others are reporting errors. The slowest monitor in use has 23.976
/// frames a second, the fastest about 1,000.
const RATES: std::ops::RangeInclusive<u32> = 20_000..=1_000_000;

/// Paces frames: the first change after idle is shown at once, the following ones at the monitor's rate.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// The earliest time of the next frame.
    next: Option<Instant>,
}

impl Pace {
    /// Creates the pace of a monitor with this rate, in thousandths of a frame a second.
    pub(super) fn new(millihertz: Option<u32>) -> Pace {
        let mut pace = Pace { interval: USUAL, next: None };
        pace.set_rate(millihertz);
        pace
    }

    /// Sets the rate of the monitor that the window is on.
    pub(super) fn set_rate(&mut self, millihertz: Option<u32>) {
        self.interval = match millihertz.filter(|rate| RATES.contains(rate)) {
            Some(rate) => Duration::from_nanos(1_000_000_000_000 / u64::from(rate)),
            None => USUAL,
        };
    }

    /// Returns when the next frame is due; `None` if it is due now.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        self.next.filter(|&next| now < next)
    }

    /// Notes that a frame was presented at `now`.
    pub(super) fn presented(&mut self, now: Instant) {
        // While frames follow one another the interval starts when the last one was due, so a late wake-up does not lower the
        // rate. After a pause it starts now, so that missed frames are not made up for.
        self.next = Some(match self.next {
            Some(due) if now >= due && now - due < self.interval => due + self.interval,
            _ => now + self.interval,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENTH: Duration = Duration::from_millis(100);

    /// Returns the pace of a monitor with ten frames a second, and the current time.
    fn pace() -> (Pace, Instant) {
        (Pace { interval: TENTH, next: None }, Instant::now())
    }

    #[test]
    fn the_first_change_is_due_at_once_and_so_is_one_after_a_pause() {
        let (mut pace, start) = pace();
        assert_eq!(pace.wait(start), None);
        pace.presented(start);
        assert_eq!(pace.wait(start), Some(start + TENTH));
        assert_eq!(pace.wait(start + TENTH), None);
        assert_eq!(pace.wait(start + 7 * TENTH), None);
    }

    #[test]
    fn being_late_does_not_slow_the_rhythm_and_a_pause_is_not_made_up_for() {
        let (mut pace, start) = pace();
        pace.presented(start);
        pace.presented(start + TENTH + TENTH / 3);
        assert_eq!(pace.wait(start + TENTH + TENTH / 2), Some(start + 2 * TENTH));
        let late = start + 9 * TENTH;
        pace.presented(late);
        assert_eq!(pace.wait(late), Some(late + TENTH));
    }

    #[test]
    fn a_frame_that_did_not_wait_moves_the_next_one() {
        let (mut pace, start) = pace();
        pace.presented(start);
        pace.presented(start + TENTH / 2);
        assert_eq!(pace.wait(start + TENTH), Some(start + TENTH / 2 + TENTH));
    }

    #[test]
    fn rates_that_cannot_be_are_taken_for_60() {
        for (rate, interval) in [
            (Some(60_000), USUAL),
            (None, USUAL),
            (Some(0), USUAL),
            (Some(1), USUAL),
            (Some(u32::MAX), USUAL),
            (Some(50_000), Duration::from_millis(20)),
            (Some(1_000_000), Duration::from_millis(1)),
        ] {
            assert_eq!(Pace::new(rate).interval, interval, "{rate:?}");
        }
    }
}
