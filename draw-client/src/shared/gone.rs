//! What becomes of calls that are made while the display is gone or, where the oldest are to be dropped, behind.
//!
//! Where the oldest are to be dropped, they wait in the [`Room`](super::room::Room) and not in the machine: what the machine
//! has numbered for the display cannot be taken back, and it may be full of what was sent before. They go on to it, in order,
//! when there is another connection, or credit. Until they all have, no other call is made, so that none overtakes them.

use super::room::Waiting;
use super::{Fate, Guard, Shared, State, now};
use crate::error::{Error, Lost, Result};
use crate::late::{Failed, FailedCall, is_callback_of};
use crate::options::WhileOffline;
use crate::scope::{Caller, Tag};
use crate::status::Status;
use draw_protocol::Request;
use draw_protocol::client::Made;
use std::sync::Arc;
use std::time::Instant;
use tracing::Span;

/// What is to be done with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// It is made now.
    On,
    /// It has to wait for its turn, or for credit.
    Later,
    /// It is accepted, and waits until the display is back.
    Aside,
}

impl Shared {
    /// Accepts a call while the display is gone, and answers its number. Older ones may have to go for it.
    #[cold]
    pub(super) fn set_aside(
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
        state.room.push(number, request, at, caller.place, Tag { scope: inner, span: span.cloned() });
        state.stats.calls += 1;
        state.note_aside(request, caller.place);
        while let Some(oldest) = state.room.overflow() {
            self.drop_call(&mut state, oldest);
        }
        self.keep_results(&mut state);
        // It may be what this task's runtime has not come to for a while.
        state.wake_driver();
        State::release(state);
        Ok(number)
    }

    /// A call is dropped for newer ones.
    fn drop_call(&self, state: &mut State, oldest: Waiting) {
        state.dropped_calls += 1;
        if oldest.fate == Fate::Dropped {
            state.note_failed(&oldest.made(), &Error::Dropped);
            let tag = &oldest.tag;
            let listener = tag.scope.as_ref().unwrap_or(&self.outermost).listener();
            let last = state.last_number();
            let call = || FailedCall::new(oldest.made(), last, tag, now());
            state.dropped.add(listener, tag.span.as_ref(), call);
            state.after.drop(oldest.tag);
            return;
        }
        self.fail(state, oldest.fate, oldest.made(), oldest.tag, Error::Dropped, now());
    }

    /// A call has failed before those before it are done. Its outcome goes where its fate says.
    fn fail(&self, state: &mut State, fate: Fate, made: Made, tag: Tag, error: Error, now: Instant) {
        state.note_failed(&made, &error);
        let call = state.failed_call(made, &tag, now);
        let failed = Failed { call, error, tag };
        match fate {
            Fate::Awaited => _ = state.results.insert(made.number, Err(failed)),
            Fate::Dropped | Fate::TimedOut => self.tell(state, failed),
            Fate::Ignored => state.after.drop(failed.tag),
        }
        if let Some(waker) = state.stop_waiting(made.number) {
            waker.wake();
        }
    }

    /// The time without a display, or of one that was behind, is over: everybody hears what was dropped in it.
    pub(super) fn tell_dropped(&self, state: &mut State) {
        for (listener, telling) in state.dropped.take() {
            self.pass_on(state, listener, telling);
        }
    }

    /// Makes calls that were set aside, as far as there is credit.
    #[inline]
    pub(super) fn go_on(&self, state: &mut State) {
        if !state.room.is_empty() && state.away.is_none() && state.ended.is_none() {
            self.empty_room(state);
        }
    }

    #[cold]
    fn empty_room(&self, state: &mut State) {
        let now = now();
        loop {
            let undelivered = state.undelivered();
            let Some(first) = state.room.first() else { break };
            let made = match first.request() {
                Ok(request) if !state.machine.has_credit(&request, undelivered) => break,
                Ok(request) => state.machine.call(&request, first.origin()),
                Err(fault) => Err(fault),
            };
            let Some(first) = state.room.pop() else { break };
            if first.method().is_barrier() {
                // Whoever waits for it is to be told of what failed before.
                self.tell_dropped(state);
            }
            match made {
                Ok(made) => {
                    state.numbers.begin(made, first.number);
                    state.fates.push_back(first.fate);
                    let scope = first.tag.scope.as_ref().unwrap_or(&self.outermost);
                    state.tags.note(first.number, scope, first.tag.span.as_ref());
                    state.note_goes_on(&first.made(), now);
                    state.after.drop(first.tag);
                }
                Err(fault) => {
                    self.fail(state, first.fate, first.made(), first.tag, Error::Fault(fault), now);
                }
            }
        }
        if state.room.is_empty() {
            self.tell_dropped(state);
            state.has_caught_up = state.dropped_calls > 0;
            // What follows has the next number, although this one's call may never have been made.
            let next = state.machine.last_call() + 1;
            state.numbers.begin(next, state.room.last_number() + 1);
        }
        state.find_first();
        self.keep_results(state);
        state.wake_driver();
    }

    /// There will be no other connection: what was set aside has certainly not been sent.
    pub(super) fn give_up_aside(&self, state: &mut State, error: &Error, now: Instant) -> Vec<Failed> {
        let mut dropped = Vec::new();
        while let Some(waiting) = state.room.pop() {
            let made = waiting.made();
            let call = state.failed_call(made, &waiting.tag, now);
            let failed = Failed { call, error: error.clone(), tag: waiting.tag };
            state.note_failed(&made, error);
            match waiting.fate {
                Fate::Awaited => _ = state.results.insert(made.number, Err(failed)),
                Fate::Dropped => dropped.push(failed),
                Fate::TimedOut | Fate::Ignored => state.after.drop(failed.tag),
            }
        }
        dropped
    }
}

impl State {
    /// Which way a call goes while the display is gone, or while others have to go on first that were set aside meanwhile;
    /// nothing if that makes no difference to it.
    #[cold]
    pub(super) fn way_while_gone(&self, request: &Request<'_>, shared: usize) -> Result<Option<Way>> {
        match (&self.away, self.while_gone) {
            (_, WhileOffline::Wait) => Ok(None),
            (None, _) if self.room.is_empty() => Ok(None),
            (Some(reason), WhileOffline::Fail) => Err(Error::Offline { reason: reason.clone().into() }),
            (None, WhileOffline::Fail) => Ok(None),
            (_, WhileOffline::DropOldest) if request.method().may_be_dropped() => Ok(Some(Way::Aside)),
            (_, WhileOffline::DropOldest) if self.room.has_place(request) => Ok(Some(Way::Aside)),
            // A callback does not wait for those before it: it may be what they wait for.
            (_, WhileOffline::DropOldest) if is_callback_of(shared) => {
                Err(Error::WouldDeadlock { in_callback: true })
            }
            (_, WhileOffline::DropOldest) => Ok(Some(Way::Later)),
        }
    }

    /// The connection is lost, and there may be another.
    pub(crate) fn lose(&mut self, reason: Lost) {
        self.away = Some(reason);
        self.pace.check_next();
        if self.while_gone != WhileOffline::Wait {
            // Those that wait for credit need not any more.
            self.turns.iter().for_each(|turn| turn.waker.wake_by_ref());
        }
    }

    /// What is to be said of what was dropped since the connection was lost.
    pub(crate) fn take_dropped(&mut self) -> Option<Status> {
        self.has_caught_up = false;
        let calls = std::mem::take(&mut self.dropped_calls);
        (calls > 0).then_some(Status::Dropped { calls })
    }

    /// Number of the call that was accepted last.
    pub(super) fn last_number(&self) -> u64 {
        if self.room.is_empty() {
            return self.numbers.newest(self.machine.last_call());
        }
        self.room.last_number()
    }
}
