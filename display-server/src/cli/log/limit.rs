//! Limits how often the log repeats lines of the same kind.
//!
//! Any client can make the display log a line, thousands of times a second. Of each kind of line, the first [`SHOWN`]
//! of each [`WINDOW`] are written, and the others are counted and reported in one line. Each kind has its own limit, so
//! that lines caused by hostile clients do not suppress others.

use draw_protocol::text::excerpt;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, error, info, warn};

/// Lines of a kind in each [`WINDOW`]: enough to see what a peer does, and its address.
pub(super) const SHOWN: u64 = 10;

/// The period of the limit, with which all kinds of lines that a peer can cause are at most some ten lines a second.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// The most kinds that are tracked. The program has fewer callsites and fault codes.
const KINDS: usize = 1_000;

/// Characters of the first line that are quoted in the report.
const EXCERPT: usize = 300;

/// The target of the reports, which are not limited themselves.
const TARGET: &str = "display_server::left_out";

/// The counts of all kinds.
#[derive(Default)]
pub(super) struct Kinds {
    /// Nothing is logged while it is locked.
    state: Mutex<State>,
    /// Notified when a first line was left out.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By the callsite and the code of the fault.
    kinds: HashMap<(Identifier, String), Kind>,
    has_thread: bool,
}

struct Kind {
    level: Level,
    since: Instant,
    shown: u64,
    left_out: u64,
    /// The first line that was written.
    text: String,
}

/// The report of a kind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LeftOut {
    pub(super) level: Level,
    pub(super) count: u64,
    pub(super) time: Duration,
    pub(super) text: String,
}

impl Kind {
    fn new(level: Level, now: Instant) -> Kind {
        Kind { level, since: now, shown: 0, left_out: 0, text: String::new() }
    }

    /// Counts a line. Returns whether it is written. Lines that were left out must be reported before a new period
    /// begins.
    fn admit(&mut self, now: Instant) -> bool {
        if self.left_out == 0 && now.saturating_duration_since(self.since) >= WINDOW {
            (self.since, self.shown) = (now, 0);
        }
        let is_shown = self.shown < SHOWN;
        *(if is_shown { &mut self.shown } else { &mut self.left_out }) += 1;
        is_shown
    }

    /// Returns the report that is due at `now`, if any, and begins a new period.
    fn take(&mut self, now: Instant, is_early: bool) -> Option<LeftOut> {
        let time = now.saturating_duration_since(self.since);
        if self.left_out == 0 || !(is_early || time >= WINDOW) {
            return None;
        }
        let told = LeftOut { level: self.level, count: self.left_out, time, text: self.text.clone() };
        (self.since, self.shown, self.left_out) = (now, 0, 0);
        Some(told)
    }
}

impl Kinds {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether an event is written. Levels below `info` are not limited.
    pub(super) fn admit(kinds: &Arc<Kinds>, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || metadata.target() == TARGET {
            return true;
        }
        let mut code = Code::default();
        event.record(&mut code);
        let now = Instant::now();
        let mut state = kinds.lock();
        let State { kinds: all, has_thread } = &mut *state;
        if all.len() >= KINDS {
            // Kinds without recent lines are removed.
            all.retain(|_, kind| kind.left_out > 0 || now.saturating_duration_since(kind.since) < WINDOW);
        }
        let kind = all.entry((metadata.callsite(), code.0));
        let kind = kind.or_insert_with(|| Kind::new(*metadata.level(), now));
        if kind.admit(now) {
            if kind.shown == 1 {
                let mut message = Message::default();
                event.record(&mut message);
                kind.text = excerpt(&message.0, EXCERPT);
            }
            return true;
        }
        if kind.left_out == 1 {
            if !*has_thread {
                let kinds = Arc::clone(kinds);
                // Without the thread, all reports are written at the end.
                *has_thread = thread::Builder::new().name("log".into()).spawn(move || kinds.run()).is_ok();
            }
            kinds.changed.notify_one();
        }
        false
    }

    /// Runs the thread that writes the reports when they are due.
    fn run(&self) {
        loop {
            let mut state = self.lock();
            let due = loop {
                let open = state.kinds.values().filter(|kind| kind.left_out > 0);
                match open.map(|kind| kind.since + WINDOW).min() {
                    Some(due) => break due,
                    None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            let now = Instant::now();
            if now < due {
                // Lines that are left out meanwhile are due later.
                drop(state);
                thread::sleep(due - now);
                continue;
            }
            let told = take(&mut state, now, false);
            drop(state);
            told.iter().for_each(LeftOut::tell);
        }
    }

    /// Writes all reports, at the end of the program.
    pub(super) fn tell_all(&self) {
        let told = take(&mut self.lock(), Instant::now(), true);
        told.iter().for_each(LeftOut::tell);
    }
}

fn take(state: &mut State, now: Instant, is_early: bool) -> Vec<LeftOut> {
    state.kinds.values_mut().filter_map(|kind| kind.take(now, is_early)).collect()
}

impl LeftOut {
    fn tell(&self) {
        let LeftOut { level, count, time, text } = self;
        let time = time.as_secs_f64();
        let more = if *count == 1 {
            "1 more message".into()
        } else {
            format!("{} more messages", thousands(*count))
        };
        match *level {
            Level::ERROR => {
                error!(target: TARGET, "{more} like this in the last {time:.0} s: {text}");
            }
            Level::WARN => {
                warn!(target: TARGET, "{more} like this in the last {time:.0} s: {text}");
            }
            _ => info!(target: TARGET, "{more} like this in the last {time:.0} s: {text}"),
        }
    }
}

/// Finds the field `code`.
#[derive(Default)]
struct Code(String);

impl Visit for Code {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "code" {
            self.0 = value.to_owned();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

/// Finds the message.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

/// `12,345`.
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Counts `lines` lines at once, and returns the reports before the end of the period, after it, and one period later.
#[cfg(test)]
pub(super) fn account_for_tests(lines: u64) -> [Option<LeftOut>; 3] {
    let began = Instant::now();
    let mut kind = Kind { text: "x".into(), ..Kind::new(Level::INFO, began) };
    let shown = (0..lines).filter(|_| kind.admit(began)).count() as u64;
    assert_eq!(shown, SHOWN.min(lines));
    let told = [began, began + WINDOW, began + 2 * WINDOW].map(|now| kind.take(now, false));
    assert!(kind.admit(began + 2 * WINDOW), "a new account");
    told
}
