//! The process that a connection belongs to, and the connections that a thread is inside of.
//!
//! A forked process has a copy of the memory and the same socket, but only the thread that called `fork`. Writing there
//! would mix two streams of calls, reading would take the other process's answers, and the threads of a pipeline do not
//! exist. So calls there fail, and their error says that the process has to connect itself.

use crate::error::{Error, Lost, Outcome};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// How often a lock is tried that may never become free.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The process that made a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    id: u32,
    /// [`draw_forks::count`] in that process, where forks are counted.
    forks: Option<u32>,
}

impl Owner {
    /// Returns the present process.
    pub(crate) fn here() -> Owner {
        Owner { id: std::process::id(), forks: draw_forks::watch().then(draw_forks::count) }
    }

    /// Returns a process that does not exist.
    #[cfg(test)]
    pub(crate) fn elsewhere() -> Owner {
        Owner { id: u32::MAX, forks: Some(u32::MAX) }
    }

    /// Returns whether the present process is another.
    #[inline]
    pub(crate) fn is_other(self) -> bool {
        match self.forks {
            Some(forks) => draw_forks::count() != forks,
            None => std::process::id() != self.id,
        }
    }

    /// Returns why nothing is done in another process.
    pub(crate) fn forked(self) -> Lost {
        Lost::Forked { connected: self.id, used: std::process::id() }
    }

    /// Returns the error of a call of another process.
    #[cold]
    pub(crate) fn refuse(self, outcome: Outcome) -> Error {
        Error::Disconnected { reason: self.forked().into(), outcome }
    }
}

/// Identifies a connection for a thread: one bit of 64. Connections with the same bit are taken for one another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u64);

impl Mark {
    /// Returns the next mark.
    pub(crate) fn new() -> Mark {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Mark(1 << (NEXT.fetch_add(1, Relaxed) % u64::BITS))
    }
}

thread_local! {
    /// The marks of the connections whose lock this thread has, or is about to have.
    static INSIDE: Cell<u64> = const { Cell::new(0) };
}

/// The marks of the connections that a thread was inside of before; for a signal handler, those of the code that it has interrupted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outer(u64);

/// Marks a thread as inside a connection, from before it locks the connection until it has given the lock back.
#[derive(Debug)]
pub(crate) struct Inside {
    outer: Outer,
}

impl Inside {
    #[inline(always)]
    pub(crate) fn enter(mark: Mark) -> Inside {
        Inside { outer: INSIDE.with(|inside| Outer(inside.replace(inside.get() | mark.0))) }
    }

    pub(crate) fn outer(&self) -> Outer {
        self.outer
    }
}

impl Outer {
    /// Waits for the lock of the connection that was entered. Returns `None` if this thread holds it, or if this thread is inside of
    /// another connection and the lock does not become free within `most`: its holder may be waiting for that connection.
    #[cold]
    pub(crate) fn wait_for<'a, T>(
        self,
        lock: &'a Mutex<T>,
        mark: Mark,
        most: Duration,
    ) -> Option<MutexGuard<'a, T>> {
        if self.0 == 0 {
            return Some(lock.lock().unwrap_or_else(PoisonError::into_inner));
        }
        if self.0 & mark.0 != 0 {
            return None;
        }
        let began = Instant::now();
        loop {
            match try_lock(lock) {
                None if began.elapsed() < most => std::thread::sleep(POLL_INTERVAL),
                locked => return locked,
            }
        }
    }
}

impl Drop for Inside {
    #[inline(always)]
    fn drop(&mut self) {
        INSIDE.with(|inside| inside.set(self.outer.0));
    }
}

/// Locks a mutex if it is free. No code panics while it holds the lock of a connection; if it did, the state could still be ended.
#[inline(always)]
pub(crate) fn try_lock<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match lock.try_lock() {
        Ok(locked) => Some(locked),
        Err(TryLockError::Poisoned(locked)) => Some(locked.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
