//! The kinds of losses, and which of them another connection may fix.

use crate::fault::{Code, Fault};

/// Why a connection was lost, as a client reports it to its user.
pub trait Reason: Clone {
    /// Returns what kind of loss it is.
    fn kind(&self) -> Kind;

    /// Returns the reason for an attempt that timed out.
    fn timed_out() -> Self;
}

/// A kind of loss: decides whether another attempt may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// The network failed, or the other side closed the connection without a reason, as a display does that receives a
    /// corrupted `hello`.
    Network,
    /// A message of either side was corrupted in transit.
    Corrupted,
    /// The display took another connection for the later one, or this one for a copy. The session is the client's own, so an earlier
    /// `hello` of its own came late or twice: a `hello` with a higher number settles it.
    Overtaken,
    /// The same, as the answer to `hello`.
    HelloOvertaken,
    /// The display shuts down, is too busy or floods; or another program answers in its place, as a proxy does while the
    /// display is gone.
    Unavailable,
    /// The display has lost the last requests that it had executed, and refuses `hello` unless the client accepts that.
    Regressed,
    /// Another connection would be lost in the same way, or this side has ended it.
    Final,
}

impl Kind {
    /// Returns the kind of a loss for which the display gave this reason.
    pub fn of_goodbye(fault: &Fault) -> Kind {
        match fault.code {
            Code::ShuttingDown | Code::TooSlow => Kind::Unavailable,
            Code::Corrupted => Kind::Corrupted,
            Code::Superseded | Code::Unconfirmed => Kind::Overtaken,
            _ => Kind::Final,
        }
    }

    /// Returns whether a connection that had been greeted may be followed by another.
    pub(super) fn may_return(self, accepts_loss: bool) -> bool {
        match self {
            Kind::Network | Kind::Corrupted | Kind::Overtaken | Kind::HelloOvertaken | Kind::Unavailable => {
                true
            }
            Kind::Regressed => accepts_loss,
            Kind::Final => false,
        }
    }

    /// Returns whether the first `hello` may be sent once more on another connection: it or its answer may have been altered,
    /// or a copy of it came first. A display that does not know checks answers in the same way each time, so the number of
    /// attempts is limited.
    pub(super) fn may_greet_again(self, is_checked: bool) -> bool {
        match self {
            Kind::Network | Kind::Corrupted => is_checked,
            Kind::HelloOvertaken => true,
            Kind::Overtaken | Kind::Unavailable | Kind::Regressed | Kind::Final => false,
        }
    }

    /// Returns whether the next connection may be lost for the same reason, however long it lasts.
    pub(super) fn may_recur(self) -> bool {
        matches!(self, Kind::Corrupted | Kind::Overtaken)
    }
}
