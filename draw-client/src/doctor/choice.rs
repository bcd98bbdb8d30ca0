//! Decides whether there is a doctor: the options do, else the environment.

use super::{Client, Doctor};
use std::ffi::OsStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// The environment variable that turns the round-trip doctor on, for every program that draws: `1`. With `0`, empty or
/// unset it is off. [`ConnectOptions::doctor`](crate::ConnectOptions::doctor) takes precedence.
pub const DRAW_DOCTOR: &str = "DRAW_DOCTOR";

/// Returns the doctor of a connection that was made `now`, if there is one.
pub(crate) fn open(chosen: Option<bool>, client: Client, now: Instant) -> Option<Box<Doctor>> {
    let is_on = chosen.unwrap_or_else(|| {
        static HAS_WARNED: AtomicBool = AtomicBool::new(false);
        is_asked_for(std::env::var_os(DRAW_DOCTOR).as_deref()).unwrap_or_else(|warning| {
            if !HAS_WARNED.swap(true, Relaxed) {
                super::print(&warning);
            }
            false
        })
    });
    is_on.then(|| Box::new(Doctor::new(client, now)))
}

/// Parses the value of the variable. Returns a warning for an unknown value.
fn is_asked_for(value: Option<&OsStr>) -> Result<bool, String> {
    let Some(value) = value else { return Ok(false) };
    match value.to_str() {
        Some("" | "0") => Ok(false),
        Some("1") => Ok(true),
        _ => Err(format!(
            "{DRAW_DOCTOR}={value:?} is not a valid value: 1 prints which lines wait for the display, 0 prints nothing\n"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_on_and_what_is_not_known_is_warned_of() {
        let said = |value: &str| is_asked_for(Some(OsStr::new(value)));
        assert_eq!(is_asked_for(None), Ok(false));
        assert_eq!((said(""), said("0"), said("1")), (Ok(false), Ok(false), Ok(true)));
        assert_eq!(
            said("please").unwrap_err(),
            "DRAW_DOCTOR=\"please\" is not a valid value: 1 prints which lines wait for the display, 0 prints nothing\n"
        );
    }

    #[test]
    fn the_builder_wins() {
        assert!(open(Some(true), Client::Blocking, Instant::now()).is_some());
        assert!(open(Some(false), Client::Blocking, Instant::now()).is_none());
    }
}
