//! Counts the system calls of threads with the kernel's tracepoint, so that no thread has to be stopped or attached to.

use crate::threads::Id;

/// One counter for each thread of one end.
pub(crate) struct Counters(Vec<imp::Counter>);

impl Counters {
    /// Opens counters that do not count yet.
    pub(crate) fn open(threads: &[Id]) -> Result<Counters, String> {
        threads.iter().map(|&id| imp::open(id)).collect::<Result<_, _>>().map(Counters)
    }

    pub(crate) fn start(&mut self) {
        self.0.iter_mut().for_each(imp::start);
    }

    pub(crate) fn stop(&mut self) {
        self.0.iter_mut().for_each(imp::stop);
    }

    /// Returns the system calls between start and stop; `None` if they were not counted.
    pub(crate) fn count(&mut self) -> Option<u64> {
        if self.0.is_empty() {
            return None;
        }
        self.0.iter_mut().map(imp::count).sum()
    }
}

#[cfg(all(feature = "peers", target_os = "linux"))]
mod imp {
    use crate::threads::Id;
    use perf_event::Builder;
    use perf_event::events::Tracepoint;
    use std::fs;

    pub(super) type Counter = perf_event::Counter;

    /// The directories of tracepoints. The first exists since Linux 4.1, if it is mounted.
    const PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

    pub(super) fn open(thread: Id) -> Result<Counter, String> {
        let number = PLACES.iter().find_map(|place| {
            let text = fs::read_to_string(format!("{place}/events/raw_syscalls/sys_enter/id")).ok()?;
            text.trim().parse().ok()
        });
        let number = number.ok_or(
            "there are no tracepoints to be seen (root may have to `mount -t tracefs nodev /sys/kernel/tracing`)",
        )?;
        let counter = Builder::new(Tracepoint::with_id(number)).observe_pid(thread).include_kernel().build();
        counter.map_err(|error| format!("the system does not let this process count: {error}"))
    }

    // A counter that cannot be started or read has counted nothing, which its result shows.
    pub(super) fn start(counter: &mut Counter) {
        _ = counter.enable();
    }

    pub(super) fn stop(counter: &mut Counter) {
        _ = counter.disable();
    }

    pub(super) fn count(counter: &mut Counter) -> Option<u64> {
        counter.read().ok()
    }
}

#[cfg(not(all(feature = "peers", target_os = "linux")))]
mod imp {
    use crate::threads::Id;

    pub(super) enum Counter {}

    pub(super) fn open(_: Id) -> Result<Counter, String> {
        Err(if cfg!(feature = "peers") { "Linux only" } else { "build with `--features peers`" }.into())
    }

    pub(super) fn start(counter: &mut Counter) {
        match *counter {}
    }

    pub(super) fn stop(counter: &mut Counter) {
        match *counter {}
    }

    pub(super) fn count(counter: &mut Counter) -> Option<u64> {
        match *counter {}
    }
}
