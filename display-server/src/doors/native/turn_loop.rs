//! Runs the turns of a connection: what each of them tries, and what wakes the task for the next.

use super::Connection;
use crate::clock;
use crate::doors::TurnEnd;
use crate::limits;
use draw_protocol::{Code, Fault};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

/// While more input is there, answers are collected, up to this many bytes of requests. On one core a client that is
/// answered after each read interrupts the next read, which took a seventh of the time of whole images.
const QUIET: usize = 512 << 10;

/// Turns between two checks of a busy connection for the shutdown of the server, a claim to its session by another
/// connection, and deadlines.
const BUSY_TURNS: u32 = 32;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<'_, S> {
    /// Runs until the client has closed its side and has all its answers, or the machine closes the connection, or the
    /// stream fails.
    pub(super) async fn run(&mut self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let mut shutdown = pin!(shutdown);
        // Armed only while the machine has a deadline, and not for each new one: see `poll_deadline`.
        let mut timer = pin!(tokio::time::sleep(Duration::ZERO));
        let mut armed = None;
        let (mut now, mut busy_turns) = (clock::now(), 0);
        loop {
            let turn = self.execute(now);
            if self.machine.closing().is_some() {
                return Ok(());
            }
            if self.input.is_at_end
                && self.input.buffer.is_none()
                && self.pending.is_none()
                && self.is_all_sent(now)
            {
                return poll_fn(|cx| Pin::new(&mut self.link.stream).poll_shutdown(cx)).await;
            }
            now = poll_fn(|cx| {
                let now = clock::now();
                // Each of these is tried in each turn, whatever the results of the others.
                let has_read = match (turn, &self.pending) {
                    (TurnEnd::Queue, _) => {
                        self.grants.work.poll_turn(cx, self.grants.share.is_proven()).is_ready()
                    }
                    (_, Some(_)) => self.poll_pending(cx, now)?,
                    (_, None) => self.poll_receive(cx, now)?,
                };
                let may_wait = self.input.is_streaming
                    && self.input.unanswered < QUIET
                    && self.pending.is_none()
                    && turn != TurnEnd::Queue;
                _ = self.poll_durable(cx);
                let may_go_on =
                    !may_wait && self.target.caller.poll_written(cx).is_ready() && self.poll_send(cx, now)?;
                if (has_read || may_go_on) && turn == TurnEnd::Idle && busy_turns < BUSY_TURNS {
                    // The checks below are for rare events, and are made before the connection waits or yields.
                    busy_turns += 1;
                    return Poll::Ready(Ok(now));
                }
                busy_turns = 0;
                self.grants.slot.touch(self.machine.has_spoken(), now);
                if shutdown.as_mut().poll(cx).is_ready() {
                    let canvas = self.target.caller.canvas();
                    if canvas.journal().is_some_and(|journal| journal.failure().is_some()) {
                        self.machine.forget_held();
                    }
                    self.machine.close(self.target.selector.displays.end(Some(canvas)));
                    return Poll::Ready(Ok(now));
                }
                if self.grants.share.poll_cut(cx).is_ready() {
                    self.grants.is_cut = true;
                    self.machine.cut(needed_elsewhere());
                    return Poll::Ready(Ok(now));
                }
                let has_changed =
                    self.poll_session(cx) || self.poll_deadline(cx, timer.as_mut(), &mut armed, now);
                if has_read || may_go_on || has_changed || turn == TurnEnd::Yield {
                    return Poll::Ready(Ok::<_, io::Error>(now));
                }
                self.grants.work.wait();
                if self.grants.share.is_granted() {
                    self.grants.share.set_waits_for(self.waits(turn), now);
                }
                Poll::Pending
            })
            .await?;
            if self.grants.work.is_due_to_yield() {
                std::thread::yield_now();
            }
            if turn != TurnEnd::Idle {
                // Also after the queue has granted a place, so that events that came meanwhile are handled first.
                self.grants.work.pause();
                tokio::task::yield_now().await;
                now = clock::now();
            }
        }
    }

    /// Notifies the machine when its deadline has passed. Returns whether that closed the connection.
    ///
    /// A busy connection has a new deadline in each turn, nearly always later than the last. The timer keeps the oldest
    /// until it fires, and is then set to the current one.
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

/// Returns the fault of a connection that is cut because others wait for its memory.
fn needed_elsewhere() -> Fault {
    let text = format!(
        "others wait for the memory that this connection holds, and less than {} KiB were read or sent in {} s",
        limits::MESSAGE_RATE >> 10,
        limits::RECLAIM.as_secs()
    );
    Fault::new(Code::TooSlow, text)
}
