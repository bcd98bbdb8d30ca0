//! Bytes to send, and bytes that may have to be sent once more.

use std::collections::VecDeque;
use std::fmt;

/// Bytes to send. In a session, what has been sent is kept until the server reports it.
///
/// A sender either takes all that waits in exchange for the buffer that it took before ([`SendBuffer::swap`]), or says how much of
/// [`SendBuffer::unsent`] is gone ([`SendBuffer::advance`]). Nothing is copied for being kept: the buffers themselves are.
#[derive(Default)]
pub(super) struct SendBuffer {
    /// Bytes that go first on a connection and are never kept: `hello`, which is alone until it is answered, and the confirmation of the
    /// answer.
    lead: Vec<u8>,
    is_greeting: bool,
    /// How much of `lead` is sent.
    led: usize,
    /// Buffers that are full, before `bytes`, each with the number of its last request.
    full: VecDeque<(u64, Vec<u8>)>,
    /// Encoded requests.
    pub(super) bytes: Vec<u8>,
    /// How much of the first of the buffers is sent.
    sent: usize,
    keeps: bool,
    /// Buffers that are sent, each with the number of the last request that it may have a part of.
    kept: VecDeque<(u64, Vec<u8>)>,
    /// Set while a sender has a buffer, with requests up to this number.
    taken: Option<u64>,
    /// Whether the sender takes whole buffers.
    is_swapped: bool,
    /// Memory for buffers to come, and how much.
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
    /// What a buffer has carried lately: the most, forgotten slowly.
    usual: usize,
}

/// Leaves out the bytes: `hello` has the id of the session, which is secret.
impl fmt::Debug for SendBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendBuffer")
            .field("is_greeting", &self.is_greeting)
            .field("bytes", &self.bytes.len())
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

/// Capacity that is kept for the next buffer, whatever the last ones carried.
const KEPT_CAPACITY: usize = crate::limits::READ;

/// Empty buffers that are kept: so many, or so much, whichever is more. As many are on their way as fill the path, and what is given
/// back is mapped and touched anew. (More than that brought nothing, fewer bytes cost batches on four connections 6 %.)
const SPARE: usize = 16;
const SPARE_BYTES: usize = 4 << 20;

/// Bytes at which a buffer is full, after the request that makes it so. A large image then goes out in several, which come back
/// one by one while the rest is on its way: one buffer for all of it would be mapped and touched anew for most images. (To send a
/// full one before the next is written was 5 % faster on two cores, and 5 % slower on one.)
const FULL: usize = 2 * crate::limits::BAND;

impl SendBuffer {
    /// Begins a connection with these bytes. What was sent on the one before is kept.
    pub(super) fn greet(&mut self, greeting: Vec<u8>) {
        (self.lead, self.is_greeting, self.led, self.sent) = (greeting, true, 0, 0);
    }

    /// Notes that `hello` was answered: what follows may be sent. `keeps` decides whether it is kept.
    pub(super) fn open(&mut self, keeps: bool) {
        (self.is_greeting, self.keeps, self.sent) = (false, keeps, 0);
        (self.lead, self.led) = (Vec::new(), 0);
    }

    /// Sets bytes that go before all that follows, once `hello` was answered.
    pub(super) fn lead(&mut self, bytes: Vec<u8>) {
        (self.lead, self.led) = (bytes, 0);
    }

    /// Returns whether something goes before all requests.
    pub(super) fn is_leading(&self) -> bool {
        self.led < self.lead.len()
    }

    /// Returns whether anything but `hello` may be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.is_greeting
    }

    /// Returns the bytes to send next.
    pub(super) fn unsent(&self) -> &[u8] {
        let bytes = match self.full.front() {
            _ if self.is_greeting || self.is_leading() => return &self.lead[self.led..],
            Some((_, full)) => full,
            None => &self.bytes,
        };
        &bytes[self.sent..]
    }

    /// Returns how many bytes are unsent.
    pub(super) fn unsent_len(&self) -> usize {
        let lead = self.lead.len() - self.led;
        if self.is_greeting { lead } else { lead + self.requests_len() }
    }

    /// Returns how many bytes of requests are unsent.
    fn requests_len(&self) -> usize {
        let full: usize = self.full.iter().map(|(_, buffer)| buffer.len()).sum();
        full + self.bytes.len() - self.sent
    }

    /// Returns the number of the last request in [`SendBuffer::unsent`], if `last` is the last that was written.
    pub(super) fn last_of_unsent(&self, last: u64) -> u64 {
        self.full.front().map_or(last, |(number, _)| *number)
    }

    /// Notes that the request of this number was written.
    pub(super) fn wrote(&mut self, number: u64) {
        if self.bytes.len() >= FULL && self.is_swapped {
            let next = self.spare_buffer();
            self.full.push_back((number, std::mem::replace(&mut self.bytes, next)));
        }
    }

    pub(super) fn capacity(&self) -> usize {
        let kept: usize = self.kept.iter().chain(&self.full).map(|(_, buffer)| buffer.capacity()).sum();
        self.lead.capacity() + self.bytes.capacity() + kept + self.spare_bytes
    }

    /// Notes that `n` more bytes of [`SendBuffer::unsent`] are sent, which are of requests up to number `last`.
    pub(super) fn advance(&mut self, n: usize, last: u64) {
        if self.is_greeting || self.is_leading() {
            self.led = (self.led + n).min(self.lead.len());
            return;
        }
        self.sent += n;
        self.is_swapped = false;
        if let Some((_, full)) = self.full.front() {
            if self.sent >= full.len() {
                self.sent = 0;
                self.full.pop_front().into_iter().for_each(|(number, full)| self.keep(number, full));
            }
            return;
        }
        self.sent = self.sent.min(self.bytes.len());
        let unsent = self.bytes.len() - self.sent;
        if unsent > 0 && self.sent <= KEPT_CAPACITY.max(unsent) {
            return;
        }
        // A peer that is always a little behind must not make the sent part grow for ever. Moving less than was sent costs
        // less than a copy of each byte.
        self.usual = self.sent.max(self.usual - self.usual / 16);
        let mut rest = self.spare_buffer();
        rest.extend_from_slice(&self.bytes[self.sent..]);
        let mut sent = std::mem::replace(&mut self.bytes, rest);
        sent.truncate(std::mem::take(&mut self.sent));
        self.keep(last, sent);
    }

    /// Hands all unsent bytes over, which are of requests up to number `last`, in exchange for the buffer that was handed over
    /// before. That is sent.
    pub(super) fn swap(&mut self, gone: Vec<u8>, last: u64) -> Vec<u8> {
        self.usual = gone.len().max(self.usual - self.usual / 16);
        match self.taken.take() {
            Some(number) => self.keep(number, gone),
            None => self.recycle(gone),
        }
        if self.is_greeting || self.is_leading() {
            let rest = self.lead[self.led..].to_vec();
            self.led = self.lead.len();
            return rest;
        }
        self.is_swapped = true;
        let (last, mut next) = self.full.pop_front().unwrap_or_else(|| {
            let spare = self.spare_buffer();
            (last, std::mem::replace(&mut self.bytes, spare))
        });
        // There is a sent part only where the sender before this one stopped in the middle.
        if self.sent > 0 {
            let rest = next.split_off(std::mem::take(&mut self.sent));
            self.keep(last, std::mem::replace(&mut next, rest));
        }
        self.taken = Some(last);
        next
    }

    /// Notes that the server has reported the requests up to this number.
    #[inline]
    pub(super) fn reported(&mut self, number: u64) {
        while self.kept.front().is_some_and(|(last, _)| *last <= number) {
            if let Some((_, buffer)) = self.kept.pop_front() {
                self.recycle(buffer);
            }
        }
    }

    /// Notes that the connection is lost. `taken` is what a sender still has.
    pub(super) fn disconnect(&mut self, taken: Vec<u8>) {
        match self.taken.take() {
            Some(number) => self.keep(number, taken),
            None => self.recycle(taken),
        }
        (self.lead, self.is_greeting, self.led, self.sent) = (Vec::new(), true, 0, 0);
    }

    /// Returns whether what is sent is kept.
    pub(super) fn keeps(&self) -> bool {
        self.keeps
    }

    /// Puts bytes in that were sent from elsewhere, or were to be: each piece before so many bytes of those that there are, the
    /// farthest first. The first `sent` bytes of them are sent. All is of requests up to number `last`.
    pub(super) fn insert<'a>(
        &mut self,
        pieces: impl Iterator<Item = (usize, &'a [u8])>,
        sent: usize,
        last: u64,
    ) {
        let unsent = self.requests_len();
        let buffers = self.kept.drain(..).chain(self.full.drain(..));
        let mut own: Vec<u8> = buffers.flat_map(|(_, buffer)| buffer).collect();
        own.extend_from_slice(&self.bytes);
        let own_sent = own.len() - unsent;
        let (mut all, mut begin) = (Vec::new(), 0);
        for (behind, piece) in pieces {
            let end = own.len().saturating_sub(behind);
            all.extend_from_slice(&own[begin..end]);
            all.extend_from_slice(piece);
            begin = end;
        }
        all.extend_from_slice(&own[begin..]);
        (self.bytes, self.sent) = (all, own_sent + sent);
        // It may be all that there was to send.
        self.advance(0, last);
    }

    /// Rewinds to send again what the server has not reported: of all bytes so far, the last `unreported` bytes are of requests
    /// that the server has not reported. The last `size` of those are to be sent now; what is before them is of requests up to
    /// number `last`, and only kept.
    pub(super) fn rewind(&mut self, unreported: usize, size: usize, last: u64) {
        debug_assert!(size <= unreported);
        let mut all = Vec::with_capacity(unreported);
        let buffers = self.kept.iter().chain(&self.full).map(|(_, buffer)| buffer).chain([&self.bytes]);
        let mut skipped = buffers.clone().map(Vec::len).sum::<usize>().saturating_sub(unreported);
        for buffer in buffers {
            let begin = skipped.min(buffer.len());
            skipped -= begin;
            all.extend_from_slice(&buffer[begin..]);
        }
        debug_assert_eq!(all.len(), unreported, "something was not kept");
        self.kept.clear();
        self.full.clear();
        (self.bytes, self.sent) = (all.split_off(all.len() - size), 0);
        self.keep(last, all);
    }

    /// Forgets what is kept, and what was to be sent.
    pub(super) fn give_up(&mut self) {
        (self.lead, self.led, self.bytes, self.sent) = (Vec::new(), 0, Vec::new(), 0);
        (self.full, self.kept) = (VecDeque::new(), VecDeque::new());
        (self.spare, self.spare_bytes) = (Vec::new(), 0);
    }

    fn keep(&mut self, last: u64, buffer: Vec<u8>) {
        if self.keeps && !buffer.is_empty() {
            self.kept.push_back((last, buffer));
        } else {
            self.recycle(buffer);
        }
    }

    fn recycle(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        // While large images are sent their memory is kept: to map it anew for each costs a third of sending it. What is
        // given back is mapped anew with the next that is larger, so not for a little.
        let enough = 2 * self.usual.max(KEPT_CAPACITY);
        if buffer.capacity() > 2 * enough {
            buffer.shrink_to(enough);
        }
        let is_wanted = self.spare.len() < SPARE || self.spare_bytes < SPARE_BYTES;
        if is_wanted && buffer.capacity() > 0 {
            self.spare_bytes += buffer.capacity();
            self.spare.push(buffer);
        }
    }

    fn spare_buffer(&mut self) -> Vec<u8> {
        match self.spare.pop() {
            Some(buffer) => {
                self.spare_bytes -= buffer.capacity();
                buffer
            }
            // Enough for the call that makes it full: to grow would copy.
            None => Vec::with_capacity(2 * self.usual),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns requests 1 to 6, each with different bytes. One is larger than [`KEPT_CAPACITY`], the others are small.
    fn requests() -> Vec<Vec<u8>> {
        [5, 1, 9, KEPT_CAPACITY + 3, 2, 7].iter().zip(1..).map(|(&length, i)| vec![i; length]).collect()
    }

    fn opened() -> SendBuffer {
        let mut out = SendBuffer::default();
        out.greet(b"hello".to_vec());
        assert_eq!(out.unsent(), b"hello");
        out.advance(2, 0);
        assert_eq!((out.unsent(), out.is_open()), (&b"llo"[..], false));
        out.advance(3, 0);
        out.open(true);
        assert!(out.is_open() && out.unsent().is_empty());
        out
    }

    /// The way in which the first requests are sent.
    #[derive(Debug, Clone, Copy)]
    enum Manner {
        Advance,
        AdvanceTwice,
        Swap,
        AdvanceAndSwap,
    }

    /// Sends `n` bytes of all requests. The last three requests are written after the first three were sent.
    fn send(manner: Manner, n: usize) -> (SendBuffer, Vec<u8>) {
        let (mut out, requests) = (opened(), requests());
        let mut taken = Vec::new();
        out.bytes = requests[..3].concat();
        match manner {
            Manner::Advance => out.advance(n.min(15), 3),
            Manner::AdvanceTwice => {
                out.advance(n.min(15) / 2, 3);
                out.advance(n.min(15) - n.min(15) / 2, 3);
            }
            Manner::Swap => taken = out.swap(taken, 3),
            Manner::AdvanceAndSwap => {
                out.advance(n.min(6), 3);
                taken = out.swap(taken, 3);
            }
        }
        out.bytes.extend(requests[3..].concat());
        match manner {
            Manner::Advance | Manner::AdvanceTwice => out.advance(n.saturating_sub(15), 6),
            Manner::Swap | Manner::AdvanceAndSwap if n > 15 => taken = out.swap(taken, 6),
            _ => {}
        }
        (out, taken)
    }

    #[test]
    fn what_was_sent_in_any_manner_is_sent_again_from_any_request() {
        let (requests, all) = (requests(), requests().concat());
        let cuts = (0..40).chain(all.len() - 40..=all.len());
        for n in cuts {
            for manner in [Manner::Advance, Manner::AdvanceTwice, Manner::Swap, Manner::AdvanceAndSwap] {
                for reported in 0..=3 {
                    for applied in reported..=6 {
                        let (mut out, taken) = send(manner, n);
                        out.reported(reported as u64);
                        out.disconnect(taken);
                        assert!(out.unsent().is_empty(), "nothing goes before the greeting");
                        out.greet(b"again".to_vec());
                        out.open(true);
                        let (unreported, rest) =
                            (requests[reported..].concat(), requests[applied..].concat());
                        out.rewind(unreported.len(), rest.len(), applied as u64);
                        assert!(out.unsent() == rest, "{manner:?} of {n}: {reported}, {applied}");
                        // All of it can be sent again until it is reported.
                        out.rewind(unreported.len(), unreported.len(), applied as u64);
                        assert!(out.unsent() == unreported, "{manner:?} of {n}: {reported}, {applied}");
                        let sent = out.swap(Vec::new(), 6);
                        assert!(sent == unreported && out.unsent().is_empty());
                        assert!(out.swap(sent, 6).is_empty());
                        out.reported(6);
                        assert!(out.kept.is_empty());
                    }
                }
            }
        }
    }

    #[test]
    fn full_buffers_go_one_by_one_and_again_from_any_request() {
        let requests: Vec<_> =
            [5, FULL, 9, FULL + 3, 2].iter().zip(1..).map(|(&length, i)| vec![i; length]).collect();
        // Buffers are full after requests 2 and 4.
        let buffers = [&requests[..2], &requests[2..4], &requests[4..]].map(|requests| requests.concat());
        for handed in 0..=3 {
            for applied in 0..=5 {
                let mut out = opened();
                let mut taken = out.swap(Vec::new(), 0);
                for (number, request) in (1..).zip(&requests) {
                    out.bytes.extend_from_slice(request);
                    out.wrote(number);
                }
                assert_eq!(out.unsent_len(), requests.concat().len());
                assert_eq!(out.last_of_unsent(5), 2);
                for buffer in &buffers[..handed] {
                    taken = out.swap(taken, 5);
                    assert!(taken == *buffer, "{handed}");
                }
                assert_eq!(out.unsent_len(), buffers[handed..].concat().len());
                out.disconnect(taken);
                out.greet(b"again".to_vec());
                assert_eq!(out.unsent_len(), 5);
                out.open(true);
                let (all, rest) = (requests.concat(), requests[applied..].concat());
                out.rewind(all.len(), rest.len(), applied as u64);
                assert!(out.unsent() == rest, "{handed}, {applied}");
                assert_eq!(out.unsent_len(), rest.len());
            }
        }
    }

    #[test]
    fn a_sender_of_parts_gets_all_that_is_full() {
        let (mut out, mut sent) = (opened(), Vec::new());
        assert!(out.swap(Vec::new(), 0).is_empty());
        for number in 1..=5 {
            out.bytes.extend(vec![number; FULL]);
            out.wrote(number.into());
        }
        while !out.unsent().is_empty() {
            let n = out.unsent().len().min(100_000);
            sent.extend_from_slice(&out.unsent()[..n]);
            out.advance(n, 5);
        }
        assert!(sent == [1, 2, 3, 4, 5].map(|i| vec![i; FULL]).concat());
        assert_eq!(out.unsent_len(), 0);
        out.reported(5);
        assert!(out.kept.is_empty() && out.full.is_empty());
    }

    #[test]
    fn what_is_sent_again_is_kept_once() {
        let mut buffer = opened();
        buffer.bytes = vec![7; 100];
        for sent in [40, 10, 0] {
            buffer.advance(sent, 1);
            buffer.rewind(100, 60, 1);
            let kept: usize = buffer.kept.iter().map(|(_, kept)| kept.len()).sum();
            assert_eq!((kept, buffer.bytes.len()), (40, 60));
        }
    }

    #[test]
    fn a_buffer_that_is_not_kept_is_used_again() {
        let mut buffer = SendBuffer::default();
        buffer.open(false);
        buffer.keep(1, vec![7; 100]);
        assert_eq!((buffer.kept.len(), buffer.spare.len(), buffer.spare_bytes), (0, 1, 100));
    }

    #[test]
    fn the_usual_size_of_a_buffer_is_the_largest_of_late() {
        let mut buffer = opened();
        for (sent, usual) in [(1_600, 1_600), (0, 1_500), (1_000, 1_407), (2_000, 2_000)] {
            _ = buffer.swap(vec![0; sent], 0);
            assert_eq!(buffer.usual, usual);
        }
    }

    #[test]
    fn nothing_is_kept_of_nothing_nor_without_a_session() {
        let mut out = opened();
        for _ in 0..100 {
            let taken = out.swap(Vec::new(), 1);
            assert!(out.swap(taken, 1).is_empty());
            out.advance(0, 1);
        }
        assert!(out.kept.is_empty());
        let mut plain = SendBuffer::default();
        plain.open(false);
        for _ in 0..100 {
            plain.bytes.extend([7; 1_000]);
            plain.advance(1_000, 1);
        }
        assert!(plain.kept.is_empty() && plain.capacity() < 64 << 10, "{}", plain.capacity());
    }
}
