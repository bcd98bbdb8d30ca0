//! The status of a connection.

use super::{DisconnectReason, Picture};
use std::fmt;
use std::time::Duration;

/// A change of the connection: see [`ConnectOptions::on_status`](crate::ConnectOptions::on_status).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Status {
    /// The connection is lost, or an attempt to reconnect has failed. Calls wait, fail, or are dropped, as
    /// [`ConnectOptions::while_offline`](crate::ConnectOptions::while_offline) says.
    Reconnecting {
        /// Why.
        reason: DisconnectReason,
        /// Time until the next attempt.
        next: Duration,
    },
    /// The client has reconnected. Everything that was under way continues; nothing is lost.
    Resumed,
    /// The client has reconnected, but the display does not know this client's session any more, or has lost the end of it.
    /// Draw again what has to be there, as far as `picture` says that it may be missing.
    SessionLost {
        /// What is left of the picture.
        picture: Picture,
        /// Calls that were under way and may or may not have been executed: each has failed with
        /// [`Error::SessionLost`](crate::Error::SessionLost). Calls that were not sent yet continue.
        unknown: usize,
    },
    /// Calls were dropped while the connection was lost or the display did not keep up, as
    /// [`WhileOffline::DropOldest`](crate::WhileOffline::DropOldest) says. It is reported once, when that time is over: draw
    /// again what has to be there.
    Dropped {
        /// The number of calls. Each has failed with [`Error::Dropped`](crate::Error::Dropped), and was certainly not
        /// drawn.
        calls: u64,
    },
    /// The connection is gone for good. The client does not try again.
    Disconnected(DisconnectReason),
}

/// A status callback.
pub(crate) type StatusCallback = Box<dyn FnMut(Status) + Send>;

impl Status {
    /// Returns the status after a reconnect: `lost` is what is left of the picture if the session was lost, and the
    /// outcome of `unknown` calls is unknown.
    pub(crate) fn reconnected(lost: Option<Picture>, unknown: usize) -> Status {
        lost.map_or(Status::Resumed, |picture| Status::SessionLost { picture, unknown })
    }

    /// Emits it as a `tracing` event. No lock may be held: a subscriber may call the display.
    pub(crate) fn report(&self) {
        match self {
            Status::Resumed => tracing::info!("{self}"),
            _ => tracing::warn!("{self}"),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Reconnecting { reason, next } => {
                let next = next.as_secs_f64();
                write!(f, "the connection to the display is lost: {reason}; next try in {next:.1} s")
            }
            Status::Resumed => f.write_str("reconnected; all pending calls continue"),
            Status::SessionLost { picture, unknown } => {
                f.write_str(match picture {
                    Picture::Kept => "reconnected; the outage was longer than the display keeps a session",
                    Picture::Stale => {
                        "reconnected; the display was restarted, and the last calls that it executed may be lost"
                    }
                    Picture::Empty => "reconnected; the display was restarted and is empty",
                })?;
                match unknown {
                    0 => Ok(()),
                    1 => f.write_str("; the outcome of 1 call is unknown"),
                    calls => write!(f, "; the outcome of {calls} calls is unknown"),
                }
            }
            Status::Dropped { calls: 1 } => f.write_str(
                "1 call that was made while the display was offline or behind was dropped for newer ones",
            ),
            Status::Dropped { calls } => {
                write!(
                    f,
                    "{calls} calls that were made while the display was offline or behind were dropped for newer ones"
                )
            }
            Status::Disconnected(reason) => {
                write!(f, "the connection to the display is lost for good: {reason}")
            }
        }
    }
}
