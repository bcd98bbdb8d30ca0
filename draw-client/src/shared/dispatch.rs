//! Dispatches late errors: to a callback on the thread for callbacks, or to the next `sync` or `close`.

use super::{Shared, State, end};
use crate::completion::{Callback, Failed, LateReport, Scope, Work};
use crate::error::{LateError, Status, StatusCallback};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

impl Shared {
    /// Dispatches the error of a call whose reply does not return it.
    pub(super) fn dispatch(&self, state: &mut State, failed: Failed) {
        let Failed { call, error, tag } = failed;
        let listener = tag.scope.as_ref().unwrap_or(&self.outermost).listener().cloned();
        let report =
            LateReport::new(LateError::one(call, error), tag.span.clone().into_iter().map(Some).collect());
        state.errors.deferred.drop(tag);
        self.pass_on(state, listener, report);
    }

    /// Passes an error on to the callback of that scope, or keeps it.
    pub(super) fn pass_on(&self, state: &mut State, listener: Option<Arc<Scope>>, report: LateReport) {
        let Some(listener) = listener else {
            state.errors.late.keep(report.error());
            state.errors.deferred.report(report);
            // Errors that other replies still have may become late errors too, and are then reported together: see
            // `check_over`.
            if state.lifetime.ended.is_some()
                && state.lifetime.abandoned.is_some()
                && !state.completion.has_results()
            {
                end::report_unclaimed(state);
            }
            return;
        };
        state.errors.late.pass_on(listener, report);
    }

    /// Sets the callback for the errors of a scope, and of the scopes within it that have none of their own. The first callback starts
    /// the thread that runs them all.
    pub(crate) fn set_callback(self: &Arc<Self>, scope: &Arc<Scope>, callback: Callback) -> io::Result<()> {
        let mut state = self.lock();
        let refused = state.errors.late.set_callback(scope, callback, |inbox| self.start(inbox));
        // Dropping the program's callback may lock the state.
        drop(state);
        match refused {
            Ok(refused) => drop(refused),
            Err((callback, error)) => {
                drop(callback);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sets the callbacks for the errors of the display's own scope, and for the status of the connection.
    pub(crate) fn set_callbacks(
        self: &Arc<Self>,
        callback: Option<Callback>,
        status_callback: Option<StatusCallback>,
    ) -> io::Result<()> {
        if let Some(callback) = callback {
            self.set_callback(&self.outermost, callback)?;
        }
        if let Some(status_callback) = status_callback {
            self.lock().errors.late.set_status_callback(status_callback, |inbox| self.start(inbox))?;
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, inbox: Receiver<Work>) -> io::Result<()> {
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name("draw-late-errors".into());
        thread.spawn(move || shared.run_callbacks(&inbox)).map(drop)
    }

    /// Reports the status of the connection. No lock may be held.
    pub(crate) fn report_status(&self, status: Status) {
        status.report();
        self.lock().errors.late.report_status(status);
    }

    /// Runs the callbacks: the body of their thread.
    fn run_callbacks(&self, inbox: &Receiver<Work>) {
        crate::completion::enter_callback_of(self.address());
        let mut status_callback = None;
        for work in inbox {
            match work {
                Work::SetStatusCallback(callback) => status_callback = Some(callback),
                Work::Status(status) => invoke(&mut status_callback, status),
                Work::Deliver(listener, report) => self.deliver(&listener, report),
                Work::Dispose(callback) => crate::completion::drop_quietly(callback),
                Work::Over => break,
            }
        }
        // A thread that waits for a callback to be dropped waits until the end of the connection at most.
        let listeners = self.lock().errors.late.take_listeners();
        listeners.iter().for_each(|scope| scope.remove_callback());
    }

    fn deliver(&self, listener: &Scope, report: LateReport) {
        report.report();
        let error = report.into_error();
        let (calls, copy) = (error.calls().len() as u64, error.clone());
        // After a callback has panicked, it is still called with later errors.
        if !listener.invoke(error) {
            tracing::error!(error = copy.to_string(), "the error callback panicked");
        }
        let mut state = self.lock();
        state.errors.late.delivered(calls);
        self.drain_offline_queue(&mut state);
        state.admission.credit.wake_first();
        if state.errors.late.undelivered() == 0 {
            state.lifetime.wake_close_waiters();
        }
        State::release(state);
    }

    /// Ends the thread for callbacks, if the connection has ended and no reply can become a late error any more.
    pub(super) fn check_over(&self, state: &mut State) {
        if state.lifetime.ended.is_some() && !state.completion.has_results() {
            if state.lifetime.abandoned.is_some() {
                end::report_unclaimed(state);
            }
            state.errors.late.finish();
        }
    }
}

/// Calls the status callback. One that panics is called again with the next status.
fn invoke(status_callback: &mut Option<StatusCallback>, status: Status) {
    if let Some(callback) = status_callback
        && catch_unwind(AssertUnwindSafe(|| callback(status.clone()))).is_err()
    {
        tracing::error!(status = status.to_string(), "the status callback panicked");
    }
}
