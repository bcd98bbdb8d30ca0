//! Writes a trace to wherever it is told.

use crate::output::stderr;
use draw_protocol::trace::{Direction, Entry, Tracer};
use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// The environment variable that turns the trace on, in any program that draws or displays: `1` for a line per
/// message, `full` for its bytes too.
pub const DRAW_DEBUG: &str = "DRAW_DEBUG";

/// How much is printed of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// One line.
    Line,
    /// One line, and the bytes in hex.
    Full,
}

/// Numbers the connections of this process, whichever crate they belong to.
static CONNECTIONS: AtomicU64 = AtomicU64::new(0);
/// When the first of them was opened: all times count from there.
static START: OnceLock<Instant> = OnceLock::new();

/// Prints the trace of one connection, or nothing at all. Clones are the same.
///
/// What it is handed to write to, and the clock, are the caller's. Whatever the writer says of errors is ignored: what is
/// traced goes on. A writer that takes its time holds up what is traced: an [`Output`](crate::Output) takes little of it.
#[derive(Clone, Default)]
pub struct Printer(Option<Arc<Open>>);

struct Open {
    clock: fn() -> Instant,
    detail: Detail,
    /// A leaf: nothing else is locked meanwhile.
    state: Mutex<State>,
}

struct State {
    tracer: Tracer,
    to: Box<dyn Write + Send>,
    text: String,
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Printer(on)" } else { "Printer(off)" })
    }
}

impl Printer {
    /// A printer for one connection, numbered in this process. Lines are written whole, those of one read or write
    /// together.
    pub fn new(detail: Detail, to: impl Write + Send + 'static, clock: fn() -> Instant) -> Printer {
        let connection = 1 + CONNECTIONS.fetch_add(1, Relaxed);
        let tracer = Tracer::new(connection, *START.get_or_init(clock));
        let state = Mutex::new(State { tracer, to: Box::new(to), text: String::new() });
        Printer(Some(Arc::new(Open { clock, detail, state })))
    }

    /// A printer as the environment says, on standard error.
    pub fn from_environment(clock: fn() -> Instant) -> Printer {
        Printer::chosen(std::env::var_os(DRAW_DEBUG).as_deref(), stderr().clone(), clock)
    }

    /// A printer as the value of [`DRAW_DEBUG`] says. One that is not known is warned of, once, and prints nothing;
    /// so do none, an empty one and `0`.
    pub fn chosen(
        value: Option<&OsStr>,
        mut to: impl Write + Send + 'static,
        clock: fn() -> Instant,
    ) -> Printer {
        static HAS_WARNED: AtomicBool = AtomicBool::new(false);
        let Some(value) = value else { return Printer::default() };
        let detail = match value.to_str() {
            Some("" | "0") => return Printer::default(),
            Some("1") => Detail::Line,
            Some("full") => Detail::Full,
            _ => {
                if !HAS_WARNED.swap(true, Relaxed) {
                    let warning = format!(
                        "{DRAW_DEBUG}={value:?} is not a valid value: 1 prints a line for each message, \
                         full also its bytes, 0 nothing\n"
                    );
                    _ = to.write_all(warning.as_bytes()).and_then(|()| to.flush());
                }
                return Printer::default();
            }
        };
        Printer::new(detail, to, clock)
    }

    /// Returns whether anything is printed.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Prints a remark on the connection, such as the address of the peer.
    pub fn note(&self, text: impl FnOnce() -> String) {
        self.with(|tracer, now, tell| tell(tracer.note(text(), now)));
    }

    /// These bytes pass in `direction`. Answers how many messages ended in them.
    #[inline]
    pub fn pass(&self, direction: Direction, bytes: &[u8]) -> usize {
        if self.is_on() { self.print(direction, bytes) } else { 0 }
    }

    /// There is another connection in place of the one that was traced. Whatever was under way on that is over.
    pub fn restart(&self) {
        self.with(|tracer, _, _| {
            let (connection, start) = tracer.origin();
            *tracer = Tracer::new(connection, start);
        });
    }

    /// The sender of `direction` has closed its side.
    pub fn end(&self, direction: Direction) {
        self.with(|tracer, now, tell| tell(tracer.handle_end(direction, now)));
    }

    #[cold]
    fn print(&self, direction: Direction, mut bytes: &[u8]) -> usize {
        let mut count = 0;
        self.with(|tracer, now, tell| {
            while let Some(entry) = tracer.handle_input(direction, &mut bytes, now) {
                count += 1;
                tell(entry);
            }
        });
        count
    }

    fn with(&self, trace: impl FnOnce(&mut Tracer, Instant, &mut dyn FnMut(Entry))) {
        let Some(open) = &self.0 else { return };
        let mut state = open.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { tracer, to, text } = &mut *state;
        text.clear();
        // Read under the lock, so that times rise from line to line.
        trace(tracer, (open.clock)(), &mut |entry| {
            _ = match open.detail {
                Detail::Line => writeln!(text, "{entry}"),
                Detail::Full => writeln!(text, "{}", entry.full()),
            };
            if text.len() > FLUSH {
                _ = to.write_all(text.as_bytes());
                text.clear();
            }
        });
        if !text.is_empty() {
            _ = to.write_all(text.as_bytes()).and_then(|()| to.flush());
        }
        if text.capacity() > 2 * FLUSH {
            *text = String::new();
        }
    }
}

/// Bytes of text that are written at once, about.
const FLUSH: usize = 16 << 10;
