//! How a connection ends: by `close`, with its last handle, or for a reason of its own.

use super::{Fate, Shared, State, now};
use crate::blocking::wait::wait_until;
use crate::error::{Error, Late, Lost, Outcome, Result};
use crate::late::{Failed, LateError, Telling};
use crate::say;
use crate::scope::Scope;
use draw_protocol::client::{GivenUp, Made};
use draw_protocol::limits;
use draw_protocol::text::excerpt;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Characters of the error that is printed: a display may have had a say in its text.
const LONGEST: usize = 1_000;

impl Shared {
    /// The connection is over. Every call that is not done becomes Unknown, or Rejected if nothing of it was sent; each is
    /// named once.
    pub(crate) fn end(&self, reason: Lost) {
        let mut state = self.lock();
        if state.ended.is_none() {
            self.end_now(&mut state, reason);
        }
        State::release(state);
    }

    fn end_now(&self, state: &mut State, reason: Lost) {
        let now = now();
        // A reason that the other side gave is better than the one that the system has.
        let reason = match (state.machine.goodbye(), reason) {
            (Some(fault), Lost::Eof | Lost::Io(_)) => Lost::Goodbye(fault.clone()),
            (_, reason) => reason,
        };
        let [unknown, rejected] = [Outcome::Unknown, Outcome::Rejected]
            .map(|outcome| Error::Disconnected { reason: reason.clone().into(), outcome });
        let GivenUp { begun, unsent, .. } = state.machine.give_up();
        let begun = self.give_up(state, begun, &unknown, now);
        let mut unsent = self.give_up(state, unsent, &rejected, now);
        state.settle();
        self.tell_lost(state, begun, &unknown);
        self.tell_dropped(state);
        unsent.extend(self.give_up_aside(state, &rejected, now));
        self.tell_lost(state, unsent, &rejected);
        // Not before: what nobody is left to be told of is told at once, and together.
        state.ended = Some(reason);
        self.keep_results(state);
        if state.abandoned.is_some() {
            report_unheard(state);
        }
        state.note_end(now);
        state.take_waiting().for_each(Waker::wake);
        self.check_over(state);
    }

    /// These calls have failed with the connection, all with the same error. Those that nobody waits for are answered: they
    /// are to be told.
    pub(super) fn give_up(
        &self,
        state: &mut State,
        lost: Vec<Made>,
        error: &Error,
        now: Instant,
    ) -> Vec<Failed> {
        let mut dropped = Vec::new();
        for made in lost {
            let made = state.numbered(made);
            let (tag, fate) = (state.tags.of(made.number), state.fate_of(made.number));
            let call = state.failed_call(made, &tag, now);
            let failed = Failed { call, error: error.clone(), tag };
            state.note_failed(&made, error);
            match fate {
                Fate::Awaited => _ = state.results.insert(made.number, Err(failed)),
                Fate::Dropped => dropped.push(failed),
                Fate::TimedOut | Fate::Ignored => {}
            }
        }
        dropped
    }

    /// Tells of calls that have failed with the connection: each callback is called once, with all that are its.
    pub(super) fn tell_lost(&self, state: &mut State, lost: Vec<Failed>, error: &Error) {
        let (mut places, mut tellings) = (HashMap::new(), Vec::<(Option<Arc<Scope>>, Vec<_>, Vec<_>)>::new());
        for Failed { call, tag, .. } in lost {
            let listener = tag.scope.as_ref().unwrap_or(&self.outermost).listener();
            let place = *places.entry(listener.map(Arc::as_ptr)).or_insert_with(|| {
                tellings.push((listener.cloned(), Vec::new(), Vec::new()));
                tellings.len() - 1
            });
            tellings[place].1.push(call);
            tellings[place].2.push(tag.span.clone());
            state.after.drop(tag);
        }
        for (listener, calls, spans) in tellings {
            self.pass_on(state, listener, Telling::new(LateError::lost(calls, error.clone()), spans));
        }
    }

    /// What `close` answers, once the connection has ended and the callbacks have heard of everything. A callback itself
    /// does not wait for that.
    pub(crate) fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut state = self.lock();
        if let Some(error) = state.stands_in() {
            return Poll::Ready(Err(error));
        }
        if let Some(reason) = state.ended.clone()
            && (self.is_callback() || state.late.undelivered() == 0)
        {
            return Poll::Ready(match (state.late.take_kept(), reason) {
                (Some(late), _) => Err(Error::Late(late)),
                (None, Lost::Closed) => Ok(()),
                (None, reason) => {
                    Err(Error::Disconnected { reason: reason.into(), outcome: Outcome::Unknown })
                }
            });
        }
        // Polled again and again beside something else, it still waits once.
        if !state.bystanders.iter().any(|waker| waker.will_wake(cx.waker())) {
            state.bystanders.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// How long `close` waits at most: the driver bounds the wait for the display by the timeout, and the callbacks have
    /// as long to hear of it.
    pub(crate) fn longest_close(&self) -> Duration {
        self.timeout.saturating_mul(2)
    }

    /// What `close` answers when that is over.
    pub(crate) fn not_closed(&self) -> Error {
        Error::Timeout { after: self.longest_close(), outcome: Outcome::Unknown }
    }

    /// Whether this is the thread of this connection's error callbacks.
    pub(crate) fn is_callback(&self) -> bool {
        crate::late::is_callback_of(self.address())
    }
}

/// Nobody is left to ask for the late errors: they are told on standard error, and by an event. The program may end as soon as
/// the last handle is gone, so they are printed before that.
pub(super) fn report_unheard(state: &mut State) {
    state.note_untold();
    if let Some(late) = state.late.take_kept() {
        // Whoever was told by `sync` that the connection is lost knows what that means for the calls before it.
        let is_loss = |late: &LateError| matches!(late.error(), Error::Disconnected { .. });
        if !(state.is_loss_told && late.errors().iter().all(is_loss)) {
            say::say(&untold(&late));
        }
        state.after.report_unheard(late);
    }
}

fn untold(late: &Late) -> String {
    let (total, first) = (late.total(), late.errors().first());
    let calls = if total == 1 { "call" } else { "calls" };
    let first = first.map(|first| excerpt(&first.to_string(), LONGEST)).unwrap_or_default();
    let which = if total == 1 { "" } else { "the first: " };
    format!(
        "draw-client: {total} {calls} failed and nobody was told: {which}{first}\n\
         draw-client: to hear of it, set `on_error` of `ConnectOptions`, or call `sync` or `close` before the display is dropped\n"
    )
}

impl Shared {
    /// Ready when the callbacks have heard of everything.
    pub(crate) fn poll_told(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.late.undelivered() == 0 {
            return Poll::Ready(());
        }
        state.bystanders.push(cx.waker().clone());
        Poll::Pending
    }

    /// Ends the connection because nobody carries it any more. The process may be about to end too: callbacks that nobody else
    /// waits for are given time to hear of it.
    pub(crate) fn end_with_driver(&self) {
        let is_last = {
            let state = self.lock();
            state.ended.is_none() && state.abandoned.is_some()
        };
        self.end(Lost::DriverGone);
        if is_last && !self.is_callback() {
            let deadline = Instant::now() + limits::FAREWELL;
            if wait_until(poll_fn(|cx| self.poll_told(cx)), deadline).is_none() {
                self.report_undelivered();
            }
        }
    }

    /// What was called at once after a fork, unseen, and whose callers heard of no error.
    #[cold]
    pub(crate) fn tell_unseen(&self, calls: u64) {
        let forked = self.owner.forked();
        say::say(&format!("draw-client: {forked}; up to {calls} calls that it made were not drawn\n"));
    }

    /// An error callback does not come to its end, and nobody waits for it any longer.
    #[cold]
    pub(crate) fn report_undelivered(&self) {
        let calls = self.lock().late.undelivered();
        if calls > 0 {
            say::say(&format!(
                "draw-client: an error callback has not come to its end; it was to hear of {calls} calls that failed\n"
            ));
        }
    }
}

impl State {
    /// The last handle is gone: what was accepted goes on for a while.
    pub(crate) fn abandon(&mut self, now: Instant) {
        self.abandoned = Some(now);
        if self.ended.is_some() {
            report_unheard(self);
        }
        self.say_last_words(now);
        self.wake_driver();
        self.end_nap();
    }

    /// No call is accepted from now on, not one that waits for credit either.
    pub(crate) fn close(&mut self, now: Instant) {
        self.closing.get_or_insert(now);
        self.say_last_words(now);
        self.pace.check_next();
        self.turns.iter().for_each(|turn| turn.waker.wake_by_ref());
        self.wake_driver();
        self.end_nap();
    }

    /// Whether this side wants the connection to end, when it must at the latest, and how long that is.
    pub(crate) fn farewell(&self, timeout: Duration) -> Option<(Instant, Duration)> {
        let abandoned = self.abandoned.map(|since| (since + limits::FAREWELL, limits::FAREWELL));
        let closing = self.closing.map(|since| (since + timeout, timeout));
        abandoned.into_iter().chain(closing).min()
    }

    /// Everybody who waits for anything. Those in the queue for credit keep their places, and give them up themselves.
    pub(super) fn take_waiting(&mut self) -> impl Iterator<Item = Waker> {
        let turns = self.turns.iter().map(|turn| turn.waker.clone());
        let replies = std::mem::take(&mut self.waiting).into_values().map(|(waker, _)| waker);
        let again = std::iter::from_fn(|| self.again.pop_up_to(u64::MAX));
        turns.chain(replies).chain(again).chain(self.woken.drain(..)).chain(self.bystanders.drain(..))
    }

    pub(crate) fn wake_bystanders(&mut self) {
        self.bystanders.drain(..).for_each(Waker::wake);
    }
}
