//! How to come back to a display whose connection was lost: when, and for how long to try.

use crate::durability::Durability;
use crate::error::Lost;
use crate::status::Status;
use draw_protocol::client::Ended;
use draw_protocol::session::Id;
use draw_protocol::{Code, Fault, Hello, limits};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A stream, in halves that two tasks can have.
pub(crate) struct Halves {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl From<TcpStream> for Halves {
    fn from(stream: TcpStream) -> Halves {
        // These need no lock between them.
        let (reader, writer) = stream.into_split();
        Halves { reader: Box::new(reader), writer: Box::new(writer) }
    }
}

impl Halves {
    pub(crate) fn split<S: AsyncRead + AsyncWrite + Send + 'static>(stream: S) -> Halves {
        let (reader, writer) = tokio::io::split(stream);
        Halves { reader: Box::new(reader), writer: Box::new(writer) }
    }
}

/// The first pause before a new connection is tried, and the longest: each is twice the one before.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);

/// The greeting of a new client. A system that gives no random bytes gives no session: the client then lives as long as its
/// connection.
pub(crate) fn hello(durability: Durability, checks: bool) -> Hello {
    let hello = Hello::new(concat!("draw-client ", env!("CARGO_PKG_VERSION")));
    let hello = hello.with_durability(durability.is_durable()).with_checks(checks);
    let mut session = [0; 16];
    match getrandom::fill(&mut session) {
        Ok(()) => hello.with_session(Id(session)),
        Err(_) => hello,
    }
}

/// Whether another connection may be better: the network failed, or altered, delayed or doubled what it carried, or the display
/// ended. A display that has refused what this client says would be no other.
pub(crate) fn may_return(lost: &Lost) -> bool {
    match lost {
        // What answers in the display's place may be there only until the display is back, as a proxy's error page is.
        Lost::Protocol(Ended::Corrupted(_) | Ended::Flooded(_) | Ended::Stranger(_)) => true,
        Lost::Eof | Lost::Io(_) => true,
        Lost::Goodbye(fault) => {
            matches!(fault.code, Code::ShuttingDown | Code::TooSlow | Code::Corrupted) || is_overtaken(fault)
        }
        // A greeting that comes too slowly is refused as well.
        Lost::Protocol(Ended::Refused(fault)) => fault.code == Code::TooSlow || is_overtaken(fault),
        _ => false,
    }
}

/// Whether a display took another connection for the later one, or this one for a copy. The session is this client's own, so it was
/// an earlier greeting of its that came late or twice: it asks again, as hello of a higher number.
fn is_overtaken(fault: &Fault) -> bool {
    matches!(fault.code, Code::Superseded | Code::Unconfirmed)
}

/// Whether the first greeting was overtaken by a copy of itself.
pub(crate) fn is_refused_as_late(lost: &Lost) -> bool {
    matches!(lost, Lost::Protocol(Ended::Refused(fault)) if is_overtaken(fault))
}

/// Whether the next connection may well be lost for the same reason, as soon as it is there.
fn may_recur(lost: &Lost) -> bool {
    is_altered(lost) || matches!(lost, Lost::Goodbye(fault) if is_overtaken(fault))
}

/// The outage before this connection. Should this one be lost before anything is achieved, it goes on: a display that greets and
/// then resets, or floods, and a network that alters or doubles the same each time, are of no use, although there is a connection
/// each time. A display that was restarted is useful again: it was gone for a reason of its own.
#[derive(Debug, Default)]
pub(crate) struct Before(Option<(Outage, Instant)>);

impl Before {
    /// There is a connection again, and so many requests are done. `is_restarted`: the display was restarted meanwhile.
    pub(crate) fn end(&mut self, outage: Option<Outage>, applied: u64, is_restarted: bool, now: Instant) {
        let outage = outage.filter(|_| !is_restarted);
        self.0 = outage.map(|outage| (Outage { applied, ..outage }, now));
    }

    /// The connection is lost, when so many requests are done: another outage, or the same. `is_busy`: calls are under way.
    pub(crate) fn begin(&mut self, new: Outage, applied: u64, is_busy: bool, now: Instant) -> Outage {
        let Some((mut outage, resumed)) = self.0.take() else { return new };
        let connected = now.saturating_duration_since(resumed);
        // A client that has nothing to draw achieves nothing either; what has lasted was a connection all the same.
        let is_useless =
            is_busy || connected < limits::STEADY || may_recur(&new.reason) && may_recur(&outage.reason);
        if outage.applied != applied || !is_useless {
            return new;
        }
        // While there was a connection it was not gone.
        (outage.since, outage.until) = (outage.since + connected, outage.until + connected);
        outage.failed(new.reason, now);
        outage
    }
}

/// Whether a connection was lost because bytes were altered on their way.
pub(crate) fn is_altered(lost: &Lost) -> bool {
    match lost {
        Lost::Goodbye(fault) => fault.code == Code::Corrupted,
        lost => matches!(lost, Lost::Protocol(Ended::Corrupted(_))),
    }
}

/// A time without a connection.
#[derive(Debug)]
pub(crate) struct Outage {
    pub(crate) since: Instant,
    /// When it is given up.
    until: Instant,
    /// Why the last connection, or try, was none.
    pub(crate) reason: Lost,
    /// When the next is to be tried.
    pub(crate) next: Instant,
    pause: Duration,
    /// How many requests were done when it began.
    applied: u64,
    chance: Chance,
}

impl Outage {
    /// It begins. `spread` differs from client to client.
    pub(crate) fn new(reason: Lost, now: Instant, within: Duration, spread: u64) -> Outage {
        let mut chance = Chance(spread);
        // The display may only have dropped this connection, so the first try is made soon.
        let next = now + chance.spread(FIRST);
        Outage { since: now, until: now + within, reason, next, pause: FIRST, applied: 0, chance }
    }

    /// A try has failed.
    pub(crate) fn failed(&mut self, reason: Lost, now: Instant) {
        self.reason = reason;
        self.pause = (2 * self.pause).min(LONGEST);
        self.next = now + self.chance.spread(self.pause);
    }

    /// What the program is told of it.
    pub(crate) fn status(&self, now: Instant) -> Status {
        Status::Reconnecting {
            reason: self.reason.clone().into(),
            next: self.next.saturating_duration_since(now),
        }
    }

    /// When the whole of it is given up.
    pub(crate) fn until(&self) -> Instant {
        self.until
    }

    /// Why, when it is given up.
    pub(crate) fn give_up(&self, now: Instant) -> Lost {
        Lost::Gone { after: now.saturating_duration_since(self.since), last: Box::new(self.reason.clone()) }
    }
}

/// Chance enough that clients which lost their display at the same moment do not all come back at the same moment.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    /// `time`, up to a fifth longer or shorter.
    fn spread(&mut self, time: Duration) -> Duration {
        // Knuth's multiplicative generator; its upper bits are the better ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (self.0 >> 33) as f64 / (1u64 << 31) as f64;
        time.mul_f64(0.8 + 0.4 * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_on_which_nothing_is_achieved_does_not_end_the_outage() {
        let (began, second) = (Instant::now(), Duration::from_secs(1));
        let altered = || Lost::Protocol(Ended::Corrupted("it".into()));
        let new = |reason, now| Outage::new(reason, now, 30 * second, 7);
        let (hour, moment) = (3_600 * second, second / 10);
        for (first, then, applied, is_busy, lasted, is_same) in [
            (Lost::Eof, Lost::Eof, 5, true, moment, true),
            (Lost::Eof, Lost::Eof, 5, false, moment, true),
            (Lost::Eof, Lost::Eof, 6, true, moment, false),
            (Lost::Eof, Lost::Eof, 6, false, moment, false),
            // It takes calls for an hour and does none; or there is nothing to do.
            (Lost::Eof, Lost::Eof, 5, true, hour, true),
            (Lost::Eof, Lost::Eof, 5, false, hour, false),
            (altered(), altered(), 5, false, hour, true),
            (altered(), altered(), 6, false, hour, false),
            (altered(), Lost::Eof, 5, false, hour, false),
            (Lost::Eof, altered(), 5, false, hour, false),
        ] {
            let mut before = Before::default();
            let outage = before.begin(new(first, began), 4, true, began);
            assert_eq!((outage.pause, outage.until), (FIRST, began + 30 * second));
            // There is a connection after two seconds, and what was under way is given up.
            before.end(Some(outage), 5, false, began + 2 * second);
            let now = began + 2 * second + lasted;
            let outage = before.begin(new(then, now), applied, is_busy, now);
            let (pause, left) = if is_same { (2 * FIRST, 28 * second) } else { (FIRST, 30 * second) };
            assert_eq!((outage.pause, outage.until - now), (pause, left));
            assert_eq!(now - outage.since, 30 * second - left);
        }
    }

    #[test]
    fn a_display_that_is_restarted_again_and_again_is_come_back_to_at_once() {
        let began = Instant::now();
        let outage = || Outage::new(Lost::Eof, began, Duration::from_secs(30), 7);
        for is_restarted in [false, true] {
            let mut before = Before::default();
            before.end(Some(outage()), 5, is_restarted, began);
            let next = before.begin(outage(), 5, true, began);
            assert_eq!(next.pause == FIRST, is_restarted, "{:?}", next.pause);
        }
    }

    #[test]
    fn a_client_whose_session_another_greeting_of_its_own_has_taken_comes_back() {
        for code in [Code::Superseded, Code::Unconfirmed, Code::TooSlow] {
            let fault = || Fault::new(code.clone(), "it");
            assert!(may_return(&Lost::Goodbye(fault())), "{code}");
            assert!(may_return(&Lost::Protocol(Ended::Refused(fault()))), "{code}");
        }
        for code in [Code::Malformed, Code::WindowClosed, Code::UnsupportedVersion] {
            let fault = || Fault::new(code.clone(), "it");
            assert!(!may_return(&Lost::Goodbye(fault())), "{code}");
            assert!(!may_return(&Lost::Protocol(Ended::Refused(fault()))), "{code}");
        }
    }

    #[test]
    fn a_session_that_is_taken_again_and_again_is_given_up_when_the_time_is_over() {
        let (mut now, second) = (Instant::now(), Duration::from_secs(1));
        let (mut before, mut tries) = (Before::default(), 0);
        let superseded = || Lost::Goodbye(Fault::new(Code::Superseded, "it"));
        let outage = loop {
            let outage = before.begin(Outage::new(superseded(), now, 30 * second, 7), 5, false, now);
            if outage.next >= outage.until() {
                break outage;
            }
            // There is a connection for a moment, on which nothing is done.
            now = outage.next;
            before.end(Some(outage), 5, false, now);
            tries += 1;
        };
        assert!((5..15).contains(&tries), "{tries} connections in 30 s");
        assert!(outage.pause == LONGEST);
    }

    #[test]
    fn the_pauses_double_up_to_five_seconds_and_are_spread_by_a_fifth() {
        let began = Instant::now();
        for spread in 0..1_000 {
            let mut outage = Outage::new(Lost::Eof, began, Duration::from_secs(60), spread);
            let mut expected = 0.1;
            let mut now = began;
            for _ in 0..10 {
                let pause = (outage.next - now).as_secs_f64();
                assert!((expected * 0.799..=expected * 1.201).contains(&pause), "{pause} for {expected}");
                now = outage.next;
                outage.failed(Lost::Eof, now);
                expected = f64::min(2.0 * expected, 5.0);
            }
        }
        let next = |spread| Outage::new(Lost::Eof, began, Duration::from_secs(60), spread).next;
        assert_ne!(next(1), next(2));
    }
}
