//! The clock of the asynchronous clients.

use std::time::Instant;

/// Returns the time by the clock of the runtime, which a test may stop, or by the system's.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
