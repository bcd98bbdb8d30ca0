//! Delays the write of a driver with a thread of its own, so that it carries more calls.

use super::State;
use std::thread::Thread;

impl State {
    /// Returns whether there is something to write, more will follow at once, and nothing waits for it.
    pub(crate) fn may_delay(&self) -> bool {
        let nothing_waits = self.admission.credit.is_empty() && self.completion.waiters.is_empty();
        let unsent = self.machine.unsent();
        nothing_waits && self.lifetime.is_in_use() && unsent > 0 && self.admission.batching.is_filling(unsent)
    }

    /// Begins a delay. The driver continues by itself: it need not be woken.
    pub(crate) fn begin_delay(&mut self, driver: Thread) {
        self.admission.driver.delaying = Some(driver);
        if !std::mem::replace(&mut self.admission.driver.is_woken, true) {
            self.admission.batching.driver_woken();
        }
    }

    /// Ends the delay, because something waits for the driver.
    pub(crate) fn end_delay(&mut self) {
        if let Some(driver) = self.admission.driver.delaying.take() {
            driver.unpark();
        }
    }
}
