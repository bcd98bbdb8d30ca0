//! The duplicate filter: what is to become of a request that arrives, by its number.

use crate::limits;
use std::collections::VecDeque;

/// Decides, for one session, which requests are executed. It has no I/O, no clock and no opinion on what a request is.
///
/// Requests come in the order of their numbers, so what has been executed is one number. Of each that is not acknowledged
/// it keeps a digest, 8 bytes: a number that comes back with other contents is a client's mistake, which is told from a
/// request that is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The client holds every reply up to here. Never above `told`.
    ack: u64,
    /// The client has been told that every request up to here is executed. Never above `applied`.
    told: u64,
    /// Every request up to here has been executed.
    applied: u64,
    /// The next one is being executed.
    is_executing: bool,
    /// Of each request after `ack`: up to `applied`, and of the one that is being executed.
    digests: VecDeque<u64>,
}

/// The digest of a request that is not known. It is like any other.
const ANY: u64 = 0;

/// What is to become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Execute it, then call [`Filter::executed`].
    Execute,
    /// It was executed: say again what came of it.
    Again,
    /// It is being executed: say what came of it when it is done.
    Attach,
    /// The client holds its reply, so it has no business here. It is not executed.
    Stale,
}

/// What no client that keeps to the rules can send. The connection cannot go on; nothing was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// It acknowledges what it was never told.
    #[error("{ack} was acknowledged; the last that was reported is {told}")]
    Ack {
        /// What it acknowledges.
        ack: u64,
        /// What it may acknowledge.
        told: u64,
    },
    /// A number that is in use came with other contents.
    #[error("request {number} came again with other contents: a number is never used for two requests")]
    Reuse {
        /// Which.
        number: u64,
    },
    /// More is unacknowledged than a display remembers.
    #[error(
        "request {number} came, and {ack} is the last that was acknowledged: at most {} may be between",
        limits::SESSION_WINDOW
    )]
    Window {
        /// Which.
        number: u64,
        /// The last that was acknowledged.
        ack: u64,
    },
    /// A number was left out.
    #[error("request {number} came where {expected} was due: requests are numbered 1, 2, 3, ...")]
    Gap {
        /// Which.
        number: u64,
        /// Which was due.
        expected: u64,
    },
}

impl Filter {
    /// Requests up to number `applied` count as executed, told and acknowledged.
    pub fn new(applied: u64) -> Filter {
        Filter { ack: applied, told: applied, applied, is_executing: false, digests: VecDeque::new() }
    }

    /// A filter that was stored: requests up to number `applied` are executed, and the client may have been told of all of
    /// them. `digests` has one for each after `ack`.
    pub(super) fn restored(ack: u64, applied: u64, digests: VecDeque<u64>) -> Filter {
        debug_assert_eq!(digests.len() as u64, applied - ack);
        Filter { ack, told: applied, applied, is_executing: false, digests }
    }

    /// Of each request that is executed and not acknowledged.
    pub(super) fn digests(&self) -> impl Iterator<Item = u64> {
        self.digests.iter().copied().take((self.applied - self.ack) as usize)
    }

    /// The client holds every reply up to this number.
    pub fn ack(&self) -> u64 {
        self.ack
    }

    /// Every request up to this number has been executed.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Bytes of memory that it holds, about.
    pub fn memory(&self) -> usize {
        std::mem::size_of::<Filter>() + self.digests.capacity() * 8
    }

    /// A request arrives.
    ///
    /// # Errors
    /// [`Misuse`]: the connection cannot go on.
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

    /// A request arrives that is not to be executed.
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

    /// The client says that it holds every reply up to `ack`. Less than it has said before means nothing: it may be part of
    /// what was sent again.
    ///
    /// # Errors
    /// [`Misuse::Ack`]: the connection cannot go on.
    pub fn acknowledge(&mut self, ack: u64) -> Result<(), Misuse> {
        if ack > self.told {
            return Err(Misuse::Ack { ack, told: self.told });
        }
        if ack > self.ack {
            self.digests.drain(..(ack - self.ack) as usize);
            self.ack = ack;
            // What a burst took is given back when the burst is over.
            if self.digests.capacity() > 1_024 && self.digests.len() < self.digests.capacity() / 4 {
                self.digests.shrink_to(self.digests.len() * 2);
            }
        }
        Ok(())
    }

    /// The request that was let through last has been executed.
    pub fn executed(&mut self) {
        debug_assert!(self.is_executing, "no request was let through");
        self.is_executing = false;
        self.applied += 1;
    }

    /// A request was executed once, after those that are known; of those in between only that is known.
    pub(super) fn replay(&mut self, number: u64, digest: u64) {
        debug_assert!(number > self.applied, "it is known");
        let between = number - self.applied - 1;
        self.digests.extend((0..between).map(|_| ANY));
        self.digests.push_back(digest);
        self.applied = number;
        self.told = self.applied;
    }

    /// Of the request that was let through last.
    pub(super) fn last_digest(&self) -> u64 {
        self.digests.back().copied().unwrap_or(ANY)
    }

    /// The request that was let through last is given up. It may come again.
    pub fn interrupt(&mut self) {
        if std::mem::take(&mut self.is_executing) {
            self.digests.pop_back();
        }
    }

    /// Requests after number `applied` count as not executed. They may have been told of; they have not been acknowledged.
    pub(super) fn retract(&mut self, applied: u64) {
        debug_assert!(
            self.ack <= applied && applied <= self.applied && !self.is_executing,
            "it is not known"
        );
        self.digests.truncate((applied - self.ack) as usize);
        self.applied = applied;
        self.told = self.told.min(applied);
    }

    /// The client is told that every request up to [`Filter::applied`] is executed.
    pub fn tell(&mut self) {
        self.told = self.applied;
    }
}

/// Tells requests apart that have the same number: against mistakes, not against malice. Of a long message only parts are
/// looked at, so that the filter costs the same whatever a request carries.
pub(crate) fn digest(message: &[u8]) -> u64 {
    /// From which on only parts are looked at, and how many there are of which size.
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

    /// A product of 128 bits has something of every bit in its middle, where both halves meet. What was multiplied is added,
    /// so that no factor of 0 hides the other.
    #[inline]
    fn mix(&mut self, pair: [u8; 16]) {
        let pair = u128::from_le_bytes(pair);
        let (a, b) = (pair as u64 ^ self.0, (pair >> 64) as u64 ^ 0x9e37_79b9_7f4a_7c15);
        let product = u128::from(a) * u128::from(b);
        self.0 = (product as u64 ^ (product >> 64) as u64).wrapping_add(a.rotate_left(17) ^ b);
    }
}
