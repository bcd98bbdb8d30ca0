//! The text of a diagnosis.

use crate::doctor::diagnosis::{Diagnosis, Finding, Site};
use std::fmt;
use std::time::Duration;

/// Prints on standard error within a bounded time, as [`stderr::print`](crate::stderr::print) does.
pub(crate) fn print(text: &impl fmt::Display) {
    crate::stderr::print(&text.to_string());
}

/// Prints each finding in a line or two, as `DRAW_DOCTOR` does.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| {
            writeln!(f, "doctor: {}", finding.to_string().replace('\n', "\n        "))
        })
    }
}

/// Prints one sentence, and its cure on a line of its own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Waits { site, of, cure } => {
                write!(f, "{} for {} answer at ", waited(site.waits), plural(site.waits, "its", "their"))?;
                Where(site).fmt(f)?;
                if site.waits > 1 {
                    write!(f, ", {} each", time(mean(site.waited, site.waits)))?;
                }
                write!(f, ", {} of the program's {}.", time(site.held), time(*of))?;
                cure.as_ref().map_or(Ok(()), |cure| write!(f, "\n{}", cure.text))
            }
            Finding::Elsewhere { places, waits, waited: time_waited } => write!(
                f,
                "{} at {} more {}, {} in all.",
                waited(*waits),
                thousands(*places),
                plural(*places, "place", "places"),
                time(*time_waited)
            ),
            Finding::Credit { waits, held, of } => write!(
                f,
                "{} for credit, {} in all, of the program's {}: the display or the path is slower than the program.",
                waited(*waits),
                time(*held),
                time(*of)
            ),
            Finding::Failed { site } => {
                failed(f, site.rejected, site.unknown, &Where(site))?;
                match site.dropped {
                    0 => f.write_str("."),
                    n if n == site.failed() => {
                        f.write_str(": dropped while the display was offline or behind.")
                    }
                    n => write!(
                        f,
                        "; {} of those rejected {} dropped while the display was offline or behind.",
                        thousands(n),
                        plural(n, "was", "were")
                    ),
                }
            }
            Finding::FailedElsewhere { places, rejected, unknown } => {
                let more = format!("{} more {}", thousands(*places), plural(*places, "place", "places"));
                failed(f, *rejected, *unknown, &more)?;
                f.write_str(".")
            }
            Finding::Invisible { site } => {
                write!(
                    f,
                    "{} at {} drew with alpha 0, which is invisible",
                    count(site.invisible),
                    Where(site)
                )?;
                match site.meant {
                    Some(meant) => {
                        write!(f, ": did you mean {:#010x}? Colours are 0xRRGGBBAA.", meant.to_u32())
                    }
                    None => f.write_str("."),
                }
            }
            Finding::Untold { calls } => write!(
                f,
                "{} failed and {} not reported: an error callback would receive the errors, and so would a sync or close.",
                count(*calls),
                plural(*calls, "was", "were")
            ),
            Finding::Idle { idle, of } => write!(
                f,
                "the connection was idle {} % of its {}: the program spends its time elsewhere.",
                // Rounded down: what is not all of it does not read as if it were.
                (idle.as_secs_f64() / of.as_secs_f64() * 100.0).floor(),
                time(*of)
            ),
            Finding::Healthy { calls: 0, of, .. } => {
                write!(f, "nothing to improve: no call was made in {}.", time(*of))
            }
            Finding::Healthy { calls, waits: 0, of, .. } => {
                write!(f, "nothing to improve: {} in {}, and none waited.", count(*calls), time(*of))
            }
            Finding::Healthy { calls, waits, held, of } => write!(
                f,
                "nothing to improve: {}, {} waited, {} of the program's {}.",
                count(*calls),
                thousands(*waits),
                time(*held),
                time(*of)
            ),
        }
    }
}

/// The line and the method of a site.
struct Where<'a>(&'a Site);

impl fmt::Display for Where<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.location, self.0.method) {
            (Some(location), Some(method)) => write!(f, "{location} {}", method.name()),
            _ => f.write_str("lines beyond the first 1,000"),
        }
    }
}

/// Writes how many calls failed and with which outcome.
fn failed(f: &mut fmt::Formatter<'_>, rejected: u64, unknown: u64, at: &dyn fmt::Display) -> fmt::Result {
    let were = |n| plural(n, "was", "were");
    if rejected == 0 {
        return write!(f, "it is unknown whether {} at {at} {} executed", count(unknown), were(unknown));
    }
    write!(f, "{} at {at} {} rejected", count(rejected), were(rejected))?;
    if unknown > 0 {
        write!(f, ", and it is unknown whether {} more {} executed", thousands(unknown), were(unknown))?;
    }
    Ok(())
}

fn plural(n: u64, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}

fn count(calls: u64) -> String {
    format!("{} {}", thousands(calls), plural(calls, "call", "calls"))
}

fn waited(calls: u64) -> String {
    format!("{} waited", count(calls))
}

/// Formats a number with commas: `7,500`.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

pub(super) fn mean(sum: Duration, count: u64) -> Duration {
    if count == 0 { Duration::ZERO } else { seconds(sum.as_secs_f64() / count as f64) }
}

/// Returns a duration of this many seconds, or the longest if it does not fit.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Formats a duration with two digits or three: `8.2 s`, `427 ms`, `6 min 33 s`.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 119.5 {
        let seconds = seconds.round() as u64;
        return format!("{} min {:02} s", thousands(seconds / 60), seconds % 60);
    }
    let (value, unit) = match seconds {
        s if s < 999.5e-6 => (s * 1e6, "us"),
        s if s < 999.5e-3 => (s * 1e3, "ms"),
        s => (s, "s"),
    };
    let digits = if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {unit}", digits.strip_suffix(".0").unwrap_or(&digits))
}

/// Formats an estimate with one digit, or two where the first is a 1.
pub(super) fn about(estimate: Duration) -> String {
    let exact = estimate.as_secs_f64();
    if exact == 0.0 {
        return time(estimate);
    }
    let first = 10f64.powf(exact.log10().floor());
    let step = if exact / first < 1.95 { first / 10.0 } else { first };
    time(seconds((exact / step).round() * step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let us = Duration::from_micros;
        let times =
            [0, 1, 12, 999, 1_000, 1_149, 9_960, 427_123, 999_600, 8_249_000, 119_400_000, 393_000_000];
        assert_eq!(
            times.map(|n| time(us(n))),
            [
                "0 us",
                "1 us",
                "12 us",
                "999 us",
                "1 ms",
                "1.1 ms",
                "10 ms",
                "427 ms",
                "1 s",
                "8.2 s",
                "119 s",
                "6 min 33 s"
            ]
        );
        assert_eq!(time(Duration::from_nanos(1_240)), "1.2 us");
        let estimates = [0, 14, 86, 149, 5_900, 9_600, 96_000, 1_240_000, 393_000_000];
        assert_eq!(
            estimates.map(|n| about(us(n))),
            ["0 us", "14 us", "90 us", "150 us", "6 ms", "10 ms", "100 ms", "1.2 s", "6 min 40 s"]
        );
        assert!(about(Duration::MAX).contains(" min "));
    }

    #[test]
    fn large_numbers_have_commas() {
        assert_eq!(
            [0, 999, 1_000, 7_860, 1_234_567].map(thousands),
            ["0", "999", "1,000", "7,860", "1,234,567"]
        );
    }
}
