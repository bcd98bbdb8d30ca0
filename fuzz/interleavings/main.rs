//! Runs the lock-free code that threads of the display server and of the client share in every order that the memory
//! orderings of the source allow. The source is the one that ships, with loom's atomics in place of the processor's.
//!
//! This code is in a few files, each of which imports what it shares from `crate::sync`. Here that is [`sync`], and the
//! files are modules of the tests. Everything else, locks above all, is as in the product or as its documentation
//! describes it.
//!
//! Not covered, and why:
//!
//! - The pixels: each is stored and loaded relaxed and by itself, as in these models. The damage orders them.
//! - The queue for credit: it changes only under the lock of the client's state. `draw-client/tests/orders.rs` tests
//!   calls that wait there in every order.
//! - How far the journal is durable: a number that only rises, is set under a lock, and is handed over alone.
//! - Counters, and flags that nothing else depends on: all relaxed.
//! - A caller that writes a lone call itself while the driver finds the writer taken: this is only a lock.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod damage;
mod replies;
mod sessions;
mod sync;
mod window;

use loom::sync::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Runs `model` in every order in which all its threads together are interrupted at most `interruptions` times. Each
/// additional interruption multiplies the number of orders by about ten. (`LOOM_MAX_PREEMPTIONS` in the environment
/// overrides the number for all models.)
fn explore(what: &str, interruptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(interruptions);
    let began = std::time::Instant::now();
    builder.check(move || {
        counter.fetch_add(1, Relaxed);
        model();
    });
    let count = count.load(Relaxed);
    println!("{what}: {count} interleavings in {:.1?}", began.elapsed());
    // The count is one if the threads share nothing that loom knows of.
    assert!(count > 1, "{what}: nothing was explored");
}

/// A queue of events that wakes a thread which observes the work of others.
struct Events {
    state: Mutex<(usize, usize)>,
    changed: Condvar,
    most: usize,
}

impl Events {
    /// Creates a queue for this number of sending threads. No more than `most` events may be pending at once.
    fn new(senders: usize, most: usize) -> Arc<Events> {
        Arc::new(Events { state: Mutex::new((0, senders)), changed: Condvar::new(), most })
    }

    fn send(&self) {
        let (pending, _) = &mut *self.state.lock().unwrap();
        *pending += 1;
        sync::release();
        assert!(*pending <= self.most, "{pending} events are pending");
        self.changed.notify_one();
    }

    /// Records that one of the threads has ended.
    fn end(&self) {
        let (_, senders) = &mut *self.state.lock().unwrap();
        *senders -= 1;
        sync::release();
        self.changed.notify_one();
    }

    /// Waits for an event. Returns false when no event is pending and all threads have ended.
    fn next(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        sync::release();
        while state.0 == 0 && state.1 > 0 {
            state = self.changed.wait(state).unwrap();
        }
        let is_there = state.0 > 0;
        state.0 -= usize::from(is_there);
        is_there
    }
}
