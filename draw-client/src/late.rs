//! Errors of calls that nobody waits for: what they say.

mod dropped;
mod queue;
mod report;

pub(crate) use dropped::Dropped;
pub(crate) use queue::{Callback, LateQueue, Work, enter_callback_of, is_callback_of};
pub(crate) use report::Telling;

use crate::error::{Error, Outcome};
use crate::scope::Tag;
use draw_protocol::client::Made;
use draw_protocol::text::Printable;
use draw_protocol::{Call, Code, Count, Fault, Method, Size};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A failed call that nobody waited for, or all the calls that a lost connection left without an answer (of unknown outcome),
/// or all that it left unsent (rejected), or all that were dropped while the display was gone or behind. Of those of several calls, each
/// callback is told of its own.
///
/// It prints as one line for a person; each part of that can be had by itself, of the error from here and of each call
/// from [`FailedCall`].
///
/// When it is told to a callback, or kept for the next `sync` or `close`, it is also a `tracing` event of level `WARN` and
/// target `draw_client::late`, one for each call, whatever becomes of it then: a storm of errors is as many events, of
/// which the subscriber takes what it likes. Its fields are `location`, `method`, `parameters`, `call` (the number), `age`,
/// `calls_since`, `scope`, `code`, `fault` (the last two if the display has said what is wrong) and `outcome`. It
/// belongs to the span that was current when the call was made, which is when its future was awaited; the span is kept
/// until the call is done and its error is told, if a subscriber listened to that level at the time.
#[derive(Debug, Clone)]
pub struct LateError {
    calls: Calls,
    error: Error,
}

#[derive(Debug, Clone)]
enum Calls {
    One(FailedCall),
    /// All that a lost connection left unanswered, or all that it left unsent.
    Many(Arc<[FailedCall]>),
    /// Dropped while the display was gone or behind: the first, and how many more.
    Dropped(Arc<[FailedCall]>, u64),
}

/// A call that failed: what it was, and when it was made.
#[derive(Debug, Clone)]
pub struct FailedCall {
    made: Made,
    age: Duration,
    calls_since: u64,
    scope: Option<Arc<str>>,
    /// Of the display, which its text names.
    size: Option<Size>,
}

/// A call that failed, with all that is kept of it until somebody hears of it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) call: FailedCall,
    pub(crate) error: Error,
    pub(crate) tag: Tag,
}

impl FailedCall {
    /// `last` is the number of the call that was made last, `size` that of the display.
    pub(crate) fn new(made: Made, last: u64, size: Option<Size>, tag: &Tag, now: Instant) -> FailedCall {
        FailedCall {
            made,
            age: now.saturating_duration_since(made.at),
            calls_since: last.saturating_sub(made.number),
            // Not the scope itself: whoever keeps the error does not keep the callback.
            scope: tag.scope.as_ref().map(|scope| Arc::clone(scope.path())),
            size,
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

    /// Which method it called.
    pub fn method(&self) -> Method {
        self.made.call.method()
    }

    /// Its parameters as text, `700, 10, #ff0000ff`; [`FailedCall::call`] has them as numbers.
    pub fn parameters(&self) -> impl fmt::Display {
        Parameters(self.made.call)
    }

    /// The scope that it was made in, with those around it, `chart/legend`: see [`Display::scope`](crate::Display::scope).
    /// Nothing for the display's own.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
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

/// For instance `examples/circle.rs:42:13 draw_pixel(700, 10, #ff0000ff)`, and ` in chart/legend` behind it if it was made
/// in that scope.
impl fmt::Display for FailedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.made.place {
            Some(place) => write!(f, "{place} {}", self.made.call)?,
            None => write!(f, "call {}, {}", self.made.number, self.made.call)?,
        }
        self.scope().map_or(Ok(()), |scope| write!(f, " in {}", Printable(scope)))
    }
}

struct Parameters(Call);

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        let inner = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        f.write_str(inner.unwrap_or_default())
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
            (Call::DrawPixels { pixels: Count(of) } | Call::AddPixels { pixels: Count(of) }, code, size)
                if speaks_of_parts(fault, of) =>
            {
                let rejected = fault.rejected_pixels();
                let (s, were) = (if of == 1 { "" } else { "s" }, if rejected == 1 { "was" } else { "were" });
                write!(f, ": {rejected} of {of} pixel{s} {were} not drawn, by index {}", Indexes(fault))?;
                match (code, size) {
                    (Code::OutOfBounds, Some(size)) => write!(f, ": the display is {size}"),
                    _ => write!(f, ": {}", fault.message),
                }
            }
            _ => write!(f, ": {}", fault.message),
        }
    }
}

/// What a fault means for the picture, where its text does not say so.
fn executed(call: &FailedCall, fault: &Fault, error: &Error) -> &'static str {
    match (call.made.call, &fault.code) {
        (call, _) if !call.method().draws() => "; not answered",
        _ if error.outcome() == Outcome::Unknown => "; unknown whether it was drawn",
        (Call::FillRect { .. } | Call::PutImage { .. }, Code::OutOfBounds) => "",
        (Call::DrawPixels { pixels: Count(of) } | Call::AddPixels { pixels: Count(of) }, _) => {
            match fault.rejected_pixels() {
                _ if speaks_of_parts(fault, of) => "",
                some if (1..u64::from(of)).contains(&some) => "; the others were drawn",
                _ => "; not drawn",
            }
        }
        _ => "; not drawn",
    }
}

/// Whether the text of a fault does not count the pixels of the whole call: that travelled in several requests, each with
/// a text of its own and names of its own.
fn speaks_of_parts(fault: &Fault, of: u32) -> bool {
    let whole = format!("{} of {of} pixel", fault.rejected_pixels());
    !fault.rejected.is_empty() && !fault.message.starts_with(&whole)
}

/// Pixels that a text names by their index. The rest is counted.
const NAMED: usize = 10;

/// Which pixels of a call a fault concerns.
struct Indexes<'a>(&'a Fault);

impl fmt::Display for Indexes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut indexes = self.0.rejected.iter().flat_map(|range| range.first..range.first + range.count);
        for (i, index) in indexes.by_ref().take(NAMED).enumerate() {
            write!(f, "{}{index}", if i == 0 { "" } else { ", " })?;
        }
        match self.0.rejected_pixels().saturating_sub(NAMED as u64) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
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

    /// `named` must not be empty; so many more were dropped after them.
    pub(crate) fn dropped(named: Vec<FailedCall>, more: u64, error: Error) -> LateError {
        LateError { calls: Calls::Dropped(named.into(), more), error }
    }

    /// Every call that this error concerns, in the order in which they were made: one, unless the connection was lost. Of very
    /// many that were dropped ([`Error::Dropped`]) only the first are named.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = &FailedCall> {
        match &self.calls {
            Calls::One(call) => std::slice::from_ref(call).iter(),
            Calls::Many(calls) | Calls::Dropped(calls, _) => calls.iter(),
        }
    }

    /// How many calls it concerns, also those that [`LateError::calls`] does not name.
    pub fn total(&self) -> u64 {
        self.calls().len() as u64 + self.unnamed()
    }

    fn unnamed(&self) -> u64 {
        if let Calls::Dropped(_, more) = self.calls { more } else { 0 }
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

/// One call and what became of it, in one line.
struct Told<'a>(&'a FailedCall, &'a Error);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told(call, error) = self;
        match error {
            Error::Fault(fault) => {
                write!(f, "{call}: {}{}", Found(call, fault), executed(call, fault, error))?;
            }
            error => write!(f, "{call}: {error}")?,
        }
        let plural = if call.calls_since == 1 { "" } else { "s" };
        write!(f, " ({} call{plural} and {} ago)", call.calls_since, Age(call.age))
    }
}

/// For instance `examples/circle.rs:42:13 draw_pixel(700, 10, #ff0000ff): out of bounds: the display is 640x480; not drawn
/// (212 calls and 3.1 ms ago)`. It says of every call whether it was drawn, or that this is unknown.
impl fmt::Display for LateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut calls = self.calls();
        match (self.total(), calls.next()) {
            (1, Some(call)) => Told(call, &self.error).fmt(f),
            (count, first) => {
                match self.calls {
                    Calls::Dropped(..) => write!(
                        f,
                        "{count} calls were dropped for newer ones while the display was gone or behind, and were not drawn"
                    )?,
                    _ => match &self.error {
                        Error::Disconnected { reason, outcome: Outcome::Rejected } => write!(
                            f,
                            "the connection to the display is lost: {reason}; {count} calls were not sent"
                        )?,
                        error => write!(f, "{error}; {count} calls were unanswered")?,
                    },
                }
                first.map_or(Ok(()), |first| write!(f, ", from {first}"))?;
                calls.last().map_or(Ok(()), |last| write!(f, " to {last}"))?;
                match self.unnamed() {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
        }
    }
}

impl std::error::Error for LateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
