//! The server's answers to requests that are not the next of their session, and when it gives a session to another
//! connection.

use super::two::{FILL, SESSION, Two, closing};
use crate::common::{Raw, SIZE, config};
use draw_protocol::client;
use draw_protocol::server::{self, Step};
use draw_protocol::session::{Id, Nonce, Session};
use draw_protocol::{Code, Fault, Hello};
use std::time::Instant;

/// Returns the bytes of request `number`, which fills a pixel.
fn fill(number: u32) -> Vec<u8> {
    Raw::request(number, "fill_rect").bytes(&[0x95, 0, 0, 1, 1, 1]).0
}

/// Returns a session in which request 1 is executed and reported to the client.
fn executed() -> Two {
    let mut two = Two::new();
    two.hear(&fill(1));
    assert!(is_said(&two.say(), "progress"));
    two
}

fn is_said(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// Returns whether a response to this request, with a fault as a map, is among the bytes.
fn is_structured_fault(bytes: &[u8], msgid: u8) -> bool {
    bytes.windows(4).any(|window| window[..3] == [0x94, 0x01, msgid] && window[3] & 0xf0 == 0x80)
}

#[test]
fn success_is_reported_again_to_a_client_that_repeats_the_request() {
    let mut two = executed();
    two.hear(&fill(1));
    let said = two.say();
    assert!(is_said(&said, "progress") && two.executed.len() == 1, "{}", said.escape_ascii());
}

#[test]
fn a_kept_response_is_sent_again_and_no_progress_beside_it() {
    let mut two = Two::new();
    let ask = Raw::request(1, "get_pixel").bytes(&[0x92, 0, 0]).0;
    two.hear(&ask);
    let first = two.say();
    two.hear(&ask);
    let again = two.say();
    assert!(first.ends_with(&again) && again.starts_with(&[0x94, 1, 1]), "{}", again.escape_ascii());
    assert!(!is_said(&again, "progress") && two.executed.len() == 1);
}

#[test]
fn a_request_whose_reply_was_acknowledged_is_stale_and_the_connection_continues() {
    let mut two = executed();
    two.hear(&Raw::notification("ack").bytes(&[0x91, 1]).0);
    two.hear(&fill(1));
    let said = two.say();
    assert!(is_structured_fault(&said, 1) && is_said(&said, "stale"), "{}", said.escape_ascii());
    two.hear(&fill(2));
    assert_eq!((closing(&two), two.executed.len()), (None, 2));
}

#[test]
fn a_number_that_is_skipped_is_refused_and_ends_the_connection() {
    for hello in [Hello::new("test").with_session(SESSION), Hello::new("test")] {
        let is_session = hello.session.is_some();
        let mut two = Two::new();
        if !is_session {
            two.server = two.accept_with(None);
            two.client = client::Connection::new(&hello);
            two.round();
        }
        two.hear(&fill(3));
        assert_eq!((closing(&two), two.executed.len()), (Some(Code::Malformed), 0));
        let said = two.say();
        assert!(is_said(&said, "goodbye") && is_said(&said, "request 3 came"), "{}", said.escape_ascii());
    }
}

#[test]
fn what_was_never_reported_cannot_be_acknowledged() {
    for ack in [&[0x91, 2][..], &[0x90], &[0x91, 0xc0], &[0x91, 0xff]] {
        let mut two = executed();
        two.hear(&Raw::notification("ack").bytes(ack).0);
        assert_eq!(closing(&two), Some(Code::Malformed), "{ack:?}");
        two.hear(&fill(2));
        assert_eq!(two.executed.len(), 1);
    }
}

#[test]
fn a_session_is_not_given_away_in_the_middle_of_a_notification_that_draws() {
    let mut two = Two::new();
    let clear = Raw::notification("clear").bytes(&[0x91, 1]).0;
    assert!(matches!(two.server.handle_input(&mut &clear[..], two.now), Step::Execute(..)));
    assert_eq!(two.server.take_session(), None);
    assert_eq!(closing(&two), Some(Code::Superseded));
}

#[test]
fn a_connection_without_a_session_has_none_to_give_away_and_continues() {
    let mut two = Two::new();
    two.server = two.accept_with(None);
    two.client = client::Connection::new(&Hello::new("test"));
    two.round();
    assert_eq!((two.server.take_session(), closing(&two)), (None, None));
    two.call(&FILL);
    two.round();
    assert_eq!(two.executed.len(), 1);
}

#[test]
fn a_connection_that_is_closing_takes_no_session() {
    let mut two = Two::new();
    two.server = two.accept_with(Some(Nonce::new(5)));
    let hello = client::Connection::new(&Hello::new("test").with_session(SESSION)).poll_transmit().to_vec();
    assert!(matches!(two.server.handle_input(&mut &hello[..], two.now), Step::Resume(_)));
    two.server.close(Fault::new(Code::ShuttingDown, "it ends"));
    let mut found = Some(Session::new(0));
    two.server.resume(&mut found);
    assert_eq!((found, two.server.standing()), (Some(Session::new(0)), None));
}

#[test]
fn what_a_durable_sync_reported_is_held_back_until_the_disk_has_it_also_when_it_is_said_again() {
    let mut two = Two::new();
    let mut with_journal = config(SIZE);
    (with_journal.instance, with_journal.has_journal) = (Some((Id([1; 16]), 1)), true);
    two.server = server::Connection::new(with_journal, two.now);
    let hello = Hello::new("test").with_session(SESSION).with_confirmation(false);
    let hello = client::Connection::new(&hello).poll_transmit().to_vec();
    two.hear(&hello);
    let disk = |two: &mut Two| {
        assert!(two.say().is_empty() && two.server.is_held());
        assert!(two.server.mark());
        two.server.release();
        two.say()
    };
    disk(&mut two);
    let sync = Raw::request(1, "sync_durable").bytes(&[0x90]).0;
    for _ in 0..2 {
        two.hear(&sync);
        let said = disk(&mut two);
        assert!(said.starts_with(&[0x94, 1, 1]), "{}", said.escape_ascii());
    }
    assert_eq!(two.executed.len(), 1);
    // A later request is not held back, because only `applied` was requested.
    two.hear(&fill(2));
    two.say();
    two.hear(&fill(2));
    assert!(!two.server.is_held());
}

#[test]
fn a_client_without_a_place_is_told_so_unless_it_returns_with_its_session() {
    let busy =
        || server::Connection::new(config(SIZE), Instant::now()).refusing(Fault::new(Code::Busy, "full"));
    let said = |bytes: &[u8]| {
        let (mut server, now) = (busy(), Instant::now());
        assert!(matches!(server.handle_input(&mut &bytes[..], now), Step::Wait));
        assert_eq!(server.closing().map(|fault| &fault.code), Some(&Code::Busy));
        server.poll_transmit(now).to_vec()
    };
    let hello = |attempt, checks| {
        let mut hello = Hello::new("test").with_session(SESSION).with_checks(checks);
        hello.attempt = attempt;
        client::Connection::new(&hello).poll_transmit().to_vec()
    };
    // A plain client gets an array, as for its requests, and a client that greets gets a map.
    assert!(said(&fill(7)).starts_with(&[0x94, 1, 7, 0x92, 0]));
    assert!(is_structured_fault(&said(&hello(1, false)), 0));
    let checked = said(&hello(1, true));
    assert!(is_said(&checked, "check") && is_structured_fault(&checked, 0), "{}", checked.escape_ascii());
    for attempt in [2, 3] {
        let returned = said(&hello(attempt, false));
        assert!(!is_said(&returned, "busy"), "{}", returned.escape_ascii());
    }
}
