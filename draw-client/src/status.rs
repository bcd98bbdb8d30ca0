//! What a program may want to know of its connection.

use crate::error::Lost;
use draw_protocol::session::Standing;
use std::fmt;
use std::time::Duration;

/// What has become of the connection: see [`Builder::on_status`](crate::Builder::on_status).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Status {
    /// The connection is lost, or a try to make another has failed. Calls wait, or fail, or the oldest are
    /// dropped, as [`Builder::while_gone`](crate::Builder::while_gone) says.
    Reconnecting {
        /// Why.
        reason: Lost,
        /// When it is tried next, from now.
        next: Duration,
    },
    /// There is another connection. Everything that was under way goes on.
    Resumed,
    /// There is another connection, to a display that has lost an end of what it had executed:
    /// [`Builder::accept_loss`](crate::Builder::accept_loss). What it has not reported goes on.
    Regressed,
    /// There is another connection, to a display that was started anew and is empty: draw again what is to be there.
    StateLost {
        /// Calls that were under way, of which nobody knows whether they were executed: each has failed with
        /// [`Error::Forgotten`](crate::Error::Forgotten). Those that were not sent yet go on.
        unknown: usize,
    },
    /// There is another connection, to a display that has its picture and has forgotten this client.
    Expired {
        /// As in [`Status::StateLost`].
        unknown: usize,
    },
    /// There is another connection, to a display that was restarted from its journal and has forgotten this client: the last
    /// that it had executed may be lost, and is to be drawn again.
    Restarted {
        /// As in [`Status::StateLost`].
        unknown: usize,
    },
    /// Calls that were made while the connection was lost, or the display did not keep up, have been dropped, as
    /// [`WhileGone::DropOldest`](crate::WhileGone::DropOldest) wants it. It is told once, before what ended that time: the
    /// place to draw again what has to be there.
    Dropped {
        /// How many. Each has failed with [`Error::Dropped`](crate::Error::Dropped), and was certainly not drawn.
        calls: u64,
    },
    /// There will be no other connection.
    Lost(Lost),
}

/// What a status callback is.
pub(crate) type StatusCallback = Box<dyn FnMut(Status) + Send>;

impl Status {
    /// A connection is resumed, perhaps to a display that was restarted, and of so many calls nobody knows.
    pub(crate) fn resumed(standing: Standing, is_restarted: bool, unknown: usize) -> Status {
        match standing {
            Standing::Expired if is_restarted => Status::Restarted { unknown },
            Standing::StateLost => Status::StateLost { unknown },
            Standing::Expired => Status::Expired { unknown },
            Standing::Regressed => Status::Regressed,
            Standing::Fresh | Standing::Resumed => Status::Resumed,
        }
    }

    /// Says so as a `tracing` event. No lock may be held: whoever hears it may call the display.
    pub(crate) fn report(&self) {
        match self {
            Status::Resumed => tracing::info!("{self}"),
            _ => tracing::warn!("{self}"),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = |f: &mut fmt::Formatter<'_>, calls: &usize| match calls {
            0 => Ok(()),
            1 => write!(f, "; what became of 1 call is unknown"),
            calls => write!(f, "; what became of {calls} calls is unknown"),
        };
        match self {
            Status::Reconnecting { reason, next } => {
                write!(
                    f,
                    "the connection to the display is lost: {reason}; next try in {:.1} s",
                    next.as_secs_f64()
                )
            }
            Status::Resumed => f.write_str("connected again; everything under way goes on"),
            Status::Regressed => {
                f.write_str("connected again; the display has lost an end of what it had executed")
            }
            Status::StateLost { unknown: calls } => {
                f.write_str("connected again; the display was started anew, and is empty")?;
                unknown(f, calls)
            }
            Status::Expired { unknown: calls } => {
                f.write_str("connected again; the display was out of reach for longer than it remembers")?;
                unknown(f, calls)
            }
            Status::Restarted { unknown: calls } => {
                f.write_str(
                    "connected again; the display was restarted and has forgotten this client, and the last that it had \
                     executed may be lost",
                )?;
                unknown(f, calls)
            }
            Status::Dropped { calls: 1 } => f.write_str(
                "1 call that was made while the display was gone or behind was dropped for newer ones",
            ),
            Status::Dropped { calls } => {
                write!(
                    f,
                    "{calls} calls that were made while the display was gone or behind were dropped for newer ones"
                )
            }
            Status::Lost(reason) => write!(f, "the connection to the display is lost for good: {reason}"),
        }
    }
}
