//! Who hears of a late error: a callback on the thread for callbacks, or whoever asks next.

use super::{Shared, State, end};
use crate::late::{Callback, Failed, LateError, Telling, Work};
use crate::scope::Scope;
use std::io;
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
            if state.ended.is_some() && state.abandoned.is_some() {
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
        let start = |inbox| {
            let shared = Arc::clone(self);
            let thread = std::thread::Builder::new().name("draw-late-errors".into());
            thread.spawn(move || shared.run_callbacks(&inbox)).map(drop)
        };
        let refused = state.late.listen(scope, callback, start);
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

    /// The body of that thread.
    fn run_callbacks(&self, inbox: &Receiver<Work>) {
        crate::late::enter_callback_of(std::ptr::from_ref(self).addr());
        for work in inbox {
            match work {
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
        if !listener.hear(error) {
            tracing::error!(error = copy.to_string(), "the error callback panicked");
        }
        let mut state = self.lock();
        state.late.delivered(calls);
        state.wake_turn();
        if state.late.undelivered() == 0 {
            state.wake_bystanders();
        }
    }

    /// When the connection has ended and no reply can turn into a late error any more, the thread for callbacks ends.
    pub(super) fn check_over(&self, state: &mut State) {
        if state.ended.is_some() && state.results.is_empty() {
            state.late.finish();
        }
    }
}
