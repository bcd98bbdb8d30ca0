//! Finds the ends of messages in a stream of bytes, and keeps only the start of each.

use crate::codec::checksum::{Digest, RunningDigest};
use crate::codec::envelope::Head;
use crate::codec::scan::{Scan, ScanError};
use crate::limits;
use std::fmt;

/// Bytes of a message that are kept. All but data fits, and of data the length stands in front.
pub(super) const KEPT: usize = 2 << 10;

pub(super) const NO_MESSAGE: &str = "this is no MessagePack-RPC message";

/// One direction of a connection.
#[derive(Default)]
pub(super) struct Follower {
    scan: Scan,
    /// Bytes of the message that the scan has left behind: its offsets count from there.
    passed: u64,
    /// What there is of a value's header that was cut off; the scan stands at its beginning.
    header: Vec<u8>,
    /// The first bytes of the message, at most [`KEPT`].
    start: Vec<u8>,
    length: u64,
    /// What there was a check before.
    check: Option<RunningDigest>,
    /// The digest for the message after this one.
    expected: Option<Digest>,
    /// The message at hand has been handed out.
    is_done: bool,
    /// Nothing more is understood.
    is_lost: bool,
}

/// Without the bytes, which may have the id of a session in them.
impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower")
            .field("length", &self.length)
            .field("is_lost", &self.is_lost)
            .finish_non_exhaustive()
    }
}

impl Follower {
    pub(super) fn memory(&self) -> usize {
        let check = self.check.as_ref().map_or(0, RunningDigest::memory);
        self.start.capacity() + self.header.capacity() + check
    }

    /// Returns bytes of the message found last.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the first bytes of the message found last.
    pub(super) fn take_start(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.start)
    }

    /// Sets the expected digest of the next message, from the check that was found last.
    pub(super) fn expect(&mut self, digest: Digest) {
        self.expected = Some(digest);
    }

    /// Returns whether the message found last is what the check before it says; nothing if there was none.
    pub(super) fn is_right(&self) -> Option<bool> {
        self.check.as_ref().map(RunningDigest::matches)
    }

    /// Returns the digest that the check before the message found last gave.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.check.as_ref().map(RunningDigest::expected)
    }

    /// Returns bytes of a message that has begun and not ended.
    pub(super) fn unfinished(&self) -> u64 {
        if self.is_done || self.is_lost { 0 } else { self.length }
    }

    /// Ignores all further bytes.
    pub(super) fn give_up(&mut self) {
        self.is_lost = true;
    }

    /// Goes on to the end of the message at hand, or of the input: then the answer is false. An error is why nothing
    /// more can be understood; it is told once.
    ///
    /// What is judged never depends on where the bytes were cut.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<bool, String> {
        if self.is_lost {
            *input = &[];
            return Ok(false);
        }
        if std::mem::take(&mut self.is_done) {
            let check = self.expected.take().map(RunningDigest::new);
            *self = Follower { header: std::mem::take(&mut self.header), check, ..Follower::default() };
        }
        match self.scan(input) {
            Ok(is_done) => {
                self.is_done = is_done;
                // Also of one that is whole: in parts it would have been judged by its head before it is compared with its check.
                if Head::read(&self.start).is_possible() {
                    return Ok(is_done);
                }
                self.give_up();
                Err(NO_MESSAGE.into())
            }
            Err(error) => {
                let valid = usize::try_from(self.passed).unwrap_or(KEPT).saturating_add(self.scan.position());
                let error = self.placed(error);
                self.take(input, input.len());
                self.give_up();
                // Byte by byte, the head would have been judged before this.
                let is_possible = Head::read(&self.start[..valid.min(self.start.len())]).is_possible();
                Err(if is_possible { error.to_string() } else { NO_MESSAGE.into() })
            }
        }
    }

    fn scan(&mut self, input: &mut &[u8]) -> Result<bool, ScanError> {
        while !input.is_empty() {
            if self.header.is_empty() {
                if let Some(end) = self.scan.run(input, self.limit())? {
                    self.take(input, end);
                    return Ok(true);
                }
                let left_behind = self.scan.position().min(input.len());
                self.pass(left_behind);
                self.take(input, left_behind);
                self.header.extend_from_slice(input);
                self.take(input, input.len());
                continue;
            }
            // A few bytes complete it.
            self.header.push(input[0]);
            let end = self.scan.run(&self.header, self.limit())?;
            self.take(input, 1);
            if end.is_some() || self.scan.position() > 0 {
                self.pass(self.header.len());
                self.header.clear();
            }
            if end.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns what is left of the longest message that any side may be configured to take.
    fn limit(&self) -> usize {
        limits::MESSAGE_HARDEST.saturating_sub(usize::try_from(self.passed).unwrap_or(usize::MAX))
    }

    fn pass(&mut self, n: usize) {
        self.scan.pass(n);
        self.passed += n as u64;
    }

    /// Moves `input` on, and keeps what belongs to the start.
    fn take(&mut self, input: &mut &[u8], n: usize) {
        let (taken, rest) = input.split_at(n);
        self.start.extend_from_slice(&taken[..n.min(KEPT - self.start.len())]);
        self.length += n as u64;
        if let Some(check) = &mut self.check {
            check.update(taken);
        }
        *input = rest;
    }

    /// Returns the error with offsets from the start of the message.
    fn placed(&self, error: ScanError) -> ScanError {
        match error {
            ScanError::Reserved(at) => {
                ScanError::Reserved(usize::try_from(self.passed).unwrap_or(usize::MAX).saturating_add(at))
            }
            ScanError::TooLong { needs, .. } => ScanError::TooLong {
                needs: needs.saturating_add(self.passed),
                limit: limits::MESSAGE_HARDEST,
            },
            other => other,
        }
    }
}
