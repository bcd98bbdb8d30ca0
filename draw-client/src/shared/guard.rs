//! The lock of the state, and what is locked where the state may not be touched.

use super::{Shared, State};
use crate::error::{Error, Lost, Outcome};
use crate::process::Inside;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::Waker;

/// The state, for as long as this lives. The lock is given back before the thread counts as outside: a signal in between finds
/// it free.
pub(crate) struct Guard<'a> {
    state: MutexGuard<'a, State>,
    _inside: Inside,
}

impl Deref for Guard<'_> {
    type Target = State;

    #[inline]
    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Guard<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

/// States of connections that have ended, which stand in for the state where that may not be touched: in a process that was
/// forked, where a thread may have had the lock that is not there any more; and in a thread that has the lock already.
#[derive(Default)]
pub(super) struct StandIns {
    forked: OnceLock<Box<Mutex<State>>>,
    reentrant: OnceLock<Box<Mutex<State>>>,
}

impl Shared {
    /// No code panics while it holds the lock; were it to, what it left is still whole enough to be ended.
    #[inline(always)]
    pub(crate) fn lock(&self) -> Guard<'_> {
        let inside = Inside::enter(self.address());
        if self.stand_ins.forked.get().is_some() {
            return self.lock_forked(inside);
        }
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(state)) => state.into_inner(),
            Err(TryLockError::WouldBlock) => return self.lock_contended(inside),
        };
        let mut state = Guard { state, _inside: inside };
        self.hear_dropped(&mut state);
        state
    }

    /// What callbacks, and threads, know this connection by.
    #[inline]
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Somebody else has the lock, or had it when this process was forked; or this thread itself has.
    #[cold]
    fn lock_contended(&self, inside: Inside) -> Guard<'_> {
        if self.owner.is_other() {
            return self.lock_forked(inside);
        }
        if inside.is_again(self.address()) {
            let state = self.stand_ins.reentrant.get_or_init(|| stand_in(Lost::Reentrant));
            // A handler that interrupts a handler waits for that one: nothing is done with it that takes any time.
            return Guard { state: state.lock().unwrap_or_else(PoisonError::into_inner), _inside: inside };
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = Guard { state, _inside: inside };
        self.hear_dropped(&mut state);
        state
    }

    #[cold]
    fn lock_forked(&self, inside: Inside) -> Guard<'_> {
        let state = self.stand_ins.forked.get_or_init(|| stand_in(self.owner.forked()));
        Guard { state: state.lock().unwrap_or_else(PoisonError::into_inner), _inside: inside }
    }

    /// Whether this process was forked from the one that has connected. Nothing touches the state from then on.
    #[cold]
    pub(crate) fn is_forked(&self) -> bool {
        if self.stand_ins.forked.get().is_some() {
            return true;
        }
        let is_other = self.owner.is_other();
        if is_other {
            self.stand_ins.forked.get_or_init(|| stand_in(self.owner.forked()));
        }
        is_other
    }

    /// Whether this process was forked, and has not found that out before.
    pub(crate) fn has_just_forked(&self) -> bool {
        self.stand_ins.forked.get().is_none() && self.is_forked()
    }

    /// In a process that was forked: whoever waits is to see that nothing comes.
    #[cold]
    pub(crate) fn wake_all(&self) {
        if let Ok(mut state) = self.state.try_lock() {
            state.turns.iter().for_each(|turn| turn.waker.wake_by_ref());
            std::mem::take(&mut state.waiting).into_values().for_each(|(waker, _)| waker.wake());
            std::iter::from_fn(|| state.again.pop_up_to(u64::MAX)).for_each(Waker::wake);
            state.wake_bystanders();
        }
    }

    /// The last handle of a process that was forked, and has not found that out before. What it may have called at once after
    /// it was forked, unseen, is told.
    #[cold]
    pub(crate) fn tell_unseen(&self) {
        let unseen = self.state.try_lock().map_or(0, |state| state.stats.calls - state.known_calls);
        if unseen > 0 {
            crate::say::say(&format!(
                "draw-client: {}; up to {unseen} calls that it made were not drawn\n",
                self.owner.forked()
            ));
        }
    }
}

impl State {
    /// Why this is not the connection's own state, and what is known of a call that was made before.
    #[inline]
    pub(super) fn stands_in(&self) -> Option<Error> {
        match &self.ended {
            Some(Lost::Reentrant) => Some(Error::Reentrant),
            Some(reason @ Lost::Forked { .. }) => {
                Some(Error::Disconnected { reason: reason.clone(), outcome: Outcome::Unknown })
            }
            _ => None,
        }
    }
}

#[cold]
fn stand_in(reason: Lost) -> Box<Mutex<State>> {
    Box::new(Mutex::new(State::ended(reason)))
}
