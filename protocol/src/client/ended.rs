//! Why a connection cannot continue.

use crate::fault::{Code, Fault};
use crate::limits;
use crate::reconnect::Kind;
use crate::text::excerpt;

/// The connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The server refused `hello`.
    #[error("the display refused the greeting: {0}")]
    Refused(Fault),
    /// The server broke the protocol: it is none of ours, or it lies.
    #[error("the other side does not speak this protocol: {0}")]
    Violation(String),
    /// Bytes were altered on their way: they are not what their [check](crate::CHECK) says. None of them was believed. Another
    /// connection may be better, and in a session nothing is lost by it.
    #[error("{0}")]
    Corrupted(String),
    /// The other side is no display: its first bytes are those of another protocol.
    #[error("not a display: it answered {0}")]
    Stranger(String),
    /// The display was asked for by its name, and the server does not say that it is that one: it is older, and has one display.
    #[error(
        "the display {0:?} was asked for by its name, but this server is older and has one display only: connect without a name"
    )]
    OneDisplay(String),
    /// What came was well formed and did nothing, again and again: see [`limits::TALK`]. Another connection may be better.
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
