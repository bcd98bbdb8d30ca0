//! The calls that were accepted while there was no connection, and what is reported of them.

use super::{OfflineQueue, WhileOffline};
use crate::completion::Dropped;
use crate::error::Status;

/// The calls that the machine has not been given, and what was dropped of them. The numbers in `queue` are above those of all calls of
/// the machine. `dropped` and `dropped_calls` are reported before anything that ends the outage.
#[derive(Default)]
pub(crate) struct Offline {
    /// What happens to calls during an outage.
    pub(crate) policy: WhileOffline,
    pub(crate) queue: OfflineQueue,
    /// How many calls were dropped since the connection was lost, and those that become late errors.
    pub(crate) dropped_calls: u64,
    pub(crate) dropped: Dropped,
    /// A display that was behind has caught up, and the program has not been told what was dropped meanwhile.
    pub(crate) has_caught_up: bool,
    /// There is another connection, and the program has not been told.
    pub(crate) resumed: Option<Status>,
}

impl Offline {
    /// Returns what the program is told of the calls that were dropped.
    pub(crate) fn take_dropped(&mut self) -> Option<Status> {
        self.has_caught_up = false;
        let calls = std::mem::take(&mut self.dropped_calls);
        (calls > 0).then_some(Status::Dropped { calls })
    }

    /// Returns whether an outage, or the time of a display that was behind, is over and the program has not been told.
    pub(crate) fn has_status(&self) -> bool {
        self.has_caught_up || self.resumed.is_some()
    }

    /// Returns what the program is told then, in order: what was dropped, and that there is another connection.
    pub(crate) fn take_status(&mut self) -> [Option<Status>; 2] {
        let resumed = self.resumed.take();
        [self.take_dropped(), resumed]
    }
}
