//! How the state hears of a reply that was dropped, without a lock of its own. `fuzz/interleavings/replies.rs` runs it in
//! every order.

use crate::sync::{AtomicBool, AtomicU64};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// What is shared beside the state, and changed mostly without its lock.
pub(super) struct LastDropped {
    /// The number of a call whose reply was dropped and whose reply does not say so yet; 0 for none. Whoever locks the
    /// state next writes it down, which spares the usual call, whose reply is dropped at once, a lock of its own.
    number: AtomicU64,
    /// Whether any call is done whose reply lives and has not been told.
    has_results: AtomicBool,
}

/// What is left to do for whoever has dropped a reply.
pub(super) enum Left {
    Nothing,
    /// To lock the state, and so to write down what was dropped: perhaps there is a result for it, which nobody else will
    /// come for.
    Lock,
    /// To write it down: another one is still to be.
    All,
}

impl LastDropped {
    pub(super) fn new() -> LastDropped {
        LastDropped { number: AtomicU64::new(0), has_results: AtomicBool::new(false) }
    }

    /// The reply of a call was dropped, by somebody who need not hold the lock.
    #[inline]
    pub(super) fn leave(&self, number: u64) -> Left {
        if self.number.compare_exchange(0, number, SeqCst, Relaxed).is_err() {
            return Left::All;
        }
        // Whoever stores a result sets the flag before looking whether its reply was dropped, and this is the other way
        // about: one of the two sees the other.
        if self.has_results.load(SeqCst) { Left::Lock } else { Left::Nothing }
    }

    /// The number of the call that was left here; 0 for none. To be called with the lock, and by nobody else.
    #[inline]
    pub(super) fn take(&self) -> u64 {
        let number = self.number.load(SeqCst);
        if number != 0 {
            // Nobody else empties it: they would have to hold the lock. Whoever finds it empty need not know what was there.
            self.number.store(0, Relaxed);
        }
        number
    }

    /// There are results, or none are left. To be called with the lock. Where there are some, [`LastDropped::take`] has to
    /// follow.
    pub(super) fn set_results(&self, has_results: bool) {
        self.has_results.store(has_results, SeqCst);
    }
}
