//! Durations on the command line.

use std::time::Duration;

/// Parses a duration with its unit: `50ms`, `2s`, `1.5s`, `200us`. For clap's `value_parser`.
///
/// # Errors
/// A sentence with the text, what is wrong with it, and how durations are written.
///
/// ```
/// use draw_examples::parse_duration;
/// use std::time::Duration;
/// assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1_500)));
/// assert!(parse_duration("50").is_err_and(|says| says.contains("50ms")));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|error| format!("{text:?} is not a duration ({error}): write 50ms, 2s, 1.5s or 200us"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        for (text, micros) in [
            ("50ms", 50_000),
            ("2s", 2_000_000),
            ("1.5s", 1_500_000),
            ("200us", 200),
            ("0s", 0),
            ("1m 30s", 90_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_micros(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_explained() {
        for text in ["", "50", "ms", "-1s", "2 parsecs", "1e3s", "99999999999999999999s"] {
            let says = parse_duration(text).unwrap_err();
            assert!(says.contains(&format!("{text:?}")) && says.contains("write 50ms"), "{says}");
        }
    }
}
