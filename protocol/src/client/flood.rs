//! Limits messages that do nothing.

use super::{Connection, Ended};
use crate::codec::checksum::Verified;
use crate::limits;
use std::time::Instant;

/// Bytes of messages that did nothing, beyond those allowed each second.
#[derive(Debug, Default)]
pub(super) struct Noise {
    bytes: u64,
    since: Option<Instant>,
}

impl Noise {
    /// Counts one more such message. Returns whether there were too many.
    fn is_flood(&mut self, length: usize, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since.unwrap_or(now)).as_millis();
        let forgiven =
            u64::try_from(passed).unwrap_or(u64::MAX).saturating_mul(limits::TALK_PER_SECOND) / 1000;
        // Less than a millisecond forgives nothing, and is not lost either.
        if forgiven > 0 || self.since.is_none() {
            self.since = Some(now);
        }
        // One message alone, however long, is no flood.
        let counted = (length as u64).min(limits::TALK / 4);
        self.bytes = self.bytes.saturating_sub(forgiven).saturating_add(counted);
        self.bytes > limits::TALK
    }
}

impl Connection {
    /// Notes that a message of `length` bytes has been handled, before which `applied` requests were done.
    #[inline]
    pub(super) fn note_arrived(
        &mut self,
        arrived: Verified,
        length: usize,
        applied: u64,
        now: Instant,
    ) -> Result<(), Ended> {
        // Most messages do something. A check is counted with the message behind it.
        if self.flight.applied() != applied || arrived == Verified::Check {
            Ok(())
        } else {
            self.note_noise(length, now)
        }
    }

    #[cold]
    fn note_noise(&mut self, length: usize, now: Instant) -> Result<(), Ended> {
        if !self.receive.flood.is_flood(length, now) {
            return Ok(());
        }
        Err(Ended::Flooded(format!(
            "the display floods this client: it sent more than {} KiB of messages that answer nothing",
            limits::TALK >> 10
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_borne_and_a_trickle_for_ever_but_no_flood() {
        let (mut flood, mut now) = (Noise::default(), Instant::now());
        for _ in 0..limits::TALK / 16 {
            assert!(!flood.is_flood(16, now));
        }
        assert!(flood.is_flood(16, now));
        assert!((0..4).all(|_| !Noise::default().is_flood(limits::MESSAGE, now)), "a long message is none");
        // The burst no longer counts after a while.
        now += Duration::from_secs(17);
        for _ in 0..100_000 {
            now += Duration::from_micros(500);
            assert!(!flood.is_flood(32, now), "64 kB a second");
        }
        assert!((0..3 * limits::TALK / 64).any(|_| {
            now += Duration::from_micros(500);
            flood.is_flood(64, now)
        }));
    }
}
