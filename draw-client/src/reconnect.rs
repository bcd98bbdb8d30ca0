//! The clients' side of the [`Reconnect`] machine: their reasons, and the `hello` of a new client.

use crate::error::{Lost, Status};
use draw_protocol::Hello;
use draw_protocol::client::Connection;
use draw_protocol::reconnect::{End, Kind, Policy, Reason, Reconnect, Retry};
use draw_protocol::session::Id;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Returns the `hello` of a new client. If the system gives no random bytes, the client has no session and lives as long as its
/// connection.
pub(crate) fn hello(is_durable: bool, checks: bool) -> Hello {
    let hello = Hello::new(concat!("draw-client ", env!("CARGO_PKG_VERSION")));
    let hello = hello.with_durability(is_durable).with_checks(checks);
    let mut session = [0; 16];
    match getrandom::fill(&mut session) {
        Ok(()) => hello.with_session(Id(session)),
        Err(_) => hello,
    }
}

/// Creates the reconnect machine of a client that has to be connected by `deadline`.
pub(crate) fn machine(policy: Policy, deadline: Instant, now: Instant) -> Reconnect<Lost> {
    let mut seed = [0; 8];
    // Without random bytes, clients may reconnect at the same moment. That is the only effect.
    _ = getrandom::fill(&mut seed);
    Reconnect::new(policy, u64::from_ne_bytes(seed), deadline, now)
}

/// Creates the same for a client whose first connection was dialed before.
pub(crate) fn dialed(policy: Policy, deadline: Instant, now: Instant) -> Reconnect<Lost> {
    let mut machine = machine(policy, deadline, now);
    if machine.poll_dial(now).is_some() {
        machine.handle_dialed(now);
    }
    machine
}

impl Reason for Lost {
    fn kind(&self) -> Kind {
        match self {
            Lost::Eof | Lost::Io(_) => Kind::Network,
            Lost::Goodbye(fault) => Kind::of_goodbye(fault),
            Lost::Protocol(ended) => Kind::from(ended),
            Lost::DriverGone
            | Lost::Unfinished { .. }
            | Lost::Closed
            | Lost::Gone { .. }
            | Lost::Forked { .. }
            | Lost::Reentrant => Kind::Final,
        }
    }

    fn timed_out() -> Lost {
        Lost::io(ErrorKind::TimedOut)
    }
}

impl Lost {
    pub(crate) fn io(error: impl Into<io::Error>) -> Lost {
        Lost::Io(Arc::new(error.into()))
    }

    /// Returns the reason that the display gave before the connection was lost, if it did. That says more than the system's.
    pub(crate) fn explained(self, machine: &Connection) -> Lost {
        match (self, machine.goodbye()) {
            (Lost::Eof | Lost::Io(_), Some(fault)) => Lost::Goodbye(fault.clone()),
            (lost, _) => lost,
        }
    }
}

/// Returns why the client does not connect again.
pub(crate) fn lost(end: &End<Lost>) -> Lost {
    match end {
        End::Final(lost) => lost.clone(),
        End::GaveUp { after, last } => Lost::Gone { after: *after, last: Box::new(last.clone()) },
        End::NeverConnected => Lost::timed_out(),
    }
}

/// Returns the status for a loss or a failed attempt.
pub(crate) fn status(retry: Retry<Lost>, now: Instant) -> Status {
    Status::Reconnecting { reason: retry.reason.into(), next: retry.next.saturating_duration_since(now) }
}

/// The policy of a client that cannot dial: its first connection is its last.
pub(crate) const NEVER: Policy =
    Policy { window: Duration::ZERO, attempt: Duration::ZERO, accepts_loss: false };

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::client::Ended;
    use draw_protocol::{Code, Fault};

    #[test]
    fn each_reason_has_its_kind_and_what_this_side_wanted_is_final() {
        let fault = |code| Fault::new(code, "it");
        for (lost, kind) in [
            (Lost::Eof, Kind::Network),
            (Lost::io(ErrorKind::BrokenPipe), Kind::Network),
            (Lost::timed_out(), Kind::Network),
            (Lost::Goodbye(fault(Code::ShuttingDown)), Kind::Unavailable),
            (Lost::Goodbye(fault(Code::Superseded)), Kind::Overtaken),
            (Lost::Goodbye(fault(Code::Malformed)), Kind::Final),
            (Lost::Protocol(Ended::Refused(fault(Code::Superseded))), Kind::HelloOvertaken),
            (Lost::Protocol(Ended::Refused(fault(Code::StateRegressed))), Kind::Regressed),
            (Lost::Protocol(Ended::Corrupted("it".into())), Kind::Corrupted),
            (Lost::Protocol(Ended::Violation("it".into())), Kind::Final),
            (Lost::DriverGone, Kind::Final),
            (Lost::Unfinished { after: Duration::ZERO }, Kind::Final),
            (Lost::Closed, Kind::Final),
            (Lost::Gone { after: Duration::ZERO, last: Box::new(Lost::Eof) }, Kind::Final),
            (Lost::Forked { connected: 1, used: 2 }, Kind::Final),
            (Lost::Reentrant, Kind::Final),
        ] {
            assert_eq!(lost.kind(), kind, "{lost}");
        }
    }

    #[test]
    fn the_end_of_the_window_tells_how_long_the_display_was_gone_and_why() {
        let after = Duration::from_secs(30);
        let end = End::GaveUp { after, last: Lost::io(ErrorKind::ConnectionRefused) };
        assert_eq!(lost(&end).to_string(), "the display was offline for 30.0 s: connection refused");
        assert_eq!(lost(&End::Final(Lost::Eof)).to_string(), Lost::Eof.to_string());
    }
}
