//! What can be wrong with a request, in a form that crosses the wire.

mod sentences;
mod wire;

use crate::calls::{Call, Request};
use crate::envelope;
use crate::geometry::{Position, Size};
use crate::text::{Printable, printable};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

pub use sentences::NAMED;

/// Why a request was not executed, or not wholly.
///
/// The [`code`](Fault::code) and the fields are for programs, and the [`message`](Fault::message) says the same in a sentence.
///
/// On a plain connection it travels as `[0, "code: message"]`, which every MessagePack-RPC client shows whole. After
/// `hello` it is a map with the keys `code` and `message` and those of the fields that it has: `rejected`, `outside`, `size`,
/// `limit`. Displays of earlier versions send of these only `rejected`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, thiserror::Error)]
#[error("{code}: {}", Printable(message))]
#[serde(from = "wire::Map")]
#[non_exhaustive]
pub struct Fault {
    /// The kind of fault.
    pub code: Code,
    /// One sentence for a person: what was asked, and what is allowed.
    pub message: String,
    /// Boxed, since most calls succeed and a result is moved with every call.
    fields: Option<Box<Fields>>,
}

/// What a fault says in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Fields {
    rejected: Vec<Range>,
    outside: Vec<Position>,
    size: Option<Size>,
    limit: Option<u64>,
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

impl Range {
    /// Iterates over its indexes.
    pub fn indexes(&self) -> std::ops::Range<u32> {
        self.first..self.first.saturating_add(self.count)
    }
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

    /// Returns a fault of the whole request, without fields.
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), fields: None }
    }

    /// Returns a fault of some pixels of a `draw_pixels` or an `add_pixels`.
    pub fn of_pixels(code: Code, message: impl Into<String>, rejected: Vec<Range>) -> Fault {
        let mut fault = Fault::new(code, message);
        if !rejected.is_empty() {
            fault.fields_mut().rejected = rejected;
        }
        fault
    }

    /// Returns the fault of a call that is not all inside a display of `size`. Of a batch, `rejected` are the indexes of the
    /// pixels outside, and `outside` the positions of the first [`NAMED`] of them, as far as they are known.
    pub fn out_of_bounds(call: &Call, size: Size, rejected: Vec<Range>, outside: Vec<Position>) -> Fault {
        let message = sentences::out_of_bounds(call, size, &rejected, &outside);
        let fields = Fields { rejected, outside, size: Some(size), limit: None };
        Fault { code: Code::OutOfBounds, message, fields: Some(Box::new(fields)) }
    }

    /// Returns the fault of a request that asks for more than `limit`.
    pub(crate) fn too_large(request: &Request<'_>, asked: u64, limit: u64) -> Fault {
        let mut fault = Fault::new(Code::TooLarge, sentences::too_large(request, asked, limit));
        fault.fields_mut().limit = Some(limit);
        fault
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Fault {
        Fault::new(Code::InvalidArgument, message)
    }

    /// Returns, of a `draw_pixels` or an `add_pixels`, the indexes of the pixels that were not drawn, as ranges in rising
    /// order. Every other pixel of the call was drawn. Empty for other methods, and when the whole request was rejected.
    pub fn rejected(&self) -> &[Range] {
        self.fields.as_ref().map_or(&[], |fields| &fields.rejected)
    }

    /// Returns how many pixels of a `draw_pixels` or an `add_pixels` were rejected one by one.
    pub fn rejected_pixels(&self) -> u64 {
        sentences::pixels(self.rejected())
    }

    /// Returns, of a `draw_pixels` or an `add_pixels`, the positions of the first pixels that are outside, at most [`NAMED`].
    pub fn outside(&self) -> &[Position] {
        self.fields.as_ref().map_or(&[], |fields| &fields.outside)
    }

    /// Returns the size of the display, of a call that is not all inside.
    pub fn size(&self) -> Option<Size> {
        self.fields.as_ref()?.size
    }

    /// Returns the limit, of a call that asks for more.
    pub fn limit(&self) -> Option<u64> {
        self.fields.as_ref()?.limit
    }

    /// Prints what was wrong in words that stand beside the call itself, and do not repeat it: `out of bounds: the display is
    /// 640x480`.
    pub fn beside<'a>(&'a self, call: &'a Call) -> impl fmt::Display + use<'a> {
        sentences::Beside(self, call)
    }

    fn fields_mut(&mut self) -> &mut Fields {
        self.fields.get_or_insert_default()
    }

    /// Takes the indexes out.
    pub(crate) fn take_rejected(&mut self) -> Vec<Range> {
        self.fields.as_mut().map(|fields| std::mem::take(&mut fields.rejected)).unwrap_or_default()
    }

    /// Says that the first `count` pixels were rejected, if it names none.
    pub(crate) fn reject_all(&mut self, count: u32) {
        if self.rejected().is_empty() && count > 0 {
            self.fields_mut().rejected.push(Range { first: 0, count });
        }
    }

    /// Removes the fields.
    pub(crate) fn clear(&mut self) {
        self.fields = None;
    }

    /// Sets the size of the display, which displays of earlier versions do not send.
    pub(crate) fn set_size(&mut self, size: Option<Size>) {
        if self.size().is_none() && size.is_some() {
            self.fields_mut().size = size;
        }
    }

    /// Makes the sentence anew for the whole of `call`, of which this is the fault of a part.
    pub(crate) fn restate(&mut self, call: &Call) {
        if let Some(Fields { rejected, outside, size: Some(size), .. }) = self.fields.as_deref() {
            self.message = sentences::out_of_bounds(call, *size, rejected, outside);
        }
    }

    /// Joins the fault of a further part of the same call. Of two codes it keeps the first, and has no size any more.
    pub(crate) fn join(&mut self, later: Fault) {
        sentences::append(&mut self.message, &later.message);
        let is_same = later.code == self.code;
        if !is_same && let Some(fields) = &mut self.fields {
            fields.size = None;
        }
        let Some(later) = later.fields else { return };
        let fields = self.fields_mut();
        for range in later.rejected {
            match fields.rejected.last_mut() {
                Some(last) if last.first + last.count == range.first => last.count += range.count,
                _ => fields.rejected.push(range),
            }
        }
        let more = NAMED.saturating_sub(fields.outside.len());
        fields.outside.extend(later.outside.into_iter().take(more));
    }

    /// Cuts its texts to so many bytes: each call that fails, or that a goodbye leaves without an answer, keeps them. What a
    /// terminal would obey is escaped: from here they go to the program, to its log and to its user.
    pub(crate) fn shorten(&mut self, most: usize) {
        let tidy = |text: &mut String| {
            if let Cow::Owned(escaped) = printable(text) {
                *text = escaped;
            }
            sentences::shorten(text, most);
        };
        tidy(&mut self.message);
        if let Code::Other(text) = &mut self.code {
            tidy(text);
        }
    }

    /// Shifts the indexes of the rejected pixels by `offset`, their place in the call. Ranges that are not below
    /// `count`, or not in rising order, come from a lying peer and are dropped.
    pub(crate) fn place(&mut self, offset: u32, count: u32) {
        let Some(fields) = &mut self.fields else { return };
        let mut free = 0;
        fields.rejected.retain_mut(|range| {
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
    fn fields_survive_the_wire_under_keys_of_their_own() {
        let call = Call::DrawPixels { pixels: crate::Count(6) };
        let size = Size { width: 4, height: 2 };
        let at = Position { x: 4, y: -1 };
        let fault = Fault::out_of_bounds(&call, size, vec![Range { first: 3, count: 1 }], vec![at]);
        let bytes = rmp_serde::to_vec_named(&fault).unwrap();
        let again: Fault = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(again, fault);
        assert_eq!((again.size(), again.outside(), again.limit()), (Some(size), &[at][..], None));
        assert_eq!(again.rejected().iter().flat_map(Range::indexes).collect::<Vec<_>>(), [3]);

        let digest = Request::GetDigest { x: 0, y: 0, width: 9, height: 9 };
        let fault = Fault::too_large(&digest, 81, 80);
        let bytes = rmp_serde::to_vec_named(&fault).unwrap();
        assert_eq!(rmp_serde::from_slice::<Fault>(&bytes).unwrap().limit(), Some(80));
    }

    #[test]
    fn a_client_of_an_earlier_version_reads_the_keys_that_it_knows() {
        #[derive(Deserialize)]
        struct Earlier {
            code: Code,
            message: String,
            #[serde(default)]
            rejected: Vec<Range>,
        }
        let call = Call::DrawPixels { pixels: crate::Count(6) };
        let (size, at) = (Size { width: 4, height: 2 }, Position { x: 4, y: -1 });
        let sent = Fault::out_of_bounds(&call, size, vec![Range { first: 3, count: 1 }], vec![at]);
        let bytes = rmp_serde::to_vec_named(&sent).unwrap();
        let read: Earlier = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(
            (read.code, &read.message, &*read.rejected),
            (sent.code.clone(), &sent.message, sent.rejected())
        );
    }

    #[test]
    fn a_display_of_an_earlier_version_sends_only_the_indexes() {
        #[derive(Serialize)]
        struct Earlier {
            code: &'static str,
            message: &'static str,
            rejected: Vec<(u32, u32)>,
        }
        let earlier = Earlier { code: "out_of_bounds", message: "no", rejected: vec![(1, 2)] };
        let mut fault: Fault = rmp_serde::from_slice(&rmp_serde::to_vec_named(&earlier).unwrap()).unwrap();
        assert_eq!(fault, Fault::of_pixels(Code::OutOfBounds, "no", vec![Range { first: 1, count: 2 }]));
        let call = Call::DrawPixels { pixels: crate::Count(3) };
        fault.set_size(Some(Size { width: 4, height: 2 }));
        fault.restate(&call);
        assert_eq!(fault.message, "2 of 3 pixels are outside 4x2: by index 1, 2");
    }

    #[test]
    fn a_lying_display_makes_a_client_keep_no_more_positions_than_are_named() {
        #[derive(Serialize)]
        struct Lying {
            code: &'static str,
            message: &'static str,
            outside: Vec<(i32, i32)>,
        }
        let lying = Lying { code: "out_of_bounds", message: "no", outside: vec![(1, 1); 1_000] };
        let mut fault: Fault = rmp_serde::from_slice(&rmp_serde::to_vec_named(&lying).unwrap()).unwrap();
        assert_eq!(fault.outside().len(), NAMED);
        fault.join(fault.clone());
        assert_eq!(fault.outside().len(), NAMED);
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
        assert_eq!(fault.rejected(), [(100, 1), (109, 1)].map(Range::from));
    }
}
