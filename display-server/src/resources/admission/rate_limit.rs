//! Limits the rate of new clients, so that a flood of them uses a bounded part of a processor.

use crate::limits;
use std::time::{Duration, Instant};

/// A token bucket of [`limits::ACCEPT_BURST`] clients, filled at [`limits::ACCEPT_PER_SECOND`].
#[derive(Debug)]
pub(crate) struct RateLimit {
    left: f64,
    at: Instant,
}

impl RateLimit {
    pub(crate) fn new(now: Instant) -> RateLimit {
        RateLimit { left: f64::from(limits::ACCEPT_BURST), at: now }
    }

    /// Takes a token for one client, or returns when to try again.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let rate = f64::from(limits::ACCEPT_PER_SECOND);
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.left, self.at) = ((self.left + passed * rate).min(f64::from(limits::ACCEPT_BURST)), now);
        if self.left < 1.0 {
            return Err(now + Duration::from_secs_f64((1.0 - self.left) / rate));
        }
        self.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_let_in_at_a_rate_and_a_few_at_once() {
        let began = Instant::now();
        let (mut limit, mut now, mut let_in) = (RateLimit::new(began), began, 0_u32);
        while now < began + Duration::from_secs(2) {
            match limit.take(now) {
                Ok(()) => let_in += 1,
                Err(until) => {
                    assert!(until > now && until <= now + Duration::from_millis(1));
                    now = until;
                }
            }
        }
        let most = limits::ACCEPT_BURST + 2 * limits::ACCEPT_PER_SECOND;
        assert!(let_in > most - 10 && let_in <= most + 1, "{let_in}");
    }
}
