//! What is left of the picture on a display that has lost a session.

use draw_protocol::session::Standing;

/// What is left of the picture on a display that has lost a client's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Picture {
    /// Everything that was executed is there. The client was out of reach for longer than the display remembers it.
    Kept,
    /// The display was restarted from its journal: the last calls that it had executed may be missing.
    Stale,
    /// The display was started anew without its picture.
    Empty,
}

impl Picture {
    /// Returns what is left of the picture, if the standing says that the session is lost.
    pub(crate) fn of(standing: Standing, is_restarted: bool) -> Option<Picture> {
        match standing {
            Standing::Fresh | Standing::Resumed => None,
            Standing::Expired if !is_restarted => Some(Picture::Kept),
            Standing::Expired | Standing::Regressed => Some(Picture::Stale),
            Standing::StateLost => Some(Picture::Empty),
        }
    }
}
