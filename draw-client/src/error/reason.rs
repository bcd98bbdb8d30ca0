//! Reasons why a connection is lost: the public one, and the one that the client decides by.

use super::cause;
use draw_protocol::Fault;
use draw_protocol::client::Ended;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// Why a connection is gone.
#[derive(Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The network failed. A connection that the other side closed without a message has the kind
    /// [`UnexpectedEof`](ErrorKind::UnexpectedEof). Check the network, and whether the display runs.
    #[error("{}", cause(.0))]
    Network(#[source] Arc<io::Error>),
    /// The peer is not a display; the text names the protocol that it speaks. Check the address.
    #[error("not a display: it answered {0}")]
    NotADisplay(String),
    /// The peer broke the protocol, or bytes were altered on the way. The text says how. If it happens again, the
    /// network or the display is defective.
    #[error("{0}")]
    Protocol(String),
    /// The display refused the handshake, for instance because it keeps no journal
    /// ([`Code::NoJournal`](crate::Code::NoJournal)). The fault says why.
    #[error("the display refused the greeting: {0}")]
    Refused(Fault),
    /// The display closed the connection, for instance because it ends ([`Code::ShuttingDown`](crate::Code::ShuttingDown)) or
    /// is full ([`Code::Busy`](crate::Code::Busy)). The fault says why.
    #[error("the display closed it: {0}")]
    ClosedByDisplay(Fault),
    /// The program closed the connection with `close`, or dropped the last handle.
    #[error("{}", closed(*.unanswered_for))]
    Closed {
        /// How long the client waited for answers that did not come, if some did not.
        unanswered_for: Option<Duration>,
    },
    /// The client could not reconnect in time: see [`ConnectOptions::reconnect`](crate::ConnectOptions::reconnect).
    #[error("the display was offline for {:.1} s: {last}", after.as_secs_f64())]
    GaveUp {
        /// How long it tried.
        after: Duration,
        /// Why the last attempt failed.
        last: Box<DisconnectReason>,
    },
    /// The tokio runtime ended, or the [`Driver`](crate::Driver) was dropped. Call `close().await` before the runtime ends.
    #[error("its Tokio runtime has ended; call `close().await` before the runtime ends")]
    RuntimeEnded,
    /// [`pipelined`](crate::blocking::Display::pipelined) has given the connection to a
    /// [`Pipeline`](crate::blocking::Pipeline). Draw through that.
    #[error("`pipelined` moved it into a `Pipeline`")]
    Pipelined,
    /// This process was forked from the one that has connected, and a connection belongs to one process. Connect in the process
    /// that draws.
    #[error(
        "process {connected} connected this display, but process {used} is a fork of it: call `connect` in the process \
         that draws"
    )]
    Forked {
        /// The process that has connected.
        connected: u32,
        /// The process that has used the display.
        used: u32,
    },
}

draw_protocol::debug_as_sentence!(
    DisconnectReason {
        Closed { unanswered_for }
        GaveUp { after, last }
        Forked { connected, used }
    }
    (Network NotADisplay Protocol Refused ClosedByDisplay)
    [RuntimeEnded Pipelined]
);

impl DisconnectReason {
    /// Returns what the display said was wrong, if it said so.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            DisconnectReason::Refused(fault) | DisconnectReason::ClosedByDisplay(fault) => Some(fault),
            _ => None,
        }
    }
}

fn closed(unanswered_for: Option<Duration>) -> String {
    match unanswered_for {
        None => "this display was closed by `close`".to_owned(),
        Some(after) => format!("this side closed it, and the display had not answered for {after:?}"),
    }
}

/// Why a connection is gone, as far as the client decides by it. Programs get a [`DisconnectReason`].
#[derive(Debug, Clone)]
pub(crate) enum Lost {
    /// The display said why it closed.
    Goodbye(Fault),
    /// The other side closed it without a message.
    Eof,
    /// The system reported an error.
    Io(Arc<io::Error>),
    /// The protocol state machine ended it.
    Protocol(Ended),
    /// The tokio runtime ended, or the driver was dropped.
    DriverGone,
    /// This side closed it, and the display did not answer everything in time.
    Unfinished { after: Duration },
    /// `close` was called.
    Closed,
    /// Reconnecting did not succeed in time.
    Gone { after: Duration, last: Box<Lost> },
    /// This process was forked from the one that has connected.
    Forked { connected: u32, used: u32 },
    /// This thread is inside another call: see [`Error::WouldDeadlock`](super::Error::WouldDeadlock).
    Reentrant,
}

impl From<Lost> for DisconnectReason {
    fn from(lost: Lost) -> DisconnectReason {
        match lost {
            Lost::Goodbye(fault) => DisconnectReason::ClosedByDisplay(fault),
            Lost::Eof => {
                let eof = io::Error::new(ErrorKind::UnexpectedEof, "the other side closed it");
                DisconnectReason::Network(Arc::new(eof))
            }
            Lost::Io(error) => DisconnectReason::Network(error),
            Lost::Protocol(Ended::Refused(fault)) => DisconnectReason::Refused(fault),
            Lost::Protocol(Ended::Stranger(answer)) => DisconnectReason::NotADisplay(answer),
            Lost::Protocol(ended) => DisconnectReason::Protocol(ended.to_string()),
            Lost::DriverGone => DisconnectReason::RuntimeEnded,
            Lost::Unfinished { after } => DisconnectReason::Closed { unanswered_for: Some(after) },
            Lost::Closed => DisconnectReason::Closed { unanswered_for: None },
            Lost::Gone { after, last } => DisconnectReason::GaveUp { after, last: Box::new((*last).into()) },
            Lost::Forked { connected, used } => DisconnectReason::Forked { connected, used },
            // Calls return `WouldDeadlock` before this is reached.
            Lost::Reentrant => DisconnectReason::Protocol("this thread is inside another call".to_owned()),
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DisconnectReason::from(self.clone()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn each_reason_of_the_client_becomes_one_that_a_program_can_act_on() {
        let fault = || Fault::new(Code::Busy, "full");
        let ended = |ended| DisconnectReason::from(Lost::Protocol(ended));
        assert!(
            matches!(Lost::Goodbye(fault()).into(), DisconnectReason::ClosedByDisplay(told) if told == fault())
        );
        assert!(matches!(ended(Ended::Refused(fault())), DisconnectReason::Refused(told) if told == fault()));
        assert!(
            matches!(ended(Ended::Stranger("HTTP".into())), DisconnectReason::NotADisplay(told) if told == "HTTP")
        );
        for wrong in [Ended::Violation("x".into()), Ended::Corrupted("x".into()), Ended::Flooded("x".into())]
        {
            let text = wrong.to_string();
            assert!(matches!(ended(wrong), DisconnectReason::Protocol(told) if told == text));
        }
        let DisconnectReason::Network(eof) = Lost::Eof.into() else { panic!("it is the network") };
        assert_eq!(
            (eof.kind(), eof.to_string()),
            (ErrorKind::UnexpectedEof, "the other side closed it".into())
        );
        let second = Duration::from_secs(1);
        let gone = DisconnectReason::from(Lost::Gone { after: second, last: Box::new(Lost::Eof) });
        assert_eq!(gone.to_string(), "the display was offline for 1.0 s: the other side closed it");
        assert_eq!((gone.fault(), ended(Ended::Refused(fault())).fault()), (None, Some(&fault())));
    }
}
