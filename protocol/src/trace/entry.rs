//! The entries of a trace, and how they print.

use crate::fault::Fault;
use crate::table::Call;
use crate::types::Color;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the client to the display: `->`.
    ToDisplay,
    /// From the display to the client: `<-`.
    ToClient,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::ToDisplay => "->",
            Direction::ToClient => "<-",
        })
    }
}

/// One message that has passed, or the end of its sender. It prints as one line, without an end of line; see also
/// [`Entry::full`]. Texts of peers are [escaped](crate::text), and cut where they are long.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The number of the connection.
    pub connection: u64,
    /// When its last byte passed.
    pub time: Duration,
    /// Which way it went.
    pub direction: Direction,
    /// What it says.
    pub said: Said,
    /// Its bytes, with those of its check, if there was one.
    pub length: u64,
    /// The first of them.
    pub(super) bytes: Vec<u8>,
    /// How many of those are the check's.
    pub(super) check: usize,
    /// Those that are secret. They are 0.
    pub(super) hidden: Vec<Range<usize>>,
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// A request, `hello` among them.
    Request {
        /// Its number on the wire.
        msgid: u32,
        /// What is asked.
        asked: Asked,
    },
    /// A notification other than those below.
    Notification {
        /// What is told.
        asked: Asked,
    },
    /// The response to a request.
    Response {
        /// The number of the request.
        msgid: u32,
        /// What the request called, if it was seen and is known.
        method: Option<&'static str>,
        /// What came of it.
        outcome: Outcome,
        /// The time since the request; `None` if that was not seen.
        took: Option<Duration>,
        /// After `hello`: requests before it that this response says are done.
        before: usize,
    },
    /// `progress`: after `hello`, requests that are done.
    Progress {
        /// The number of the last one.
        upto: u64,
        /// How many of them had not been reported.
        done: usize,
        /// The time since the first and since the last of them.
        took: Option<(Duration, Duration)>,
    },
    /// `goodbye`: why the display will close.
    Goodbye(Fault),
    /// Bytes that are not a message, and why. This direction has no further entries.
    NotUnderstood(String),
    /// A message that was corrupted in transit, and how that was detected. Its receiver discards it and all that follows. This
    /// direction has no further entries.
    Corrupted(String),
    /// The sender has closed its side.
    End {
        /// Bytes of a message that it had begun.
        unfinished: u64,
    },
    /// No message: see [`Tracer::note`](super::Tracer::note).
    Note(String),
}

/// A method and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Asked {
    /// The name of the method.
    pub method: String,
    /// Its parameters as they print: data as its length, of many pixels the first.
    pub parameters: String,
    /// The call, if it is one that this version knows.
    pub call: Option<Call>,
    /// The opaque colour that was probably meant, if the call draws with alpha 0, which is invisible.
    pub invisible: Option<Color>,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is done, and there is nothing to tell.
    Done,
    /// The answer as it prints; an image as its size.
    Answer(String),
    /// It failed. Of many rejected pixels the first ranges are here.
    Fault(Fault),
    /// It failed, in words that are not this protocol's.
    Error(String),
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.method, self.parameters)?;
        match self.invisible {
            Some(meant) => write!(f, " (alpha is 0: invisible; did you mean {:#010x}?)", meant.to_u32()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => f.write_str("done"),
            Outcome::Answer(text) | Outcome::Error(text) => f.write_str(text),
            Outcome::Fault(fault) => {
                fault.fmt(f)?;
                for (i, range) in fault.rejected().iter().take(RANGES).enumerate() {
                    let last = range.first.saturating_add(range.count.saturating_sub(1));
                    f.write_str(if i == 0 { "; not drawn: " } else { ", " })?;
                    match range.count {
                        0 | 1 => write!(f, "[{}]", range.first)?,
                        _ => write!(f, "[{}..={last}]", range.first)?,
                    }
                }
                f.write_str(if fault.rejected().len() > RANGES { ", ..." } else { "" })
            }
        }
    }
}

/// Ranges of rejected pixels that are shown.
pub(super) const RANGES: usize = 8;

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Request { msgid, asked } => write!(f, "{msgid} {asked}"),
            Said::Notification { asked } => write!(f, "notification {asked}"),
            Said::Response { msgid, method, outcome, took, before } => {
                write!(f, "{msgid} ")?;
                if let Some(method) = method {
                    write!(f, "{method}: ")?;
                }
                write!(f, "{outcome}")?;
                match took {
                    Some(took) => write!(f, " ({:.3} ms", ms(*took))?,
                    None => f.write_str(" (of no request that was seen")?,
                }
                if *before > 0 {
                    write!(f, ", {before} before it done")?;
                }
                f.write_str(")")
            }
            Said::Progress { upto, done, took } => {
                write!(f, "progress {upto}: {done} done")?;
                match took {
                    Some((first, _)) if *done == 1 => write!(f, ", after {:.3} ms", ms(*first)),
                    Some((first, last)) => write!(f, ", after {:.3} to {:.3} ms", ms(*last), ms(*first)),
                    None => Ok(()),
                }
            }
            Said::Goodbye(fault) => write!(f, "goodbye {fault}"),
            Said::NotUnderstood(what) => {
                write!(f, "not understood: {what}; what follows is not traced")
            }
            Said::Corrupted(what) => write!(f, "altered on its way: {what}; what follows is not traced"),
            Said::End { unfinished: 0 } => f.write_str("end"),
            Said::End { unfinished } => write!(f, "end, {unfinished} bytes into a message"),
            Said::Note(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { connection, time, direction, said, .. } = self;
        write!(f, "{:10.6} #{connection} ", time.as_secs_f64())?;
        match said {
            Said::Note(_) => write!(f, "-- {said}"),
            _ => write!(f, "{direction} {said}"),
        }
    }
}

impl Entry {
    /// Returns the line with the bytes of the message in hex below it. Of long messages only the first bytes are shown. The
    /// bytes of a session's id are `..` from the fourth on, since the id is secret.
    pub fn full(&self) -> Full<'_> {
        Full(self)
    }
}

/// Prints an entry with its bytes: [`Entry::full`].
#[derive(Debug, Clone, Copy)]
pub struct Full<'a>(&'a Entry);

impl Full<'_> {
    /// Bytes on a line.
    const WIDTH: usize = 32;
    /// Bytes of a message that are shown: what is not data fits, and a screen holds a few of them.
    const SHOWN: usize = 8 * Full::WIDTH;
}

impl fmt::Display for Full<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Entry { length, bytes, check, hidden, .. } = self.0;
        self.0.fmt(f)?;
        let shown = bytes.len().min(check + Full::SHOWN);
        for (at, byte) in bytes[..shown].iter().enumerate() {
            // The check has lines of its own.
            let column = at.checked_sub(*check).unwrap_or(at);
            if column % Full::WIDTH == 0 {
                f.write_str("\n          ")?;
            }
            if hidden.iter().any(|range| range.contains(&at)) {
                f.write_str(" ..")?;
            } else {
                write!(f, " {byte:02x}")?;
            }
        }
        match length.saturating_sub(shown as u64) {
            0 => Ok(()),
            more => write!(f, "\n           and {more} bytes more"),
        }
    }
}
