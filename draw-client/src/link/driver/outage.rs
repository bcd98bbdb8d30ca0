//! What a driver does when its connection is lost: it follows the reconnect machine, dials, and ends.

use super::{Driver, Turn};
use crate::clock::now;
use crate::error::{Lost, Status};
use crate::reconnect;
use draw_protocol::reconnect::{End, Phase};
use std::sync::PoisonError;
use std::task::{Context, Poll, ready};
use std::time::Instant;

impl Driver {
    /// Reports to the reconnect machine how a turn ended, and follows it.
    pub(super) fn handle_turn(&mut self, turn: Turn, cx: &mut Context<'_>) {
        let at = now();
        let is_lost = match turn {
            Turn::Again => false,
            Turn::TimedOut => true,
            Turn::Lost(lost) => {
                let mut state = self.shared.lock();
                let (lost, progress) = (lost.explained(&state.machine), state.progress(self.shared.timeout));
                state.reconnect.handle_lost(lost, progress, at);
                true
            }
        };
        if is_lost && self.shared.lock().reconnect.end().is_none() {
            self.disconnect(cx);
        }
        let retry = self.shared.lock().reconnect.poll_retry();
        if let Some(retry) = retry {
            self.shared.report_status(reconnect::status(retry, at));
        }
    }

    /// Drops a connection that is lost. Another may follow.
    fn disconnect(&mut self, cx: &mut Context<'_>) {
        let mut writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.shared.lock();
        state.machine.handle_disconnected(writer.disconnect(cx));
        state.handle_outage();
        drop((state, writer));
        // The other side sees at once that nothing is read any more.
        self.reader = Box::new(tokio::io::empty());
        (self.broken, self.has_yielded) = (None, false);
    }

    /// Dials while there is no connection, when the reconnect machine says so.
    pub(super) fn poll_dial(&mut self, at: Instant, cx: &mut Context<'_>) -> Poll<Turn> {
        let mut state = self.shared.lock();
        state.admission.driver.is_woken = false;
        state.driver_ran();
        state.reconnect.handle_timeout(at);
        _ = state.reconnect.poll_dial(at);
        let is_dialing = matches!(state.reconnect.phase(), Phase::Dialing(_));
        let is_over = state.reconnect.end().is_some();
        drop(state);
        let Some(dialer) = &mut self.dialer else {
            // Its policy makes no further attempt.
            self.shared.lock().reconnect.give_up(Lost::Eof);
            return Poll::Ready(Turn::Again);
        };
        if !is_dialing {
            dialer.stop();
        }
        if is_over {
            return Poll::Ready(Turn::Again);
        }
        if let Poll::Ready(turn) = self.poll_timer(at, true, cx) {
            return Poll::Ready(turn);
        }
        let Some(dialer) = self.dialer.as_mut().filter(|_| is_dialing) else { return Poll::Pending };
        // The lock is not held: the dialer may be code of the program.
        match ready!(dialer.poll(cx)) {
            Ok(halves) => {
                let mut writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
                writer.connect(halves.writer);
                self.reader = halves.reader;
                self.trace.restart();
                let mut state = self.shared.lock();
                state.reconnect.handle_dialed(now());
                let accepts_loss = state.reconnect.accepts_loss();
                state.machine.reconnect(accepts_loss);
            }
            Err(error) => {
                self.shared.lock().reconnect.handle_failed(Lost::io(error), now());
            }
        }
        Poll::Ready(Turn::Again)
    }

    /// Ends the connection for good.
    pub(super) fn end(&mut self, end: &End<Lost>, cx: &mut Context<'_>) {
        let lost = reconnect::lost(end);
        let dropped = self.shared.lock().offline.take_dropped();
        dropped.into_iter().for_each(|status| self.shared.report_status(status));
        // `connect` itself returns that there never was a connection.
        if !matches!((end, &lost), (End::NeverConnected, _) | (_, Lost::Closed)) {
            self.shared.report_status(Status::Disconnected(lost.clone().into()));
        }
        // The other side reads everything before it sees the end; there is nothing to wait for.
        let mut writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(lost, Lost::Closed) && writer.is_empty() {
            // The display need not keep the session. If this cannot be sent, the session expires by itself.
            self.shared.lock().machine.end_session();
            while writer.is_empty() && self.shared.lock().machine.unsent() > 0 {
                writer.refill(&mut self.shared.lock().machine);
                _ = writer.poll_write(cx);
            }
        }
        writer.close(cx);
        drop(writer);
        self.shared.end(lost);
    }

    /// Leaves the connection to the process that this one was forked from. It is neither used nor closed, which would
    /// end it there. (The processes share the runtime's epoll instance: dropping a stream here would unregister it for
    /// the other process.)
    pub(super) fn detach(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.reader, Box::new(tokio::io::empty())));
        std::mem::forget(self.dialer.take());
        if let Ok(mut writer) = self.shared.writer.try_lock() {
            writer.detach();
        }
        self.shared.detach_with_driver();
    }
}
