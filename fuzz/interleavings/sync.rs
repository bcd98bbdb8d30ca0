//! Models of what the source imports from `crate::sync`.

use loom::thread::{JoinHandle, ThreadId};
use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Release, SeqCst};
use std::sync::{Arc, LockResult, PoisonError};
use std::task::Waker;

/// An atomic of loom's, made weaker in one way and stronger in another:
///
/// - With loom, what changes a value does so where it stands in the source, and finds the newest value. So the order of two
///   changes never depends on how they are ordered in the source. Here a change whose result is unused comes as
///   late as its ordering allows: behind whatever follows in its thread, up to a release. (One that acquires does not: what
///   follows may not come before it.)
/// - loom takes `SeqCst` for `AcqRel`. Here such a load also sees what such a store to the same place has stored before it.
macro_rules! atomic {
    ($name:ident, $value:ty) => {
        #[derive(Debug)]
        pub(crate) struct $name {
            value: Arc<loom::sync::atomic::$name>,
            /// The order of the accesses that are `SeqCst`.
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

            /// To be called before every access.
            fn begin(&self, order: Ordering) {
                do_delayed(|place| matches!(order, Release | AcqRel | SeqCst) || place == self.place());
            }

            fn place(&self) -> usize {
                Arc::as_ptr(&self.value).addr()
            }

            /// Is ordered behind the stores before it, if it is a load that is to be.
            fn come_behind(&self, order: Ordering) {
                if order == SeqCst {
                    self.order.fetch_add(0, Acquire);
                }
            }

            /// Is ordered before the loads behind it, if it was a store that is to be.
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
    /// Without a result, which is unused.
    pub(crate) fn fetch_and(&self, value: bool, order: Ordering) {
        self.change_later(order, move |shared| _ = shared.fetch_and(value, order));
    }
}

impl AtomicU64 {
    /// Without a result, which is unused.
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
    /// Where the value is that it changes.
    place: usize,
    change: Box<dyn FnOnce()>,
}

thread_local! {
    /// Those of all threads of a model, which are one thread of the system.
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
    // Other threads may run at each of them.
    while let Some(Delayed { change, .. }) = next() {
        change();
    }
}

/// To be called where a thread releases by something else than these atomics.
pub(crate) fn release() {
    do_delayed(|_| true);
}

/// A thread of a model.
pub(crate) fn spawn(body: impl FnOnce() + 'static) -> JoinHandle<()> {
    loom::thread::spawn(|| {
        body();
        release();
    })
}

/// A lock. What a thread changes while it has it comes no later than its end.
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

/// That of the display server, and weaker than its lock: it loads a value that was replaced already, unless what replaced it is
/// ordered before the load by something else. A load of a value sees everything before its store.
pub(crate) struct Snapshot<T: ?Sized> {
    /// All that were ever stored.
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

/// That of `futures`, whose contract is that of a lock: one of `register` and `wake` comes first, and the other sees what came
/// before it. (loom has one, which wakes at once whom it finds registering.)
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
