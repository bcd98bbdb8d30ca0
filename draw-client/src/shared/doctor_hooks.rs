//! Reports to the doctor, if there is one.

use super::{Shared, State};
use crate::clock::now;
use crate::doctor::{self, Diagnosis, Wait};
use crate::error::Error;
use draw_protocol::Request;
use draw_protocol::client::{CallSite, IssuedCall};
use std::time::Instant;

impl Shared {
    /// Returns the diagnosis so far.
    pub(crate) fn diagnosis(&self) -> Option<Diagnosis> {
        let state = self.lock();
        let doctor = state.account.doctor.as_ref()?;
        Some(doctor.diagnosis(state.errors.late.kept_calls(), now()))
    }
}

impl State {
    /// Notes that a call was made. Its time is not given if it joined others.
    #[inline]
    pub(super) fn note_call(
        &mut self,
        number: u64,
        request: &Request<'_>,
        place: Option<CallSite>,
        at: Option<Instant>,
    ) {
        if self.account.doctor.is_some() {
            self.record_call(number, request, place, at);
        }
    }

    /// Separate from the path of every call, which then costs only a branch.
    #[cold]
    #[inline(never)]
    fn record_call(
        &mut self,
        number: u64,
        request: &Request<'_>,
        place: Option<CallSite>,
        at: Option<Instant>,
    ) {
        if let (Some(doctor), Some(place)) = (&mut self.account.doctor, place) {
            doctor.made(number, request, place, at);
        }
    }

    /// Notes that a call was accepted into the offline queue.
    pub(super) fn note_queued(&mut self, request: &Request<'_>, place: CallSite) {
        if let Some(doctor) = &mut self.account.doctor {
            doctor.accepted(request, place);
        }
    }

    /// Notes that a call of the offline queue is made now.
    pub(super) fn note_dequeued(&mut self, made: &IssuedCall, now: Instant) {
        if let (Some(doctor), Some(place)) = (&mut self.account.doctor, made.place) {
            doctor.dequeued(made.number, made.call.method(), place, now);
        }
    }

    /// Notes that a call has failed.
    pub(super) fn note_failed(&mut self, made: &IssuedCall, error: &Error) {
        if let (Some(doctor), Some(place)) = (&mut self.account.doctor, made.place) {
            doctor.failed(made.call.method(), place, error);
        }
    }

    /// Notes that a call could not be accepted.
    #[cold]
    pub(super) fn note_refused(&mut self, request: &Request<'_>, place: CallSite, error: &Error) {
        if let Some(doctor) = &mut self.account.doctor {
            doctor.failed(request.method(), place, error);
        }
    }

    /// Notes that calls may be done.
    pub(super) fn note_done(&mut self, now: Instant) {
        if let Some(doctor) = &mut self.account.doctor {
            doctor.done(self.completion.last_settled(), now);
        }
    }

    /// Notes that a wait for the answer to this call begins.
    pub(super) fn note_wait(&mut self, number: u64, now: Instant) {
        if let Some(doctor) = &mut self.account.doctor {
            match self.offline.queue.get_mut(number) {
                Some(queued) => doctor.queued_answer_awaited(number, queued.method(), queued.place, now),
                None => doctor.answer_awaited(number, now),
            }
        }
    }

    /// Notes that a wait for credit begins.
    pub(super) fn note_turn(&mut self, turn: u64, request: &Request<'_>, place: CallSite, now: Instant) {
        if let Some(doctor) = &mut self.account.doctor {
            doctor.credit_awaited(turn, request.method(), place, now);
        }
    }

    /// Notes that an answer is there.
    #[inline]
    pub(super) fn note_answered(&mut self, number: u64) {
        if let Some(doctor) = &mut self.account.doctor {
            doctor.answered(number);
        }
    }

    /// Notes that a wait is over, if it was one.
    #[inline]
    pub(super) fn note_wait_ended(&mut self, wait: Wait) {
        if let Some(doctor) = &mut self.account.doctor {
            doctor.wait_ended(wait, now);
        }
    }

    /// Notes that late errors are about to be dropped: the program has dropped every handle that could take them.
    pub(super) fn note_unclaimed(&mut self) {
        if let Some(doctor) = &mut self.account.doctor {
            doctor.unclaimed(self.errors.late.kept_calls());
        }
    }

    /// Notes that the connection has ended, and all waits with it.
    pub(super) fn note_end(&mut self, now: Instant) {
        if let Some(doctor) = &mut self.account.doctor {
            doctor.ended(self.completion.last_settled(), now);
        }
        self.print_last_diagnosis(now);
    }

    /// Prints the last diagnosis, if the connection has ended and the program has closed or dropped it. This is done
    /// before `close` or the drop of the last handle returns, since the process may end then.
    pub(super) fn print_last_diagnosis(&mut self, now: Instant) {
        if self.lifetime.ended.is_some()
            && (self.lifetime.closing.is_some() || self.lifetime.abandoned.is_some())
            && let Some(diagnosis) =
                self.account.doctor.as_mut().and_then(|doctor| doctor.last_diagnosis(now))
        {
            doctor::print(&diagnosis);
        }
    }
}
