//! Models of what the source imports from `crate::sync`.

use loom::thread::{JoinHandle, ThreadId};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Release, SeqCst};
use std::sync::{Arc, LockResult, PoisonError};
use std::task::Waker;

/// A loom atomic, made weaker in one way and stronger in another:
///
/// - In loom, a read-modify-write takes effect where it stands in the source, and finds the newest value. So the order
///   of two changes never depends on the memory orderings in the source. Here a change whose result is unused takes
///   effect as late as its ordering allows: after everything that follows in its thread, up to a release. (One that
///   acquires is not delayed: nothing that follows may precede it.)
/// - loom treats `SeqCst` as `AcqRel`. Here a `SeqCst` load also sees what a `SeqCst` store to the same place has
///   stored before it.
macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            value: Arc<loom::sync::atomic::$name>,
            /// Orders the `SeqCst` accesses.
            order: loom::sync::atomic::AtomicU8,
        }

        #[allow(dead_code, reason = "not every type has every access in use")]
        impl $name {
            pub(crate) fn new(value: $value) -> $name {
                $name {
                    value: Arc::new(loom::sync::atomic::$name::new(value)),
                    order: loom::sync::atomic::AtomicU8::new(0),
                }
            }

            /// Carries out the delayed changes that must precede an access. Call it before every access.
            fn begin(&self, order: Ordering) {
                do_delayed(|place| matches!(order, Release | AcqRel | SeqCst) || place == self.place());
            }

            fn place(&self) -> usize {
                Arc::as_ptr(&self.value).addr()
            }

            /// Orders a `SeqCst` load after the `SeqCst` stores before it.
            fn come_behind(&self, order: Ordering) {
                if order == SeqCst {
                    self.order.fetch_add(0, Acquire);
                }
            }

            /// Orders a `SeqCst` store before the `SeqCst` loads after it.
            fn come_before(&self, order: Ordering) {
                if order == SeqCst {
                    self.order.fetch_add(0, Release);
                }
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                self.begin(if order == SeqCst { Acquire } else { order });
                self.come_behind(order);
                self.value.load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                self.begin(order);
                self.value.store(value, order);
                self.come_before(order);
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                self.begin(order);
                self.come_behind(order);
                let swapped = self.value.swap(value, order);
                self.come_before(order);
                swapped
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.begin(success);
                self.come_behind(success);
                let exchanged = self.value.compare_exchange(current, new, success, failure);
                if exchanged.is_ok() {
                    self.come_before(success);
                }
                exchanged
            }

            fn change_later(
                &self,
                order: Ordering,
                change: impl FnOnce(&loom::sync::atomic::$name) + 'static,
            ) {
                self.begin(order);
                let value = Arc::clone(&self.value);
                if matches!(order, Acquire | AcqRel | SeqCst) {
                    return change(&value);
                }
                let later = Delayed {
                    thread: this_thread(),
                    place: self.place(),
                    change: Box::new(move || change(&value)),
                };
                DELAYED.with_borrow_mut(|delayed| delayed.push(later));
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicU64, u64);

impl AtomicBool {
    /// Returns no result, as callers do not use it.
    pub(crate) fn fetch_and(&self, value: bool, order: Ordering) {
        self.change_later(order, move |shared| _ = shared.fetch_and(value, order));
    }
}

impl AtomicU64 {
    /// Returns no result, as callers do not use it.
    pub(crate) fn fetch_or(&self, value: u64, order: Ordering) {
        self.change_later(order, move |shared| _ = shared.fetch_or(value, order));
    }
}

impl Default for AtomicBool {
    fn default() -> AtomicBool {
        AtomicBool::new(false)
    }
}

struct Delayed {
    thread: ThreadId,
    /// Address of the value that it changes.
    place: usize,
    change: Box<dyn FnOnce()>,
}

thread_local! {
    /// Delayed changes of all threads of a model: loom runs them in one system thread.
    static DELAYED: RefCell<Vec<Delayed>> = const { RefCell::new(Vec::new()) };
}

fn this_thread() -> ThreadId {
    loom::thread::current().id()
}

fn do_delayed(is_due: impl Fn(usize) -> bool) {
    let thread = this_thread();
    let next = || {
        DELAYED.with_borrow_mut(|delayed| {
            let place = delayed.iter().position(|one| one.thread == thread && is_due(one.place))?;
            Some(delayed.remove(place))
        })
    };
    // Other threads may run at each of these changes.
    while let Some(Delayed { change, .. }) = next() {
        change();
    }
}

/// Carries out all delayed changes. Call it where a thread releases by other means than these atomics.
pub(crate) fn release() {
    do_delayed(|_| true);
}

/// Spawns a thread of a model.
pub(crate) fn spawn(body: impl FnOnce() + 'static) -> JoinHandle<()> {
    loom::thread::spawn(|| {
        body();
        release();
    })
}

/// A lock. What a thread changes while holding it takes effect before the unlock at the latest.
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        self.0.lock().map(MutexGuard).map_err(|poisoned| PoisonError::new(MutexGuard(poisoned.into_inner())))
    }
}

pub(crate) struct MutexGuard<'a, T>(loom::sync::MutexGuard<'a, T>);

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        release();
    }
}

/// A model of the display server's snapshot, weaker than its lock: a load may return a value that was already replaced,
/// unless the replacement is ordered before the load by something else. A load of a value sees everything before its
/// store.
pub(crate) struct Snapshot<T: ?Sized> {
    /// All values ever stored.
    values: std::sync::Mutex<Vec<Arc<T>>>,
    last: loom::sync::atomic::AtomicUsize,
}

impl<T: ?Sized> Snapshot<T> {
    pub(crate) fn new(value: Arc<T>) -> Snapshot<T> {
        let values = std::sync::Mutex::new(vec![value]);
        Snapshot { values, last: loom::sync::atomic::AtomicUsize::new(0) }
    }

    pub(crate) fn load(&self) -> Arc<T> {
        let last = self.last.load(Acquire);
        Arc::clone(&self.values.lock().unwrap()[last])
    }

    pub(crate) fn replace(&self, value: Arc<T>) -> Arc<T> {
        release();
        let (before, last) = {
            let mut values = self.values.lock().unwrap();
            values.push(value);
            (Arc::clone(&values[values.len() - 2]), values.len() - 1)
        };
        self.last.store(last, Release);
        before
    }
}

/// A model of the waker of `futures`, with the contract of a lock: one of `register` and `wake` comes first, and the
/// other sees what preceded it. (loom's own waker wakes at once a task that it finds registering.)
#[derive(Default)]
pub(crate) struct AtomicWaker(loom::sync::Mutex<Option<Waker>>);

impl AtomicWaker {
    pub(crate) fn register(&self, waker: &Waker) {
        *self.0.lock().unwrap() = Some(waker.clone());
    }

    pub(crate) fn wake(&self) {
        let waker = self.0.lock().unwrap().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
