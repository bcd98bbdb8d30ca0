//! Sessions, one situation at a time, and requests that no honest client would send.

mod common;

use common::garbage::garbage;
use common::{Raw, SIZE, config};
use draw_protocol::client::{self, Ended, Event};
use draw_protocol::server::{self, Step};
use draw_protocol::session::{Claim, Id, Nonce, Peer, Session, Sessions, Standing, Verdict};
use draw_protocol::{Answer, Code, Color, Hello, Pixel, Pixels, Request, limits};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const SESSION: Id = Id([3; 16]);

/// A display that counts what it executes, and one client of it.
struct Two {
    client: client::Connection,
    server: server::Connection,
    /// The sessions of the display: there is one.
    parked: Option<Session>,
    instance: Id,
    /// Bytes that a message may have.
    message: usize,
    /// How many connections there were: each has a nonce of its own.
    connections: u64,
    executed: Vec<String>,
    told: Vec<Event>,
    now: Instant,
}

impl Two {
    fn new() -> Two {
        Two::with(Hello::new("test"))
    }

    /// A session that has begun, and its welcome is confirmed.
    fn with(hello: Hello) -> Two {
        let mut two = Two::greeted(hello);
        two.up();
        assert!(!two.server.is_unconfirmed());
        two
    }

    /// The client has heard the welcome, and said nothing more.
    fn greeted(hello: Hello) -> Two {
        let now = Instant::now();
        let mut two = Two {
            client: client::Connection::new(&hello.with_session(SESSION)),
            server: server::Connection::new(config(SIZE), now),
            parked: None,
            instance: Id([1; 16]),
            message: limits::MESSAGE,
            connections: 0,
            executed: Vec::new(),
            told: Vec::new(),
            now,
        };
        two.accept();
        two.round();
        assert!(matches!(two.told[..], [Event::Welcome]));
        two.told.clear();
        two
    }

    /// There is another connection at the server's end.
    fn accept(&mut self) {
        self.connections += 1;
        self.server = self.accept_with(Some(Nonce::new(self.connections)));
    }

    /// Another connection, with this nonce.
    fn accept_with(&self, nonce: Option<Nonce>) -> server::Connection {
        let mut config = config(SIZE);
        (config.instance, config.has_journal) = (Some((self.instance, 1)), false);
        (config.message, config.nonce) = (self.message, nonce);
        server::Connection::new(config, self.now)
    }

    /// What the client has to say, which may never arrive.
    fn send(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        while !self.client.poll_transmit().is_empty() {
            let next = self.client.poll_transmit().to_vec();
            self.client.handle_transmitted(next.len());
            sent.extend(next);
        }
        sent
    }

    /// The client's bytes reach the server, which executes them.
    fn up(&mut self) {
        let sent = self.send();
        self.hear(&sent);
    }

    fn hear(&mut self, bytes: &[u8]) {
        let mut input = bytes;
        loop {
            match self.server.handle_input(&mut input, self.now) {
                Step::Execute(request, _) => {
                    self.executed.push(request.call().to_string());
                    let answer = match request {
                        Request::GetPixel { .. } => Ok(Answer::Pixel(Color::RED)),
                        Request::Clear { .. } => Err(draw_protocol::Fault::new(Code::NoMemory, "not now")),
                        _ => Ok(Answer::Done(())),
                    };
                    self.server.answer(answer);
                }
                Step::Resume(_) => self.server.resume(&mut self.parked),
                Step::Continue => {}
                Step::Wait => return,
            }
        }
    }

    /// What the server has to say, which may never arrive.
    fn say(&mut self) -> Vec<u8> {
        let said = self.server.poll_transmit(self.now).to_vec();
        self.server.handle_transmitted(said.len(), self.now);
        said
    }

    fn tell(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let mut input = bytes;
        while let Some(event) = self.client.handle_input(&mut input, self.now)? {
            self.told.push(event);
        }
        Ok(())
    }

    fn round(&mut self) {
        self.up();
        let said = self.say();
        self.tell(&said).expect("an honest server");
    }

    fn call(&mut self, request: &Request<'_>) {
        self.client.call(request, self.now).expect("a valid call");
    }

    /// The connection is lost, both ends know it, and there is another.
    fn reconnect(&mut self) {
        self.client.handle_disconnected(Vec::new());
        self.parked = self.server.take_session().map(|(_, session)| session).or(self.parked.take());
        self.accept();
        self.client.reconnect(false);
    }
}

const CLEAR: Request<'static> = Request::Clear { color: Color::RED };
const FILL: Request<'static> = Request::FillRect { x: 0, y: 0, width: 1, height: 1, color: Color::RED };
const ASK: Request<'static> = Request::GetPixel { x: 0, y: 0 };

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
    // It is reported by the goodbye of the connection that is superseded, and that still arrives.
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
    // An acknowledgement is due, and goes with the next call: this is none.
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
    // It is resumed after 3, and before that is reported the display is restarted, with what it had on disk: nothing.
    let mut older = Vec::new();
    two.up();
    let said = two.say();
    let welcome =
        said.len() - said.windows(8).rev().position(|w| w == b"progress").expect("progress") - 8 - 3;
    two.tell(&said[..welcome]).unwrap();
    assert!(matches!(&two.told[..], [Event::Resumed(Standing::Resumed, _)]), "{:?}", two.told);
    assert_eq!(two.client.done(), 0);
    two.server.session_state().expect("it goes on").encode(&mut older);
    // Version, flag, born and attempt stay; nothing was acknowledged, executed or drawn, and no response is kept.
    older.truncate(18);
    older.extend([0; 32]);
    two.reconnect();
    two.parked = Some(Session::decode(&older).expect("a session"));
    two.executed.clear();
    two.round();
    two.round();
    assert_eq!((two.client.done(), two.executed.len()), (3, 3), "{:?}", two.server.closing());
}

/// Another display in its place, and the same one with other options.
#[test]
fn what_is_too_large_for_the_display_that_there_is_now_fails_and_the_rest_goes_on() {
    for (is_other, is_checked) in [(true, false), (false, false), (true, true), (false, true)] {
        let mut two = Two::with(Hello::new("test").with_checks(is_checked));
        two.call(&FILL);
        two.round();
        two.client.handle_disconnected(Vec::new());
        let image = vec![9; 100 * 100 * 4];
        let pixels = vec![Pixel::new(1, 1, Color::RED); 3_000];
        let band = |rows| Request::PutImage {
            x: 0,
            y: 0,
            width: 100,
            height: rows,
            rgba: &image[..400 * rows as usize],
        };
        two.call(&band(100));
        two.call(&FILL);
        two.call(&Request::DrawPixels { pixels: (&pixels[..]).into() });
        two.call(&band(10));
        two.call(&ASK);
        // These wait to travel together.
        for x in 0..2_000 {
            two.call(&Request::DrawPixel { x, y: 700, color: Color::RED });
        }
        two.message = 8_000;
        if is_other {
            two.instance = Id([2; 16]);
            two.parked = None;
        } else {
            two.parked = two.server.take_session().map(|(_, session)| session);
        }
        two.accept();
        two.client.reconnect(false);
        for _ in 0..4 {
            two.round();
        }
        assert_eq!(two.client.done(), 2_006, "{:?}", two.server.closing());
        let executed: Vec<_> = two.executed[1..].iter().map(|call| call.split_once('(').unwrap().0).collect();
        // Those that are refused draw nothing.
        assert_eq!(
            executed,
            ["draw_pixels", "fill_rect", "draw_pixels", "put_image", "get_pixel", "draw_pixels"]
        );
        let nothing = two.executed.iter().filter(|call| *call == "draw_pixels(0 pixels)").count();
        assert_eq!(nothing, 3, "{:?}", two.executed);
        let faults: Vec<_> = two
            .told
            .iter()
            .filter_map(|event| match event {
                Event::Fault(made, fault) => Some((made.number, fault.clone())),
                _ => None,
            })
            .collect();
        let numbers: Vec<_> = faults.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [2, 4].into_iter().chain(7..=2_006).collect::<Vec<_>>());
        let (_, fault) = &faults[0];
        assert_eq!(
            fault.to_string(),
            "too_large: it has 40021 bytes, made for another display; the limit of a message is now 8000"
        );
        assert!(faults.iter().all(|(_, fault)| fault.code == Code::TooLarge));
        // What comes now is cut as this display wants it.
        two.call(&band(100));
        two.round();
        assert_eq!(two.client.done(), 2_007, "{:?}", two.told.last());
    }
}

#[test]
fn what_was_handed_out_counts_as_sent() {
    let mut two = Two::new();
    two.call(&FILL);
    let handed_out = two.client.poll_transmit().to_vec();
    two.hear(&handed_out);
    // The write failed, so nobody says how much of it was sent; and the display is another then.
    two.reconnect();
    (two.parked, two.instance) = (None, Id([9; 16]));
    two.accept();
    two.round();
    two.round();
    assert_eq!(two.executed.len(), 1, "it is not executed there as well");
    let [Event::Resumed(Standing::StateLost, lost)] = &two.told[..] else { panic!("{:?}", two.told) };
    assert_eq!(lost.len(), 1);
}

#[test]
fn an_image_of_which_only_the_first_bands_were_sent_is_not_drawn_on_without_them() {
    let mut two = Two::new();
    assert!(two.client.swap_transmit(Vec::new()).is_empty());
    let image = vec![9; 640 * 480 * 4];
    two.call(&Request::PutImage { x: 0, y: 0, width: 640, height: 480, rgba: &image });
    two.call(&FILL);
    // All that was handed out is executed, and the display says so.
    let buffer = two.client.swap_transmit(Vec::new());
    two.hear(&buffer);
    let said = two.say();
    two.tell(&said).expect("an honest server");
    let bands = two.executed.len();
    assert!((1..5).contains(&bands) && two.client.done() == 0, "{:?}", two.executed);
    // There is another display, which has nothing of the image.
    two.client.handle_disconnected(buffer);
    (two.parked, two.instance) = (None, Id([9; 16]));
    two.accept();
    two.client.reconnect(false);
    two.round();
    two.round();
    let [Event::Resumed(Standing::StateLost, lost)] = &two.told[..] else { panic!("{:?}", two.told) };
    assert_eq!(lost.iter().map(|made| made.number).collect::<Vec<_>>(), [1]);
    assert_eq!(two.executed[bands..], [FILL.call().to_string()]);
    assert_eq!((two.client.done(), two.client.in_flight()), (2, 0));
}

#[test]
fn a_buffer_may_be_sent_in_parts_of_any_length() {
    let pixels = vec![Pixel::new(1, 1, Color::RED); 3_000];
    let batch = Request::DrawPixels { pixels: Pixels::from(&pixels[..]) };
    for part in [1, 1_000, 65_535, 65_536, 65_537, 100_000, 144_000] {
        let mut two = Two::new();
        (0..6).for_each(|_| two.call(&batch));
        let first = two.client.poll_transmit()[..part].to_vec();
        two.client.handle_transmitted(part);
        two.hear(&first);
        two.reconnect();
        two.round();
        two.round();
        assert_eq!((two.client.done(), two.executed.len()), (6, 6), "{part}: {:?}", two.server.closing());
    }
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
    // The last was let through and not answered, so it is not executed.
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

/// What a client sends that confirms the welcome with this number.
fn confirm(nonce: u64) -> Vec<u8> {
    let mut bytes = Raw::notification("confirm").bytes(&[0x91, 0xcf]).0;
    bytes.extend(nonce.to_be_bytes());
    bytes
}

fn closing(two: &Two) -> Option<Code> {
    two.server.closing().map(|fault| fault.code.clone())
}

#[test]
fn the_first_thing_a_client_says_in_its_session_is_the_number_of_the_welcome() {
    let mut two = Two::greeted(Hello::new("test"));
    assert!(two.server.is_unconfirmed());
    // It goes alone, and what was called meanwhile goes behind it.
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
        // The confirmation is all that is handed out, and the connection is lost with it.
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
        // The session waits for its client, which has noticed nothing yet and has been robbed of nothing.
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
    // Altered on its way it is no worse than anything else.
    let mut two = Two::greeted(Hello::new("test").with_checks(true));
    let mut sent = two.send();
    *sent.last_mut().unwrap() ^= 1;
    two.hear(&sent);
    assert_eq!(closing(&two), Some(Code::Corrupted));
}

#[test]
fn a_confirmation_that_nobody_waits_for_is_a_notification_that_is_not_known() {
    let right = Nonce::new(1).get();
    let mut two = Two::greeted(Hello::new("test"));
    two.up();
    // Twice, late, and with another number.
    for nonce in [right, right, 7] {
        two.hear(&confirm(nonce));
    }
    two.call(&FILL);
    two.round();
    assert_eq!((closing(&two), two.executed.len(), two.server.stats().malformed), (None, 1, 3));
    // Unasked, by a client that has not promised any, and on a connection without a session.
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

/// A client of before, and a display of before.
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

/// A display that is replaced by a later version, or an earlier one, which both know the session from the journal.
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

/// The bytes of a connection, from its greeting on, arrive again: at any time, on a display that knows the session, has ended or
/// forgotten it, or is another.
#[test]
fn a_copy_of_a_connection_is_never_executed() {
    let ends = [Standing::Resumed, Standing::Fresh, Standing::Expired, Standing::StateLost];
    for (end, confirms) in ends.into_iter().flat_map(|end| [(end, true), (end, false)]) {
        let mut two = Two::new();
        two.client =
            client::Connection::new(&Hello::new("test").with_session(SESSION).with_confirmation(confirms));
        two.accept();
        let mut copy = two.send();
        two.hear(&copy);
        let welcome = two.say();
        two.tell(&welcome).unwrap();
        two.call(&FILL);
        for _ in 0..2 {
            let sent = two.send();
            two.hear(&sent);
            copy.extend(sent);
        }
        assert_eq!(two.executed.len(), 1);
        // What the display has of it in a table, as it is when the copy arrives.
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
            // Of that one a display cannot know: it was another.
            (Standing::StateLost, false) => None,
            (Standing::Resumed, _) | (_, false) => Some(Code::Superseded),
            (_, true) => Some(Code::Unconfirmed),
        };
        assert_eq!(closing(&two), code, "{end:?}, {confirms}");
    }
}

/// After the lease a copy of the first greeting begins a session like the real one. The client that comes back then is not told that
/// it is resumed: what it had done there would be executed once more.
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
    // The lease is over, and the copy comes.
    (two.parked, _) = (None, two.server.take_session());
    two.accept();
    two.hear(&greeting);
    two.reconnect();
    (0..3).for_each(|_| two.round());
    let [Event::Welcome, Event::Resumed(standing, lost)] = &two.told[..] else { panic!("{:?}", two.told) };
    assert_eq!((*standing, lost.len(), two.executed.len()), (Standing::Expired, 1, 1));
}

/// What somebody sends who does not keep to any rule.
#[derive(Debug, Clone)]
enum Wild {
    Request(u64),
    Changed(u64),
    Ack(u64),
    End,
    Hello,
    Bytes(Vec<u8>),
}

fn wild() -> impl Strategy<Value = Wild> {
    let number = || prop_oneof![6 => 0..12_u64, 1 => any::<u64>(), 1 => 131_060..131_090_u64];
    prop_oneof![
        20 => number().prop_map(Wild::Request),
        1 => number().prop_map(Wild::Changed),
        4 => number().prop_map(Wild::Ack),
        1 => Just(Wild::End),
        1 => Just(Wild::Hello),
        1 => garbage().prop_map(Wild::Bytes),
    ]
}

impl Wild {
    /// Its bytes, its numbers counted from `start`.
    fn bytes(&self, start: u64) -> Vec<u8> {
        let fill = |number: u64, color: u32| {
            let number = start.wrapping_add(number);
            Raw::request(number as u32, "clear").bytes(&[0x91]).uint(color).0
        };
        match self {
            Wild::Request(number) => fill(*number, *number as u32),
            Wild::Changed(number) => fill(*number, !(*number as u32)),
            Wild::Ack(ack) => {
                let mut bytes = Raw::notification("ack").bytes(&[0x91, 0xcf]).0;
                bytes.extend(start.wrapping_add(*ack).to_be_bytes());
                bytes
            }
            Wild::End => Raw::notification("end").bytes(&[0x90]).0,
            Wild::Hello => hello(start, 1),
            Wild::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// The first greeting of a session whose next request is the one after `start`.
fn hello(start: u64, attempt: u64) -> Vec<u8> {
    let mut hello = Hello::new("wild").with_session(SESSION);
    (hello.next, hello.ack, hello.attempt) = (start + 1, start, attempt);
    client::Connection::new(&hello).poll_transmit().to_vec()
}

proptest! {
    #[test]
    fn nothing_is_executed_twice_whatever_is_sent(
        start in prop_oneof![Just(0), Just((1_u64 << 32) - 3), Just(u64::MAX - 4), any::<u64>()],
        sent in prop::collection::vec(wild(), 1..60),
        step in 1..40_usize,
    ) {
        let start = start.min(u64::MAX - 1);
        let now = Instant::now();
        let mut config = config(SIZE);
        (config.instance, config.has_journal) = (Some((Id([1; 16]), 1)), false);
        let mut server = server::Connection::new(config, now);
        let mut bytes = hello(start, 1);
        sent.iter().for_each(|wild| bytes.extend(wild.bytes(start)));
        let mut executed = Vec::new();
        for piece in bytes.chunks(step) {
            let mut input = piece;
            loop {
                match server.handle_input(&mut input, now) {
                    Step::Execute(request, _) => {
                        executed.push(request.call().to_string());
                        let is_question = request.method().is_question();
                        let wrong = draw_protocol::Fault::new(Code::NoMemory, "no");
                        server.answer(if is_question { Err(wrong) } else { Ok(Answer::Done(())) });
                    }
                    Step::Resume(_) => server.resume(&mut None),
                    Step::Continue => {}
                    Step::Wait => break,
                }
            }
            let said = server.poll_transmit(now).len();
            server.handle_transmitted(said, now);
            if let Some(state) = server.session_state() {
                prop_assert!(state.filter().ack() <= state.filter().applied());
                prop_assert!(state.memory() < 64 << 10);
            }
        }
        // Of the requests with numbers only those count that came in order, each once.
        let numbered = executed.iter().filter(|call| call.starts_with("clear")).count() as u64;
        let state = server.session_state().expect("it began with one");
        prop_assert!(numbered <= state.filter().applied() - start, "{executed:?}");
        if !sent.iter().any(|wild| matches!(wild, Wild::Bytes(_) | Wild::Changed(_))) {
            let wanted: Vec<_> = (1..=numbered).map(|n| format!("clear({})", Color::from_u32(n as u32))).collect();
            prop_assert_eq!(executed, wanted);
        }
        // Without its session it executes nothing more.
        let taken = server.take_session();
        prop_assert!(taken.is_some() && server.take_session().is_none());
        prop_assert!(matches!(server.handle_input(&mut &Wild::Request(1).bytes(start)[..], now), Step::Wait));
    }
}
