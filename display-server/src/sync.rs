//! Synchronisation primitives. The files that `fuzz/interleavings/` runs in every order import them from here; there,
//! loom's models take their place.

pub(crate) use futures::task::AtomicWaker;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64};
pub(crate) use std::sync::{Mutex, MutexGuard};

use std::sync::{Arc, PoisonError, RwLock};

/// A value that is replaced as a whole. A load sees everything that happened before the store.
pub(crate) struct Snapshot<T: ?Sized> {
    /// Locked only to copy and to replace the pointer, so no thread waits for readers of the value.
    value: RwLock<Arc<T>>,
}

impl<T: ?Sized> Snapshot<T> {
    pub(crate) fn new(value: Arc<T>) -> Snapshot<T> {
        Snapshot { value: RwLock::new(value) }
    }

    /// Returns the value that was stored last.
    pub(crate) fn load(&self) -> Arc<T> {
        Arc::clone(&self.value.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stores `value`. Returns the previous value, which the caller may drop after it has released its locks.
    pub(crate) fn replace(&self, value: Arc<T>) -> Arc<T> {
        std::mem::replace(&mut *self.value.write().unwrap_or_else(PoisonError::into_inner), value)
    }
}
