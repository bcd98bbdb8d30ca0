//! Bytes on their way out, and those that may have to go once more.

use std::collections::VecDeque;

/// What is to be sent. In a session, what has been sent is kept until the server reports it.
///
/// A sender either takes all that waits in exchange for the buffer that it took before ([`Outbox::swap`]), or says how much of
/// [`Outbox::unsent`] is gone ([`Outbox::advance`]). Nothing is copied for being kept: the buffers themselves are.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Goes first on a connection, alone: what follows waits for the answer. It is never kept.
    greeting: Vec<u8>,
    is_greeting: bool,
    /// Encoded requests.
    pub(super) bytes: Vec<u8>,
    /// How much of the greeting, or of `bytes`, is gone.
    sent: usize,
    keeps: bool,
    /// Buffers that are sent, each with the number of the last request that it may have a part of.
    kept: VecDeque<(u64, Vec<u8>)>,
    /// A sender has a buffer, with requests up to this number.
    taken: Option<u64>,
    /// Memory for buffers to come.
    spare: Vec<Vec<u8>>,
    /// What a buffer has carried lately: the most, forgotten slowly.
    usual: usize,
}

/// Capacity that is kept for the next buffer, whatever the last ones carried.
const KEPT_CAPACITY: usize = crate::limits::READ;

/// Empty buffers that are kept. As many are on their way as fill the path.
const SPARE: usize = 8;

impl Outbox {
    /// Begins a connection with these bytes. What was sent on the one before is kept.
    pub(super) fn greet(&mut self, greeting: Vec<u8>) {
        (self.greeting, self.is_greeting, self.sent) = (greeting, true, 0);
    }

    /// The greeting was answered: what follows may be sent. Whether it is kept is decided here, once.
    pub(super) fn open(&mut self, keeps: bool) {
        (self.is_greeting, self.keeps, self.sent) = (false, keeps, 0);
        self.greeting = Vec::new();
    }

    /// Whether anything but the greeting may be sent.
    pub(super) fn is_open(&self) -> bool {
        !self.is_greeting
    }

    pub(super) fn unsent(&self) -> &[u8] {
        let bytes = if self.is_greeting { &self.greeting } else { &self.bytes };
        &bytes[self.sent..]
    }

    pub(super) fn capacity(&self) -> usize {
        let kept: usize = self.kept.iter().map(|(_, buffer)| buffer.capacity()).sum();
        let spare: usize = self.spare.iter().map(Vec::capacity).sum();
        self.greeting.capacity() + self.bytes.capacity() + kept + spare
    }

    /// `n` more bytes of [`Outbox::unsent`] are gone, which are of requests up to number `last`.
    pub(super) fn advance(&mut self, n: usize, last: u64) {
        self.sent += n;
        if self.is_greeting {
            self.sent = self.sent.min(self.greeting.len());
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
        if self.is_greeting {
            let rest = self.greeting.split_off(self.sent);
            self.greeting.extend_from_slice(&rest);
            self.sent = self.greeting.len();
            return rest;
        }
        // There is a sent part only where the sender before this one stopped in the middle.
        if self.sent > 0 {
            let rest = self.bytes.split_off(std::mem::take(&mut self.sent));
            let sent = std::mem::replace(&mut self.bytes, rest);
            self.keep(last, sent);
        }
        self.taken = Some(last);
        let next = self.spare_buffer();
        std::mem::replace(&mut self.bytes, next)
    }

    /// The server has reported the requests up to this number.
    #[inline]
    pub(super) fn reported(&mut self, number: u64) {
        while self.kept.front().is_some_and(|(last, _)| *last <= number) {
            if let Some((_, buffer)) = self.kept.pop_front() {
                self.recycle(buffer);
            }
        }
    }

    /// The connection is gone. `taken` is what a sender still has of it.
    pub(super) fn disconnect(&mut self, taken: Vec<u8>) {
        match self.taken.take() {
            Some(number) => self.keep(number, taken),
            None => self.recycle(taken),
        }
        (self.greeting, self.is_greeting, self.sent) = (Vec::new(), true, 0);
    }

    /// Whether what is sent is kept.
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
        let mut own: Vec<u8> = self.kept.drain(..).flat_map(|(_, buffer)| buffer).collect();
        own.extend_from_slice(&self.bytes);
        let own_sent = own.len() - self.unsent().len();
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

    /// Only the last `size` bytes of all that was to be sent so far are to be sent now.
    pub(super) fn rewind(&mut self, size: usize) {
        let mut all = Vec::with_capacity(size);
        let buffers = self.kept.iter().map(|(_, buffer)| buffer).chain([&self.bytes]);
        let mut skipped = buffers.clone().map(Vec::len).sum::<usize>().saturating_sub(size);
        for buffer in buffers {
            let begin = skipped.min(buffer.len());
            skipped -= begin;
            all.extend_from_slice(&buffer[begin..]);
        }
        debug_assert_eq!(all.len(), size, "something was not kept");
        self.kept.clear();
        (self.bytes, self.sent) = (all, 0);
    }

    /// Forgets what is kept.
    pub(super) fn give_up(&mut self) {
        self.kept = VecDeque::new();
        self.spare = Vec::new();
    }

    fn keep(&mut self, last: u64, buffer: Vec<u8>) {
        if self.keeps {
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
        if self.spare.len() < SPARE && buffer.capacity() > 0 {
            self.spare.push(buffer);
        }
    }

    fn spare_buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }
}
