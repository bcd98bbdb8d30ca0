//! The thread that has the windows.

use super::progress::{Progress, Step, Teller};
use super::waker::Waker;
use super::{End, Event, PATIENCE, Present, Window, Windows, app, backend, quiet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use tracing::{debug, error, warn};

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
        error!("no window, serving without one: cannot start its thread: {error}");
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
        debug!("cannot start the thread that checks whether the screen answers: {error}");
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
            error!("the event loop of the windows failed, serving without windows: {failure}");
            End::Failed
        }
        Err(_) => {
            error!("the thread of the windows panicked, serving without windows");
            End::Failed
        }
    }
}
