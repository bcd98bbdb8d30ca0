//! Until when those wait who wait, and who sees to it.

use super::State;
use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;
use std::time::Instant;

/// Those who wait again. Their deadlines do not rise with the numbers of their calls.
#[derive(Debug, Default)]
pub(super) struct Again {
    wakers: BTreeMap<u64, (Waker, Instant)>,
    deadlines: BTreeSet<(Instant, u64)>,
}

impl Again {
    pub(super) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    pub(super) fn insert(&mut self, number: u64, waker: &Waker, deadline: Instant) {
        self.remove(number);
        self.wakers.insert(number, (waker.clone(), deadline));
        self.deadlines.insert((deadline, number));
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Waker> {
        let (waker, deadline) = self.wakers.remove(&number)?;
        self.deadlines.remove(&(deadline, number));
        Some(waker)
    }

    /// Takes out one that waits for a call up to this number.
    pub(super) fn pop_up_to(&mut self, number: u64) -> Option<Waker> {
        let first = *self.wakers.first_key_value()?.0;
        if first <= number { self.remove(first) } else { None }
    }

    fn pop_overdue(&mut self, now: Instant) -> Option<Waker> {
        let &(deadline, number) = self.deadlines.first()?;
        if deadline <= now { self.remove(number) } else { None }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|&(deadline, _)| deadline)
    }
}

impl State {
    /// Whoever waited for this call's answer does not any more. Answers how to wake him.
    pub(super) fn stop_waiting(&mut self, number: u64) -> Option<Waker> {
        let waiting = self.waiting.remove(&number).map(|(waker, _)| waker);
        if self.again.is_empty() { waiting } else { self.again.remove(number).or(waiting) }
    }

    /// Wakes those whose deadline has passed; they see it for themselves. What is left lies ahead.
    pub(crate) fn wake_overdue(&mut self, now: Instant) {
        while let Some(first) = self.waiting.first_entry() {
            if first.get().1 > now {
                break;
            }
            first.remove().0.wake();
        }
        if !self.again.is_empty() {
            std::iter::from_fn(|| self.again.pop_overdue(now)).for_each(Waker::wake);
        }
        // A turn that is over is given up here, since its future may never be polled again: the others go on.
        let over = self.turns.iter().take_while(|turn| turn.deadline <= now).count();
        if over > 0 {
            self.turns.drain(..over).for_each(|turn| turn.waker.wake());
            self.wake_turn();
        }
    }

    /// The earliest deadline of anybody.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.first_key_value().map(|(_, (_, deadline))| *deadline);
        let again = if self.again.is_empty() { None } else { self.again.deadline() };
        let turn = self.turns.front().map(|turn| turn.deadline);
        [waiting, again, turn].into_iter().flatten().min()
    }

    /// Makes sure that the driver looks at the clock by then.
    pub(super) fn set_alarm(&mut self, deadline: Instant) {
        if self.alarm.is_none_or(|alarm| deadline < alarm) {
            self.alarm = Some(deadline);
            self.wake_driver();
        }
    }
}
