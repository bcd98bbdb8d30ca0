//! Accepts calls during an outage or, with [`WhileOffline::DropOldest`], while the display is behind, and sends them
//! later.
//!
//! With that policy, calls wait in the offline queue and not in the machine: what the machine has numbered for the
//! display cannot be taken back, and it may be full of what was sent before. They are sent in order, when there is
//! another connection or credit. Until all of them are, no other call is made, so that none overtakes them.

use super::{Guard, Shared, State};
use crate::admission::{Admitted, Waiting, WhileOffline};
use crate::clock::now;
use crate::completion::{Caller, Failed, ReplyState, Tag, is_callback_of};
use crate::error::{Error, FailedCall, Result};
use draw_protocol::Request;
use draw_protocol::client::IssuedCall;
use draw_protocol::reconnect::Progress;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Span;

impl Shared {
    /// Accepts a call into the offline queue, and returns its number. Older ones may be dropped for it.
    #[cold]
    pub(super) fn enqueue_offline(
        &self,
        mut state: Guard<'_>,
        request: &Request<'_>,
        at: Instant,
        caller: &Caller<'_>,
        span: Option<&Arc<Span>>,
    ) -> Result<u64> {
        if let Err(fault) = request.check() {
            let error = Error::Fault(fault);
            state.note_refused(request, caller.place, &error);
            return Err(error);
        }
        let number = state.last_number() + 1;
        let inner = (!caller.scope.is_outermost()).then(|| Arc::clone(caller.scope));
        state.offline.queue.push(
            number,
            request,
            at,
            caller.place,
            Tag { scope: inner, span: span.cloned() },
        );
        state.account.stats.calls += 1;
        state.note_queued(request, caller.place);
        while let Some(oldest) = state.offline.queue.overflow() {
            self.drop_call(&mut state, oldest);
        }
        self.keep_results(&mut state);
        // The driver may not have run for a while.
        state.wake_driver();
        State::release(state);
        Ok(number)
    }

    /// Drops a call for newer ones.
    fn drop_call(&self, state: &mut State, oldest: Waiting) {
        state.offline.dropped_calls += 1;
        if oldest.reply == ReplyState::Dropped {
            state.note_failed(&oldest.made(), &Error::Dropped);
            let tag = &oldest.tag;
            let listener = tag.scope.as_ref().unwrap_or(&self.outermost).listener();
            let last = state.last_number();
            let call = || FailedCall::new(oldest.made(), last, tag.path(), now());
            state.offline.dropped.add(listener, tag.span.as_ref(), call);
            state.errors.deferred.drop(oldest.tag);
            return;
        }
        self.fail(state, oldest.reply, oldest.made(), oldest.tag, Error::Dropped, now());
    }

    /// Handles that a call has failed before those before it are done.
    fn fail(
        &self,
        state: &mut State,
        reply: ReplyState,
        made: IssuedCall,
        tag: Tag,
        error: Error,
        now: Instant,
    ) {
        state.note_failed(&made, &error);
        let call = state.failed_call(made, &tag, now);
        let failed = Failed { call, error, tag };
        match reply {
            ReplyState::Awaited => state.completion.keep(made.number, Err(failed)),
            ReplyState::Dropped | ReplyState::TimedOut => self.dispatch(state, failed),
            ReplyState::Ignored => state.errors.deferred.drop(failed.tag),
        }
        if let Some(waker) = state.completion.waiters.remove(made.number) {
            waker.wake();
        }
    }

    /// Reports the late errors of calls that were dropped: the outage is over, or the display has caught up.
    pub(super) fn report_dropped(&self, state: &mut State) {
        for (listener, report) in state.offline.dropped.take() {
            self.pass_on(state, listener, report);
        }
    }

    /// Makes calls of the offline queue, as far as there is credit.
    #[inline]
    pub(super) fn drain_offline_queue(&self, state: &mut State) {
        if !state.offline.queue.is_empty()
            && state.reconnect.outage().is_none()
            && state.lifetime.ended.is_none()
        {
            self.send_queued(state);
        }
    }

    #[cold]
    fn send_queued(&self, state: &mut State) {
        let now = now();
        loop {
            let undelivered = state.errors.undelivered();
            let Some(first) = state.offline.queue.first() else { break };
            let made = match first.request() {
                Ok(request) if !state.machine.has_credit(&request, undelivered) => break,
                Ok(request) => state.machine.call(&request, first.origin()),
                Err(fault) => Err(fault),
            };
            let Some(first) = state.offline.queue.pop() else { break };
            if first.method().is_barrier() {
                // A barrier returns what failed before it.
                self.report_dropped(state);
            }
            match made {
                Ok(made) => {
                    let (number, reply, span) = (first.number, first.reply, first.tag.span.as_ref());
                    let scope = first.tag.scope.as_ref().unwrap_or(&self.outermost);
                    state.completion.accept_numbered(made, number, reply, scope, span);
                    state.note_dequeued(&first.made(), now);
                    state.errors.deferred.drop(first.tag);
                }
                Err(fault) => {
                    self.fail(state, first.reply, first.made(), first.tag, Error::Fault(fault), now);
                }
            }
        }
        if state.offline.queue.is_empty() {
            self.report_dropped(state);
            state.offline.has_caught_up = state.offline.dropped_calls > 0;
            // The next call has the next number, although the last one may never have been made.
            let next = state.machine.last_call() + 1;
            let number = state.offline.queue.last_number() + 1;
            state.completion.continue_at(next, number);
        }
        self.keep_results(state);
        state.wake_driver();
    }

    /// Fails the calls of the offline queue, since there will be no other connection. They have certainly not been
    /// sent.
    pub(super) fn give_up_queued(&self, state: &mut State, error: &Error, now: Instant) -> Vec<Failed> {
        let mut dropped = Vec::new();
        while let Some(waiting) = state.offline.queue.pop() {
            let made = waiting.made();
            let call = state.failed_call(made, &waiting.tag, now);
            let failed = Failed { call, error: error.clone(), tag: waiting.tag };
            state.note_failed(&made, error);
            match waiting.reply {
                ReplyState::Awaited => state.completion.keep(made.number, Err(failed)),
                ReplyState::Dropped => dropped.push(failed),
                ReplyState::TimedOut | ReplyState::Ignored => state.errors.deferred.drop(failed.tag),
            }
        }
        dropped
    }
}

impl State {
    /// Returns what happens to a call during an outage, or while calls of the offline queue have to go on first. `None` if neither
    /// concerns it.
    #[cold]
    pub(super) fn admit_offline(&self, request: &Request<'_>, shared: usize) -> Result<Option<Admitted>> {
        match (self.reconnect.outage(), self.offline.policy) {
            (_, WhileOffline::Wait) => Ok(None),
            (None, _) if self.offline.queue.is_empty() => Ok(None),
            (Some(reason), WhileOffline::Fail) => Err(Error::Offline { reason: reason.clone().into() }),
            (None, WhileOffline::Fail) => Ok(None),
            (_, WhileOffline::DropOldest) if request.method().may_be_dropped() => Ok(Some(Admitted::Queue)),
            (_, WhileOffline::DropOldest) if self.offline.queue.has_place(request) => {
                Ok(Some(Admitted::Queue))
            }
            // A callback does not wait for the calls before it: they may wait for the callback.
            (_, WhileOffline::DropOldest) if is_callback_of(shared) => {
                Err(Error::WouldDeadlock { in_callback: true })
            }
            (_, WhileOffline::DropOldest) => Ok(Some(Admitted::Wait)),
        }
    }

    /// Notes that the connection is lost, and that there may be another.
    pub(crate) fn handle_outage(&mut self) {
        self.admission.batching.stop_joining();
        if self.offline.policy != WhileOffline::Wait {
            // Calls that wait for credit need not wait any longer.
            self.admission.credit.wake_all();
        }
    }

    /// Notes that the display has answered `hello`. Returns whether that ends an outage.
    pub(super) fn handle_connected(&mut self, now: Instant) -> bool {
        self.reconnect.handle_connected(self.machine.applied(), self.machine.is_restarted(), now)
    }

    /// Returns what the connection has achieved, and whether another would have anything to do.
    pub(crate) fn progress(&self, timeout: Duration) -> Progress {
        let (is_busy, is_needed) =
            (!self.is_idle(), !self.is_idle() || self.lifetime.shutdown_deadline(timeout).is_none());
        Progress { is_busy, is_needed, ..self.machine.progress() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::completion::Scope;
    use crate::error::{DisconnectReason, Lost};
    use crate::reconnect;
    use draw_protocol::client::Connection;
    use draw_protocol::reconnect::Policy;
    use draw_protocol::{Color, Hello};
    use std::io::ErrorKind;

    #[test]
    fn a_call_that_fails_during_an_outage_returns_why_the_last_attempt_failed() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let policy = Policy { window: 30 * second, attempt: second, accepts_loss: false };
        let mut reconnect = reconnect::dialed(policy, now + second, now);
        reconnect.handle_connected(0, false, now);
        let outermost = Arc::new(Scope::outermost());
        let mut state = State::new(Connection::new(&Hello::new("a test")), reconnect, &outermost);
        state.offline.policy = WhileOffline::Fail;
        let request = Request::DrawPixel { x: 1, y: 1, color: Color::RED };
        let reason = |state: &State| match state.admit_offline(&request, 0) {
            Err(Error::Offline { reason }) => Some(reason),
            _ => None,
        };
        assert!(reason(&state).is_none(), "there is a connection");
        let progress = Progress { is_resumable: true, ..state.progress(second) };
        state.reconnect.handle_lost(Lost::Eof, progress, now);
        let eof = |reason: &DisconnectReason| matches!(reason, DisconnectReason::Network(error) if error.kind() == ErrorKind::UnexpectedEof);
        assert!(reason(&state).as_ref().is_some_and(eof), "{:?}", reason(&state));
        let next = state.reconnect.poll_timeout().expect("another attempt");
        assert!(state.reconnect.poll_dial(next).is_some());
        state.reconnect.handle_failed(Lost::io(ErrorKind::ConnectionRefused), next);
        let refused = |reason: &DisconnectReason| matches!(reason, DisconnectReason::Network(error) if error.kind() == ErrorKind::ConnectionRefused);
        assert!(reason(&state).as_ref().is_some_and(refused), "{:?}", reason(&state));
    }
}
