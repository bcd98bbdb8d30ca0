//! The task that moves bytes between the stream and the state machine, and keeps the deadlines.

mod outage;

use crate::clock::now;
use crate::error::Lost;
use crate::limits;
use crate::shared::{Guard, Shared, State};
use crate::transport::Dialer;
use bytes::BufMut;
use draw_printer::Printer;
use draw_protocol::trace::Direction;
use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, PoisonError, TryLockError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::time::Sleep;

/// How many reads one turn may make before other tasks run.
const READS_PER_TURN: usize = 16;

/// How long a stream that takes no more bytes is still read. What the display sent last has arrived already, but a
/// runtime under load may take a while to notice.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a driver with a thread of its own delays a write while calls follow each other closely. A write then
/// carries some 3,000 calls instead of 300, which doubles the rate. The last call is delayed by as much at most, unless
/// its result is waited for; waking a thread on a busy machine takes as long.
const BATCH_DELAY: Duration = Duration::from_micros(100);

/// Carries the bytes of one connection while it is polled. It is ready when the connection has ended.
///
/// [`ConnectOptions::connect`](crate::ConnectOptions::connect) and [`ConnectOptions::over`](crate::ConnectOptions::over) spawn it
/// on the current tokio runtime; [`over_with_driver`](crate::ConnectOptions::over_with_driver) returns it.
#[must_use = "a connection does nothing unless its driver is polled or spawned"]
pub struct Driver {
    shared: Arc<Shared>,
    reader: Box<dyn AsyncRead + Send + Unpin>,
    buffer: Vec<u8>,
    /// Memory for the wakers that the state passes on.
    woken: Vec<Waker>,
    callers: Callers,
    /// Whether callers have run once more before a write that is not full, so that it carries the calls of all of them.
    has_yielded: bool,
    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    /// Why nothing can be written any more, and until when the stream is still read.
    broken: Option<(Lost, Instant)>,
    /// Opens further connections, if that is possible.
    dialer: Option<Dialer>,
    trace: Printer,
}

/// What the driver shares a processor with, which decides how it lets callers run.
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
        dialer: Option<Dialer>,
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
            dialer,
            trace,
        }
    }

    /// Reads, and handles what has arrived. `Ready` means that the connection is lost.
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
                // A long answer is read straight into its place. The stream never blocks, so the lock is held for a
                // short time.
                let before = body.len();
                let mut room = (&mut *body).limit(room);
                let read = ready!(pin!(self.reader.read_buf(&mut room)).poll(cx));
                self.trace.pass(Direction::ToClient, &body[before..]);
                match read {
                    Ok(0) => return Poll::Ready(Lost::Eof),
                    Ok(_) => {}
                    Err(error) => return Poll::Ready(Lost::io(error)),
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
                Err(error) => return Poll::Ready(Lost::io(error)),
            }
            self.trace.pass(Direction::ToClient, buffer.filled());
            let mut state = self.shared.lock();
            if let Err(lost) = self.shared.handle_input(&mut state, buffer.filled()) {
                return Poll::Ready(lost);
            }
            next = Next::of(&mut state);
            wake_done(state, &mut self.woken);
        }
        // There may be more to read, but other tasks have waited long enough.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what is unsent. `Ready(Ok)` means that all of it is written, or will be without the driver.
    fn poll_write(&mut self, must_write: bool, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut writer = match self.shared.writer.try_lock() {
            Ok(writer) => writer,
            // A caller is writing a single call, and wakes the driver if some bytes remain.
            Err(TryLockError::WouldBlock) if !must_write => return Poll::Ready(Ok(())),
            Err(_) => self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner),
        };
        loop {
            ready!(writer.poll_write(cx))?;
            let mut state = self.shared.lock();
            state.admission.driver.is_woken = false;
            state.driver_ran();
            if state.machine.unsent() == 0 {
                return Poll::Ready(Ok(()));
            }
            writer.refill(&mut state.machine);
        }
    }

    /// Handles deadlines that have passed, and sets the timer for the next one. If everything is written and done, the connection ends
    /// here if this side wants that.
    fn poll_timer(&mut self, mut now: Instant, is_written: bool, cx: &mut Context<'_>) -> Poll<Turn> {
        loop {
            let mut state = self.shared.lock();
            let shutdown_deadline = state.lifetime.shutdown_deadline(self.shared.timeout);
            if is_written && shutdown_deadline.is_some() && state.is_idle() {
                state.reconnect.give_up(Lost::Closed);
                return Poll::Ready(Turn::Again);
            }
            state.wake_overdue(now);
            if let Some((lost, until)) = &self.broken
                && *until <= now
            {
                return Poll::Ready(Turn::Lost(lost.clone()));
            }
            if state.machine.poll_timeout().is_some_and(|at| at <= now) {
                state.machine.handle_timeout(now);
                if let Err(lost) = self.shared.handle_input(&mut state, &[]) {
                    return Poll::Ready(Turn::Lost(lost));
                }
            }
            if state.offline.has_status() {
                let news = state.offline.take_status();
                drop(state);
                news.into_iter().flatten().for_each(|status| self.shared.report_status(status));
                continue;
            }
            let attempt = state.reconnect.poll_timeout();
            if attempt.is_some_and(|until| until <= now) {
                let is_lost = state.reconnect.has_connection();
                state.reconnect.handle_timeout(now);
                return Poll::Ready(if is_lost { Turn::TimedOut } else { Turn::Again });
            }
            let drain_until = self.broken.as_ref().map(|(_, until)| *until);
            if let Some((end, after)) = shutdown_deadline
                && end <= now
            {
                let is_idle = state.is_idle();
                state.reconnect.give_up(if is_idle { Lost::Closed } else { Lost::Unfinished { after } });
                return Poll::Ready(Turn::Again);
            }
            let shutdown_deadline = shutdown_deadline.map(|(end, _)| end);
            let message = state.machine.poll_timeout();
            let next = [state.next_deadline(), shutdown_deadline, drain_until, attempt, message];
            let next = next.into_iter().flatten().min();
            state.admission.driver.alarm = next;
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
            now = crate::clock::now();
        }
    }

    /// Delays the write, until the time is over or a caller ends it: see [`State::end_delay`].
    fn delay<'s>(&'s self, mut state: Guard<'s>) -> Guard<'s> {
        state.begin_delay(std::thread::current());
        drop(state);
        std::thread::park_timeout(BATCH_DELAY);
        state = self.shared.lock();
        state.admission.driver.delaying = None;
        state
    }

    fn poll_once(&mut self, now: Instant, cx: &mut Context<'_>) -> Poll<Turn> {
        let mut state = self.shared.lock();
        state.register_driver(cx.waker());
        if !state.reconnect.has_connection() {
            drop(state);
            return self.poll_dial(now, cx);
        }
        let must_write = state.admission.driver.is_woken || state.machine.unsent() > 0;
        let must_yield = must_write
            && self.callers == Callers::Tasks
            && !self.has_yielded
            && !state.has_full_write()
            && self.broken.is_none();
        if self.callers == Callers::Threads && state.may_delay() {
            state = self.delay(state);
        }
        // A driver that polls itself again need not be woken meanwhile.
        state.admission.driver.is_woken &= must_yield;
        let next = Next::of(&mut state);
        drop(state);
        if let Poll::Ready(lost) = self.poll_read(next, cx) {
            return Poll::Ready(Turn::Lost(lost));
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
                // The other side may have sent its reason before.
                Poll::Ready(Err(error)) => {
                    self.broken = Some((Lost::io(error), now + DRAIN_TIMEOUT));
                }
                Poll::Pending => {}
            }
        }
        self.poll_timer(now, is_written, cx)
    }
}

/// What is read next. A call that is made meanwhile changes only how many bytes are best read at once.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// More of a long answer, straight into its place.
    Body,
    /// At most this many bytes of anything else.
    Message(usize),
}

impl Next {
    fn of(state: &mut State) -> Next {
        if state.machine.body().is_some() { Next::Body } else { Next::Message(state.machine.read_length()) }
    }
}

/// Gives the lock back, and wakes the waiters of calls that are done. `spare` is memory for that.
fn wake_done(mut state: Guard<'_>, spare: &mut Vec<Waker>) {
    std::mem::swap(&mut state.completion.waiters.woken, spare);
    State::release(state);
    spare.drain(..).for_each(Waker::wake);
}

/// Why a turn of the driver came to an end.
enum Turn {
    /// The reconnect machine has changed its phase, or has to.
    Again,
    /// The display has not answered `hello` in time.
    TimedOut,
    /// The connection is lost.
    Lost(Lost),
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut now = now();
        if this.shared.is_forked() {
            this.detach();
            return Poll::Ready(());
        }
        let end = loop {
            let turn = ready!(this.poll_once(now, cx));
            this.handle_turn(turn, cx);
            if let Some(end) = this.shared.lock().reconnect.end() {
                break end.clone();
            }
            now = crate::clock::now();
        };
        this.end(&end, cx);
        Poll::Ready(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if self.shared.is_forked() {
            return self.detach();
        }
        // Handles may outlive the driver; the other side must not wait for them.
        let mut cx = Context::from_waker(Waker::noop());
        self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner).close(&mut cx);
        self.shared.end_with_driver();
    }
}
