//! Limits of a server on the number of errors and on slow writers and readers. The tests move the clock.

mod common;

use common::{Host, Raw, SIZE, config, plain_faults};
use draw_protocol::server::Config;
use draw_protocol::{Code, Fault, Size, limits};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);
const SYNC: &[u8] = b"\x94\x00\x01\xa4sync\x90";

fn unknown(msgid: u32) -> Vec<u8> {
    Raw::request(msgid, "x").bytes(&[0x90]).0
}

#[test]
fn a_thousand_malformed_requests_are_borne_and_one_more_is_not() {
    for host in [Host::new(SIZE), Host::new(SIZE).greeted()] {
        let mut host = host;
        let mut said = Vec::new();
        for n in 1..=1001 {
            assert!(host.server.closing().is_none(), "after {n}");
            said = host.ask(&unknown(n));
        }
        let why = host.server.closing().expect("it closes").to_string();
        assert_eq!(why, "too_many_errors: more than 1000 malformed requests and 33 a second");
        assert!(String::from_utf8_lossy(&said).contains("too_many_errors"), "it says why");
        assert_eq!((host.hear(SYNC), host.say()), (0, vec![]));
    }
}

#[test]
fn malformed_requests_become_bearable_again_with_time() {
    let mut host = Host::new(SIZE);
    host.ask(&(1..=1000).flat_map(unknown).collect::<Vec<_>>());
    for _ in 0..3 {
        host.pass(SECOND);
        assert_eq!(plain_faults(&host.ask(&(1..=33).flat_map(unknown).collect::<Vec<_>>())).len(), 33);
        assert!(host.server.closing().is_none());
    }
    // After a long pause the limit is again a thousand, and no more.
    host.pass(1000 * SECOND);
    host.ask(&(1..=1000).flat_map(unknown).collect::<Vec<_>>());
    assert!(host.server.closing().is_none());
    host.ask(&unknown(1));
    assert_eq!(host.server.closing().map(|fault| &fault.code), Some(&Code::TooManyErrors));
}

#[test]
fn faults_of_drawing_are_never_too_many() {
    let mut host = Host::new(SIZE);
    let outside = Raw::request(1, "get_pixel").bytes(&[0x92, 0xff, 0xff]).0;
    assert_eq!(plain_faults(&host.ask(&outside.repeat(5000))).len(), 5000);
    assert_eq!((host.server.stats().faults, host.server.stats().malformed), (5000, 0));
    assert!(host.server.closing().is_none());
}

#[test]
fn other_messages_that_nobody_can_execute_count_too() {
    for message in [&b"\x93\x02\xa1x\x90"[..], b"\x94\x01\x07\xc0\xc0", b"\x94\x00\x00\xa5hello\x90"] {
        let mut host = Host::new(SIZE);
        host.ask(&message.repeat(1000));
        assert!(host.server.closing().is_none());
        host.ask(message);
        assert_eq!(host.server.closing().map(|fault| &fault.code), Some(&Code::TooManyErrors));
    }
}

#[test]
fn an_idle_connection_has_no_deadline() {
    let mut host = Host::new(SIZE);
    assert_eq!(host.server.poll_timeout(), None);
    host.ask(SYNC);
    assert_eq!(host.server.poll_timeout(), None);
    host.pass(1_000_000 * SECOND);
    assert!(host.server.closing().is_none());
}

#[test]
fn a_message_that_is_begun_must_be_finished() {
    let mut host = Host::new(SIZE);
    host.hear(&SYNC[..3]);
    assert_eq!(host.server.poll_timeout(), Some(host.now + 5 * SECOND));
    host.pass(5 * SECOND - MILLISECOND);
    assert!(host.server.closing().is_none());
    host.pass(MILLISECOND);
    let why = host.server.closing().expect("it closes").to_string();
    assert!(
        why.starts_with("too_slow: a message was begun and not finished: 3 bytes came within 5 s"),
        "{why}"
    );
    assert_eq!(plain_faults(&host.say()), [(1, why)]);
    assert_eq!((host.hear(&SYNC[3..]), host.server.poll_timeout()), (0, None));
}

#[test]
fn one_byte_a_second_does_not_move_the_deadline() {
    let mut host = Host::new(SIZE);
    let began = host.now;
    for byte in SYNC.chunks(1) {
        host.hear(byte);
        host.pass(SECOND);
    }
    assert_eq!(host.server.closing().map(|fault| &fault.code), Some(&Code::TooSlow));
    assert!(host.now - began >= 5 * SECOND);
    assert_eq!(host.server.stats().executed, 0);
}

#[test]
fn a_long_message_has_longer_as_it_arrives() {
    let mut host = Host::new(SIZE);
    let began = host.now;
    host.hear(&Raw::request(1, "draw_pixels").bytes(&[0x91, 0xc6, 0, 8, 0, 0]).0);
    let pieces = 20;
    for _ in 0..pieces {
        host.hear(&[0; 24 << 10]);
        host.pass(SECOND / 3);
    }
    assert!(
        host.now - began > 5 * SECOND && host.server.closing().is_none(),
        "24 KiB every third of a second"
    );
    host.hear(&[0; (512 - 24 * 20) << 10]);
    assert_eq!(host.say(), [0x94, 1, 1, 0xc0, 0xc0]);
    assert_eq!(host.server.poll_timeout(), None);
    // A larger announced length does not extend the deadline while nothing arrives.
    host.hear(&Raw::request(2, "draw_pixels").bytes(&[0x91, 0xc6, 0, 8, 0, 0]).0);
    host.pass(5 * SECOND + MILLISECOND);
    assert_eq!(host.server.closing().map(|fault| &fault.code), Some(&Code::TooSlow));
}

#[test]
fn a_reader_that_takes_nothing_is_closed_and_one_that_takes_a_byte_is_not() {
    let mut host = Host::new(SIZE);
    host.hear(SYNC);
    host.server.poll_transmit(host.now);
    assert_eq!(host.server.poll_timeout(), Some(host.now + 30 * SECOND));
    for _ in 0..4 {
        host.pass(29 * SECOND);
        host.server.handle_transmitted(1, host.now);
        assert!(host.server.closing().is_none());
    }
    // Transmitting 0 bytes is not progress.
    host.pass(29 * SECOND);
    host.server.handle_transmitted(0, host.now);
    host.server.poll_transmit(host.now);
    host.pass(SECOND);
    let why = host.server.closing().expect("it closes").to_string();
    assert_eq!(why, "too_slow: the client has not read its answers for 30 s, 1 bytes wait");
}

#[test]
fn execution_stops_while_a_mebibyte_is_unsent_and_goes_on_afterwards() {
    let mut host = Host::new(Size { width: 500, height: 200 });
    let ask = Raw::request(1, "get_image").bytes(&[0x94, 0, 0, 0xcd, 1, 0xf4, 0xcc, 200]).0;
    let all = ask.repeat(10);
    let taken = host.hear(&all);
    assert_eq!((taken, host.server.stats().executed), (3 * ask.len(), 3), "three answers of 400,000 bytes");
    assert!(!host.server.wants_input() && host.server.body().is_none());
    assert_eq!(host.hear(&all[taken..]), 0);
    let said = host.server.poll_transmit(host.now).len();
    // The reader takes slightly more than the excess over the limit, so one more answer fits.
    host.server.handle_transmitted(said - limits::UNSENT + 1, host.now);
    assert!(host.server.wants_input());
    assert_eq!(host.hear(&all[taken..]), ask.len());
    let mut taken = 4 * ask.len();
    while taken < all.len() {
        host.say();
        taken += host.hear(&all[taken..]);
    }
    assert_eq!(host.server.stats().executed, 10);
}

#[test]
fn time_in_which_the_server_did_not_read_is_not_held_against_the_writer() {
    // The answer is 3 bytes below the limit, so the acknowledgement of the draw after it exceeds the limit.
    let mut host = Host::new(Size { width: (limits::UNSENT as u32 - 12) / 4, height: 1 }).greeted();
    let width = rmp_serde::to_vec(&host.display.size.width).unwrap();
    host.hear(&Raw::request(1, "get_image").bytes(&[0x94, 0, 0]).bytes(&width).bytes(&[1]).0);
    host.hear(&Raw::request(2, "clear").bytes(&[0x91, 0]).0);
    let sync = Raw::request(3, "sync").bytes(&[0x90]).0;
    assert_eq!(host.hear(&sync[..5]), 5, "a third request has begun");
    assert_eq!(host.server.poll_transmit(host.now).len(), limits::UNSENT - 3 + 13);
    assert!(!host.server.wants_input());
    host.pass(20 * SECOND);
    assert!(host.server.closing().is_none(), "it could not finish: nothing was read");
    host.say();
    assert_eq!(host.server.poll_timeout(), Some(host.now + 5 * SECOND));
    assert_eq!(host.ask(&sync[5..]), [0x94, 1, 3, 0xc0, 0xc0]);
}

#[test]
fn a_reader_that_is_always_a_little_behind_costs_no_more_memory() {
    let mut host = Host::new(Size { width: 250, height: 200 });
    let ask = Raw::request(1, "get_image").bytes(&[0x94, 0, 0, 0xcc, 250, 0xcc, 200]).0;
    host.hear(&ask);
    for round in 0..200 {
        host.hear(&ask);
        // The reader takes one of two answers, and at least half an answer remains.
        let unsent = host.server.poll_transmit(host.now).len();
        host.server.handle_transmitted(unsent - 100_000, host.now);
        assert!(host.server.memory() < 4 << 20, "{} bytes in round {round}", host.server.memory());
    }
    assert_eq!(host.server.stats().executed, 201);
}

#[test]
fn a_display_that_ends_says_goodbye_to_those_who_greeted() {
    let ends = || Fault::new(Code::ShuttingDown, "the display ends");
    let mut host = Host::with(Config { message: 1 << 20, ..config(SIZE) }).greeted();
    host.hear(SYNC);
    host.server.close(ends());
    let want = b"\x94\x01\x01\xc0\xc0\x93\x02\xa7goodbye\x91\x82\xa4code\xadshutting_down\xa7message\xb0the display ends";
    assert_eq!(host.say(), want);
    host.server.close(Fault::new(Code::TooSlow, "another reason"));
    assert_eq!((host.say(), host.server.closing()), (vec![], Some(&ends())), "once");
    let mut host = Host::new(SIZE);
    host.ask(SYNC);
    host.server.close(ends());
    assert_eq!(host.say(), [], "a plain client is sent nothing unasked");
}
