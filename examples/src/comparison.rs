//! The table of an example that does the same work in several ways: the cost of each, and its ratio to the first.

use crate::figures::{seconds, thousands};
use std::time::{Duration, Instant};

/// The round trip of the table's last column.
const FAR: Duration = Duration::from_millis(50);

/// The cost of one way.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// The time of the first call.
    pub began: Instant,
    /// The time until the last call had its answer.
    pub time: Duration,
    /// The number of times that the program waited for an answer.
    pub waits: u64,
}

impl Cost {
    /// Returns the cost of work that began at `began` and ends now.
    pub fn since(began: Instant, waits: u64) -> Cost {
        Cost { began, time: began.elapsed(), waits }
    }

    /// Returns the time at a round trip of `far`, from the one measured at `near`.
    pub fn at(&self, far: Duration, near: Duration) -> Duration {
        let waits = u32::try_from(self.waits).unwrap_or(u32::MAX);
        self.time.saturating_sub(near.saturating_mul(waits)) + far.saturating_mul(waits)
    }
}

/// Prints a row for each way as soon as it is done.
#[derive(Debug)]
pub struct Table {
    pixels: String,
    rtt: Duration,
    first: Option<Duration>,
}

impl Table {
    /// Prints the heading. All ways draw this many pixels, at a round trip of `rtt` in addition to the machine's own.
    pub fn begin(pixels: u64, rtt: Duration) -> Table {
        println!("mode     pixels  round trips        time    ratio   at a round trip of 50 ms");
        Table { pixels: thousands(pixels), rtt, first: None }
    }

    /// Prints the row of a way.
    pub fn row(&mut self, name: &str, cost: &Cost) {
        let line = self.line(name, cost);
        println!("{line}");
    }

    fn line(&mut self, name: &str, cost: &Cost) -> String {
        let first = *self.first.get_or_insert(cost.time);
        format!(
            "{name:<5} {:>9} {:>12} {:>11} {:>8}   {}",
            self.pixels,
            thousands(cost.waits),
            seconds(cost.time),
            format!("{:.1}", first.as_secs_f64() / cost.time.as_secs_f64()),
            seconds(cost.at(FAR, self.rtt)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(micros: u64, waits: u64) -> Cost {
        Cost { began: Instant::now(), time: Duration::from_micros(micros), waits }
    }

    #[test]
    fn a_row_has_the_ratio_to_the_first_and_the_time_far_away() {
        let mut table = Table { pixels: "7,860".into(), rtt: Duration::ZERO, first: None };
        assert_eq!(
            table.line("sync", &cost(426_700, 7_860)),
            "sync      7,860        7,860    426.7 ms      1.0   6 min 33 s"
        );
        assert_eq!(
            table.line("async", &cost(468, 1)),
            "async     7,860            1      468 us    911.8   50.5 ms"
        );
    }

    #[test]
    fn the_round_trips_that_were_measured_are_replaced() {
        let [near, far] = [10, 50].map(Duration::from_millis);
        // Four round trips of 10 ms and 2 ms of work.
        assert_eq!(cost(42_000, 4).at(far, near), Duration::from_millis(202));
        // A wait may end before a whole round trip.
        assert_eq!(cost(5_000, 1).at(far, near), far);
    }
}
