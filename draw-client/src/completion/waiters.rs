//! Tasks that wait for results, and their deadlines.

use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;
use std::time::Instant;

/// Wakers of tasks that wait for the result of a call. Each call is in at most one of the maps.
#[derive(Default)]
pub(crate) struct Waiters {
    /// By the number of the call. The timeout is the same for all, so deadlines rise with the numbers.
    first: BTreeMap<u64, (Waker, Instant)>,
    /// Replies that are awaited again after their timeout.
    again: Again,
    /// Wakers of calls that are done. They are woken when the lock is free, since they take it at once.
    pub(crate) woken: Vec<Waker>,
}

/// Replies that are awaited again. Their deadlines do not rise with the numbers of their calls.
#[derive(Debug, Default)]
struct Again {
    wakers: BTreeMap<u64, (Waker, Instant)>,
    deadlines: BTreeSet<(Instant, u64)>,
}

impl Again {
    fn insert(&mut self, number: u64, waker: &Waker, deadline: Instant) {
        self.remove(number);
        self.wakers.insert(number, (waker.clone(), deadline));
        self.deadlines.insert((deadline, number));
    }

    fn remove(&mut self, number: u64) -> Option<Waker> {
        let (waker, deadline) = self.wakers.remove(&number)?;
        self.deadlines.remove(&(deadline, number));
        Some(waker)
    }

    /// Takes out one waker of a call up to this number.
    fn pop_up_to(&mut self, number: u64) -> Option<Waker> {
        let first = *self.wakers.first_key_value()?.0;
        if first <= number { self.remove(first) } else { None }
    }

    fn pop_overdue(&mut self, now: Instant) -> Option<Waker> {
        let &(deadline, number) = self.deadlines.first()?;
        if deadline <= now { self.remove(number) } else { None }
    }
}

impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty() && self.again.wakers.is_empty()
    }

    /// Adds the waker of this call, or replaces it by its latest.
    pub(crate) fn insert(&mut self, number: u64, waker: &Waker, deadline: Instant, is_again: bool) {
        if is_again {
            self.again.insert(number, waker, deadline);
        } else if let Some((before, _)) = self.first.get_mut(&number) {
            before.clone_from(waker);
        } else {
            self.first.insert(number, (waker.clone(), deadline));
        }
    }

    /// Takes out the waker of this call.
    pub(crate) fn remove(&mut self, number: u64) -> Option<Waker> {
        let first = self.first.remove(&number).map(|(waker, _)| waker);
        if self.again.wakers.is_empty() { first } else { self.again.remove(number).or(first) }
    }

    /// Moves the wakers of calls up to this number to `woken`.
    pub(crate) fn wake_up_to(&mut self, number: u64) {
        while let Some(first) = self.first.first_entry() {
            if *first.key() > number {
                break;
            }
            self.woken.push(first.remove().0);
        }
        if !self.again.wakers.is_empty() {
            self.woken.extend(std::iter::from_fn(|| self.again.pop_up_to(number)));
        }
    }

    /// Wakes the tasks whose deadline has passed.
    pub(crate) fn wake_overdue(&mut self, now: Instant) {
        while let Some(first) = self.first.first_entry() {
            if first.get().1 > now {
                break;
            }
            first.remove().0.wake();
        }
        if !self.again.wakers.is_empty() {
            std::iter::from_fn(|| self.again.pop_overdue(now)).for_each(Waker::wake);
        }
    }

    /// Returns the earliest deadline.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let first = self.first.first_key_value().map(|(_, (_, deadline))| *deadline);
        let again = self.again.deadlines.first().map(|&(deadline, _)| deadline);
        first.into_iter().chain(again).min()
    }

    /// Takes out all wakers.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Waker> + '_ {
        let first = std::mem::take(&mut self.first).into_values().map(|(waker, _)| waker);
        let again = std::iter::from_fn(|| self.again.pop_up_to(u64::MAX));
        first.chain(again).chain(self.woken.drain(..))
    }
}
