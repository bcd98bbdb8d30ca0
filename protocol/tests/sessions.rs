//! Sessions, one case at a time, and requests that violate the protocol.

mod common;

mod sessions {
    mod confirmation;
    mod copies;
    mod resent;
    mod returning;
    mod rules;
    pub(crate) mod two;
    mod wild;
}

use common::Raw;
use draw_protocol::client::{Ended, Event};
use draw_protocol::session::{Id, Session, Standing, Verdict};
use draw_protocol::{Answer, Code, Color, Request, limits};
use sessions::two::{ASK, CLEAR, FILL, Two};
use std::time::Duration;

#[test]
fn what_was_executed_and_not_heard_is_said_again_and_not_executed() {
    let mut two = Two::new();
    [FILL, CLEAR, ASK].iter().for_each(|call| two.call(call));
    two.up();
    let _lost = two.say();
    two.reconnect();
    two.call(&FILL);
    two.round();
    two.round();
    assert_eq!(two.executed.len(), 4);
    assert_eq!((two.client.done(), two.client.in_flight()), (4, 0));
    let [Event::Resumed(Standing::Resumed, lost), Event::Fault(clear, fault), Event::Answer(ask, answer)] =
        &two.told[..]
    else {
        panic!("{:?}", two.told)
    };
    assert_eq!((lost.len(), clear.number, &fault.code), (0, 2, &Code::NoMemory));
    assert_eq!((ask.number, answer), (3, &Answer::Pixel(Color::RED)));
}

#[test]
fn what_a_display_says_with_its_goodbye_can_be_acknowledged() {
    let mut two = Two::new();
    two.call(&FILL);
    two.up();
    // The progress comes with the goodbye of the superseded connection, which still arrives.
    two.parked = two.server.take_session().map(|(_, session)| session);
    let said = two.say();
    two.tell(&said).unwrap();
    assert_eq!(
        (two.client.done(), two.client.goodbye().map(|fault| &fault.code)),
        (1, Some(&Code::Superseded))
    );
    two.reconnect();
    two.round();
    assert!(matches!(&two.told[..], [Event::Resumed(Standing::Resumed, _)]), "{:?}", two.told);
}

#[test]
fn an_answer_to_hello_that_gets_lost_does_not_make_anything_executed() {
    for (instance, standing) in [(Id([1; 16]), Standing::Expired), (Id([9; 16]), Standing::StateLost)] {
        let mut two = Two::new();
        two.call(&FILL);
        let _lost = two.send();
        two.reconnect();
        (two.parked, two.instance) = (None, instance);
        two.accept();
        two.up();
        let _lost = two.say();
        two.reconnect();
        two.round();
        let [Event::Resumed(said, lost)] = &two.told[..] else { panic!("{:?}", two.told) };
        assert_eq!((*said, lost.len(), lost[0].number), (standing, 1, 1));
        two.call(&FILL);
        two.round();
        assert_eq!((two.client.done(), two.executed.len()), (2, 1));
    }
}

#[test]
fn a_hello_that_comes_late_takes_nothing_away() {
    let mut two = Two::new();
    let late = {
        two.client.handle_disconnected(Vec::new());
        two.client.reconnect(false);
        two.send()
    };
    two.reconnect();
    two.round();
    two.parked = two.server.take_session().map(|(_, session)| session);
    two.accept();
    two.hear(&late);
    assert_eq!(two.server.closing().map(|fault| &fault.code), Some(&Code::Superseded));
    assert!(two.parked.is_some(), "it is kept for the client");
    assert!(two.server.session().is_none());
}

#[test]
fn a_call_that_is_refused_leaves_nothing_among_what_is_sent_again() {
    let mut two = Two::new();
    for _ in 0..limits::ACK_CALLS {
        two.call(&FILL);
    }
    two.up();
    let said = two.say();
    two.call(&FILL);
    two.tell(&said).unwrap();
    assert_eq!(two.client.done(), limits::ACK_CALLS);
    // An acknowledgement is due and is sent with the next call. A refused call does not count.
    let wrong = Request::PutImage { x: 0, y: 0, width: 2, height: 2, rgba: &[0] };
    assert!(two.client.call(&wrong, two.now).is_err());
    two.call(&FILL);
    let _lost = two.send();
    two.reconnect();
    two.round();
    two.round();
    assert_eq!(two.client.done(), limits::ACK_CALLS + 2, "{:?}", two.server.closing());
    assert_eq!(two.executed.len() as u64, limits::ACK_CALLS + 2);
}

#[test]
fn what_a_display_has_executed_and_not_reported_it_may_forget_again() {
    let mut two = Two::new();
    (0..3).for_each(|_| two.call(&FILL));
    two.up();
    two.reconnect();
    // The session resumes after request 3. Before the display reports that, it restarts without any of the requests
    // on disk.
    let mut older = Vec::new();
    two.up();
    let said = two.say();
    let welcome =
        said.len() - said.windows(8).rev().position(|w| w == b"progress").expect("progress") - 8 - 3;
    two.tell(&said[..welcome]).unwrap();
    assert!(matches!(&two.told[..], [Event::Resumed(Standing::Resumed, _)]), "{:?}", two.told);
    assert_eq!(two.client.done(), 0);
    two.server.session_state().expect("it goes on").encode(&mut older);
    // Version, flag, born and attempt stay. The zeros mean: nothing acknowledged, executed or drawn, no response kept.
    older.truncate(18);
    older.extend([0; 32]);
    two.reconnect();
    two.parked = Some(Session::decode(&older).expect("a session"));
    two.executed.clear();
    two.round();
    two.round();
    assert_eq!((two.client.done(), two.executed.len()), (3, 3), "{:?}", two.server.closing());
}

#[test]
fn a_greeting_that_is_too_slow_is_refused_and_may_be_tried_again() {
    let mut two = Two::new();
    two.reconnect();
    let hello = two.send();
    two.hear(&hello[..20]);
    two.now += Duration::from_secs(60);
    two.server.handle_timeout(two.now);
    let said = two.say();
    let Err(Ended::Refused(fault)) = two.tell(&said) else { panic!("{said:02x?}") };
    assert_eq!(fault.code, Code::TooSlow);
    two.reconnect();
    two.round();
    assert!(matches!(&two.told[..], [Event::Resumed(Standing::Resumed, _)]));
}

#[test]
fn a_second_answer_to_hello_is_a_lie_that_costs_nothing() {
    let mut two = Two::new();
    two.call(&FILL);
    two.reconnect();
    two.up();
    let said = two.say();
    two.tell(&said).unwrap();
    assert!(matches!(two.tell(&said), Err(Ended::Violation(_))));
    two.reconnect();
    two.round();
    two.round();
    assert_eq!((two.client.done(), two.executed.len()), (1, 1));
}

#[test]
fn a_request_that_a_connection_died_of_may_come_again() {
    let mut two = Two::new();
    let (mut unknown, mut last) = (Vec::new(), 0);
    for number in 1..=limits::MALFORMED_BURST + 1 {
        last = number;
        unknown.extend(Raw::request(number, "draw_circle").bytes(&[0x90]).0);
    }
    two.hear(&unknown);
    assert_eq!(two.server.closing().map(|fault| &fault.code), Some(&Code::TooManyErrors));
    // The last request was accepted but not answered, so it does not count as executed.
    let (_, mut session) = two.server.take_session().expect("it goes on elsewhere");
    assert_eq!(session.filter().applied(), u64::from(last) - 1);
    assert_eq!(session.handle_request(last.into(), b"another"), Ok(Verdict::Execute));
}

#[test]
fn an_end_is_the_end() {
    let mut two = Two::new();
    two.call(&FILL);
    two.round();
    two.client.end_session();
    two.round();
    assert!(!two.client.is_resumable());
    let (id, session) = two.server.take_session().expect("it is there until it is given back");
    let mut sessions = draw_protocol::session::Sessions::<()>::default();
    sessions.park(id, session, two.now);
    assert_eq!(sessions.count(), (0, 0));
}
