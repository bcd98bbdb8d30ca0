//! Why a connection cannot continue.

use crate::fault::{Code, Fault};
use crate::limits;
use crate::reconnect::Kind;
use crate::text::excerpt;

/// Why the connection cannot continue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The server refused `hello`.
    #[error("the display refused the greeting: {0}")]
    Refused(Fault),
    /// The server violated the protocol.
    #[error("the other side does not speak this protocol: {0}")]
    Violation(String),
    /// A message was corrupted in transit: its [check](crate::CHECK) does not match, and it was discarded. Another connection
    /// may work, and a session loses nothing.
    #[error("{0}")]
    Corrupted(String),
    /// The other side is not a display: its first bytes are those of another protocol.
    #[error("not a display: it answered {0}")]
    Stranger(String),
    /// A display was asked for by name, and the server did not confirm the name: it is an older one with a single display.
    #[error(
        "the display {0:?} was asked for by its name, but this server is older and has one display only: connect without a name"
    )]
    OneDisplay(String),
    /// The server sent too many messages without effect: see [`limits::TALK`]. Another connection may work.
    #[error("{0}")]
    Flooded(String),
}

pub(super) fn violation(what: impl Into<String>) -> Ended {
    // It may quote the other side.
    Ended::Violation(excerpt(&what.into(), limits::STRING / 8))
}

impl From<&Ended> for Kind {
    fn from(ended: &Ended) -> Kind {
        match ended {
            Ended::Corrupted(_) => Kind::Corrupted,
            Ended::Flooded(_) | Ended::Stranger(_) => Kind::Unavailable,
            Ended::Violation(_) | Ended::OneDisplay(_) => Kind::Final,
            Ended::Refused(fault) => match fault.code {
                Code::TooSlow => Kind::Unavailable,
                Code::Superseded | Code::Unconfirmed => Kind::HelloOvertaken,
                Code::StateRegressed => Kind::Regressed,
                _ => Kind::Final,
            },
        }
    }
}
