//! The limit of malformed requests, a token bucket.

use crate::limits;
use std::time::Instant;

/// Tokens for malformed requests, in thousandths.
#[derive(Debug)]
pub(super) struct RateLimit {
    tokens: u64,
    filled: Instant,
}

impl RateLimit {
    pub(super) fn full(now: Instant) -> RateLimit {
        RateLimit { tokens: u64::from(limits::MALFORMED_BURST) * 1000, filled: now }
    }

    /// Takes a token. Returns whether there was one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let most = u64::from(limits::MALFORMED_BURST) * 1000;
        let gained =
            now.saturating_duration_since(self.filled).as_millis() * u128::from(limits::MALFORMED_PER_SECOND);
        self.tokens = most.min(self.tokens.saturating_add(u64::try_from(gained).unwrap_or(most)));
        self.filled = now;
        self.tokens.checked_sub(1000).map(|left| self.tokens = left).is_some()
    }
}
