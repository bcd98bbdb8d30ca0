//! Single pixels that wait for others to travel with.

use super::flight::Run;
use std::time::Instant;

/// Pixels that become one request when something is to be sent. Their calls are the last ones made, and `began` is set exactly while
/// there are some.
#[derive(Debug, Default)]
pub(super) struct Joining {
    pub(super) run: Run,
    /// How many may travel together.
    pub(super) most: usize,
    /// When the first of them was called.
    pub(super) began: Option<Instant>,
}

impl Joining {
    /// Returns whether a pixel can be joined to those that wait.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.began.is_some() && self.run.len() < self.most
    }
}
