//! Tests sessions that a journal restores.

use super::*;
use draw_protocol::session::Stamp;
use draw_protocol::{Fault, limits};
use std::net::IpAddr;

const HERE: Id = Id([9; 16]);

fn id(n: u32) -> Id {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    Id(id)
}

/// Returns hello `attempt` of session `n`, which began with the first hello.
fn hello(n: u32, attempt: u64) -> Resume {
    Resume {
        session: id(n),
        instance: (attempt > 1).then_some(HERE),
        attempt,
        born: attempt - 1,
        incarnation: None,
        ack: 0,
        drew: 0,
        next: 1,
        accepts_loss: false,
        confirms: false,
    }
}

/// Returns a session that has executed `executed` requests.
fn begun(n: u32, executed: u64) -> Session {
    let (mut session, _) = Session::enter(&mut None, &hello(n, 1), HERE, None).unwrap();
    for number in 1..=executed {
        session.handle_request(number, b"a call").unwrap();
        session.executed();
    }
    session
}

fn claimed(sessions: &Sessions, asked: &Resume, peer: Peer) -> Option<Session> {
    let cx = Context::from_waker(Waker::noop());
    match sessions.poll_claim(asked, peer, &Arc::new(Holder::default()), &cx) {
        Poll::Ready(Ok(found)) => found,
        other => panic!("{other:?}"),
    }
}

/// The display is restarted with its journal. Before the honest client reconnects, 4,200 sessions that draw are begun
/// and abandoned, from one address or from a thousand.
#[test]
fn sessions_left_after_a_restart_push_out_none_that_the_journal_brought_back() {
    for addresses in [1, 1_000] {
        let mirror = SessionMirror::default();
        // Other clients had sessions too, and the number of executed requests does not tell whose session it is.
        for n in 0..100 {
            mirror.record(id(n), begun(n, u64::from(n)), |_| true, 100);
        }
        let sessions = Sessions::restored((HERE, 2), &mirror);
        for n in 1_000..5_200_u32 {
            let [.., high, low] = (n % addresses).to_be_bytes();
            let peer = Peer::from(IpAddr::from([10, 0, high, low]));
            assert_eq!(claimed(&sessions, &hello(n, 1), peer), None);
            sessions.give_back(id(n), Some(begun(n, 20)));
        }
        assert_eq!(sessions.lock().sessions.count().1, limits::SESSIONS + 100);
        for n in 0..100 {
            let found = claimed(&sessions, &hello(n, 2), Peer::from(IpAddr::from([192, 0, 2, 1])));
            assert_eq!(found.unwrap().filter().applied(), u64::from(n), "{addresses} addresses");
        }
    }
}

/// Reads the journal record of a session that was taken up.
fn read(mirror: &SessionMirror, n: u32, session: &Session) {
    mirror.read(id(n), session.clone());
}

/// An attacker begins and abandons tens of thousands of sessions that draw, and the display is killed.
#[test]
fn what_was_gone_before_a_restart_does_not_come_back() {
    let (written, is_there) = (SessionMirror::default(), |id: Id| id == self::id(0));
    let after = SessionMirror::default();
    for n in 0..40_000 {
        let session = begun(n, if n == 0 { 1 } else { 20 });
        read(&after, n, &session);
        // The records that the connection writes after that.
        for (gone, ended) in written.record(id(n), session, is_there, 1) {
            let [a, b, c, d, ..] = gone.0;
            read(&after, u32::from_be_bytes([a, b, c, d]), &ended);
        }
        assert!(written.all().len() <= 66);
    }
    assert!(after.all().len() <= 33_000, "{} are kept while it is read", after.all().len());
    let waiting = after.all().into_iter().filter(|(_, session)| !session.is_ended()).count();
    assert!(waiting <= 66, "{waiting}");
    let sessions = Sessions::restored((HERE, 2), &after);
    let found = claimed(&sessions, &hello(0, 2), Peer::default());
    assert_eq!(found.map(|session| session.filter().applied()), Some(1));
    assert_eq!(claimed(&sessions, &hello(1, 2), Peer::default()), None);
}

/// An older journal has no records of sessions that are gone.
#[test]
fn a_journal_of_many_sessions_is_read_in_bounded_memory() {
    let mirror = SessionMirror::default();
    for n in 0..100_000 {
        read(&mirror, n, &begun(n, if n == 7 { 2 } else { 1 }));
        assert!(mirror.lock().sessions.len() <= 2 * limits::SESSIONS_RESTORED);
    }
    assert!(mirror.all().iter().any(|(found, _)| *found == id(7)));
}

/// A few sessions, each with the maximum of memory, and gone at once.
#[test]
fn sessions_that_are_gone_take_no_memory() {
    let mirror = SessionMirror::default();
    let fault = Err(Fault::new(draw_protocol::Code::OutOfBounds, "x".repeat(1 << 20)));
    let mut most = 0;
    for n in 0..200 {
        mirror.record(id(n), begun(n, 0), |known| known == id(n), 1_000);
        for number in 1..=10 {
            mirror.drawn(Stamp { session: id(n), number, ack: 0, digest: 7 }, &fault);
        }
        let memory = mirror.all().iter().map(|(_, session)| session.memory()).sum();
        assert!(memory <= mirror.lock().memory && memory + (1 << 20) >= mirror.lock().memory);
        most = most.max(memory);
    }
    assert!(most <= limits::SESSION_MEMORY + 2 * (9 << 20) + (9 << 20), "{most} bytes");
}
