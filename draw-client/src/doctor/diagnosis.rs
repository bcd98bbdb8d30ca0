//! The diagnosis of a connection: its numbers, sites and findings.

use draw_protocol::{Color, Method};
use std::panic::Location;
use std::time::Duration;

/// The waits of the calls of one connection, by the line of the program that made them, and what would avoid them.
///
/// [`Display::diagnosis`](crate::Display::diagnosis) returns it at any time if
/// [`ConnectOptions::doctor`](crate::ConnectOptions::doctor) or `DRAW_DOCTOR=1` in the environment has turned the
/// doctor on. It is printed on standard error when the connection ends: by `close`, or with its last handle. It prints
/// as its [findings](Diagnosis::findings), a line or two each.
///
/// # What is counted as waiting
/// A drawing call of the asynchronous clients waits if its reply is awaited before the answer has arrived. A question,
/// and every call of [`blocking::Display`](crate::blocking::Display), always waits. The wait lasts until the line
/// continues or gives it up (for the blocking client it is the whole call), and belongs to the line that made the call,
/// wherever its reply is awaited. The wait of `close` belongs to no line, and waiting for a clone in another thread to
/// finish its call is not counted.
///
/// Functions of the program that are `#[track_caller]` are skipped: the line that called them counts. The attribute has
/// no effect on an `async fn`: a plain function that returns the future, such as [`Draw`](crate::Draw), can pass its
/// caller on.
///
/// # What a cure would take
/// One round trip for each call that would still wait, and the time of all bytes at 100 Mbit/s. The shortest wait of
/// the site stands for the round trip. The real rate of the path is unknown from calls that wait for each other; most
/// paths are faster. There is no advice for fewer than 10 waits, nor for less than 5 % of the program's time, nor if
/// the estimate is not at least twice as fast.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Diagnosis {
    /// How long the connection has existed. The text calls it the program's time.
    pub lasted: Duration,
    /// Calls made.
    pub calls: u64,
    /// How many of them have waited for their answer, or do.
    pub waits: u64,
    /// Approximate bytes of the calls and the data of their answers on the wire.
    pub bytes: u64,
    /// How long any call has waited, for an answer or for credit. When two tasks wait at the same time, that time
    /// counts once.
    pub held: Duration,
    /// How long any call has waited for credit, counted in the same way.
    pub held_by_credit: Duration,
    /// How long no call was under way.
    pub idle: Duration,
    /// Calls that failed and whose errors the program has not taken: without an error callback, and with no `sync` or
    /// `close` since.
    pub untold: u64,
    /// Calls that were certainly not executed: see [`Site::rejected`].
    pub rejected: u64,
    /// How many of these were dropped while the display was offline or behind.
    pub dropped: u64,
    /// Calls whose outcome is unknown.
    pub unknown: u64,
    /// Every line that made calls, or tried to, in the order of how long they waited. Beyond 1,000 lines the others are
    /// one site.
    pub sites: Vec<Site>,
    /// The conclusions, most important first. It is never empty.
    pub findings: Vec<Finding>,
}

/// The calls of one method that one line of the program made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Site {
    /// The line. `None` for the site that all lines beyond the first 1,000 share.
    pub location: Option<&'static Location<'static>>,
    /// The method. `None` for that site.
    pub method: Option<Method>,
    /// Calls made.
    pub calls: u64,
    /// Approximate bytes of these calls and the data of their answers on the wire: a single pixel 8 bytes, as in a
    /// batch, every other call 32 and its data.
    pub bytes: u64,
    /// How many of the calls have waited for their answer, or do.
    pub waits: u64,
    /// How long the answered calls have waited, in all: the sum over all calls, also of those that waited at the same
    /// time.
    pub waited: Duration,
    /// How long any of them has waited: time in which several wait counts once. If no two do, it is `waited`.
    pub held: Duration,
    /// The shortest wait that is over: about one round trip.
    pub shortest: Option<Duration>,
    /// How many rows the waits make up. A row is waits of this site one after the other with no other call in between:
    /// what might have been one call.
    pub rows: u64,
    /// How many calls have waited for credit before they could be made.
    pub credit_waits: u64,
    /// How long they waited, in all: the sum over all calls.
    pub credit_waited: Duration,
    /// Calls that were certainly not executed, of a batch or an image some part: [`Outcome::Rejected`](crate::Outcome::Rejected).
    /// Those that could not be accepted are counted here, and not among `calls`.
    pub rejected: u64,
    /// How many of these were dropped while the display was offline or behind: [`WhileOffline::DropOldest`](crate::WhileOffline::DropOldest).
    pub dropped: u64,
    /// Calls whose outcome is unknown: [`Outcome::Unknown`](crate::Outcome::Unknown).
    pub unknown: u64,
    /// How many of the calls drew with alpha 0 and a colour, which is invisible; of a batch the first pixels count.
    pub invisible: u64,
    /// The opaque colour that the first of these may have meant.
    pub meant: Option<Color>,
}

impl Site {
    /// Returns how many calls failed.
    pub fn failed(&self) -> u64 {
        self.rejected + self.unknown
    }
}

/// One conclusion from the numbers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Finding {
    /// The calls of one site waited for their answers for a good part of the time.
    Waits {
        /// The site.
        site: Site,
        /// How long the connection has existed.
        of: Duration,
        /// What can be done, if the numbers support any advice.
        cure: Option<Cure>,
    },
    /// Other sites waited too, each too short to matter.
    Elsewhere {
        /// How many sites.
        places: u64,
        /// How many of their calls waited.
        waits: u64,
        /// How long: the sum over all calls.
        waited: Duration,
    },
    /// Calls waited for credit for a good part of the time: as much as the display grants or the path holds was under
    /// way already.
    Credit {
        /// How many calls.
        waits: u64,
        /// How long any of them has waited.
        held: Duration,
        /// How long the connection has existed.
        of: Duration,
    },
    /// Calls of one site failed.
    Failed {
        /// The site, with how many calls were rejected, dropped and unknown.
        site: Site,
    },
    /// Calls of other sites failed too.
    FailedElsewhere {
        /// How many sites.
        places: u64,
        /// How many calls were rejected.
        rejected: u64,
        /// How many calls have an unknown outcome.
        unknown: u64,
    },
    /// Calls of one site drew invisible pixels: their colours have alpha 0. See [`Color`].
    Invisible {
        /// The site, with how many calls and what may have been meant.
        site: Site,
    },
    /// Calls failed, and the program has not taken their errors.
    Untold {
        /// How many calls.
        calls: u64,
    },
    /// Nothing was under way for most of the time.
    Idle {
        /// For how long.
        idle: Duration,
        /// How long the connection has existed.
        of: Duration,
    },
    /// No call waited for long enough to matter.
    Healthy {
        /// Calls made.
        calls: u64,
        /// How many of them waited for their answer.
        waits: u64,
        /// How long any call has waited.
        held: Duration,
        /// How long the connection has existed.
        of: Duration,
    },
}

/// What can be done about a site that waits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cure {
    /// A sentence or two.
    pub text: String,
    /// The estimated time of the calls then. `None` if nothing can be done, and the text says why.
    pub about: Option<Duration>,
}
