//! Flips every bit of a conversation, one at a time. With checksums the picture, the executed requests and the events
//! are the same as without the flip. The test runs only state machines, and a clock that moves when nothing else does.

mod common;

use common::display::Display;
use draw_protocol::client::{self, Ended, Event, Lent};
use draw_protocol::server::{self, Step};
use draw_protocol::session::{Id, Session, Standing};
use draw_protocol::{Answer, Code, Color, Fault, Hello, Pixel, Request, Size, limits};
use std::time::{Duration, Instant};

/// The bytes that each side has sent on one connection.
type Passed = [Vec<u8>; 2];
const UP: usize = 0;
const DOWN: usize = 1;

/// A bit of one direction of one connection.
#[derive(Debug, Clone, Copy)]
struct Flip {
    connection: usize,
    way: usize,
    bit: usize,
}

/// A step of a script. Each step ends when all calls are done.
enum Do {
    /// Makes these calls at once.
    Call(Vec<Request<'static>>),
    /// Sends an image without a copy.
    Lend(Request<'static>),
    /// Makes these calls, which are executed, and loses the connection before the answers arrive.
    LoseAnswersTo(Vec<Request<'static>>),
    /// Ends the display. Another process takes its place.
    Restart,
    /// Marks the position from which bits are flipped.
    Mark,
}

/// The outcome of a conversation.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    pixels: Vec<Color>,
    executed: Vec<(u64, String)>,
    told: Vec<(u64, String, Result<Answer, Fault>)>,
    done: u64,
}

/// A client and a display that lose their connection and reconnect.
struct Line {
    client: client::Connection,
    server: server::Connection,
    display: Display,
    parked: Option<Session>,
    lent: Lent<'static>,
    now: Instant,
    /// The deadline for the answer to the greeting.
    greeting: Option<Instant>,
    flips: Vec<Flip>,
    passed: Vec<Passed>,
    executed: Vec<(u64, String)>,
    told: Vec<(u64, String, Result<Answer, Fault>)>,
}

fn config(size: Size) -> server::Config {
    let mut config = common::config(size);
    (config.instance, config.has_journal) = (Some((Id([1; 16]), 1)), false);
    config
}

/// The time that a client waits for the answer to its greeting.
const PATIENCE: Duration = limits::CONNECT_TIMEOUT;

impl Line {
    fn new(size: Size, flips: Vec<Flip>) -> Line {
        let now = Instant::now();
        let hello = Hello::new("test").with_session(Id([3; 16])).with_checks(true);
        Line {
            client: client::Connection::new(&hello),
            server: server::Connection::new(config(size), now),
            display: Display::new(size),
            parked: None,
            lent: Lent::default(),
            now,
            greeting: Some(now + PATIENCE),
            flips,
            passed: vec![Passed::default()],
            executed: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Records the bytes sent, and returns them with the flips applied.
    fn pass(&mut self, way: usize, mut bytes: Vec<u8>) -> Vec<u8> {
        let connection = self.passed.len() - 1;
        let passed = &mut self.passed[connection][way];
        let before = passed.len();
        passed.extend_from_slice(&bytes);
        for flip in self.flips.iter().filter(|flip| (flip.connection, flip.way) == (connection, way)) {
            if let Some(byte) = (flip.bit / 8).checked_sub(before).and_then(|at| bytes.get_mut(at)) {
                *byte ^= 1 << (flip.bit % 8);
            }
        }
        bytes
    }

    /// Carries the client's output to the display. Returns whether there was any.
    fn up(&mut self) -> bool {
        let slices = self.client.poll_transmit_lent(&self.lent);
        let sent = slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
        self.client.handle_transmitted_lent(&mut self.lent, sent.len());
        let arrived = self.pass(UP, sent);
        let mut input = &arrived[..];
        loop {
            match self.server.handle_input(&mut input, self.now) {
                Step::Execute(request, stamp) => {
                    let number = stamp.expect("all of it is of the session").number;
                    self.executed.push((number, request.call().to_string()));
                    let result = self.display.apply(&request);
                    match result {
                        // A display that keeps no copy of the image answers this way.
                        Ok(Answer::Image(image)) => self.server.answer_image(image.len(), |out| {
                            out.extend_from_slice(&image);
                            Ok(())
                        }),
                        result => self.server.answer(result),
                    }
                }
                Step::Greet(_) => unreachable!("it has its display"),
                Step::Resume(_) => self.server.resume(&mut self.parked),
                Step::Continue => {}
                Step::Wait => break,
            }
        }
        !arrived.is_empty()
    }

    /// Carries the display's output to the client. Returns whether there was any.
    fn down(&mut self) -> bool {
        let said = self.server.poll_transmit(self.now).to_vec();
        self.server.handle_transmitted(said.len(), self.now);
        let arrived = self.pass(DOWN, said);
        self.hear(&arrived);
        !arrived.is_empty()
    }

    fn hear(&mut self, mut input: &[u8]) {
        loop {
            match self.client.handle_input(&mut input, self.now) {
                Ok(None) => break,
                Ok(Some(Event::Fault(made, fault))) => {
                    self.told.push((made.number, made.call.to_string(), Err(fault)));
                }
                Ok(Some(Event::Answer(made, answer))) => {
                    self.told.push((made.number, made.call.to_string(), Ok(answer)));
                }
                Ok(Some(Event::Resumed(standing, lost))) => {
                    assert!(
                        standing == Standing::Resumed && lost.is_empty(),
                        "{standing:?} without {lost:?}"
                    );
                    self.greeting = None;
                }
                Ok(Some(_)) => self.greeting = None,
                Err(Ended::Corrupted(_)) => return self.lose(),
                Err(ended) => panic!("the client gives up: {ended}"),
            }
        }
        if self.server.closing().is_some() && self.server.poll_transmit(self.now).is_empty() {
            let why = self.client.goodbye().map(|fault| &fault.code);
            // None if a flip made the goodbye seem longer than it is, or if the display did not know the client yet.
            assert!(matches!(why, None | Some(Code::Corrupted | Code::ShuttingDown)), "{why:?}");
            self.lose();
        }
    }

    /// Loses the connection and opens another.
    fn lose(&mut self) {
        assert!(self.passed.len() < 8, "it does not come to an end");
        self.client.keep(std::mem::take(&mut self.lent));
        self.client.handle_disconnected(Vec::new());
        self.parked = self.server.take_session().map(|(_, session)| session).or(self.parked.take());
        self.server = server::Connection::new(config(self.display.size), self.now);
        self.client.reconnect(false);
        self.greeting = Some(self.now + PATIENCE);
        self.passed.push(Passed::default());
    }

    /// Runs until all calls are done.
    fn settle(&mut self) {
        while self.client.in_flight() > 0 || self.greeting.is_some() {
            if self.up() | self.down() {
                continue;
            }
            let machines = [self.client.poll_timeout(), self.server.poll_timeout()];
            // With more than one flip, the greeting's deadline may be the only one.
            let greeting = self.greeting.filter(|_| self.flips.len() > 1 || machines != [None; 2]);
            let deadlines = machines.into_iter().chain([greeting]).flatten();
            self.now = deadlines.min().expect("nobody has noticed");
            self.server.handle_timeout(self.now);
            self.client.handle_timeout(self.now);
            let connection = self.passed.len();
            self.hear(&[]);
            if connection == self.passed.len() && self.greeting.is_some_and(|until| until <= self.now) {
                self.lose();
            }
        }
        self.client.keep(std::mem::take(&mut self.lent));
    }

    fn call(&mut self, calls: &[Request<'static>]) {
        calls.iter().for_each(|call| _ = self.client.call(call, self.now).expect("a valid call"));
    }
}

/// Runs the script. Returns the outcome, the bytes passed, and how many of them had passed at the mark.
fn run(size: Size, script: &[Do], flips: Vec<Flip>) -> (Outcome, Vec<Passed>, [usize; 2]) {
    let (mut line, mut mark) = (Line::new(size, flips), [0; 2]);
    line.settle();
    for step in script {
        match step {
            Do::Call(calls) => line.call(calls),
            Do::Lend(call) => {
                (_, line.lent) = line.client.call_lending(call, line.now).expect("a valid call");
            }
            Do::LoseAnswersTo(calls) => {
                line.call(calls);
                line.up();
                line.lose();
            }
            Do::Restart => {
                line.server.close(Fault::new(Code::ShuttingDown, "the display ends"));
                line.down();
            }
            Do::Mark => mark = [UP, DOWN].map(|way| line.passed[0][way].len()),
        }
        line.settle();
    }
    // Optional, and may get lost: it executes nothing.
    line.client.end_session();
    line.up();
    let Line { display, executed, told, client, passed, .. } = line;
    (Outcome { pixels: display.pixels, executed, told, done: client.done() }, passed, mark)
}

/// Flips every bit, one at a time. Returns the number of bits.
fn alter_each(size: Size, script: &[Do]) -> usize {
    let (wanted, passed, mark) = run(size, script, Vec::new());
    let mut count = 0;
    for (connection, passed) in passed.iter().enumerate() {
        for (way, bytes) in passed.iter().enumerate() {
            let first = if connection == 0 { mark[way] } else { 0 };
            for bit in first * 8..bytes.len() * 8 {
                let flip = Flip { connection, way, bit };
                let came = std::panic::catch_unwind(|| run(size, script, vec![flip]).0);
                assert_eq!(came.expect("no panic"), wanted, "{flip:?}");
                count += 1;
            }
        }
    }
    count
}

const SMALL: Size = Size { width: 16, height: 12 };

/// Returns a script with messages of every kind, on three connections.
fn everything() -> Vec<Do> {
    let add = |x| Request::AddPixel { x, y: 1, amount: 256 };
    let pixel = |x, y| Request::DrawPixel { x, y, color: Color::RED };
    const PIXELS: &[Pixel] = &[Pixel::new(1, 2, Color::RED), Pixel::new(90, 2, Color::BLUE)];
    const IMAGE: &[u8] = b"r\0\0\xffg\0\0\xffb\0\0\xffr\0\0\xffg\0\0\xffb\0\0\xff";
    let image = |x| Request::PutImage { x, y: 4, width: 3, height: 2, rgba: IMAGE };
    let read = Request::GetImage { x: 1, y: 1, width: 4, height: 5 };
    vec![
        Do::Call(vec![pixel(3, 3)]),
        // The first three are joined.
        Do::Call(vec![pixel(1, 1), pixel(2, 1), pixel(90, 1), add(1)]),
        Do::Call(vec![Request::DrawPixels { pixels: PIXELS.into() }, image(2), read]),
        Do::Lend(image(8)),
        Do::LoseAnswersTo(vec![add(1), Request::GetPixel { x: 1, y: 1 }, pixel(99, 0), add(2)]),
        Do::Call(vec![add(3), read]),
        Do::Restart,
        Do::Call(vec![add(4), Request::GetSize {}, Request::Sync {}]),
    ]
}

#[test]
fn no_bit_that_is_altered_changes_what_is_executed_or_told() {
    let (outcome, passed, _) = run(SMALL, &everything(), Vec::new());
    assert_eq!((passed.len(), outcome.executed.len(), outcome.done), (3, 16, 18));
    assert_eq!(outcome.told.len(), 8, "{:?}", outcome.told);
    let count = alter_each(SMALL, &everything());
    println!("{count} bits");
    assert!(count > 15_000, "{count} bits");
}

#[test]
fn no_bit_of_an_acknowledgement_does() {
    // The calls make an acknowledgement due, which is sent with the next call.
    let read = Request::GetImage { x: 0, y: 0, width: 128, height: 130 };
    let add = Request::AddPixel { x: 1, y: 1, amount: 256 };
    let script = [Do::Call(vec![read]), Do::Mark, Do::Call(vec![add]), Do::Call(vec![add])];
    let size = Size { width: 128, height: 130 };
    let (_, passed, mark) = run(size, &script, Vec::new());
    assert!(passed[0][UP][mark[UP]..].windows(4).any(|bytes| bytes == b"\xa3ack"));
    assert!(alter_each(size, &script) > 800);
}

#[test]
fn several_bits_do_no_more_than_one() {
    let script = everything();
    let (wanted, passed, _) = run(SMALL, &script, Vec::new());
    // Knuth's multiplicative generator.
    let mut chance = 4711_u64;
    let mut below = |n: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) as usize % n
    };
    for round in 0..3_000 {
        let flips: Vec<_> = (0..2 + below(3))
            .map(|_| {
                let (connection, way) = (below(passed.len()), below(2));
                Flip { connection, way, bit: below(passed[connection][way].len() * 8) }
            })
            .collect();
        let came = std::panic::catch_unwind(|| run(SMALL, &script, flips.clone()).0);
        assert_eq!(came.expect("no panic"), wanted, "round {round}: {flips:?}");
    }
}
