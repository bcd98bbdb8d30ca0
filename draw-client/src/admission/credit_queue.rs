//! The queue of calls that wait for credit.

use std::collections::VecDeque;
use std::task::Waker;
use std::time::Instant;

/// Calls that wait for credit, in the order in which they came: their ids rise, and so do their deadlines. Only the first may be
/// accepted.
#[derive(Default)]
pub(crate) struct CreditQueue {
    turns: VecDeque<Turn>,
    last: u64,
}

/// A place in the queue.
struct Turn {
    id: u64,
    waker: Waker,
    deadline: Instant,
}

impl CreditQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Returns whether a call may be accepted that has this place, or none.
    #[inline]
    pub(crate) fn is_turn_of(&self, turn: Option<(u64, Instant)>) -> bool {
        self.turns.front().is_none_or(|first| turn.is_some_and(|(id, _)| id == first.id))
    }

    /// Adds a call, and returns its place.
    pub(crate) fn push(&mut self, deadline: Instant, waker: &Waker) -> (u64, Instant) {
        self.last += 1;
        self.turns.push_back(Turn { id: self.last, waker: waker.clone(), deadline });
        (self.last, deadline)
    }

    pub(crate) fn refresh(&mut self, id: u64, waker: &Waker) {
        if let Ok(place) = self.place(id) {
            self.turns[place].waker.clone_from(waker);
        }
    }

    /// Takes a call out, and wakes the one that is first then.
    pub(crate) fn remove(&mut self, id: u64) {
        if let Ok(place) = self.place(id) {
            self.turns.remove(place);
        }
        self.wake_first();
    }

    pub(crate) fn wake_first(&mut self) {
        if let Some(first) = self.turns.front() {
            first.waker.wake_by_ref();
        }
    }

    /// Wakes all of them. They keep their places.
    pub(crate) fn wake_all(&self) {
        self.turns.iter().for_each(|turn| turn.waker.wake_by_ref());
    }

    /// Takes out those whose deadline has passed, since their futures may never be polled again, and wakes them.
    pub(crate) fn wake_overdue(&mut self, now: Instant) {
        let over = self.turns.iter().take_while(|turn| turn.deadline <= now).count();
        if over > 0 {
            self.turns.drain(..over).for_each(|turn| turn.waker.wake());
            self.wake_first();
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.turns.front().map(|turn| turn.deadline)
    }

    pub(crate) fn wakers(&self) -> impl Iterator<Item = Waker> + '_ {
        self.turns.iter().map(|turn| turn.waker.clone())
    }

    /// Returns where in the queue a call is. There may be very many.
    fn place(&self, id: u64) -> Result<usize, usize> {
        self.turns.binary_search_by_key(&id, |turn| turn.id)
    }
}
