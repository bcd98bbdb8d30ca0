//! Errors of calls that nobody waits for, and the thread that tells them.

use crate::error::{Error, Outcome};
use draw_protocol::client::{Connection, Made};
use draw_protocol::{Call, Code, Fault, Size, Welcome, limits};
use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A failed call that nobody waited for, or all the calls that a lost connection left without an answer.
#[derive(Debug, Clone)]
pub struct LateError {
    calls: Calls,
    error: Error,
}

#[derive(Debug, Clone)]
enum Calls {
    One(FailedCall),
    Many(Arc<[FailedCall]>),
}

/// A call that failed: what it was, and when it was made.
#[derive(Debug, Clone, Copy)]
pub struct FailedCall {
    made: Made,
    age: Duration,
    calls_since: u64,
    /// Of the display, which its text names.
    size: Option<Size>,
}

impl FailedCall {
    pub(crate) fn new(made: Made, machine: &Connection, now: Instant) -> FailedCall {
        FailedCall {
            made,
            age: now.saturating_duration_since(made.at),
            calls_since: machine.last_call().saturating_sub(made.number),
            size: machine.welcome().map(Welcome::size),
        }
    }

    /// Which line of the program made it. A function of the program that is `#[track_caller]` is passed through to the
    /// line that called it.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.made.place
    }

    /// Its number on its connection: the first call is 1.
    pub fn number(&self) -> u64 {
        self.made.number
    }

    /// Method and parameters; data appears as its length. It prints as it was written, `draw_pixel(700, 10, #ff0000ff)`.
    pub fn call(&self) -> Call {
        self.made.call
    }

    /// How long before the error was known the call was made.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// How many calls were made after it until the error was known.
    pub fn calls_since(&self) -> u64 {
        self.calls_since
    }
}

/// For instance `examples/circle.rs:42:13 draw_pixel(700, 10, #ff0000ff)`.
impl fmt::Display for FailedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.made.place {
            Some(place) => write!(f, "{place} {}", self.made.call),
            None => write!(f, "call {}, {}", self.made.number, self.made.call),
        }
    }
}

/// What a display found wrong with a call, beside the call: what the call says already is not said again.
struct Found<'a>(&'a FailedCall, &'a Fault);

impl fmt::Display for Found<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Found(call, fault) = self;
        f.write_str(&fault.code.as_str().replace('_', " "))?;
        match (call.made.call, &fault.code, call.size) {
            (Call::DrawPixel { .. } | Call::GetPixel { .. }, Code::OutOfBounds, Some(size)) => {
                write!(f, ": the display is {size}")
            }
            _ => write!(f, ": {}", fault.message),
        }
    }
}

/// A time as a person reads it: `3.1 ms`.
struct Age(Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs_f64() {
            seconds if seconds < 1e-3 => write!(f, "{:.1} us", seconds * 1e6),
            seconds if seconds < 1.0 => write!(f, "{:.1} ms", seconds * 1e3),
            seconds => write!(f, "{seconds:.1} s"),
        }
    }
}

impl LateError {
    pub(crate) fn one(call: FailedCall, error: Error) -> LateError {
        LateError { calls: Calls::One(call), error }
    }

    /// `calls` must not be empty.
    pub(crate) fn lost(calls: Vec<FailedCall>, error: Error) -> LateError {
        LateError { calls: Calls::Many(calls.into()), error }
    }

    /// Every call that this error concerns, in the order in which they were made: one, unless the connection was lost.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = &FailedCall> {
        match &self.calls {
            Calls::One(call) => std::slice::from_ref(call).iter(),
            Calls::Many(calls) => calls.iter(),
        }
    }

    /// What went wrong.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// What the display found wrong with the call; nothing when the connection was lost.
    pub fn fault(&self) -> Option<&Fault> {
        self.error.fault()
    }

    /// Whether the calls were certainly not executed, or may have been.
    pub fn outcome(&self) -> Outcome {
        self.error.outcome()
    }
}

/// For instance `examples/circle.rs:42:13 draw_pixel(700, 10, #ff0000ff): out of bounds: the display is 640x480 (212
/// calls and 3.1 ms ago)`.
impl fmt::Display for LateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls = self.calls();
        match (calls.len(), calls.next()) {
            (1, Some(call)) => {
                match &self.error {
                    Error::Fault(fault) => write!(f, "{call}: {}", Found(call, fault))?,
                    error => write!(f, "{call}: {error}")?,
                }
                let plural = if call.calls_since == 1 { "" } else { "s" };
                write!(f, " ({} call{plural} and {} ago)", call.calls_since, Age(call.age))
            }
            (count, first) => {
                write!(f, "{}; {count} calls were unanswered", self.error)?;
                first.map_or(Ok(()), |first| write!(f, ", from {first}"))?;
                calls.last().map_or(Ok(()), |last| write!(f, " to {last}"))
            }
        }
    }
}

impl std::error::Error for LateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// What an error callback is.
pub(crate) type Callback = Box<dyn FnMut(LateError) + Send>;

/// Late errors on their way to whoever hears them. Lives under the connection's lock.
#[derive(Debug, Default)]
pub(crate) struct LateQueue {
    /// Whether a callback takes them; else they are kept for `sync` and `close`.
    has_callback: bool,
    queue: VecDeque<LateError>,
    /// Calls whose error the callback has not finished with. They count against credit.
    undelivered: u64,
    /// Failed calls while there is no callback, with those beyond what is kept.
    total: u64,
}

impl LateQueue {
    pub(crate) fn new(has_callback: bool) -> LateQueue {
        LateQueue { has_callback, ..LateQueue::default() }
    }

    pub(crate) fn push(&mut self, error: LateError) {
        let calls = error.calls().len() as u64;
        if self.has_callback {
            self.undelivered += calls;
        } else {
            self.total += calls;
            if self.queue.len() >= limits::KEPT_ERRORS {
                return;
            }
        }
        self.queue.push_back(error);
    }

    /// Whether a callback takes them.
    pub(crate) fn has_callback(&self) -> bool {
        self.has_callback
    }

    /// Calls that the callback has not been told of yet.
    pub(crate) fn undelivered(&self) -> u64 {
        self.undelivered
    }

    /// The next error for the callback.
    pub(crate) fn pop(&mut self) -> Option<LateError> {
        self.queue.pop_front()
    }

    /// The callback has been told of so many calls.
    pub(crate) fn delivered(&mut self, calls: u64) {
        self.undelivered -= calls;
    }

    /// How many failed calls are kept for want of a callback.
    pub(crate) fn untaken(&self) -> u64 {
        if self.has_callback { 0 } else { self.total }
    }

    /// What was kept for want of a callback; it is forgotten.
    pub(crate) fn take_kept(&mut self) -> Option<crate::error::Late> {
        if self.has_callback || self.total == 0 {
            return None;
        }
        let errors = self.queue.drain(..).collect();
        Some(crate::error::Late { errors, total: std::mem::take(&mut self.total) })
    }
}

thread_local! {
    /// The connection whose error callback this thread runs; 0 for none.
    static CALLBACK_OF: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// From now on this thread runs the callback of `connection`, which is told by its address.
pub(crate) fn enter_callback_of(connection: usize) {
    CALLBACK_OF.set(connection);
}

/// Whether this is the thread that runs the callback of `connection`.
pub(crate) fn is_callback_of(connection: usize) -> bool {
    CALLBACK_OF.get() == connection
}
