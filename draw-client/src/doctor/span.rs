//! The time during which at least one of several things lasts.

use std::time::{Duration, Instant};

/// The union of intervals that may overlap: time in which two overlap counts once.
#[derive(Debug, Default)]
pub(super) struct Span {
    /// How many intervals are open, and since when any is.
    open: usize,
    since: Option<Instant>,
    total: Duration,
}

impl Span {
    #[inline]
    pub(super) fn begin(&mut self, now: Instant) {
        self.open += 1;
        self.since.get_or_insert(now);
    }

    /// Ends one of them, if any is open.
    #[inline]
    pub(super) fn end(&mut self, now: Instant) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0
            && let Some(since) = self.since.take()
        {
            self.total += now.saturating_duration_since(since);
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open > 0
    }

    /// Returns the time so far, with that of open intervals.
    pub(super) fn total(&self, now: Instant) -> Duration {
        self.total + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overlaps_counts_once() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut span = Span::default();
        span.begin(at(10));
        span.begin(at(20));
        assert_eq!(span.total(at(25)), Duration::from_millis(15));
        span.end(at(30));
        span.end(at(40));
        span.end(at(50));
        assert_eq!(span.total(at(60)), Duration::from_millis(30));
        span.begin(at(60));
        // A time that was read before the lock was taken may be earlier.
        span.end(at(55));
        assert_eq!(span.total(at(70)), Duration::from_millis(30));
    }
}
