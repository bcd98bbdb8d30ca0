//! Returns the memory of freed large buffers to the system.
//!
//! The C library keeps most freed memory: a minute after 300 clients that never read, it kept 313 of 383 MiB. So it is
//! told to return unused memory when no large buffer was freed for a while. It still keeps the end of each thread's
//! heap. The program limits that when it starts (`main.rs`); the library does not change the settings of its process.

use std::convert::Infallible;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::Notify;
use tracing::debug;

/// Bytes that a connection must free at a time to trigger this.
const LARGE: u64 = 512 << 10;

/// The time without such a free before memory is returned. A stream of images frees and allocates all the time, and
/// would only need the memory again.
const QUIET: Duration = Duration::from_secs(5);

/// How often memory is returned after that, and the pause between: this also returns memory that was freed in small
/// pieces meanwhile.
const TIMES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(10);

/// Tracks frees of large buffers.
#[derive(Debug, Default)]
pub(crate) struct Reclaim {
    /// Some were freed since the last check.
    is_due: AtomicBool,
    wake: Notify,
}

impl Reclaim {
    /// Records that the buffers of a connection changed from `before` to `now` bytes.
    #[inline]
    pub(crate) fn changed(&self, before: u64, now: u64) {
        if before.saturating_sub(now) >= LARGE && !self.is_due.load(Relaxed) {
            self.is_due.store(true, Relaxed);
            self.wake.notify_one();
        }
    }

    /// Returns memory to the system whenever that is due, for ever. It sleeps while no large buffer was freed.
    pub(crate) async fn run(&self) -> Infallible {
        loop {
            self.wake.notified().await;
            for _ in 0..TIMES {
                self.quiet().await;
                let trimmed = tokio::task::spawn_blocking(draw_trim::trim).await;
                debug!(trimmed = trimmed.unwrap_or(false), "memory of large buffers goes back to the system");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Waits until no large buffer was freed for [`QUIET`].
    async fn quiet(&self) {
        while self.is_due.swap(false, Relaxed) {
            tokio::time::sleep(QUIET).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn memory_is_due_when_nothing_large_was_freed_for_a_while() {
        let reclaim = Reclaim::default();
        reclaim.changed(2 * LARGE, LARGE + 1);
        reclaim.changed(0, 9 * LARGE);
        assert!(reclaim.wake.notified().now_or_never().is_none(), "too little was freed, or taken");

        reclaim.changed(2 * LARGE, LARGE);
        assert!(reclaim.wake.notified().now_or_never().is_some());
        let mut quiet = Box::pin(reclaim.quiet());
        for _ in 0..3 {
            assert!(quiet.as_mut().now_or_never().is_none());
            reclaim.changed(2 * LARGE, 0);
            advance(QUIET).await;
        }
        assert!(quiet.as_mut().now_or_never().is_none(), "some were freed meanwhile");
        advance(QUIET).await;
        assert!(quiet.now_or_never().is_some());
    }
}
