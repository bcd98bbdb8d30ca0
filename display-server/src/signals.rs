//! The signals that ask a program to end.

use std::fmt;
use std::fs;
use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that asks a program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// SIGINT, as by Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// SIGHUP, as when the terminal goes.
    HangUp,
}

impl Ending {
    fn number(self) -> u8 {
        match self {
            Ending::HangUp => 1,
            Ending::Interrupt => 2,
            Ending::Terminate => 15,
        }
    }

    /// Returns the status that a shell reports for a program ended by this signal: 128 plus its number.
    pub fn status(self) -> u8 {
        128 + self.number()
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ending::Interrupt => "SIGINT (Ctrl-C)",
            Ending::Terminate => "SIGTERM",
            Ending::HangUp => "SIGHUP",
        })
    }
}

/// Receives the signals that ask this program to end.
///
/// Other signals keep their default actions: SIGQUIT ends the program with a core, SIGTSTP stops it.
#[derive(Debug)]
pub struct Endings {
    interrupts: Signal,
    terminations: Signal,
    hangups: Option<Signal>,
}

impl Endings {
    /// Installs the handlers. SIGHUP is left out if it was ignored when this process was started, as by `nohup`: the
    /// process is to outlive the terminal, and a handler would override that. It is also left out if the system does
    /// not tell (without `/proc`).
    ///
    /// # Errors
    /// If the system refuses a handler.
    ///
    /// # Panics
    /// Outside a runtime of tokio with I/O.
    pub fn listen() -> io::Result<Endings> {
        Ok(Endings {
            interrupts: signal(SignalKind::interrupt())?,
            terminations: signal(SignalKind::terminate())?,
            hangups: may_handle_hangup().then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Returns whether SIGHUP is handled.
    pub fn has_hangup(&self) -> bool {
        self.hangups.is_some()
    }

    /// Waits for the next signal. Dropping the future loses none.
    pub async fn next(&mut self) -> Ending {
        tokio::select! {
            () = received(Some(&mut self.interrupts)) => Ending::Interrupt,
            () = received(Some(&mut self.terminations)) => Ending::Terminate,
            () = received(self.hangups.as_mut()) => Ending::HangUp,
        }
    }

    /// Waits for the next SIGINT.
    pub async fn next_interrupt(&mut self) {
        received(Some(&mut self.interrupts)).await;
    }
}

/// Waits for the signal; for ever if it is not handled, or cannot come any more.
async fn received(signal: Option<&mut Signal>) {
    let has_come = match signal {
        Some(signal) => signal.recv().await.is_some(),
        None => false,
    };
    if !has_come {
        std::future::pending::<()>().await;
    }
}

fn may_handle_hangup() -> bool {
    let hangup = u32::from(Ending::HangUp.number());
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, hangup) == Some(false))
}

/// Parses the line `SigIgn` of `/proc/PID/status`, a mask in hex whose lowest bit is signal 1.
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
