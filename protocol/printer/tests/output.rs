//! An output whose reader does not read.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use draw_printer::{Output, PATIENCE, Rank};
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// Long enough for the slowest machine; nothing waits for it unless the test fails.
const DEADLINE: Duration = Duration::from_secs(20);

fn pipe() -> (PipeReader, Output) {
    let (reader, writer) = io::pipe().unwrap();
    (reader, output(writer))
}

fn output(writer: impl Write + Send + 'static) -> Output {
    let writer = Mutex::new(Some(writer));
    Output::new(move || writer.lock().unwrap().take().unwrap())
}

fn line(n: usize) -> String {
    format!("line {n:>90}\n")
}

/// More than the queue and the pipe take together.
const MANY: usize = 100_000;

#[test]
fn what_nobody_reads_holds_nobody_up_and_is_counted() {
    let (reader, output) = pipe();
    let (done, is_done) = channel();
    let mut writer = output.clone();
    thread::spawn(move || {
        let began = Instant::now();
        for n in 0..MANY {
            writer.write_all(line(n).as_bytes()).unwrap();
            writer.flush().unwrap();
        }
        done.send(began.elapsed()).unwrap();
    });
    // One of the flushes waits, and none after it. Each of them would, together for hours.
    is_done.recv_timeout(DEADLINE).expect("writing goes on");
    assert!(!output.finish(Duration::ZERO), "it is not written");
    // Now somebody reads.
    let (mut read, mut left_out) = (0, 0);
    for said in BufReader::new(reader).lines().map_while(Result::ok) {
        match said.strip_suffix(" lines were left out here: they came faster than they were read") {
            Some(count) => left_out += count.parse::<usize>().unwrap(),
            None => {
                assert_eq!(
                    format!("{said}\n"),
                    line(read),
                    "in order, and without a gap before the first that is left out"
                );
                read += 1;
            }
        }
        if read + left_out == MANY {
            break;
        }
    }
    assert!(left_out > 0 && read > 1_000, "{read} read, {left_out} left out");
    assert!(output.finish(DEADLINE), "all is written and told");
}

#[test]
fn what_matters_has_room_when_there_is_none_for_the_rest() {
    let (reader, output) = pipe();
    for n in 0..MANY {
        output.push(line(n).as_bytes(), Rank::Common);
    }
    output.push(b"the display is on fire\n", Rank::Important);
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "the display is on fire"));
    assert!(
        lines.next().unwrap().ends_with(" lines were left out here: they came faster than they were read")
    );
}

#[test]
fn whoever_flushes_a_healthy_output_finds_all_of_it_written() {
    let (reader, mut output) = pipe();
    let mut reader = BufReader::new(reader);
    let (mut said, mut slow) = (String::new(), 0);
    for n in 0..1_000 {
        let began = Instant::now();
        output.write_all(line(n).as_bytes()).unwrap();
        output.flush().unwrap();
        slow += usize::from(began.elapsed() >= PATIENCE);
        said.clear();
        reader.read_line(&mut said).unwrap();
        assert_eq!(said, line(n));
    }
    assert!(slow < 500, "it waits for the line, not for its patience: {slow}");
}

/// A terminal that another process has made non-blocking, and a writer that fails.
struct Moody(PipeWriter, usize);

impl Write for Moody {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 += 1;
        match self.1 {
            1 => Err(io::ErrorKind::WouldBlock.into()),
            2 => Err(io::ErrorKind::Interrupted.into()),
            4 => Err(io::ErrorKind::BrokenPipe.into()),
            _ => self.0.write(&bytes[..bytes.len().min(3)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn an_error_of_the_writer_ends_neither_the_output_nor_its_owner() {
    let (reader, writer) = io::pipe().unwrap();
    let output = output(Moody(writer, 0));
    output.push(b"abcdef\n", Rank::Common);
    assert!(output.finish(DEADLINE), "what fails is over");
    output.push(b"ghi\n", Rank::Common);
    let mut said = String::new();
    BufReader::new(reader).read_line(&mut said).unwrap();
    assert_eq!(said, "abcghi\n");
}
