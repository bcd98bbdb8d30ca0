//! Scopes: parts of a program with error callbacks of their own. The caller and the tag of a call.

use super::{Callback, Work};
use crate::error::LateError;
use draw_protocol::client::CallSite;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::Span;
use tracing::level_filters::LevelFilter;

/// A part of the program, or all of it, with its callback if it has one.
///
/// Only the connection's thread for callbacks runs and drops a callback. So that happens under no lock, in no call and
/// not in the connection's task, whatever the callback captures and wherever the scope is dropped.
pub(crate) struct Scope {
    /// The names of the scopes around it and its own; empty for the display's own scope.
    path: Arc<str>,
    outer: Option<Arc<Scope>>,
    /// Held only to take the callback out or put it in, never while a callback runs or is dropped.
    listener: Mutex<Listener>,
}

enum Listener {
    /// There is none: errors are for the scope around this one.
    None,
    /// A callback that does not run, and the sender to the thread that drops it.
    Idle(Callback, Sender<Work>),
    /// The callback is running.
    Running,
}

impl Scope {
    /// Creates the display's own scope.
    pub(crate) fn outermost() -> Scope {
        Scope { path: "".into(), outer: None, listener: Mutex::new(Listener::None) }
    }

    pub(crate) fn within(outer: &Arc<Scope>, name: &str) -> Scope {
        let path = if outer.path.is_empty() { name.into() } else { format!("{}/{name}", outer.path).into() };
        Scope { path, outer: Some(Arc::clone(outer)), listener: Mutex::new(Listener::None) }
    }

    pub(crate) fn is_outermost(&self) -> bool {
        self.outer.is_none()
    }

    pub(crate) fn path(&self) -> &Arc<str> {
        &self.path
    }

    /// Returns the nearest scope with a callback: this one, or one around it.
    pub(crate) fn listener(self: &Arc<Scope>) -> Option<&Arc<Scope>> {
        let mut scope = self;
        while let Listener::None = *scope.lock() {
            scope = scope.outer.as_ref()?;
        }
        Some(scope)
    }

    /// Sets the callback, in place of any other. `end` leads to the thread that runs it.
    pub(crate) fn set_callback(&self, callback: Callback, end: Sender<Work>) {
        let old = std::mem::replace(&mut *self.lock(), Listener::Idle(callback, end));
        dispose(old);
    }

    /// Runs the callback, and returns whether it ended without a panic. Called by the thread for callbacks.
    pub(crate) fn invoke(&self, error: LateError) -> bool {
        let Listener::Idle(mut callback, end) = std::mem::replace(&mut *self.lock(), Listener::Running)
        else {
            return true;
        };
        let is_well = catch_unwind(AssertUnwindSafe(|| callback(error))).is_ok();
        let mut listener = self.lock();
        if let Listener::Running = *listener {
            *listener = Listener::Idle(callback, end);
            return is_well;
        }
        // Another callback was set meanwhile, perhaps by this one.
        drop(listener);
        drop_quietly(callback);
        is_well
    }

    /// Drops the callback: nothing more follows. Called by the thread for callbacks.
    pub(crate) fn remove_callback(&self) {
        if let Listener::Idle(callback, _) = std::mem::replace(&mut *self.lock(), Listener::None) {
            drop_quietly(callback);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Listener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        // No lock is needed: no other thread has it, except one that does not exist in a forked process.
        let listener = self.listener.get_mut().unwrap_or_else(PoisonError::into_inner);
        dispose(std::mem::replace(listener, Listener::None));
        // One by one: scopes may nest deeper than the stack.
        let mut outer = self.outer.take();
        while let Some(mut scope) = outer.and_then(Arc::into_inner) {
            outer = scope.outer.take();
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Scope").field(&self.path).finish()
    }
}

/// Passes a callback that is not needed any more to the thread that ran it.
fn dispose(listener: Listener) {
    if let Listener::Idle(callback, end) = listener {
        // If that thread has just ended, the callback is dropped here: no lock is held.
        _ = end.send(Work::Dispose(callback));
    }
}

/// Drops a callback, and catches a panic of its destructor.
pub(crate) fn drop_quietly(callback: Callback) {
    if catch_unwind(AssertUnwindSafe(|| drop(callback))).is_err() {
        tracing::error!("a value captured by an error callback panicked when it was dropped");
    }
}

/// The caller of a call: a line of the program, in a scope.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'d> {
    pub(crate) place: CallSite,
    pub(crate) scope: &'d Arc<Scope>,
}

/// Returns whether a subscriber may take late errors as events. If not, spans are not looked up.
#[inline]
pub(crate) fn is_traced() -> bool {
    LevelFilter::current() >= LevelFilter::WARN
}

#[cold]
pub(crate) fn current_span() -> Option<Arc<Span>> {
    let span = Span::current();
    (!span.is_none()).then(|| Arc::new(span))
}

/// What is kept of the caller of a call, beside its line, until the call is done.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tag {
    /// `None` is the display's own.
    pub(crate) scope: Option<Arc<Scope>>,
    pub(crate) span: Option<Arc<Span>>,
}

impl Tag {
    /// Returns the path of the scope. `None` for the display's own.
    pub(crate) fn path(&self) -> Option<&Arc<str>> {
        self.scope.as_ref().map(|scope| scope.path())
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.scope.is_none() && self.span.is_none()
    }
}

impl PartialEq for Tag {
    fn eq(&self, other: &Tag) -> bool {
        self.scope.as_ref().map(Arc::as_ptr) == other.scope.as_ref().map(Arc::as_ptr)
            && self.span == other.span
    }
}
