//! How damage passes from those who draw to the presenter, without a lock. `fuzz/interleavings/damage.rs` runs it in
//! every order.

use crate::sync::{AtomicBool, AtomicU64, OnceLock};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

/// Damage that was published and not taken yet, and the wake that tells the presenter of it.
pub(crate) struct Handoff<const WORDS: usize> {
    words: [AtomicU64; WORDS],
    /// Damage was published since a presenter last took it, so the presenter has been woken.
    is_dirty: AtomicBool,
    wake: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl<const WORDS: usize> Handoff<WORDS> {
    /// No damage, and nobody to wake.
    pub(crate) fn new() -> Handoff<WORDS> {
        Handoff {
            words: std::array::from_fn(|_| AtomicU64::new(0)),
            is_dirty: AtomicBool::new(false),
            wake: OnceLock::new(),
        }
    }

    /// Adds `words`, of which at least one is not empty, and empties them.
    ///
    /// A presenter that takes this damage sees the pixels: the stores to them come before `fetch_or` in this thread,
    /// `fetch_or` releases them, and `swap` in [`Handoff::take`] acquires. Other threads' `fetch_or` on the same word in
    /// between do no harm, since they continue the release sequence.
    pub(crate) fn publish(&self, words: &mut [u64; WORDS]) {
        for (shared, word) in self.words.iter().zip(words) {
            if *word != 0 {
                shared.fetch_or(std::mem::take(word), Release);
            }
        }
        // Nobody is woken if it was dirty already: then the presenter is still to clear the flag, which it does before
        // it takes the words. That reads this swap or one that follows, so it acquires the words set above. If it was not,
        // this swap acquires what the presenter released when it cleared the flag: whom to wake, if it came just then.
        if !self.is_dirty.swap(true, AcqRel)
            && let Some(wake) = self.wake.get()
        {
            wake();
        }
    }

    /// Takes what was published since the last call.
    pub(crate) fn take(&self) -> [u64; WORDS] {
        // First, so that damage published while the words are being taken wakes the presenter once more. Not a store, which
        // would not acquire what those released who found it set.
        self.is_dirty.fetch_and(false, AcqRel);
        self.words.each_ref().map(|shared| shared.swap(0, Acquire))
    }

    /// Sets whom to wake when there is damage to take, and wakes at once, since there may be some already. Only the first
    /// call sets anything; answers whether it was this one.
    pub(crate) fn on_damage(&self, wake: impl Fn() + Send + Sync + 'static) -> bool {
        let is_first = self.wake.set(Box::new(wake)).is_ok();
        if is_first && let Some(wake) = self.wake.get() {
            wake();
        }
        is_first
    }
}
