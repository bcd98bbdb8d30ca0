//! What of the signals the standard library and tokio cannot tell.

use std::fs;

/// SIGHUP, on every Unix.
const HANGUP: u32 = 1;

/// Returns whether SIGHUP may be handled: not where this process was started with the signal ignored, as by `nohup`, since its
/// user wants it to outlive the terminal. A handler would override that.
///
/// Where the system does not tell (there is no `/proc`), it is left alone.
pub fn may_handle_hangup() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, HANGUP) == Some(false))
}

/// Reads the line `SigIgn` of `/proc/PID/status`, a mask in hex whose lowest bit is signal 1.
fn ignores(status: &str, signal: u32) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (signal - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status =
            "Name:\tcat\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000001\n";
        assert_eq!(
            [1, 2, 13, 14].map(|signal| ignores(status, signal)),
            [true, false, true, false].map(Some)
        );
        assert_eq!(ignores("Name:\tcat\n", 1), None);
        assert_eq!(ignores("SigIgn:\tnone\n", 1), None);
    }
}
