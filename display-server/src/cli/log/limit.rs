//! Bounds how often the log says the same.
//!
//! Whoever can connect can make the display log a line, thousands of times a second. Of each kind of line the first
//! [`SHOWN`] of [`WINDOW`] are written, and the others are counted and told in one. Each kind has a budget of its own, so
//! that what bad peers cause takes nothing from what there is to say of the display.

use draw_protocol::text::excerpt;
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, error, info, warn};

/// Lines of a kind in [`WINDOW`]: enough to see what a peer does, and from where.
pub(super) const SHOWN: u64 = 10;

/// How long one account of a kind is: at most some ten lines a second, of all kinds that a peer can cause together.
pub(super) const WINDOW: Duration = Duration::from_secs(10);

/// Kinds that are told apart. A program has fewer places that log, and a display fewer codes of faults.
const KINDS: usize = 1_000;

/// Characters of a line by which the others of its kind are told.
const EXCERPT: usize = 300;

/// The target of the lines that tell what was left out, which are not bounded themselves.
const TARGET: &str = "display_server::left_out";

/// The accounts of all kinds.
#[derive(Default)]
pub(super) struct Kinds {
    /// A leaf: nothing is logged meanwhile.
    state: Mutex<State>,
    /// A line was left out, and none had been.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By the place that logs and the code of the fault.
    kinds: HashMap<(Identifier, String), Kind>,
    has_thread: bool,
}

struct Kind {
    level: Level,
    since: Instant,
    shown: u64,
    left_out: u64,
    /// The first that was shown.
    text: String,
}

/// What is told of a kind.
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

    /// Whether one more is shown. What was left out before has to be told first.
    fn admit(&mut self, now: Instant) -> bool {
        if self.left_out == 0 && now.saturating_duration_since(self.since) >= WINDOW {
            (self.since, self.shown) = (now, 0);
        }
        let is_shown = self.shown < SHOWN;
        *(if is_shown { &mut self.shown } else { &mut self.left_out }) += 1;
        is_shown
    }

    /// What there is to tell at `now`; a new account begins with it.
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

    /// Whether there is room for an event. Those below `info` are not bounded: whoever asks for them wants everything.
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
            // None has that many that are all alive.
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
                // Without it the rest is told at the end.
                *has_thread = thread::Builder::new().name("log".into()).spawn(move || kinds.run()).is_ok();
            }
            kinds.changed.notify_one();
        }
        false
    }

    /// The body of the thread that tells what was left out, when it is time.
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
                // Whatever is left out meanwhile is due later.
                drop(state);
                thread::sleep(due - now);
                continue;
            }
            let told = take(&mut state, now, false);
            drop(state);
            told.iter().for_each(LeftOut::tell);
        }
    }

    /// Tells everything that was left out, at the end.
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
        let (count, time) = (thousands(*count), time.as_secs_f64());
        match *level {
            Level::ERROR => error!(target: TARGET, "{count} more in the last {time:.0} s like this: {text}"),
            Level::WARN => warn!(target: TARGET, "{count} more in the last {time:.0} s like this: {text}"),
            _ => info!(target: TARGET, "{count} more in the last {time:.0} s like this: {text}"),
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

/// Admits so many lines at once, and returns what is told of them before and after their time, and after that once more.
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
