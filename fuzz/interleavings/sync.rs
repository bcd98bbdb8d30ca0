//! Models of what the source imports from `crate::sync`.

use loom::sync::Mutex;
use loom::thread::{JoinHandle, ThreadId};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Release, SeqCst};
use std::task::Waker;

/// An atomic of loom's, made weaker in one way and stronger in another:
///
/// - With loom, what changes a value does so where it stands in the source, and finds the newest value. So the order of two
///   changes never depends on how they are ordered in the source. Here a change that nobody looks at the result of comes as
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
    /// Without a result, which nobody has looked at.
    pub(crate) fn fetch_and(&self, value: bool, order: Ordering) {
        self.change_later(order, move |shared| _ = shared.fetch_and(value, order));
    }
}

impl AtomicU64 {
    /// Without a result, which nobody has looked at.
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

/// That of the standard library: whoever gets the value sees what came before it was set.
pub(crate) struct OnceLock<T> {
    is_set: loom::sync::atomic::AtomicBool,
    value: std::sync::OnceLock<T>,
}

impl<T> OnceLock<T> {
    pub(crate) fn new() -> OnceLock<T> {
        OnceLock { is_set: loom::sync::atomic::AtomicBool::new(false), value: std::sync::OnceLock::new() }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        if self.is_set.load(Acquire) { self.value.get() } else { None }
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let set = self.value.set(value);
        if set.is_ok() {
            self.is_set.store(true, Release);
        }
        set
    }
}

/// That of `futures`, whose contract is that of a lock: one of `register` and `wake` comes first, and the other sees what came
/// before it. (loom has one, which wakes at once whom it finds registering.)
#[derive(Default)]
pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

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
