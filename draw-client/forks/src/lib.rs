//! Counts the forks of a process, so that a connection is not used in a child of the process that made it.
//!
//! The number of a process says the same, but asking for it is a system call. The counter is a variable that the C library
//! increments in the child before `fork` returns there (pthread_atfork(3)). A child that was made without it, by `vfork` or by the
//! system call `clone` itself, is not counted; such a child may only execute another program.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Written only in a child that has one thread yet.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// Counts forks from now on, also in the children. Returns whether that is possible: not where the system has no memory for it.
pub fn watch() -> bool {
    system::watch()
}

/// Returns how many forks are between this process and the one that has called [`watch`] first.
#[inline]
pub fn count() -> u32 {
    FORKS.load(Relaxed)
}

#[cfg(unix)]
mod system {
    use std::sync::OnceLock;
    use std::sync::atomic::Ordering::Relaxed;

    /// What a child does first. To add to an atomic is allowed there, whatever other threads held when the process was forked.
    extern "C" fn count() {
        super::FORKS.fetch_add(1, Relaxed);
    }

    #[allow(unsafe_code, reason = "the C library has no other way")]
    pub(super) fn watch() -> bool {
        static IS_WATCHED: OnceLock<bool> = OnceLock::new();
        // SAFETY: `pthread_atfork` may be called at any time. The function has the type that it wants, is there as long as the
        // program, and does nothing that is not async-signal-safe.
        *IS_WATCHED.get_or_init(|| unsafe { libc::pthread_atfork(None, None, Some(count)) == 0 })
    }
}

#[cfg(not(unix))]
mod system {
    /// There are no forks.
    pub(super) fn watch() -> bool {
        true
    }
}
