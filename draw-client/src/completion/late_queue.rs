//! The queue of late errors for the thread that runs the callbacks.

use super::{LateReport, Scope, Tag};
use crate::error::{Error, FailedCall, Late, LateError, Status, StatusCallback};
use crate::limits;
use std::io;
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::sync::{Arc, Weak};

/// A call that failed, with everything that is kept of it until its error is reported.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) call: FailedCall,
    pub(crate) error: Error,
    pub(crate) tag: Tag,
}

/// An error callback.
pub(crate) type Callback = Box<dyn FnMut(LateError) + Send>;

/// Work of the thread for callbacks, which does it in order.
pub(crate) enum Work {
    /// Calls the callback of this scope.
    Deliver(Arc<Scope>, LateReport),
    /// Drops a callback that is not needed any more.
    Dispose(Callback),
    /// Sets the status callback.
    SetStatusCallback(StatusCallback),
    /// Calls the status callback.
    Status(Status),
    /// The connection has ended, and nothing more follows.
    Over,
}

/// The thread for callbacks, and the errors that are not delivered yet. Protected by the connection's lock.
#[derive(Debug, Default)]
pub(crate) struct LateQueue {
    /// The sender to the thread for callbacks, once there is one.
    thread: Option<Sender<Work>>,
    /// Whether there is a status callback.
    has_status_callback: bool,
    /// Every scope that has had a callback, which is removed when the connection has ended. Some are dropped already.
    listeners: Vec<Weak<Scope>>,
    /// The thread was told to end, or there was none.
    is_over: bool,
    /// Calls whose error a callback has not finished with. They count against credit.
    undelivered: u64,
    /// Errors without a callback: the first of them, and how many calls all of them are about.
    kept: Vec<LateError>,
    total: u64,
}

impl LateQueue {
    /// Sets the callback of a scope. It is handed back if nothing more follows, or if it is the first and `start` finds
    /// no thread for it.
    pub(crate) fn set_callback(
        &mut self,
        scope: &Arc<Scope>,
        callback: Callback,
        start: impl FnOnce(Receiver<Work>) -> io::Result<()>,
    ) -> Result<Option<Callback>, (Callback, io::Error)> {
        // Errors from before the end may still be on their way to this scope.
        if self.is_over && self.undelivered == 0 {
            return Ok(Some(callback));
        }
        let thread = match self.thread(start) {
            Ok(thread) => thread.clone(),
            Err(error) => return Err((callback, error)),
        };
        scope.set_callback(callback, thread);
        if self.listeners.len() == self.listeners.capacity() {
            // If scopes are created and dropped again and again, this list has at most a few times as many as there are
            // at a time.
            self.listeners.retain(|scope| scope.strong_count() > 0);
            self.listeners.reserve(self.listeners.len() + 1);
        }
        self.listeners.push(Arc::downgrade(scope));
        Ok(None)
    }

    /// Sets the status callback.
    pub(crate) fn set_status_callback(
        &mut self,
        callback: StatusCallback,
        start: impl FnOnce(Receiver<Work>) -> io::Result<()>,
    ) -> io::Result<()> {
        _ = self.thread(start)?.send(Work::SetStatusCallback(callback));
        self.has_status_callback = true;
        Ok(())
    }

    /// Passes a status to the status callback, if there is one.
    pub(crate) fn report_status(&self, status: Status) {
        if let (true, Some(thread)) = (self.has_status_callback, &self.thread) {
            _ = thread.send(Work::Status(status));
        }
    }

    fn thread(&mut self, start: impl FnOnce(Receiver<Work>) -> io::Result<()>) -> io::Result<&Sender<Work>> {
        if self.thread.is_none() {
            let (thread, inbox) = mpsc::channel();
            start(inbox)?;
            self.thread = Some(thread);
        }
        self.thread.as_ref().ok_or_else(|| io::Error::other("there is no thread"))
    }

    /// Passes an error to the callback of this scope, which has one.
    pub(crate) fn pass_on(&mut self, listener: Arc<Scope>, report: LateReport) {
        let calls = report.error().calls().len() as u64;
        self.undelivered += calls;
        // The thread runs until `finish`.
        let Some(thread) = &self.thread else { return };
        if let Err(SendError(Work::Deliver(_, report))) = thread.send(Work::Deliver(listener, report)) {
            self.undelivered -= calls;
            self.keep(report.error());
        }
    }

    /// Keeps an error without a callback for the next `sync` or `close`.
    pub(crate) fn keep(&mut self, error: &LateError) {
        self.total += error.total();
        if self.kept.len() < limits::KEPT_ERRORS {
            self.kept.push(error.clone());
        }
    }

    /// Returns how many calls callbacks have not been called with yet.
    pub(crate) fn undelivered(&self) -> u64 {
        self.undelivered
    }

    /// Notes that a callback was called with this many calls.
    pub(crate) fn delivered(&mut self, calls: u64) {
        self.undelivered -= calls;
    }

    /// Ends the thread: no further error follows.
    pub(crate) fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_over, true)
            && let Some(thread) = &self.thread
        {
            _ = thread.send(Work::Over);
        }
    }

    /// Takes every scope that may have a callback.
    pub(crate) fn take_listeners(&mut self) -> Vec<Arc<Scope>> {
        self.listeners.drain(..).filter_map(|scope| scope.upgrade()).collect()
    }

    /// Returns how many failed calls are kept for `sync` and `close`.
    pub(crate) fn kept_calls(&self) -> u64 {
        self.total
    }

    /// Takes the errors that were kept for `sync` and `close`.
    pub(crate) fn take_kept(&mut self) -> Option<Late> {
        if self.total == 0 {
            return None;
        }
        let errors = std::mem::take(&mut self.kept).into();
        Some(Late { errors, total: std::mem::take(&mut self.total) })
    }
}

thread_local! {
    /// The connection whose error callbacks this thread runs; 0 for none.
    static CALLBACKS_OF: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Marks this thread as the one that runs the callbacks of `connection`, an address.
pub(crate) fn enter_callback_of(connection: usize) {
    CALLBACKS_OF.set(connection);
}

/// Returns whether this thread runs the callbacks of `connection`.
pub(crate) fn is_callback_of(connection: usize) -> bool {
    CALLBACKS_OF.get() == connection
}
