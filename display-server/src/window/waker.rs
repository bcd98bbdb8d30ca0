//! Wakes the windows' thread, from any thread.

use super::wake_coalescer::WakeCoalescer;
use std::sync::{Mutex, PoisonError};
use winit::event_loop::EventLoopProxy;

/// Wakes the windows' thread.
#[derive(Debug)]
pub(super) struct Waker {
    /// `None` until the screen has answered. Locked only to send.
    proxy: Mutex<Option<EventLoopProxy<()>>>,
    wakes: WakeCoalescer,
}

impl Default for Waker {
    fn default() -> Waker {
        Waker { proxy: Mutex::new(None), wakes: WakeCoalescer::new() }
    }
}

impl Waker {
    /// Sets what wakes the thread. The thread sees earlier wake-ups when it calls [`Waker::woken`].
    pub(super) fn set_proxy(&self, proxy: EventLoopProxy<()>) {
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxy);
    }

    /// Wakes the thread to look at the damage of its displays.
    pub(super) fn wake(&self) {
        self.wakes.wake(|| {
            if let Some(proxy) = &*self.proxy.lock().unwrap_or_else(PoisonError::into_inner) {
                // Fails if the event loop has ended: then there is nothing to wake.
                _ = proxy.send_event(());
            }
        });
    }

    /// Wakes the thread to close its windows.
    pub(super) fn close(&self) {
        self.wakes.close();
        self.wake();
    }

    /// Must be called by the woken thread before it looks for work. Returns whether it has to close its windows.
    pub(super) fn woken(&self) -> bool {
        self.wakes.woken()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_is_closed_before_there_is_a_screen_is_closed() {
        let waker = Waker::default();
        waker.close();
        assert!(waker.woken());
    }
}
