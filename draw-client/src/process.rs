//! Which process a connection belongs to, and what a thread is inside of.
//!
//! A process that is forked has a copy of the memory and the same socket, but only the thread that forked. To write there would
//! mix two streams of calls, to read would take the other's answers, and the threads that carry a pipeline are not there: so
//! whoever has forked is told to connect itself. A look at the process's number is a system call, 50 to 200 ns; it is taken
//! where more than [`FORK`] has passed since a call was made, for no fork is as fast.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What forking takes at least. Linux needs 40 us for the smallest program, and some more until the child runs.
const FORK: Duration = Duration::from_micros(10);

/// Whether a fork may have come between the two.
#[inline]
pub(crate) fn may_have_forked(last: Instant, now: Instant) -> bool {
    // Most calls share a reading of the clock with the one before.
    now != last && now.saturating_duration_since(last) > FORK
}

/// The process that made a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner(u32);

impl Owner {
    /// This one.
    pub(crate) fn here() -> Owner {
        Owner(std::process::id())
    }

    /// Whether this process is another.
    pub(crate) fn is_other(self) -> bool {
        std::process::id() != self.0
    }

    /// Why nothing is done in another process.
    pub(crate) fn forked(self) -> crate::error::Lost {
        crate::error::Lost::Forked { connected: self.0, used: std::process::id() }
    }
}

thread_local! {
    /// The connection whose lock this thread has, or is about to have, told by its address; 0 for none.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// From when a thread asks for the lock of a connection until it has given it back.
#[derive(Debug)]
pub(crate) struct Inside {
    /// What it was inside of before: of a signal handler, whatever it has interrupted.
    before: usize,
}

impl Inside {
    #[inline]
    pub(crate) fn enter(connection: usize) -> Inside {
        Inside { before: INSIDE.replace(connection) }
    }

    /// Whether the thread was inside of this connection already. Then it would wait for itself.
    pub(crate) fn is_again(&self, connection: usize) -> bool {
        self.before == connection
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        INSIDE.set(self.before);
    }
}
