//! The server's side of one connection, as a state machine without I/O.
//!
//! The caller hands in bytes and instants, executes the requests that come out, and sends the bytes that come out.
//! Everything that is not for a display to execute (greetings, unknown methods, wrong types, limits, acknowledgements)
//! is dealt with here.

mod answer;
mod bucket;
mod choice;
mod decode;
mod greeting;
mod hold;

use crate::codec::checksum::{Arrived, Arriving};
use crate::codec::envelope::{Head, Message};
use crate::codec::message_decoder::{Inbox, Outbox};
use crate::codec::scan::ScanError;
use crate::fault::{Code, Fault};
use crate::hello;
use crate::limits;
use crate::session::{Id, Nonce, Resume, Session, Stamp, Standing};
use crate::table::{Answer, Method, Request};
use bucket::Bucket;
use choice::{Awaiting, Choice};
pub use choice::{Config, Greeting};
use decode::{is_known, not_rpc};
use hold::{Hold, no_journal};
use std::time::{Duration, Instant};

/// One connection, seen from the server.
#[derive(Debug)]
pub struct Connection {
    inbox: Inbox,
    talk: Talk,
}

/// Everything but the received bytes, so that a request may borrow those while this changes.
#[derive(Debug)]
struct Talk {
    /// Of the display, once that is chosen.
    config: Option<Config>,
    /// The caller chooses the display.
    is_open: bool,
    /// Bytes that one message may have.
    message: usize,
    /// The client asked for the display by its name.
    is_named: bool,
    phase: Phase,
    /// What each message that arrives has to be; where it is agreed that each has a check, so has each that is sent.
    arriving: Arriving,
    out: Outbox,
    /// The request handed out by `handle_input` that `answer` is to answer.
    executing: Option<Executing>,
    /// Bytes of an image that was begun and is answered in pieces.
    owed: usize,
    /// After `hello`: the number of the last request that was executed, and of the last that the client knows of.
    applied: u64,
    reported: u64,
    /// The session that goes on here. Its numbers are those above.
    session: Option<(Id, Session)>,
    /// How it stood when it was taken up.
    standing: Option<Standing>,
    /// Progress is to be said once more.
    must_report: bool,
    /// What is unsent waits for the disk, or a part of it.
    hold: Option<Hold>,
    /// The client has to confirm this before anything else it says is taken.
    unconfirmed: Option<Nonce>,
    /// What was asked of the caller. Nothing is taken in meanwhile.
    awaiting: Awaiting,
    /// Why the first message is refused, whatever it is.
    refusal: Option<Fault>,
    /// Why the connection closes. Whatever arrives afterwards is ignored.
    closing: Option<Fault>,
    malformed: Bucket,
    /// When the message that is not whole yet began.
    message_began: Option<Instant>,
    /// When bytes were last taken by the peer, while some are unsent.
    unsent_since: Option<Instant>,
    client: Option<String>,
    stats: Stats,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No message yet.
    First,
    /// No `hello`: a response for each request, nothing unasked.
    Plain,
    /// After `hello`: dense numbers, cumulative progress.
    Greeted,
}

#[derive(Debug, Clone, Copy)]
enum Executing {
    Request { msgid: u32, method: Method },
    Notification,
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
    Greet(Greeting<'a>),
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
        (connection.talk.config, connection.talk.is_open) = (Some(config), false);
        connection
    }

    /// Returns a connection whose first message chooses the display: see [`Step::Greet`]. A message may have `message` bytes, at most
    /// [`limits::MESSAGE_HARDEST`].
    pub fn open(message: usize, now: Instant) -> Connection {
        Connection {
            inbox: Inbox::default(),
            talk: Talk {
                config: None,
                is_open: true,
                message,
                is_named: false,
                phase: Phase::First,
                arriving: Arriving::default(),
                out: Outbox::default(),
                executing: None,
                owed: 0,
                applied: 0,
                reported: 0,
                session: None,
                standing: None,
                must_report: false,
                hold: None,
                unconfirmed: None,
                awaiting: Awaiting::Nothing,
                refusal: None,
                closing: None,
                malformed: Bucket::full(now),
                message_began: None,
                unsent_since: None,
                client: None,
                stats: Stats::default(),
            },
        }
    }

    /// The same, but the first message is refused with `fault`, whatever it is, and the connection ends: for a client that there
    /// is no place for. One that comes back with its session is told nothing.
    #[must_use]
    pub fn refusing(mut self, fault: Fault) -> Connection {
        self.talk.refusal = Some(fault);
        self
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.talk.stats
    }

    /// What the client calls itself, if it said `hello`.
    pub fn client(&self) -> Option<&str> {
        self.talk.client.as_deref()
    }

    /// Whether input would be taken. While too much is unsent nothing more is executed.
    pub fn wants_input(&self) -> bool {
        self.talk.closing.is_none() && !self.talk.is_full() && matches!(self.talk.awaiting, Awaiting::Nothing)
    }

    /// The session that goes on here, if one does.
    pub fn session(&self) -> Option<Id> {
        self.talk.session.as_ref().map(|(id, _)| *id)
    }

    /// Whether the client has yet to confirm the welcome: nothing that it says is executed before.
    pub fn is_unconfirmed(&self) -> bool {
        self.talk.unconfirmed.is_some()
    }

    /// How a session stood when it was taken up here. One that began anew has to be stored before that is answered, where there
    /// is a journal: what follows would be lost with it, and nobody would know.
    pub fn standing(&self) -> Option<Standing> {
        self.talk.standing
    }

    /// All that is kept of it, as a journal stores it.
    pub fn session_state(&self) -> Option<&Session> {
        self.talk.session.as_ref().map(|(_, session)| session)
    }

    /// Why the connection is to be closed once everything is sent.
    pub fn closing(&self) -> Option<&Fault> {
        self.talk.closing.as_ref()
    }

    /// Bytes that wait to be sent.
    pub fn unsent(&self) -> usize {
        self.talk.out.unsent().len()
    }

    /// Whether a message has begun and not ended.
    pub fn is_mid_message(&self) -> bool {
        self.inbox.len() > 0
    }

    /// Bytes of memory that the buffers hold.
    pub fn memory(&self) -> usize {
        let session = self.talk.session.as_ref().map_or(0, |(_, session)| session.memory());
        self.inbox.capacity() + self.talk.out.capacity() + session
    }

    /// The most that [`Connection::memory`] may be after the next step, beside what the step itself reads and answers.
    pub fn most_memory(&self) -> usize {
        self.inbox.most() + 2 * (self.memory() - self.inbox.capacity())
    }

    /// Whether a long message has begun, and all of it has room in the memory that is in use.
    pub fn has_room(&self) -> bool {
        self.inbox.has_room()
    }

    /// Bytes that must arrive, at the least, before the message that has begun is whole; 0 if none has begun.
    pub fn missing(&self) -> usize {
        self.inbox.missing()
    }

    /// Takes bytes from the front of `input` until there is something to execute.
    ///
    /// The request borrows from the input or from the connection: execute it, then call [`Connection::answer`].
    pub fn handle_input<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8], now: Instant) -> Step<'a> {
        if !self.wants_input() {
            return self.talk.greet_chosen(now);
        }
        let (phase, message) = (self.talk.phase, self.talk.message);
        let limit = |bytes: &[u8]| {
            let is_stranger = phase == Phase::First && Head::read(bytes).method.is_none_or(|m| !is_known(m));
            if is_stranger { limits::FIRST_MESSAGE } else { message }
        };
        let talk = &mut self.talk;
        loop {
            let before = *input;
            match self.inbox.next(input, limit) {
                Ok(Some(found)) => {
                    if phase == Phase::First && talk.needs_choice(self.inbox.message(found)) {
                        self.inbox.put_back(found, input, before);
                        talk.awaiting = Awaiting::Choice(Choice::Plain);
                        return Step::Greet(Greeting { display: None });
                    }
                    talk.message_began = None;
                    match talk.arriving.take(self.inbox.message(found)) {
                        Ok(Arrived::Message) => return talk.handle_message(self.inbox.message(found), now),
                        Ok(Arrived::Check) => continue,
                        Err(altered) => talk.end_altered(altered.to_string()),
                    }
                }
                Ok(None) => {
                    let started = self.inbox.started();
                    if !started.is_empty() {
                        talk.message_began.get_or_insert(now);
                        let head = Head::read(started);
                        if !head.is_possible() {
                            talk.end_unreadable(head.msgid, not_rpc());
                        }
                    }
                }
                Err(error) => {
                    let code = match error {
                        ScanError::TooLong { .. } | ScanError::TooManyValues => Code::TooLarge,
                        _ => Code::Malformed,
                    };
                    // Byte by byte, what can be no message would have been told before it came to that.
                    let fault = match Head::read(self.inbox.before_refused()).is_possible() {
                        true => Fault::new(code, error.to_string()),
                        false => not_rpc(),
                    };
                    let msgid = Head::read(self.inbox.started()).msgid;
                    talk.end_unreadable(msgid, fault);
                }
            }
            return Step::Wait;
        }
    }

    /// Where the rest of a long message may be read to directly: append at most that many bytes, then call
    /// [`Connection::handle_input`] with no input.
    pub fn body(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        if self.wants_input() { self.inbox.body() } else { None }
    }

    /// `n` bytes of [`Connection::poll_transmit`] have been sent.
    pub fn handle_transmitted(&mut self, n: usize, now: Instant) {
        if n == 0 {
            return;
        }
        let talk = &mut self.talk;
        let was_full = talk.is_full();
        talk.out.advance(n, limits::IDLE_BUFFER);
        if let Some(hold) = &mut talk.hold {
            hold.advance(n);
        }
        talk.unsent_since = (!talk.sendable().is_empty()).then_some(now);
        if was_full && !talk.is_full() {
            // Nothing was read meanwhile, which was not the peer's doing.
            talk.message_began = talk.message_began.map(|_| now);
        }
    }

    /// Closes the connection if a deadline of [`Connection::poll_timeout`] has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.talk.closing.is_some() {
            return;
        }
        if self.stall_deadline().is_some_and(|at| at <= now) {
            let message = format!(
                "the client has not read its answers for {} s, {} bytes wait",
                limits::STALLED.as_secs(),
                self.talk.out.unsent().len()
            );
            self.talk.end(None, Fault::new(Code::TooSlow, message));
        } else if self.message_deadline().is_some_and(|at| at <= now) {
            let message = format!(
                "a message was begun and not finished: {} bytes came within {} s and a second per {} KiB",
                self.inbox.len(),
                limits::MESSAGE_GRACE.as_secs(),
                limits::MESSAGE_RATE >> 10
            );
            let msgid = Head::read(self.inbox.started()).msgid;
            self.talk.end_unreadable(msgid, Fault::new(Code::TooSlow, message));
        }
    }

    /// Answers the request that [`Connection::handle_input`] handed out last.
    pub fn answer(&mut self, result: Result<Answer, Fault>) {
        self.talk.answer(result);
    }

    /// Answers a `get_image` with an image of so many bytes, which `write` appends to what is to be sent: as
    /// [`Connection::answer`], without a copy. With what `write` fails the question fails, and nothing that was appended is sent.
    pub fn answer_image(&mut self, bytes: usize, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>) {
        self.talk.answer_image(bytes, write);
    }

    /// Begins to answer a `get_image` with an image of so many bytes, which [`Connection::answer_piece`] appends piece by piece.
    /// Until the last nothing else is said or taken in. Returns whether that is so: only a plain client is answered in
    /// pieces, for what another is told has a checksum in front, or is kept for its session.
    pub fn begin_image(&mut self, bytes: usize) -> bool {
        self.talk.begin_image(bytes)
    }

    /// Appends the next bytes of the image that was begun: as many as `write` appends, and no more than are owed.
    pub fn answer_piece(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.talk.answer_piece(write);
    }

    /// Answers [`Step::Greet`] with a display, or with a fault that refuses what came first: a `hello` may be followed by another then,
    /// and a plain connection closes. [`Connection::handle_input`] goes on with it. The size of a message stays that of
    /// [`Connection::open`].
    pub fn choose(&mut self, chosen: Result<Config, Fault>) {
        self.talk.choose(chosen);
    }

    /// Goes on with what was `found` of the session that [`Step::Resume`] asked for. What cannot be gone on with stays in
    /// `found`, and the connection closes.
    pub fn resume(&mut self, found: &mut Option<Session>) {
        self.talk.resume(found);
    }

    /// Refuses the session that [`Step::Resume`] asked for, since this later `hello` of it has come. The connection closes.
    pub fn overtaken(&mut self, latest: u64) {
        self.talk.overtaken(latest);
    }

    /// Takes the session away, for another connection or to wait for its client. Nothing more is executed here. Nothing is
    /// answered when it cannot be said what has been executed: in the middle of a request.
    pub fn take_session(&mut self) -> Option<(Id, Session)> {
        self.talk.session.as_ref()?;
        let text = "the session goes on on another connection";
        // It says how far the session is, which may still reach the client: the session has to know.
        self.talk.end(None, Fault::new(Code::Superseded, text));
        let (id, mut session) = self.talk.session.take()?;
        session.interrupt();
        // One that changes nothing and is not answered yet comes again.
        let is_between = match self.talk.executing {
            None => true,
            Some(Executing::Request { method, .. }) => method.may_be_repeated(),
            Some(Executing::Notification) => false,
        };
        is_between.then_some((id, session))
    }

    /// Whether a whole message has come.
    pub fn has_spoken(&self) -> bool {
        self.talk.phase != Phase::First
    }

    /// Closes the connection in the middle of whatever it is doing, for a reason of the server's own. A plain client is told if it
    /// has begun a request.
    pub fn cut(&mut self, fault: Fault) {
        let msgid = Head::read(self.inbox.started()).msgid;
        self.talk.end(msgid, fault);
    }

    /// Closes the connection for a reason of the server's own, which a client that said `hello` is told.
    pub fn close(&mut self, fault: Fault) {
        self.talk.end(None, fault);
    }

    /// Bytes to send. Call it when everything that was read has been executed: the acknowledgement is written here,
    /// one for all. Where some wait for the disk, it is those that do not: see [`Connection::mark`].
    pub fn poll_transmit(&mut self, now: Instant) -> &[u8] {
        let talk = &mut self.talk;
        if talk.hold.is_none() {
            talk.report();
        }
        if talk.closing.is_some() {
            // Nothing more is read; what was read of a message is of no use.
            self.inbox = Inbox::default();
        }
        // What waits for the disk is not the peer's fault.
        if !talk.sendable().is_empty() {
            talk.unsent_since.get_or_insert(now);
        }
        talk.sendable()
    }

    /// When [`Connection::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.talk.closing.is_some() {
            return None;
        }
        [self.stall_deadline(), self.message_deadline()].into_iter().flatten().min()
    }

    fn stall_deadline(&self) -> Option<Instant> {
        self.talk.unsent_since?.checked_add(limits::STALLED)
    }

    fn message_deadline(&self) -> Option<Instant> {
        if self.talk.is_full() || self.inbox.len() == 0 {
            return None;
        }
        let allowed = Duration::from_millis(self.inbox.len() as u64 * 1000 / limits::MESSAGE_RATE);
        self.talk.message_began?.checked_add(limits::MESSAGE_GRACE + allowed)
    }
}

impl Talk {
    fn is_full(&self) -> bool {
        self.owed > 0 || self.out.unsent().len() >= limits::UNSENT
    }

    fn handle_message<'a>(&'a mut self, message: &'a [u8], now: Instant) -> Step<'a> {
        let is_first = self.phase == Phase::First;
        if self.unconfirmed.is_some()
            && let Some(said) = Head::read(message).message()
        {
            return self.handle_unconfirmed(&said);
        }
        match Head::read(message).message() {
            None => {
                // As when the beginning of it has shown that, before it was whole: with a check it is another's doing.
                match self.arriving.was_checked() {
                    true => self.end_altered(not_rpc().message),
                    false => self.end(Head::read(message).msgid, not_rpc()),
                }
                Step::Wait
            }
            Some(Message::Response { .. }) => {
                // The server never asks, so nobody waits for it.
                self.count_malformed(None, now);
                Step::Continue
            }
            Some(Message::Request { msgid, method, mut params }) => {
                if self.refusal.is_some()
                    && let Some(fault) = self.refusal.take()
                {
                    return self.turn_away(msgid, method, params.rest(), fault);
                }
                if is_first && method == hello::HELLO.as_bytes() {
                    return self.greet(msgid, params.rest(), now);
                }
                if self.phase == Phase::Plain && method == hello::HELLO.as_bytes() {
                    return self.end_late_hello(msgid);
                }
                if is_first {
                    self.phase = Phase::Plain;
                }
                if self.phase == Phase::Greeted
                    && let Some(step) = self.check_number(msgid, message)
                {
                    return step;
                }
                match self.decode(method, &mut params) {
                    Ok(request) => {
                        let method = request.method();
                        if method == Method::SyncDurable && !self.has_journal() {
                            self.stats.faults += 1;
                            self.respond(msgid, Err(no_journal()));
                            return Step::Continue;
                        }
                        self.executing = Some(Executing::Request { msgid, method });
                        let stamp = self.session.as_ref().map(|(id, session)| session.stamp(*id));
                        Step::Execute(request, stamp)
                    }
                    Err(fault) => {
                        if self.count_malformed(Some(msgid), now) {
                            self.respond(msgid, Err(fault));
                        }
                        Step::Continue
                    }
                }
            }
            Some(Message::Notification { .. }) if self.refusal.is_some() => {
                // Nobody waits to be told.
                self.closing = self.refusal.take();
                Step::Wait
            }
            Some(Message::Notification { method, mut params }) => {
                if method == hello::CHECK.as_bytes() {
                    // What it should have been a check of may be a part of it, and nobody would ever answer that.
                    self.end_altered("a check is not as checks are");
                    return Step::Wait;
                }
                if is_first {
                    self.phase = Phase::Plain;
                }
                if self.session.is_some()
                    && (method == hello::ACK.as_bytes() || method == hello::END.as_bytes())
                {
                    return self.handle_session(method, params);
                }
                match self.decode(method, &mut params) {
                    Ok(request) if request.method().is_ignored_as_notification() => {
                        self.stats.ignored_questions += 1;
                        Step::Continue
                    }
                    Ok(request) => {
                        self.executing = Some(Executing::Notification);
                        Step::Execute(request, None)
                    }
                    Err(_) => {
                        self.stats.unheard_faults += 1;
                        self.count_malformed(None, now);
                        Step::Continue
                    }
                }
            }
        }
    }

    /// Whether one more malformed request is borne; the connection ends otherwise.
    fn count_malformed(&mut self, msgid: Option<u32>, now: Instant) -> bool {
        self.stats.malformed += 1;
        let is_borne = self.malformed.take(now);
        if !is_borne {
            let text = format!(
                "more than {} malformed requests and {} a second",
                limits::MALFORMED_BURST,
                limits::MALFORMED_PER_SECOND
            );
            self.end(msgid, Fault::new(Code::TooManyErrors, text));
        }
        is_borne
    }
}
