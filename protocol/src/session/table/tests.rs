//! Tests of which sessions are found and which are evicted.

use super::super::Nonce;
use super::super::tests::{asked, begun};
use super::*;
use std::net::IpAddr;
use std::time::Duration;

fn granted(claim: Claim<'_, &str>) -> Option<Session> {
    match claim {
        Claim::Granted(found) => found,
        other => panic!("{other:?}"),
    }
}

fn id(n: u64) -> Id {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&n.to_le_bytes());
    Id(id)
}

/// Returns hello `attempt` of session `n`.
fn hello(n: u64, attempt: u64) -> Resume {
    Resume { session: id(n), ..asked(attempt, 1.min(attempt - 1), 0, 1) }
}

/// Returns the peer with this name.
fn peer(name: u8) -> Peer {
    IpAddr::from([10, 0, 0, name]).into()
}

/// Claims session `n` for a connection of `peer`, and parks it in the state `session`.
fn leave(sessions: &mut Sessions<&str>, peer: Peer, n: u64, session: Session, now: Instant) {
    let attempt = session.attempt + 1;
    assert!(matches!(sessions.claim(&hello(n, attempt), peer, "", now), Claim::Granted(_)), "{n}");
    sessions.park(id(n), session, now);
}

#[test]
fn one_connection_at_a_time_has_a_session() {
    let (mut sessions, now, peer) = (Sessions::default(), Instant::now(), peer(1));
    assert_eq!(granted(sessions.claim(&hello(1, 1), peer, "first", now)), None);
    for _ in 0..2 {
        assert!(matches!(sessions.claim(&hello(1, 2), peer, "second", now), Claim::Held(&"first")));
    }
    assert_eq!(granted(sessions.claim(&hello(2, 1), peer, "other", now)), None);
    sessions.park(id(1), begun(9).unwrap(), now);
    assert_eq!((sessions.count(), sessions.parked().count()), ((2, 1), 1));
    assert_eq!(granted(sessions.claim(&hello(1, 2), peer, "second", now)), begun(9));
    assert!(matches!(sessions.claim(&hello(1, 3), peer, "third", now), Claim::Held(&"second")));
    sessions.forget(id(1));
    assert_eq!(granted(sessions.claim(&hello(1, 3), peer, "third", now)), None);
}

#[test]
fn an_older_hello_disturbs_nobody() {
    let (mut sessions, now, peer) = (Sessions::default(), Instant::now(), peer(1));
    assert_eq!(granted(sessions.claim(&hello(1, 3), peer, "third", now)), None);
    for late in 1..=3 {
        assert!(matches!(sessions.claim(&hello(1, late), peer, "late", now), Claim::Overtaken(3)), "{late}");
    }
    // An older hello does not resume a parked session.
    let mut session = begun(9).unwrap();
    session.attempt = 3;
    sessions.park(id(1), session.clone(), now);
    for late in 1..=3 {
        assert!(matches!(sessions.claim(&hello(1, late), peer, "late", now), Claim::Overtaken(3)), "{late}");
    }
    assert_eq!(granted(sessions.claim(&hello(1, 4), peer, "fourth", now)), Some(session));
    // Two hellos wait for the session to be parked. The older one is overtaken, in either order.
    assert!(matches!(sessions.claim(&hello(1, 5), peer, "fifth", now), Claim::Held(&"fourth")));
    assert!(matches!(sessions.claim(&hello(1, 6), peer, "sixth", now), Claim::Held(&"fourth")));
    sessions.park(id(1), begun(9).unwrap(), now);
    assert_eq!(granted(sessions.claim(&hello(1, 6), peer, "sixth", now)), begun(9));
    assert!(matches!(sessions.claim(&hello(1, 5), peer, "fifth", now), Claim::Overtaken(6)));
}

#[test]
fn a_session_waits_for_its_lease_and_no_longer() {
    let (mut sessions, now, peer) = (Sessions::default(), Instant::now(), peer(1));
    let just_before = now + limits::SESSION_LEASE - Duration::from_nanos(1);
    sessions.park(id(1), begun(9).unwrap(), now);
    assert_eq!(granted(sessions.claim(&hello(1, 2), peer, "", just_before)), begun(9));
    sessions.park(id(1), begun(9).unwrap(), now);
    assert_eq!(granted(sessions.claim(&hello(1, 3), peer, "", now + limits::SESSION_LEASE)), None);
    // A session in use has no lease, and an ended one is not parked.
    let later = now + 9 * limits::SESSION_LEASE;
    assert!(matches!(sessions.claim(&hello(1, 4), peer, "", later), Claim::Held(_)));
    let mut ended = begun(9).unwrap();
    ended.end();
    sessions.park(id(1), ended, now);
    assert_eq!(sessions.count(), (0, 0));
}

#[test]
fn a_late_hello_of_a_session_that_is_gone_begins_nothing_for_ten_minutes() {
    for is_ended in [true, false] {
        let (mut sessions, start, peer) = (Sessions::<&str>::default(), Instant::now(), peer(1));
        let mut session = begun(9).unwrap();
        (session.is_ended, session.attempt) = (is_ended, 4);
        leave(&mut sessions, peer, 1, session, start);
        let gone = start + if is_ended { Duration::ZERO } else { limits::SESSION_LEASE };
        let last = gone + limits::SESSION_TOMBSTONE - Duration::from_nanos(1);
        for now in [gone, last] {
            for late in 1..=4 {
                let claim = sessions.claim(&hello(1, late), peer, "late", now);
                assert!(matches!(claim, Claim::Overtaken(4)), "{late}: {claim:?}");
            }
            assert_eq!((sessions.count(), sessions.tombstones()), ((0, 0), 1));
        }
        // The client itself may begin again. If that session is forgotten, the tombstone remains.
        assert_eq!(granted(sessions.claim(&hello(1, 5), peer, "", last)), None);
        sessions.forget(id(1));
        assert!(matches!(sessions.claim(&hello(1, 1), peer, "late", last), Claim::Overtaken(4)));
        let after = last + Duration::from_nanos(1);
        assert_eq!(granted(sessions.claim(&hello(1, 1), peer, "late", after)), None);
        assert_eq!(sessions.tombstones(), 0);
    }
}

#[test]
fn a_client_that_confirms_needs_no_tombstone() {
    let (mut sessions, now, peer) = (Sessions::<&str>::default(), Instant::now(), peer(1));
    let mut confirmed = begun(9).unwrap();
    confirmed.incarnation = Nonce::new(7).get();
    confirmed.end();
    leave(&mut sessions, peer, 1, confirmed, now);
    assert_eq!((sessions.tombstones(), sessions.count()), (0, (0, 0)));
}

#[test]
fn a_second_session_of_the_same_name_does_not_shorten_the_memory_of_the_first() {
    let (mut sessions, start, peer) = (Sessions::<&str>::default(), Instant::now(), peer(1));
    let mut session = begun(9).unwrap();
    (session.is_ended, session.attempt) = (true, 4);
    leave(&mut sessions, peer, 1, session, start);
    // The client begins again, and the second session ends without requests.
    let later = start + limits::SESSION_TOMBSTONE / 2;
    let mut session = begun(0).unwrap();
    (session.is_ended, session.attempt) = (true, 5);
    assert_eq!(granted(sessions.claim(&hello(1, 5), peer, "", later)), None);
    sessions.park(id(1), session, later);
    let last = later + limits::SESSION_TOMBSTONE - Duration::from_nanos(1);
    assert!(matches!(sessions.claim(&hello(1, 5), peer, "late", last), Claim::Overtaken(5)));
    // The requests executed in the first session still count, so that other tombstones do not evict this one.
    assert_eq!(sessions.tombstones[&id(1)].1.executed, 9);
    // An older copy of the session from a journal does not make older hellos acceptable.
    let mut session = begun(0).unwrap();
    (session.is_ended, session.attempt) = (true, 2);
    sessions.restore(id(1), session, later);
    assert!(matches!(sessions.claim(&hello(1, 5), peer, "late", last), Claim::Overtaken(5)));
}

#[test]
fn a_tombstone_keeps_the_latest_hello_and_the_most_work_of_all_sessions_of_its_name() {
    let mut ended = begun(9).unwrap();
    ended.end();
    for (first, second) in [((5, 1), (7, 3)), ((7, 3), (5, 1)), ((7, 1), (5, 3)), ((5, 3), (7, 1))] {
        let (mut sessions, now) = (Sessions::<&str>::default(), Instant::now());
        for (attempt, executed) in [first, second] {
            sessions.park(id(1), Session { attempt, executed, ..ended.clone() }, now);
        }
        let (attempt, entry) = &sessions.tombstones[&id(1)];
        assert_eq!((*attempt, entry.executed), (7, 3), "{first:?}, then {second:?}");
        assert!(matches!(sessions.claim(&hello(1, 7), peer(1), "late", now), Claim::Overtaken(7)));
        assert_eq!((sessions.tombstones(), sessions.buried.count()), (1, 1));
    }
}

#[test]
fn tombstones_are_bounded_and_a_peer_pushes_out_only_its_own() {
    let (mut sessions, now) = (Sessions::<&str>::default(), Instant::now());
    let ended = || {
        let mut session = begun(1).unwrap();
        session.end();
        session
    };
    leave(&mut sessions, peer(1), 0, ended(), now);
    let count = limits::SESSION_TOMBSTONES as u64 + 100;
    (1..=count).for_each(|n| leave(&mut sessions, peer(2), n, ended(), now + Duration::from_nanos(n)));
    // Tombstones of sessions that executed nothing evict no others.
    for n in 1..=1_000 {
        let nothing = Session { executed: 0, ..ended() };
        leave(&mut sessions, peer(2), count + n, nothing, now + Duration::from_nanos(count + n));
    }
    assert_eq!(sessions.tombstones(), limits::SESSION_TOMBSTONES);
    let later = now + Duration::from_secs(1);
    assert!(matches!(sessions.claim(&hello(0, 1), peer(1), "", later), Claim::Overtaken(1)));
    assert!(matches!(sessions.claim(&hello(count, 1), peer(2), "", later), Claim::Overtaken(1)));
    assert_eq!(granted(sessions.claim(&hello(1, 1), peer(2), "", later)), None, "the oldest went first");
}

/// 4,200 abandoned sessions, from the honest client's own address and from another.
#[test]
fn sessions_that_did_nothing_make_room_for_one_with_work() {
    for other in [1, 2] {
        let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
        let at = |n: u64| start + Duration::from_millis(n);
        leave(&mut sessions, peer(1), 0, begun(1).unwrap(), start);
        (1..=4_200).for_each(|n| leave(&mut sessions, peer(other), n, begun(0).unwrap(), at(n)));
        assert_eq!(sessions.count(), (limits::SESSIONS, limits::SESSIONS));
        assert_eq!(granted(sessions.claim(&hello(0, 2), peer(1), "", at(4_201))), begun(1));
    }
}

/// The same with sessions that executed some requests. Sessions from another address evict none of this one; within an
/// address, those with the fewest executed requests are evicted.
#[test]
fn sessions_that_did_less_make_room_for_one_that_did_more() {
    let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
    let at = |n: u64| start + Duration::from_millis(n);
    leave(&mut sessions, peer(1), 0, begun(1).unwrap(), start);
    leave(&mut sessions, peer(2), 1, begun(10).unwrap(), start);
    (2..=4_201).for_each(|n| leave(&mut sessions, peer(2), n, begun(9).unwrap(), at(n)));
    assert_eq!(granted(sessions.claim(&hello(0, 2), peer(1), "", at(5_000))), begun(1));
    assert_eq!(granted(sessions.claim(&hello(1, 2), peer(2), "", at(5_000))), begun(10));
    assert_eq!(
        granted(sessions.claim(&hello(2, 2), peer(2), "", at(5_000))),
        None,
        "the oldest of the others"
    );
    assert_eq!(granted(sessions.claim(&hello(4_201, 2), peer(2), "", at(5_000))), begun(9));
}

/// Returns a session that keeps one fault of this many megabytes.
fn fat(megabytes: usize) -> Session {
    let mut session = begun(0).unwrap();
    session.handle_request(1, b"message").unwrap();
    session.responded(&vec![0; megabytes << 20], false);
    session
}

/// 12 large sessions, from the honest client's own address and from another.
#[test]
fn fat_sessions_make_room_for_a_small_one() {
    for other in [1, 2] {
        let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
        let at = |n: u64| start + Duration::from_millis(n);
        leave(&mut sessions, peer(1), 0, begun(9).unwrap(), start);
        (1..=12).for_each(|n| leave(&mut sessions, peer(other), n, fat(7), at(n)));
        assert_eq!(sessions.count().0, 1 + limits::SESSION_MEMORY / (7 << 20));
        assert_eq!(granted(sessions.claim(&hello(0, 2), peer(1), "", at(13))), begun(9));
        // Of equally large sessions the oldest is evicted first.
        assert_eq!(granted(sessions.claim(&hello(12, 2), peer(other), "", at(13))), Some(fat(7)));
        assert_eq!(granted(sessions.claim(&hello(1, 2), peer(other), "", at(13))), None);
        // Claimed sessions no longer count.
        (0..=12).for_each(|n| sessions.forget(id(n)));
        (20..29).for_each(|n| leave(&mut sessions, peer(other), n, fat(7), at(n)));
        assert_eq!(sessions.count().0, 9);
    }
}

#[test]
fn a_peer_with_no_more_than_its_share_loses_nothing_to_others() {
    let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
    let at = |n: u64| start + Duration::from_millis(n);
    // One session with a quarter of the memory, which executed less than all the others.
    leave(&mut sessions, peer(1), 0, fat(7), start);
    for n in 1..=60 {
        let mut session = begun(1_000).unwrap();
        session.handle_request(1_001, b"message").unwrap();
        session.responded(&vec![0; 3 << 20], false);
        leave(&mut sessions, peer(2 + (n % 3) as u8), n, session, at(n));
    }
    assert_eq!(granted(sessions.claim(&hello(0, 2), peer(1), "", at(61))), Some(fat(7)));
}

#[test]
fn a_session_alone_may_have_all_the_memory_and_more() {
    let (mut sessions, now) = (Sessions::<&str>::default(), Instant::now());
    let mut session = begun(0).unwrap();
    session.bytes = limits::SESSION_MEMORY + 1;
    sessions.park(id(1), session, now);
    assert_eq!(sessions.count(), (1, 1));
    sessions.park(id(2), begun(1).unwrap(), now);
    assert!(sessions.contains(id(2)) && !sessions.contains(id(1)), "the larger one goes");
}

/// One session each from more addresses than the limit on sessions. The honest client's address is the first or the
/// last.
#[test]
fn no_address_is_in_itself_worse_than_another() {
    for honest in [0, u32::MAX] {
        let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
        let at = |n: u64| start + Duration::from_millis(n);
        let address = |name: u32| Peer::from(IpAddr::from(name.to_be_bytes()));
        leave(&mut sessions, address(honest), 0, begun(2).unwrap(), start);
        (1..=5_000).for_each(|n| leave(&mut sessions, address(n as u32), n, begun(1).unwrap(), at(n)));
        assert_eq!(sessions.count(), (limits::SESSIONS, limits::SESSIONS));
        assert_eq!(granted(sessions.claim(&hello(0, 2), address(honest), "", at(5_001))), begun(2));
    }
}

/// 50 clients behind one address, and 1,000 addresses that leave five sessions each.
#[test]
fn an_address_with_many_sessions_loses_none_to_many_addresses_that_did_less() {
    let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
    let at = |n: u64| start + Duration::from_millis(n);
    let address = |n: u64| Peer::from(IpAddr::from([10, 1, (n >> 8) as u8, n as u8]));
    // Three of the clients are connected, and their sessions have no lease.
    for n in 0..3 {
        assert_eq!(granted(sessions.claim(&hello(n, 1), peer(1), "", start)), None);
    }
    (3..50).for_each(|n| leave(&mut sessions, peer(1), n, begun(2).unwrap(), at(n)));
    (50..5_050).for_each(|n| leave(&mut sessions, address(n % 1_000), n, begun(1).unwrap(), at(n)));
    assert_eq!(sessions.count(), (limits::SESSIONS + 3, limits::SESSIONS));
    (0..3).for_each(|n| {
        assert!(matches!(sessions.claim(&hello(n, 2), peer(1), "", at(6_000)), Claim::Held(_)));
    });
    (3..50).for_each(|n| assert_eq!(granted(sessions.claim(&hello(n, 2), peer(1), "", at(6_000))), begun(2)));
}

/// Returns the session as decoded from a journal.
fn read_back(session: &Session) -> Session {
    let mut bytes = Vec::new();
    session.encode(&mut bytes);
    Session::decode(&bytes).unwrap()
}

#[test]
fn a_session_that_was_read_back_waits_whatever_is_left_after_the_start() {
    let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
    let at = |n: u64| start + Duration::from_millis(n);
    // A hundred others are restored too. The second session executed nothing and is still kept.
    let restored = [read_back(&begun(9).unwrap()), read_back(&begun(0).unwrap())];
    (0..).zip(&restored).for_each(|(n, session)| sessions.restore(id(n), session.clone(), start));
    (2..102).for_each(|n| sessions.restore(id(n), read_back(&begun(10).unwrap()), start));
    assert_eq!((sessions.count(), sessions.parked().count()), ((102, 102), 102));
    // Sessions from one address, from thousands of addresses, and large ones.
    (102..4_302).for_each(|n| leave(&mut sessions, peer(2), n, begun(20).unwrap(), at(n)));
    for n in 4_302..8_502 {
        let address = IpAddr::from([10, 1, (n >> 8) as u8, n as u8]).into();
        leave(&mut sessions, address, n, begun(20).unwrap(), at(n));
    }
    (8_502..8_514).for_each(|n| leave(&mut sessions, peer(2), n, fat(7), at(n)));
    for (n, session) in (0..).zip(restored) {
        assert_eq!(granted(sessions.claim(&hello(n, 2), peer(1), "", at(9_000))), Some(session.clone()));
    }
    assert_eq!(sessions.restored.count(), 100);
    // After its connection a session counts for the address.
    sessions.park(id(0), begun(9).unwrap(), at(9_000));
    assert_eq!(sessions.restored.count(), 100);
}

#[test]
fn a_session_that_was_read_back_waits_for_its_lease_and_leaves_a_tombstone() {
    let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
    sessions.restore(id(1), begun(9).unwrap(), start);
    let mut ended = begun(9).unwrap();
    ended.end();
    sessions.restore(id(2), ended, start);
    assert_eq!((sessions.count(), sessions.tombstones()), ((1, 1), 1), "what is ended waits for nobody");
    let end = start + limits::SESSION_LEASE;
    sessions.expire(end - Duration::from_nanos(1));
    assert_eq!(sessions.count(), (1, 1));
    sessions.expire(end);
    assert_eq!((sessions.count(), sessions.tombstones()), ((0, 0), 2));
    for n in [1, 2] {
        assert!(matches!(sessions.claim(&hello(n, 1), peer(1), "", end), Claim::Overtaken(1)));
    }
}

/// A journal full of an attacker's sessions: those with the fewest executed requests are evicted first, also when the
/// limit on bytes is exceeded, and a small session evicts no other.
#[test]
fn what_is_read_back_is_bounded_and_the_least_goes_first() {
    let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
    let idle = Session { executed: 1, ..begun(0).unwrap() };
    sessions.restore(id(0), read_back(&begun(5).unwrap()), start);
    sessions.restore(id(1), idle.clone(), start);
    // The last of these is larger than any evicted session. Each restored session counts as a peer of its own.
    let sizes = [1 << 20, (7 << 20) + (1 << 19)];
    for (n, size) in (2..).zip(sizes) {
        let mut large = begun(1_000).unwrap();
        large.handle_request(1_001, b"message").unwrap();
        large.responded(&vec![0; size], false);
        sessions.restore(id(n), read_back(&large), start);
    }
    (4..20).for_each(|n| sessions.restore(id(n), fat(7), start));
    let kept: Vec<_> = (0..4).map(|n| sessions.contains(id(n))).collect();
    let room = limits::SESSION_MEMORY - sizes.iter().sum::<usize>() - (1 << 20);
    assert_eq!((kept, sessions.count().0), (vec![true; 4], 4 + room / (7 << 20)));
    let (mut sessions, count) = (Sessions::<&str>::default(), limits::SESSIONS_RESTORED as u64);
    sessions.restore(id(0), read_back(&begun(5).unwrap()), start);
    (1..count + 100).for_each(|n| sessions.restore(id(n), idle.clone(), start));
    assert_eq!(sessions.count().0, limits::SESSIONS_RESTORED);
    assert!(sessions.contains(id(0)));
}

/// The tombstones of all restored sessions count as one peer, so that other peers keep their share.
#[test]
fn sessions_that_were_read_back_push_out_no_tombstones_of_others() {
    let (mut sessions, start) = (Sessions::<&str>::default(), Instant::now());
    let ended = |applied| {
        let mut session = begun(applied).unwrap();
        session.end();
        session
    };
    let (restored, count) = (10_000, limits::SESSION_TOMBSTONES as u64);
    (1..=restored).for_each(|n| sessions.restore(id(n), ended(1), start));
    leave(&mut sessions, peer(1), 0, ended(1), start);
    (1..=count).for_each(|n| leave(&mut sessions, peer(2), restored + n, ended(9), start));
    assert_eq!(sessions.tombstones(), limits::SESSION_TOMBSTONES);
    assert!(matches!(sessions.claim(&hello(0, 1), peer(1), "", start), Claim::Overtaken(1)));
    // There are three peers, so the restored sessions keep a sixth.
    let kept = (1..=restored).filter(|n| sessions.tombstones.contains_key(&id(*n))).count();
    assert_eq!(kept, limits::SESSION_TOMBSTONES / 6);
}

#[test]
fn a_peer_is_an_address_however_it_is_written() {
    let peer = |text: &str| Peer::from(text.parse::<IpAddr>().unwrap());
    assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
    assert_ne!(peer("10.0.0.1"), peer("10.0.0.2"));
    assert_eq!(peer("2001:db8:1:2::1"), peer("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
    assert_ne!(peer("10.0.0.1"), Peer::default());
}
