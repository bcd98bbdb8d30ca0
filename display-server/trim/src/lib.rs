//! Gives memory that the C library keeps for later back to the system.
//!
//! The allocator of glibc keeps what a program frees, unless it lies at the end of a heap or was larger than anything freed
//! before. A server that has had a burst of large buffers stays as large as it was. This crate has the one call that changes
//! that, and the only unsafe code of the project.

/// Returns all pages that no allocation uses to the system, and whether there were any.
///
/// It goes through all heaps of the process, one after the other, and holds the lock of each: some milliseconds for 100 MiB.
/// Call it when a burst is over, on a thread that may block. With another C library than glibc it does nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no other way")]
pub fn trim() -> bool {
    // SAFETY: `malloc_trim` takes a number and no pointer, may be called by any thread at any time, and leaves every
    // allocation as it is (malloc_trim(3)).
    unsafe { libc::malloc_trim(0) == 1 }
}

/// Does nothing: there is no such call here.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn trim() -> bool {
    false
}
