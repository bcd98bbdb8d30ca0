//! What one section of a row measures.

use crate::Result;
use crate::placement::processor_time;
use std::time::{Duration, Instant};

/// What a row's figures are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds of each call.
    Latency,
    /// Millions of calls a second, one figure a section.
    Calls,
    /// Millions of pixels a second, one figure a section.
    Pixels,
    /// Milliseconds of all calls together, one figure a section.
    Total,
}

/// What a row did in one turn.
#[derive(Debug)]
pub(crate) struct Section {
    /// Nanoseconds: of each call, of the mean call or pixel, or of everything, as the unit says.
    pub(crate) times: Vec<f64>,
    /// Nanoseconds of processor time of the near and of the far end, for each call or pixel.
    pub(crate) near: Option<f64>,
    pub(crate) far: Option<f64>,
}

/// Nanoseconds of what was waited for, one by one or all together, and what it took.
pub(crate) type Timed = (Vec<f64>, Used);

/// Processor time of both ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    pub(crate) near: Option<Duration>,
    pub(crate) far: Option<Duration>,
}

impl Section {
    /// Of what took these times and did `count` of what the unit counts.
    pub(crate) fn new(unit: Unit, (times, used): Timed, count: usize) -> Section {
        let each = |time: Option<Duration>| time.map(|time| time.as_nanos() as f64 / count as f64);
        let total: f64 = times.iter().sum();
        let times = match unit {
            Unit::Latency => times,
            Unit::Calls | Unit::Pixels => vec![total / count as f64],
            Unit::Total => vec![total],
        };
        Section { times, near: each(used.near), far: each(used.far) }
    }
}

/// Takes the time of each of `items`, one after the other: from the end of one to the end of the next, so that the sum
/// is the time of all. Also answers the processor time of the calling thread.
pub(crate) fn each<T>(
    items: impl ExactSizeIterator<Item = T>,
    mut call: impl FnMut(T) -> Result<()>,
) -> Result<(Vec<f64>, Option<Duration>)> {
    let mut clock = Clock::start(items.len());
    for item in items {
        call(item)?;
        clock.lap();
    }
    Ok(clock.stop())
}

/// The time of laps, each from the end of the last.
pub(crate) struct Clock {
    laps: Vec<f64>,
    before: Option<Duration>,
    last: Instant,
}

impl Clock {
    /// Starts the first of at most `laps` laps.
    pub(crate) fn start(laps: usize) -> Clock {
        let laps = Vec::with_capacity(laps);
        Clock { laps, before: processor_time(), last: Instant::now() }
    }

    pub(crate) fn lap(&mut self) {
        let now = Instant::now();
        self.laps.push((now - self.last).as_nanos() as f64);
        self.last = now;
    }

    /// Nanoseconds of each lap, and processor time of this thread since the start.
    pub(crate) fn stop(self) -> (Vec<f64>, Option<Duration>) {
        let used = processor_time().zip(self.before).map(|(after, before)| after.saturating_sub(before));
        (self.laps, used)
    }
}
