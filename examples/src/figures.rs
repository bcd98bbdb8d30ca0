//! Formats numbers and times.

use std::time::Duration;

/// Formats a whole number with a comma before every three digits: `7,860`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Formats a time in the unit that suits it: `468 us`, `50.5 ms`, `1.6 s`, `6 min 33 s`.
pub fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        s if s < 0.001 => format!("{:.0} us", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s if s < 120.0 => format!("{s:.1} s"),
        s => format!("{} min {:02} s", s as u64 / 60, s as u64 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_times_have_their_unit() {
        assert_eq!([0, 999, 1_000, 7_860_000].map(thousands), ["0", "999", "1,000", "7,860,000"]);
        let times = [468, 50_500, 1_600_000, 393_000_000].map(|us| seconds(Duration::from_micros(us)));
        assert_eq!(times, ["468 us", "50.5 ms", "1.6 s", "6 min 33 s"]);
    }
}
