//! A client that reconnects: what it says of its session, and what it makes of each answer.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use crate::common::{Raw, SIZE, welcome};
use draw_protocol::client::{Connection, Ended, Event};
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Answer, Code, Color, DisplayName, Hello, Pixel, Request, Welcome, limits};
use serde::de::IgnoredAny;
use std::time::Instant;

const DRAW: Request<'_> = Request::Clear { color: Color::RED };
const QUESTION: Request<'_> = Request::GetPixel { x: 1, y: 1 };
const INSTANCE: Id = Id([8; 16]);

/// A client with a session, and the number of the last call made.
struct Client {
    machine: Connection,
    calls: u64,
}

impl Client {
    /// Begins a session on a display of the first boot, which takes `message` bytes in a message.
    fn begin(message: u32) -> Client {
        let machine = Connection::new(&Hello::new("test").with_session(Id([3; 16])));
        let mut client = Client { machine, calls: 0 };
        client.sent();
        let events = client.answered(Some(Standing::Fresh), Some(0), |welcome| welcome.message = message);
        assert!(matches!(&events.unwrap()[..], [Event::Welcome]));
        client
    }

    /// Makes five calls that draw. The display has executed and acknowledged two of them.
    fn with_five() -> Client {
        let mut client = Client::begin(limits::MESSAGE as u32);
        for _ in 0..5 {
            client.call(&DRAW);
        }
        client.sent();
        client.hear(&progress(2)).unwrap();
        assert_eq!((client.machine.done(), client.machine.in_flight()), (2, 3));
        client
    }

    fn call(&mut self, request: &Request<'_>) {
        self.calls = self.machine.call(request, Instant::now()).expect("there is credit");
    }

    /// Sends everything, and returns it.
    fn sent(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let bytes = self.machine.poll_transmit();
            if bytes.is_empty() {
                return all;
            }
            all.extend_from_slice(bytes);
            let sent = bytes.len();
            self.machine.handle_transmitted(sent);
        }
    }

    /// Returns the methods of what is sent, with the numbers of requests and 0 for notifications.
    fn methods(&mut self) -> Vec<(u64, String)> {
        let sent = self.sent();
        let (mut rest, mut found) = (&sent[..], Vec::new());
        while !rest.is_empty() {
            let (number, method) = if rest[0] == 0x94 {
                let (_, number, method, _): (u8, u64, String, IgnoredAny) =
                    rmp_serde::from_read(&mut rest).expect("a request");
                (number, method)
            } else {
                let (_, method, _): (u8, String, IgnoredAny) =
                    rmp_serde::from_read(&mut rest).expect("a notification");
                (0, method)
            };
            found.push((number, method));
        }
        found
    }

    /// Returns the numbers of the requests that are sent.
    fn numbers(&mut self) -> Vec<u64> {
        self.methods().into_iter().map(|(number, _)| number).filter(|&number| number > 0).collect()
    }

    fn hear(&mut self, bytes: &[u8]) -> Result<Vec<Event>, Ended> {
        let (mut rest, mut events) = (bytes, Vec::new());
        while let Some(event) = self.machine.handle_input(&mut rest, Instant::now())? {
            events.push(event);
        }
        Ok(events)
    }

    /// Loses the connection, and returns the `hello` of the next one.
    fn reconnect(&mut self, accepts_loss: bool) -> Hello {
        self.machine.handle_disconnected(Vec::new());
        self.machine.reconnect(accepts_loss);
        let sent = self.sent();
        let (_, _, _, (hello,)): (u8, u32, String, (Hello,)) = rmp_serde::from_slice(&sent).expect("a hello");
        hello
    }

    /// The display answers `hello`. The nonce is the number of the `hello`.
    fn answered(
        &mut self,
        standing: Option<Standing>,
        applied: Option<u64>,
        change: impl FnOnce(&mut Welcome),
    ) -> Result<Vec<Event>, Ended> {
        let bytes = welcome(SIZE, |welcome| {
            (welcome.session, welcome.applied) = (standing, applied);
            (welcome.nonce, welcome.instance, welcome.boot) = (Some(7), Some(INSTANCE), Some(1));
            change(welcome);
        });
        self.hear(&bytes)
    }

    /// The same, of a display that is as before.
    fn stands(&mut self, standing: Standing, applied: u64) -> Result<Vec<Event>, Ended> {
        self.answered(Some(standing), Some(applied), |_| ())
    }
}

fn progress(number: u32) -> Vec<u8> {
    Raw::notification("progress").bytes(&[0x91]).uint(number).0
}

fn answer(number: u32) -> Vec<u8> {
    Raw::response(number).bytes(&[0xc0]).uint(0xff).0
}

/// Returns the standing and the numbers of the lost calls of the only event.
fn resumed(events: Result<Vec<Event>, Ended>) -> (Standing, Vec<u64>) {
    match &events.expect("it is accepted")[..] {
        [Event::Resumed(standing, lost)] => (*standing, lost.iter().map(|call| call.number).collect()),
        other => panic!("{other:?}"),
    }
}

fn is_violation(events: Result<Vec<Event>, Ended>) -> bool {
    matches!(events, Err(Ended::Violation(_)))
}

#[test]
fn each_hello_says_what_is_known_of_the_session() {
    let mut client = Client::begin(limits::MESSAGE as u32);
    client.call(&DRAW);
    client.call(&QUESTION);
    client.sent();
    client.hear(&[progress(1), answer(2)].concat()).unwrap();
    client.call(&DRAW);
    client.sent();
    client.call(&DRAW);
    let hello = client.reconnect(false);
    assert_eq!((hello.attempt, hello.ack, hello.next), (2, 2, 4), "request 4 was not handed out");
    assert_eq!((hello.drew, hello.instance, hello.accepts_loss), (Some(1), Some(INSTANCE), false));
    assert_eq!((hello.born, hello.incarnation), (1, Some(7)));
    assert_eq!(resumed(client.stands(Standing::Resumed, 3)), (Standing::Resumed, vec![]));
    client.sent();
    client.hear(&progress(4)).unwrap();
    let hello = client.reconnect(true);
    assert_eq!((hello.attempt, hello.ack, hello.next, hello.drew), (3, 4, 5, None), "request 4 has drawn");
    assert_eq!((hello.accepts_loss, hello.born, hello.incarnation), (true, 1, Some(7)));
}

#[test]
fn a_session_is_resumed_behind_what_was_executed() {
    for applied in 0..=7 {
        let mut client = Client::with_five();
        client.reconnect(false);
        let events = client.stands(Standing::Resumed, applied);
        if !(2..=5).contains(&applied) {
            assert!(is_violation(events), "2 are done and 5 were sent, not {applied}");
            continue;
        }
        assert_eq!(resumed(events), (Standing::Resumed, vec![]));
        let sent = client.methods();
        assert_eq!(sent[0], (0, "confirm".to_owned()));
        assert!(sent[1..].iter().map(|(number, _)| *number).eq(applied + 1..=5), "{applied}: {sent:?}");
        assert!(!client.machine.is_restarted());
        // The session is the same one.
        let hello = client.reconnect(false);
        assert_eq!((hello.attempt, hello.born, hello.incarnation), (3, 1, Some(7)));
    }
}

#[test]
fn a_loss_that_is_accepted_sends_everything_again_that_is_not_done() {
    for applied in [0, 1, 3, 5] {
        let mut client = Client::with_five();
        client.reconnect(true);
        assert!(is_violation(client.stands(Standing::Regressed, applied)), "{applied}");
    }
    let mut client = Client::with_five();
    client.reconnect(true);
    assert_eq!(resumed(client.stands(Standing::Regressed, 2)), (Standing::Regressed, vec![]));
    assert_eq!(client.numbers(), [3, 4, 5]);
    let hello = client.reconnect(false);
    assert_eq!((hello.born, hello.incarnation), (1, Some(7)), "it is the same session");
    // That loss is over: from here it is an ordinary session.
    assert_eq!(resumed(client.stands(Standing::Resumed, 4)), (Standing::Resumed, vec![]));
    assert_eq!(client.numbers(), [5]);
}

#[test]
fn an_answer_that_is_lost_after_the_loss_was_accepted_does_not_hide_the_loss() {
    let mut client = Client::with_five();
    client.reconnect(true);
    client.reconnect(false);
    assert_eq!(resumed(client.stands(Standing::Resumed, 2)), (Standing::Regressed, vec![]));
    let mut client = Client::with_five();
    client.reconnect(true);
    client.reconnect(false);
    assert!(
        is_violation(client.stands(Standing::Resumed, 4)),
        "the loss left no more than what was acknowledged"
    );
}

#[test]
fn a_forgotten_session_gives_up_what_was_sent_and_begins_anew() {
    for standing in [Standing::Expired, Standing::StateLost] {
        for applied in [0, 2, 4, 6] {
            let mut client = Client::with_five();
            client.reconnect(false);
            assert!(is_violation(client.stands(standing, applied)), "{standing:?}, {applied}");
        }
        let mut client = Client::with_five();
        client.reconnect(false);
        // This one was not sent: it continues.
        client.call(&DRAW);
        let events = client.answered(Some(standing), Some(5), |welcome| {
            (welcome.nonce, welcome.boot) = (Some(9), Some(2));
        });
        assert_eq!(resumed(events), (standing, vec![3, 4, 5]));
        assert!(client.machine.is_restarted());
        assert_eq!((client.machine.done(), client.machine.in_flight()), (5, 1));
        assert_eq!(client.numbers(), [6]);
        let hello = client.reconnect(false);
        assert_eq!((hello.attempt, hello.born, hello.incarnation, hello.ack), (3, 2, Some(9), 5));
        // The display is the same one now.
        client.answered(Some(Standing::Resumed), Some(5), |welcome| welcome.boot = Some(2)).unwrap();
        assert!(!client.machine.is_restarted());
    }
}

#[test]
fn other_answers_to_a_hello_that_resumes_are_violations() {
    for (standing, applied) in [
        (None, Some(2)),
        (None, None),
        (Some(Standing::Fresh), Some(0)),
        (Some(Standing::Fresh), Some(2)),
        (Some(Standing::Resumed), None),
        (Some(Standing::Regressed), None),
        (Some(Standing::Expired), None),
    ] {
        let mut client = Client::with_five();
        client.reconnect(true);
        assert!(is_violation(client.answered(standing, applied, |_| ())), "{standing:?}, {applied:?}");
    }
}

/// A batch that travels as several requests, of which the display has lost the first.
#[test]
fn a_call_whose_beginning_may_be_lost_fails_and_others_do_not() {
    let pixels = vec![Pixel::at(1, 1, Color::RED); limits::BATCH + 1];
    for done in [0, 1, 2] {
        let mut client = Client::begin(limits::MESSAGE as u32);
        client.call(&Request::DrawPixels { pixels: (&pixels[..]).into() });
        client.call(&DRAW);
        assert_eq!(client.numbers().len(), 3, "the batch is two requests");
        client.hear(&progress(done)).unwrap();
        client.reconnect(true);
        assert_eq!(resumed(client.stands(Standing::Regressed, done.into())), (Standing::Regressed, vec![]));
        client.sent();
        let events = client.hear(&progress(3)).unwrap();
        match (&events[..], done) {
            ([], 0 | 2) => {}
            ([Event::Fault(call, fault)], 1) => {
                assert_eq!((call.number, &fault.code), (1, &Code::StateRegressed));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(client.machine.done(), 2);
    }
}

/// Calls that travel as several requests, of which the display has answered the first, and which are given up.
#[test]
fn nothing_is_left_of_a_call_that_is_given_up_in_the_middle() {
    let pixels = vec![Pixel::at(1, 1, Color::RED); limits::BATCH + 1];
    let mut client = Client::begin(limits::MESSAGE as u32);
    client.call(&Request::DrawPixels { pixels: (&pixels[..]).into() });
    client.sent();
    client.hear(&progress(1)).unwrap();
    client.reconnect(true);
    client.stands(Standing::Regressed, 1).unwrap();
    client.sent();
    client.reconnect(false);
    assert_eq!(resumed(client.stands(Standing::Expired, 2)), (Standing::Expired, vec![1]));
    client.call(&DRAW);
    client.sent();
    assert!(client.hear(&progress(3)).unwrap().is_empty(), "the next call has no part in the loss");
    assert_eq!(client.machine.done(), 2);

    let mut client = Client::begin(8_192);
    let image = Request::GetImage { x: 0, y: 0, width: 600, height: 6 };
    let half = |number: u32, value: u8| Raw::response(number).bytes(&[0xc0]).bin(&[value; 7_200]).0;
    client.call(&image);
    assert_eq!(client.numbers(), [1, 2], "the image is two requests");
    client.hear(&half(1, 1)).unwrap();
    client.reconnect(false);
    let events = client.answered(Some(Standing::StateLost), Some(2), |welcome| welcome.message = 8_192);
    assert_eq!(resumed(events), (Standing::StateLost, vec![1]));
    client.call(&image);
    assert_eq!(client.numbers(), [3, 4]);
    let events = client.hear(&[half(3, 3), half(4, 4)].concat()).unwrap();
    let [Event::Answer(call, Answer::Image(rgba))] = &events[..] else { panic!("{events:?}") };
    assert_eq!((call.number, &rgba[..]), (2, &[[3; 7_200], [4; 7_200]].concat()[..]));
}

/// The display that comes back takes less in a message than the one before.
#[test]
fn requests_that_are_too_large_for_the_next_display_fail_and_others_are_sent() {
    let image = |width: u32| vec![1; width as usize * 4];
    const PUT: &str = "put_image";
    const EMPTY: &str = "draw_pixels";
    let began = || {
        let mut client = Client::begin(8_192);
        assert_eq!(client.methods(), [(0, "confirm".to_owned())]);
        let sizes = [1_210, 1_211, 1_212, 1_300, 20].map(|width| {
            client.call(&Request::PutImage { x: 0, y: 0, width, height: 1, rgba: &image(width) });
            client.sent().len() as u32
        });
        assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
        client.reconnect(false);
        (client, sizes[1])
    };
    // What was executed before the display came back is not sent, so it does not fail.
    for (applied, sent, failed) in [
        (0, &[(0, "confirm"), (1, PUT), (2, PUT), (3, EMPTY), (4, EMPTY), (5, PUT)][..], &[3, 4][..]),
        (3, &[(0, "confirm"), (4, EMPTY), (5, PUT)], &[4]),
    ] {
        let (mut client, fits) = began();
        let events =
            client.answered(Some(Standing::Resumed), Some(applied), |welcome| welcome.message = fits);
        assert_eq!(resumed(events), (Standing::Resumed, vec![]));
        let found = client.methods();
        assert_eq!(found.iter().map(|(number, method)| (*number, &**method)).collect::<Vec<_>>(), sent);
        let found: Vec<_> = client
            .hear(&progress(5))
            .unwrap()
            .into_iter()
            .map(|event| match event {
                Event::Fault(call, fault) if fault.code == Code::TooLarge => call.number,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found, failed);
    }
    // A display that has lost everything again is sent everything again.
    let (mut client, fits) = began();
    client.stands(Standing::Resumed, 4).unwrap();
    client.reconnect(true);
    let events = client.answered(Some(Standing::Regressed), Some(0), |welcome| welcome.message = fits);
    assert_eq!(resumed(events), (Standing::Regressed, vec![]));
    assert_eq!(
        client.methods()[1..].iter().map(|(_, method)| &**method).collect::<Vec<_>>(),
        [PUT, PUT, EMPTY, EMPTY, PUT]
    );
}

#[test]
fn replies_are_acknowledged_once_there_are_enough_of_them() {
    let mut client = Client::begin(limits::MESSAGE as u32);
    let acknowledges = |client: &mut Client, number: u64, is_due: bool| {
        while client.calls < number {
            client.call(&DRAW);
        }
        client.sent();
        client.hear(&progress(number as u32)).unwrap();
        client.call(&DRAW);
        let sent = client.methods();
        assert_eq!(sent[0].1 == "ack", is_due, "{number}: {sent:?}");
        assert_eq!(sent.last().map(|(number, _)| *number), Some(number + 1), "the request follows");
    };
    let often = limits::ACK_CALLS;
    for (number, is_due) in [(often - 1, false), (often, true), (2 * often - 1, false), (2 * often, true)] {
        acknowledges(&mut client, number, is_due);
    }
    // A `hello` acknowledges too, so the count begins anew.
    acknowledges(&mut client, 3 * often - 2, false);
    client.reconnect(false);
    client.stands(Standing::Resumed, 3 * often - 2).unwrap();
    acknowledges(&mut client, 3 * often, false);
    acknowledges(&mut client, 4 * often - 3, false);
    acknowledges(&mut client, 4 * often - 2, true);
    // There is nothing to acknowledge without a session.
    let mut client = Client { machine: Connection::new(&Hello::new("test")), calls: 0 };
    client.sent();
    client.answered(None, None, |_| ()).unwrap();
    acknowledges(&mut client, 2 * often, false);
}

#[test]
fn answers_are_acknowledged_once_they_have_many_bytes() {
    // With the nil of no error and the head of the bytes, two answers have exactly as many bytes as are due.
    let large = Raw(vec![]).bin(&vec![0; limits::ACK_BYTES / 2 - 4]).0;
    assert_eq!(1 + large.len(), limits::ACK_BYTES / 2);
    let mut client = Client::begin(limits::MESSAGE as u32);
    let side = (limits::ACK_BYTES / 2 - 4) as u32 / 4;
    let asks = |client: &mut Client, number: u32, is_due: bool| {
        client.call(&Request::GetImage { x: 0, y: 0, width: side, height: 1 });
        let sent = client.methods();
        assert_eq!(sent[0].1 == "ack", is_due, "{number}: {sent:?}");
        let events = client.hear(&Raw::response(number).bytes(&[0xc0]).bytes(&large).0).unwrap();
        assert!(matches!(&events[..], [Event::Answer(_, Answer::Image(_))]), "{events:?}");
    };
    for (number, is_due) in [(1, false), (2, false), (3, true), (4, false), (5, true), (6, false)] {
        asks(&mut client, number, is_due);
    }
    // A `hello` acknowledges too, so the count begins anew.
    client.reconnect(false);
    client.stands(Standing::Resumed, 6).unwrap();
    client.sent();
    for (number, is_due) in [(7, false), (8, false), (9, true)] {
        asks(&mut client, number, is_due);
    }
}

#[test]
fn a_session_ends_with_all_calls_before_it() {
    let mut client = Client::begin(limits::MESSAGE as u32);
    // Joined pixels wait for others.
    client.call(&Request::DrawPixel { x: 1, y: 1, color: Color::RED });
    client.machine.end_session();
    let sent = client.methods();
    let methods: Vec<_> = sent.iter().map(|(_, method)| &**method).collect();
    assert_eq!(methods, ["confirm", "draw_pixel", "end"]);
    assert!(!client.machine.is_resumable());
    client.machine.end_session();
    assert_eq!(client.methods(), [], "it ends once");
    // Nothing is sent before the answer to `hello`.
    let mut client = Client::with_five();
    client.reconnect(false);
    client.machine.end_session();
    assert_eq!(client.methods(), []);
    assert!(client.machine.is_resumable());
}

#[test]
fn the_display_has_to_be_the_one_that_was_asked_for() {
    let plots: DisplayName = "plots".parse().unwrap();
    let greeted = |asked: Option<&DisplayName>, named: Option<&str>| {
        let hello = Hello::new("test").with_session(Id([3; 16])).with_display(asked.cloned());
        let mut client = Client { machine: Connection::new(&hello), calls: 0 };
        client.sent();
        let events = client
            .answered(Some(Standing::Fresh), Some(0), |welcome| welcome.display = named.map(Into::into));
        (events, client.machine.welcome().and_then(|welcome| welcome.display.clone()))
    };
    assert!(matches!(greeted(Some(&plots), None).0, Err(Ended::OneDisplay(_))));
    assert!(is_violation(greeted(Some(&plots), Some("main")).0));
    assert_eq!(greeted(Some(&plots), Some("plots")).1.as_deref(), Some("plots"));
    assert_eq!(greeted(None, Some("plots")).1.as_deref(), Some("plots"));
    // A name that no display can have is that of something else.
    assert!(matches!(greeted(Some(&plots), Some("Plots!")).0, Err(Ended::OneDisplay(_))));
    assert_eq!(greeted(None, Some("Plots!")).1, None);
}
