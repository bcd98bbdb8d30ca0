//! The turns of a connection: what it tries in each, and what wakes it up again.

use super::Connection;
use crate::clock;
use crate::limits;
use draw_protocol::{Code, Fault};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

/// While more is there to be executed at once, answers wait for each other, up to so many bytes of requests: on one core a
/// client that hears of each read interrupts the next, which took a seventh of the time of whole images.
const QUIET: usize = 512 << 10;

/// Turns in which a connection that always has something to do need not look whether the display ends, another connection wants
/// its session, or a deadline has passed.
const BUSY_TURNS: u32 = 32;

/// How a turn of executing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing more can be executed before something happens.
    Over,
    /// There is more, but others are to run first.
    Yield,
    /// There is more, in its turn: see [`Work::poll_turn`].
    Queue,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<'_, S> {
    /// Goes on until the client has ended and has all its answers, or the machine closes, or the stream breaks.
    pub(super) async fn converse(&mut self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
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
                    (Turn::Queue, _) => self.work.poll_turn(cx, self.share.is_proven()).is_ready(),
                    (_, Some(_)) => self.poll_question(cx, now)?,
                    (_, None) => self.poll_receive(cx, now)?,
                };
                let may_wait =
                    self.is_streaming && self.unheard < QUIET && self.asked.is_none() && turn != Turn::Queue;
                _ = self.poll_durable(cx);
                let may_go_on =
                    !may_wait && self.caller.poll_written(cx).is_ready() && self.poll_send(cx, now)?;
                if (has_read || may_go_on) && turn == Turn::Over && busy_turns < BUSY_TURNS {
                    // What follows is rare, and is asked before the connection waits or lets others run.
                    busy_turns += 1;
                    return Poll::Ready(Ok(now));
                }
                busy_turns = 0;
                self.seat.touch(self.machine.has_spoken(), now);
                if shutdown.as_mut().poll(cx).is_ready() {
                    let journal = self.caller.canvas().journal();
                    if journal.is_some_and(|journal| journal.failure().is_some()) {
                        self.machine.forget_held();
                    }
                    self.machine.close(self.reception.displays.end(self.display(), journal));
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
                self.work.wait();
                self.share.set_waits(self.waits(turn), now);
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
}

/// Returns why a connection is cut for others.
fn needed_elsewhere() -> Fault {
    let text = format!(
        "others wait for the memory that this connection holds, and less than {} KiB were read or sent in {} s",
        limits::MESSAGE_RATE >> 10,
        limits::RECLAIM.as_secs()
    );
    Fault::new(Code::TooSlow, text)
}
