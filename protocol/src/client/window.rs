//! Flow control: as much is under way as the path holds, and as much again. More would only wait in a queue, where it delays every question
//! behind it and costs memory.

use crate::limits;
use std::time::{Duration, Instant};

/// How much may be under way.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) window: Window,
    /// When the last of the calls was made whose first request the message at hand has answered. (Further requests of a call wait for
    /// the first, which is no fault of the path.)
    pub(super) answered: Option<Instant>,
}

impl Flow {
    pub(super) fn new(is_durable: bool) -> Flow {
        Flow { window: Window::new(is_durable), answered: None }
    }

    /// Measures the path: calls have been answered when `used` bytes were in flight. `most` is what was granted.
    #[inline]
    pub(super) fn measure(&mut self, used: usize, most: usize, now: Instant) {
        if let Some(at) = self.answered.take() {
            self.window.answered(at, now, used, most);
        }
    }
}

/// Bytes that may be in flight, found by watching how long they take.
///
/// It grows while it is used up and the answers come as fast as on an idle path, and shrinks when they take longer than
/// twice that, and than [`limits::WINDOW_SLACK`] beyond it: then a queue has formed. (The idea is TCP Vegas':
/// <https://doi.org/10.1145/190314.190317>.)
#[derive(Debug)]
pub(super) struct Window {
    bytes: usize,
    /// How much longer than the shortest time an answer may take, where that is shorter.
    slack: Duration,
    /// The shortest time that an answer has taken in this period.
    shortest: Duration,
    period_began: Option<Instant>,
    /// Requests that were made before this say nothing about the present size.
    resized: Option<Instant>,
    /// The size to go back to when the shortest time has been measured anew.
    probing: Option<usize>,
}

impl Window {
    pub(super) fn new(is_durable: bool) -> Window {
        Window {
            bytes: limits::WINDOW_FIRST,
            slack: if is_durable { limits::WINDOW_SLACK_DURABLE } else { limits::WINDOW_SLACK },
            shortest: Duration::MAX,
            period_began: None,
            resized: None,
            probing: None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes that a request made `at` has been answered `now`, when `used` bytes were in flight. `most` is what was granted.
    pub(super) fn answered(&mut self, at: Instant, now: Instant, used: usize, most: usize) {
        let took = now.saturating_duration_since(at);
        let began = *self.period_began.get_or_insert(now);
        if now.saturating_duration_since(began) > limits::WINDOW_PERIOD && self.probing.is_none() {
            // The path may have become longer, which looks like a queue. Measuring it almost empty tells them apart.
            self.probing = Some(self.bytes);
            self.bytes = limits::WINDOW_LEAST;
            self.resized = Some(now);
            return;
        }
        if self.resized.is_some_and(|resized| at < resized) {
            return;
        }
        if let Some(before) = self.probing.take() {
            (self.shortest, self.period_began) = (took, Some(now));
            (self.bytes, self.resized) = (before, Some(now));
            return;
        }
        self.shortest = self.shortest.min(took);
        if used * 2 <= self.bytes.min(2 * limits::WINDOW_LEAST) {
            // So little says nothing, as with a program that waits for each call.
            return;
        }
        let target = self.shortest + self.shortest.max(self.slack);
        if took > target && used > limits::WINDOW_LEAST {
            let share = target.as_secs_f64() / took.as_secs_f64();
            self.resize((self.bytes as f64 * share) as usize, most, now);
        } else if took * 2 < self.shortest + target && used * 2 > self.bytes {
            self.resize(self.bytes * 2, most, now);
        }
    }

    fn resize(&mut self, bytes: usize, most: usize, now: Instant) {
        self.bytes = bytes.clamp(limits::WINDOW_LEAST, most.max(limits::WINDOW_LEAST));
        self.resized = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 32 << 20;

    /// Simulates a path with one bottleneck of `rate` bytes a second and a round trip of `delay`. Sends 16 KiB requests
    /// as fast as the window allows. Returns the used share of the rate and the longest queue after the first second.
    fn drive(window: &mut Window, start: Instant, seconds: f64, rate: f64, delay: f64) -> (f64, f64) {
        const BYTES: usize = 16 << 10;
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let mut flight = std::collections::VecDeque::new();
        let (mut now, mut free, mut done, mut longest) = (0.0_f64, 0.0_f64, 0.0, 0.0_f64);
        while now < seconds {
            while flight.len() * BYTES < window.bytes() {
                free = free.max(now) + BYTES as f64 / rate;
                flight.push_back((now, free + delay));
            }
            let (made, answered) = flight.pop_front().unwrap();
            now = answered;
            if now > 1.0 {
                done += BYTES as f64;
                longest = longest.max(answered - made - delay);
            }
            window.answered(at(made), at(now), (flight.len() + 1) * BYTES, MOST);
        }
        (done / (rate * (seconds - 1.0)), longest)
    }

    #[test]
    fn a_slow_long_path_is_filled_and_its_queue_stays_short() {
        let (used, longest) = drive(&mut Window::new(false), Instant::now(), 60.0, 12.5e6, 0.05);
        assert!(used > 0.95, "{used}");
        assert!(longest < 0.2, "{longest} s");
    }

    #[test]
    fn a_fast_short_path_is_filled_and_its_queue_stays_short() {
        let (used, longest) = drive(&mut Window::new(false), Instant::now(), 5.0, 2e9, 50e-6);
        assert!(used > 0.95, "{used}");
        assert!(longest < 5e-3, "{longest} s");
    }

    #[test]
    fn a_path_that_becomes_longer_is_filled_again() {
        let (mut window, start) = (Window::new(false), Instant::now());
        drive(&mut window, start, 5.0, 12.5e6, 0.005);
        let later = start + Duration::from_secs(10);
        drive(&mut window, later, 25.0, 12.5e6, 0.2);
        let (used, _) = drive(&mut window, later + Duration::from_secs(30), 60.0, 12.5e6, 0.2);
        assert!(used > 0.9, "{used}");
    }

    #[test]
    fn a_disk_that_is_slow_now_and_then_does_not_shrink_what_shares_its_syncs() {
        for (is_durable, least) in [(true, limits::WINDOW_FIRST), (false, limits::WINDOW_LEAST)] {
            let (mut window, start) = (Window::new(is_durable), Instant::now());
            for i in 1..400 {
                let at = start + Duration::from_millis(20 * i);
                // Most syncs take 15 ms, some much less.
                let took = Duration::from_micros(if i % 50 == 1 { 200 } else { 15_000 });
                window.answered(at, at + took, window.bytes(), MOST);
                assert!(window.bytes() >= least, "{}", window.bytes());
            }
            assert_eq!(window.bytes() > limits::WINDOW_FIRST, is_durable, "{}", window.bytes());
        }
    }

    #[test]
    fn what_is_not_used_does_not_grow_and_a_slow_moment_does_not_shrink_it() {
        let (mut window, start) = (Window::new(false), Instant::now());
        for i in 1..1000 {
            let at = start + Duration::from_millis(i);
            let took = if i % 100 == 0 { 50 } else { 1 };
            window.answered(at, at + Duration::from_millis(took), 100, MOST);
        }
        assert_eq!(window.bytes(), limits::WINDOW_FIRST);
    }
}
