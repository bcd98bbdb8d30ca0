//! The measurements of one section of a row.

use crate::failure::Result;
use crate::syscalls::Counters;
use crate::threads::Side;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

/// The far path: its round trip and its bit rate per second.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(50);
pub(crate) const LINE_BITS: u64 = 100_000_000;

/// The time that the far end has to fall asleep after its last answer: the system updates its processor time then.
const SETTLED: Duration = Duration::from_micros(200);

/// The unit of a row's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds of each call.
    Latency,
    /// Millions of calls per second, one figure per section.
    Calls,
    /// Millions of pixels per second, one figure per section.
    Pixels,
    /// Milliseconds for all calls together, one figure per section.
    Total,
    /// Megabits per second of the line that the pixel records fill, 64 bits each.
    Line,
    /// Round trips of the far path, for all calls together.
    RoundTrips,
    /// KiB per connection.
    Memory,
}

impl Unit {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::Latency => "us",
            Unit::Calls => "Mcalls/s",
            Unit::Pixels => "Mpixel/s",
            Unit::Total => "ms",
            Unit::Line => "Mbit/s",
            Unit::RoundTrips => "round trips",
            Unit::Memory => "KiB",
        }
    }

    /// Returns whether more is better.
    pub(crate) fn is_rate(self) -> bool {
        matches!(self, Unit::Calls | Unit::Pixels | Unit::Line)
    }

    /// Converts a measured value to this unit.
    pub(crate) fn shown(self, value: f64) -> f64 {
        match self {
            Unit::Latency => value / 1e3,
            Unit::Calls | Unit::Pixels => 1e3 / value,
            Unit::Total => value / 1e6,
            Unit::Line => 64.0 * 1e3 / value,
            Unit::RoundTrips => value / ROUND_TRIP.as_nanos() as f64,
            Unit::Memory => value / 1024.0,
        }
    }
}

/// The work of a row in a section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) calls: usize,
    pub(crate) pixels: usize,
}

impl Load {
    /// Returns the number of items that a rate of this unit counts.
    fn amount(self, unit: Unit) -> usize {
        match unit {
            Unit::Latency | Unit::Calls | Unit::RoundTrips => self.calls,
            Unit::Pixels | Unit::Line | Unit::Total => self.pixels,
            Unit::Memory => 1,
        }
    }
}

/// The two ends of a row.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ends {
    pub(crate) near: Side,
    pub(crate) far: Side,
    pub(crate) wire: Wire,
}

/// The bytes on the wire.
#[derive(Debug, Clone, Default)]
pub(crate) enum Wire {
    /// None, or unknown.
    #[default]
    Unknown,
    /// This many bytes for each pixel, computed from the format.
    Each(f64),
    /// Counted by the far end's sockets.
    Counted(Arc<Traffic>),
}

/// Bytes that the far end has read and written until now.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) read: AtomicU64,
    pub(crate) written: AtomicU64,
}

impl Wire {
    /// Returns the bytes of both directions.
    fn so_far(&self) -> [u64; 2] {
        match self {
            Wire::Counted(traffic) => [traffic.read.load(Relaxed), traffic.written.load(Relaxed)],
            Wire::Each(_) | Wire::Unknown => [0, 0],
        }
    }
}

/// The result of one turn of a row.
#[derive(Debug)]
pub(crate) struct Section {
    /// Nanoseconds of each call, of the mean call or pixel, or of everything, depending on the unit; or bytes of
    /// memory.
    pub(crate) values: Vec<f64>,
    /// Nanoseconds of processor time of both ends, per call or pixel.
    pub(crate) near: Option<f64>,
    pub(crate) far: Option<f64>,
    /// Bytes per pixel, in the direction that carries more.
    pub(crate) bytes: Option<f64>,
}

/// System calls of both ends per thousand calls.
pub(crate) type Counted = [Option<f64>; 2];

/// The quantity to measure: the time, or the system calls, whose counting takes time.
pub(crate) enum Mode {
    Time,
    SystemCalls,
}

/// Measures a row while it works: each row starts it when both ends are warm, and stops it when the far end has
/// acknowledged everything.
pub(crate) struct Watch<'a> {
    ends: &'a Ends,
    laps: Vec<f64>,
    last: Instant,
    counters: Option<[Counters; 2]>,
    before: Usage,
    used: Usage,
}

#[derive(Debug, Clone, Copy, Default)]
struct Usage {
    near: Option<Duration>,
    far: Option<Duration>,
    bytes: [u64; 2],
}

impl<'a> Watch<'a> {
    /// Creates a watch for these ends. Fails if the system cannot count system calls.
    pub(crate) fn new(ends: &'a Ends, mode: &Mode) -> Result<Watch<'a>, String> {
        let open = |side: &Side| Counters::open(&side.ids());
        let counters = match mode {
            Mode::Time => None,
            Mode::SystemCalls => Some([open(&ends.near)?, open(&ends.far)?]),
        };
        let (before, used) = (Usage::default(), Usage::default());
        Ok(Watch { ends, laps: Vec::new(), last: Instant::now(), counters, before, used })
    }

    /// Starts the first of `laps` laps.
    pub(crate) fn start(&mut self, laps: usize) {
        self.laps.reserve(laps);
        let (far, bytes) = (self.ends.far.processor_time(), self.ends.wire.so_far());
        self.before = Usage { far, bytes, near: self.ends.near.processor_time() };
        if let Some([near, far]) = &mut self.counters {
            far.start();
            near.start();
        }
        self.last = Instant::now();
    }

    /// Ends a lap. A lap lasts from the end of the one before, so that the sum is the time of all.
    pub(crate) fn lap(&mut self) {
        let now = Instant::now();
        self.laps.push((now - self.last).as_nanos() as f64);
        self.last = now;
    }

    /// Sleeps between two laps.
    pub(crate) fn pause(&mut self, time: Duration) {
        thread::sleep(time);
        self.last = Instant::now();
    }

    pub(crate) fn stop(&mut self) {
        if let Some([near, far]) = &mut self.counters {
            near.stop();
            far.stop();
        }
        let near = self.ends.near.processor_time();
        thread::sleep(SETTLED);
        self.used = Usage { near, far: self.ends.far.processor_time(), bytes: self.ends.wire.so_far() };
    }

    /// Measures the time of each of `items`, one after the other.
    pub(crate) fn each<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut call: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        self.start(items.len());
        for item in items {
            call(item)?;
            self.lap();
        }
        self.stop();
        Ok(())
    }

    /// Measures the time of all the work together.
    pub(crate) fn whole(&mut self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut work = Some(work);
        self.each([()].into_iter(), |()| work.take().map_or(Ok(()), |work| work()))
    }

    /// Records a figure that was measured elsewhere.
    pub(crate) fn record(&mut self, value: f64) {
        self.laps.push(value);
    }

    pub(crate) fn section(self, unit: Unit, load: Load) -> Section {
        let amount = load.amount(unit) as f64;
        let each = |after: Option<Duration>, before: Option<Duration>| {
            Some(after?.saturating_sub(before?).as_nanos() as f64 / amount)
        };
        let bytes = match self.ends.wire {
            Wire::Unknown => None,
            Wire::Each(bytes) => Some(bytes),
            Wire::Counted(_) => {
                let [read, written] = [0, 1].map(|way| self.used.bytes[way] - self.before.bytes[way]);
                Some(read.max(written) as f64 / load.pixels as f64)
            }
        };
        let (near, far) = (each(self.used.near, self.before.near), each(self.used.far, self.before.far));
        let total: f64 = self.laps.iter().sum();
        let values = match unit {
            Unit::Latency | Unit::Memory => self.laps,
            Unit::Calls | Unit::Pixels | Unit::Line => vec![total / amount],
            Unit::Total | Unit::RoundTrips => vec![total],
        };
        Section { values, near, far, bytes }
    }

    pub(crate) fn counted(self, load: Load) -> Counted {
        let Some([mut near, mut far]) = self.counters else { return [None; 2] };
        // The last call counted is the near end's own, which stops its counter.
        let counts = [near.count().map(|count| count.saturating_sub(1)), far.count()];
        counts.map(|count| Some(count? as f64 * 1e3 / load.calls as f64))
    }
}
