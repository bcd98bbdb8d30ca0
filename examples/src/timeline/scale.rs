//! Conversion of times to positions on a line, and the marks of an axis.

use super::message::Flight;
use std::time::Duration;

/// A position in units of the picture.
pub(super) type Point = (f64, f64);

/// An axis of time that begins at zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub(super) left: f64,
    pub(super) right: f64,
    /// The time at the right end; never zero.
    span: Duration,
}

impl Scale {
    pub(super) fn new(left: f64, right: f64, span: Duration) -> Scale {
        Scale { left, right, span: span.max(Duration::from_micros(1)) }
    }

    pub(super) fn span(self) -> Duration {
        self.span
    }

    /// Returns the position of a time; beyond the right end for times after it.
    pub(super) fn x(self, time: Duration) -> f64 {
        self.left + (self.right - self.left) * time.as_secs_f64() / self.span.as_secs_f64()
    }

    /// Returns an arrow from the line at `from_y` to the line at `to_y`, cut off at the right end, and whether its head
    /// is visible.
    pub(super) fn arrow(self, flight: Flight, from_y: f64, to_y: f64) -> (Point, Point, bool) {
        let (from, to) = (self.x(flight.sent), self.x(flight.arrived));
        if to <= self.right {
            return ((from, from_y), (to, to_y), true);
        }
        let part = ((self.right - from) / (to - from)).clamp(0.0, 1.0);
        ((from, from_y), (self.right, from_y + part * (to_y - from_y)), false)
    }

    /// Returns marks at round times, at most `most` of them in addition to zero, each with its text.
    pub(super) fn ticks(self, most: u32) -> Vec<(Duration, String)> {
        let span = self.span.as_nanos();
        let powers = (0..).map_while(|power| 10_u128.checked_pow(power));
        let mut steps = powers.flat_map(|power| [power, 2 * power, 5 * power]);
        // The first step that is wide enough; there always is one, as a span has less than 10^30 nanoseconds.
        let Some(step) = steps.find(|step| span / step <= u128::from(most)) else { return Vec::new() };
        let (unit, name) = match step {
            0..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "us"),
            1_000_000..1_000_000_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        (0..=span / step)
            .map(|n| {
                let text = if n == 0 { "0".into() } else { format!("{} {name}", n * step / unit) };
                (Duration::from_nanos(u64::try_from(n * step).unwrap_or(u64::MAX)), text)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_places() {
        let scale = Scale::new(100.0, 1_100.0, Duration::from_millis(50));
        assert_eq!(scale.x(Duration::ZERO), 100.0);
        assert_eq!(scale.x(Duration::from_millis(25)), 600.0);
        let flight =
            |from, to| Flight { sent: Duration::from_millis(from), arrived: Duration::from_millis(to) };
        assert_eq!(scale.arrow(flight(0, 25), 10.0, 90.0), ((100.0, 10.0), (600.0, 90.0), true));
        // A quarter of the arrow is in the picture.
        assert_eq!(scale.arrow(flight(40, 80), 10.0, 90.0), ((900.0, 10.0), (1_100.0, 30.0), false));
        // A run without messages takes no time.
        assert_eq!(Scale::new(0.0, 1.0, Duration::ZERO).x(Duration::ZERO), 0.0);
    }

    #[test]
    fn marks_are_round_and_few() {
        let texts = |span| -> Vec<_> {
            let ticks = Scale::new(0.0, 1.0, span).ticks(9);
            ticks.into_iter().map(|(_, text)| text).collect()
        };
        let few = texts(Duration::from_micros(52_700));
        assert_eq!(few, ["0", "10 ms", "20 ms", "30 ms", "40 ms", "50 ms"]);
        assert_eq!(texts(Duration::from_secs(393))[..3], ["0", "50 s", "100 s"]);
        assert_eq!(texts(Duration::from_nanos(1_500))[..3], ["0", "200 ns", "400 ns"]);
        assert_eq!(texts(Duration::from_millis(2_000)).last().unwrap(), "2000 ms");
        for span in [1, 7, 12_345, u64::MAX].map(Duration::from_nanos) {
            assert!((2..=10).contains(&texts(span.max(Duration::from_micros(1))).len()), "{span:?}");
        }
    }
}
