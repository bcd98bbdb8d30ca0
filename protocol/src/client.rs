//! The client's side of one connection, as a state machine without I/O.
//!
//! A program makes **calls**, numbered 1, 2, 3, ...; what travels are **requests**, numbered for themselves. One call
//! may need several requests (a draw of more pixels than a batch may have), and one request may carry several calls.
//! Both orders are the same, so one number says how far the calls are done.

use crate::calls::{Answer, Call, Request};
use crate::envelope::{self, Head, Message};
use crate::fault::{Code, Fault, Range};
use crate::hello::{self, Hello, Welcome};
use crate::inbox::{Inbox, Outbox};
use crate::limits;
use crate::pixels::Pixels;
use crate::reader::Reader;
use std::collections::VecDeque;
use std::time::Instant;

/// One connection, seen from the client. It greets with `hello` at once.
#[derive(Debug)]
pub struct Connection {
    inbox: Inbox,
    out: Outbox,
    /// The server's answer to `hello`; requests may be made once it is there.
    welcome: Option<Welcome>,
    /// Requests sent, or waiting in `out`, that the server has not reported: `applied + 1` first.
    flight: VecDeque<InFlight>,
    applied: u64,
    /// Bytes of all requests in `flight`.
    flight_bytes: usize,
    /// Number of the last call made, and of the last that is done; every call up to it is.
    last_call: u64,
    done: u64,
    /// The fault of the call whose further parts are still in flight.
    partial: Option<Fault>,
    /// What is to be told that has not been.
    events: VecDeque<Event>,
    /// Why the server said it will close.
    goodbye: Option<Fault>,
    /// Why nothing more is believed.
    ended: Option<Ended>,
}

/// A request that is not answered yet.
#[derive(Debug)]
struct InFlight {
    made: Made,
    bytes: usize,
    /// Which pixels of the call it has.
    first_pixel: u32,
    pixels: u32,
    /// The call ends with this request.
    is_last: bool,
}

/// A call that was made: what can be told about it later.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Made {
    /// Its number on this connection, from 1.
    pub number: u64,
    /// What was called.
    pub call: Call,
    /// When.
    pub at: Instant,
}

/// What [`Connection::handle_input`] found. That calls were done is no event: see [`Connection::done`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server answered `hello`: requests may be made.
    Welcome,
    /// The call failed. It is done.
    Fault(Made, Fault),
    /// The question was answered. It is done.
    Answer(Made, Answer),
}

/// The connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The server refused `hello`.
    #[error("the display refused the greeting: {0}")]
    Refused(Fault),
    /// The server broke the protocol: it is none of ours, or it lies.
    #[error("the other side does not speak this protocol: {0}")]
    Violation(String),
}

fn violation(what: impl Into<String>) -> Ended {
    Ended::Violation(what.into())
}

impl Connection {
    /// A connection that is about to send `hello`.
    pub fn new(hello: &Hello) -> Connection {
        let mut out = Outbox::default();
        // The greeting is numbered apart, so that the first request after it is 1.
        envelope::write_request_head(&mut out.bytes, 0, hello::HELLO);
        envelope::write_map(&mut out.bytes, &(hello,));
        Connection {
            inbox: Inbox::default(),
            out,
            welcome: None,
            flight: VecDeque::new(),
            applied: 0,
            flight_bytes: 0,
            last_call: 0,
            done: 0,
            partial: None,
            events: VecDeque::new(),
            goodbye: None,
            ended: None,
        }
    }

    /// What the server answered to `hello`.
    pub fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// Number of the last call that was made.
    pub fn last_call(&self) -> u64 {
        self.last_call
    }

    /// Every call up to this number has been executed or has failed, and its event has been handed out or waits.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Calls that are neither done nor failed.
    pub fn in_flight(&self) -> u64 {
        self.last_call - self.done
    }

    /// Why the server said that it will close, if it did.
    pub fn goodbye(&self) -> Option<&Fault> {
        self.goodbye.as_ref()
    }

    /// Whether the server has granted enough for this request now. `extra` more requests are counted as in flight.
    pub fn has_credit(&self, request: &Request<'_>, extra: usize) -> bool {
        self.has_credit_beyond(request, extra, 0, 0)
    }

    /// The same, if so many more calls and bytes had been granted.
    pub fn has_credit_beyond(&self, request: &Request<'_>, extra: usize, calls: u32, bytes: u32) -> bool {
        let Some(welcome) = &self.welcome else { return false };
        let (more_calls, more_bytes) = (calls as usize, bytes as usize);
        if self.flight.is_empty() && extra <= more_calls {
            return true;
        }
        let parts = self.parts(request);
        // A display that grants without end does not get all of this side's memory.
        let calls = welcome.calls.min(limits::CREDIT_CALLS_HARDEST) as usize;
        let bytes = welcome.bytes.min(limits::CREDIT_BYTES_HARDEST) as usize;
        self.flight.len() + extra + parts <= calls + more_calls
            && self.flight_bytes + size(request) <= bytes + more_bytes
    }

    /// Bytes of memory that the buffers hold.
    pub fn memory(&self) -> usize {
        self.inbox.capacity() + self.out.capacity()
    }

    /// Whether a request waits to be sent.
    pub fn is_sending(&self) -> bool {
        !self.out.unsent().is_empty()
    }

    /// Makes a call and answers its number. Whether there is credit for it is the caller's to ask first.
    ///
    /// # Errors
    /// A fault, when it is certain that no display can execute it: see [`Request::check`]. Nothing is sent then.
    pub fn call(&mut self, request: &Request<'_>, now: Instant) -> Result<u64, Fault> {
        let welcome =
            self.welcome.as_ref().ok_or_else(|| Fault::new(Code::Malformed, "there was no greeting yet"))?;
        let (batch, message) = (batch_of(welcome), message_of(welcome));
        let made = Made { number: self.last_call + 1, call: request.call(), at: now };
        match *request {
            Request::DrawPixels { pixels } if pixels.len() > batch => {
                let mut first = 0;
                for part in pixels.parts(batch) {
                    let is_last = first + part.len() == pixels.len();
                    self.send(&Request::DrawPixels { pixels: part }, made, first as u32, is_last);
                    first += part.len();
                }
            }
            Request::PutImage { x, y, width, height, rgba } if rgba.len() + ENVELOPE > message => {
                request.check()?;
                let rows = rows_of(width, message)?;
                let mut first = 0;
                for band in rgba.chunks(rows as usize * width as usize * 4) {
                    let band_rows = rows.min(height - first);
                    let is_last = first + band_rows == height;
                    // A band below the last row that i32 can name is outside every display, as that row is.
                    let y = y.saturating_add_unsigned(first);
                    let part = Request::PutImage { x, y, width, height: band_rows, rgba: band };
                    self.send(&part, made, 0, is_last);
                    first += band_rows;
                }
            }
            _ => {
                request.check()?;
                self.send(request, made, 0, true);
            }
        }
        self.last_call += 1;
        Ok(self.last_call)
    }

    fn send(&mut self, request: &Request<'_>, made: Made, first_pixel: u32, is_last: bool) {
        let number = self.applied + self.flight.len() as u64 + 1;
        let start = self.out.bytes.len();
        // On the wire a number is its low 32 bits.
        envelope::write_request_head(&mut self.out.bytes, number as u32, request.method().name());
        request.encode_parameters(&mut self.out.bytes);
        let bytes = self.out.bytes.len() - start;
        let pixels = match request {
            Request::DrawPixels { pixels } => pixels.len() as u32,
            _ => 0,
        };
        self.flight_bytes += bytes;
        self.flight.push_back(InFlight { made, bytes, first_pixel, pixels, is_last });
    }

    /// How many requests a call will take.
    fn parts(&self, request: &Request<'_>) -> usize {
        let Some(welcome) = &self.welcome else { return 1 };
        match request {
            Request::DrawPixels { pixels } => pixels.len().div_ceil(batch_of(welcome)).max(1),
            Request::PutImage { width, height, rgba, .. } if rgba.len() + ENVELOPE > message_of(welcome) => {
                // An image that cannot be sent is refused by `call`, with or without credit.
                rows_of(*width, message_of(welcome)).map_or(1, |rows| height.div_ceil(rows) as usize)
            }
            _ => 1,
        }
    }

    /// The bands of whole rows, `(first row, rows)`, in which an image of that size has to be asked for.
    ///
    /// # Errors
    /// [`Code::TooLarge`] when not even one row fits a message.
    pub fn bands(&self, width: u32, height: u32) -> Result<Vec<(u32, u32)>, Fault> {
        let message = self.welcome.as_ref().map_or(limits::MESSAGE, message_of);
        // Four times the product may not fit u64.
        if u128::from(width) * u128::from(height) * 4 + ENVELOPE as u128 <= message as u128 {
            return Ok(vec![(0, height)]);
        }
        let rows = rows_of(width, message)?;
        // An image whose bands cannot be listed is larger than any display; one request says so.
        if height > limits::SIDE_HARDEST {
            return Ok(vec![(0, height)]);
        }
        Ok((0..height).step_by(rows as usize).map(|first| (first, rows.min(height - first))).collect())
    }

    /// Takes bytes from the front of `input` until there is something to tell; `None` when all was taken.
    ///
    /// # Errors
    /// [`Ended`]: nothing more can be believed, then or later. Every event has been handed out; what is in flight is
    /// to be given up, see [`Connection::give_up`].
    pub fn handle_input(&mut self, input: &mut &[u8]) -> Result<Option<Event>, Ended> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(ended) = &self.ended {
                return Err(ended.clone());
            }
            let limit = match &self.welcome {
                Some(welcome) => message_of(welcome),
                None => limits::FIRST_MESSAGE,
            };
            // Taken out for the moment: a message borrows from it while everything else changes.
            let mut inbox = std::mem::take(&mut self.inbox);
            let taken = match inbox.next(input, |_| limit) {
                Ok(Some(found)) => self.handle_message(inbox.message(found)).map(|()| true),
                Ok(None) if !Head::read(inbox.started()).is_possible() => {
                    Err(violation("its bytes are no message"))
                }
                Ok(None) => Ok(false),
                Err(error) => Err(violation(error.to_string())),
            };
            match taken {
                Ok(taken) => {
                    self.inbox = inbox;
                    if !taken {
                        return Ok(None);
                    }
                }
                // Events that the same message caused still go out first.
                Err(ended) => self.ended = Some(ended),
            }
        }
    }

    /// Where the rest of a long message may be read to directly: append at most that many bytes, then call
    /// [`Connection::handle_input`] with no input.
    pub fn body(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        self.inbox.body()
    }

    fn handle_message(&mut self, message: &[u8]) -> Result<(), Ended> {
        match Head::read(message).message() {
            Some(Message::Response { msgid, rest }) if self.welcome.is_none() => {
                self.handle_welcome(msgid, rest)
            }
            Some(Message::Response { msgid, rest }) => self.handle_response(msgid, rest),
            Some(Message::Notification { method, params }) => match std::str::from_utf8(method) {
                Ok(hello::PROGRESS) => self.handle_progress(params),
                Ok(hello::GOODBYE) => {
                    let said: Result<(Fault,), _> = rmp_serde::from_slice(params.rest());
                    let (mut fault,) = said.map_err(|_| violation("its goodbye has no reason"))?;
                    fault.rejected = Vec::new();
                    fault.shorten();
                    self.goodbye = Some(fault);
                    Ok(())
                }
                // A later version may tell more; what is not understood is not needed.
                _ => Ok(()),
            },
            Some(Message::Request { .. }) => Err(violation("it sent a request; a display only answers")),
            None => Err(violation("its bytes are no message")),
        }
    }

    fn handle_welcome(&mut self, msgid: u32, mut rest: Reader<'_>) -> Result<(), Ended> {
        if msgid != 0 {
            return Err(violation(format!("it answered request {msgid}, which was never made")));
        }
        if !rest.nil() {
            return Err(Ended::Refused(read_fault(rest)?));
        }
        let welcome: Welcome = rmp_serde::from_slice(rest.rest())
            .map_err(|error| violation(format!("its answer to hello cannot be read: {error}")))?;
        if welcome.version != limits::VERSION {
            let text = format!("it chose version {}; this side speaks {}", welcome.version, limits::VERSION);
            return Err(violation(text));
        }
        self.welcome = Some(welcome);
        self.events.push_back(Event::Welcome);
        Ok(())
    }

    fn handle_response(&mut self, msgid: u32, mut rest: Reader<'_>) -> Result<(), Ended> {
        let distance = msgid.wrapping_sub(self.applied as u32);
        if distance == 0 || u64::from(distance) > self.flight.len() as u64 {
            return Err(violation(format!("it answered request {msgid}, which is not in flight")));
        }
        // Requests are executed in order: the answer to one says that all before it are done.
        self.advance(self.applied + u64::from(distance) - 1)?;
        // Read before it is taken out: a call whose answer cannot be believed stays in flight, to be given up.
        let call = self.flight.front().expect("the distance was checked").made.call;
        let method = call.method();
        if !rest.nil() {
            let mut fault = read_fault(rest)?;
            let request = self.pop();
            let is_part = request.first_pixel > 0 || !request.is_last;
            if is_part && fault.rejected.is_empty() && request.pixels > 0 {
                // The request was rejected whole; of the call, only these pixels were.
                fault.rejected.push(Range { first: 0, count: request.pixels });
            }
            fault.place(request.first_pixel, request.pixels);
            match &mut self.partial {
                Some(first) => first.join(fault),
                None => self.partial = Some(fault),
            }
            self.finish(&request);
            return Ok(());
        }
        let answer = method
            .decode_answer(&mut rest)
            .map_err(|what| violation(format!("it answered {} with {}", method.name(), what.0)))?;
        check_answer(&call, &answer)?;
        let request = self.pop();
        if method.is_question() {
            self.done = request.made.number;
            self.events.push_back(Event::Answer(request.made, answer));
        } else {
            self.finish(&request);
        }
        Ok(())
    }

    fn handle_progress(&mut self, mut params: Reader<'_>) -> Result<(), Ended> {
        let applied = match params.array() {
            Ok(1..) => params.int(),
            _ => return Err(violation("its progress names no number")),
        };
        let applied = applied.ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX);
        if applied < self.applied || applied - self.applied > self.flight.len() as u64 {
            return Err(violation(format!(
                "it reported request {applied} as done; {} to {} are in flight",
                self.applied + 1,
                self.applied + self.flight.len() as u64
            )));
        }
        self.advance(applied)
    }

    /// Every request up to number `applied`, which is in flight, is done.
    fn advance(&mut self, applied: u64) -> Result<(), Ended> {
        while self.applied < applied {
            let call = self.flight.front().expect("the caller has seen that it is in flight").made.call;
            if call.method().is_question() {
                return Err(violation(format!("it passed over {call}, which has an answer")));
            }
            let request = self.pop();
            self.finish(&request);
        }
        Ok(())
    }

    fn pop(&mut self) -> InFlight {
        let request = self.flight.pop_front().expect("the caller has seen that it is in flight");
        self.applied += 1;
        self.flight_bytes -= request.bytes;
        request
    }

    /// A drawing request is done; if it was the last of its call, so is the call.
    fn finish(&mut self, request: &InFlight) {
        if request.is_last {
            self.done = request.made.number;
            if let Some(fault) = self.partial.take() {
                self.events.push_back(Event::Fault(request.made, fault));
            }
        }
    }

    /// Bytes to send.
    pub fn poll_transmit(&self) -> &[u8] {
        self.out.unsent()
    }

    /// `n` bytes of [`Connection::poll_transmit`] have been sent.
    pub fn handle_transmitted(&mut self, n: usize) {
        self.out.advance(n, limits::READ);
    }

    /// All bytes to send, in exchange for an empty buffer: for a sender that must not hold up whoever calls
    /// meanwhile. Not to be mixed with [`Connection::handle_transmitted`].
    pub fn swap_transmit(&mut self, empty: Vec<u8>) -> Vec<u8> {
        self.out.swap(empty)
    }

    /// The connection is lost: answers every call that is not done, once each, in order. They may or may not have
    /// been executed.
    pub fn give_up(&mut self) -> Vec<Made> {
        let mut lost: Vec<Made> = self.flight.drain(..).map(|request| request.made).collect();
        lost.dedup_by_key(|made| made.number);
        self.done = self.last_call;
        self.flight_bytes = 0;
        self.partial = None;
        lost
    }
}

/// More than the envelope of a `put_image`, or of the answer to a `get_image`, takes.
const ENVELOPE: usize = 64;

/// Credit that a request takes, in bytes: its data and what is around it.
fn size(request: &Request<'_>) -> usize {
    ENVELOPE
        + match request {
            Request::DrawPixels { pixels } => pixels.len() * crate::Pixel::SIZE,
            Request::PutImage { rgba, .. } => rgba.len(),
            _ => 0,
        }
}

fn batch_of(welcome: &Welcome) -> usize {
    // A full batch must fit a message too.
    let most = limits::BATCH.min((message_of(welcome) - ENVELOPE) / crate::Pixel::SIZE);
    (welcome.batch as usize).clamp(1, most)
}

fn message_of(welcome: &Welcome) -> usize {
    (welcome.message as usize).clamp(limits::FIRST_MESSAGE, limits::MESSAGE_HARDEST)
}

/// How many rows of an image fit a message.
fn rows_of(width: u32, message: usize) -> Result<u32, Fault> {
    let most = message - ENVELOPE;
    let rows = most as u64 / (u64::from(width) * 4).max(1);
    match u32::try_from(rows) {
        Ok(0) => Err(Fault::new(
            Code::TooLarge,
            format!(
                "a row of {width} pixels has {} bytes; the limit of a message is {most}",
                u64::from(width) * 4
            ),
        )),
        rows => Ok(rows.unwrap_or(u32::MAX)),
    }
}

fn read_fault(mut rest: Reader<'_>) -> Result<Fault, Ended> {
    let bytes = rest.skip().map_err(|_| violation("its error is cut off"))?;
    let mut fault: Fault = rmp_serde::from_slice(bytes)
        .map_err(|error| violation(format!("its error cannot be read: {error}")))?;
    fault.shorten();
    Ok(fault)
}

/// An image must have the size that was asked for: the caller indexes it.
fn check_answer(call: &Call, answer: &Answer) -> Result<(), Ended> {
    match (call, answer) {
        (&Call::GetImage { width, height, .. }, Answer::Image(bytes)) => {
            let wanted = u128::from(width) * u128::from(height) * 4;
            if bytes.len() as u128 == wanted {
                return Ok(());
            }
            Err(violation(format!("it answered an image of {width}x{height} with {} bytes", bytes.len())))
        }
        _ => Ok(()),
    }
}

impl<'a> Pixels<'a> {
    /// Parts of at most `most` pixels.
    fn parts(self, most: usize) -> impl Iterator<Item = Pixels<'a>> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let (part, after) = rest?.split_at(most);
            rest = (!after.is_empty()).then_some(after);
            Some(part)
        })
    }
}
