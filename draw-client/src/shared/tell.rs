//! Who hears of a late error: a callback on the thread for callbacks, or whoever asks next.

use super::{Shared, State, end};
use crate::late::{Callback, Failed, LateError, Telling, Work};
use crate::scope::Scope;
use crate::status::{Status, StatusCallback};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;

impl Shared {
    /// A call that nobody waits for has failed.
    pub(super) fn tell(&self, state: &mut State, failed: Failed) {
        let Failed { call, error, tag } = failed;
        let listener = tag.scope.as_ref().unwrap_or(&self.outermost).listener().cloned();
        let telling =
            Telling::new(LateError::one(call, error), tag.span.clone().into_iter().map(Some).collect());
        state.after.drop(tag);
        self.pass_on(state, listener, telling);
    }

    /// To the callback of that scope, or kept.
    pub(super) fn pass_on(&self, state: &mut State, listener: Option<Arc<Scope>>, telling: Telling) {
        let Some(listener) = listener else {
            state.late.keep(telling.error());
            state.after.report(telling);
            // What other replies still have may be told to nobody either, and is told together then: see `check_over`.
            if state.ended.is_some() && state.abandoned.is_some() && state.results.is_empty() {
                end::report_unheard(state);
            }
            return;
        };
        state.late.pass_on(listener, telling);
    }

    /// From now on this callback hears of the errors of a scope, and of those within it that have none of their own. The
    /// first one starts the thread that runs them all.
    pub(crate) fn set_callback(self: &Arc<Self>, scope: &Arc<Scope>, callback: Callback) -> io::Result<()> {
        let mut state = self.lock();
        let refused = state.late.listen(scope, callback, |inbox| self.start(inbox));
        // What the program's callback holds may lock the state when it is dropped.
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

    /// Who hears of the errors of the display's own scope, and of the connection.
    pub(crate) fn set_callbacks(
        self: &Arc<Self>,
        callback: Option<Callback>,
        watcher: Option<StatusCallback>,
    ) -> io::Result<()> {
        if let Some(callback) = callback {
            self.set_callback(&self.outermost, callback)?;
        }
        if let Some(watcher) = watcher {
            self.lock().late.watch(watcher, |inbox| self.start(inbox))?;
        }
        Ok(())
    }

    fn start(self: &Arc<Self>, inbox: Receiver<Work>) -> io::Result<()> {
        let shared = Arc::clone(self);
        let thread = std::thread::Builder::new().name("draw-late-errors".into());
        thread.spawn(move || shared.run_callbacks(&inbox)).map(drop)
    }

    /// What has become of the connection. No lock is held.
    pub(crate) fn tell_status(&self, status: Status) {
        status.report();
        self.lock().late.tell_status(status);
    }

    /// The body of that thread.
    fn run_callbacks(&self, inbox: &Receiver<Work>) {
        crate::late::enter_callback_of(self.address());
        let mut watcher = None;
        for work in inbox {
            match work {
                Work::Watch(callback) => watcher = Some(callback),
                Work::Status(status) => hear(&mut watcher, status),
                Work::Tell(listener, telling) => self.tell_now(&listener, telling),
                Work::Dispose(callback) => crate::scope::drop_quietly(callback),
                Work::Over => break,
            }
        }
        // Whoever waits for a callback to be gone waits for no more than the end of the connection.
        let listeners = self.lock().late.take_listeners();
        listeners.iter().for_each(|scope| scope.fall_silent());
    }

    fn tell_now(&self, listener: &Scope, telling: Telling) {
        telling.report();
        let error = telling.into_error();
        let (calls, copy) = (error.calls().len() as u64, error.clone());
        // A callback that panics loses its own work, not the errors that come after it.
        if !listener.invoke(error) {
            tracing::error!(error = copy.to_string(), "the error callback panicked");
        }
        let mut state = self.lock();
        state.late.delivered(calls);
        self.go_on(&mut state);
        state.wake_turn();
        if state.late.undelivered() == 0 {
            state.wake_bystanders();
        }
        State::release(state);
    }

    /// When the connection has ended and no reply can turn into a late error any more, the thread for callbacks ends.
    pub(super) fn check_over(&self, state: &mut State) {
        if state.ended.is_some() && state.results.is_empty() {
            if state.abandoned.is_some() {
                end::report_unheard(state);
            }
            state.late.finish();
        }
    }
}

/// Calls the status callback. One that panics is called again with the next status.
fn hear(watcher: &mut Option<StatusCallback>, status: Status) {
    if let Some(callback) = watcher
        && catch_unwind(AssertUnwindSafe(|| callback(status.clone()))).is_err()
    {
        tracing::error!(status = status.to_string(), "the status callback panicked");
    }
}
