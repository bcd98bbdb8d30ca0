//! Sessions that a journal brings back.

use super::*;
use draw_protocol::limits;
use std::net::IpAddr;

const HERE: Id = Id([9; 16]);

fn id(n: u32) -> Id {
    let mut id = [7; 16];
    id[..4].copy_from_slice(&n.to_be_bytes());
    Id(id)
}

/// Hello `attempt` of session `n`, which began with the first.
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

/// A session that has executed so many requests.
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

/// The display is restarted with its journal, and 4,200 sessions that draw are begun and left before the honest client comes back;
/// from one address, or from a thousand.
#[test]
fn sessions_left_after_a_restart_push_out_none_that_the_journal_brought_back() {
    for addresses in [1, 1_000] {
        let shadow = Arc::new(Shadow::default());
        // Other clients were there too; and how much they have executed says nothing of whose they are.
        (0..100).for_each(|n| shadow.taken_up(id(n), begun(n, u64::from(n)), |_| true, 100));
        let sessions = Sessions::new((Id([1; 16]), 1));
        sessions.adopt((HERE, 2), shadow);
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
