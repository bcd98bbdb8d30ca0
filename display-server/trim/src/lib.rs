//! Gives memory that the C library keeps for later back to the system.
//!
//! The allocator of glibc keeps what a program frees, unless it lies at the end of a heap or was larger than anything freed
//! before. A server that has had a burst of large buffers stays as large as it was. This crate has the two calls that change
//! that, and the only unsafe code of the server.

/// Limits what the C library keeps at the end of each of its heaps to `bytes`, rounded to its pages.
///
/// [`trim`] gives back what lies between allocations, but of the end only that of the main heap. By default the limit grows with
/// the largest buffer that was freed, up to 64 MiB for each thread that allocates. Larger buffers than `bytes` still come from the heaps,
/// up to 32 MiB, so that freeing one does not cost a system call unless it lies at the end. Call it at the start of a program,
/// before there are other threads. With another C library than glibc it does nothing.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code, reason = "the C library has no other way")]
pub fn limit(bytes: usize) {
    /// The most that glibc takes.
    const LARGEST: libc::c_int = 32 << 20;
    let bytes = libc::c_int::try_from(bytes).unwrap_or(LARGEST);
    // SAFETY: `mallopt` takes two numbers and no pointer, and leaves every allocation as it is (mallopt(3)).
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST);
        libc::mallopt(libc::M_TRIM_THRESHOLD, bytes);
    }
}

/// Does nothing: there is no such call here.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn limit(_bytes: usize) {}

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
