//! Passes the number of a dropped reply to the state without its lock. `fuzz/interleavings/replies.rs` runs it in every
//! order.

use crate::sync::{AtomicBool, AtomicU64};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// Shared beside the state, and mostly changed without its lock.
pub(crate) struct LastDropped {
    /// The number of a call whose reply was dropped and whose `ReplyState` does not say so yet; 0 for none. The next
    /// holder of the lock updates the `ReplyState`. So the usual call, whose reply is dropped at once, locks the state
    /// only once.
    number: AtomicU64,
    /// Whether there are results for replies that are alive.
    has_results: AtomicBool,
}

/// What is left to do after a reply was dropped.
pub(crate) enum Left {
    Nothing,
    /// Lock the state, which updates the `ReplyState`: there may be a result that nothing else takes.
    Lock,
    /// Lock the state and update this call: another number waits to be taken.
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
        // A thread that stores a result sets the flag before it takes the number. This order is the opposite, so one of
        // the two threads sees the other.
        if self.has_results.load(SeqCst) { Left::Lock } else { Left::Nothing }
    }

    /// Takes the number; 0 for none. The lock must be held.
    #[inline]
    pub(crate) fn take(&self) -> u64 {
        let number = self.number.load(SeqCst);
        if number != 0 {
            // Only the holder of the lock empties it, and a thread that finds it empty need not know its last number.
            self.number.store(0, Relaxed);
        }
        number
    }

    /// Sets whether there are results. The lock must be held. If there are some, [`LastDropped::take`] must follow.
    pub(crate) fn set_results(&self, has_results: bool) {
        self.has_results.store(has_results, SeqCst);
    }
}
