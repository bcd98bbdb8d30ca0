//! Why a request failed, in a form that crosses the wire.

mod code;
mod wire;

pub use code::Code;

use crate::codec::envelope;
use crate::limits;
use crate::text::{Printable, printable};
use crate::types::{Position, Size};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt::Write;

/// How many pixels of a batch a message names. The others are counted.
pub const NAMED: usize = 10;

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

/// The fields of a fault.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fields {
    pub(crate) rejected: Vec<Range>,
    pub(crate) outside: Vec<Position>,
    pub(crate) size: Option<Size>,
    pub(crate) limit: Option<u64>,
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

impl Fault {
    /// Returns the message that answers request `number` with this fault, on a connection after `hello`.
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

    /// Returns a fault with fields.
    pub(crate) fn with_fields(code: Code, message: String, fields: Fields) -> Fault {
        Fault { code, message, fields: Some(Box::new(fields)) }
    }

    /// Returns a fault of some pixels of a `draw_pixels` or an `add_pixels`.
    pub fn of_pixels(code: Code, message: impl Into<String>, rejected: Vec<Range>) -> Fault {
        let mut fault = Fault::new(code, message);
        if !rejected.is_empty() {
            fault.fields_mut().rejected = rejected;
        }
        fault
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Fault {
        Fault::new(Code::InvalidArgument, message)
    }

    /// Returns the indexes of the pixels of a `draw_pixels` or an `add_pixels` that were not drawn, as ranges in rising order.
    /// Every other pixel of the call was drawn. Empty for other methods, and when the whole request was rejected.
    pub fn rejected(&self) -> &[Range] {
        self.fields.as_ref().map_or(&[], |fields| &fields.rejected)
    }

    /// Returns how many pixels of a `draw_pixels` or an `add_pixels` were rejected one by one.
    pub fn rejected_pixels(&self) -> u64 {
        count_pixels(self.rejected())
    }

    /// Returns the positions of the first pixels of a `draw_pixels` or an `add_pixels` that are outside, at most [`NAMED`].
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

    fn fields_mut(&mut self) -> &mut Fields {
        self.fields.get_or_insert_default()
    }

    /// Takes the rejected indexes out.
    pub(crate) fn take_rejected(&mut self) -> Vec<Range> {
        self.fields.as_mut().map(|fields| std::mem::take(&mut fields.rejected)).unwrap_or_default()
    }

    /// Marks the first `count` pixels as rejected, if none is.
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

    /// Joins the fault of a further part of the same call. Of two codes it keeps the first, and has no size any more.
    pub(crate) fn join(&mut self, later: Fault) {
        append(&mut self.message, &later.message);
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

    /// Cuts its texts to `most` bytes, since every failed call keeps them, and escapes control characters, since they go to the
    /// program, to its log and to its user.
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

/// Returns the number of pixels in these ranges.
pub(crate) fn count_pixels(ranges: &[Range]) -> u64 {
    ranges.iter().map(|range| u64::from(range.count)).sum()
}

/// Cuts a text to at most `most` bytes.
fn shorten(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|&end| text.is_char_boundary(end));
        text.truncate(end.unwrap_or(0));
        text.shrink_to_fit();
    }
}

/// Appends a text, unless it is the same.
fn append(text: &mut String, more: &str) {
    if text != more {
        _ = write!(text, "; {more}");
        shorten(text, limits::STRING);
    }
}

#[cfg(test)]
mod tests;
