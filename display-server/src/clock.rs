//! What time it is.

use std::time::Instant;

/// The runtime's clock, which tests can stop and turn.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
