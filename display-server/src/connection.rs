//! One connection: carries bytes between a stream and the protocol's state machine, and executes what comes out of it.
//!
//! A turn executes what was read, publishes the damage once, and then waits for whatever can go on: unsent bytes that
//! the stream takes, bytes to read, memory, a deadline, the end of the server. None of these ever waits for another.
//! What bounds a turn: one buffer of [`limits::STREAM_READ`] bytes, and what [`Work`] allows. A question that takes longer than a
//! turn, or waits for memory, is kept as [`Asked`], and nothing of the connection is executed before it is answered.

use crate::admission::Seat;
use crate::apply::{answer_bytes, apply, no_memory, read, work};
use crate::budget::{LARGE, Share, Waits, growth};
use crate::buffers::ReadBuffer;
use crate::clock;
use crate::damage::Damage;
use crate::display::Display;
use crate::fairness::{CALL, Work};
use crate::farewell;
use crate::hasher::Hasher;
use crate::journal::{Journal, Turn as Journaling};
use crate::question::{Asked, Question};
use crate::sessions::Holder;
use bytes::BufMut;
use draw_printer::Printer;
use draw_protocol::server::{self, Stats, Step};
use draw_protocol::session::{Id, Peer, Resume, Standing};
use draw_protocol::text::Printable;
use draw_protocol::trace::Direction;
use draw_protocol::{Answer, Code, Fault, limits};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tracing::{debug, info};

/// While more is there to be executed at once, answers wait for each other, up to so many bytes of requests: on one core a
/// client that hears of each read interrupts the next, which took a seventh of the time of whole images.
const QUIET: usize = 512 << 10;

/// Turns in which a connection that always has something to do need not look whether the display ends, another connection wants
/// its session, or a deadline has passed.
const BUSY_TURNS: u32 = 32;

/// How long a connection that is being closed may take to hand over what it still has to say, and why.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
/// The same when the whole server ends: it is to be gone within two seconds.
pub(crate) const LAST_FAREWELL: Duration = Duration::from_secs(1);

/// Serves one client until either side ends the connection. `shutdown` says that the server does.
pub(crate) async fn serve<S>(
    stream: S,
    peer: &str,
    machine: server::Connection,
    (display, journal): (&Display, Option<&Journal>),
    (share, work, hasher, seat): (Share, Work, &Hasher, &Seat),
    shutdown: impl Future<Output = ()>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let counters = display.counters();
    counters.accepted.fetch_add(1, Relaxed);
    counters.connections.fetch_add(1, Relaxed);
    display.clients_changed();
    debug!(peer, "connected");
    let trace = Printer::from_environment(clock::now);
    trace.note(|| format!("a client at {peer}"));
    let mut connection = Connection {
        stream,
        machine,
        display,
        journal,
        share,
        work,
        hasher,
        seat,
        asked: None,
        is_cut: false,
        damage: display.framebuffer().no_damage(),
        input: None,
        is_at_end: false,
        needs_flush: false,
        is_streaming: false,
        unheard: 0,
        resuming: None,
        session: None,
        is_unkept: false,
        holder: Arc::default(),
        recorded: 0,
        durable: None,
        written: None,
        is_large: false,
        counted: Stats::default(),
        buffered: 0,
        peer,
        trace,
    };
    let mut result = connection.converse(shutdown).await;
    let closing = connection.machine.closing().cloned();
    // Its client may be there again before this connection has said goodbye.
    connection.give_session_back();
    if let Some(fault) = closing {
        let is_shutdown = matches!(fault.code, Code::ShuttingDown | Code::WindowClosed);
        let client = connection.machine.client().unwrap_or("unnamed client");
        if is_shutdown {
            debug!(peer, client, "told the client that the display ends");
        } else {
            counters.closed_for_fault.fetch_add(1, Relaxed);
            info!(
                peer,
                client,
                code = fault.code.as_str(),
                "closing the connection: {}",
                Printable(&fault.message)
            );
        }
        // What was received is of no use any more: its memory is for others.
        connection.input = None;
        _ = connection.machine.poll_transmit(clock::now());
        connection.settle();
        let limit = if is_shutdown { LAST_FAREWELL } else { FAREWELL };
        // What the journal does not get on the disk by then is not said.
        let until = tokio::time::Instant::now() + limit;
        let has_it = poll_fn(|cx| {
            let (written, durable) = (connection.poll_written(cx), connection.poll_durable(cx));
            if written.is_pending() { written } else { durable }
        });
        _ = tokio::time::timeout_at(until, has_it).await;
        let limit = until.duration_since(tokio::time::Instant::now());
        let Connection { stream, machine, trace, written, seat, is_cut, .. } = &mut connection;
        seat.leave();
        // Who reads nothing hears nothing, and what was for him is what others need the memory of.
        let is_worth_it = !*is_cut || machine.unsent() <= limits::IDLE_BUFFER;
        if written.is_none() && is_worth_it {
            result = farewell::take(stream, machine, trace, limit).await;
        }
    }
    connection.log_end(&result);
}

struct Connection<'a, S> {
    stream: S,
    machine: server::Connection,
    display: &'a Display,
    journal: Option<&'a Journal>,
    share: Share,
    work: Work,
    hasher: &'a Hasher,
    seat: &'a Seat,
    /// What is being answered.
    asked: Option<Asked>,
    /// The memory that it held is for others.
    is_cut: bool,
    /// What was drawn and not published yet.
    damage: Damage,
    /// What was read and not executed yet. `None` while there is nothing, so that an idle connection has no buffer.
    input: Option<ReadBuffer>,
    /// The client will send nothing more.
    is_at_end: bool,
    needs_flush: bool,
    /// The last read brought all that was asked for, so there is likely more.
    is_streaming: bool,
    /// Bytes that were read since the client last heard of any.
    unheard: usize,
    /// The client has asked for this session, and waits.
    resuming: Option<Resume>,
    /// The session that this connection has, and how it hears that another wants it.
    session: Option<Id>,
    /// There was no room in the journal to say that it was taken up.
    is_unkept: bool,
    holder: Arc<Holder>,
    /// The last record of the journal that has to be on the disk before what was executed here is.
    recorded: u64,
    /// Ready when what the machine has marked may be sent.
    durable: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Ready when anything may be sent: a write into the journal has failed.
    written: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The last read brought so much that a larger buffer is worth having.
    is_large: bool,
    /// What of the machine's statistics and memory the display's counters have already.
    counted: Stats,
    buffered: u64,
    peer: &'a str,
    /// What [`DRAW_DEBUG`](draw_printer::DRAW_DEBUG) asks for; off, it costs a branch for each read and each write.
    trace: Printer,
}

/// How a turn of executing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Nothing more can be executed before something happens.
    Over,
    /// There is more, but others are to run first.
    Yield,
    /// There is more, in its turn: see [`Work::poll_turn`].
    Queue,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<'_, S> {
    /// Goes on until the client has ended and has all its answers, or the machine closes, or the stream breaks.
    async fn converse(&mut self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let mut shutdown = pin!(shutdown);
        // Armed only while the machine has a deadline, and then not for each new one: see `poll_deadline`.
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        let mut armed = None;
        let (mut now, mut busy_turns) = (clock::now(), 0);
        loop {
            let turn = self.execute(now);
            if self.machine.closing().is_some() {
                return Ok(());
            }
            if self.is_at_end && self.input.is_none() && self.asked.is_none() && self.is_all_sent(now) {
                return poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await;
            }
            now = poll_fn(|cx| {
                let now = clock::now();
                // Each is tried in each turn, whatever the others did.
                let has_read = match (turn, &self.asked) {
                    (Turn::Queue, _) => self.work.poll_turn(cx).is_ready(),
                    (_, Some(_)) => self.poll_question(cx, now),
                    (_, None) => self.poll_receive(cx, now)?,
                };
                let may_wait =
                    self.is_streaming && self.unheard < QUIET && self.asked.is_none() && turn != Turn::Queue;
                _ = self.poll_durable(cx);
                let may_go_on = !may_wait && self.poll_written(cx).is_ready() && self.poll_send(cx, now)?;
                if (has_read || may_go_on) && turn == Turn::Over && busy_turns < BUSY_TURNS {
                    // What follows is rare, and is asked before the connection waits or lets others run.
                    busy_turns += 1;
                    return Poll::Ready(Ok(now));
                }
                busy_turns = 0;
                if shutdown.as_mut().poll(cx).is_ready() {
                    let failure = self.journal.and_then(Journal::failure);
                    if failure.is_some() {
                        self.machine.forget_held();
                    }
                    let fault = failure.map(|failure| Fault::new(Code::ShuttingDown, &*failure));
                    self.machine.close(fault.unwrap_or_else(|| self.display.end()));
                    return Poll::Ready(Ok(now));
                }
                if self.share.poll_cut(cx).is_ready() {
                    self.is_cut = true;
                    self.machine.cut(needed_elsewhere());
                    return Poll::Ready(Ok(now));
                }
                let has_changed =
                    self.poll_session(cx) || self.poll_deadline(cx, timer.as_mut(), &mut armed, now);
                if has_read || may_go_on || has_changed || turn == Turn::Yield {
                    return Poll::Ready(Ok::<_, io::Error>(now));
                }
                self.work.pause();
                self.share.set_waits(self.waits(turn), now);
                self.seat.touch(self.machine.has_spoken(), now);
                Poll::Pending
            })
            .await?;
            if turn != Turn::Over {
                // Also when its turn in the queue has come: what has happened meanwhile goes first.
                self.work.pause();
                tokio::task::yield_now().await;
                now = clock::now();
            }
        }
    }

    /// Executes what has arrived, up to a turn's worth, and publishes what was drawn.
    fn execute(&mut self, now: Instant) -> Turn {
        let most = self.work.may_do(now);
        if most == 0 {
            return Turn::Queue;
        }
        let Connection {
            asked,
            hasher,
            machine,
            display,
            journal,
            share,
            damage,
            input,
            is_streaming,
            peer,
            resuming,
            recorded,
            ..
        } = self;
        let framebuffer = display.framebuffer();
        let mut rest = input.as_ref().map_or(&[][..], ReadBuffer::unread);
        let is_streaming = std::mem::take(is_streaming);
        let large = input.as_ref().map_or(0, extra);
        let mut done = 0;
        let mut journaling = Journaling::new(*journal);
        let turn = loop {
            if done >= most {
                break Turn::Yield;
            }
            let step = growth(machine.memory()) + large;
            if !share.try_cover(step) {
                break Turn::Over;
            }
            if let Some((question, stamp)) = asked {
                // It changes nothing, so that nothing can be wrong with it. What it answers is in the file, or will be: whoever drew
                // that has ended its turn.
                _ = journaling.record(*stamp, &question.request());
                match question {
                    Question::Image { area, bytes, until } => {
                        if share.try_cover(step.saturating_add(*bytes)) {
                            machine.answer_image(*bytes, |out| read(*area, framebuffer, out));
                            done += CALL + *bytes as u64 / 4;
                        } else if *until <= now {
                            machine.answer(Err(no_memory(*bytes)));
                        } else {
                            break Turn::Over;
                        }
                    }
                    Question::Digest { digest: Some(digest), .. } => {
                        machine.answer(Ok(Answer::Digest(*digest)));
                        done += CALL;
                    }
                    Question::Digest { digest: None, .. } => break Turn::Over,
                }
                *asked = None;
                if machine.unsent() >= limits::BAND {
                    break Turn::Over;
                }
                continue;
            }
            match machine.handle_input(&mut rest, now) {
                Step::Execute(request, stamp) => {
                    done += CALL + work(&request, framebuffer.size());
                    let question = Question::of(&request, (display, hasher), now);
                    let question = question.filter(|question| match question {
                        Question::Image { bytes, .. } => share.can_cover(step.saturating_add(*bytes)),
                        Question::Digest { .. } => true,
                    });
                    if let Some(question) = question {
                        *asked = Some((question, stamp));
                        continue;
                    }
                    let answer = answer_bytes(&request);
                    let is_granted = answer == 0 || share.try_cover_all(step.saturating_add(answer));
                    let entry =
                        if is_granted { journaling.record(stamp, &request) } else { Err(no_memory(answer)) };
                    let result = entry.and_then(|entry| {
                        let result = apply(&request, framebuffer, display.pointer(), damage);
                        if let (Some(_), Some(stamp)) = (entry, stamp) {
                            display.sessions().journal_call(stamp, &result);
                        }
                        result
                    });
                    if let Err(fault) = &result {
                        debug!(peer, "{}: {fault}", request.call());
                    }
                    machine.answer(result);
                }
                Step::Resume(asked) => *resuming = Some(asked),
                Step::Continue => done += CALL,
                Step::Wait if is_streaming => break Turn::Yield,
                Step::Wait => break Turn::Over,
            }
        };
        let last = journaling.last();
        *recorded = last.unwrap_or(*recorded);
        // All of it is in the journal before anybody is told.
        let unwritten = journaling.end();
        match (rest.len(), &mut *input) {
            (0, input) => *input = None,
            (left, Some(input)) => input.keep_last(left),
            (_, None) => {}
        }
        framebuffer.publish(damage);
        if let Some(number) = unwritten {
            self.hold_back(number);
        }
        if self.is_unkept && last.is_some() {
            // There is room now, and what was drawn is to be there after a restart with the session that it belongs to.
            self.journal_session();
        }
        self.settle();
        if self.work.did(done) && turn == Turn::Over { Turn::Yield } else { turn }
    }

    /// Ready when the question that is kept can be gone on with.
    fn poll_question(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let Some((question, _)) = &mut self.asked else { return false };
        let (bytes, is_late) = match question {
            Question::Image { bytes, until, .. } => (*bytes, *until <= now),
            Question::Digest { digest: Some(_), .. } => (0, false),
            // Nothing comes any more: its thread has failed.
            Question::Digest { coming, .. } if coming.is_terminated() => return false,
            Question::Digest { digest, coming } => match Pin::new(coming).poll(cx) {
                Poll::Ready(Ok(found)) => {
                    *digest = Some(found);
                    (0, false)
                }
                Poll::Ready(Err(_)) | Poll::Pending => return false,
            },
        };
        let large = self.input.as_ref().map_or(0, extra);
        let wanted = (growth(self.machine.memory()) + large).saturating_add(bytes);
        self.share.poll_cover(cx, wanted).is_ready() || is_late
    }

    /// What the connection waits for after such a turn.
    fn waits(&self, turn: Turn) -> Waits {
        let is_held = self.written.is_some() || self.durable.is_some();
        if self.machine.unsent() > 0 && !is_held {
            Waits::Client
        } else if self.share.is_waiting() {
            Waits::Memory
        } else if is_held || turn == Turn::Queue || self.asked.is_some() || self.resuming.is_some() {
            Waits::Display
        } else {
            Waits::Client
        }
    }

    /// Nothing is sent before everything up to this number is on the disk.
    fn hold_back(&mut self, number: u64) {
        self.written = self.journal.map(|journal| Box::pin(journal.until_durable(number)) as _);
    }

    /// Ready when what was executed is in the file.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(written) = &mut self.written {
            ready!(written.as_mut().poll(cx));
            self.written = None;
        }
        Poll::Ready(())
    }

    /// Has a session that was taken up in the journal before anything is said of it. Where the journal cannot be written that
    /// is not so for one that begins: after a restart the client is told that the session is not known, and nothing else is
    /// promised. It is tried again when there was room for a call, before that is answered.
    fn journal_session(&mut self) {
        let (Some(journal), Some(id)) = (self.journal, self.session) else { return };
        let Some(session) = self.machine.session_state() else { return };
        let mut turn = Journaling::new(Some(journal));
        let is_taken = turn.take_up(id, session).is_ok();
        if is_taken {
            self.display.sessions().journal_session(id, session);
        }
        self.is_unkept = !is_taken;
        let is_resumed = self.machine.standing() == Some(Standing::Resumed);
        if is_taken || self.machine.is_durable() || is_resumed {
            self.recorded = turn.last().unwrap_or(self.recorded);
        }
        // Of a session that is resumed everything is in the file already, or will be. One that begins waits for the disk anyhow.
        if let Some(number) = turn.end()
            && is_resumed
        {
            self.hold_back(number);
        }
    }

    /// Lets the machine say what the journal has on the disk by now, and finds out when it has the rest. Ready when nothing
    /// waits.
    fn poll_durable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(durable) = &mut self.durable {
                ready!(durable.as_mut().poll(cx));
                self.durable = None;
                self.machine.release();
            }
            if !self.machine.mark() {
                return Poll::Ready(());
            }
            match self.journal {
                Some(journal) if !journal.has_durable(self.recorded) => {
                    self.durable = Some(Box::pin(journal.until_durable(self.recorded)));
                }
                _ => self.machine.release(),
            }
        }
    }

    /// Gets the session that the client asks for, or gives back the one that another connection asks for. Answers whether
    /// anything has changed.
    fn poll_session(&mut self, cx: &Context<'_>) -> bool {
        if let Some(asked) = self.resuming {
            // What clients leave behind counts by address; other streams have none.
            let peer = self.peer.parse::<SocketAddr>().map_or(Peer::default(), |peer| peer.ip().into());
            let Poll::Ready(claimed) = self.display.sessions().poll_claim(&asked, peer, &self.holder, cx)
            else {
                return false;
            };
            self.resuming = None;
            let mut found = match claimed {
                Ok(found) => found,
                Err(latest) => {
                    self.machine.overtaken(latest);
                    return true;
                }
            };
            self.session = Some(asked.session);
            self.machine.resume(&mut found);
            self.journal_session();
            if self.machine.session().is_none() {
                // It was refused: what there is of it waits on.
                self.session = None;
                self.display.sessions().give_back(asked.session, found);
            }
            return true;
        }
        if self.session.is_some() && self.holder.is_wanted(cx) {
            self.give_session_back();
            return true;
        }
        false
    }

    /// Brings the display's counters, and the share of the memory, to what there is now.
    fn settle(&mut self) {
        let (counters, stats, counted) = (self.display.counters(), self.machine.stats(), self.counted);
        if stats != counted {
            counters.executed.fetch_add(stats.executed - counted.executed, Relaxed);
            counters.faults.fetch_add(stats.faults - counted.faults, Relaxed);
            counters.unheard_faults.fetch_add(stats.unheard_faults - counted.unheard_faults, Relaxed);
            self.counted = stats;
        }
        let memory = self.machine.memory();
        let large = self.input.as_ref().map_or(0, extra);
        // What is unread in a large buffer was granted together with the buffer, and is not to be waited for.
        self.share.shrink(if large > 0 { growth(memory) + large } else { memory });
        self.count_buffered(memory + self.input.as_ref().map_or(0, ReadBuffer::capacity));
    }

    fn count_buffered(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.buffered, bytes as u64);
        self.display.count_buffered(before, self.buffered);
    }

    fn is_all_sent(&mut self, now: Instant) -> bool {
        !self.machine.is_held() && self.machine.poll_transmit(now).is_empty() && !self.needs_flush
    }

    /// Sends what the stream takes. Answers whether anything can go on now that could not before: all that waits for the
    /// stream alone has been tried already in this turn.
    fn poll_send(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let had_room = self.machine.wants_input();
        let has_sent = self.poll_write(cx, now)?;
        if has_sent {
            self.settle();
        }
        Ok(has_sent && (!had_room || self.is_at_end || self.share.is_waiting()))
    }

    /// Sends what the stream takes. Answers whether it took anything.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let mut has_sent = false;
        self.unheard = 0;
        loop {
            let unsent = self.machine.poll_transmit(now);
            if unsent.is_empty() {
                break;
            }
            match Pin::new(&mut self.stream).poll_write(cx, unsent)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(n) => {
                    self.trace.pass(Direction::ToClient, &unsent[..n]);
                    self.machine.handle_transmitted(n, now);
                    self.share.went(n, now);
                    (has_sent, self.needs_flush) = (true, true);
                }
                Poll::Pending => return Ok(has_sent),
            }
        }
        if self.needs_flush && Pin::new(&mut self.stream).poll_flush(cx)?.is_ready() {
            (has_sent, self.needs_flush) = (true, false);
        }
        Ok(has_sent)
    }

    /// Reads, if that is wanted and there is memory for it. Answers whether there is something to execute now.
    fn poll_receive(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        if !self.machine.wants_input() || (self.is_at_end && self.input.is_none()) {
            self.share.stop_waiting();
            return Ok(false);
        }
        let (step, large) = (growth(self.machine.memory()), self.input.as_ref().map_or(0, extra));
        if self.share.poll_cover(cx, step + large).is_pending() {
            return Ok(false);
        }
        if self.input.is_some() {
            return Ok(true);
        }
        let read = if let Some((body, room)) = self.machine.body() {
            // Straight to where it is executed from. The future reads in one poll or not at all, so it may be dropped.
            let before = body.len();
            let mut room = (&mut *body).limit(room);
            let read = pin!(self.stream.read_buf(&mut room)).poll(cx)?;
            self.trace.pass(Direction::ToDisplay, &body[before..]);
            read.map(|n| {
                (self.is_at_end, self.is_streaming) = (n == 0, n >= limits::READ);
                self.unheard += n;
            })
        } else {
            let is_large = self.is_large && self.share.try_cover_all(step + LARGE);
            let mut buffer = ReadBuffer::take(is_large);
            let mut room = ReadBuf::new(buffer.room());
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut room)?;
            let n = room.filled().len();
            self.trace.pass(Direction::ToDisplay, room.filled());
            read.map(|()| {
                (self.is_at_end, self.is_streaming) = (n == 0, n == buffer.capacity());
                self.is_large = n >= limits::READ;
                self.unheard += n;
                buffer.fill(n);
                self.input = (n > 0).then_some(buffer);
            })
        };
        if read.is_ready() && self.machine.unsent() == 0 {
            self.share.came(self.input.as_ref().map_or(limits::READ, |input| input.unread().len()), now);
        }
        if read.is_pending() {
            // There is no buffer now, and others may want a large one.
            self.share.shrink(step);
        }
        if read.is_ready() && self.is_at_end {
            self.trace.end(Direction::ToDisplay);
        }
        Ok(read.is_ready())
    }

    /// Hands the machine's deadline to it when it has passed. Answers whether that closed the connection.
    ///
    /// A busy connection has a new deadline in each turn, nearly always later than the last: the timer stays where it
    /// is until it fires, and only then looks for the deadline of the day.
    fn poll_deadline(
        &mut self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
        armed: &mut Option<Instant>,
        now: Instant,
    ) -> bool {
        while let Some(deadline) = self.machine.poll_timeout() {
            if deadline <= now {
                self.machine.handle_timeout(now);
                return self.machine.closing().is_some();
            }
            if armed.is_none_or(|at| at > deadline) {
                timer.as_mut().reset(deadline.into());
                *armed = Some(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return false;
            }
            *armed = None;
        }
        false
    }

    fn log_end(&self, result: &io::Result<()>) {
        let Connection { peer, machine, .. } = self;
        let Stats { executed, faults, unheard_faults, ignored_questions, malformed, .. } = machine.stats();
        let how = match result {
            Ok(()) if machine.is_mid_message() && machine.closing().is_none() => {
                "the client ended in the middle of a message".to_owned()
            }
            Ok(()) => "ended".to_owned(),
            Err(error) => error.to_string(),
        };
        debug!(peer, executed, faults, malformed, "disconnected: {how}");
        if unheard_faults > 0 || ignored_questions > 0 {
            info!(
                peer,
                "{unheard_faults} notifications of the client failed and {ignored_questions} asked a question; \
                 the client was not told, because a notification has no answer: it should send requests"
            );
        }
    }
}

impl<S> Connection<'_, S> {
    fn give_session_back(&mut self) {
        if let Some(id) = self.session.take() {
            let session = self.machine.take_session().map(|(_, session)| session);
            self.display.sessions().give_back(id, session);
        }
    }
}

fn needed_elsewhere() -> Fault {
    let text = format!(
        "others wait for the memory that this connection holds, and less than {} KiB were read or sent in {} s",
        limits::MESSAGE_RATE >> 10,
        limits::RECLAIM.as_secs()
    );
    Fault::new(Code::TooSlow, text)
}

/// What a buffer takes beyond the one that each connection may have, and a step of it: see [`LARGE`].
fn extra(buffer: &ReadBuffer) -> usize {
    if buffer.capacity() > limits::READ { LARGE } else { 0 }
}

impl<S> Drop for Connection<'_, S> {
    /// Also when the task is aborted or the display's code panics.
    fn drop(&mut self) {
        self.give_session_back();
        let counters = self.display.counters();
        self.display.count_buffered(self.buffered, 0);
        counters.connections.fetch_sub(1, Relaxed);
        self.display.clients_changed();
    }
}
