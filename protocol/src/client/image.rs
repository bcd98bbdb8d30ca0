//! The image that a client has asked for, while its bands arrive.

use super::Connection;
use super::flight::{InFlight, Load, Part};
use crate::codec::envelope::{Head, Message};
use crate::limits;
use crate::table::{Answer, Call, Method};

/// The part of an image that has come: bands of rows, and the beginning of the next one if that is read straight here instead of being
/// kept as a message first. Such a copy took a sixth of the time of a whole image.
#[derive(Debug, Default)]
pub(super) struct Image {
    bytes: Vec<u8>,
    band: Option<Band>,
}

/// A band that has come in part.
#[derive(Debug, Clone, Copy)]
struct Band {
    /// Bytes of the image before it, and with it.
    start: usize,
    end: usize,
    /// Bytes of the answer that it is, from its error on.
    answer: usize,
}

/// More than what is before the bytes of a band.
const HEAD: usize = 32;

/// Pixels of a band that take longer to copy than a further read does.
const WORTH_A_READ: u32 = (limits::READ / 8) as u32;

impl Image {
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Returns where the rest of a band may be read to, and how much is missing.
    pub(super) fn body(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        let missing = self.band?.end - self.bytes.len();
        Some((&mut self.bytes, missing))
    }

    /// Appends a band that has come as a whole message.
    pub(super) fn append(&mut self, band: &[u8], whole: u64) {
        self.make_room(whole);
        self.bytes.extend_from_slice(band);
    }

    /// Takes the image, which is whole.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self).bytes
    }

    /// Drops what came of a band, since the connection is lost and the band will come once more.
    pub(super) fn disconnect(&mut self) {
        if let Some(band) = self.band.take() {
            self.bytes.truncate(band.start);
        }
    }

    fn make_room(&mut self, whole: u64) {
        if self.bytes.is_empty() {
            // Of what is still to come, no more is believed than one message might have held.
            self.bytes.reserve_exact(whole.min(limits::MESSAGE as u64) as usize);
        }
    }

    /// Takes what belongs to the band from the front of `input`. Returns the length of its answer once it is whole.
    fn receive(&mut self, input: &mut &[u8]) -> Option<usize> {
        let band = self.band?;
        let (own, rest) = input.split_at(input.len().min(band.end - self.bytes.len()));
        self.bytes.extend_from_slice(own);
        *input = rest;
        if self.bytes.len() < band.end {
            return None;
        }
        self.band = None;
        Some(band.answer)
    }
}

/// What the bytes at hand have to do with a band that comes straight to its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    Nothing,
    /// All of them are its own, and there are more to come.
    Part,
    /// It is whole, and its request is done.
    Whole,
}

impl Connection {
    /// Takes what belongs to such a band from the front of `input`.
    #[inline]
    pub(super) fn receive_band(&mut self, input: &mut &[u8]) -> Received {
        if self.calls.image.band.is_none() && !self.begin_band(input) {
            return Received::Nothing;
        }
        let Some(answer) = self.calls.image.receive(input) else { return Received::Part };
        self.session.heard += answer;
        self.complete_first(None, Answer::Done(()));
        Received::Whole
    }

    /// Returns how much is best read at once while there is no [`Connection::body`]: little where a band of an image comes
    /// next, whose bytes would have to be copied if they were read with its head.
    pub fn read_length(&self) -> usize {
        let is_next = self.calls.image.band.is_none()
            && self.receive.decoder.len() == 0
            && self.session.checksum.is_none();
        match self.flight.first() {
            Some(InFlight { load: Load::Part(part), .. })
                if is_next && part.call.method() == Method::GetImage && part.pixels >= WORTH_A_READ =>
            {
                HEAD
            }
            _ => limits::READ,
        }
    }

    /// Returns whether `input` begins with a band of the image that was asked for, and not all of it. What is before the band's
    /// bytes is then taken. Whatever is unusual about it is left to where messages are read: nothing is refused here.
    fn begin_band(&mut self, input: &mut &[u8]) -> bool {
        let Some(&InFlight {
            load: Load::Part(Part { call: Call::GetImage { width, height, .. }, pixels, .. }),
            ..
        }) = self.flight.first()
        else {
            return false;
        };
        // With checks a message is not believed before all of it is there.
        if self.session.checksum.is_some() || self.receive.decoder.len() > 0 || !self.out.is_open() {
            return false;
        }
        let Some(Message::Response { msgid, mut rest }) = Head::read(input).message() else { return false };
        let answer = rest.rest().len();
        if msgid != self.flight.applied().wrapping_add(1) as u32 || !rest.nil() {
            return false;
        }
        let Ok((length, there)) = rest.announced() else { return false };
        if length != u64::from(pixels) * 4 || there.len() as u64 == length {
            return false;
        }
        let length = length as usize;
        self.calls.image.make_room(u64::from(width) * u64::from(height) * 4);
        let start = self.calls.image.bytes.len();
        let answer = answer - there.len() + length;
        self.calls.image.band = Some(Band { start, end: start + length, answer });
        *input = there;
        true
    }
}
