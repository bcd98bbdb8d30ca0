//! Until when those wait who wait, and who sees to it.

use super::State;
use std::time::Instant;

impl State {
    /// Wakes those whose deadline has passed; they see it for themselves. What is left lies ahead.
    pub(crate) fn wake_overdue(&mut self, now: Instant) {
        while let Some(first) = self.waiting.first_entry() {
            if first.get().1 > now {
                break;
            }
            first.remove().0.wake();
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
        let turn = self.turns.front().map(|turn| turn.deadline);
        [waiting, turn].into_iter().flatten().min()
    }

    /// Makes sure that the driver looks at the clock by then.
    pub(super) fn set_alarm(&mut self, deadline: Instant) {
        if self.alarm.is_none_or(|alarm| deadline < alarm) {
            self.alarm = Some(deadline);
            self.wake_driver();
        }
    }
}
