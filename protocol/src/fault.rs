//! What can be wrong with a request, in a form that crosses the wire.

use crate::envelope;
use crate::limits;
use crate::text::{Printable, printable};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// Why a request was not executed, or not wholly.
///
/// On a plain connection it travels as `[0, "code: message"]`, the one shape that every existing MessagePack-RPC
/// client shows whole. After `hello` it is a map with the keys `code`, `message` and, for `draw_pixels` and `add_pixels`, `rejected`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {}", Printable(message))]
#[non_exhaustive]
pub struct Fault {
    /// What kind of fault it is.
    pub code: Code,
    /// One sentence for a person: what was asked, what is allowed.
    pub message: String,
    /// Of `draw_pixels` and `add_pixels`: the indexes of the pixels that were not drawn, as ranges `[first, count]` in rising order.
    /// Every other pixel of the call was drawn. Empty for other methods, and when the whole request was rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<Range>,
}

/// A run of indexes, `[first, count]` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u32, u32)", into = "(u32, u32)")]
pub struct Range {
    /// The first index.
    pub first: u32,
    /// How many follow each other, at least 1.
    pub count: u32,
}

impl From<(u32, u32)> for Range {
    fn from((first, count): (u32, u32)) -> Range {
        Range { first, count }
    }
}

impl From<Range> for (u32, u32) {
    fn from(range: Range) -> (u32, u32) {
        (range.first, range.count)
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// The kinds of faults. On the wire each is its name in lower case, as [`Code::as_str`] gives it.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)+
            /// A code that this version does not know.
            Other(String),
        }

        impl Code {
            /// Every code that this version knows, with what it means.
            pub const ALL: &[(Code, &'static str)] = &[$((Code::$name, concat!($($doc),+))),+];

            /// The code as it stands on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Code::$name => $text,)+
                    Code::Other(text) => text,
                }
            }
        }

        impl From<String> for Code {
            fn from(text: String) -> Code {
                match text.as_str() {
                    $($text => Code::$name,)+
                    _ => Code::Other(text),
                }
            }
        }
    };
}

codes! {
    /// Pixels outside the display. What lies inside was drawn.
    OutOfBounds = "out_of_bounds",
    /// A parameter of a wrong type, range or length, or a wrong number of them. Nothing was drawn.
    InvalidArgument = "invalid_argument",
    /// There is no such method.
    UnknownMethod = "unknown_method",
    /// More than a limit allows. The message names the limit.
    TooLarge = "too_large",
    /// `hello` asked for a version that this display does not speak.
    UnsupportedVersion = "unsupported_version",
    /// The bytes are no MessagePack-RPC, or break its order. The connection closes.
    Malformed = "malformed",
    /// Too many malformed requests. The connection closes.
    TooManyErrors = "too_many_errors",
    /// A message was not finished, or answers were not read, in time; there is less of it while others wait for memory. The connection closes.
    TooSlow = "too_slow",
    /// Bytes came otherwise than they were sent. Nothing of that message was executed. The connection closes; whoever has a session
    /// goes on with it on another.
    Corrupted = "corrupted",
    /// The display has no memory to spare for this request.
    NoMemory = "no_memory",
    /// The display cannot write its journal, most likely for want of room on its disk. Nothing was drawn; what is there can be read.
    NoSpace = "no_space",
    /// The display keeps no journal, so nothing on it is durable.
    NoJournal = "no_journal",
    /// `hello` asked for a display that this server does not have. The message names those that it has.
    UnknownDisplay = "unknown_display",
    /// As many connections are open as the display takes. The connection closes.
    Busy = "busy",
    /// The display ends. The connection closes.
    ShuttingDown = "shutting_down",
    /// The window of the display was closed, so the display ends for good. The connection closes.
    WindowClosed = "window_closed",
    /// The client holds the reply to this request already. It was not executed again.
    Stale = "stale",
    /// The request was executed; its answer, or why it failed, was lost with the connection and is not kept.
    AnswerLost = "answer_lost",
    /// The display was restarted and has lost an end of the session that the client had seen executed. The connection closes.
    StateRegressed = "state_regressed",
    /// The session goes on on another connection. This one closes.
    Superseded = "superseded",
    /// What came after the welcome was not `confirm` with its nonce. Nothing of it was executed: it may be a late copy of another
    /// connection. This one closes.
    Unconfirmed = "unconfirmed",
}

impl From<Code> for String {
    fn from(code: Code) -> String {
        code.as_str().to_owned()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Printable(self.as_str()).fmt(f)
    }
}

impl Fault {
    /// The message that answers request `number` with it, on a connection that was greeted.
    pub fn to_response(&self, number: u64) -> Vec<u8> {
        let mut message = Vec::new();
        // On the wire a number is its low 32 bits.
        envelope::write_response_head(&mut message, number as u32);
        envelope::write_map(&mut message, self);
        message.push(0xc0);
        message
    }

    /// A fault of the whole request.
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), rejected: Vec::new() }
    }

    /// A fault of some pixels of a `draw_pixels` or an `add_pixels`.
    pub fn of_pixels(code: Code, message: impl Into<String>, rejected: Vec<Range>) -> Fault {
        Fault { code, message: message.into(), rejected }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Fault {
        Fault::new(Code::InvalidArgument, message)
    }

    /// How many pixels of a `draw_pixels` or an `add_pixels` were rejected one by one.
    pub fn rejected_pixels(&self) -> u64 {
        self.rejected.iter().map(|r| u64::from(r.count)).sum()
    }

    /// Joins the fault of a further part of the same call.
    pub(crate) fn join(&mut self, later: Fault) {
        if later.message != self.message {
            self.message = format!("{}; {}", self.message, later.message);
            shorten(&mut self.message, limits::STRING);
        }
        for range in later.rejected {
            match self.rejected.last_mut() {
                Some(last) if last.first + last.count == range.first => last.count += range.count,
                _ => self.rejected.push(range),
            }
        }
    }

    /// Cuts its texts to so many bytes: each call that fails, or that a goodbye leaves without an answer, keeps them. What a
    /// terminal would obey is escaped: from here they go to the program, to its log and to its user.
    pub(crate) fn shorten(&mut self, most: usize) {
        let tidy = |text: &mut String| {
            if let Cow::Owned(escaped) = printable(text) {
                *text = escaped;
            }
            shorten(text, most);
        };
        tidy(&mut self.message);
        if let Code::Other(text) = &mut self.code {
            tidy(text);
        }
    }

    /// Shifts the indexes of the rejected pixels by `offset`, their place in the call. Ranges that are not below
    /// `count`, or not in rising order, come from a lying peer and are dropped.
    pub(crate) fn place(&mut self, offset: u32, count: u32) {
        let mut free = 0;
        self.rejected.retain_mut(|range| {
            let end = range.first.saturating_add(range.count);
            let fits = range.count > 0 && range.first >= free && end <= count;
            if fits {
                free = end;
            }
            range.first = range.first.saturating_add(offset);
            fits
        });
    }
}

fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_survives_the_wire_and_unknown_fields_do_no_harm() {
        let fault = Fault::of_pixels(Code::OutOfBounds, "no", vec![Range { first: 3, count: 2 }]);
        let bytes = rmp_serde::to_vec_named(&fault).unwrap();
        assert_eq!(rmp_serde::from_slice::<Fault>(&bytes).unwrap(), fault);
        assert_eq!(fault.to_string(), "out_of_bounds: no");

        #[derive(Serialize)]
        struct Newer {
            code: &'static str,
            message: &'static str,
            since: u32,
        }
        let bytes = rmp_serde::to_vec_named(&Newer { code: "haunted", message: "boo", since: 3 }).unwrap();
        let fault: Fault = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(fault.code, Code::Other("haunted".into()));
    }

    #[test]
    fn the_words_of_a_display_cannot_do_anything_to_a_terminal() {
        let mut fault = Fault::new(Code::Other("c\u{1b}[m".into()), "a\u{202e}b\n");
        assert_eq!(fault.to_string(), "c\\u{1b}[m: a\\u{202e}b\\n");
        fault.shorten(100);
        assert_eq!((fault.code.as_str(), &*fault.message), ("c\\u{1b}[m", "a\\u{202e}b\\n"));
    }

    #[test]
    fn every_code_is_its_own_text() {
        for (code, meaning) in Code::ALL {
            assert_eq!(&Code::from(code.as_str().to_owned()), code);
            assert!(meaning.ends_with('.'));
        }
    }

    #[test]
    fn placing_drops_ranges_that_lie() {
        let ranges = [(0, 1), (9, 1), (9, 1), (3, 2), (9, 2), (5, 0), (u32::MAX, 2)].map(Range::from);
        let mut fault = Fault::of_pixels(Code::OutOfBounds, "", ranges.to_vec());
        fault.place(100, 10);
        assert_eq!(fault.rejected, [(100, 1), (109, 1)].map(Range::from));
    }
}
