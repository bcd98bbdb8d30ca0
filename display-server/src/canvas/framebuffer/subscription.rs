//! The subscription of a presenter, a recorder or a viewer to a framebuffer's damage.

use super::handoff::Subscriber;
use crate::canvas::damage::{Damage, WORDS};
use std::fmt;

/// A subscription to the damage of a framebuffer, made by [`Framebuffer::subscribe`](crate::Framebuffer::subscribe).
///
/// Each subscription has a bitmap of its own: taking damage does not affect other subscriptions, and a slow subscriber
/// gets the union of all damage since its last call. Dropping it unsubscribes; a thread that is publishing at that
/// moment may still call `wake` once.
#[must_use = "dropping it unsubscribes"]
pub struct Subscription {
    pub(super) subscriber: Subscriber<WORDS>,
    pub(super) height: u32,
}

impl Subscription {
    /// Replaces `damage` with the damage published since the last call, or with all rows at the first call. A read of
    /// the framebuffer after this call sees every pixel that was stored before the publication.
    pub fn take(&mut self, damage: &mut Damage) {
        *damage = Damage::none(self.height);
        *damage.words_mut() = self.subscriber.take();
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
