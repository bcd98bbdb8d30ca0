//! The thread that has the windows, and how it is woken.

use super::progress::{Progress, Step, Teller};
use super::wake_coalescer::WakeCoalescer;
use super::{End, Event, PATIENCE, Present, Window, Windows, app, backend, quiet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tracing::{debug, error, warn};
use winit::event_loop::EventLoopProxy;

/// Starts the windows' thread, and one that logs if the screen does not answer.
pub(super) fn start<F: FnMut(Event) + Send + 'static>(
    windows: Vec<Window>,
    present: Present,
    opened: &Windows,
    mut teller: Teller<F>,
) {
    // Before other threads may set a panic hook of their own.
    quiet::install_hook();
    let waker = Arc::clone(&opened.waker);
    let thread = thread::Builder::new().name("window".into()).spawn(move || {
        let end = show(windows, present, &waker, &mut teller);
        teller.tell(Event::Ended(end));
    });
    if let Err(error) = thread {
        // The teller was dropped with the closure, which reported the failure.
        error!("no window, serving without one: no thread for it: {error}");
        return;
    }
    watch(Arc::clone(&opened.progress));
}

/// Logs, from a thread of its own, if the screen takes too long to open a window.
fn watch(progress: Arc<Progress>) {
    let watch = thread::Builder::new().name("window-watch".into()).spawn(move || {
        if !progress.wait(PATIENCE, |step| step != Step::Opening) {
            let place = backend::place();
            warn!("no window yet, serving without one: {place} has not answered for {PATIENCE:?}");
        }
    });
    if let Err(error) = watch {
        debug!("no thread watches whether the screen answers: {error}");
    }
}

/// Shows displays until the last window is closed.
fn show<F: FnMut(Event)>(
    windows: Vec<Window>,
    present: Present,
    waker: &Arc<Waker>,
    told: &mut Teller<F>,
) -> End {
    let events = match backend::event_loop() {
        Ok(events) => events,
        Err(reason) => {
            warn!("no window, serving without one: {reason}");
            return End::Failed;
        }
    };
    waker.set_proxy(events.create_proxy());
    let opened = || told.tell(Event::Opened);
    let mut app = app::App::new(windows, present, Arc::clone(waker), opened);
    // A missing library or a failing driver must not end the server.
    match catch_unwind(AssertUnwindSafe(|| events.run_app(&mut app))) {
        Ok(Ok(())) => app.end(),
        Ok(Err(failure)) => {
            error!("the window's events ended: {failure}");
            End::Failed
        }
        Err(_) => {
            error!("the window panicked: serving without it");
            End::Failed
        }
    }
}

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
    fn set_proxy(&self, proxy: EventLoopProxy<()>) {
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
