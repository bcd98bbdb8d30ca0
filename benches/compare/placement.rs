//! The core of each end, which affects a round trip more than anything else.

use crate::failure::{Context, Failure, Result};
use std::fmt;

/// The placement of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Both pinned to this core.
    OneCore(usize),
    /// Each pinned to its own core: the near end's, the far end's.
    TwoCores(usize, usize),
    /// Not pinned: the system moves them freely.
    Unpinned,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Place::OneCore(_) => "one core",
            Place::TwoCores(..) => "two cores",
            Place::Unpinned => "unpinned",
        })
    }
}

impl Place {
    /// Pins the calling thread to the core of the near end.
    pub(crate) fn enter_near(self) -> Result<()> {
        match self {
            Place::OneCore(core) | Place::TwoCores(core, _) => pin(core),
            Place::Unpinned => Ok(()),
        }
    }

    /// Pins the calling thread to the core of the far end.
    pub(crate) fn enter_far(self) -> Result<()> {
        match self {
            Place::OneCore(core) | Place::TwoCores(_, core) => pin(core),
            Place::Unpinned => Ok(()),
        }
    }

    /// Returns the cores, in words.
    pub(crate) fn describe(self) -> String {
        match self {
            Place::OneCore(core) => format!("one core: client and server both pinned to core {core}"),
            Place::TwoCores(near, far) => {
                format!("two cores: client pinned to core {near}, server to core {far}")
            }
            Place::Unpinned => "unpinned: the system moves both ends as it likes".into(),
        }
    }
}

/// Returns the placements that this machine allows, and a note about the others.
pub(crate) fn places() -> Result<(Vec<Place>, Vec<String>)> {
    let cores = match allowed().and_then(|cores| {
        // Pinning is tried here, since a sandbox may list its cores but refuse to pin to one.
        let first = *cores.first().ok_or_else(|| Failure::new("the system names no core"))?;
        pin(first)?;
        Ok(cores)
    }) {
        Ok(cores) => cores,
        Err(failure) => {
            let note = format!(
                "threads could not be pinned ({failure}), so figures depend on where they happened to run"
            );
            return Ok((vec![Place::Unpinned], vec![note]));
        }
    };
    let near = cores[0];
    let siblings = siblings_of(near);
    let others = || cores[1..].iter().copied();
    let far = others().find(|core| !siblings.contains(core)).or(others().next());
    let mut places = vec![Place::OneCore(near)];
    let mut notes = Vec::new();
    match far {
        Some(far) => {
            places.push(Place::TwoCores(near, far));
            if siblings.contains(&far) {
                notes.push(format!("cores {near} and {far} are two threads of one physical core"));
            }
        }
        None => notes.push("only one core is allowed here, so nothing was measured across two".into()),
    }
    Ok((places, notes))
}

#[cfg(target_os = "linux")]
fn allowed() -> Result<Vec<usize>> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None).context("the system does not say which cores are allowed")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core)).collect())
}

#[cfg(target_os = "linux")]
fn pin(core: usize) -> Result<()> {
    use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).context(format_args!("pinning a thread to core {core}"))?;
    match sched_getcpu() {
        now if now == core => Ok(()),
        now => Err(Failure::new(format!("a thread pinned to core {core} runs on core {now}"))),
    }
}

/// Returns the hardware threads of the physical core of `core`, including itself, or none if the system does not report
/// them.
fn siblings_of(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    let list = std::fs::read_to_string(path).unwrap_or_default();
    // For example "0,4" or "0-1".
    let ranges = list.trim().split(',').filter_map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<usize>().ok()?..=last.parse().ok()?)
    });
    ranges.flatten().collect()
}

#[cfg(not(target_os = "linux"))]
fn allowed() -> Result<Vec<usize>> {
    Err(Failure::new("this program can pin threads on Linux only"))
}

#[cfg(not(target_os = "linux"))]
fn pin(_: usize) -> Result<()> {
    allowed().map(drop)
}
