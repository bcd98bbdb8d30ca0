//! Accepts calls, and wakes the driver for them.

use super::{State, Wait};
use crate::admission::{Admitted, Batching, WhileOffline};
use crate::completion::Caller;
use crate::error::{Error, Result};
use crate::{doctor, limits};
use draw_protocol::Request;
use draw_protocol::client::Origin;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;
use tracing::Span;

impl State {
    /// Makes a call as the last one was made, if it may: without checks, and with the same time. The driver knows
    /// already that there is something to send.
    #[inline(always)]
    pub(super) fn join(
        &mut self,
        span: Option<&Arc<Span>>,
        request: &Request<'_>,
        caller: &Caller<'_>,
        wait: &Wait,
    ) -> Option<u64> {
        // (A call in the queue for credit takes its turn, or those behind it would wait for it.)
        if wait.turn.is_some() || !self.admission.batching.may_join() {
            return None;
        }
        let made = self.machine.join(request, Some(caller.place))?;
        let number = self.completion.newest(made);
        self.admission.batching.join();
        self.accepted(number, caller, span);
        self.note_call(number, request, Some(caller.place), None);
        Some(number)
    }

    /// Returns whether this call may be made now.
    #[inline(always)]
    pub(super) fn may_call(
        &mut self,
        request: &Request<'_>,
        turn: Option<(u64, Instant)>,
        shared: usize,
    ) -> Result<Admitted> {
        self.lifetime.check()?;
        if self.offline.policy != WhileOffline::Wait
            && let Some(admitted) = self.admit_offline(request, shared)?
        {
            return Ok(admitted);
        }
        let undelivered = self.errors.undelivered();
        if self.admission.credit.is_turn_of(turn) && self.machine.has_credit(request, undelivered) {
            return Ok(Admitted::Now);
        }
        if self.offline.policy == WhileOffline::DropOldest && request.method().may_be_dropped() {
            return Ok(Admitted::Queue);
        }
        if crate::completion::is_callback_of(shared) {
            // Waiting for credit here could last for ever: it is this callback that frees it.
            let (calls, bytes) = (limits::CALLBACK_CALLS, limits::CALLBACK_BYTES);
            let is_within = self.machine.has_credit_beyond(request, undelivered, calls, bytes);
            return if is_within {
                Ok(Admitted::Now)
            } else {
                Err(Error::WouldDeadlock { in_callback: true })
            };
        }
        Ok(Admitted::Wait)
    }

    /// Makes a call, and returns its number.
    #[inline(always)]
    pub(super) fn call(
        &mut self,
        request: &Request<'_>,
        at: Instant,
        caller: &Caller<'_>,
        span: Option<&Arc<Span>>,
    ) -> Result<u64> {
        let made = self.machine.call(request, Origin { at, place: Some(caller.place) })?;
        let number = self.completion.newest(made);
        self.accepted(number, caller, span);
        self.account.confirm();
        self.note_call(number, request, Some(caller.place), Some(at));
        Ok(number)
    }

    #[inline]
    fn accepted(&mut self, number: u64, caller: &Caller<'_>, span: Option<&Arc<Span>>) {
        self.completion.accept(number, caller.scope, span);
        self.account.stats.calls += 1;
    }

    /// Returns whether a caller yields before it continues: the driver has a full write, or has waited for long.
    /// Otherwise a loop of calls that are always ready would never stop. (Writing in the caller's own time instead,
    /// while the bytes are in the cache, was no faster with few connections and a quarter slower with 512.)
    pub(super) fn must_yield(&mut self, now: Instant) -> bool {
        self.admission.driver.is_woken && self.admission.batching.must_yield(self.machine.unsent(), now)
    }

    /// Returns whether the unsent bytes fill a write.
    pub(crate) fn has_full_write(&self) -> bool {
        Batching::is_full(self.machine.unsent())
    }

    /// Gives a call a place in the queue for credit.
    pub(super) fn queue(&mut self, deadline: Instant, waker: &Waker) -> (u64, Instant) {
        self.account.stats.waits += 1;
        self.admission.batching.stop_joining();
        self.admission.credit.push(deadline, waker)
    }

    /// Gives up a place in the queue for credit. The call that is first then may proceed.
    pub(crate) fn leave_queue(&mut self, id: u64) {
        self.admission.credit.remove(id);
        self.note_wait_ended(doctor::Wait::Credit(id));
    }

    /// Notes that the driver takes all that is unsent. It runs in the process that has connected.
    pub(crate) fn driver_ran(&mut self) {
        self.account.confirm();
        self.admission.batching.driver_ran();
    }

    pub(crate) fn wake_driver(&mut self) {
        if !std::mem::replace(&mut self.admission.driver.is_woken, true) {
            self.admission.batching.driver_woken();
            if let Some(driver) = &self.admission.driver.waker {
                driver.wake_by_ref();
            }
        }
    }

    pub(crate) fn register_driver(&mut self, waker: &Waker) {
        match &mut self.admission.driver.waker {
            Some(driver) => driver.clone_from(waker),
            None => self.admission.driver.waker = Some(waker.clone()),
        }
    }
}
