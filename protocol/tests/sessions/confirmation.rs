//! The client confirms the welcome of a session before any other message is executed.

use super::two::{FILL, SESSION, Two, closing, confirm};
use crate::common::Raw;
use draw_protocol::client::{self, Event};
use draw_protocol::server::Step;
use draw_protocol::session::{Id, Nonce, Standing};
use draw_protocol::{Code, Hello, Request};

#[test]
fn the_first_thing_a_client_says_in_its_session_is_the_number_of_the_welcome() {
    let mut two = Two::greeted(Hello::new("test"));
    assert!(two.server.is_unconfirmed());
    // The confirmation is sent alone, and calls made meanwhile follow it.
    two.call(&FILL);
    assert_eq!(two.client.poll_transmit(), confirm(Nonce::new(1).get()));
    two.up();
    assert!(!two.server.is_unconfirmed());
    assert_eq!(two.executed.len(), 1);
}

#[test]
fn what_waits_behind_the_confirmation_is_not_sent() {
    for is_taken in [false, true] {
        let mut two = Two::greeted(Hello::new("test"));
        two.call(&FILL);
        // Only the confirmation is handed out, and it is lost with the connection.
        let taken =
            if is_taken { two.client.swap_transmit(Vec::new()) } else { two.client.poll_transmit().to_vec() };
        assert_eq!(taken, confirm(Nonce::new(1).get()));
        two.client.handle_disconnected(if is_taken { taken } else { Vec::new() });
        (two.parked, two.instance) = (None, Id([9; 16]));
        two.accept();
        two.client.reconnect(false);
        (0..2).for_each(|_| two.round());
        assert!(matches!(&two.told[..], [Event::Resumed(Standing::StateLost, lost)] if lost.is_empty()));
        assert_eq!((two.client.done(), two.executed.len()), (1, 1), "it goes to the display that there is");
    }
}

#[test]
fn an_image_that_is_lent_goes_behind_the_confirmation() {
    let mut two = Two::greeted(Hello::new("test"));
    let image = vec![7; 400 << 10];
    let call = Request::PutImage { x: 0, y: 0, width: 256, height: 400, rgba: &image };
    let (_, mut lent) = two.client.call_lending(&call, two.now).unwrap();
    let mut sent = Vec::new();
    loop {
        let next: Vec<u8> =
            two.client.poll_transmit_lent(&lent).iter().flat_map(|slice| slice.to_vec()).collect();
        if next.is_empty() {
            break;
        }
        two.client.handle_transmitted_lent(&mut lent, next.len());
        sent.extend(next);
    }
    two.client.keep(lent);
    two.hear(&sent);
    let said = two.say();
    two.tell(&said).unwrap();
    assert_eq!((closing(&two), two.client.done(), two.executed.len()), (None, 1, 2));
}

#[test]
fn nothing_is_executed_or_believed_before_the_welcome_is_confirmed() {
    let right = Nonce::new(1).get();
    let fill = || Raw::request(1, "fill_rect").bytes(&[0x95, 0, 0, 1, 1, 1]).0;
    let first = [
        fill(),
        Raw::request(1, "get_pixel").bytes(&[0x92, 0, 0]).0,
        Raw::request(1, "no_such_method").bytes(&[0x90]).0,
        Raw::request(0, "hello").bytes(&[0x91, 0x80]).0,
        Raw::notification("clear").bytes(&[0x91, 1]).0,
        Raw::notification("ack").bytes(&[0x91, 0]).0,
        Raw::notification("end").bytes(&[0x90]).0,
        Raw::response(1).bytes(&[0xc0, 0xc0]).0,
        Raw::request(1, "confirm").bytes(&[0x91, 0xcf]).bytes(&right.to_be_bytes()).0,
        Raw::notification("clear").bytes(&[0x91, 0xcf]).bytes(&right.to_be_bytes()).0,
        Raw::notification("confirm").bytes(&[0x90]).0,
        Raw::notification("confirm").bytes(&[0x91, 0xc0]).0,
        Raw::notification("confirm").bytes(&[0xc0]).0,
        Raw::notification("confirm").bytes(&[0x91, 0x01]).0,
        Raw::notification("confirm").bytes(&[0x91, 0xff]).0,
        confirm(right + 1),
        confirm(0),
        confirm(u64::MAX),
    ];
    for first in first {
        let mut two = Two::greeted(Hello::new("test"));
        two.hear(&[&first[..], &confirm(right), &fill()].concat());
        assert_eq!((closing(&two), two.executed.len()), (Some(Code::Unconfirmed), 0), "{first:02x?}");
        let said = String::from_utf8_lossy(&two.say()).into_owned();
        assert!(said.contains("goodbye") && said.contains("unconfirmed"), "{said:?}");
        // The session waits for its client, which has lost nothing.
        two.call(&FILL);
        let _lost = two.send();
        two.reconnect();
        two.round();
        two.round();
        assert!(matches!(&two.told[..], [Event::Resumed(Standing::Resumed, lost)] if lost.is_empty()));
        assert_eq!((two.client.done(), two.executed.len()), (1, 1), "{first:02x?}");
    }
}

#[test]
fn a_confirmation_may_be_cut_anywhere_and_may_have_a_check() {
    for is_checked in [false, true] {
        let mut two = Two::greeted(Hello::new("test").with_checks(is_checked));
        two.call(&FILL);
        let sent = two.send();
        sent.iter().for_each(|byte| two.hear(&[*byte]));
        assert_eq!((closing(&two), two.executed.len()), (None, 1));
    }
    // A corrupted confirmation is handled as any corrupted message.
    let mut two = Two::greeted(Hello::new("test").with_checks(true));
    let mut sent = two.send();
    *sent.last_mut().unwrap() ^= 1;
    two.hear(&sent);
    assert_eq!(closing(&two), Some(Code::Corrupted));
}

#[test]
fn a_check_that_is_not_as_checks_are_is_corruption_before_the_confirmation_too() {
    for is_checked in [false, true] {
        let mut two = Two::greeted(Hello::new("test").with_checks(is_checked));
        two.hear(&Raw::notification("check").bytes(&[0x90]).0);
        assert_eq!((closing(&two), two.executed.len()), (Some(Code::Corrupted), 0));
    }
}

#[test]
fn a_confirmation_that_nobody_waits_for_is_a_notification_that_is_not_known() {
    let right = Nonce::new(1).get();
    let mut two = Two::greeted(Hello::new("test"));
    two.up();
    // Repeated, late, and with another number.
    for nonce in [right, right, 7] {
        two.hear(&confirm(nonce));
    }
    two.call(&FILL);
    two.round();
    assert_eq!((closing(&two), two.executed.len(), two.server.stats().malformed), (None, 1, 3));
    // From a client that does not confirm, and on a connection without a session.
    for hello in [Hello::new("test"), Hello::new("test").with_session(SESSION).with_confirmation(false)] {
        let mut server = two.accept_with(Some(Nonce::new(1)));
        let bytes = client::Connection::new(&hello).poll_transmit().to_vec();
        let mut input = &[bytes, confirm(right)].concat()[..];
        while !matches!(server.handle_input(&mut input, two.now), Step::Wait) {
            server.resume(&mut None);
        }
        assert!(server.closing().is_none() && server.standing().is_some() == hello.session.is_some());
        assert_eq!(server.stats().malformed, 1);
    }
}

/// Either side may be a version without confirmations.
#[test]
fn either_side_may_not_know_of_confirmations() {
    for (confirms, nonce) in [(true, None), (false, Some(Nonce::new(1))), (false, None)] {
        let mut two = Two::new();
        let hello = Hello::new("test").with_session(SESSION).with_confirmation(confirms);
        two.client = client::Connection::new(&hello);
        for attempt in 1..=3_u64 {
            two.server = two.accept_with(nonce);
            two.round();
            let welcome = two.client.welcome().expect("it is greeted");
            assert_eq!(welcome.nonce, None, "it was not asked for, or there is none");
            two.call(&FILL);
            two.round();
            assert_eq!((two.client.done(), two.executed.len() as u64), (attempt, attempt));
            two.reconnect();
        }
    }
}

/// A session continues when a version of the display with confirmations replaces one without.
#[test]
fn a_session_goes_on_when_the_display_learns_to_confirm() {
    let mut two = Two::new();
    two.client = client::Connection::new(&Hello::new("test").with_session(SESSION));
    two.server = two.accept_with(None);
    two.round();
    two.call(&FILL);
    two.round();
    two.reconnect();
    two.call(&FILL);
    (0..3).for_each(|_| two.round());
    assert!(two.client.welcome().is_some_and(|welcome| welcome.nonce.is_some()));
    assert!(
        matches!(&two.told[..], [Event::Welcome, Event::Resumed(Standing::Resumed, lost)] if lost.is_empty())
    );
    assert_eq!((two.client.done(), two.executed.len()), (2, 2));
}
