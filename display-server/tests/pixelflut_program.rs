//! Tests the program with `--pixelflut`.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "common/processes.rs"]
mod processes;

use draw_client::Color;
use draw_client::blocking::Display;
use processes::{Directory, PATIENCE};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The running program, killed when it is dropped.
struct Program {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(args: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
        command.args(["--headless", "--log", "warn", "--listen", "127.0.0.1:0"]).args(args);
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        Program { process, output }
    }

    fn journaled(journal: &Path) -> Program {
        Program::start(&[
            "--size",
            "64x48",
            "--pixelflut",
            "127.0.0.1:0",
            "--journal",
            journal.to_str().unwrap(),
        ])
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// Returns the addresses it listens on, from its first two lines.
    fn addresses(&mut self) -> (String, String) {
        let (native, flut) = (self.line(), self.line());
        let address = |line: &str, begins| line.strip_prefix(begins).map(|address| address.trim().to_owned());
        let native = address(&native, "listening on ").unwrap_or_else(|| panic!("{native:?}"));
        let flut = address(&flut, "listening for Pixelflut on ").unwrap_or_else(|| panic!("{flut:?}"));
        (native, flut)
    }

    /// Kills the program with SIGKILL.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

fn talk(address: &str, lines: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(lines.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut replies = String::new();
    stream.read_to_string(&mut replies).unwrap();
    replies
}

#[test]
fn pixels_are_there_after_kill_9_with_a_journal_and_so_are_blended_ones() {
    let directory = Directory::new("pixelflut");
    let journal = directory.path("journal");
    let mut program = Program::journaled(&journal);
    let (_, flut) = program.addresses();
    let lines =
        "PX 1 1 ff8000\nPX 2 2 ffffff\nPX 2 2 00000080\nOFFSET 60 40\nPX 3 7 0000ff\nPX 4 0 ff0000\nPX 3 7\n";
    assert_eq!(talk(&flut, lines), "PX 3 7 0000ff\n");
    program.kill();
    let mut program = Program::journaled(&journal);
    let (native, flut) = program.addresses();
    assert_eq!(
        talk(&flut, "PX 1 1\nPX 2 2\nPX 63 47\nPX 0 0\n"),
        "PX 1 1 ff8000\nPX 2 2 7f7f7f\nPX 63 47 0000ff\nPX 0 0 000000\n"
    );
    let display = Display::connect(&native).unwrap();
    assert_eq!(display.get_pixel(1, 1).unwrap(), Color::rgb(0xff, 0x80, 0));
}

#[test]
fn neighbouring_pixels_are_one_record_of_the_journal() {
    let directory = Directory::new("pixelflut-records");
    let journal = directory.path("journal");
    let mut program = Program::journaled(&journal);
    let (_, flut) = program.addresses();
    let lines: String = (0..1000).map(|i| format!("PX {} {} 010203\n", i % 64, i / 64)).collect();
    assert_eq!(talk(&flut, &(lines + "PX 0 0\n")), "PX 0 0 010203\n");
    program.kill();
    let mut check = Command::new(env!("CARGO_BIN_EXE_display-server"));
    let output = check.args(["journal", "check"]).arg(&journal).output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let records =
        report.lines().find_map(|line| line.strip_prefix("records")).unwrap_or_else(|| panic!("{report}"));
    let records: u32 = records.trim().split(',').next().unwrap().parse().unwrap();
    // One record for each read; this few bytes take one or two reads.
    assert!((1..10).contains(&records), "{report}");
}

#[test]
fn pixelflut_is_off_unless_asked_for() {
    let mut program = Program::start(&[]);
    assert!(program.line().starts_with("listening on 127.0.0.1:"));
    let pid = rustix::process::Pid::from_child(&program.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(program.process.wait().unwrap().success());
    assert_eq!(program.line(), "", "it says nothing of Pixelflut");
}

#[test]
fn an_address_of_pixelflut_that_is_wrong_or_taken_is_refused_before_anything_starts() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (address, says) in [("nonsense:x", "is not an address to listen on"), (&*taken, "cannot listen on")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
        let output =
            command.args(["--headless", "--listen", "127.0.0.1:0", "--pixelflut", address]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{address}");
        assert!(error.contains(says) && error.contains(address), "{error}");
    }
}
