//! The queue of late errors on their way to callbacks.

use super::{LateReport, Scope, Tag};
use crate::error::{Error, FailedCall, Late, LateError, Status, StatusCallback};
use crate::limits;
use std::io;
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::sync::{Arc, Weak};

/// A call that failed, with all that is kept of it until somebody hears of it.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) call: FailedCall,
    pub(crate) error: Error,
    pub(crate) tag: Tag,
}

/// What an error callback is.
pub(crate) type Callback = Box<dyn FnMut(LateError) + Send>;

/// What the thread for callbacks is given to do. It does it in order.
pub(crate) enum Work {
    /// Tells this scope's callback.
    Deliver(Arc<Scope>, LateReport),
    /// Drops a callback that is not needed any more.
    Dispose(Callback),
    /// From now on this callback hears of the connection.
    SetStatusCallback(StatusCallback),
    /// Tells it.
    Status(Status),
    /// The connection has ended, and there is nothing more to tell.
    Over,
}

/// The thread for callbacks, and the errors that are not delivered yet. Protected by the connection's lock.
#[derive(Debug, Default)]
pub(crate) struct LateQueue {
    /// To the thread for callbacks, once there is one.
    thread: Option<Sender<Work>>,
    /// Somebody hears of the connection.
    has_status_callback: bool,
    /// Every scope that has had a callback, to be told when the connection has ended. Some are gone.
    listeners: Vec<Weak<Scope>>,
    /// They were told, or there was none.
    is_over: bool,
    /// Calls whose error a callback has not finished with. They count against credit.
    undelivered: u64,
    /// For want of a callback: the first errors, and how many calls they and those beyond them were.
    kept: Vec<LateError>,
    total: u64,
}

impl LateQueue {
    /// From now on this callback hears for that scope. It is handed back if there is nothing more to hear, and if it is
    /// the first and `start` finds no thread for it.
    pub(crate) fn set_callback(
        &mut self,
        scope: &Arc<Scope>,
        callback: Callback,
        start: impl FnOnce(Receiver<Work>) -> io::Result<()>,
    ) -> Result<Option<Callback>, (Callback, io::Error)> {
        // What has come up before the end may still be on its way to this scope.
        if self.is_over && self.undelivered == 0 {
            return Ok(Some(callback));
        }
        let thread = match self.thread(start) {
            Ok(thread) => thread.clone(),
            Err(error) => return Err((callback, error)),
        };
        scope.set_callback(callback, thread);
        if self.listeners.len() == self.listeners.capacity() {
            // Of scopes that come and go, a few times as many are kept here as there are at a time.
            self.listeners.retain(|scope| scope.strong_count() > 0);
            self.listeners.reserve(self.listeners.len() + 1);
        }
        self.listeners.push(Arc::downgrade(scope));
        Ok(None)
    }

    /// From now on this callback hears of the connection.
    pub(crate) fn set_status_callback(
        &mut self,
        callback: StatusCallback,
        start: impl FnOnce(Receiver<Work>) -> io::Result<()>,
    ) -> io::Result<()> {
        _ = self.thread(start)?.send(Work::SetStatusCallback(callback));
        self.has_status_callback = true;
        Ok(())
    }

    /// What has become of the connection: for its callback, if there is one.
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

    /// To the callback of this scope, which has one.
    pub(crate) fn pass_on(&mut self, listener: Arc<Scope>, report: LateReport) {
        let calls = report.error().calls().len() as u64;
        self.undelivered += calls;
        // It runs until `finish` says that nothing more comes.
        let Some(thread) = &self.thread else { return };
        if let Err(SendError(Work::Deliver(_, report))) = thread.send(Work::Deliver(listener, report)) {
            self.undelivered -= calls;
            self.keep(report.error());
        }
    }

    /// There is no callback for it.
    pub(crate) fn keep(&mut self, error: &LateError) {
        self.total += error.total();
        if self.kept.len() < limits::KEPT_ERRORS {
            self.kept.push(error.clone());
        }
    }

    /// Calls that a callback has not been told of yet.
    pub(crate) fn undelivered(&self) -> u64 {
        self.undelivered
    }

    /// A callback has been told of so many calls.
    pub(crate) fn delivered(&mut self, calls: u64) {
        self.undelivered -= calls;
    }

    /// Nothing will be passed on any more.
    pub(crate) fn finish(&mut self) {
        if !std::mem::replace(&mut self.is_over, true)
            && let Some(thread) = &self.thread
        {
            _ = thread.send(Work::Over);
        }
    }

    /// Every scope that may have a callback.
    pub(crate) fn take_listeners(&mut self) -> Vec<Arc<Scope>> {
        self.listeners.drain(..).filter_map(|scope| scope.upgrade()).collect()
    }

    /// How many failed calls are kept for want of a callback.
    pub(crate) fn kept_calls(&self) -> u64 {
        self.total
    }

    /// What was kept for want of a callback; it is forgotten.
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

/// From now on this thread runs the callbacks of `connection`, which is told by its address.
pub(crate) fn enter_callback_of(connection: usize) {
    CALLBACKS_OF.set(connection);
}

/// Whether this is the thread that runs the callbacks of `connection`.
pub(crate) fn is_callback_of(connection: usize) -> bool {
    CALLBACKS_OF.get() == connection
}
