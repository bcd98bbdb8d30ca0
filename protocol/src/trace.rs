//! A conversation made readable: one [`Entry`] per message, from the bytes of either direction as they pass.
//!
//! ```
//! use draw_protocol::trace::{Direction, Tracer};
//! use std::time::{Duration, Instant};
//!
//! let start = Instant::now();
//! let mut tracer = Tracer::new(1, start);
//! let mut lines = Vec::new();
//! let mut pass = |direction, mut bytes: &[u8], ms| {
//!     let now = start + Duration::from_millis(ms);
//!     while let Some(entry) = tracer.handle_input(direction, &mut bytes, now) {
//!         lines.push(entry.to_string());
//!     }
//! };
//! // The bytes may be cut anywhere.
//! pass(Direction::ToDisplay, b"\x94\x00\x05\xaadraw_p", 12);
//! pass(Direction::ToDisplay, b"ixel\x93\x01\x02\xce\xff\0\0\xff", 13);
//! pass(Direction::ToClient, b"\x94\x01\x05\xc0\xc0", 14);
//! assert_eq!(lines, [
//!     "  0.013000 #1 -> 5 draw_pixel(1, 2, #ff0000ff)",
//!     "  0.014000 #1 <- 5 draw_pixel: done (1.000 ms)",
//! ]);
//! ```
//!
//! A line has the time in seconds, the number of the connection, and the direction: `->` goes to the display. Then comes
//! a request, as its number and the call; or what came back, with the time since the request: the answer, the fault, or
//! `progress 16: 15 done`, which says that every request up to 16 is done, 15 of which had not been reported. Data is shown
//! as its length. `--` is a remark on the connection itself.
//!
//! Where each message has a check in front, that is no entry of its own: it goes with its message, whose bytes it is shown
//! with. A message that does not match its check is shown as altered.
//!
//! A [`Tracer`] is passive: it accepts any bytes of either side, valid or not, and takes a few megabytes of memory at most. The
//! environment variable `DRAW_DEBUG` has every client and every display print what theirs says: that is the crate
//! `draw-printer`, which has the clock and the output.
//!
//! Texts of peers are escaped where a terminal would do anything but show them ([`text`](crate::text)). The bytes of an entry have
//! no session ids: see [`Entry::full`].

mod entry;
mod follow;
mod secret;
mod show;

pub use entry::{Asked, Direction, Entry, Full, Outcome, Said};

use crate::codec::checksum;
use crate::codec::envelope::{Head, Message};
use crate::codec::reader::Reader;
use crate::hello::{self, Hello};
use crate::limits;
use crate::table::{Call, Method};
use crate::text::printable;
use follow::Follower;
use std::collections::VecDeque;
use std::time::Instant;

/// Requests whose answers are looked for: a client that keeps its credit has no more. Of a peer that never answers the
/// oldest are forgotten.
const PENDING: usize = limits::CREDIT_CALLS as usize;

/// How far an answer may be ahead of others on a plain connection, which a display of this project never lets happen. A
/// peer whose answers are to nothing makes the search this long.
const OUT_OF_ORDER: usize = 1_024;

/// Follows one connection. It does no I/O and reads no clock.
#[derive(Debug)]
pub struct Tracer {
    connection: u64,
    start: Instant,
    to_display: Follower,
    to_client: Follower,
    /// No request has passed, or `hello` was refused.
    is_first: bool,
    /// The client sent `hello` first: an answer completes all requests before it, and `progress` counts.
    is_greeted: bool,
    /// Each message has a check in front.
    is_checked: bool,
    /// Number of the last request after `hello`.
    last: u64,
    /// Requests that have not been answered, oldest first; at most [`PENDING`].
    pending: VecDeque<Pending>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    msgid: u32,
    /// After `hello`: its number, of which `msgid` is the low half. `hello` itself has 0.
    number: u64,
    what: What,
    at: Instant,
}

/// What was asked, as far as the answer needs it to be understood.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What {
    Hello,
    Call(Call),
    Method(Method),
    Unknown,
}

impl Tracer {
    /// Creates a tracer. Its entries name the connection `connection`, and their times count from `start`.
    pub fn new(connection: u64, start: Instant) -> Tracer {
        Tracer {
            connection,
            start,
            to_display: Follower::default(),
            to_client: Follower::default(),
            is_first: true,
            is_greeted: false,
            is_checked: false,
            last: 0,
            pending: VecDeque::new(),
        }
    }

    /// Returns the number of the connection and the instant from which times count.
    pub fn origin(&self) -> (u64, Instant) {
        (self.connection, self.start)
    }

    /// Returns bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        let pending = self.pending.capacity() * size_of::<Pending>();
        pending + self.to_display.memory() + self.to_client.memory()
    }

    /// Takes bytes that pass in `direction` from the front of `input`, to the end of the next message; `None` when
    /// all was taken.
    ///
    /// Bytes that are no message of this protocol are one entry; whatever follows them in that direction is taken and
    /// not told.
    pub fn handle_input(&mut self, direction: Direction, input: &mut &[u8], now: Instant) -> Option<Entry> {
        let is_agreed = self.is_checked;
        let follower = self.follower(direction);
        let (said, message) = loop {
            let said = match follower.next(input) {
                Ok(false) => return None,
                Ok(true) => None,
                Err(what) => Some(Said::NotUnderstood(what)),
            };
            let message = follower.take_start();
            match checksum::read(&message) {
                Some(digest) if said.is_none() && follower.is_right().is_none() => follower.expect(digest),
                _ => break (said, message),
            }
        };
        let (length, check, is_right) = (follower.length(), follower.digest(), follower.is_right());
        let said = match (said, is_right) {
            (Some(said), _) => said,
            (None, Some(false)) => self.corrupted(direction, "it is not what its check says"),
            (None, None) if is_agreed => self.corrupted(direction, "it has no check"),
            (None, _) => self.understand(direction, &message, now),
        };
        let check = check.map_or(Vec::new(), |digest| checksum::bytes(digest).to_vec());
        let is_broken =
            direction == Direction::ToDisplay && matches!(said, Said::NotUnderstood(_) | Said::Corrupted(_));
        let mut bytes = [check.clone(), message].concat();
        let hidden = secret::hide(&mut bytes[check.len()..], is_broken);
        let hidden = hidden.iter().map(|range| range.start + check.len()..range.end + check.len()).collect();
        let entry = self.entry(direction, now, said, check.len() as u64 + length);
        Some(Entry { check: check.len(), bytes, hidden, ..entry })
    }

    /// Stops this direction: its receiver discards what follows.
    fn corrupted(&mut self, direction: Direction, what: &str) -> Said {
        self.follower(direction).give_up();
        Said::Corrupted(what.into())
    }

    /// Returns the entry for a sender that has closed its side.
    pub fn handle_end(&mut self, direction: Direction, now: Instant) -> Entry {
        let unfinished = self.follower(direction).unfinished();
        self.entry(direction, now, Said::End { unfinished }, 0)
    }

    /// Returns an entry that is not a message but a remark on the connection, such as the address of the peer.
    pub fn note(&self, text: impl Into<String>, now: Instant) -> Entry {
        let text: String = text.into();
        self.entry(Direction::ToDisplay, now, Said::Note(printable(&text).into_owned()), 0)
    }

    fn entry(&self, direction: Direction, now: Instant, said: Said, length: u64) -> Entry {
        let time = now.saturating_duration_since(self.start);
        let (bytes, hidden) = (Vec::new(), Vec::new());
        Entry { connection: self.connection, time, direction, said, length, bytes, check: 0, hidden }
    }

    fn follower(&mut self, direction: Direction) -> &mut Follower {
        match direction {
            Direction::ToDisplay => &mut self.to_display,
            Direction::ToClient => &mut self.to_client,
        }
    }

    /// Decodes `bytes`, a message or the start of a long one.
    fn understand(&mut self, direction: Direction, bytes: &[u8], now: Instant) -> Said {
        match Head::read(bytes).message() {
            None => {
                self.follower(direction).give_up();
                Said::NotUnderstood(follow::NO_MESSAGE.into())
            }
            Some(Message::Request { msgid, method, params }) => {
                let (what, asked) = show::asked(method, params);
                // A display sends no requests.
                if direction == Direction::ToDisplay {
                    if self.is_first && matches!(what, What::Hello) {
                        let hello: Result<(Hello,), _> = rmp_serde::from_slice(params.rest());
                        self.is_checked |= hello.is_ok_and(|(hello,)| hello.checks);
                    }
                    self.remember(msgid, what, now);
                }
                Said::Request { msgid, asked }
            }
            Some(Message::Response { msgid, rest }) if direction == Direction::ToClient => {
                self.answered(msgid, rest, now)
            }
            Some(Message::Response { msgid, rest }) => {
                let outcome = show::outcome(What::Unknown, rest);
                Said::Response { msgid, method: None, outcome, took: None, before: 0 }
            }
            Some(Message::Notification { method, params }) => {
                let said =
                    if direction == Direction::ToClient { self.told(method, params, now) } else { None };
                said.unwrap_or_else(|| Said::Notification { asked: show::asked(method, params).1 })
            }
        }
    }

    fn remember(&mut self, msgid: u32, what: What, at: Instant) {
        if std::mem::take(&mut self.is_first) {
            self.is_greeted = matches!(what, What::Hello);
            self.last = 0;
        } else if self.last == 0 && self.is_greeted {
            // In a resumed session the first request of this connection is not number 1.
            self.last = msgid.into();
        } else {
            self.last += 1;
        }
        if self.pending.len() == PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { msgid, number: self.last, what, at });
    }

    /// Handles a response.
    fn answered(&mut self, msgid: u32, rest: Reader<'_>, now: Instant) -> Said {
        let place = self.place(msgid);
        let before = place.filter(|_| self.is_greeted).unwrap_or(0);
        self.pending.drain(..before);
        let asked = place.and_then(|place| self.pending.remove(place - before));
        let what = asked.map_or(What::Unknown, |asked| asked.what);
        let outcome = show::outcome(what, rest);
        if let (What::Hello, Outcome::Fault(_) | Outcome::Error(_)) = (what, &outcome) {
            (self.is_first, self.is_greeted) = (true, false);
        }
        let took = asked.map(|asked| now.saturating_duration_since(asked.at));
        Said::Response { msgid, method: what.method(), outcome, took, before }
    }

    /// Returns the index of the pending request with this number.
    fn place(&self, msgid: u32) -> Option<usize> {
        let is_meant = |place: &usize| self.pending.get(*place).is_some_and(|pending| pending.msgid == msgid);
        if self.is_greeted {
            // Numbers are dense, but `hello` may have had any.
            let first = self.pending.front()?.number as u32;
            return [0, msgid.wrapping_sub(first) as usize].into_iter().find(is_meant);
        }
        // Of several that wait under one number the oldest: requests are executed in order.
        (0..self.pending.len().min(OUT_OF_ORDER)).find(is_meant)
    }

    /// Handles a notification of the display. Returns `None` if it is unknown.
    fn told(&mut self, method: &[u8], mut params: Reader<'_>, now: Instant) -> Option<Said> {
        if method == hello::GOODBYE.as_bytes() {
            _ = params.array();
            return Some(Said::Goodbye(show::fault(params)?));
        }
        if method != hello::PROGRESS.as_bytes() || params.array().ok()? == 0 {
            return None;
        }
        let upto = u64::try_from(params.int().ok()?).ok()?;
        let done = self.pending.iter().take_while(|pending| pending.number <= upto).count();
        let ages = || self.pending.iter().take(done).map(|pending| now.saturating_duration_since(pending.at));
        let took = ages().next().zip(ages().next_back());
        self.pending.drain(..done);
        Some(Said::Progress { upto, done, took })
    }
}

impl What {
    fn method(self) -> Option<&'static str> {
        match self {
            What::Hello => Some(hello::HELLO),
            What::Call(call) => Some(call.method().name()),
            What::Method(method) => Some(method.name()),
            What::Unknown => None,
        }
    }
}
