//! What can go wrong, and what it says about the call.

use crate::late::LateError;
use crate::limits;
use draw_protocol::client::Ended;
use draw_protocol::session::Standing;
use draw_protocol::{Code, Fault};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call, or a connection, failed.
///
/// It can be cloned, since one broken socket reaches every pending reply. `{:?}` prints the same sentence as `{}`, so that a `main`
/// which returns one says what has happened; `{:#?}` has the fields.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text names no address.
    #[error(
        "{text:?} is no address of a display: {problem}; write host or host:port, as in localhost:3729, and IPv6 as [::1]:3729; /NAME behind it is a display of that name"
    )]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nothing could be reached there.
    #[error("no display at {address} ({}){}", cause(source), hint(source))]
    Connect {
        /// Where it was tried.
        address: String,
        /// What the system said of the last address tried.
        source: Arc<io::Error>,
    },
    /// The display rejected the call, wholly or in the part that the fault names.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The connection is gone.
    #[error("{}{reason}{}", lost(reason), lost_call(reason, *.outcome))]
    Disconnected {
        /// Why.
        #[source]
        reason: Lost,
        /// What became of this call.
        outcome: Outcome,
    },
    /// The display did not answer, or did not take the call, in time. The connection goes on.
    #[error("the display has not answered for {after:?}{}", unsent(.outcome))]
    Timeout {
        /// How long it was waited for.
        after: Duration,
        /// What became of this call.
        outcome: Outcome,
    },
    /// The connection was lost and there is another, but the display does not know any more what was under way. The
    /// connection goes on.
    #[error("{}; whether this call was executed is unknown", forgotten(*.standing))]
    Forgotten {
        /// Why it does not.
        standing: Standing,
    },
    /// The connection is lost for the moment, and calls are not to wait for the next: the policy is
    /// [`WhileGone::Fail`](crate::WhileGone::Fail).
    #[error("the display is gone for the moment ({reason}); this call was not sent")]
    Gone {
        /// Why the connection was lost, or why the last try to make another failed.
        reason: Lost,
    },
    /// The connection was lost for the moment, or the display did not keep up, and more calls were made than can wait: this one
    /// was the oldest of those. The policy is [`WhileGone::DropOldest`](crate::WhileGone::DropOldest).
    #[error("dropped for newer calls while the display was gone or behind; this call was not drawn")]
    Dropped,
    /// This side has closed the connection; the call was not sent.
    #[error("this display was closed by `close`")]
    Closed,
    /// An error callback made more calls than may be made without waiting; this one was not sent.
    #[error(
        "busy: an error callback may make {} calls of {} bytes together while the display is behind",
        limits::CALLBACK_CALLS,
        limits::CALLBACK_BYTES
    )]
    Busy,
    /// This thread is inside another call of the same display already: a signal handler has interrupted it, or a `tracing`
    /// subscriber or a writer was called by it, and draws. To wait would be to wait for itself. So it may be for a thread that is
    /// inside a call of another display, where this one is held by a thread that does not give it back: that may want the other.
    #[error(
        "this thread is inside another call of this display, or of a display that a caller of this one waits for: do not draw in a \
         signal handler or a `tracing` subscriber; this call was not sent"
    )]
    Reentrant,
    /// Earlier calls failed, and there was neither a reply waiting for them nor an error callback.
    #[error("{0}")]
    Late(Late),
}

/// What became of a call that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was certainly not executed (of a batch: the pixels that the fault names).
    Rejected,
    /// It may have been executed.
    Unknown,
}

/// `rejected`, or `unknown`.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Outcome::Rejected => "rejected",
            Outcome::Unknown => "unknown",
        })
    }
}

/// Why a connection is gone.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// The display said why it closed.
    #[error("the display closed it: {0}")]
    Goodbye(Fault),
    /// The display, or something between, closed it without a word.
    #[error("the other side closed it")]
    Eof,
    /// The system reported an error.
    #[error("{}", cause(.0))]
    Io(#[source] Arc<io::Error>),
    /// The other side is no display, or refused to talk, or what it said was altered on its way.
    #[error(transparent)]
    Protocol(#[from] Ended),
    /// The tokio runtime ended, or the driver was dropped.
    #[error("the runtime that drove it has ended; call `close().await` before it does")]
    DriverGone,
    /// This side wanted it to end, and the display had not answered everything in time.
    #[error("this side closed it, and the display had not answered for {after:?}")]
    Unfinished {
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// `close` was called.
    #[error("it was closed by `close`")]
    Closed,
    /// The display was gone, and it was not possible to connect to it again in time.
    #[error("the display was gone for {:.1} s: {last}", after.as_secs_f64())]
    Gone {
        /// For how long it was tried.
        after: std::time::Duration,
        /// Why the last try failed.
        last: Box<Lost>,
    },
    /// A clone of this [`blocking::Display`](crate::blocking::Display) was made a
    /// [`Pipeline`](crate::blocking::Pipeline), which has the connection now.
    #[error("`pipelined` has given it to a `Pipeline`")]
    Pipelined,
    /// This process was forked from the one that has connected. A connection has one owner: two that write to it would send
    /// broken messages, and each would be told what the other was answered.
    #[error(
        "process {connected} has connected this display, and process {used} was forked from it: call `connect` in the process \
         that draws"
    )]
    Forked {
        /// The process that has connected.
        connected: u32,
        /// The one that has used the display.
        used: u32,
    },
    /// See [`Error::Reentrant`].
    #[error(
        "this thread is inside another call of this display, or of a display that a caller of this one waits for"
    )]
    Reentrant,
}

draw_protocol::debug_as_sentence!(
    Error {
        Address { text, problem }
        Connect { address, source }
        Disconnected { reason, outcome }
        Timeout { after, outcome }
        Forgotten { standing }
        Gone { reason }
    }
    (Fault Late)
    [Dropped Closed Busy Reentrant]
);

draw_protocol::debug_as_sentence!(
    Lost {
        Unfinished { after }
        Gone { after, last }
        Forked { connected, used }
    }
    (Goodbye Io Protocol)
    [Eof DriverGone Closed Pipelined Reentrant]
);

/// The late errors that nobody had taken: see [`Error::Late`].
#[derive(Debug, Clone)]
pub struct Late {
    pub(crate) errors: Arc<[LateError]>,
    pub(crate) total: u64,
}

impl Late {
    /// The first of them, at most 1,000, in order.
    pub fn errors(&self) -> &[LateError] {
        &self.errors
    }

    /// How many calls failed, with those that were not kept, or not named.
    pub fn total(&self) -> u64 {
        self.total
    }
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.errors[..] {
            [] => write!(f, "{} earlier calls failed", self.total),
            [only] if self.total == 1 => write!(f, "an earlier call failed: {only}"),
            [first, ..] => write!(f, "{} earlier calls failed, the first: {first}", self.total),
        }
    }
}

impl Error {
    /// Whether the connection is gone, so that no further call can succeed.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Error::Disconnected { .. } | Error::Closed | Error::Connect { .. })
    }

    /// What the display found wrong with the call, if it did.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Error::Fault(fault) => Some(fault),
            Error::Disconnected {
                reason: Lost::Goodbye(fault) | Lost::Protocol(Ended::Refused(fault)),
                ..
            } => Some(fault),
            _ => None,
        }
    }

    /// What became of the call.
    pub fn outcome(&self) -> Outcome {
        match self {
            Error::Disconnected { outcome, .. } | Error::Timeout { outcome, .. } => *outcome,
            // The barrier itself was reached; what it tells of is in the late errors.
            Error::Late(_) | Error::Forgotten { .. } => Outcome::Unknown,
            // It was executed, or the beginning of it was; what came of that is lost.
            Error::Fault(Fault { code: Code::AnswerLost | Code::StateRegressed | Code::Stale, .. }) => {
                Outcome::Unknown
            }
            _ => Outcome::Rejected,
        }
    }
}

fn forgotten(standing: Standing) -> &'static str {
    match standing {
        Standing::StateLost => "the display was started anew, and is empty",
        _ => "the display has forgotten this client",
    }
}

/// The system's reason without its number: "connection refused". What is no error number of the system says itself what it is,
/// as the resolver does: "failed to lookup address information: Name or service not known".
fn cause(error: &io::Error) -> String {
    let kind = error.kind().to_string();
    // Kinds without a stable name print as "uncategorized error"; the system's own words say more.
    if error.raw_os_error().is_none() || kind.contains("uncategorized") { error.to_string() } else { kind }
}

/// What to do about a display that cannot be reached.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => ": start one with `display-server`, or set DRAW_DISPLAY",
        ErrorKind::TimedOut => {
            ": nothing answers there; check the address, and whether a firewall is in between"
        }
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            ": there is no way to that address from here; check it, and the network"
        }
        ErrorKind::NetworkDown => ": check the network of this machine",
        ErrorKind::AddrNotAvailable => {
            ": this machine has no address of that kind, or no free port; try the IPv4 address"
        }
        ErrorKind::PermissionDenied => {
            ": the system does not allow it; check its firewall, and what this program may do"
        }
        ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted => {
            ": something there takes connections and ends them; check the address"
        }
        // Whoever hands in streams knows what their errors mean. The resolver's have no kind with a name.
        _ if error.to_string().contains("lookup") || error.to_string().contains("no address") => {
            ": check the name, or write the address in numbers"
        }
        _ => "",
    }
}

/// What a lost connection's reason begins with.
fn lost(reason: &Lost) -> &'static str {
    match reason {
        // There never was one.
        Lost::Protocol(Ended::Stranger(_) | Ended::Refused(_)) | Lost::Forked { .. } => "",
        _ => "the connection to the display is lost: ",
    }
}

/// What that means for the call.
fn lost_call(reason: &Lost, outcome: Outcome) -> &'static str {
    match reason {
        Lost::Protocol(Ended::Stranger(_)) if outcome == Outcome::Rejected => {
            ". Check the address: that of a `display-server` has port 3729 unless it was told otherwise"
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
