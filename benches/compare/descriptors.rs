//! Raises the limit of file descriptors: both ends of many connections are in this process, and many systems allow
//! 1,024 by default.

/// The number of descriptors for all connections of all placements, including the idle ones and a reserve.
const NEEDED: u64 = 8_192;

/// Raises the limit so that many connections can be open, or returns why it cannot.
#[cfg(target_os = "linux")]
pub(crate) fn allow() -> Result<(), String> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= NEEDED) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(NEEDED), ..limit })
        .map_err(|error| format!("the limit of file descriptors cannot be raised to {NEEDED}: {error}"))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn allow() -> Result<(), String> {
    Err(format!("raising the limit of file descriptors to {NEEDED} is not supported on this system"))
}
