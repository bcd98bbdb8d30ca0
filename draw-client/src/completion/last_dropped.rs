//! How the state is told of a dropped reply without taking its lock. `fuzz/interleavings/replies.rs` runs it in every order.

use crate::sync::{AtomicBool, AtomicU64};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Shared beside the state, and mostly changed without its lock.
pub(crate) struct LastDropped {
    /// The number of a call whose reply was dropped and whose `ReplyState` does not say so yet; 0 for none. The next holder of the
    /// lock writes it down. So the usual call, whose reply is dropped at once, locks the state only once.
    number: AtomicU64,
    /// Whether there are results for replies that live.
    has_results: AtomicBool,
}

/// What is left to do after a reply was dropped.
pub(crate) enum Left {
    Nothing,
    /// Lock the state, which writes down what was dropped: there may be a result for it, which nothing else takes.
    Lock,
    /// Lock the state and write it down: another reply is waiting to be written down.
    All,
}

impl LastDropped {
    pub(crate) fn new() -> LastDropped {
        LastDropped { number: AtomicU64::new(0), has_results: AtomicBool::new(false) }
    }

    /// Notes that the reply of a call was dropped. The lock need not be held.
    #[inline]
    pub(crate) fn leave(&self, number: u64) -> Left {
        if self.number.compare_exchange(0, number, SeqCst, Relaxed).is_err() {
            return Left::All;
        }
        // A thread that stores a result sets the flag before it looks whether the reply was dropped, and this is the other way
        // round: one of the two sees the other.
        if self.has_results.load(SeqCst) { Left::Lock } else { Left::Nothing }
    }

    /// Takes the number that was left here; 0 for none. The lock has to be held.
    #[inline]
    pub(crate) fn take(&self) -> u64 {
        let number = self.number.load(SeqCst);
        if number != 0 {
            // Only the holder of the lock empties it, and a thread that finds it empty need not know what was there.
            self.number.store(0, Relaxed);
        }
        number
    }

    /// Sets whether there are results. The lock has to be held. If there are some, [`LastDropped::take`] has to follow.
    pub(crate) fn set_results(&self, has_results: bool) {
        self.has_results.store(has_results, SeqCst);
    }
}
