//! How a driver with a thread of its own lets the program's threads go on before it writes.

use super::State;
use std::thread::Thread;

impl State {
    /// Whether there is something to write, but more of it will come at once, and nobody waits for what there is.
    pub(crate) fn may_nap(&self) -> bool {
        let nobody_waits = self.turns.is_empty() && self.waiting.is_empty() && self.again.is_empty();
        let goes_on = self.closing.is_none() && self.abandoned.is_none();
        let unsent = self.machine.unsent();
        nobody_waits && goes_on && unsent > 0 && self.pace.is_filling(unsent)
    }

    /// The driver naps, and comes back by itself: it need not be woken.
    pub(crate) fn begin_nap(&mut self, driver: Thread) {
        self.nap = Some(driver);
        if !std::mem::replace(&mut self.is_driver_woken, true) {
            self.pace.driver_woken();
        }
    }

    /// Somebody waits for what the driver is to do.
    pub(crate) fn end_nap(&mut self) {
        if let Some(driver) = self.nap.take() {
            driver.unpark();
        }
    }
}
