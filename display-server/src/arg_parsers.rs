//! Parses arguments of the command line. Part of the library for the sake of a fuzz target and the examples; not a
//! public interface.

use crate::journal::inspect::Moment;
use crate::limits::SIDE;
use draw_protocol::{DisplayName, ParseDisplayNameError, Size};
use std::time::{Duration, UNIX_EPOCH};

/// Parses a size, such as `640x480`.
///
/// # Errors
/// A sentence with the expected format.
pub fn parse_size(text: &str) -> Result<Size, String> {
    let side = |text: &str| {
        let is_number = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u32>().ok().filter(|n| is_number && (1..=SIDE).contains(n))
    };
    text.split_once(['x', 'X'])
        .and_then(|(width, height)| Some(Size { width: side(width)?, height: side(height)? }))
        .ok_or_else(|| format!("write width x height, for example 640x480, each from 1 to {SIDE}"))
}

/// Parses the name and size of an added display, such as `plots=640x480`.
///
/// # Errors
/// A sentence with the expected format.
pub fn parse_added(text: &str) -> Result<(DisplayName, Size), String> {
    let Some((name, size)) = text.split_once('=') else {
        return Err("write name=width x height, for example plots=640x480".into());
    };
    let name = name.parse().map_err(|error: ParseDisplayNameError| error.to_string())?;
    Ok((name, parse_size(size)?))
}

/// Returns a parser of whole numbers from `from` to `to`, both included.
pub fn number<T: TryFrom<u64>>(
    from: u64,
    to: u64,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| (from..=to).contains(number));
        let number = number.and_then(|number: u64| T::try_from(number).ok());
        number.ok_or_else(|| format!("write a whole number from {from} to {to}"))
    }
}

/// Parses a moment in the life of a display.
///
/// # Errors
/// A sentence with the expected format.
pub fn parse_moment(text: &str) -> Result<Moment, String> {
    let seconds = || {
        let since = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
        UNIX_EPOCH.checked_add(since)
    };
    if let Some(before) = text.strip_prefix('-') {
        let before = humantime::parse_duration(before);
        return before.map(Moment::Before).map_err(|error| format!("{error}: write -10s, or -1h30m"));
    }
    seconds().or_else(|| humantime::parse_rfc3339_weak(text).ok()).map(Moment::At).ok_or_else(|| {
        "write 2026-01-31T12:00:00Z, the seconds since 1970, or -10s for 10 seconds before the last call"
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_that_is_added_has_a_name_and_a_size() {
        let size = Size { width: 64, height: 48 };
        assert_eq!(parse_added("plots=64x48"), Ok(("plots".parse().expect("a name"), size)));
        for (text, says) in [
            ("plots", "for example plots=640x480"),
            ("64x48", "for example plots=640x480"),
            ("=64x48", "has 1 to 32 characters, each of a-z, 0-9 or -"),
            ("Plots=64x48", "has 1 to 32 characters"),
            ("a/b=64x48", "has 1 to 32 characters"),
            (&format!("{}=64x48", "x".repeat(33)), "has 1 to 32 characters"),
            ("plots=64", "for example 640x480, each from 1 to 16384"),
            ("plots=0x48", "each from 1 to 16384"),
            ("plots=64x16385", "each from 1 to 16384"),
            ("plots=64x48=1", "each from 1 to 16384"),
        ] {
            let error = parse_added(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
