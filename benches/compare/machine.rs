//! The machine and its load, which are needed to interpret the figures.

use crate::clients::WORKERS;
use crate::report;
use crate::stand::Stand;
use benches::date;
use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Returns the load of the system.
pub(crate) fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    averages.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned()
}

/// Returns the text above the table. `before` is the load when the run began.
pub(crate) fn describe(before: &str, stands: &[Stand], mut notes: Vec<String>) -> String {
    notes
        .extend(report::not_counted(stands).map(|reason| format!("system calls were not counted: {reason}")));
    let mut lines = headline(before, stands);
    lines.extend([
        "raw: std::net, blocking, both ends, a thread for each far end, 64 KiB to a write and a read; raw, tokio: one \
         current-thread runtime at each end, a task for each connection"
            .to_owned(),
        "server: tokio, current-thread runtime in a thread of its own; async client: the same in the thread that draws; \
         blocking client: std::net in the thread that draws"
            .to_owned(),
        format!(
            "multi-thread: the thread that draws and {WORKERS} workers, all pinned where the client belongs; the far end \
             as elsewhere"
        ),
    ]);
    lines.extend(stands.iter().map(|stand| stand.place.describe()));
    lines.extend(notes.iter().map(|note| format!("NOTE: {note}")));
    lines.extend(report::LEGEND.map(str::to_owned));
    lines.iter().map(|line| format!("- {line}\n")).collect()
}

/// Describes the machine and its state, in as many lines as a picture has room for.
pub(crate) fn headline(before: &str, stands: &[Stand]) -> Vec<String> {
    vec![
        format!("machine: {}, {} cores; {} {}", processor(), cores(), std::env::consts::OS, kernel()),
        format!("{}; built {}; {}", rustc(), profile(), today()),
        format!("load average {before} before the run, {} after it", load()),
        format!(
            "TCP over loopback, TCP_NODELAY at every end; congestion control {} of ours and of the raw sockets, {} of peers",
            congestion(stands),
            usual_congestion()
        ),
    ]
}

fn processor() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| format!("unknown {}", std::env::consts::ARCH), |(_, name)| name.trim().to_owned())
}

fn cores() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    match text.lines().filter(|line| line.starts_with("processor")).count() {
        0 => std::thread::available_parallelism().map_or_else(|_| "?".into(), |n| n.to_string()),
        count => count.to_string(),
    }
}

fn kernel() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

/// Returns the version of the compiler that cargo used, if the environment has not changed since.
fn rustc() -> String {
    let name = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(name).arg("--version").output().ok();
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    if text.is_empty() { "rustc of unknown version".into() } else { text.trim().into() }
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "WITH DEBUG ASSERTIONS, so the figures mean nothing" } else { "optimised" }
}

fn today() -> String {
    let days = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() / 86_400);
    u32::try_from(days).map_or_else(|_| "date unknown".into(), date::civil)
}

/// Returns the default congestion control of sockets.
fn usual_congestion() -> String {
    let name = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    if name.trim().is_empty() { "unknown".into() } else { name.trim().into() }
}

/// Returns the congestion control that the sockets themselves report.
fn congestion(stands: &[Stand]) -> String {
    let mut names: Vec<_> = stands.iter().map(|stand| stand.congestion().unwrap_or("unknown")).collect();
    names.dedup();
    names.join(", ")
}
