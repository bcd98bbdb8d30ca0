//! The client's side of one connection, as a state machine without I/O.
//!
//! A program makes **calls**, numbered 1, 2, 3, ...; what travels are **requests**, numbered for themselves. One call
//! may need several requests (a large image travels in bands), and one request may carry several calls (consecutive
//! single pixels travel together). Both orders are the same, so one number says how far the calls are done.

mod completion;
mod corruption;
mod ended;
mod flight;
mod flood;
mod foreign_protocol;
mod fragment;
mod image;
mod joining;
mod receive;
mod refusal;
mod resume;
mod send;
mod send_buffer;
mod session;
mod window;
mod zero_copy;

pub use ended::Ended;
pub use flight::{CallSite, GivenUp, IssuedCall, Origin};
pub use zero_copy::Lent;

use crate::fault::Fault;
use crate::hello::{Hello, Welcome};
use crate::reconnect::Progress;
use crate::session::Standing;
use crate::table::Answer;
use completion::Calls;
use flight::Flight;
use joining::Joining;
use receive::Receive;
use send_buffer::SendBuffer;
use session::{Session, greeting};
use std::time::Instant;
use window::Flow;

/// One connection, seen from the client. It greets with `hello` at once.
///
/// Each part keeps an invariant of its own, which its file states.
#[derive(Debug)]
pub struct Connection {
    session: Session,
    receive: Receive,
    out: SendBuffer,
    joining: Joining,
    /// Requests sent, or waiting in `out`, that the server has not reported.
    flight: Flight,
    flow: Flow,
    calls: Calls,
}

/// The result of [`Connection::handle_input`]. Completed calls are not events: see [`Connection::done`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The server answered `hello`: requests may be made.
    Welcome,
    /// The call failed. It is done.
    Fault(IssuedCall, Fault),
    /// The question was answered. It is done.
    Answer(IssuedCall, Answer),
    /// The server answered [`Connection::reconnect`]: how the session stands, and which calls are given up, whose outcome is unknown. The
    /// others continue.
    Resumed(Standing, Vec<IssuedCall>),
}

impl Connection {
    /// Creates a connection that is about to send `hello`.
    pub fn new(hello: &Hello) -> Connection {
        let mut out = SendBuffer::default();
        out.greet(greeting(hello));
        Connection {
            session: Session::new(hello),
            receive: Receive::new(hello.agreed_checksum()),
            out,
            joining: Joining::default(),
            flight: Flight::default(),
            flow: Flow::new(hello.durable),
            calls: Calls::default(),
        }
    }

    /// Returns what the server answered to `hello`.
    pub fn welcome(&self) -> Option<&Welcome> {
        self.session.welcome.as_ref()
    }

    /// Returns whether the display was restarted before it answered [`Connection::reconnect`]. If it has forgotten the session, the last
    /// requests that it had reported as executed may be lost.
    pub fn is_restarted(&self) -> bool {
        self.session.is_restarted
    }

    /// Returns the number of the last call made.
    pub fn last_call(&self) -> u64 {
        self.calls.last
    }

    /// Returns the number of the last call that is done: every call up to it has been executed or has failed, and its event has been
    /// handed out or is waiting.
    pub fn done(&self) -> u64 {
        self.calls.done
    }

    /// Returns the number of the last request that the server has reported as executed. A call may take several requests.
    pub fn applied(&self) -> u64 {
        self.flight.applied()
    }

    /// Returns what the connection has achieved, for [`Reconnect::handle_lost`](crate::reconnect::Reconnect::handle_lost).
    pub fn progress(&self) -> Progress {
        Progress {
            applied: self.applied(),
            is_busy: self.in_flight() > 0,
            is_resumable: self.is_resumable(),
            is_checked: self.is_checked(),
            is_needed: true,
        }
    }

    /// Returns how many calls are neither done nor failed.
    pub fn in_flight(&self) -> u64 {
        self.calls.last - self.calls.done
    }

    /// Returns the reason from the server's goodbye, if it sent one.
    pub fn goodbye(&self) -> Option<&Fault> {
        self.receive.goodbye.as_ref()
    }

    /// Returns when a call was made that is not done.
    pub fn made_at(&self, number: u64) -> Option<Instant> {
        let is_waiting =
            number <= self.calls.last && number + self.joining.run.len() as u64 > self.calls.last;
        if is_waiting { self.joining.began } else { self.flight.made_at(number) }
    }

    /// Returns how many bytes of memory the buffers hold.
    pub fn memory(&self) -> usize {
        self.receive.decoder.capacity() + self.out.capacity() + self.calls.image.capacity()
    }

    /// Gives up every call that is not done, since there will be no other connection. Returns each once, and which of them may have been
    /// executed. Nothing of the others is handed out any more.
    pub fn give_up(&mut self) -> GivenUp {
        self.seal();
        let begun = self.flight.give_up(self.flight.last_begun());
        let unsent = self.flight.give_up(self.flight.last_number());
        self.calls.done = self.calls.last;
        self.calls.partial = None;
        self.calls.image = image::Image::default();
        self.out.give_up();
        GivenUp { begun, unsent }
    }
}
