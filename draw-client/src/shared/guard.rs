//! The lock of the state, and stand-ins where the state must not be used.

use super::{Shared, State};
use crate::error::{Error, Lost, Outcome};
use crate::process::{Inside, Outer, try_lock};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::task::Waker;
use std::time::Duration;

/// How long a thread that is inside of another connection waits for the lock of this one. The lock is held for microseconds, and
/// longer only if threads wait for each other.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// How often locking the state is tried in a forked process, where the thread that holds it may not exist.
const LOCK_TRIES: usize = 1_000;

/// The locked state. The lock is given back before the thread counts as outside, so a signal in between finds it free.
pub(crate) struct Guard<'a> {
    state: MutexGuard<'a, State>,
    _inside: Inside,
}

impl<'a> Guard<'a> {
    #[inline(always)]
    pub(super) fn of(inside: Inside, state: MutexGuard<'a, State>) -> Guard<'a> {
        Guard { state, _inside: inside }
    }
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

/// Stand-ins for the state where it must not be used.
#[derive(Default)]
pub(super) struct StandIns {
    /// For a forked process, where the thread that held the lock may not exist.
    forked: StandIn,
    /// For a thread that holds the lock already.
    reentrant: StandIn,
}

/// States of connections that have ended.
#[derive(Default)]
struct StandIn(OnceLock<Box<(Mutex<State>, StandIn)>>);

impl StandIn {
    /// Locks the first one that is free. It does not wait: a signal handler may have interrupted the holder.
    fn lock(&self, reason: &Lost) -> MutexGuard<'_, State> {
        let mut next = self;
        loop {
            let stand_in = next
                .0
                .get_or_init(|| Box::new((Mutex::new(State::ended(reason.clone())), StandIn::default())));
            match try_lock(&stand_in.0) {
                Some(state) => return state,
                None => next = &stand_in.1,
            }
        }
    }

    fn is_used(&self) -> bool {
        self.0.get().is_some()
    }
}

impl Shared {
    /// Locks the state, or a stand-in.
    #[inline(always)]
    pub(crate) fn lock(&self) -> Guard<'_> {
        let (inside, state) = self.lock_in_parts();
        Guard::of(inside, state)
    }

    /// Does the same for the path of every call: the parts stay in registers. The second has to be dropped before the first.
    #[inline(always)]
    pub(super) fn lock_in_parts(&self) -> (Inside, MutexGuard<'_, State>) {
        let inside = Inside::enter(self.mark);
        let state = match try_lock(&self.state) {
            Some(mut state) => {
                self.note_dropped(&mut state);
                state
            }
            None => self.lock_contended(inside.outer()),
        };
        (inside, state)
    }

    /// Locks the state that another thread holds, or held when this process was forked, or this thread itself holds.
    #[cold]
    fn lock_contended(&self, outer: Outer) -> MutexGuard<'_, State> {
        if self.owner.is_other() {
            return self.stand_ins.forked.lock(&self.owner.forked());
        }
        let Some(mut state) = outer.wait_for(&self.state, self.mark, LOCK_TIMEOUT) else {
            return self.stand_ins.reentrant.lock(&Lost::Reentrant);
        };
        self.note_dropped(&mut state);
        state
    }

    /// Returns whether this process was forked from the one that has connected.
    pub(crate) fn is_forked(&self) -> bool {
        self.owner.is_other()
    }

    /// Detaches from the state, if this process was forked and has not noticed before. Returns how many calls it may
    /// have made since.
    pub(crate) fn detach_if_forked(&self) -> Option<u64> {
        if !self.is_forked() || self.stand_ins.forked.is_used() {
            return None;
        }
        let state = (0..LOCK_TRIES).find_map(|_| {
            let inside = Inside::enter(self.mark);
            let state = try_lock(&self.state);
            if state.is_none() {
                std::thread::yield_now();
            }
            state.map(|state| Guard::of(inside, state))
        });
        Some(state.map_or(0, |state| self.detach(state)))
    }

    /// Detaches from the state in a forked process: its lock is never given back. Wakers are kept for the driver.
    /// Returns how many calls may have been made since the fork.
    #[cold]
    pub(super) fn detach(&self, state: Guard<'_>) -> u64 {
        let Guard { mut state, _inside } = state;
        self.stand_ins
            .forked
            .lock(&self.owner.forked())
            .completion
            .waiters
            .woken
            .extend(state.take_waiting());
        let unseen = state.account.unseen();
        std::mem::forget(state);
        unseen
    }

    /// Detaches the driver in a forked process, and wakes everything that waits.
    #[cold]
    pub(crate) fn detach_with_driver(&self) {
        self.detach_if_forked();
        let woken =
            std::mem::take(&mut self.stand_ins.forked.lock(&self.owner.forked()).completion.waiters.woken);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    /// Returns the error of a call that was made before, if this is a stand-in.
    #[inline]
    pub(super) fn stand_in_error(&self) -> Option<Error> {
        match &self.lifetime.ended {
            Some(Lost::Reentrant) => Some(Error::WouldDeadlock { in_callback: false }),
            Some(reason @ Lost::Forked { .. }) => {
                Some(Error::Disconnected { reason: reason.clone().into(), outcome: Outcome::Unknown })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::now;
    use crate::error::DisconnectReason;
    use crate::process::Owner;
    use crate::reconnect;
    use crate::reconnect::NEVER;
    use crate::transport::Writer;
    use draw_printer::Printer;
    use draw_protocol::Hello;
    use draw_protocol::client::Connection;
    use std::sync::mpsc;

    fn shared() -> Shared {
        let writer = Writer::new(Box::new(tokio::io::sink()), Printer::default());
        let reconnect = reconnect::machine(NEVER, now(), now());
        Shared::new(Connection::new(&Hello::new("a test")), writer, Duration::from_secs(1), reconnect)
    }

    /// Runs `what` on a thread of its own, and fails if it does not end.
    fn soon(what: impl FnOnce() + Send + 'static) {
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            what();
            tell.send(())
        });
        told.recv_timeout(Duration::from_secs(60)).expect("it does not wait for itself");
    }

    #[test]
    fn a_handler_that_interrupts_a_handler_within_a_call_does_not_wait_for_it() {
        soon(|| {
            let shared = shared();
            let own = shared.lock();
            let first = shared.lock();
            let second = shared.lock();
            let told = [own.stand_in_error(), first.stand_in_error(), second.stand_in_error()];
            assert!(
                matches!(told, [None, Some(Error::WouldDeadlock { .. }), Some(Error::WouldDeadlock { .. })]),
                "{told:?}"
            );
            drop((second, first, own));
            assert!(shared.lock().stand_in_error().is_none(), "it goes on");
        });
    }

    #[test]
    fn a_state_that_was_left_is_stood_in_for_by_all_who_ask_at_once() {
        soon(|| {
            let mut shared = shared();
            shared.owner = Owner::elsewhere();
            assert_eq!(shared.detach_if_forked(), Some(0));
            assert_eq!(shared.detach_if_forked(), None, "it is known");
            let (first, second) = (shared.lock(), shared.lock());
            for state in [&first, &second] {
                let told = state.stand_in_error();
                assert!(
                    matches!(told, Some(Error::Disconnected { reason: DisconnectReason::Forked { .. }, .. })),
                    "{told:?}"
                );
            }
        });
    }

    #[test]
    fn a_thread_inside_of_another_connection_waits_for_a_lock_that_comes_free() {
        soon(|| {
            let (a, b) = (shared(), shared());
            let (tell, told) = mpsc::channel();
            std::thread::scope(|scope| {
                let held = b.lock();
                scope.spawn(|| {
                    let _inside = a.lock();
                    tell.send(()).expect("it is waited for");
                    assert!(b.lock().stand_in_error().is_none());
                });
                told.recv().expect("the other thread is inside");
                drop(held);
            });
        });
    }
}
