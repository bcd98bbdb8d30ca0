//! What the doctor hands out.

use draw_protocol::{Color, Method};
use std::panic::Location;
use std::time::Duration;

/// What the calls of one connection have waited for, by the line of the program that made them, and what would cure it.
///
/// [`Display::diagnosis`](crate::Display::diagnosis) answers it at any time where the builder's `doctor(true)` or
/// `DRAW_DOCTOR=1` in the environment has turned the doctor on, and it is printed on standard error when the connection
/// ends: by `close`, or with its last handle. It prints as its [findings](Diagnosis::findings), a line or two each.
///
/// # What is counted as waiting
/// A drawing call of the asynchronous clients waits if its reply is awaited before the answer is there; a question, and
/// every call of [`blocking::Display`](crate::blocking::Display), as a matter of course. The wait lasts until the line
/// goes on or gives it up (of the synchronous client it is the whole call), and belongs to the line that made the call,
/// wherever its reply is awaited. What `close` waits for belongs to no line, and waiting for a clone in another thread to
/// finish its call is not counted.
///
/// A function of the program that is `#[track_caller]` is passed through to the line that called it. On an `async fn` that
/// has no effect: a plain function that returns the future, such as [`Draw`](crate::Draw), can pass its caller on.
///
/// # What a cure would take
/// One round trip for each call that would still wait, and the time that the bytes of all calls take at 100 Mbit/s. The
/// shortest wait of the site stands for the round trip. What the path really carries is not known from calls that wait for
/// each other; most paths carry more. There is no advice for fewer than 10 waits, nor for what takes less than 5 % of the
/// program's time, nor where the estimate is not at least twice as fast.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Diagnosis {
    /// How long the connection has been there. The text calls it the program's time.
    pub lasted: Duration,
    /// Calls made.
    pub calls: u64,
    /// How many of them have waited for their answer, or do.
    pub waits: u64,
    /// What the calls and the data of their answers take on the wire, about.
    pub bytes: u64,
    /// How long anybody has waited, for an answer or for credit. When two tasks wait at the same time, that time counts
    /// once.
    pub held: Duration,
    /// How long anybody has waited for credit, counted so.
    pub held_by_credit: Duration,
    /// How long no call was under way.
    pub idle: Duration,
    /// Calls that failed with nobody told: without an error callback, and with no `sync` or `close` since.
    pub untold: u64,
    /// Calls that were certainly not executed, whoever was told: see [`Site::rejected`].
    pub rejected: u64,
    /// How many of these were dropped while the display was gone or behind.
    pub dropped: u64,
    /// Calls of which nobody knows whether they were executed.
    pub unknown: u64,
    /// Every line that made calls, or tried to, those first that were held up longest. Beyond 1,000 lines the others are one site.
    pub sites: Vec<Site>,
    /// What follows from this, most important first. It is never empty.
    pub findings: Vec<Finding>,
}

/// The calls of one method that one line of the program made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Site {
    /// The line; nothing for the site that all lines beyond the first 1,000 share.
    pub location: Option<&'static Location<'static>>,
    /// The method; nothing for that site.
    pub method: Option<Method>,
    /// Calls made.
    pub calls: u64,
    /// What these and the data of their answers take on the wire, about: a single pixel 8 bytes, as in a batch, every other
    /// call 32 and its data.
    pub bytes: u64,
    /// How many of the calls have waited for their answer, or do.
    pub waits: u64,
    /// How long, in all, those that are answered: the sum over all calls, also of those that waited at the same time.
    pub waited: Duration,
    /// How long any of them has waited: what is waited at the same time counts once. Where no two do, it is `waited`.
    pub held: Duration,
    /// The shortest wait that is over: about one round trip.
    pub shortest: Option<Duration>,
    /// How many rows the waits make up. A row is waits of this site one after the other with no other call in between:
    /// what might have been one call.
    pub rows: u64,
    /// How many calls have waited for credit before they could be made.
    pub credit_waits: u64,
    /// How long, in all: the sum over all calls.
    pub credit_waited: Duration,
    /// Calls that were certainly not executed, of a batch or an image some part: [`Outcome::Rejected`](crate::Outcome::Rejected).
    /// Those that could not be accepted are counted here, and not among `calls`.
    pub rejected: u64,
    /// How many of these were dropped while the display was gone or behind: [`WhileOffline::DropOldest`](crate::WhileOffline::DropOldest).
    pub dropped: u64,
    /// Calls of which nobody knows whether they were executed: [`Outcome::Unknown`](crate::Outcome::Unknown).
    pub unknown: u64,
    /// How many of the calls drew with alpha 0 and some colour, which nobody sees; of a batch the first pixels count.
    pub invisible: u64,
    /// The opaque colour that the first of these may have meant.
    pub meant: Option<Color>,
}

impl Site {
    /// Calls that did not succeed.
    pub fn failed(&self) -> u64 {
        self.rejected + self.unknown
    }
}

/// One thing that the numbers say.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Finding {
    /// The calls of one site waited for their answers for a good part of the time.
    Waits {
        /// Which.
        site: Site,
        /// How long the connection has been there.
        of: Duration,
        /// What can be done, if the numbers say so.
        cure: Option<Cure>,
    },
    /// Other sites waited too, each too short to matter.
    Elsewhere {
        /// How many sites.
        places: u64,
        /// How many of their calls.
        waits: u64,
        /// How long: the sum over all calls.
        waited: Duration,
    },
    /// Calls waited for credit for a good part of the time: what is under way already is as much as the display grants or
    /// the path holds.
    Credit {
        /// How many calls.
        waits: u64,
        /// How long any of them has waited.
        held: Duration,
        /// How long the connection has been there.
        of: Duration,
    },
    /// Calls of one site failed.
    Failed {
        /// Which, with how many were rejected, dropped and unknown.
        site: Site,
    },
    /// Calls of other sites failed too.
    FailedElsewhere {
        /// How many sites.
        places: u64,
        /// How many calls were rejected.
        rejected: u64,
        /// Of how many nobody knows.
        unknown: u64,
    },
    /// Calls of one site drew what nobody sees: their colours have alpha 0. See [`Color`].
    Invisible {
        /// Which, with how many and what may have been meant.
        site: Site,
    },
    /// Calls failed and nobody was told.
    Untold {
        /// How many.
        calls: u64,
    },
    /// Nothing was under way for most of the time.
    Idle {
        /// For how long.
        idle: Duration,
        /// How long the connection has been there.
        of: Duration,
    },
    /// No call waited for long enough to matter.
    Healthy {
        /// Calls made.
        calls: u64,
        /// How many of them waited for their answer.
        waits: u64,
        /// How long anybody has waited.
        held: Duration,
        /// How long the connection has been there.
        of: Duration,
    },
}

/// What can be done about a site that waits.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Cure {
    /// A sentence or two.
    pub text: String,
    /// What the calls would take then, about; nothing where there is no cure, and the text says why.
    pub about: Option<Duration>,
}
