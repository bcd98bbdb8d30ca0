//! Which process a connection belongs to, and which connections a thread is inside of.
//!
//! A process that is forked has a copy of the memory and the same socket, but only the thread that forked. To write there would
//! mix two streams of calls, to read would take the other's answers, and the threads that carry a pipeline are not there: so
//! whoever has forked is told to connect itself.

use crate::error::{Error, Lost, Outcome};
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// How often a lock is looked at that is waited for and may never come free.
const LOOK: Duration = Duration::from_millis(1);

/// The process that made a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    id: u32,
    /// [`draw_forks::count`] there, where forks are counted.
    forks: Option<u32>,
}

impl Owner {
    /// This one.
    pub(crate) fn here() -> Owner {
        Owner { id: std::process::id(), forks: draw_forks::watch().then(draw_forks::count) }
    }

    /// A process that is not there any more.
    #[cfg(test)]
    pub(crate) fn elsewhere() -> Owner {
        Owner { id: u32::MAX, forks: Some(u32::MAX) }
    }

    /// Whether this process is another.
    #[inline]
    pub(crate) fn is_other(self) -> bool {
        match self.forks {
            Some(forks) => draw_forks::count() != forks,
            None => std::process::id() != self.id,
        }
    }

    /// Why nothing is done in another process.
    pub(crate) fn forked(self) -> Lost {
        Lost::Forked { connected: self.id, used: std::process::id() }
    }

    /// What a call of another process is told.
    #[cold]
    pub(crate) fn refuse(self, outcome: Outcome) -> Error {
        Error::Disconnected { reason: self.forked().into(), outcome }
    }
}

/// What threads know a connection by: one bit of 64. Others may have the same, which then seem to be it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u64);

impl Mark {
    /// The next one.
    pub(crate) fn new() -> Mark {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Mark(1 << (NEXT.fetch_add(1, Relaxed) % u64::BITS))
    }
}

thread_local! {
    /// The marks of the connections whose lock this thread has, or is about to have.
    static INSIDE: Cell<u64> = const { Cell::new(0) };
}

/// The marks of the connections that a thread was inside of before: of a signal handler, whatever that has interrupted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outer(u64);

/// From when a thread asks for the lock of a connection until it has given it back.
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
    /// Waits for the lock of the connection that was entered, which somebody has. Nothing if that is this thread, or if this thread is
    /// inside of another connection, and the lock does not come free in so long: whoever has it may be waiting for that one.
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
                None if began.elapsed() < most => std::thread::sleep(LOOK),
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

/// Locks what nobody has. No code panics while it holds the lock of a connection; were it to, what it left is still whole enough to
/// be ended.
#[inline(always)]
pub(crate) fn try_lock<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match lock.try_lock() {
        Ok(locked) => Some(locked),
        Err(TryLockError::Poisoned(locked)) => Some(locked.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
