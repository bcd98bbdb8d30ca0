//! Results of replies, from when they are awaited until they are dropped.

use super::{Shared, State};
use crate::clock::now;
use crate::completion::{Failed, ReplyState};
use crate::doctor;
use crate::error::{Error, Outcome, Result};
use draw_protocol::Answer;
use std::task::{Context, Poll};
use std::time::Instant;

impl Shared {
    /// Returns the result of a call once it is done. The deadline is set when it first has to wait, and anew when it has passed and the
    /// reply is awaited again.
    pub(crate) fn poll_result(
        &self,
        number: u64,
        deadline: &mut Option<Instant>,
        is_again: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer>> {
        let mut state = self.lock();
        if let Some(error) = state.stand_in_error() {
            return Poll::Ready(Err(error));
        }
        state.admission.batching.answer_awaited();
        if state.completion.is_done(number) {
            state.completion.waiters.remove(number);
            state.note_answered(number);
            let result = self.take_result(&mut state, number);
            self.check_over(&mut state);
            State::release(state);
            return Poll::Ready(match result {
                None => Ok(Answer::Done(())),
                Some(result) => result.map_err(|failed| failed.error),
            });
        }
        let now = now();
        if deadline.is_none() && self.owner.is_other() {
            self.detach(state);
            return Poll::Ready(Err(self.owner.refuse(Outcome::Unknown)));
        }
        let until = match *deadline {
            Some(until) => until,
            None => {
                state.account.stats.waits += 1;
                state.note_wait(number, now);
                let began = if *is_again { now } else { state.made_at(number).unwrap_or(now) };
                *deadline.insert(began + self.timeout)
            }
        };
        if now >= until {
            state.completion.waiters.remove(number);
            state.note_wait_ended(doctor::Wait::Answer(number));
            (*deadline, *is_again) = (None, true);
            return Poll::Ready(Err(Error::Timeout { after: self.timeout, outcome: Outcome::Unknown }));
        }
        state.completion.waiters.insert(number, cx.waker(), until, *is_again);
        state.set_alarm(until);
        state.end_delay();
        Poll::Pending
    }

    /// Sets what happens to the error of a call whose reply is dropped.
    pub(crate) fn forget(&self, number: u64, reply: ReplyState) {
        let mut state = self.lock();
        state.completion.waiters.remove(number);
        state.note_wait_ended(doctor::Wait::Answer(number));
        if let Some(its) = state.reply(number) {
            *its = reply;
            return;
        }
        self.forget_result(&mut state, number, reply);
        State::release(state);
    }

    /// Does the same for a call that is done, or was dropped.
    pub(super) fn forget_result(&self, state: &mut State, number: u64, reply: ReplyState) {
        match self.take_result(state, number) {
            // The reply has returned that the outcome is unknown: see `ReplyState::TimedOut`.
            Some(Err(failed))
                if reply == ReplyState::TimedOut && matches!(failed.error, Error::Disconnected { .. }) =>
            {
                state.errors.deferred.drop(failed.tag);
            }
            Some(Err(failed)) if reply != ReplyState::Ignored => self.dispatch(state, failed),
            Some(Err(failed)) => state.errors.deferred.drop(failed.tag),
            _ => {}
        }
        // This may have been the last.
        self.check_over(state);
    }

    fn take_result(&self, state: &mut State, number: u64) -> Option<Result<Answer, Failed>> {
        // Usually there are none, and the flag says so already.
        if !state.completion.has_results() {
            return None;
        }
        let result = state.completion.take(number);
        if !state.completion.has_results() {
            self.last_dropped.set_results(false);
        }
        result
    }

    /// Notes that there may be results for replies that live. To be called when their calls are settled.
    pub(super) fn keep_results(&self, state: &mut State) {
        if state.completion.has_results() {
            self.last_dropped.set_results(true);
            self.note_dropped(state);
        }
    }
}
