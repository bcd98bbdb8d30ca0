//! The queue for credit.

use super::State;
use crate::doctor;
use std::task::Waker;
use std::time::Instant;

/// A place in the queue for credit.
pub(super) struct Turn {
    pub(super) id: u64,
    pub(super) waker: Waker,
    pub(super) deadline: Instant,
}

impl State {
    pub(super) fn queue(&mut self, deadline: Instant, waker: &Waker) -> (u64, Instant) {
        self.last_turn += 1;
        self.stats.waits += 1;
        self.pace.check_next();
        self.turns.push_back(Turn { id: self.last_turn, waker: waker.clone(), deadline });
        (self.last_turn, deadline)
    }

    pub(super) fn refresh_turn(&mut self, id: u64, waker: &Waker) {
        if let Ok(place) = self.place(id) {
            self.turns[place].waker.clone_from(waker);
        }
    }

    /// Gives a place in the queue up; whoever is first then may go on.
    pub(crate) fn leave_queue(&mut self, id: u64) {
        if let Ok(place) = self.place(id) {
            self.turns.remove(place);
        }
        self.note_wait_ended(doctor::Wait::Credit(id));
        self.wake_turn();
    }

    /// Where in the queue a turn is. Turns are numbered in their order; there may be very many.
    fn place(&self, id: u64) -> Result<usize, usize> {
        self.turns.binary_search_by_key(&id, |turn| turn.id)
    }

    pub(super) fn wake_turn(&mut self) {
        if let Some(first) = self.turns.front() {
            first.waker.wake_by_ref();
        }
    }
}
