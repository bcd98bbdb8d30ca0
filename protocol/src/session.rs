//! Sessions: state that outlives a connection, so that every request is executed exactly once.
//!
//! A client that gives a session's [`Id`] in `hello` can return on another connection and continue. Its requests are numbered
//! through the whole session, 1, 2, 3, ...; one that it sends again has the number and the bytes that it had. The [`Filter`]
//! decides whether a request is executed, and the [`Session`] keeps the responses that the client may need again: success is
//! one number, so only faults and answers take memory, and only until they are acknowledged.

mod filter;
mod id;
mod nonce;
mod persist;
mod quota;
mod resume;
mod standing;
mod table;

pub use filter::{Filter, Misuse, Verdict};
pub use id::Id;
pub use nonce::Nonce;
pub use persist::InvalidSession;
pub use quota::Peer;
pub use resume::Resume;
pub use standing::Standing;
pub use table::{Claim, Sessions};

use crate::codec::checksum::{self, Checksum};
use crate::codec::envelope;
use crate::fault::{Code, Fault};
use crate::limits;
use std::collections::VecDeque;

/// Identifies a request of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The session.
    pub session: Id,
    /// The number of the request.
    pub number: u64,
    /// The client has received every reply up to this number.
    pub ack: u64,
    /// The digest of the request.
    pub digest: u64,
}

/// What a display keeps of a client beyond its connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    filter: Filter,
    /// Responses to requests that are executed and not acknowledged: faults and answers. An empty one stands for a fault that
    /// was not kept.
    responses: VecDeque<(u64, Box<[u8]>)>,
    /// Bytes of all responses.
    bytes: usize,
    /// Requests that are not acknowledged and whose answers were too large to keep.
    unkept: VecDeque<u64>,
    /// The last request that may have drawn.
    drawn: u64,
    /// The last `sync_durable` that was answered. Its response must not be sent before the disk has everything up to it. It is
    /// not stored, since a session that is read from a disk is on it.
    durable_through: u64,
    /// The client has ended it.
    is_ended: bool,
    /// Identifies the beginning of the session: the nonce of the welcome, or the number of the `hello` for a client that does
    /// not confirm.
    incarnation: u64,
    /// The number of the last `hello`.
    attempt: u64,
    /// The least number of requests that were executed in the session. It is not stored.
    executed: u64,
}

/// Memory of a response beside its bytes.
const RESPONSE: usize = std::mem::size_of::<(u64, Box<[u8]>)>();

impl Session {
    /// Creates a session in which the requests up to number `applied` count as executed and acknowledged.
    pub fn new(applied: u64) -> Session {
        Session {
            filter: Filter::new(applied),
            responses: VecDeque::new(),
            bytes: 0,
            unkept: VecDeque::new(),
            drawn: applied,
            durable_through: 0,
            is_ended: false,
            incarnation: 0,
            attempt: 0,
            executed: 0,
        }
    }

    /// Returns the duplicate filter of its requests.
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Returns about how many bytes of memory the session holds.
    pub fn memory(&self) -> usize {
        self.filter.memory() + self.bytes + self.unkept.capacity() * 8
    }

    /// Returns the least number of requests that were executed in the session. For a session that was read from a journal these
    /// are the unacknowledged ones and those after it was written.
    pub fn requests(&self) -> u64 {
        self.executed
    }

    /// Returns whether the client has ended it.
    pub fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Returns what a journal stores of a session that has ended, so that it is not continued.
    pub fn ended(&self) -> Session {
        Session { is_ended: true, ..self.without_requests(self.filter.applied()) }
    }

    /// Returns the same session, in which the requests up to number `applied` count as executed and acknowledged, and of which
    /// nothing else is known.
    fn without_requests(&self, applied: u64) -> Session {
        let Session { incarnation, attempt, executed, is_ended, .. } = *self;
        Session { incarnation, attempt, executed, is_ended, ..Session::new(applied) }
    }

    /// Returns the number of the last `hello`.
    pub(crate) fn attempt(&self) -> u64 {
        self.attempt
    }

    /// Returns whether its client confirms each welcome, so that a late copy of what it sends is never executed.
    pub(crate) fn is_confirmed(&self) -> bool {
        Nonce::is_one(self.incarnation)
    }

    /// Records that the client has received every reply up to `ack`.
    ///
    /// # Errors
    /// [`Misuse`] if the client cannot have received them.
    pub fn acknowledge(&mut self, ack: u64) -> Result<(), Misuse> {
        self.filter.acknowledge(ack)?;
        self.forget();
        Ok(())
    }

    /// Marks requests whose answers are not kept as not executed, if nothing was drawn after them: the client repeats them and
    /// gets the same answers.
    fn unanswer(&mut self) {
        // A request before the last that has drawn might get another answer.
        let first = self.unkept.iter().copied().find(|number| *number > self.drawn);
        if let Some(number) = first {
            self.unkept.retain(|unkept| *unkept < number);
            self.filter.retract(number - 1);
            while let Some((last, response)) = self.responses.back()
                && *last >= number
            {
                self.bytes -= response.len() + RESPONSE;
                self.responses.pop_back();
            }
        }
    }

    fn forget(&mut self) {
        while self.unkept.front().is_some_and(|number| *number <= self.filter.ack()) {
            self.unkept.pop_front();
        }
        while let Some((number, response)) = self.responses.front()
            && *number <= self.filter.ack()
        {
            self.bytes -= response.len() + RESPONSE;
            self.responses.pop_front();
        }
    }

    /// Handles a complete request. Returns what to do with it.
    ///
    /// # Errors
    /// [`Misuse`]: the connection cannot go on.
    pub fn handle_request(&mut self, number: u64, message: &[u8]) -> Result<Verdict, Misuse> {
        self.filter.handle_request(number, filter::digest(message))
    }

    /// Records that the request that is being executed has succeeded, without an answer.
    pub fn executed(&mut self) {
        self.filter.executed();
        self.executed += 1;
        self.drawn = self.filter.applied();
    }

    /// Records that the request that is being executed has failed or has an answer: `response` is the message.
    ///
    /// A request that may be repeated has changed nothing, and its answer is kept within a limit: without it the request is
    /// executed again. Any other is never executed again: that it was is kept, and its response within a limit.
    pub fn responded(&mut self, response: &[u8], may_be_repeated: bool) {
        self.filter.executed();
        self.executed += 1;
        self.filter.tell();
        let size = response.len() + RESPONSE;
        if !may_be_repeated {
            self.drawn = self.filter.applied();
        }
        let most = if may_be_repeated { limits::SESSION_ANSWERS } else { limits::SESSION_RESPONSES };
        let kept = match self.bytes + size <= most {
            true => response,
            // That it was executed, or has failed, must not be forgotten.
            false if !may_be_repeated => &[],
            false => return self.unkept.push_back(self.filter.applied()),
        };
        self.bytes += kept.len() + RESPONSE;
        self.responses.push_back((self.filter.applied(), kept.into()));
    }

    /// Records that the last response was that of a `sync_durable`.
    pub(crate) fn note_sync_durable(&mut self) {
        self.durable_through = self.filter.applied();
    }

    /// Returns the number of the last answered `sync_durable`.
    pub(crate) fn durable_through(&self) -> u64 {
        self.durable_through
    }

    /// Replays a request from a journal that was executed after those that are known, with its response: none, or the message
    /// that says so. Of requests in between it has nothing: they only asked, or were refused, and it is not known which.
    pub fn replay(&mut self, stamp: Stamp, response: Option<&[u8]>) {
        if stamp.ack > self.filter.applied() {
            // A client may ask for as long as it likes between two calls that draw: of what it has acknowledged nothing is kept.
            *self = self.without_requests(stamp.ack);
        }
        let before = self.filter.applied();
        if stamp.number <= before {
            // It is in it already. No display journals a request twice, and what is kept has to stay in order.
            return;
        }
        self.filter.replay(stamp.number, stamp.digest);
        self.executed += 1;
        for number in before + 1..stamp.number {
            self.bytes += RESPONSE;
            self.responses.push_back((number, Box::default()));
        }
        if let Some(response) = response {
            // As where it was executed: that it has failed is not forgotten.
            let fits = self.bytes + response.len() + RESPONSE <= limits::SESSION_RESPONSES;
            let kept = if fits { response } else { &[] };
            self.bytes += kept.len() + RESPONSE;
            self.responses.push_back((stamp.number, kept.into()));
        }
        self.drawn = self.filter.applied();
        // It was acknowledged on a connection, which looked at it.
        _ = self.acknowledge(stamp.ack.min(before));
    }

    /// Returns the stamp of the request that is being executed.
    pub(crate) fn stamp(&self, session: Id) -> Stamp {
        let (number, ack) = (self.filter.applied() + 1, self.filter.ack());
        Stamp { session, number, ack, digest: self.filter.last_digest() }
    }

    /// Records that the client is told of all executed requests.
    pub fn tell(&mut self) {
        self.filter.tell();
    }

    /// Ends the session: the client will not return.
    pub fn end(&mut self) {
        self.is_ended = true;
    }

    /// Records that the request that is being executed was not, and never will be on its connection.
    pub(crate) fn interrupt(&mut self) {
        self.filter.interrupt();
    }

    /// Writes the message that says what came of a request. Answers whether there is one.
    pub(crate) fn write_response(&self, number: u64, checksum: Option<Checksum>, out: &mut Vec<u8>) -> bool {
        let Ok(at) = self.responses.binary_search_by_key(&number, |(number, _)| *number) else {
            return false;
        };
        write_kept(&self.responses[at], checksum, out);
        true
    }

    /// Writes the messages of all requests that are not acknowledged, in order.
    pub(crate) fn write_responses(&self, checksum: Option<Checksum>, out: &mut Vec<u8>) {
        self.responses.iter().for_each(|kept| write_kept(kept, checksum, out));
    }
}

/// Writes a kept response, with a check if the connection has checks. Responses are kept without.
fn write_kept((number, response): &(u64, Box<[u8]>), checksum: Option<Checksum>, out: &mut Vec<u8>) {
    checksum::write(out, checksum, |out| {
        if !response.is_empty() {
            return out.extend_from_slice(response);
        }
        envelope::write_response_head(out, *number as u32);
        let text = "it failed, at least in part; why was lost with the connection";
        envelope::write_map(out, &Fault::new(Code::AnswerLost, text));
        out.push(0xc0);
    });
}

/// Returns the number near `applied` that has these low 32 bits, which are on the wire; 0, which no request has, for one that
/// would lie before the first.
pub(crate) fn number_near(applied: u64, msgid: u32) -> u64 {
    let distance = msgid.wrapping_sub(applied as u32) as i32;
    applied.checked_add_signed(distance.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
