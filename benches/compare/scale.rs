//! The amount of work: full or quick.

/// The work of each row in a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) rounds: u32,
    /// Calls made one by one.
    pub(crate) calls: usize,
    /// Calls of the loop that does not wait, and of the same loop for a peer that is a hundred times slower.
    pub(crate) singles: usize,
    pub(crate) slow_singles: usize,
    /// Number of times that the whole display is drawn in batches.
    pub(crate) passes: usize,
    /// The same for clients that share the work. Each of 512 sends twice what it may have in flight at first, since a
    /// short burst would only measure the start.
    pub(crate) crowd_passes: usize,
    /// Number of whole frames put or got.
    pub(crate) frames: usize,
    /// Number of questions of the client that is measured beside a streaming one.
    pub(crate) questions: usize,
    /// Number of times that the whole display is drawn over the slow path.
    pub(crate) far_passes: usize,
    /// Rounds between two turns of the slow groups.
    pub(crate) pause: u32,
}

impl Scale {
    pub(crate) const FULL: Scale = Scale {
        rounds: 30,
        calls: 1_000,
        singles: 200_000,
        slow_singles: 20_000,
        passes: 10,
        crowd_passes: 128,
        frames: 10,
        questions: 100,
        far_passes: 7,
        pause: 6,
    };
    pub(crate) const QUICK: Scale = Scale {
        rounds: 4,
        calls: 200,
        singles: 50_000,
        slow_singles: 5_000,
        passes: 2,
        crowd_passes: 5,
        frames: 3,
        questions: 30,
        far_passes: 5,
        pause: 4,
    };
}
