//! The clock.

use std::time::Instant;

/// Returns the time of the runtime's clock, which tests can pause and advance.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
