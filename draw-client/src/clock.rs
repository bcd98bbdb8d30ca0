//! The clock of the asynchronous clients.

use std::time::Instant;

/// Returns the time of the runtime's clock, which a test may pause, or of the system's.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
