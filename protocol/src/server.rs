//! The server's side of one connection, as a state machine without I/O.
//!
//! The caller passes bytes and instants in, executes the requests that come out, and sends the bytes that come out. The connection
//! itself handles everything that no display has to execute: the handshake, unknown methods, wrong types, limits and
//! acknowledgements.

mod answer;
mod choice;
mod decode;
mod durability_gate;
mod handshake;
mod rate_limit;
mod receive;
mod session;
mod transmit;

pub use choice::{Config, DisplayRequest};

use crate::codec::envelope::Head;
use crate::codec::message_decoder::MessageDecoder;
use crate::fault::Fault;
use crate::session::{Id, Resume, Session, Stamp, Standing};
use crate::table::{Answer, Request};
use answer::Progress;
use choice::Awaiting;
use handshake::{Handshake, Phase};
use receive::Receiving;
use std::time::Instant;
use transmit::Sending;

/// The server's side of one connection.
#[derive(Debug)]
pub struct Connection {
    decoder: MessageDecoder,
    state: ConnectionState,
}

/// Everything but the received bytes, so that a request can borrow those bytes while this changes.
///
/// Each part has an invariant of its own, which its file states.
#[derive(Debug)]
struct ConnectionState {
    handshake: Handshake,
    receiving: Receiving,
    sending: Sending,
    progress: Progress,
    /// The session that uses this connection. Its numbers are those of `progress`.
    session: Option<(Id, Session)>,
    /// Why the connection closes. Input is ignored once this is set.
    closing: Option<Fault>,
    stats: Stats,
}

/// What a connection has seen so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Requests and notifications executed.
    pub executed: u64,
    /// Requests that the display answered with a fault.
    pub faults: u64,
    /// Notifications of drawing calls that failed. A notification has no response, so the client does not learn of it.
    pub unheard_faults: u64,
    /// Notifications of methods that only read. They are ignored, since a notification has no response.
    pub ignored_questions: u64,
    /// Malformed requests: unknown method, wrong type.
    pub malformed: u64,
}

/// The result of [`Connection::handle_input`].
#[derive(Debug)]
pub enum Step<'a> {
    /// Execute this request, then call [`Connection::answer`]. If it belongs to a session, the stamp identifies it for a
    /// journal.
    Execute(Request<'a>, Option<Stamp>),
    /// The first message of the client has arrived: choose its display, and call [`Connection::choose`]. No input is accepted
    /// meanwhile. The step repeats if the client sends another `hello` after a refused one. A connection of [`Connection::new`]
    /// has its display and never returns it.
    Greet(DisplayRequest<'a>),
    /// The client asks for a session: find it, and call [`Connection::resume`], [`Connection::overtaken`] or
    /// [`Connection::close`]. No input is accepted meanwhile.
    Resume(Resume),
    /// A message was handled; there may be more.
    Continue,
    /// All of the input was consumed, or none is accepted until [`Connection::wants_input`] returns true.
    Wait,
}

impl Connection {
    /// Creates a connection to the only display of a server. A `hello` that asks for a display of another name is refused.
    pub fn new(config: Config, now: Instant) -> Connection {
        let mut connection = Connection::open(config.message, now);
        (connection.state.handshake.config, connection.state.handshake.is_open) = (Some(config), false);
        connection
    }

    /// Creates a connection whose first message chooses the display: see [`Step::Greet`]. A message may have up to `message` bytes, at
    /// most [`limits::MESSAGE_HARDEST`](crate::limits::MESSAGE_HARDEST).
    pub fn open(message: usize, now: Instant) -> Connection {
        Connection {
            decoder: MessageDecoder::default(),
            state: ConnectionState {
                handshake: Handshake::new(message),
                receiving: Receiving::new(now),
                sending: Sending::default(),
                progress: Progress::default(),
                session: None,
                closing: None,
                stats: Stats::default(),
            },
        }
    }

    /// Refuses the first message with `fault`, whatever it is, and ends the connection: for a client for which the server has
    /// no capacity. A client that returns with its session gets no response.
    #[must_use]
    pub fn refusing(mut self, fault: Fault) -> Connection {
        self.state.handshake.refusal = Some(fault);
        self
    }

    /// Returns the counters.
    pub fn stats(&self) -> Stats {
        self.state.stats
    }

    /// Returns what the client calls itself, if it sent `hello`.
    pub fn client(&self) -> Option<&str> {
        self.state.handshake.client.as_deref()
    }

    /// Returns whether input is accepted. While too much output is unsent, no request is executed.
    #[inline]
    pub fn wants_input(&self) -> bool {
        self.state.closing.is_none()
            && !self.state.is_full()
            && matches!(self.state.handshake.awaiting, Awaiting::Nothing)
    }

    /// Returns the id of the session that uses this connection, if there is one.
    pub fn session(&self) -> Option<Id> {
        self.state.session.as_ref().map(|(id, _)| *id)
    }

    /// Returns whether the client has not confirmed the welcome yet. No request is executed before it does.
    pub fn is_unconfirmed(&self) -> bool {
        self.state.handshake.unconfirmed.is_some()
    }

    /// Returns how the session stood when this connection took it up. A display with a journal has to store a session that
    /// began anew before it sends the welcome; otherwise a crash would lose the session and all that follows without notice.
    pub fn standing(&self) -> Option<Standing> {
        self.state.handshake.standing
    }

    /// Returns the state of the session, as a journal stores it.
    pub fn session_state(&self) -> Option<&Session> {
        self.state.session.as_ref().map(|(_, session)| session)
    }

    /// Returns why the connection has to be closed once everything is sent.
    pub fn closing(&self) -> Option<&Fault> {
        self.state.closing.as_ref()
    }

    /// Returns the number of unsent bytes.
    pub fn unsent(&self) -> usize {
        self.state.sending.out.unsent().len()
    }

    /// Returns whether a message has begun and not ended.
    pub fn is_mid_message(&self) -> bool {
        self.decoder.len() > 0
    }

    /// Returns bytes of memory that the buffers gate.
    pub fn memory(&self) -> usize {
        let session = self.state.session.as_ref().map_or(0, |(_, session)| session.memory());
        self.decoder.capacity() + self.state.sending.out.capacity() + session
    }

    /// Returns an upper bound of [`Connection::memory`] after the next step, without what the step itself reads and answers.
    pub fn most_memory(&self) -> usize {
        self.decoder.most() + 2 * (self.memory() - self.decoder.capacity())
    }

    /// Returns whether a long message has begun that fits into the memory that is in use.
    pub fn has_room(&self) -> bool {
        self.decoder.has_room()
    }

    /// Returns the least number of bytes that must arrive before the message that has begun is complete; 0 if none has begun.
    pub fn missing(&self) -> usize {
        self.decoder.missing()
    }

    /// Returns whether a complete message has arrived.
    pub fn has_spoken(&self) -> bool {
        self.state.handshake.phase != Phase::First
    }

    /// Responds to the request that [`Connection::handle_input`] handed out last.
    pub fn answer(&mut self, result: Result<Answer, Fault>) {
        self.state.answer(result);
    }

    /// Responds to a `get_image` with an image of `bytes` bytes, which `write` appends to the output: as [`Connection::answer`],
    /// without a copy. If `write` fails, the request fails with its fault, and nothing that was appended is sent.
    pub fn answer_image(&mut self, bytes: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>) {
        self.state.answer_image(bytes, write);
    }

    /// Begins to answer a `get_image` with an image of so many bytes, which [`Connection::answer_piece`] appends piece by
    /// piece. Until the last piece nothing else is sent and no input is accepted. Returns whether the image was begun: only a
    /// plain client is answered in pieces, since other responses have a checksum in front or are kept for a session.
    pub fn begin_image(&mut self, bytes: usize) -> bool {
        self.state.begin_image(bytes)
    }

    /// Appends the next bytes of the image that was begun: as many as `write` appends, and no more than are owed.
    pub fn answer_piece(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.state.answer_piece(write);
    }

    /// Responds to [`Step::Greet`] with a display, or with a fault that refuses the first message: after a `hello` the client may
    /// send another, and a plain connection closes. [`Connection::handle_input`] continues with it. The size of a message stays
    /// that of [`Connection::open`].
    pub fn choose(&mut self, chosen: Result<Config, Fault>) {
        self.state.choose(chosen);
    }

    /// Continues the session that [`Step::Resume`] asked for, with what was `found` of it. If it cannot be continued, it stays
    /// in `found` and the connection closes.
    pub fn resume(&mut self, found: &mut Option<Session>) {
        self.state.resume(found);
    }

    /// Refuses the session that [`Step::Resume`] asked for, since `hello` number `latest` of it has arrived. The connection
    /// closes.
    pub fn overtaken(&mut self, latest: u64) {
        self.state.overtaken(latest);
    }

    /// Closes the connection at once, for a reason of the server. A plain client gets the fault as a response if it has begun a
    /// request.
    pub fn cut(&mut self, fault: Fault) {
        let msgid = Head::read(self.decoder.started()).msgid;
        self.state.end(msgid, fault);
    }

    /// Closes the connection for a reason of the server. A client that sent `hello` gets the reason.
    pub fn close(&mut self, fault: Fault) {
        self.state.end(None, fault);
    }
}
