//! Passes damage from drawing threads to every subscriber. `fuzz/interleavings/damage.rs` runs it in every order.
//!
//! Publishing adds to one bitmap that all subscribers share, so its cost does not depend on their number, and it takes
//! no lock. The first subscriber that takes damage moves the shared bitmap to the bitmaps of all subscribers. Only the
//! publication that finds the shared bitmap clean looks up the subscribers, to wake those that are not awake: at most
//! once for each take.

use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard, Snapshot};
use std::mem::take;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::{Arc, PoisonError};

/// Damage that was published and not taken yet, and its subscribers.
pub(crate) struct Handoff<const WORDS: usize> {
    /// Published, and not collected yet.
    words: [AtomicU64; WORDS],
    /// Damage was published since a subscriber last collected it, so all of them have been woken. Without a subscriber it
    /// stays set: nothing clears it.
    is_dirty: AtomicBool,
    /// Held to collect, and to add and remove subscribers; never by a thread that publishes, and nothing is called meanwhile.
    pending: Mutex<Pending<WORDS>>,
    /// The wakers of the subscribers in `pending`. Changed only while `pending` is locked.
    wakers: Snapshot<[Arc<Waker>]>,
}

/// Damage that was collected, and not taken yet.
struct Pending<const WORDS: usize> {
    /// By the number of the subscriber, in ascending order.
    by_subscriber: Vec<(u64, [u64; WORDS])>,
    /// The number of the next subscriber.
    next: u64,
}

struct Waker {
    subscriber: u64,
    /// The subscriber was woken, and has not begun to take since. All access is relaxed: see [`Waker::wake`].
    is_woken: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Waker {
    /// Wakes the subscriber unless it is awake, and then it has yet to collect what the caller made `is_dirty` for.
    ///
    /// If the subscriber had cleared `is_dirty` before the caller set it, it had cleared `is_woken` before that. The
    /// caller acquired that by `is_dirty`, so this swap finds `is_woken` cleared.
    fn wake(&self) {
        if !self.is_woken.swap(true, Relaxed) {
            (self.wake)();
        }
    }
}

impl<const WORDS: usize> Handoff<WORDS> {
    /// Creates a handoff without damage or subscribers.
    pub(crate) fn new() -> Handoff<WORDS> {
        Handoff {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            is_dirty: AtomicBool::new(false),
            pending: Mutex::new(Pending { by_subscriber: Vec::new(), next: 0 }),
            wakers: Snapshot::new(Arc::new([])),
        }
    }

    /// Adds `words`, of which at least one is not empty, and empties them.
    ///
    /// A subscriber that takes this damage sees the pixels: the stores to them come before `fetch_or` in this thread,
    /// `fetch_or` releases them, and `swap` in [`Handoff::collect`] acquires. A `fetch_or` of another thread on the
    /// same word in between continues the release sequence. If another subscriber collected the words, this one
    /// acquires them by the lock of `pending`.
    pub(crate) fn publish(&self, words: &mut [u64; WORDS]) {
        for (shared, word) in self.words.iter().zip(words) {
            if *word != 0 {
                shared.fetch_or(take(word), Release);
            }
        }
        // If it was dirty already, the thread that set the flag wakes all subscribers, and none has collected since.
        // The one that does clears the flag before it collects. That reads this swap or one that follows, so it
        // acquires the words set above. If it was clean, this swap acquires what the last to collect released when it
        // cleared the flag: the list of subscribers, including one that has just subscribed.
        if !self.is_dirty.swap(true, AcqRel) {
            self.wake();
        }
    }

    /// Out of line, since it is rarely called.
    #[cold]
    fn wake(&self) {
        self.wakers.load().iter().for_each(|waker| waker.wake());
    }

    /// Subscribes, with `all` damaged. `wake` is called when there is damage to take: once, and not again before it was
    /// taken. The first call, for `all`, comes from this method.
    ///
    /// No damage that is published meanwhile is missed. The first take clears the flag. If another thread's swap of the
    /// flag comes before that, this take acquires the pixels, and `all` covers them. If it comes after that, the thread
    /// that then finds the flag clean sees the new subscriber, and wakes it. If another subscriber collected the words
    /// before either, it held the lock of `pending`: before this call, and then the first take sees the pixels, or
    /// after it, and then it adds the words to the new bitmap.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        all: [u64; WORDS],
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Subscriber<WORDS> {
        let mut pending = self.lock();
        let number = pending.next;
        pending.next += 1;
        pending.by_subscriber.push((number, all));
        let is_woken = AtomicBool::new(true);
        let waker = Arc::new(Waker { subscriber: number, is_woken, wake: Box::new(wake) });
        let wakers = self.wakers.load();
        let before = self.wakers.replace(wakers.iter().chain([&waker]).cloned().collect());
        drop(pending);
        drop((before, wakers));
        (waker.wake)();
        Subscriber { handoff: Arc::clone(self), waker }
    }

    fn unsubscribe(&self, number: u64) {
        let mut pending = self.lock();
        pending.by_subscriber.retain(|(subscriber, _)| *subscriber != number);
        let wakers = self.wakers.load();
        let left = wakers.iter().filter(|waker| waker.subscriber != number);
        let before = self.wakers.replace(left.cloned().collect());
        drop(pending);
        // Dropped without the lock: the closure of a waker may own a subscriber, whose drop unsubscribes.
        drop((before, wakers));
    }

    /// Moves the shared bitmap to the bitmaps of all subscribers.
    fn collect(&self, pending: &mut Pending<WORDS>) {
        // Cleared first, so that damage published while the words are being collected wakes all subscribers again. A
        // store would not acquire what publishers that found the flag set have released. The release passes the list of
        // subscribers to the publisher that finds the flag clean.
        self.is_dirty.fetch_and(false, AcqRel);
        let collected = self.words.each_ref().map(|shared| match shared.load(Relaxed) {
            // The words were acquired above, and a load costs less than an exchange.
            0 => 0,
            _ => shared.swap(0, Acquire),
        });
        if collected != [0; WORDS] {
            for (_, words) in &mut pending.by_subscriber {
                words.iter_mut().zip(collected).for_each(|(word, more)| *word |= more);
            }
        }
    }

    /// Returns the number of subscribers, and checks that nothing is left of former ones.
    #[cfg(test)]
    pub(crate) fn subscribers(&self) -> usize {
        let subscribers = self.lock().by_subscriber.len();
        assert_eq!(subscribers, self.wakers.load().len());
        subscribers
    }

    fn lock(&self) -> MutexGuard<'_, Pending<WORDS>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A subscriber to damage. Unsubscribes when it is dropped; a thread that is publishing at that moment may still wake
/// it once.
pub(crate) struct Subscriber<const WORDS: usize> {
    handoff: Arc<Handoff<WORDS>>,
    waker: Arc<Waker>,
}

impl<const WORDS: usize> Subscriber<WORDS> {
    /// Takes the damage published since the last call.
    pub(crate) fn take(&self) -> [u64; WORDS] {
        // Cleared first, so that damage published while it collects wakes it again. Not a store, which loom may order
        // before a swap that has not seen it.
        self.waker.is_woken.fetch_and(false, Relaxed);
        let mut pending = self.handoff.lock();
        self.handoff.collect(&mut pending);
        let all = &mut pending.by_subscriber;
        let own = all.binary_search_by_key(&self.waker.subscriber, |(subscriber, _)| *subscriber);
        own.map_or([0; WORDS], |at| std::mem::replace(&mut all[at].1, [0; WORDS]))
    }
}

impl<const WORDS: usize> Drop for Subscriber<WORDS> {
    fn drop(&mut self) {
        self.handoff.unsubscribe(self.waker.subscriber);
    }
}
