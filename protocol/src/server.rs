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
    /// Notifications of drawing calls that failed, which nobody was told.
    pub unheard_faults: u64,
    /// Notifications of questions: ignored, for there is nobody to answer.
    pub ignored_questions: u64,
    /// Malformed requests: unknown method, wrong type.
    pub malformed: u64,
}

/// What [`Connection::handle_input`] found.
#[derive(Debug)]
pub enum Step<'a> {
    /// Execute this, then call [`Connection::answer`]. If it is part of a session, the stamp says which, for a journal.
    Execute(Request<'a>, Option<Stamp>),
    /// The first message of the client has come: choose its display, and call [`Connection::choose`]. Nothing is taken in meanwhile.
    /// It comes again if the client says another `hello` after one that was refused. A connection of [`Connection::new`] has its display.
    Greet(DisplayRequest<'a>),
    /// The client asks for a session: find it, and call [`Connection::resume`], [`Connection::overtaken`] or
    /// [`Connection::close`]. Nothing is taken in meanwhile.
    Resume(Resume),
    /// A message was dealt with; there may be more.
    Continue,
    /// All of the input was taken, or none will be before [`Connection::wants_input`] says so.
    Wait,
}

impl Connection {
    /// Returns a connection to the only display of a server. A `hello` that asks for a display of another name is refused.
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

    /// The same, but the first message is refused with `fault`, whatever it is, and the connection ends: for a client that there
    /// is no place for. One that comes back with its session is told nothing.
    #[must_use]
    pub fn refusing(mut self, fault: Fault) -> Connection {
        self.state.handshake.refusal = Some(fault);
        self
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.state.stats
    }

    /// What the client calls itself, if it said `hello`.
    pub fn client(&self) -> Option<&str> {
        self.state.handshake.client.as_deref()
    }

    /// Whether input would be taken. While too much is unsent nothing more is executed.
    pub fn wants_input(&self) -> bool {
        self.state.closing.is_none()
            && !self.state.is_full()
            && matches!(self.state.handshake.awaiting, Awaiting::Nothing)
    }

    /// The session that goes on here, if one does.
    pub fn session(&self) -> Option<Id> {
        self.state.session.as_ref().map(|(id, _)| *id)
    }

    /// Whether the client has yet to confirm the welcome: nothing that it says is executed before.
    pub fn is_unconfirmed(&self) -> bool {
        self.state.handshake.unconfirmed.is_some()
    }

    /// How a session stood when it was taken up here. One that began anew has to be stored before that is answered, where there
    /// is a journal: what follows would be lost with it, and nobody would know.
    pub fn standing(&self) -> Option<Standing> {
        self.state.handshake.standing
    }

    /// All that is kept of it, as a journal stores it.
    pub fn session_state(&self) -> Option<&Session> {
        self.state.session.as_ref().map(|(_, session)| session)
    }

    /// Why the connection is to be closed once everything is sent.
    pub fn closing(&self) -> Option<&Fault> {
        self.state.closing.as_ref()
    }

    /// Bytes that wait to be sent.
    pub fn unsent(&self) -> usize {
        self.state.sending.out.unsent().len()
    }

    /// Whether a message has begun and not ended.
    pub fn is_mid_message(&self) -> bool {
        self.decoder.len() > 0
    }

    /// Bytes of memory that the buffers gate.
    pub fn memory(&self) -> usize {
        let session = self.state.session.as_ref().map_or(0, |(_, session)| session.memory());
        self.decoder.capacity() + self.state.sending.out.capacity() + session
    }

    /// The most that [`Connection::memory`] may be after the next step, beside what the step itself reads and answers.
    pub fn most_memory(&self) -> usize {
        self.decoder.most() + 2 * (self.memory() - self.decoder.capacity())
    }

    /// Whether a long message has begun, and all of it has room in the memory that is in use.
    pub fn has_room(&self) -> bool {
        self.decoder.has_room()
    }

    /// Bytes that must arrive, at the least, before the message that has begun is whole; 0 if none has begun.
    pub fn missing(&self) -> usize {
        self.decoder.missing()
    }

    /// Whether a whole message has come.
    pub fn has_spoken(&self) -> bool {
        self.state.handshake.phase != Phase::First
    }

    /// Answers the request that [`Connection::handle_input`] handed out last.
    pub fn answer(&mut self, result: Result<Answer, Fault>) {
        self.state.answer(result);
    }

    /// Answers a `get_image` with an image of so many bytes, which `write` appends to what is to be sent: as
    /// [`Connection::answer`], without a copy. With what `write` fails the question fails, and nothing that was appended is sent.
    pub fn answer_image(&mut self, bytes: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>) {
        self.state.answer_image(bytes, write);
    }

    /// Begins to answer a `get_image` with an image of so many bytes, which [`Connection::answer_piece`] appends piece by piece.
    /// Until the last nothing else is said or taken in. Returns whether that is so: only a plain client is answered in
    /// pieces, for what another is told has a checksum in front, or is kept for its session.
    pub fn begin_image(&mut self, bytes: usize) -> bool {
        self.state.begin_image(bytes)
    }

    /// Appends the next bytes of the image that was begun: as many as `write` appends, and no more than are owed.
    pub fn answer_piece(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.state.answer_piece(write);
    }

    /// Answers [`Step::Greet`] with a display, or with a fault that refuses what came first: a `hello` may be followed by another then,
    /// and a plain connection closes. [`Connection::handle_input`] goes on with it. The size of a message stays that of
    /// [`Connection::open`].
    pub fn choose(&mut self, chosen: Result<Config, Fault>) {
        self.state.choose(chosen);
    }

    /// Goes on with what was `found` of the session that [`Step::Resume`] asked for. What cannot be gone on with stays in
    /// `found`, and the connection closes.
    pub fn resume(&mut self, found: &mut Option<Session>) {
        self.state.resume(found);
    }

    /// Refuses the session that [`Step::Resume`] asked for, since this later `hello` of it has come. The connection closes.
    pub fn overtaken(&mut self, latest: u64) {
        self.state.overtaken(latest);
    }

    /// Closes the connection in the middle of whatever it is doing, for a reason of the server's own. A plain client is told if it
    /// has begun a request.
    pub fn cut(&mut self, fault: Fault) {
        let msgid = Head::read(self.decoder.started()).msgid;
        self.state.end(msgid, fault);
    }

    /// Closes the connection for a reason of the server's own, which a client that said `hello` is told.
    pub fn close(&mut self, fault: Fault) {
        self.state.end(None, fault);
    }
}
