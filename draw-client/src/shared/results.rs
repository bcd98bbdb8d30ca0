//! What replies say, from when they are awaited until they are dropped.

use super::{Fate, Shared, State, now};
use crate::doctor;
use crate::error::{Error, Outcome, Result};
use crate::late::Failed;
use draw_protocol::Answer;
use std::task::{Context, Poll};
use std::time::Instant;

impl Shared {
    /// The result of a call, once it is done. Its deadline is set when it first has to wait, and again when that is over and it
    /// goes on waiting.
    pub(crate) fn poll_result(
        &self,
        number: u64,
        deadline: &mut Option<Instant>,
        is_again: &mut bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Answer>> {
        let mut state = self.lock();
        if let Some(error) = state.stands_in() {
            return Poll::Ready(Err(error));
        }
        state.pace.answer_waited_for();
        if state.is_settled(number) || state.results.contains_key(&number) {
            state.stop_waiting(number);
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
            self.leave(state);
            return Poll::Ready(Err(self.owner.refuse(Outcome::Unknown)));
        }
        let until = match *deadline {
            Some(until) => until,
            None => {
                state.stats.waits += 1;
                state.note_wait(number, now);
                let began = if *is_again { now } else { state.made_at(number).unwrap_or(now) };
                *deadline.insert(began + self.timeout)
            }
        };
        if now >= until {
            state.stop_waiting(number);
            state.note_wait_ended(doctor::Wait::Answer(number));
            (*deadline, *is_again) = (None, true);
            return Poll::Ready(Err(Error::Timeout { after: self.timeout, outcome: Outcome::Unknown }));
        }
        if *is_again {
            state.again.insert(number, cx.waker(), until);
        } else {
            match state.waiting.get_mut(&number) {
                Some((waker, _)) => waker.clone_from(cx.waker()),
                None => _ = state.waiting.insert(number, (cx.waker().clone(), until)),
            }
        }
        state.set_alarm(until);
        state.end_nap();
        Poll::Pending
    }

    /// The reply of a call is given up: whatever comes of it goes to `fate`.
    pub(crate) fn forget(&self, number: u64, fate: Fate) {
        let mut state = self.lock();
        state.stop_waiting(number);
        state.note_wait_ended(doctor::Wait::Answer(number));
        if let Some(its) = state.fate(number) {
            *its = fate;
            return;
        }
        self.forget_result(&mut state, number, fate);
        State::release(state);
    }

    /// The same for a call that is done, or was dropped.
    pub(super) fn forget_result(&self, state: &mut State, number: u64, fate: Fate) {
        match self.take_result(state, number) {
            // It has told that it is unknown; see `Fate::TimedOut`.
            Some(Err(failed))
                if fate == Fate::TimedOut && matches!(failed.error, Error::Disconnected { .. }) =>
            {
                state.after.drop(failed.tag);
            }
            Some(Err(failed)) if fate != Fate::Ignored => self.tell(state, failed),
            Some(Err(failed)) => state.after.drop(failed.tag),
            _ => {}
        }
        // This may have been the last.
        self.check_over(state);
    }

    fn take_result(&self, state: &mut State, number: u64) -> Option<Result<Answer, Failed>> {
        // Mostly there are none, and then the flag says so already.
        if state.results.is_empty() {
            return None;
        }
        let result = state.results.remove(&number);
        if state.results.is_empty() {
            self.last_dropped.set_results(false);
        }
        result
    }

    /// Results may have come in for replies that live. To be called when their fates are settled.
    pub(super) fn keep_results(&self, state: &mut State) {
        if !state.results.is_empty() {
            self.last_dropped.set_results(true);
            self.hear_dropped(state);
        }
    }
}
