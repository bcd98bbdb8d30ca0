//! A client as a separate process that can be killed: this test program, started again.

use crate::history::{Answer, CELLS, Call, Made, Pen};
use crate::processes::{Dice, PATIENCE};
use draw_client::blocking::{Display, Pipeline, Reply};
use draw_client::{Code, Color, ConnectOptions, Error, LateError, Outcome, Pixel, Result};
use std::collections::VecDeque;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Environment variables: the number of the life, the path of its history, the address of the display, and the last
/// row, where all clients count in one cell.
const LIFE: &str = "UNKILLABLE_LIFE";
const HISTORY: &str = "UNKILLABLE_HISTORY";
const ADDRESS: &str = "UNKILLABLE_ADDRESS";
const LAST_ROW: &str = "UNKILLABLE_LAST_ROW";
/// The timeout of a call in milliseconds.
const TIMEOUT: &str = "UNKILLABLE_TIMEOUT";

/// A running client.
pub(crate) struct Client {
    pub(crate) process: Child,
    /// The client draws until this is closed, by its parent or by the parent's death.
    alive: Option<ChildStdin>,
}

impl Client {
    /// Starts a client that waits `timeout` for each answer. The calls of lives 0, 2, 4, ... are made one at a time;
    /// those of the others do not wait for each other.
    pub(crate) fn start(
        life: usize,
        history: &Path,
        address: &str,
        last_row: usize,
        timeout: Duration,
    ) -> Client {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "client::process", "--nocapture"])
            .env(LIFE, life.to_string())
            .env(HISTORY, history)
            .env(ADDRESS, address)
            .env(LAST_ROW, last_row.to_string())
            .env(TIMEOUT, timeout.as_millis().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let alive = process.stdin.take();
        Client { process, alive }
    }

    /// Kills the client with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.code().is_none(), "a client had ended by itself: {status}");
    }

    /// Asks the client to end.
    pub(crate) fn stop(&mut self) {
        self.alive = None;
    }

    /// Waits until the client has ended.
    pub(crate) fn ended(mut self) -> ExitStatus {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "a client does not come to an end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

// The process itself --------------------------------------------------------------------------------------------------

#[test]
#[ignore = "the process of a client, started by another test"]
fn process() {
    let Some(life) = std::env::var_os(LIFE) else { return };
    let var = |name| std::env::var(name).unwrap();
    let life: usize = life.to_str().unwrap().parse().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || {
        _ = std::io::stdin().read_to_end(&mut Vec::new());
        stopped.store(true, SeqCst);
    });
    let timeout = Duration::from_millis(var(TIMEOUT).parse().unwrap());
    let display = Connected::new(life, &var(ADDRESS), timeout);
    let rows = (life as i32, var(LAST_ROW).parse().unwrap());
    live(life, &display, rows, Pen::new(&PathBuf::from(var(HISTORY))), &stop);
    std::process::exit(0);
}

/// A connection. One half of the clients wait for each answer, the others do not.
pub(crate) enum Connected {
    Waits(Display),
    GoesOn(Pipeline),
}

/// A client in this process that remembers its calls, in row 0, and their answers.
pub(crate) struct Remembering {
    client: Connected,
    calls: Box<dyn Iterator<Item = Call>>,
    pub(crate) made: Vec<Made>,
}

impl Remembering {
    pub(crate) fn new(client: Connected) -> Remembering {
        let calls = calls(0).filter(|call| *call != Call::Count);
        Remembering { client, calls: Box::new(calls), made: Vec::new() }
    }

    /// Makes a call, and waits for its answer.
    pub(crate) fn call(&mut self) -> Made {
        let call = self.calls.next().expect("it has no end");
        let made = (call, Some(self.client.make(call, (0, 0)).answer()));
        self.made.push(made);
        made
    }

    /// Makes `count` calls, and checks their answers with `is_expected`.
    pub(crate) fn calls(&mut self, count: usize, is_expected: impl Fn(Answer) -> bool) {
        for _ in 0..count {
            let (call, answer) = self.call();
            assert!(answer.is_some_and(&is_expected), "{call} {answer:?}");
        }
    }
}

/// The pending or known answer of a call.
enum Pending {
    Known(Answer),
    Reply(Reply<'static>),
}

/// Returns the endless sequence of calls of a life. No two of them have the same amount.
pub(crate) fn calls(life: usize) -> impl Iterator<Item = Call> {
    let mut dice = Dice::new(life as u64);
    (1..).map(move |number| {
        let amount = mixed(number);
        // The first cells show the order of the calls until something is drawn over them; all others show each amount
        // for ever.
        let (ordered, any) = (dice.below(CELLS / 4), dice.below(CELLS));
        match dice.below(100) {
            0..70 => Call::Add(any, amount),
            70..80 => Call::Draw(ordered, amount),
            80..88 => Call::AddBoth([(any, amount), (CELLS - 1 - ordered, mixed(!number))]),
            88..90 => Call::Get(ordered),
            90..95 => Call::Count,
            _ => Call::Outside,
        }
    })
}

/// Maps each number to another number: the finalizer of MurmurHash3.
fn mixed(number: u32) -> u32 {
    let number = (number ^ number >> 16).wrapping_mul(0x85eb_ca6b);
    let number = (number ^ number >> 13).wrapping_mul(0xc2b2_ae35);
    number ^ number >> 16
}

/// Makes calls, and records them and their answers, until `stop` is set.
fn live(life: usize, display: &Connected, rows: (i32, i32), mut pen: Pen, stop: &AtomicBool) {
    let mut dice = Dice::new(!(life as u64));
    // The maximum number of calls without an answer: from one at a time to enough for large batches.
    let (mut window, mut pending) = (0, VecDeque::new());
    for call in calls(life) {
        if stop.load(SeqCst) {
            break;
        }
        if dice.below(200) == 0 {
            window = [0, 1, 10, 100, 1_000][dice.below(5)];
        }
        pen.make(call);
        pending.push_back(display.make(call, rows));
        while pending.len() > window {
            pen.answer(pending.pop_front().expect("there is one").answer());
        }
    }
    pending.into_iter().for_each(|pending| pen.answer(pending.answer()));
    match display {
        Connected::Waits(display) => display.close().unwrap(),
        Connected::GoesOn(display) => display.close().unwrap(),
    }
    pen.end();
}

impl Connected {
    /// Connects to the display, and retries while it is down.
    fn new(life: usize, address: &str, timeout: Duration) -> Connected {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let connected = if life.is_multiple_of(2) {
                let options = ConnectOptions::new().reconnect(PATIENCE).timeout(timeout);
                options.connect_blocking(address).map(Connected::Waits)
            } else {
                let options = ConnectOptions::new().reconnect(PATIENCE).timeout(timeout);
                options.on_error(|late| check_late(&late)).connect_pipeline(address).map(Connected::GoesOn)
            };
            match connected {
                Ok(connected) => return connected,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn make(&self, call: Call, (row, last): (i32, i32)) -> Pending {
        let at = |cell: usize| cell as i32;
        let both = |both: [(usize, u32); 2]| both.map(|(cell, n)| Pixel::adding(cell as u16, row as u16, n));
        match self {
            Connected::Waits(display) => Pending::Known(answer(match call {
                Call::Add(cell, amount) => display.add_pixel(at(cell), row, amount),
                Call::Draw(cell, color) => display.draw_pixel(at(cell), row, Color::from_u32(color)),
                Call::AddBoth(pixels) => display.add_pixels(&both(pixels)),
                Call::Get(cell) => return read(display.get_pixel(at(cell), row)),
                Call::Outside => display.add_pixel(at(CELLS), row, 1),
                Call::Count => display.add_pixel(0, last, 1),
            })),
            Connected::GoesOn(display) => {
                let reply = match call {
                    Call::Add(cell, amount) => display.add_pixel(at(cell), row, amount),
                    Call::Draw(cell, color) => display.draw_pixel(at(cell), row, Color::from_u32(color)),
                    Call::AddBoth(pixels) => display.add_pixels(&both(pixels)),
                    Call::Get(cell) => return read(display.get_pixel(at(cell), row)),
                    Call::Outside => display.add_pixel(at(CELLS), row, 1),
                    Call::Count => display.add_pixel(0, last, 1),
                };
                match reply {
                    Ok(reply) => Pending::Reply(reply.into_owned()),
                    Err(error) => Pending::Known(failed(&error)),
                }
            }
        }
    }
}

/// Checks the late error of a call that has timed out: only calls outside of the display may fail.
fn check_late(late: &LateError) {
    let is_outside = late.fault().is_some_and(|fault| fault.code == Code::OutOfBounds);
    assert!(is_outside, "{late}");
}

impl Pending {
    fn answer(self) -> Answer {
        match self {
            Pending::Known(answer) => answer,
            Pending::Reply(reply) => answer(reply.wait()),
        }
    }
}

fn read(read: Result<Color>) -> Pending {
    Pending::Known(read.map_or_else(|error| failed(&error), |color| Answer::Read(color.to_u32())))
}

fn answer(result: Result<()>) -> Answer {
    result.map_or_else(|error| failed(&error), |()| Answer::Ok)
}

fn failed(error: &Error) -> Answer {
    if error.outcome() == Outcome::Rejected { Answer::Rejected } else { Answer::Unknown }
}
