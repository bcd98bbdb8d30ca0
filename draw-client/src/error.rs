//! Errors of calls and connections, and the status of a connection: what a program is told.
//!
//! This folder contains types and their sentences. It may use `limits` and `draw_protocol`, and knows no scope, no
//! callback and no state of a connection.

mod late;
mod picture;
mod reason;
mod status;

pub(crate) use late::Described;
pub use late::{FailedCall, LateError};
pub use picture::Picture;
pub use reason::DisconnectReason;
pub(crate) use reason::Lost;
pub use status::Status;
pub(crate) use status::StatusCallback;

use crate::limits;
use draw_protocol::client::Ended;
use draw_protocol::text::count;
use draw_protocol::{Code, Fault};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// The result type of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call, or connecting, failed.
///
/// | | |
/// |---|---|
/// | [`outcome`](Error::outcome) | whether the call was certainly not executed, or may have been |
/// | [`may_be_retried`](Error::may_be_retried) | whether the same call may succeed later on the same display |
/// | [`is_disconnected`](Error::is_disconnected) | whether no further call of this display can succeed |
/// | [`fault`](Error::fault) | what the display found wrong: its code, its fields, the indexes of pixels |
///
/// Errors can be cloned, since one broken socket fails every pending reply. `{:?}` prints the same sentence as `{}`, so that a
/// `main` that returns an error prints what happened; `{:#?}` prints the fields.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not an address. Correct it: `host` or `host:port`.
    #[error(
        "{text:?} is not an address of a display: {problem}; write host or host:port, as in localhost:3729, IPv6 as [::1]:3729, and add /NAME for a display of that name"
    )]
    Address {
        /// The text.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// No connection could be made to the address, or it ended before the display had answered the greeting. Start a display
    /// there, or check the address and the network.
    #[error("{}", not_connected(address, source))]
    Connect {
        /// The address.
        address: String,
        /// The system's error for the last address of the name. Of a connection that ended during the greeting, the kind is
        /// [`UnexpectedEof`](ErrorKind::UnexpectedEof) if the other side closed it without a message, and
        /// [`InvalidData`](ErrorKind::InvalidData) if it broke the protocol.
        source: Arc<io::Error>,
    },
    /// The display rejected the call, wholly or in the part that the fault names. Correct the call; the connection continues.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The display did not answer, or did not accept the call, within the timeout. The connection continues: with
    /// [`Outcome::Rejected`] the call may be made again, with [`Outcome::Unknown`] it may still be executed.
    #[error("the display has not answered for {after:?}{}", unsent(.outcome))]
    Timeout {
        /// The timeout.
        after: Duration,
        /// What became of this call.
        outcome: Outcome,
    },
    /// The connection is gone and no further call can succeed. Connect again, unless the program has closed it.
    #[error("{}{reason}{}", lost(reason), lost_call(reason, *.outcome))]
    Disconnected {
        /// Why.
        #[source]
        reason: DisconnectReason,
        /// What became of this call.
        outcome: Outcome,
    },
    /// The client has reconnected, but the display does not know this client's session any more, and whether this call was
    /// executed is unknown. The connection continues: draw again what has to be there.
    #[error("{}; whether this call was executed is unknown", forgotten(*.picture))]
    SessionLost {
        /// What is left of the picture.
        picture: Picture,
    },
    /// The connection is lost for the moment, and [`WhileOffline::Fail`](crate::WhileOffline::Fail) is set. The call was not
    /// sent; make it again when [`Status`] reports the connection, or later.
    #[error("the display is offline ({reason}); this call was not sent")]
    Offline {
        /// Why the connection was lost, or why the last attempt to reconnect failed.
        reason: DisconnectReason,
    },
    /// The call was dropped for newer ones while the connection was lost or the display did not keep up, as
    /// [`WhileOffline::DropOldest`](crate::WhileOffline::DropOldest) says. It was not drawn.
    #[error("dropped for newer calls while the display was offline or behind; this call was not drawn")]
    Dropped,
    /// The call would have to wait for itself. It was not sent.
    ///
    /// Either an error callback has made more calls than are accepted without waiting: make fewer there, or make them
    /// elsewhere. Or this thread is inside another call of the same display already, because a signal handler or a `tracing`
    /// subscriber draws: set a flag there and draw later. The latter also fails inside a call of another display, where this
    /// display is held by a thread that waits for that one.
    #[error("{}", deadlock(*.in_callback))]
    WouldDeadlock {
        /// Whether an error callback made the call.
        in_callback: bool,
    },
    /// Earlier calls failed, and there was neither a reply waiting for them nor an error callback. `sync` and `close` return
    /// it.
    #[error("{0}")]
    Late(Late),
}

/// What became of a call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The call was certainly not executed (of a batch: the pixels that the fault names).
    Rejected,
    /// The call may have been executed.
    Unknown,
}

/// Prints `rejected` or `unknown`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Rejected => "rejected",
            Outcome::Unknown => "unknown",
        })
    }
}

draw_protocol::debug_as_sentence!(
    Error {
        Address { text, problem }
        Connect { address, source }
        Timeout { after, outcome }
        Disconnected { reason, outcome }
        SessionLost { picture }
        Offline { reason }
        WouldDeadlock { in_callback }
    }
    (Fault Late)
    [Dropped]
);

/// Failed calls whose errors no reply and no callback has taken: see [`Error::Late`].
#[derive(Debug, Clone)]
pub struct Late {
    pub(crate) errors: Arc<[LateError]>,
    pub(crate) total: u64,
}

impl Late {
    /// Returns the first errors, at most 1,000, in order.
    pub fn errors(&self) -> &[LateError] {
        &self.errors
    }

    /// Returns how many calls failed, with those that were not kept or not named.
    pub fn total(&self) -> u64 {
        self.total
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.errors[..] {
            [] => write!(f, "{} failed", count(self.total, "earlier call")),
            [only] if self.total == 1 => write!(f, "an earlier call failed: {only}"),
            [first, ..] => write!(f, "{} earlier calls failed, the first: {first}", self.total),
        }
    }
}

impl Error {
    /// Returns whether the connection is gone, so that no further call of this display can succeed.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Error::Disconnected { .. } | Error::Connect { .. })
    }

    /// Returns whether the same call was certainly not executed and may succeed later on the same display: it was offline,
    /// behind, or short of memory.
    pub fn may_be_retried(&self) -> bool {
        match self {
            Error::Timeout { outcome, .. } => *outcome == Outcome::Rejected,
            Error::Offline { .. } | Error::Dropped | Error::WouldDeadlock { in_callback: true } => true,
            Error::Fault(fault) => matches!(fault.code, Code::NoMemory | Code::NoSpace),
            _ => false,
        }
    }

    /// Returns what the display found wrong with the call or the connection, if it said so.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Error::Fault(fault) => Some(fault),
            Error::Disconnected { reason, .. } => reason.fault(),
            _ => None,
        }
    }

    /// Returns what became of the call.
    pub fn outcome(&self) -> Outcome {
        match self {
            Error::Disconnected { outcome, .. } | Error::Timeout { outcome, .. } => *outcome,
            // The barrier itself was reached; the late errors have outcomes of their own.
            Error::Late(_) | Error::SessionLost { .. } => Outcome::Unknown,
            // The request was executed, at least its beginning; its result is lost.
            Error::Fault(Fault { code: Code::AnswerLost | Code::StateRegressed | Code::Stale, .. }) => {
                Outcome::Unknown
            }
            _ => Outcome::Rejected,
        }
    }

    /// Returns the error of connecting to `address`, if the connection ended for this reason during the greeting.
    pub(crate) fn never_connected(address: &str, reason: Lost) -> Error {
        let source = match reason {
            Lost::Io(source) => source,
            Lost::Eof => {
                Arc::new(io::Error::new(ErrorKind::UnexpectedEof, "the other side closed the connection"))
            }
            Lost::Protocol(ended @ (Ended::Violation(_) | Ended::Corrupted(_) | Ended::Flooded(_))) => {
                Arc::new(io::Error::new(ErrorKind::InvalidData, ended.to_string()))
            }
            // Whatever it calls it: a display that closes the connection during the greeting refuses it.
            Lost::Goodbye(fault) => {
                let reason = DisconnectReason::Refused(fault);
                return Error::Disconnected { reason, outcome: Outcome::Rejected };
            }
            reason => return Error::Disconnected { reason: reason.into(), outcome: Outcome::Rejected },
        };
        Error::Connect { address: address.to_owned(), source }
    }

    /// Returns the error of a call after `close`.
    pub(crate) fn closed() -> Error {
        Error::Disconnected {
            reason: DisconnectReason::Closed { unanswered_for: None },
            outcome: Outcome::Rejected,
        }
    }
}

fn forgotten(picture: Picture) -> &'static str {
    match picture {
        Picture::Empty => "the display was restarted and is empty",
        Picture::Kept | Picture::Stale => "the session of this client has expired on the display",
    }
}

fn deadlock(in_callback: bool) -> String {
    if in_callback {
        return format!(
            "busy: an error callback may make {} calls of {} bytes together while the display is behind",
            limits::CALLBACK_CALLS,
            limits::CALLBACK_BYTES
        );
    }
    "this thread is inside another call of this display, or of a display that a caller of this one waits for: do not draw in a \
     signal handler or a `tracing` subscriber; this call was not sent"
        .to_owned()
}

/// Returns the sentence of [`Error::Connect`].
fn not_connected(address: &str, source: &io::Error) -> String {
    let (cause, hint) = (cause(source), hint(source));
    match source.kind() {
        // Something is there.
        ErrorKind::UnexpectedEof | ErrorKind::InvalidData => {
            format!("could not connect to {address}: {cause} during the greeting{hint}")
        }
        _ => format!("no display at {address} ({cause}){hint}"),
    }
}

/// Returns the system's reason without its number: "connection refused". An error without a number has a text of its
/// own, as the resolver's "failed to lookup address information: Name or service not known".
fn cause(error: &io::Error) -> String {
    let kind = error.kind().to_string();
    // Kinds without a stable name print as "uncategorized error"; the system's own text says more.
    if error.raw_os_error().is_none() || kind.contains("uncategorized") { error.to_string() } else { kind }
}

/// Returns what to do about a display that cannot be reached.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => ": start one with `display-server`, or set DRAW_DISPLAY",
        ErrorKind::TimedOut => ": nothing answers there; check the address, and whether a firewall blocks it",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            ": there is no route to that address; check the address and the network"
        }
        ErrorKind::NetworkDown => ": check the network of this machine",
        ErrorKind::AddrNotAvailable => {
            ": this machine has no address of that kind, or no free port; try the IPv4 address"
        }
        ErrorKind::PermissionDenied => {
            ": the system does not allow it; check the firewall and the permissions of this program"
        }
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            ": the program there accepts connections and closes them; check the address"
        }
        ErrorKind::UnexpectedEof => {
            ": check the address, and whether the display there is starting, ending or full; then try again"
        }
        ErrorKind::InvalidData => {
            ": check the address; if a display is there, the network or the display is defective"
        }
        // The meaning of an error of the program's own streams is unknown. The resolver's errors have no kind with a
        // name.
        _ if error.to_string().contains("lookup") || error.to_string().contains("no address") => {
            ": check the name, or use a numeric address"
        }
        _ => "",
    }
}

/// Returns what precedes a reason in a sentence.
fn lost(reason: &DisconnectReason) -> &'static str {
    match reason {
        // There never was a connection, or the reason names it.
        DisconnectReason::NotADisplay(_)
        | DisconnectReason::Refused(_)
        | DisconnectReason::Forked { .. }
        | DisconnectReason::Closed { unanswered_for: None } => "",
        _ => "the connection to the display is lost: ",
    }
}

/// Returns what a reason means for the call.
fn lost_call(reason: &DisconnectReason, outcome: Outcome) -> &'static str {
    match reason {
        DisconnectReason::NotADisplay(_) if outcome == Outcome::Rejected => {
            ". Check the address: the default port of a `display-server` is 3729"
        }
        _ => unsent(&outcome),
    }
}

fn unsent(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Rejected => "; this call was not sent",
        Outcome::Unknown => "; whether this call was executed is unknown",
    }
}
