use crate::common::{Cuts, SMALL, checked, cuts};
use draw_protocol::client::{Connection, Event};
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Color, Hello, Pixel, Request, Scan, Welcome, limits};
use std::time::Instant;

/// Whatever a server sends, correct or not, and however it is cut, a client reports the same to its program. Each call
/// ends once, in order: as an event, as done, or as given up. What is done stays done, memory is bounded by the bytes
/// received, and an end is final. A report that goes backwards, or an answer to an answered call, ends the connection.
/// The first byte chooses the options agreed on; byte 0xc1, which cannot begin a message, stands for a lost connection.
pub fn client(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    let expected = play(first, bytes, Cuts::Whole);
    for cuts in cuts(bytes).into_iter().skip(1) {
        assert_eq!(play(first, bytes, cuts), expected, "{cuts:?}");
    }
    catch_lies(first, bytes);
}

/// Returns the answer of an honest display to the first greeting.
fn welcome(first: u8) -> Vec<u8> {
    let mut welcome = Welcome::new("fuzz", SMALL, limits::MESSAGE);
    if first & 2 > 0 {
        welcome.instance = Some(Id([7; 16]));
        (welcome.boot, welcome.session, welcome.applied) = (Some(1), Some(Standing::Fresh), Some(0));
    }
    // Limits so small that calls are split into parts.
    if first & 8 > 0 {
        (welcome.message, welcome.batch) = (300, 5);
    }
    let map = rmp_serde::to_vec_named(&welcome).expect("it has a form on the wire");
    [&b"\x94\x01\x00\xc0"[..], &map].concat()
}

/// Makes a call of each kind, as far as a display of this size grants it.
fn calls(client: &mut Connection, now: Instant) {
    let pixels: Vec<_> = (0..12).map(|n| Pixel::new(n, 9 + n, Color::RED)).collect();
    // More than the lowest limit that a display may grant takes in one request.
    let rgba = [1; 40 * 40 * 4];
    for request in [
        Request::DrawPixel { x: 1, y: 2, color: Color::RED },
        Request::DrawPixel { x: 2, y: 2, color: Color::RED },
        Request::DrawPixels { pixels: pixels[..].into() },
        Request::GetPixel { x: 1, y: 1 },
        Request::PutImage { x: 0, y: 0, width: 40, height: 40, rgba: &rgba },
        Request::GetImage { x: 0, y: 0, width: 16, height: 16 },
        Request::FillRect { x: 0, y: 0, width: 3, height: 3, color: Color::BLUE },
        Request::GetSize {},
        Request::GetMouse {},
        Request::GetDigest { x: 0, y: 0, width: 2, height: 2 },
        Request::Sync {},
        Request::DrawPixel { x: 3, y: 3, color: Color::RED },
    ] {
        // The call may be refused if it was not granted.
        _ = client.call(&request, now);
    }
}

/// Returns a client that has greeted and made its calls.
fn greeted(first: u8, hello: &Hello) -> Play {
    let mut play = Play::new(hello);
    play.client.poll_transmit();
    let welcome = welcome(first);
    play.hear(&if hello.checks { checked(&welcome) } else { welcome }, Cuts::Whole);
    assert_eq!(play.told, ["welcome", "0 done"]);
    calls(&mut play.client, play.now);
    play.client.poll_transmit();
    play
}

/// Returns the largest number of calls that may be done before a message, if the message names the request that it
/// answers or reports.
fn most_done_before(message: &[u8]) -> Option<u64> {
    type Anything = serde::de::IgnoredAny;
    let response = rmp_serde::from_slice::<(u8, u32, Anything, Anything)>(message);
    let report = rmp_serde::from_slice::<(u8, String, Vec<u64>)>(message);
    match (response, report) {
        (Ok((1, msgid, ..)), _) => Some(u64::from(msgid).saturating_sub(1)),
        (_, Ok((2, method, numbers))) if method == "progress" => numbers.first().copied(),
        _ => None,
    }
}

/// Checks message by message, for as many bytes as form messages.
fn catch_lies(first: u8, mut bytes: &[u8]) {
    // Greeted, without a session and without checks.
    let mut play = greeted(first & !6 | 1, &Hello::new("fuzz"));
    while let Ok(Some(end)) = Scan::default().run(bytes, limits::MESSAGE) {
        let (message, rest) = bytes.split_at(end);
        bytes = rest;
        let applied = play.client.applied();
        let is_lie = most_done_before(message).is_some_and(|most| applied > most);
        play.hear(message, Cuts::Whole);
        assert!(!is_lie || play.ended.is_some(), "believed behind {applied}: {message:02x?}");
        if play.ended.is_some() {
            return;
        }
    }
}

/// Returns everything that the client reports to the program, as comparable text.
fn play(first: u8, bytes: &[u8], cuts: Cuts) -> Vec<String> {
    let (has_session, has_checks, is_greeted) = (first & 2 > 0, first & 4 > 0, first & 1 > 0);
    let mut hello = Hello::new("fuzz").with_checks(has_checks);
    if has_session {
        hello = hello.with_session(Id([9; 16]));
    }
    let mut play = if is_greeted { greeted(first, &hello) } else { Play::new(&hello) };
    let with_checks = |bytes: &[u8]| if has_checks { checked(bytes) } else { bytes.to_vec() };
    for (n, part) in bytes.split(|&byte| byte == 0xc1).take(9).enumerate() {
        if n > 0 {
            play.client.handle_disconnected(Vec::new());
            play.client.reconnect(n % 2 == 0);
            play.client.poll_transmit();
            (play.ended, play.arrived) = (None, 0);
            play.told.push("lost".into());
        }
        play.hear(&with_checks(part), cuts);
    }
    play.give_up();
    play.told
}

struct Play {
    client: Connection,
    now: Instant,
    told: Vec<String>,
    /// The last call that an event reported.
    last: u64,
    ended: Option<String>,
    arrived: usize,
}

impl Play {
    fn new(hello: &Hello) -> Play {
        let (client, now) = (Connection::new(hello), Instant::now());
        Play { client, now, told: Vec::new(), last: 0, ended: None, arrived: 0 }
    }

    fn hear(&mut self, bytes: &[u8], cuts: Cuts) {
        let before = self.client.memory();
        for piece in cuts.pieces(bytes) {
            let mut input = piece;
            self.arrived += piece.len();
            loop {
                let done = self.client.done();
                let heard = self.client.handle_input(&mut input, self.now);
                assert!(self.client.done() >= done, "what is done stays done");
                match heard {
                    Ok(Some(event)) => self.tell(event),
                    Ok(None) => break assert!(input.is_empty() && self.ended.is_none()),
                    Err(ended) => {
                        let ended = format!("{ended:?}");
                        if self.ended.is_none() {
                            // The wording of the reason differs where only a part of the bytes is known.
                            self.told.push(ended.chars().take_while(char::is_ascii_alphabetic).collect());
                        }
                        break assert_eq!(
                            *self.ended.get_or_insert(ended.clone()),
                            ended,
                            "an end stays the end"
                        );
                    }
                }
            }
            // A welcome that refuses calls made for another display may cause them to be made again.
            let most = 2 * before + limits::IDLE_BUFFER + 4 * self.arrived + (16 << 10);
            assert!(self.client.memory() <= most, "{} bytes are held", self.client.memory());
        }
        self.told.push(format!("{} done", self.client.done()));
    }

    fn tell(&mut self, event: Event) {
        let number = match event {
            Event::Welcome => return self.told.push("welcome".into()),
            Event::Resumed(standing, lost) => {
                self.told.push(format!("{standing:?}"));
                for made in lost {
                    self.next(made.number);
                }
                return;
            }
            Event::Fault(made, fault) => {
                self.told.push(format!("{} {}: {fault}", made.number, made.call));
                made.number
            }
            Event::Answer(made, answer) => {
                assert!(made.call.method().has_answer(), "nothing answers a drawing call");
                self.told.push(format!("{} {}: {answer:?}", made.number, made.call));
                made.number
            }
            other => panic!("nobody knows this event: {other:?}"),
        };
        self.next(number);
        assert!(number <= self.client.done(), "what was told is done");
    }

    /// Checks that each call ends once, in order.
    fn next(&mut self, number: u64) {
        assert!(number > self.last && number <= self.client.last_call(), "{number} after {}", self.last);
        self.last = number;
    }

    fn give_up(&mut self) {
        let (done, last) = (self.client.done(), self.client.last_call());
        assert_eq!(self.client.in_flight(), last - done);
        let given_up = self.client.give_up();
        let lost: Vec<_> = given_up.begun.iter().chain(&given_up.unsent).map(|made| made.number).collect();
        assert_eq!(lost, (done + 1..=last).collect::<Vec<_>>());
        let again = self.client.give_up();
        assert!(again.begun.is_empty() && again.unsent.is_empty() && self.client.in_flight() == 0);
    }
}
