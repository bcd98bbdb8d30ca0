//! Bytes of one connection that arrive again on another.

use super::two::{FILL, SESSION, Two, closing};
use draw_protocol::client::{self, Event};
use draw_protocol::server::Step;
use draw_protocol::session::{Claim, Id, Peer, Sessions, Standing};
use draw_protocol::{Code, Hello, limits};

/// Returns a greeted client that has made a call, and the bytes of its greeting.
fn greeted(hello: &Hello) -> (Two, Vec<u8>) {
    let mut two = Two::new();
    two.client = client::Connection::new(hello);
    two.accept();
    let greeting = two.send();
    two.hear(&greeting);
    let welcome = two.say();
    two.tell(&welcome).expect("the display welcomes it");
    two.call(&FILL);
    (two, greeting)
}

/// The bytes of a connection, from its greeting on, arrive again on a display that knows the session, has ended or
/// forgotten it, or is another.
#[test]
fn a_copy_of_a_connection_is_never_executed() {
    let ends = [Standing::Resumed, Standing::Fresh, Standing::Expired, Standing::StateLost];
    for (end, confirms) in ends.into_iter().flat_map(|end| [(end, true), (end, false)]) {
        let hello = Hello::new("test").with_session(SESSION).with_confirmation(confirms);
        let (mut two, mut copy) = greeted(&hello);
        for _ in 0..2 {
            let sent = two.send();
            two.hear(&sent);
            copy.extend(sent);
        }
        assert_eq!(two.executed.len(), 1);
        // The display's session table when the copy arrives.
        let (mut sessions, now) = (Sessions::<()>::default(), two.now);
        let asked = Hello::new("test").with_session(SESSION).with_confirmation(confirms).resume().unwrap();
        assert!(matches!(sessions.claim(&asked, Peer::default(), (), now), Claim::Granted(None)));
        let (id, mut session) = two.server.take_session().expect("it has one");
        let later = match end {
            Standing::Expired => now + limits::SESSION_LEASE,
            _ => now,
        };
        if end == Standing::Fresh {
            session.end();
        }
        sessions.park(id, session, now);
        if end == Standing::StateLost {
            (sessions, two.instance) = (Sessions::default(), Id([9; 16]));
        }
        two.accept();
        let mut input = &copy[..];
        let Step::Resume(asked) = two.server.handle_input(&mut input, later) else { panic!("it greets") };
        match sessions.claim(&asked, Peer::default(), (), later) {
            Claim::Granted(mut found) => two.server.resume(&mut found),
            Claim::Overtaken(latest) => two.server.overtaken(latest),
            Claim::Held(()) => panic!("nobody has it"),
        }
        let is_bounded = !confirms && end == Standing::StateLost;
        two.hear(input);
        assert_eq!(two.executed.len(), 1 + usize::from(is_bounded), "{end:?}, {confirms}");
        let code = match (end, confirms) {
            // The new display cannot know of this session.
            (Standing::StateLost, false) => None,
            (Standing::Resumed, _) | (_, false) => Some(Code::Superseded),
            (_, true) => Some(Code::Unconfirmed),
        };
        assert_eq!(closing(&two), code, "{end:?}, {confirms}");
    }
}

/// With checks the first message is the check of the greeting. A corrupted check may look like an unknown notification,
/// and the greeting is not the first message then. The messages after it must not be executed as on a plain connection.
#[test]
fn a_copy_whose_first_check_is_altered_is_not_executed() {
    let hello = Hello::new("test").with_session(SESSION).with_confirmation(true).with_checks(true);
    let (mut two, mut copy) = greeted(&hello);
    copy.extend(two.send());
    let name = copy.windows(5).position(|bytes| bytes == b"check").expect("a check comes first");
    for at in name..name + 5 {
        let mut altered = copy.clone();
        altered[at] ^= 4;
        two.accept();
        let before = two.executed.len();
        two.hear(&altered);
        assert_eq!(two.executed.len(), before, "byte {at}");
        assert_eq!(closing(&two), Some(Code::Malformed), "byte {at}");
    }
}

/// After the lease a copy of the first greeting begins a session like the original one. The returning client must not
/// resume that session, because its calls would be executed again.
#[test]
fn a_session_that_a_copy_began_is_not_the_client_s() {
    let mut two = Two::new();
    let hello = Hello::new("test").with_session(SESSION);
    (two.client, two.parked) = (client::Connection::new(&hello), None);
    two.accept();
    let greeting = two.send();
    two.hear(&greeting);
    let welcome = two.say();
    two.tell(&welcome).unwrap();
    two.call(&FILL);
    (0..2).for_each(|_| two.up());
    assert_eq!(two.executed.len(), 1);
    // The lease ends, and the copy arrives.
    (two.parked, _) = (None, two.server.take_session());
    two.accept();
    two.hear(&greeting);
    two.reconnect();
    (0..3).for_each(|_| two.round());
    let [Event::Welcome, Event::Resumed(standing, lost)] = &two.told[..] else { panic!("{:?}", two.told) };
    assert_eq!((*standing, lost.len(), two.executed.len()), (Standing::Expired, 1, 1));
}
