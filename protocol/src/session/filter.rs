//! The duplicate filter: decides by its number whether a request is executed.

use crate::limits;
use std::collections::VecDeque;

/// Decides, for one session, which requests are executed. It has no I/O and no clock, and does not know what a request does.
///
/// Requests come in the order of their numbers, so what has been executed is one number. It keeps a digest of 8 bytes for each
/// unacknowledged request: a number that arrives again with other contents is an error of the client, not a repetition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The client has received every reply up to here. Never above `told`.
    ack: u64,
    /// The client has been told that every request up to here is executed. Never above `applied`.
    told: u64,
    /// Every request up to here has been executed.
    applied: u64,
    /// The next one is being executed.
    is_executing: bool,
    /// A digest for each request after `ack` up to `applied`, and for the one that is being executed.
    digests: VecDeque<u64>,
}

/// The digest of a request that is not known. It is like any other.
const ANY: u64 = 0;

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Execute it, then call [`Filter::executed`].
    Execute,
    /// It was executed: send its response again.
    Again,
    /// It is being executed: its response follows.
    Attach,
    /// The client has acknowledged its reply. It is not executed.
    Stale,
}

/// A violation of the protocol by the client. The connection cannot continue; nothing was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// It acknowledges a reply that was never sent.
    #[error("{ack} was acknowledged; the last that was reported is {told}")]
    Ack {
        /// The number that it acknowledges.
        ack: u64,
        /// The largest number that it may acknowledge.
        told: u64,
    },
    /// A number in use arrived with other contents.
    #[error("request {number} came again with other contents: a number is never used for two requests")]
    Reuse {
        /// The number of the request.
        number: u64,
    },
    /// More is unacknowledged than a display remembers.
    #[error(
        "request {number} came, and {ack} is the last that was acknowledged: at most {} may be between",
        limits::SESSION_WINDOW
    )]
    Window {
        /// The number of the request.
        number: u64,
        /// The last acknowledged number.
        ack: u64,
    },
    /// A number was skipped.
    #[error("request {number} came where {expected} was due: requests are numbered 1, 2, 3, ...")]
    Gap {
        /// The number of the request.
        number: u64,
        /// The expected number.
        expected: u64,
    },
}

impl Filter {
    /// Creates a filter in which requests up to number `applied` count as executed, told and acknowledged.
    pub fn new(applied: u64) -> Filter {
        Filter { ack: applied, told: applied, applied, is_executing: false, digests: VecDeque::new() }
    }

    /// Restores a filter: requests up to number `applied` are executed, and the client may have been told of all of them.
    /// `digests` has one for each after `ack`.
    pub(super) fn restored(ack: u64, applied: u64, digests: VecDeque<u64>) -> Filter {
        debug_assert_eq!(digests.len() as u64, applied - ack);
        Filter { ack, told: applied, applied, is_executing: false, digests }
    }

    /// Returns the digest of each request that is executed and not acknowledged.
    pub(super) fn digests(&self) -> impl Iterator<Item = u64> {
        self.digests.iter().copied().take((self.applied - self.ack) as usize)
    }

    /// Returns the number up to which the client has received every reply.
    pub fn ack(&self) -> u64 {
        self.ack
    }

    /// Returns the number of the last executed request.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Returns about how many bytes of memory the filter holds.
    pub fn memory(&self) -> usize {
        std::mem::size_of::<Filter>() + self.digests.capacity() * 8
    }

    /// Handles a request. Returns what to do with it.
    ///
    /// # Errors
    /// [`Misuse`]: the connection cannot continue.
    pub fn handle_request(&mut self, number: u64, digest: u64) -> Result<Verdict, Misuse> {
        // Nearly every request is the next one.
        let is_next = self.applied.checked_add(1) == Some(number) && !self.is_executing;
        if is_next && number - self.ack <= limits::SESSION_WINDOW {
            self.is_executing = true;
            self.digests.push_back(digest);
            return Ok(Verdict::Execute);
        }
        self.handle_other(number, digest)
    }

    /// Handles a request that is not executed.
    #[cold]
    fn handle_other(&self, number: u64, digest: u64) -> Result<Verdict, Misuse> {
        if number <= self.ack {
            return Ok(Verdict::Stale);
        }
        let known = self.applied + u64::from(self.is_executing);
        if number <= known {
            let known_digest = self.digests[(number - self.ack - 1) as usize];
            let is_same = known_digest == digest || known_digest == ANY;
            return match is_same {
                false => Err(Misuse::Reuse { number }),
                true if number <= self.applied => Ok(Verdict::Again),
                true => Ok(Verdict::Attach),
            };
        }
        if number - self.ack > limits::SESSION_WINDOW {
            return Err(Misuse::Window { number, ack: self.ack });
        }
        Err(Misuse::Gap { number, expected: known + 1 })
    }

    /// Records that the client has received every reply up to `ack`. A smaller number than before is ignored: it may be part of
    /// a repetition.
    ///
    /// # Errors
    /// [`Misuse::Ack`]: the connection cannot continue.
    pub fn acknowledge(&mut self, ack: u64) -> Result<(), Misuse> {
        if ack > self.told {
            return Err(Misuse::Ack { ack, told: self.told });
        }
        if ack > self.ack {
            self.digests.drain(..(ack - self.ack) as usize);
            self.ack = ack;
            self.shrink();
        }
        Ok(())
    }

    /// Frees the memory of a burst when it is over.
    fn shrink(&mut self) {
        if self.digests.capacity() > 1_024 && self.digests.len() < self.digests.capacity() / 4 {
            self.digests.shrink_to(self.digests.len() * 2);
        }
    }

    /// Records that the request that is being executed is done.
    pub fn executed(&mut self) {
        debug_assert!(self.is_executing, "no request was let through");
        self.is_executing = false;
        self.applied += 1;
    }

    /// Records a request from a journal that was executed after those that are known.
    pub(super) fn replay(&mut self, number: u64, digest: u64) {
        debug_assert!(number > self.applied, "it is known");
        let between = number - self.applied - 1;
        self.digests.extend((0..between).map(|_| ANY));
        self.digests.push_back(digest);
        self.applied = number;
        self.told = self.applied;
    }

    /// Returns the digest of the request that is being executed.
    pub(super) fn last_digest(&self) -> u64 {
        self.digests.back().copied().unwrap_or(ANY)
    }

    /// Gives up the request that is being executed. It may arrive again.
    pub fn interrupt(&mut self) {
        if std::mem::take(&mut self.is_executing) {
            self.digests.pop_back();
        }
    }

    /// Marks requests after number `applied` as not executed. The client may have been told of them, but has not acknowledged
    /// them.
    pub(super) fn retract(&mut self, applied: u64) {
        debug_assert!(
            self.ack <= applied && applied <= self.applied && !self.is_executing,
            "it is not known"
        );
        self.digests.truncate((applied - self.ack) as usize);
        self.applied = applied;
        self.told = self.told.min(applied);
    }

    /// Records that the client is told of every request up to [`Filter::applied`].
    pub fn tell(&mut self) {
        self.told = self.applied;
    }
}

/// Returns a digest that tells requests with the same number apart. It protects against mistakes, not against malice. Of a long
/// message it covers only parts, so its cost is bounded.
pub(crate) fn digest(message: &[u8]) -> u64 {
    /// From this length on only parts are covered: their number and size.
    const SHORT: usize = 128;
    const PARTS: usize = 4;
    const PART: usize = 32;

    let mut sum = Sum(message.len() as u64);
    if message.len() <= SHORT {
        sum.add(message);
    } else {
        // The first part begins with the message, the last ends with it.
        let step = (message.len() - PART) / (PARTS - 1);
        (0..PARTS - 1).for_each(|i| sum.add(&message[i * step..i * step + PART]));
        sum.add(&message[message.len() - PART..]);
    }
    sum.0.max(ANY + 1)
}

struct Sum(u64);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        let (pairs, rest) = bytes.as_chunks::<16>();
        pairs.iter().for_each(|pair| self.mix(*pair));
        if rest.is_empty() {
            return;
        }
        // The last bytes, of which some were in it before: no copy is needed then.
        let last = bytes.last_chunk().copied().unwrap_or_else(|| {
            let mut last = [0; 16];
            last[..rest.len()].copy_from_slice(rest);
            last
        });
        self.mix(last);
    }

    /// Mixes two numbers. Every bit affects the middle of their product of 128 bits, where both halves meet. The factors are
    /// added, so that a factor of 0 does not hide the other.
    #[inline]
    fn mix(&mut self, pair: [u8; 16]) {
        let pair = u128::from_le_bytes(pair);
        let (a, b) = (pair as u64 ^ self.0, (pair >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15);
        let product = u128::from(a) * u128::from(b);
        self.0 = (product as u64 ^ (product >> 64) as u64).wrapping_add(a.rotate_left(17) ^ b);
    }
}

#[cfg(test)]
mod tests;
