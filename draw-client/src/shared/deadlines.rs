//! The deadlines of everything that waits: for a result, or for credit.

use super::State;
use std::time::Instant;

impl State {
    /// Wakes the tasks whose deadline has passed; they notice it themselves. The deadlines that remain are in the
    /// future.
    pub(crate) fn wake_overdue(&mut self, now: Instant) {
        self.completion.waiters.wake_overdue(now);
        self.admission.credit.wake_overdue(now);
    }

    /// Returns the earliest deadline of all waits.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [self.completion.waiters.deadline(), self.admission.credit.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Makes the driver check the time at this deadline.
    pub(crate) fn set_alarm(&mut self, deadline: Instant) {
        if self.admission.driver.alarm.is_none_or(|alarm| deadline < alarm) {
            self.admission.driver.alarm = Some(deadline);
            self.wake_driver();
        }
    }
}
