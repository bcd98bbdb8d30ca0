//! Late errors: errors of calls whose reply was dropped.

use super::{Error, Outcome};
use draw_protocol::client::IssuedCall;
use draw_protocol::text::Printable;
use draw_protocol::{Call, Code, Count, Fault, Method};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The error of a call whose reply was dropped.
///
/// It is about one call, or about all calls that a lost connection left unanswered (of unknown outcome), that it left unsent
/// (rejected), or that were dropped while the display was offline or behind. Each callback receives those of its own scope.
///
/// It prints as one line. The parts of the line are available as fields, here and from [`FailedCall`].
///
/// Each call of it is also a `tracing` event of level `WARN` and target `draw_client::late`. The event's fields are `location`,
/// `method`, `parameters`, `call` (the number), `age`, `calls_since`, `scope`, `outcome`, and if the display has said what is wrong
/// `code` and `fault`. The event belongs to the span that was current when the call was made, which is when its future was
/// awaited, if a subscriber listened to that level at the time.
#[derive(Debug, Clone)]
pub struct LateError {
    calls: Calls,
    error: Error,
}

#[derive(Debug, Clone)]
enum Calls {
    One(FailedCall),
    /// All calls that a lost connection left unanswered, or all that it left unsent.
    Many(Arc<[FailedCall]>),
    /// Calls that were dropped while the display was offline or behind: the first of them, and how many more.
    Dropped(Arc<[FailedCall]>, u64),
}

/// A call that failed: its parameters, the line that made it, and when.
#[derive(Debug, Clone)]
pub struct FailedCall {
    made: IssuedCall,
    age: Duration,
    calls_since: u64,
    scope: Option<Arc<str>>,
}

impl FailedCall {
    /// Creates the description. `last` is the number of the call that was made last.
    pub(crate) fn new(made: IssuedCall, last: u64, scope: Option<&Arc<str>>, now: Instant) -> FailedCall {
        FailedCall {
            made,
            age: now.saturating_duration_since(made.at),
            calls_since: last.saturating_sub(made.number),
            // The scope itself is not kept: an error must not keep a callback alive.
            scope: scope.cloned(),
        }
    }

    /// Returns the line of the program that made the call. Functions of the program that are `#[track_caller]` are skipped.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.made.place
    }

    /// Returns its number on its connection; the first call is 1.
    pub fn number(&self) -> u64 {
        self.made.number
    }

    /// Returns the method and the parameters, with the length of data in its place. It prints as it was written,
    /// `draw_pixel(700, 10, #ff0000ff)`.
    pub fn call(&self) -> Call {
        self.made.call
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.made.call.method()
    }

    /// Prints the parameters, `700, 10, #ff0000ff`; [`FailedCall::call`] has them as numbers.
    pub fn parameters(&self) -> impl fmt::Display {
        Parameters(self.made.call)
    }

    /// Returns the scope in which it was made, with those around it, `chart/legend`: see
    /// [`Display::scope`](crate::Display::scope). Returns `None` outside of scopes.
    pub fn scope(&self) -> Option<&str> {
        self.scope.as_deref()
    }

    /// Returns the time from the call until the error was known.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Returns how many calls were made after it until the error was known.
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

/// Returns what a fault means for the picture, where its text does not say so.
fn executed(call: &FailedCall, fault: &Fault, error: &Error) -> &'static str {
    match (call.made.call, &fault.code) {
        (call, _) if !call.method().draws() => "; not answered",
        _ if error.outcome() == Outcome::Unknown => "; unknown whether it was drawn",
        (Call::FillRect { .. } | Call::PutImage { .. }, Code::OutOfBounds) => "",
        (Call::DrawPixels { pixels: Count(of) } | Call::AddPixels { pixels: Count(of) }, _) => {
            match fault.rejected_pixels() {
                // The text of the fault counts them.
                1.. if fault.size().is_none() => "",
                some if (1..u64::from(of)).contains(&some) => "; the others were drawn",
                _ => "; not drawn",
            }
        }
        _ => "; not drawn",
    }
}

/// Formats a time for people: `3.1 ms`.
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

    /// Creates the error of calls that a lost connection has failed. `calls` must not be empty.
    pub(crate) fn lost(calls: Vec<FailedCall>, error: Error) -> LateError {
        LateError { calls: Calls::Many(calls.into()), error }
    }

    /// Creates the error of dropped calls: those in `named`, which must not be empty, and `more` after them.
    pub(crate) fn dropped(named: Vec<FailedCall>, more: u64, error: Error) -> LateError {
        LateError { calls: Calls::Dropped(named.into(), more), error }
    }

    /// Returns the calls that failed, in the order in which they were made: one, unless the connection was lost. Of very many
    /// that were dropped ([`Error::Dropped`]) only the first are listed.
    pub fn calls(&self) -> impl ExactSizeIterator<Item = &FailedCall> {
        match &self.calls {
            Calls::One(call) => std::slice::from_ref(call).iter(),
            Calls::Many(calls) | Calls::Dropped(calls, _) => calls.iter(),
        }
    }

    /// Returns how many calls failed, with those that [`LateError::calls`] does not list.
    pub fn total(&self) -> u64 {
        self.calls().len() as u64 + self.unnamed()
    }

    pub(crate) fn unnamed(&self) -> u64 {
        if let Calls::Dropped(_, more) = self.calls { more } else { 0 }
    }

    /// Returns the error.
    pub fn error(&self) -> &Error {
        &self.error
    }

    /// Returns what the display found wrong with the call, or `None` if the connection was lost.
    pub fn fault(&self) -> Option<&Fault> {
        self.error.fault()
    }

    /// Returns whether the calls were certainly not executed, or may have been.
    pub fn outcome(&self) -> Outcome {
        self.error.outcome()
    }
}

/// Formats one call and its error in one line.
pub(crate) struct Described<'a>(pub(crate) &'a FailedCall, pub(crate) &'a Error);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Described(call, error) = self;
        match error {
            Error::Fault(fault) => {
                write!(f, "{call}: {}{}", fault.beside(&call.made.call), executed(call, fault, error))?;
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
            (1, Some(call)) => Described(call, &self.error).fmt(f),
            (count, first) => {
                let (calls_were, were) = if count == 1 {
                    ("1 call was".into(), "was")
                } else {
                    (format!("{count} calls were"), "were")
                };
                match self.calls {
                    Calls::Dropped(..) => write!(
                        f,
                        "{calls_were} dropped for newer ones while the display was offline or behind, and {were} not drawn"
                    )?,
                    _ => match &self.error {
                        Error::Disconnected { reason, outcome: Outcome::Rejected } => write!(
                            f,
                            "the connection to the display is lost: {reason}; {calls_were} not sent"
                        )?,
                        error => write!(f, "{error}; {calls_were} unanswered")?,
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
