//! The calls that were accepted while there was no connection, and what is reported of them.

use super::{OfflineQueue, WhileOffline};
use crate::completion::Dropped;
use crate::error::Status;

/// Calls that the machine has not been given, and those that were dropped. The numbers in `queue` are above those of
/// all calls of the machine. `dropped` and `dropped_calls` are reported before anything that ends the outage.
#[derive(Default)]
pub(crate) struct Offline {
    /// What happens to calls during an outage.
    pub(crate) policy: WhileOffline,
    pub(crate) queue: OfflineQueue,
    /// How many calls were dropped since the connection was lost, and those of them that become late errors.
    pub(crate) dropped_calls: u64,
    pub(crate) dropped: Dropped,
    /// Whether a display that was behind has caught up, and dropped calls are not reported yet.
    pub(crate) has_caught_up: bool,
    /// The status of a new connection, if it is not reported yet.
    pub(crate) resumed: Option<Status>,
}

impl Offline {
    /// Takes the status that reports dropped calls, if there are some.
    pub(crate) fn take_dropped(&mut self) -> Option<Status> {
        self.has_caught_up = false;
        let calls = std::mem::take(&mut self.dropped_calls);
        (calls > 0).then_some(Status::Dropped { calls })
    }

    /// Returns whether a status is to be reported: an outage is over, or a display that was behind has caught up.
    pub(crate) fn has_status(&self) -> bool {
        self.has_caught_up || self.resumed.is_some()
    }

    /// Takes the status to report, in order: dropped calls, then the new connection.
    pub(crate) fn take_status(&mut self) -> [Option<Status>; 2] {
        let resumed = self.resumed.take();
        [self.take_dropped(), resumed]
    }
}
