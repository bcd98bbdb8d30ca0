//! File descriptors: both ends of many connections are in this process, and many systems allow 1,024 unless asked.

/// What all connections of all placements need, those of the idle ones included, and some more.
const NEEDED: u64 = 8_192;

/// Sees to it that many connections can be open, or says why not.
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
    Err(format!("nobody has tried to raise the limit of file descriptors to {NEEDED} here"))
}
