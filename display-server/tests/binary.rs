//! Tests the program: its output, its files, its exit status.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
    // These tests must not find a screen on any machine.
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs the program to its end.
fn output(args: &[&str]) -> (Output, String) {
    let output = command(args).output().unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (output, errors)
}

/// A running server, killed when the test fails.
struct Program {
    pid: Pid,
    stdout: Receiver<String>,
    log: Receiver<String>,
    status: Receiver<ExitStatus>,
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        // Everything is read, so that the program never waits for a reader.
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            _ = sender.send(line);
        }
    });
    receiver
}

impl Program {
    fn start(args: &[&str]) -> Program {
        Program::spawn(command(&[&["--headless", "--listen", "127.0.0.1:0"], args].concat()))
    }

    fn spawn(mut command: Command) -> Program {
        let mut child = command.spawn().unwrap();
        let (ended, status) = channel();
        let stdout = child.stdout.take().map_or_else(|| channel().1, lines);
        let (log, pid) = (lines(child.stderr.take().unwrap()), Pid::from_child(&child));
        thread::spawn(move || ended.send(child.wait().unwrap()));
        Program { pid, stdout, log, status }
    }

    fn address(&self) -> String {
        let line = self.stdout.recv_timeout(DEADLINE).unwrap();
        line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    /// Waits for a line of the log that contains `part`, and returns it.
    fn logged(&self, part: &str) -> String {
        loop {
            let line = self.log.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("no {part:?} in the log"));
            if line.contains(part) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    fn status(&self) -> ExitStatus {
        self.status.recv_timeout(DEADLINE).expect("the program ends")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Only while the program runs: once it was waited for, its process ID may belong to another process.
        if self.status.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("display-server-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// Draws `(1, 2)` red and waits for the answer.
fn draw(address: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.write_all(b"\x94\x00\x05\xaadraw_pixel\x93\x01\x02\xce\xff\x00\x00\xff").unwrap();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\x94\x01\x05\xc0\xc0");
    client
}

fn check_picture(path: &Path, background: [u8; 4]) {
    let decoder = png::Decoder::new(BufReader::new(fs::File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!((info.width, info.height), (32, 16));
    let at = |x: usize, y: usize| &bytes[(y * 32 + x) * 4..][..4];
    assert_eq!((at(1, 2), at(2, 2)), (&[255, 0, 0, 255][..], &background[..]));
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
}

#[test]
fn the_first_line_says_where_it_listens() {
    let program = Program::start(&[]);
    let address = program.address();
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
    draw(&address);
}

#[test]
fn help_and_version_are_there() {
    let (output, _) = output(&["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    for part in [
        "--listen <ADDR>",
        "127.0.0.1:3729",
        "--pixelflut <ADDR>",
        "the opacity for blending",
        "--size <WxH>",
        "640x480",
        "--headless",
        "--present <HOW>",
        "[possible values: auto, gpu, software, none]",
        "closing the last window",
        "--windows <N>",
        "SIGINT, SIGTERM, SIGHUP and closing",
        "nohup",
        "NO_COLOR=1",
        "at most 1,000 characters",
        "--snapshot <FILE.png>",
        "SIGUSR1",
        "--background <COLOR>",
        "rrggbbaa",
        "--journal <DIR>",
        "--journal-size <MIB>",
        "--accept-loss",
        "--log <LEVEL>",
        "error, warn, info, debug, trace",
        "DRAW_DEBUG=1",
    ] {
        assert!(help.contains(part), "{part} is missing:\n{help}");
    }
    assert!(help.contains("Exit status:"), "{help}");
    let version = command(&["--version"]).output().unwrap();
    assert_eq!(version.stdout, concat!("display-server ", env!("CARGO_PKG_VERSION"), "\n").as_bytes());
}

#[test]
fn the_summary_fits_a_screen_and_names_the_exit_statuses() {
    let (output, _) = output(&["-h"]);
    let summary = String::from_utf8(output.stdout).unwrap();
    let lines: usize = summary.lines().map(|line| line.chars().count().max(1).div_ceil(80)).sum();
    assert!(lines <= 40, "{lines} lines of 80 characters:\n{summary}");
    for status in ["\n  0 ", "\n  1 ", "\n  2 ", "\n  130 "] {
        assert!(summary.contains(status), "{summary}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let (_, taken_port) = taken.rsplit_once(':').unwrap();
    for (args, code, says) in [
        (&["--size", "0x480"][..], 2, "write width x height, for example 640x480"),
        (&["--size", "640"], 2, "each from 1 to 16384"),
        (&["--size", "-5x5"], 2, "'-5x5' for '--size <WxH>': write width x height"),
        (&["--journal", "x", "--journal-size", "0"], 2, "write a whole number from 1 to 4294967295"),
        (&["--journal", "x", "--journal-size", "-1"], 2, "write a whole number from 1 to 4294967295"),
        (&["--size", "70000x1"], 2, "each from 1 to 16384"),
        (&["--present", "gpu"], 2, "cannot be used with"),
        (&["--windows", "2"], 2, "cannot be used with"),
        (&["--windows", "0"], 2, "write a whole number from 1 to 8"),
        (&["--windows", "-9"], 2, "write a whole number from 1 to 8"),
        (&["--background", "grue"], 2, "rrggbbaa"),
        (&["--log", "loud"], 2, "possible values: error, warn, info, debug, trace"),
        (&["--listen", &taken], 1, "is a display running there already? Choose another port"),
        (&["--listen", taken_port], 1, "is a display running there already? Choose another port"),
        (&["--listen", "127.0.0.1:x"], 1, "a port is a number from 0 to 65535"),
        (&["--listen", "http://localhost"], 1, "write host:port, for example 127.0.0.1:3729"),
        (&["--pixelflut", "127.0.0.1:x"], 1, "write host:port, for example 127.0.0.1:1234"),
        (
            &["--listen", "nosuch.invalid"],
            1,
            "cannot listen on the host \"nosuch.invalid\": failed to lookup",
        ),
        (&["--listen", "192.0.2.1:0"], 1, "choose an address of this machine"),
        (&["--snapshot", "/no/such/directory/picture.png"], 1, "name a file in a directory that exists"),
        (&["--snapshot", "/"], 1, "cannot write the snapshot /"),
    ] {
        let (output, errors) = output(&[&["--headless"], args].concat());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.contains(says), "{args:?}: {errors}");
        assert_eq!(output.stdout, b"", "{args:?}");
        if code == 1 {
            assert_eq!(errors.lines().count(), 1, "one sentence and no more: {errors}");
            assert!(errors.starts_with("display-server: "), "{errors}");
        }
    }
}

#[test]
fn a_number_of_windows_and_none_contradict_each_other() {
    let (output, errors) = output(&["--windows", "2", "--present", "none"]);
    assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{errors}");
    assert!(errors.contains("'--windows <N>' cannot be used with '--present none'"), "{errors}");
}

#[test]
fn a_screen_that_is_none_is_a_sentence_and_no_window() {
    for (variable, value, says) in [
        (
            "WAYLAND_DISPLAY",
            "wayland-of-nobody",
            "no Wayland compositor answers at WAYLAND_DISPLAY=wayland-of-nobody",
        ),
        ("DISPLAY", "", "neither WAYLAND_DISPLAY nor DISPLAY is set"),
    ] {
        let mut command = command(&["--listen", "127.0.0.1:0", "--present", "gpu"]);
        command.env(variable, value).env("XDG_RUNTIME_DIR", "/nowhere");
        let program = Program::spawn(command);
        draw(&program.address());
        program.logged(says);
        program.signal(Signal::TERM);
        assert_eq!(program.status().code(), Some(0));
    }
    let mut command = command(&["--listen", "127.0.0.1:0", "--present", "none"]);
    let program = Program::spawn({
        command.env("DISPLAY", ":wrong");
        command
    });
    draw(&program.address());
    program.signal(Signal::TERM);
    assert_eq!(program.status().code(), Some(0));
    assert!(
        program.log.iter().all(|line| !line.contains("no window")),
        "none was wanted, so nothing is said"
    );
}

#[test]
fn a_signal_ends_it_in_time_with_status_0_and_a_snapshot() {
    for signal in [Signal::TERM, Signal::INT] {
        let directory = Directory::new(&format!("end-{}", signal.as_raw()));
        let path = directory.0.join("picture.png");
        let program = Program::start(&[
            "--size",
            "32x16",
            "--background",
            "#01020304",
            "--snapshot",
            path.to_str().unwrap(),
        ]);
        // The client stays connected, in the middle of a message.
        let mut client = draw(&program.address());
        client.write_all(b"\x94\x00").unwrap();
        assert!(!path.exists());
        let began = Instant::now();
        program.signal(signal);
        assert_eq!(program.status().code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        check_picture(&path, [1, 2, 3, 4]);
    }
}

#[test]
fn sigusr1_writes_a_snapshot_and_changes_nothing_else() {
    let directory = Directory::new("usr1");
    let path = directory.0.join("picture.png");
    let program = Program::start(&["--size", "32x16", "--snapshot", path.to_str().unwrap()]);
    let address = program.address();
    draw(&address);
    program.signal(Signal::USR1);
    program.logged("wrote");
    check_picture(&path, [0, 0, 0, 255]);
    draw(&address);

    let without = Program::start(&[]);
    let address = without.address();
    without.signal(Signal::USR1);
    without.logged("no snapshot file is configured: start the server with --snapshot FILE.png");
    draw(&address);
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    let program = Program::start(&[]);
    let mut client = draw(&program.address());
    client.write_all(b"\x94\x00").unwrap();
    program.signal(Signal::INT);
    program.logged("another SIGINT exits immediately");
    program.signal(Signal::INT);
    assert_eq!(program.status().code(), Some(130));
}

#[test]
fn draw_debug_prints_the_wire_of_each_connection() {
    let mut command = command(&["--headless", "--listen", "127.0.0.1:0", "--log", "warn"]);
    command.env("DRAW_DEBUG", "full");
    let program = Program::spawn(command);
    let address = program.address();
    let client = draw(&address);
    let from = client.local_addr().unwrap();
    assert!(program.logged(" #1 -- ").ends_with(&format!(" #1 -- a client at {from}")));
    assert!(program.logged(" -> ").ends_with(" #1 -> 5 draw_pixel(1, 2, #ff0000ff)"));
    assert!(
        program.logged(" 94").ends_with("94 00 05 aa 64 72 61 77 5f 70 69 78 65 6c 93 01 02 ce ff 00 00 ff")
    );
    assert!(program.logged(" <- ").contains(" #1 <- 5 draw_pixel: done ("));
    drop(client);
    assert!(program.logged(" -> ").ends_with(" #1 -> end"));
    // The trace also contains the messages that end a connection.
    let mut stranger = TcpStream::connect(&address).unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    assert!(program.logged(" #2 -> ").contains("not understood: the message starts with byte 0x47"));
    let mut greeted = TcpStream::connect(&address).unwrap();
    greeted.write_all(b"\x94\x00\x00\xa5hello\x91\x81\xa7version\x01\x94\x00\x07\xa4sync\x90").unwrap();
    program.logged(" #3 <- 0 hello: {version: 1, ");
    program.logged(" #3 <- goodbye malformed: request 7 came where 1 was due");
}

#[test]
fn a_closed_standard_output_does_not_stop_it() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command(&["--headless", "--listen", "127.0.0.1:0"]);
    command.stdout(writer);
    let program = Program::spawn(command);
    let line = program.logged("address=");
    let address = line.split("address=").nth(1).unwrap().split(' ').next().unwrap();
    draw(address);
    program.signal(Signal::TERM);
    assert_eq!(program.status().code(), Some(0));
}

#[test]
fn a_closed_standard_error_does_not_stop_it() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = command(&["--headless", "--listen", "127.0.0.1:0"]).stderr(writer).spawn().unwrap();
    let stdout = lines(child.stdout.take().unwrap());
    let line = stdout.recv_timeout(DEADLINE).unwrap();
    draw(line.strip_prefix("listening on ").unwrap());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn without_headless_and_off_the_loopback_it_says_what_that_means() {
    let program = Program::spawn(command(&["--listen", "0.0.0.0:0"]));
    program.address();
    // The window has a thread of its own, so the two lines may come in either order.
    let said = [(); 2].map(|()| program.logged("WARN")).join("\n");
    assert!(
        said.contains("no window, serving without one: neither WAYLAND_DISPLAY nor DISPLAY is set"),
        "{said}"
    );
    assert!(said.contains("can draw on this display and read its pixels"), "{said}");
    let quiet = Program::start(&["--log", "warn"]);
    draw(&quiet.address());
    quiet.signal(Signal::TERM);
    assert_eq!(quiet.status().code(), Some(0));
    assert_eq!(quiet.log.iter().count(), 0, "nothing to warn of, nothing said");
}
