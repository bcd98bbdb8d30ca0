//! Counters of a connection, for the program and for the doctor.

use crate::doctor::Doctor;

/// Counters of a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls made.
    pub calls: u64,
    /// How often the program had to wait: for an answer, or for credit. Each wait costs about a round trip.
    pub waits: u64,
}

/// Counts calls and waits. `known_calls` never exceeds `stats.calls`.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) stats: Stats,
    /// How many of the calls were certainly made by the process that has connected.
    pub(super) known_calls: u64,
    /// Accounts for the waits, if the program or the environment asks for it.
    pub(crate) doctor: Option<Box<Doctor>>,
}

impl Account {
    /// Notes that this process is the one that has connected.
    pub(super) fn confirm(&mut self) {
        self.known_calls = self.stats.calls;
    }

    /// Returns how many calls may have been made after a fork, by a process that has not noticed it.
    pub(super) fn unseen(&self) -> u64 {
        self.stats.calls - self.known_calls
    }
}
