//! The client's side of one connection, as a state machine without I/O.
//!
//! A program makes **calls**, numbered 1, 2, 3, ...; what travels are **requests**, numbered for themselves. One call
//! may need several requests (a large image travels in bands), and one request may carry several calls (consecutive
//! single pixels travel together). Both orders are the same, so one number says how far the calls are done.

mod altered;
mod flight;
mod image;
mod landing;
mod lent;
mod outbox;
mod parts;
mod refusal;
mod resume;
mod stranger;
mod talk;
mod window;

pub use flight::{GivenUp, Made, Origin, Place};
pub use lent::Lent;

use crate::calls::{Answer, Request};
use crate::check::{self, Arrived, Arriving};
use crate::envelope::{self, Head, Message};
use crate::fault::{Code, Fault};
use crate::hello::{self, Hello, Welcome};
use crate::inbox::{Found, Inbox};
use crate::limits;
use crate::pixels::{Pixel, Pixels};
use crate::reader::Reader;
use crate::session::Standing;
use crate::text::excerpt;
use flight::{Flight, InFlight, Load, Part, Run, single};
use image::{Image, Received};
use landing::read_answer;
use lent::write_request_lending;
use outbox::Outbox;
use parts::{Most, size};
use refusal::{read_fault, read_refusal};
use std::collections::VecDeque;
use std::time::Instant;
use stranger::First;
use talk::Talk;
use window::Window;

/// One connection, seen from the client. It greets with `hello` at once.
#[derive(Debug)]
pub struct Connection {
    inbox: Inbox,
    /// What came first on this connection.
    first: First,
    /// What came that did nothing.
    talk: Talk,
    /// What each message that arrives has to be.
    arriving: Arriving,
    /// Where there are checks: when the message began that is not whole yet.
    message_began: Option<Instant>,
    out: Outbox,
    /// What was said last, or will be.
    hello: Hello,
    /// The server's answer to `hello`; requests may be made once it is there.
    welcome: Option<Welcome>,
    /// Requests sent, or waiting in `out`, that the server has not reported.
    flight: Flight,
    /// Single pixels that wait for others to travel with: they become a request when something is to be sent. The
    /// calls are the last ones made.
    run: Run,
    /// How many may travel together.
    most_joined: usize,
    /// When the first of them was called.
    run_began: Option<Instant>,
    window: Window,
    /// When the last of the calls was made whose first request the message at hand has answered. (Further requests of a
    /// call wait for the first, which is no fault of the path.)
    answered: Option<Instant>,
    /// Number of the last call made, and of the last that is done; every call up to it is.
    last_call: u64,
    done: u64,
    /// The fault of the call whose further parts are still in flight.
    partial: Option<Fault>,
    image: Image,
    /// What is to be told that has not been.
    events: VecDeque<Event>,
    /// What the server has been told that this side holds, and the bytes of answers and faults since.
    acked: u64,
    heard: usize,
    /// What was in flight up to this number when the session was resumed had been executed before. The server may have
    /// lost answers.
    resumed_to: u64,
    /// Requests that were made for another display and are more than this one takes, by their numbers: what is sent in their
    /// place draws nothing, and their calls fail with it.
    refused: VecDeque<(u64, Fault)>,
    /// The last request that has drawn, of those that are done.
    drew: u64,
    /// The server was told that the loss of an end of the session is accepted, and may have heard it.
    has_accepted_loss: bool,
    /// The server was started again between its last two answers to `hello`.
    is_restarted: bool,
    /// Why the server said it will close.
    goodbye: Option<Fault>,
    /// Why nothing more is believed.
    ended: Option<Ended>,
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
    /// The server answered [`Connection::reconnect`]: how the session stands, and which calls are given up, of which nobody
    /// knows whether they were executed. The others go on.
    Resumed(Standing, Vec<Made>),
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
    /// Bytes were altered on their way: they are not what their [check](crate::CHECK) says. None of them was believed. Another
    /// connection may be better, and in a session nothing is lost by it.
    #[error("{0}")]
    Corrupted(String),
    /// The other side is no display: its first bytes are those of another protocol.
    #[error("not a display: it answered {0}")]
    Stranger(String),
    /// What came was well formed and did nothing, again and again: see [`limits::TALK`]. Another connection may be better.
    #[error("{0}")]
    Flooded(String),
}

fn violation(what: impl Into<String>) -> Ended {
    // It may quote the other side.
    Ended::Violation(excerpt(&what.into(), limits::STRING / 8))
}

impl Connection {
    /// A connection that is about to send `hello`.
    pub fn new(hello: &Hello) -> Connection {
        let mut out = Outbox::default();
        out.greet(greeting(hello));
        Connection {
            inbox: Inbox::default(),
            first: First::default(),
            talk: Talk::default(),
            arriving: Arriving::new(hello.checks),
            message_began: None,
            out,
            hello: hello.clone(),
            welcome: None,
            flight: Flight::default(),
            run: Run::default(),
            most_joined: 0,
            run_began: None,
            window: Window::new(hello.durable),
            answered: None,
            last_call: 0,
            done: 0,
            partial: None,
            image: Image::default(),
            events: VecDeque::new(),
            acked: 0,
            heard: 0,
            resumed_to: 0,
            refused: VecDeque::new(),
            drew: 0,
            has_accepted_loss: false,
            is_restarted: false,
            goodbye: None,
            ended: None,
        }
    }

    /// What the server answered to `hello`.
    pub fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// Whether the display was started again before it answered [`Connection::reconnect`]. If it has forgotten the session, the
    /// last that it had reported as executed may be lost with it.
    pub fn is_restarted(&self) -> bool {
        self.is_restarted
    }

    /// Number of the last call that was made.
    pub fn last_call(&self) -> u64 {
        self.last_call
    }

    /// Every call up to this number has been executed or has failed, and its event has been handed out or waits.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Every request up to this number has been executed, as the server has said. A call may take several.
    pub fn applied(&self) -> u64 {
        self.flight.applied()
    }

    /// Calls that are neither done nor failed.
    pub fn in_flight(&self) -> u64 {
        self.last_call - self.done
    }

    /// Why the server said that it will close, if it did.
    pub fn goodbye(&self) -> Option<&Fault> {
        self.goodbye.as_ref()
    }

    /// Whether this call may be made now: the server has granted enough for it, and what is under way already is no
    /// more than fills the path. `extra` more requests are counted as in flight.
    pub fn has_credit(&self, request: &Request<'_>, extra: usize) -> bool {
        self.has_credit_beyond(request, extra, 0, 0)
    }

    /// The same, if so many more calls and bytes had been granted.
    pub fn has_credit_beyond(&self, request: &Request<'_>, extra: usize, calls: u32, bytes: u32) -> bool {
        let Some(welcome) = &self.welcome else { return false };
        let (more_calls, more_bytes) = (calls as usize, bytes as usize);
        if self.in_flight() == 0 && extra <= more_calls {
            return true;
        }
        let is_joining = single(request).is_some() && self.has_room();
        let waiting = usize::from(self.run.len() > 0 && !is_joining);
        let (parts, size) =
            if is_joining { (1, Pixel::SIZE) } else { (Most::of(welcome).requests(request), size(request)) };
        let under_way = self.flight.bytes() + self.run.records.len();
        // A display that grants without end does not get all of this side's memory.
        let calls = (welcome.calls as usize).min(limits::CALLS as usize);
        // What is worth having under way may be exceeded by one call: a large image is not cut short by it.
        self.in_flight() + (extra as u64) < limits::CALLS + more_calls as u64
            && self.flight.len() + waiting + extra + parts <= calls + more_calls
            && under_way + size <= granted(welcome) + more_bytes
            && (under_way < self.window.bytes() + more_bytes || !self.out.is_open())
    }

    /// Whether a single pixel can be joined to those that wait to be sent.
    #[inline]
    fn has_room(&self) -> bool {
        self.run_began.is_some() && self.run.len() < self.most_joined
    }

    /// When a call that is not done was made.
    pub fn made_at(&self, number: u64) -> Option<Instant> {
        let is_waiting = number <= self.last_call && number + self.run.len() as u64 > self.last_call;
        if is_waiting { self.run_began } else { self.flight.made_at(number) }
    }

    /// Bytes of memory that the buffers hold.
    pub fn memory(&self) -> usize {
        self.inbox.capacity() + self.out.capacity() + self.image.capacity()
    }

    /// How many bytes wait to be sent, about.
    #[inline]
    pub fn unsent(&self) -> usize {
        let run = if self.out.is_open() { self.run.records.len() } else { 0 };
        self.out.unsent_len() + run
    }

    /// Makes a call if it is a single pixel that can be joined to others, which wait to be sent, and answers its number.
    /// It then counts as made when the first of them was: the caller sees to it that this is less than
    /// [`limits::JOIN_TIME`] ago, and asks now and then whether there is credit.
    #[inline]
    pub fn join(&mut self, request: &Request<'_>, place: Option<Place>) -> Option<u64> {
        let pixel = single(request)?;
        if !self.has_room() {
            return None;
        }
        self.run.push(pixel, place);
        self.last_call += 1;
        Some(self.last_call)
    }

    /// Makes a call and answers its number. Whether there is credit for it is the caller's to ask first.
    ///
    /// # Errors
    /// A fault, when it is certain that no display can execute it: see [`Request::check`]. Nothing is sent then.
    pub fn call(&mut self, request: &Request<'_>, origin: impl Into<Origin>) -> Result<u64, Fault> {
        self.make(request, origin.into(), None)
    }

    fn make<'a>(
        &mut self,
        request: &Request<'a>,
        Origin { at: now, place }: Origin,
        mut lent: Option<&mut Lent<'a>>,
    ) -> Result<u64, Fault> {
        let Some(welcome) = &self.welcome else {
            return Err(Fault::new(Code::Malformed, "there was no greeting yet"));
        };
        if let Some(pixel) = single(request) {
            // A time of its own is worth a request of its own: ages and deadlines are counted from it.
            let is_late = self.run_began.is_some_and(|began| now > began + limits::JOIN_TIME);
            if is_late || !self.has_room() {
                self.seal();
                self.run_began = Some(now);
            }
            self.run.push(pixel, place);
            self.last_call += 1;
            return Ok(self.last_call);
        }
        let most = Most::of(welcome);
        if let Request::GetImage { x, y, width, height } = *request
            && most.requests(request) > 1
        {
            // In one band the display says so itself; of many, none need be asked for.
            let size = welcome.size();
            if !size.contains(x, y, width, height) {
                return Err(Fault::out_of_bounds(&request.call(), size, Vec::new(), Vec::new()));
            }
        }
        self.seal();
        let (number, call) = (self.last_call + 1, request.call());
        let (start, told) = (self.out.bytes.len(), (self.acked, self.heard));
        let mut ack = self.write_ack();
        let (flight, out, is_checked) = (&mut self.flight, &mut self.out, self.hello.checks);
        let cut = most.cut(request, |part, first_pixel, pixels, is_last| {
            let own_number = flight.next_number();
            let bytes = match (part, &mut lent) {
                (&Request::PutImage { rgba, .. }, Some(lent)) => {
                    let head = write_request_lending(&mut out.bytes, own_number, part, rgba, is_checked);
                    lent.push(own_number, out.unsent_len(), rgba);
                    head + rgba.len()
                }
                _ => write_request(&mut out.bytes, own_number, part, is_checked),
            };
            let bytes = std::mem::take(&mut ack) + bytes;
            let load = Load::Part(Part { call, place, first_pixel, pixels, is_last });
            flight.push(InFlight { call: number, at: now, bytes, load });
            out.wrote(own_number);
        });
        if let Err(fault) = cut {
            // Nothing was written but that: it belongs to the request that comes next.
            self.out.bytes.truncate(start);
            (self.acked, self.heard) = told;
            return Err(fault);
        }
        self.last_call = number;
        Ok(number)
    }

    /// Makes a request of the single pixels that wait.
    fn seal(&mut self) {
        let Some(at) = self.run_began.take() else { return };
        let call = self.last_call + 1 - self.run.len() as u64;
        let number = self.flight.next_number();
        let (ack, is_checked) = (self.write_ack(), self.hello.checks);
        let out = &mut self.out.bytes;
        let (bytes, load) = if self.run.len() == 1 {
            let Pixel { x, y, color } = self.run.pixel(0);
            let request = Request::DrawPixel { x: x.into(), y: y.into(), color };
            let place = self.run.place(0);
            self.run.clear();
            let part = Part { call: request.call(), place, first_pixel: 0, pixels: 0, is_last: true };
            (write_request(out, number, &request, is_checked), Load::Part(part))
        } else {
            let run = std::mem::replace(&mut self.run, self.flight.spare_run());
            let request = Request::DrawPixels { pixels: Pixels::of_run(&run.records) };
            (write_request(out, number, &request, is_checked), Load::Joined(run))
        };
        self.flight.push(InFlight { call, at, bytes: ack + bytes, load });
        self.out.wrote(number);
    }

    /// Takes bytes from the front of `input` until there is something to tell; `None` when all was taken.
    ///
    /// # Errors
    /// [`Ended`]: nothing more can be believed, then or later. Every event has been handed out; what is in flight is
    /// to be given up, see [`Connection::give_up`].
    pub fn handle_input(&mut self, input: &mut &[u8], now: Instant) -> Result<Option<Event>, Ended> {
        if !self.out.is_open() {
            self.first.note(input);
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(ended) = &self.ended {
                return Err(ended.clone());
            }
            let limit = match &self.welcome {
                Some(welcome) => Most::of(welcome).message,
                None => limits::FIRST_MESSAGE,
            };
            let (used, applied) = (self.flight.bytes(), self.flight.applied());
            match self.receive_band(input) {
                Received::Nothing => {}
                Received::Part => return Ok(None),
                Received::Whole => {
                    self.measure(used, now);
                    continue;
                }
            }
            let handled = match self.inbox.next(input, |_| limit) {
                Ok(Some(Found::InInput(message))) => {
                    let handled = self.handle_arrived(message);
                    handled.and_then(|arrived| self.note_arrived(arrived, message.len(), applied, now))
                }
                Ok(Some(Found::Kept)) => {
                    let message = self.inbox.take_kept();
                    let handled = self.handle_arrived(&message);
                    let length = message.len();
                    self.inbox.put_kept_back(message);
                    handled.and_then(|arrived| self.note_arrived(arrived, length, applied, now))
                }
                Ok(None) if self.inbox.len() == 0 || Head::read(self.inbox.started()).is_possible() => {
                    self.note_message(false, now);
                    return Ok(None);
                }
                Ok(None) => Err(self.unreadable("its bytes are no message")),
                Err(error) => Err(self.unreadable(&error.to_string())),
            };
            self.measure(used, now);
            self.note_message(true, now);
            if let Err(ended) = handled {
                // Events that the same message caused still go out first.
                self.inbox = Inbox::default();
                self.ended = Some(ended);
            }
        }
    }

    /// A whole message, or what it is to be compared with.
    fn handle_arrived(&mut self, message: &[u8]) -> Result<Arrived, Ended> {
        let arrived = self.arriving.take(message);
        match arrived {
            Ok(Arrived::Message) => self.handle_message(message).map(|()| Arrived::Message),
            Ok(Arrived::Check) => Ok(Arrived::Check),
            Err(altered) => Err(self.altered(&altered.to_string())),
        }
    }

    /// Calls have been answered when `used` bytes were in flight: that says how long the path is.
    fn measure(&mut self, used: usize, now: Instant) {
        if let (Some(at), Some(welcome)) = (self.answered.take(), &self.welcome) {
            self.window.answered(at, now, used, granted(welcome));
        }
    }

    /// Where the rest of a long message may be read to directly: append at most that many bytes, then call
    /// [`Connection::handle_input`] with no input.
    pub fn body(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        self.image.body().or_else(|| self.inbox.body())
    }

    fn handle_message(&mut self, message: &[u8]) -> Result<(), Ended> {
        match Head::read(message).message() {
            Some(Message::Response { msgid, rest }) if !self.out.is_open() => {
                self.handle_welcome(msgid, rest)
            }
            Some(Message::Response { msgid, rest }) => self.handle_response(msgid, rest),
            Some(Message::Notification { method, params }) => match method {
                _ if method == hello::PROGRESS.as_bytes() => self.handle_progress(params),
                _ if method == hello::GOODBYE.as_bytes() => {
                    let said: Result<(Fault,), _> = rmp_serde::from_slice(params.rest());
                    let (mut fault,) = said.map_err(|_| violation("its goodbye has no reason"))?;
                    fault.clear();
                    fault.shorten(limits::STRING);
                    self.goodbye = Some(fault);
                    Ok(())
                }
                // A later version may tell more; what is not understood is not needed.
                _ => Ok(()),
            },
            Some(Message::Request { .. }) => Err(violation("it sent a request; a display only answers")),
            // As when the beginning of it has shown that, before it was whole: with a check it is another's doing.
            None if self.arriving.was_checked() => Err(self.altered("its bytes are no message")),
            None => Err(self.stranger().unwrap_or_else(|| violation("its bytes are no message"))),
        }
    }

    fn handle_welcome(&mut self, msgid: u32, mut rest: Reader<'_>) -> Result<(), Ended> {
        if msgid != 0 {
            return Err(violation(format!("it answered request {msgid}, which was never made")));
        }
        if !rest.nil() {
            return Err(Ended::Refused(read_refusal(rest)?));
        }
        let welcome: Welcome = rmp_serde::from_slice(rest.rest())
            .map_err(|error| violation(format!("its answer to hello cannot be read: {error}")))?;
        if welcome.version != limits::VERSION {
            let text = format!("it chose version {}; this side speaks {}", welcome.version, limits::VERSION);
            return Err(violation(text));
        }
        self.most_joined = Most::of(&welcome).batch.min(limits::JOINED);
        self.begin(welcome)
    }

    fn handle_response(&mut self, msgid: u32, mut rest: Reader<'_>) -> Result<(), Ended> {
        let applied = self.flight.applied();
        let distance = msgid.wrapping_sub(applied as u32);
        self.heard += rest.rest().len();
        if distance == 0 || u64::from(distance) > self.flight.len() as u64 {
            return Err(violation(format!("it answered request {msgid}, which is not in flight")));
        }
        // Requests are executed in order: the answer to one says that all before it are done.
        self.advance(applied + u64::from(distance) - 1)?;
        // Read before it is taken out: a call whose answer cannot be believed stays in flight, to be given up.
        let fault = if rest.nil() { None } else { Some(read_fault(rest)?) };
        let answer = match (&fault, self.flight.first()) {
            (None, Some(InFlight { load: Load::Part(part), .. })) => {
                read_answer(part, &mut rest, &mut self.image)?
            }
            _ => Answer::Done(()),
        };
        self.land_first(fault, answer);
        Ok(())
    }

    fn handle_progress(&mut self, mut params: Reader<'_>) -> Result<(), Ended> {
        let applied = match params.array() {
            Ok(1..) => params.int(),
            _ => return Err(violation("its progress names no number")),
        };
        let applied = applied.ok().and_then(|n| u64::try_from(n).ok()).unwrap_or(u64::MAX);
        let before = self.flight.applied();
        if applied < before || applied - before > self.flight.len() as u64 {
            return Err(violation(format!(
                "it reported request {applied} as done; {} to {} are in flight",
                before + 1,
                before + self.flight.len() as u64
            )));
        }
        self.advance(applied)
    }

    /// Bytes to send next, none when there are none. The single pixels that wait are among what is to be sent: those that come
    /// later travel apart. What was handed out counts as sent if the connection is lost: of a write that failed nobody knows how far it came.
    pub fn poll_transmit(&mut self) -> &[u8] {
        self.prepare_to_send();
        self.out.unsent()
    }

    /// `n` bytes of [`Connection::poll_transmit`] have been sent.
    pub fn handle_transmitted(&mut self, n: usize) {
        self.out.advance(n, self.flight.last_number());
    }

    /// Bytes to send next, none when there are none, in exchange for those that were handed out before, which are sent by now: for
    /// a sender that must not hold up whoever calls meanwhile. A sender that has begun with [`Connection::handle_transmitted`] may go on so.
    pub fn swap_transmit(&mut self, gone: Vec<u8>) -> Vec<u8> {
        self.prepare_to_send();
        self.out.swap(gone, self.flight.last_number())
    }

    fn prepare_to_send(&mut self) {
        if self.out.is_open() && !self.out.is_leading() {
            self.seal();
            self.flight.handle_sent(self.out.last_of_unsent(self.flight.last_number()));
        }
    }

    /// The connection is lost, and there will be no other: answers every call that is not done, once each, and which of them
    /// may have been executed. Nothing of the others is handed out any more.
    pub fn give_up(&mut self) -> GivenUp {
        self.seal();
        let begun = self.flight.give_up(self.flight.last_begun());
        let unsent = self.flight.give_up(self.flight.last_number());
        self.done = self.last_call;
        self.partial = None;
        self.image = Image::default();
        self.out.give_up();
        GivenUp { begun, unsent }
    }
}

fn greeting(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    check::write(&mut bytes, hello.checks, |bytes| {
        // It is numbered apart, so that the first request after it is 1.
        envelope::write_request_head(bytes, 0, hello::HELLO);
        envelope::write_map(bytes, &(hello,));
    });
    bytes
}

/// Bytes of requests that may be unanswered.
fn granted(welcome: &Welcome) -> usize {
    welcome.bytes.min(limits::CREDIT_BYTES_HARDEST) as usize
}

/// Writes a request, and answers its length, that of its check included. On the wire a number is its low 32 bits.
fn write_request(out: &mut Vec<u8>, number: u64, request: &Request<'_>, is_checked: bool) -> usize {
    let start = out.len();
    check::write(out, is_checked, |out| {
        envelope::write_request_head(out, number as u32, request.method().name());
        request.encode_parameters(out);
    });
    out.len() - start
}
