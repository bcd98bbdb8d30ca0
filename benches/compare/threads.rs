//! The measured threads: starts them at their place, and reads the processor time that they use.

use crate::failure::{Context, Result};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// The system's id of a thread or a process.
pub(crate) type Id = i32;

/// All threads of one end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Side {
    threads: Vec<Id>,
    process: Option<Id>,
}

impl Side {
    pub(crate) fn of_threads(threads: impl IntoIterator<Item = Id>) -> Side {
        Side { threads: threads.into_iter().collect(), process: None }
    }

    /// Returns all threads of another process, including those that it starts later.
    pub(crate) fn of_process(process: Id) -> Side {
        Side { threads: Vec::new(), process: Some(process) }
    }

    /// Returns the current threads.
    pub(crate) fn ids(&self) -> Vec<Id> {
        let listed = self.process.and_then(|process| std::fs::read_dir(format!("/proc/{process}/task")).ok());
        let names =
            listed.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| name.parse().ok()).chain(self.threads.iter().copied()).collect()
    }

    /// Returns the processor time of all threads together, if there are any and the system counts it.
    pub(crate) fn processor_time(&self) -> Option<Duration> {
        let ids = self.ids();
        if ids.is_empty() {
            return None;
        }
        ids.into_iter().map(processor_time).sum()
    }
}

/// Starts a thread that first moves to its core. Returns its id if the system has one.
pub(crate) fn start(
    name: &str,
    enter: impl FnOnce() -> Result<()> + Send + 'static,
    body: impl FnOnce() + Send + 'static,
) -> Result<Option<Id>> {
    let (outbox, entered) = channel();
    let start = move || {
        let result = enter().map(|()| current());
        let is_entered = result.is_ok();
        if outbox.send(result).is_ok() && is_entered {
            body();
        }
    };
    thread::Builder::new()
        .name(name.into())
        .spawn(start)
        .context(format_args!("starting the thread {name}"))?;
    entered.recv().context(format_args!("the thread {name} has ended"))?
}

/// Returns the threads of this process that `work` has started, and its result.
pub(crate) fn started_by<T>(work: impl FnOnce() -> T) -> (T, Vec<Id>) {
    let all =
        || Id::try_from(std::process::id()).map_or_else(|_| Vec::new(), |id| Side::of_process(id).ids());
    let before = all();
    let answer = work();
    let started = all().into_iter().filter(|id| !before.contains(id)).collect();
    (answer, started)
}

/// Returns the id of the calling thread.
#[cfg(target_os = "linux")]
pub(crate) fn current() -> Option<Id> {
    Some(rustix::thread::gettid().as_raw_nonzero().get())
}

#[cfg(target_os = "linux")]
fn processor_time(id: Id) -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};
    if current() == Some(id) {
        return Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok();
    }
    // Exact for a sleeping thread, as all others are when this is read; the first of three numbers.
    let text = std::fs::read_to_string(format!("/proc/{id}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn current() -> Option<Id> {
    None
}

#[cfg(not(target_os = "linux"))]
fn processor_time(_: Id) -> Option<Duration> {
    None
}
