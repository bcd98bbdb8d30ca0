//! The end of a connection: by `close`, with its last handle, or because it is lost.

use super::{Shared, State};
use crate::block_on::block_on_until;
use crate::clock::now;
use crate::completion::{Failed, LateReport, ReplyState, Scope};
use crate::error::{Error, Late, LateError, Lost, Outcome, Result};
use crate::{limits, stderr};
use draw_protocol::client::{GivenUp, IssuedCall};
use draw_protocol::text::count;
use draw_protocol::text::excerpt;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Characters of an error that are printed. Its text may come from the display.
const LONGEST: usize = 1_000;

impl Shared {
    /// Ends the connection. The outcome of every call that is not done is Unknown, or Rejected if nothing of it was sent; each is
    /// reported once.
    pub(crate) fn end(&self, reason: Lost) {
        let mut state = self.lock();
        if state.lifetime.ended.is_none() {
            self.end_now(&mut state, reason);
        }
        State::release(state);
    }

    fn end_now(&self, state: &mut State, reason: Lost) {
        let now = now();
        let reason = reason.explained(&state.machine);
        let [unknown, rejected] = [Outcome::Unknown, Outcome::Rejected]
            .map(|outcome| Error::Disconnected { reason: reason.clone().into(), outcome });
        let GivenUp { begun, unsent, .. } = state.machine.give_up();
        let begun = self.give_up(state, begun, &unknown, now);
        let mut unsent = self.give_up(state, unsent, &rejected, now);
        state.settle();
        self.report_lost(state, begun, &unknown);
        self.report_dropped(state);
        unsent.extend(self.give_up_queued(state, &rejected, now));
        self.report_lost(state, unsent, &rejected);
        // Set only now: errors that the program can no longer take are then printed together.
        state.lifetime.ended = Some(reason);
        self.keep_results(state);
        if state.lifetime.abandoned.is_some() {
            report_unclaimed(state);
        }
        state.note_end(now);
        state.take_waiting().for_each(Waker::wake);
        self.check_over(state);
    }

    /// Fails calls with the connection, all with the same error. Returns those that become late errors.
    pub(super) fn give_up(
        &self,
        state: &mut State,
        lost: Vec<IssuedCall>,
        error: &Error,
        now: Instant,
    ) -> Vec<Failed> {
        let mut dropped = Vec::new();
        for made in lost {
            let made = state.completion.numbered(made);
            let (tag, reply) = (state.completion.tag(made.number), state.reply_state(made.number));
            let call = state.failed_call(made, &tag, now);
            let failed = Failed { call, error: error.clone(), tag };
            state.note_failed(&made, error);
            match reply {
                ReplyState::Awaited => state.completion.keep(made.number, Err(failed)),
                ReplyState::Dropped => dropped.push(failed),
                ReplyState::TimedOut | ReplyState::Ignored => {}
            }
        }
        dropped
    }

    /// Reports calls that have failed with the connection. Each callback is called once, with all of its calls.
    pub(super) fn report_lost(&self, state: &mut State, lost: Vec<Failed>, error: &Error) {
        let (mut places, mut reports) = (HashMap::new(), Vec::<(Option<Arc<Scope>>, Vec<_>, Vec<_>)>::new());
        for Failed { call, tag, .. } in lost {
            let listener = tag.scope.as_ref().unwrap_or(&self.outermost).listener();
            let place = *places.entry(listener.map(Arc::as_ptr)).or_insert_with(|| {
                reports.push((listener.cloned(), Vec::new(), Vec::new()));
                reports.len() - 1
            });
            reports[place].1.push(call);
            reports[place].2.push(tag.span.clone());
            state.errors.deferred.drop(tag);
        }
        for (listener, calls, spans) in reports {
            self.pass_on(state, listener, LateReport::new(LateError::lost(calls, error.clone()), spans));
        }
    }

    /// Returns the result of `close`, once the connection has ended and the callbacks have been called with everything. A callback
    /// itself does not wait for that.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.lock();
        if let Some(error) = state.stand_in_error() {
            return Poll::Ready(Err(error));
        }
        if let Some(reason) = state.lifetime.ended.clone()
            && (self.is_callback() || state.errors.late.undelivered() == 0)
        {
            return Poll::Ready(match (state.errors.late.take_kept(), reason) {
                (Some(late), _) => Err(Error::Late(late)),
                (None, Lost::Closed) => Ok(()),
                (None, reason) => {
                    Err(Error::Disconnected { reason: reason.into(), outcome: Outcome::Unknown })
                }
            });
        }
        state.lifetime.add_close_waiter(cx.waker());
        Poll::Pending
    }

    /// Returns how long `close` waits at most: the timeout for the display, and as long again for the callbacks.
    pub(crate) fn longest_close(&self) -> Duration {
        self.timeout.saturating_mul(2)
    }

    /// Returns the result of `close` when that time is over.
    pub(crate) fn not_closed(&self) -> Error {
        Error::Timeout { after: self.longest_close(), outcome: Outcome::Unknown }
    }

    /// Returns whether this is the thread of this connection's callbacks.
    pub(crate) fn is_callback(&self) -> bool {
        crate::completion::is_callback_of(self.address())
    }
}

/// Prints the late errors that the program can no longer take, and emits them as an event. The program may end as soon
/// as the last handle is dropped, so this is done before.
pub(super) fn report_unclaimed(state: &mut State) {
    state.note_unclaimed();
    if let Some(late) = state.errors.late.take_kept() {
        // A `sync` has returned that the connection is lost: the program knows what that means for the calls before.
        let is_loss = |late: &LateError| matches!(late.error(), Error::Disconnected { .. });
        if !(state.errors.is_loss_reported && late.errors().iter().all(is_loss)) {
            stderr::print(&untold(&late));
        }
        state.errors.deferred.report_unclaimed(late);
    }
}

fn untold(late: &Late) -> String {
    let (total, first) = (late.total(), late.errors().first());
    let calls = if total == 1 { "call failed and was" } else { "calls failed and were" };
    let first = first.map(|first| excerpt(&first.to_string(), LONGEST)).unwrap_or_default();
    let which = if total == 1 { "" } else { "the first: " };
    format!(
        "draw-client: {total} {calls} not reported: {which}{first}\n\
         draw-client: to receive such errors, set `on_error` of `ConnectOptions`, or call `sync` or `close` before the display is dropped\n"
    )
}

impl Shared {
    /// Is ready when the callbacks have been called with everything.
    pub(crate) fn poll_delivered(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.errors.late.undelivered() == 0 {
            return Poll::Ready(());
        }
        state.lifetime.add_close_waiter(cx.waker());
        Poll::Pending
    }

    /// Ends the connection because its driver was dropped. The process may be about to end too, so callbacks that
    /// nothing else waits for get time to run.
    pub(crate) fn end_with_driver(&self) {
        let is_last = {
            let state = self.lock();
            state.lifetime.ended.is_none() && state.lifetime.abandoned.is_some()
        };
        self.end(Lost::DriverGone);
        if is_last && !self.is_callback() {
            let deadline = Instant::now() + limits::FAREWELL;
            if block_on_until(poll_fn(|cx| self.poll_delivered(cx)), deadline).is_none() {
                self.report_undelivered();
            }
        }
    }

    /// Prints that calls were made after a fork and not drawn, and that no error was returned for them.
    #[cold]
    pub(crate) fn report_unseen_calls(&self, calls: u64) {
        let forked = self.owner.forked();
        stderr::print(&format!(
            "draw-client: {forked}; up to {} that it made were not drawn\n",
            count(calls, "call")
        ));
    }

    /// Prints that an error callback does not return, and is no longer waited for.
    #[cold]
    pub(crate) fn report_undelivered(&self) {
        let calls = self.lock().errors.late.undelivered();
        if calls > 0 {
            stderr::print(&format!(
                "draw-client: an error callback has not returned; the errors of {} are not reported\n",
                count(calls, "call")
            ));
        }
    }
}

impl State {
    /// Notes that the last handle was dropped. Accepted calls continue for a while.
    pub(crate) fn abandon(&mut self, now: Instant) {
        self.lifetime.abandoned = Some(now);
        if self.lifetime.ended.is_some() {
            report_unclaimed(self);
        }
        self.print_last_diagnosis(now);
        self.wake_driver();
        self.end_delay();
    }

    /// Begins to close: no call is accepted from now on, not even one that waits for credit.
    pub(crate) fn close(&mut self, now: Instant) {
        self.lifetime.closing.get_or_insert(now);
        self.print_last_diagnosis(now);
        self.admission.batching.stop_joining();
        self.admission.credit.wake_all();
        self.wake_driver();
        self.end_delay();
    }

    /// Takes the wakers of everything that waits. Calls in the queue for credit keep their places, and give them up
    /// themselves.
    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = Waker> {
        let (credit, waiters) = (self.admission.credit.wakers(), self.completion.waiters.drain());
        credit.chain(waiters).chain(self.lifetime.close_waiters.drain(..))
    }
}
