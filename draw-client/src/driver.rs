//! The task that carries bytes between the stream and the state machine, and keeps the deadlines.

use crate::error::Lost;
use crate::reconnect::may_return;
use crate::returning::Returning;
use crate::shared::{Guard, Shared, State, now};
use crate::status::Status;
use bytes::BufMut;
use draw_printer::Printer;
use draw_protocol::limits;
use draw_protocol::trace::Direction;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::Sleep;

/// How many reads one turn may make before others get theirs.
const READS_PER_TURN: usize = 16;

/// How long a stream that takes no more bytes is still read. What the other side said before it went is here already; a
/// runtime under load may take a while to notice.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long a driver with a thread of its own lets callers go on that call again and again: a write then carries some
/// 3,000 calls and not 300, which doubles the rate. What was called last leaves so much later at most, unless somebody
/// waits for it; waking a thread on a busy machine takes as long.
const NAP: Duration = Duration::from_micros(100);

/// Carries one connection's bytes: nothing moves unless it is polled. It is ready when the connection has ended.
///
/// [`ConnectOptions::connect`](crate::ConnectOptions::connect) and [`ConnectOptions::over`](crate::ConnectOptions::over) spawn it
/// on the current tokio runtime; [`over_with_driver`](crate::ConnectOptions::over_with_driver) returns it.
#[must_use = "a connection does nothing unless its driver is polled or spawned"]
pub struct Driver {
    shared: Arc<Shared>,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    buffer: Vec<u8>,
    /// Who is to be woken, in memory that the state gets back.
    woken: Vec<Waker>,
    callers: Callers,
    /// Woken to write less than a full write: callers run once more first, so that one write carries what they all have.
    has_yielded: bool,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    /// Nothing can be written any more, since this; until when the other side's last words are waited for.
    broken: Option<(Lost, Instant)>,
    /// How another connection is made, where one can be.
    returning: Option<Returning>,
    trace: Printer,
}

/// Whom the driver shares a processor with, and so how it lets them run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callers {
    /// Tasks of its runtime.
    Tasks,
    /// Threads: its runtime has no other task.
    Threads,
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        reader: Box<dyn AsyncRead + Send + Unpin>,
        callers: Callers,
        returning: Option<Returning>,
        trace: Printer,
    ) -> Driver {
        Driver {
            shared,
            reader,
            buffer: vec![0; limits::READ],
            woken: Vec::new(),
            callers,
            has_yielded: false,
            // Far away; it is set before it is first polled.
            timer: Box::pin(tokio::time::sleep(limits::ANSWER_TIMEOUT)),
            timer_at: None,
            broken: None,
            returning,
            trace,
        }
    }

    /// Reads and takes in what has come. `Ready` is the end.
    fn poll_read(&mut self, next: Next, cx: &mut Context<'_>) -> Poll<Lost> {
        let lost = ready!(self.poll_read_some(next, cx));
        if let Lost::Eof = lost {
            self.trace.end(Direction::ToClient);
        }
        Poll::Ready(lost)
    }

    fn poll_read_some(&mut self, mut next: Next, cx: &mut Context<'_>) -> Poll<Lost> {
        for _ in 0..READS_PER_TURN {
            let Next::Message(length) = next else {
                let mut state = self.shared.lock();
                let Some((body, room)) = state.machine.body() else {
                    next = Next::of(&mut state);
                    continue;
                };
                // A long answer: straight to where it belongs. The stream never blocks, so the lock is held shortly.
                let before = body.len();
                let mut room = (&mut *body).limit(room);
                let read = ready!(pin!(self.reader.read_buf(&mut room)).poll(cx));
                self.trace.pass(Direction::ToClient, &body[before..]);
                match read {
                    Ok(0) => return Poll::Ready(Lost::Eof),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Lost::Io(Arc::new(error))),
                }
                if let Err(lost) = self.shared.handle_input(&mut state, &[]) {
                    return Poll::Ready(lost);
                }
                next = Next::of(&mut state);
                wake_done(state, &mut self.woken);
                continue;
            };
            let mut buffer = ReadBuf::new(&mut self.buffer[..length]);
            match ready!(Pin::new(&mut self.reader).poll_read(cx, &mut buffer)) {
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(Lost::Eof),
                Ok(()) => {}
                Err(error) => return Poll::Ready(Lost::Io(Arc::new(error))),
            }
            self.trace.pass(Direction::ToClient, buffer.filled());
            let mut state = self.shared.lock();
            if let Err(lost) = self.shared.handle_input(&mut state, buffer.filled()) {
                return Poll::Ready(lost);
            }
            next = Next::of(&mut state);
            wake_done(state, &mut self.woken);
        }
        // There may be more, but others have waited long enough.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what waits. `Ready(Ok)`: all of it is gone, or will be without the driver.
    fn poll_write(&mut self, must_write: bool, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut writer = match self.shared.writer.try_lock() {
            Ok(writer) => writer,
            // A caller is writing a lone call, and says so if it does not all go.
            Err(TryLockError::WouldBlock) if !must_write => return Poll::Ready(Ok(())),
            Err(_) => self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner),
        };
        loop {
            ready!(writer.poll_write(cx))?;
            let mut state = self.shared.lock();
            state.is_driver_woken = false;
            state.driver_ran();
            if state.machine.unsent() == 0 {
                return Poll::Ready(Ok(()));
            }
            writer.refill(&mut state.machine);
        }
    }

    /// Wakes those whose time is up, and sets the timer for the next. Where nothing is left to be written the connection may end
    /// because this side wants it to: all that was accepted is done.
    fn poll_timer(&mut self, mut now: Instant, is_written: bool, cx: &mut Context<'_>) -> Poll<Lost> {
        loop {
            let mut state = self.shared.lock();
            let farewell = state.farewell(self.shared.timeout);
            if is_written && farewell.is_some() && state.is_idle() {
                return Poll::Ready(Lost::Closed);
            }
            state.wake_overdue(now);
            if let Some((lost, until)) = &self.broken
                && *until <= now
            {
                return Poll::Ready(lost.clone());
            }
            if state.machine.poll_timeout().is_some_and(|at| at <= now) {
                state.machine.handle_timeout(now);
                if let Err(lost) = self.shared.handle_input(&mut state, &[]) {
                    return Poll::Ready(lost);
                }
            }
            if let Some((status, applied)) = state.resumed.take() {
                let (dropped, is_restarted) = (state.take_dropped(), state.machine.is_restarted());
                drop(state);
                let returning = self.returning.iter_mut();
                returning.for_each(|returning| returning.resumed(applied, is_restarted, now));
                dropped.into_iter().chain([status]).for_each(|status| self.shared.tell_status(status));
                continue;
            }
            if state.has_caught_up {
                let dropped = state.take_dropped();
                drop(state);
                dropped.into_iter().for_each(|status| self.shared.tell_status(status));
                continue;
            }
            let greeting = self.returning.as_ref().and_then(Returning::greeting);
            if greeting.is_some_and(|until| until <= now) {
                return Poll::Ready(Lost::Io(Arc::new(std::io::ErrorKind::TimedOut.into())));
            }
            let last_words = self.broken.as_ref().map(|(_, until)| *until);
            if let Some((end, after)) = farewell
                && end <= now
            {
                return Poll::Ready(if state.is_idle() { Lost::Closed } else { Lost::Unfinished { after } });
            }
            let farewell = farewell.map(|(end, _)| end);
            let message = state.machine.poll_timeout();
            let next = [state.next_deadline(), farewell, last_words, greeting, message];
            let next = next.into_iter().flatten().min();
            state.alarm = next;
            drop(state);
            if self.timer_at != next {
                self.timer_at = next;
                if let Some(next) = next {
                    self.timer.as_mut().reset(next.into());
                }
            }
            if self.timer_at.is_none() || self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer_at = None;
            now = crate::shared::now();
        }
    }

    /// Lets callers go on, unless one of them ends it: see [`State::end_nap`].
    fn nap<'s>(&'s self, mut state: Guard<'s>) -> Guard<'s> {
        state.begin_nap(std::thread::current());
        drop(state);
        std::thread::park_timeout(NAP);
        state = self.shared.lock();
        state.nap = None;
        state
    }

    fn poll_once(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Lost> {
        let mut state = self.shared.lock();
        state.register_driver(cx.waker());
        let must_write = state.is_driver_woken || state.machine.unsent() > 0;
        let must_yield = must_write
            && self.callers == Callers::Tasks
            && !self.has_yielded
            && !state.has_full_write()
            && self.broken.is_none();
        if self.callers == Callers::Threads && state.may_nap() {
            state = self.nap(state);
        }
        // One that was woken and is to come back need not be woken again meanwhile.
        state.is_driver_woken &= must_yield;
        let next = Next::of(&mut state);
        drop(state);
        if let Poll::Ready(lost) = self.poll_read(next, cx) {
            return Poll::Ready(lost);
        }
        let mut is_written = false;
        if self.broken.is_some() {
            // Only reading is left.
        } else if must_yield {
            self.has_yielded = true;
            cx.waker().wake_by_ref();
        } else {
            self.has_yielded = false;
            match self.poll_write(must_write, cx) {
                Poll::Ready(Ok(())) => is_written = true,
                // The other side may have said why it went.
                Poll::Ready(Err(error)) => {
                    self.broken = Some((Lost::Io(Arc::new(error)), now + LAST_WORDS));
                }
                Poll::Pending => {}
            }
        }
        self.poll_timer(now, is_written, cx)
    }
}

/// What is read next. A call that is made meanwhile changes no more of it than how much had better be read at once.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// More of a long answer, straight to where it belongs.
    Body,
    /// So many bytes at most of anything else.
    Message(usize),
}

impl Next {
    fn of(state: &mut State) -> Next {
        if state.machine.body().is_some() { Next::Body } else { Next::Message(state.machine.read_length()) }
    }
}

/// Wakes those whose call is done, when the lock is free. `spare` is memory for it.
fn wake_done(mut state: Guard<'_>, spare: &mut Vec<Waker>) {
    std::mem::swap(&mut state.woken, spare);
    State::release(state);
    spare.drain(..).for_each(Waker::wake);
}

impl Driver {
    /// Whether there may be another connection after this one was lost. What is to be said of the loss is in `lost` then.
    fn may_return(&mut self, lost: &mut Lost) -> bool {
        let state = self.shared.lock();
        if let (Lost::Eof | Lost::Io(_), Some(fault)) = (&*lost, state.machine.goodbye()) {
            *lost = Lost::Goodbye(fault.clone());
        }
        let is_over = state.is_idle() && state.farewell(self.shared.timeout).is_some();
        let Some(returning) = self.returning.as_mut().filter(|returning| returning.is_possible()) else {
            return false;
        };
        !is_over
            && match state.machine.welcome() {
                None => returning.may_greet_again(&state.machine, lost),
                Some(_) => state.machine.is_resumable() && (may_return(lost) || returning.may_accept(lost)),
            }
    }

    /// The connection is lost, and there may be another.
    fn lose(&mut self, lost: Lost, now: Instant, cx: &mut Context<'_>) {
        let mut writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.shared.lock();
        state.machine.handle_disconnected(writer.disconnect(cx));
        state.lose(lost.clone());
        let (applied, is_busy) = (state.machine.applied(), !state.is_idle());
        drop((state, writer));
        // The other side is to see at once that nobody reads any more.
        self.reader = Box::new(tokio::io::empty());
        (self.broken, self.has_yielded) = (None, false);
        self.returning.iter_mut().for_each(|returning| returning.lose(lost.clone(), applied, is_busy, now));
        self.tell_news();
    }

    /// Says when another connection is tried next.
    fn tell_news(&mut self) {
        if let Some(status) = self.returning.as_mut().and_then(Returning::take_news) {
            self.shared.tell_status(status);
        }
    }

    /// While there is no connection: ready when there is one, to be greeted on, or with why there will be none.
    fn poll_return(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        let mut state = self.shared.lock();
        state.register_driver(cx.waker());
        state.is_driver_woken = false;
        state.driver_ran();
        drop(state);
        if let Poll::Ready(lost) = self.poll_timer(now, true, cx) {
            return Poll::Ready(Err(lost));
        }
        let Some(returning) = &mut self.returning else { return Poll::Ready(Err(Lost::Eof)) };
        let (accepts_loss, found) = (returning.accepts_loss(), returning.poll(cx, crate::shared::now));
        self.tell_news();
        let halves = ready!(found)?;
        let mut writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.connect(halves.writer);
        self.reader = halves.reader;
        self.trace.restart();
        self.shared.lock().machine.reconnect(accepts_loss);
        Poll::Ready(Ok(()))
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut now = now();
        if this.shared.is_forked() {
            this.leave();
            return Poll::Ready(());
        }
        let lost = loop {
            if this.returning.as_ref().is_some_and(Returning::is_away)
                && let Err(lost) = ready!(this.poll_return(now, cx))
            {
                break lost;
            }
            let mut lost = ready!(this.poll_once(now, cx));
            if !this.may_return(&mut lost) {
                break lost;
            }
            now = crate::shared::now();
            this.lose(lost, now, cx);
        };
        let dropped = this.shared.lock().take_dropped();
        dropped.into_iter().for_each(|status| this.shared.tell_status(status));
        if !matches!(lost, Lost::Closed) {
            this.shared.tell_status(Status::Disconnected(lost.clone().into()));
        }
        // The other side reads all that was sent before it sees the end; there is nothing to wait for.
        let mut writer = this.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(lost, Lost::Closed) && writer.is_empty() {
            // Nothing more comes: the display need not remember this client. It is a courtesy; where it cannot be said, the
            // display forgets by itself.
            this.shared.lock().machine.end_session();
            while writer.is_empty() && this.shared.lock().machine.unsent() > 0 {
                writer.refill(&mut this.shared.lock().machine);
                _ = writer.poll_write(cx);
            }
        }
        writer.close(cx);
        drop(writer);
        this.shared.end(lost);
        Poll::Ready(())
    }
}

impl Driver {
    /// This process was forked, and the connection is another's: what is here of it is neither used nor ended, for that would end
    /// the other's. (The runtime shares what it waits with, too: to drop a stream would have the other never hear of it again.)
    fn leave(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.reader, Box::new(tokio::io::empty())));
        std::mem::forget(self.returning.take());
        if let Ok(mut writer) = self.shared.writer.try_lock() {
            writer.leave();
        }
        self.shared.leave_with_driver();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.shared.is_forked() {
            return self.leave();
        }
        // Handles may live on; the other side is not to wait for them.
        let mut cx = Context::from_waker(Waker::noop());
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner).close(&mut cx);
        self.shared.end_with_driver();
    }
}
