//! Splits a stream of bytes into messages.

use crate::codec::scan::{Scan, ScanError};
use crate::limits;
use std::fmt;

/// Keeps what has arrived of a message that is not whole yet. Whole messages that lie in the input are handed out
/// from there, without a copy.
#[derive(Default)]
pub(crate) struct MessageDecoder {
    /// The start of one message, up to the last byte that has arrived; never a byte behind its end.
    kept: Vec<u8>,
    scan: Scan,
    stage: Stage,
}

/// The state of `kept`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The start of a message that is not whole yet, if there is anything.
    #[default]
    Growing,
    /// It has been handed out whole and is to be forgotten.
    Done,
    /// The same, but it is to be handed out once more.
    Again,
}

/// Prints no bytes, since `hello` contains the secret id of a session.
impl fmt::Debug for MessageDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageDecoder")
            .field("kept", &self.kept.len())
            .field("scan", &self.scan)
            .finish_non_exhaustive()
    }
}

/// Where a complete message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    InInput(&'a [u8]),
    Kept,
}

/// How much is taken at once to complete a kept message whose end is not known: what is too much is given back.
const CHUNK: usize = 4 << 10;

impl MessageDecoder {
    /// Returns how many bytes of an incomplete message there are.
    pub(crate) fn len(&self) -> usize {
        if self.stage == Stage::Growing { self.kept.len() } else { 0 }
    }

    /// Returns the bytes of memory in use.
    pub(crate) fn capacity(&self) -> usize {
        self.kept.capacity()
    }

    /// Returns the most bytes of memory that may be in use after the next step, beside those that the step itself brings. A
    /// buffer at most doubles, and never beyond the end of its message where that is known.
    pub(crate) fn most(&self) -> usize {
        let capacity = self.kept.capacity();
        if capacity <= limits::IDLE_BUFFER {
            return 2 * capacity;
        }
        if self.stage != Stage::Growing {
            // It is freed first.
            return capacity;
        }
        let end = if self.scan.is_counted() { self.scan.position() } else { usize::MAX };
        (2 * capacity).min(end).max(capacity)
    }

    /// Returns whether a long message has begun, and all of it has room in the memory that is in use.
    pub(crate) fn has_room(&self) -> bool {
        let is_long = self.len() > 0 && self.kept.capacity() > limits::IDLE_BUFFER;
        is_long && self.scan.is_counted() && self.scan.position() <= self.kept.capacity()
    }

    /// Returns bytes that must arrive, at the least, before the message that has begun is whole.
    pub(crate) fn missing(&self) -> usize {
        match self.len() {
            0 => 0,
            length => self.scan.missing(length),
        }
    }

    /// Returns the bytes of an incomplete message.
    pub(crate) fn started(&self) -> &[u8] {
        &self.kept[..self.len()]
    }

    /// Finds the next whole message in what was kept and `input`, and moves `input` behind it. `None`: all of
    /// `input` was taken and more is needed. `limit` says, of the bytes so far, how long the message may become.
    /// [`MessageDecoder::message`] has its bytes.
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a [u8],
        limit: impl Fn(&[u8]) -> usize,
    ) -> Result<Option<Found<'a>>, ScanError> {
        self.forget();
        let all = *input;
        if self.kept.is_empty() {
            if all.is_empty() {
                return Ok(None);
            }
            let end = self.scan.run(all, limit(all));
            let Some(end) = end.inspect_err(|_| self.keep_start(all))? else {
                self.kept.extend_from_slice(all);
                *input = &[];
                return Ok(None);
            };
            self.scan.reset();
            let (message, rest) = all.split_at(end);
            *input = rest;
            return Ok(Some(Found::InInput(message)));
        }
        if self.stage == Stage::Again {
            self.stage = Stage::Done;
            return Ok(Some(Found::Kept));
        }
        loop {
            let missing = self.scan.missing(self.kept.len());
            // Not a byte behind a known end, for which there may be no room.
            let take = if self.scan.is_counted() { missing } else { missing.max(CHUNK) }.min(input.len());
            let (taken, rest) = input.split_at(take);
            self.make_room(take);
            self.kept.extend_from_slice(taken);
            *input = rest;
            if let Some(end) = self.scan.run(&self.kept, limit(&self.kept))? {
                let excess = self.kept.len() - end;
                self.kept.truncate(end);
                *input = &all[all.len() - rest.len() - excess..];
                break;
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
        self.scan.reset();
        self.stage = Stage::Done;
        Ok(Some(Found::Kept))
    }

    /// Has the message that was found last found again by the next call of [`MessageDecoder::next`]. `before` is the input as it was then.
    pub(crate) fn put_back<'a>(&mut self, found: Found<'_>, input: &mut &'a [u8], before: &'a [u8]) {
        match found {
            Found::InInput(_) => *input = before,
            Found::Kept => self.stage = Stage::Again,
        }
    }

    /// Returns the bytes of the message that was found last.
    pub(crate) fn message<'a>(&'a self, found: Found<'a>) -> &'a [u8] {
        match found {
            Found::InInput(message) => message,
            Found::Kept => &self.kept,
        }
    }

    /// Takes the message out that was found last, if it was kept, so that all else may change while it is read.
    pub(crate) fn take_kept(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.kept)
    }

    /// Puts it back, for its memory.
    pub(crate) fn put_kept_back(&mut self, kept: Vec<u8>) {
        self.kept = kept;
    }

    /// Returns the buffer into which the rest of a long message can be read directly: append at most that many bytes, then call
    /// [`MessageDecoder::next`]. The room grows with what has arrived, not with what a header announces.
    pub(crate) fn body(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        self.forget();
        let missing = self.scan.missing(self.kept.len());
        if self.kept.is_empty() || self.stage == Stage::Again || missing < limits::READ {
            return None;
        }
        self.make_room(missing.min(limits::READ));
        let room = missing.min(self.kept.capacity() - self.kept.len());
        Some((&mut self.kept, room))
    }

    /// Has room for `bytes` more of a message. Where its end is known the room doubles up to that and not beyond.
    fn make_room(&mut self, bytes: usize) {
        let (length, missing) = (self.kept.len(), self.scan.missing(self.kept.len()));
        if self.kept.capacity() - length >= bytes {
            return;
        }
        if self.scan.is_counted() {
            self.kept.reserve_exact(missing.min(length).max(bytes));
        } else {
            self.kept.reserve(bytes);
        }
    }

    fn forget(&mut self) {
        if self.stage == Stage::Done {
            self.stage = Stage::Growing;
            if self.kept.capacity() > limits::IDLE_BUFFER {
                self.kept = Vec::new();
            }
            self.kept.clear();
        }
    }

    /// Returns the bytes of a refused message before the value for which it is refused.
    pub(crate) fn before_refused(&self) -> &[u8] {
        &self.kept[..self.kept.len().min(self.scan.position())]
    }

    /// Keeps enough of a refused message to say which request it was, and whether it was one: a name may be that long.
    fn keep_start(&mut self, all: &[u8]) {
        let most = self.scan.position().clamp(64, limits::STRING);
        self.kept.extend_from_slice(&all[..all.len().min(most)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits `bytes` at the positions in `cuts` and returns the messages found.
    fn split(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let (mut decoder, mut found, mut from) = (MessageDecoder::default(), Vec::new(), 0);
        for &to in cuts.iter().chain([&bytes.len()]) {
            let mut input = &bytes[from..to];
            while let Some(place) = decoder.next(&mut input, |_| limits::MESSAGE).unwrap() {
                found.push(decoder.message(place).to_vec());
            }
            assert!(input.is_empty());
            from = to;
        }
        assert_eq!(decoder.len(), 0);
        found
    }

    #[test]
    fn messages_are_the_same_wherever_the_bytes_are_cut() {
        let long = [&[0x92, 0xc5, 0x20, 0][..], &[7; 0x2000], &[0x01]].concat();
        let messages = [vec![0x91, 0xa2, b'h', b'i'], vec![0x90], long, vec![0x92, 0x91, 0x80, 0xcd, 1, 2]];
        let bytes = messages.concat();
        assert_eq!(split(&bytes, &[]), messages);
        for a in (0..bytes.len()).filter(|&a| !(40..0x1ff0).contains(&a)) {
            assert_eq!(split(&bytes, &[a]), messages, "cut at {a}");
            assert_eq!(split(&bytes, &[a, (a + 2).min(bytes.len())]), messages, "cut at {a} and 2 further");
        }
        let every: Vec<_> = (0..bytes.len()).collect();
        assert_eq!(split(&bytes, &every), messages);
    }

    #[test]
    fn a_buffer_grows_with_what_arrives_and_is_given_back() {
        let mut decoder = MessageDecoder::default();
        let header = [0x91, 0xc6, 0x00, 0xf0, 0, 0];
        assert_eq!(decoder.next(&mut &header[..], |_| limits::MESSAGE), Ok(None));
        assert!(decoder.capacity() < 64, "15 MiB announced, 6 bytes arrived");
        let mut arrived = 0;
        while let Some((buffer, room)) = decoder.body() {
            assert!(room <= arrived.max(limits::READ) + 6);
            buffer.resize(buffer.len() + room, 0);
            arrived += room;
            assert!(decoder.capacity() <= 2 * (arrived + limits::READ));
        }
        let last = vec![0; 0xf0_0000 - arrived];
        let mut input = &last[..];
        assert_eq!(decoder.next(&mut input, |_| limits::MESSAGE), Ok(Some(Found::Kept)));
        assert_eq!(decoder.message(Found::Kept).len(), 0xf0_0006);
        assert_eq!(decoder.next(&mut &[][..], |_| limits::MESSAGE), Ok(None));
        assert!(decoder.capacity() <= limits::IDLE_BUFFER);
    }

    #[test]
    fn a_long_message_takes_no_more_memory_than_it_has_bytes_and_that_is_told_before() {
        const LENGTH: usize = (5 << 20) + 6;
        let header = [0x91, 0xc6, 0x00, 0x50, 0, 0];
        // In whole reads, and in the pieces of a slow network.
        for piece in [usize::MAX, 40_000, 1_400] {
            let (mut decoder, mut arrived, mut is_over) = (MessageDecoder::default(), header.len(), false);
            assert_eq!(decoder.next(&mut &header[..], |_| limits::MESSAGE), Ok(None));
            while !is_over {
                let most = decoder.most().max(limits::IDLE_BUFFER) + limits::READ;
                if decoder.has_room() {
                    assert!(decoder.capacity() == decoder.most() && decoder.capacity() <= LENGTH);
                }
                let bytes = match decoder.body() {
                    Some((buffer, room)) => {
                        let bytes = room.min(piece);
                        buffer.resize(buffer.len() + bytes, 0);
                        is_over = decoder.next(&mut &[][..], |_| limits::MESSAGE).unwrap().is_some();
                        bytes
                    }
                    None => {
                        let bytes = vec![0; decoder.missing().min(piece)];
                        is_over = decoder.next(&mut &bytes[..], |_| limits::MESSAGE).unwrap().is_some();
                        bytes.len()
                    }
                };
                arrived += bytes;
                assert!(decoder.capacity() <= most.min(LENGTH), "{} of {most}", decoder.capacity());
            }
            assert_eq!((arrived, decoder.capacity(), decoder.missing()), (LENGTH, LENGTH, 0));
        }
    }
}
