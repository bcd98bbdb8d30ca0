//! Tests the log and the trace: an unread log does not block the program, lines are limited, and contain no control
//! characters for a terminal.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "common/blocked.rs"]
mod blocked;

use blocked::full_pipe;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(20);
/// Limit for the end of a display, which takes two seconds at most. On a busy machine it may take longer; a display
/// that waits for a reader never ends.
const END: Duration = Duration::from_secs(10);
/// Number of connections of peers that are not clients. Their lines do not fit into a pipe or onto a terminal.
const BAD: usize = 400;

fn command() -> Command {
    let mut command = Command::new("env");
    // SIGHUP may be ignored here (`nohup cargo test`), and a child process inherits that.
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_display-server")]);
    command.args(["--headless", "--listen", "127.0.0.1:0"]).stdin(Stdio::null());
    // (With `CI` set, the library that prints usage errors assumes that every terminal has colours.)
    for name in ["CI", "CLICOLOR_FORCE", "DRAW_DEBUG", "NO_COLOR", "DISPLAY", "WAYLAND_DISPLAY"] {
        command.env_remove(name);
    }
    command
}

/// A running display, killed when the test fails.
struct Display(Child);

impl Display {
    fn start(command: &mut Command) -> (Display, String) {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = lines(child.stdout.take().unwrap());
        let display = Display(child);
        let line = lines.recv_timeout(DEADLINE).expect("a first line");
        (display, line.strip_prefix("listening on ").unwrap().to_owned())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for the end of the display, with a deadline.
    fn status(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < DEADLINE, "the display does not end");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the display, and checks that this takes no longer than `END`.
    fn end(mut self, signal: Signal) {
        let began = Instant::now();
        self.signal(signal);
        assert_eq!(self.status().code(), Some(0), "{signal:?}");
        assert!(began.elapsed() < END, "{signal:?} took {:?}", began.elapsed());
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Sends an HTTP request, as a browser would. The display answers it, and closes the connection.
fn bad(address: &str) {
    let mut stream = connect(address);
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.read_to_end(&mut Vec::new()).expect("the display closes the connection");
}

/// Draws a pixel and waits for the answer.
fn draw(address: &str) -> TcpStream {
    let mut client = connect(address);
    client.write_all(b"\x94\x00\x05\xaadraw_pixel\x93\x01\x02\xce\xff\x00\x00\xff").unwrap();
    let mut answer = [0; 5];
    client.read_exact(&mut answer).expect("the display answers");
    assert_eq!(&answer, b"\x94\x01\x05\xc0\xc0");
    client
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("display-server-log-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_clients_nor_the_end() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let scratch = Scratch::new(&format!("unread-{}", signal.as_raw()));
        let snapshot = scratch.0.join("picture.png");
        let (_reader, writer) = full_pipe();
        let (display, address) = Display::start(command().arg("--snapshot").arg(&snapshot).stderr(writer));
        (0..BAD).for_each(|_| bad(&address));
        let _client = draw(&address);
        display.end(signal);
        assert!(snapshot.metadata().unwrap().len() > 0, "the snapshot is written");
    }
}

#[test]
fn an_error_that_nobody_reads_does_not_keep_the_program() {
    let (_reader, writer) = full_pipe();
    let child = command().args(["--snapshot", "/no/such/directory/picture.png"]).stderr(writer).spawn();
    assert_eq!(Display(child.unwrap()).status().code(), Some(1));
}

#[test]
fn a_debug_log_that_nobody_reads_holds_up_neither_clients_nor_the_end() {
    let (_reader, writer) = full_pipe();
    let (display, address) = Display::start(command().args(["--log", "debug"]).stderr(writer));
    // More lines than the queue takes.
    for _ in 0..20 {
        let mut client = connect(&address);
        let outside = b"\x94\x00\x05\xaadraw_pixel\x93\xcd\xff\xff\x02\xce\xff\x00\x00\xff".repeat(1_000);
        client.write_all(&outside).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        client.read_to_end(&mut Vec::new()).expect("all is answered");
    }
    let _client = draw(&address);
    display.end(Signal::TERM);
}

#[test]
fn a_trace_that_nobody_reads_holds_up_neither_clients_nor_the_end() {
    let (_reader, writer) = full_pipe();
    let (display, address) = Display::start(command().env("DRAW_DEBUG", "full").stderr(writer));
    for _ in 0..4 {
        let mut client = connect(&address);
        let many = b"\x94\x00\x05\xaadraw_pixel\x93\x01\x02\xce\xff\x00\x00\xff".repeat(10_000);
        let mut reader = client.try_clone().unwrap();
        let heard = thread::spawn(move || reader.read_exact(&mut vec![0; 10_000 * 5]));
        client.write_all(&many).expect("the display reads");
        heard.join().unwrap().expect("the display answers all of it");
    }
    bad(&address);
    let _client = draw(&address);
    display.end(Signal::TERM);
}

#[test]
fn a_first_line_that_nobody_reads_holds_up_nothing() {
    let (_reader, writer) = full_pipe();
    let mut child = command().stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let log = lines(child.stderr.take().unwrap());
    let display = Display(child);
    let address = loop {
        let line = log.recv_timeout(DEADLINE).expect("the log says where it serves");
        if let Some((_, rest)) = line.split_once("address=") {
            break rest.split(' ').next().unwrap().to_owned();
        }
    };
    let _client = draw(&address);
    display.end(Signal::TERM);
}

/// Returns a terminal: the test's side, and the side that a program writes to.
fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let noctty = rustix::fs::OFlags::NOCTTY.bits() as i32;
    let theirs = OpenOptions::new().read(true).write(true).custom_flags(noctty).open(name).unwrap();
    (File::from(ours), theirs)
}

#[test]
fn a_terminal_that_is_stopped_by_ctrl_s_holds_up_neither_clients_nor_the_end() {
    for debug in ["0", "1"] {
        let (mut ours, theirs) = terminal();
        ours.write_all(b"\x13").unwrap();
        let (display, address) = Display::start(command().env("DRAW_DEBUG", debug).stderr(theirs));
        (0..BAD).for_each(|_| bad(&address));
        let _client = draw(&address);
        display.end(Signal::TERM);
    }
}

#[test]
fn colours_are_written_to_a_terminal_unless_somebody_objects() {
    for (variable, value, is_coloured) in
        [("NO_COLOR", "", true), ("NO_COLOR", "1", false), ("NO_COLOR", "0", false), ("TERM", "dumb", false)]
    {
        let (ours, theirs) = terminal();
        let (display, address) =
            Display::start(command().env("TERM", "xterm").env(variable, value).stderr(theirs));
        let log = lines(ours);
        let line = log.recv_timeout(DEADLINE).unwrap();
        assert!(line.contains(&address), "{line}");
        assert_eq!(line.contains('\u{1b}'), is_coloured, "{variable}={value}: {line:?}");
        display.end(Signal::TERM);
        // Usage errors are coloured under the same conditions.
        let (ours, theirs) = terminal();
        let mut command = command();
        command
            .arg("--nonsense")
            .env("TERM", "xterm")
            .env(variable, value)
            .stdout(Stdio::null())
            .stderr(theirs);
        assert_eq!(command.status().unwrap().code(), Some(2));
        drop(command);
        let said: Vec<_> = lines(ours).iter().collect();
        assert!(said.iter().any(|line| line.contains("--nonsense")), "{said:?}");
        assert_eq!(
            said.iter().any(|line| line.contains('\u{1b}')),
            is_coloured,
            "{variable}={value}: {said:?}"
        );
    }
}

#[test]
fn bad_connections_are_told_ten_times_and_then_counted() {
    let (mut display, address) = Display::start(command().stderr(Stdio::piped()));
    let log = lines(display.0.stderr.take().unwrap());
    let began = Instant::now();
    (0..BAD).for_each(|_| bad(&address));
    let took = began.elapsed();
    display.end(Signal::TERM);
    let log: Vec<_> = log.iter().collect();
    let closed = |line: &&String| line.contains("code=\"malformed\"");
    // Ten lines in each interval of ten seconds that has begun.
    let most = 10 * (1 + took.as_secs() as usize / 10);
    let shown = log.iter().filter(closed).count();
    assert!((10..=most).contains(&shown), "{shown} in {took:?}: {log:#?}");
    let more = log.iter().filter_map(|line| line.split_once(" more messages like this in the last "));
    let counted: usize =
        more.map(|(before, _)| before.rsplit(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    assert_eq!(shown + counted, BAD, "{log:#?}");
    assert!(log.iter().map(String::len).sum::<usize>() < 8_000, "{log:#?}");
}

#[test]
fn what_a_client_calls_itself_does_nothing_to_a_terminal() {
    let (mut display, address) = Display::start(command().env("DRAW_DEBUG", "full").stderr(Stdio::piped()));
    let log = lines(display.0.stderr.take().unwrap());
    let mut client = connect(&address);
    let name = "\u{202e}a\u{1b}[2J\n\u{200b}";
    let hello = [
        &b"\x94\0\0\xa5hello\x91\x83\xa7version\x01\xa6client"[..],
        &[0xa0 | name.len() as u8],
        name.as_bytes(),
    ];
    client.write_all(&[&hello.concat(), &b"\xa7session\xc4\x10"[..], &[0xab; 16]].concat()).unwrap();
    client.read_exact(&mut [0]).unwrap();
    client.write_all(b"GET").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    client.read_to_end(&mut Vec::new()).unwrap();
    display.end(Signal::TERM);
    let log: Vec<_> = log.iter().collect();
    let unprintable = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}');
    assert!(!log.iter().any(|line| line.contains(unprintable)), "{log:#?}");
    let named = r#"client="\u{202e}a\u{1b}[2J\n\u{200b}""#;
    assert!(
        log.iter().any(|line| line.contains(named) && line.contains("closing the connection")),
        "{log:#?}"
    );
    assert!(log.iter().any(|line| line.contains("ab ab ab .. ..")), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("ab ab ab ab")), "the id of a session is secret: {log:#?}");
}

#[test]
fn sighup_ends_it_like_sigterm_unless_it_was_ignored_at_the_start() {
    let scratch = Scratch::new("hangup");
    let snapshot = scratch.0.join("picture.png");
    let (display, address) = Display::start(command().arg("--snapshot").arg(&snapshot).stderr(Stdio::null()));
    let mut client = draw(&address);
    display.end(Signal::HUP);
    assert!(snapshot.exists(), "the snapshot is written");
    let mut said = Vec::new();
    client.read_to_end(&mut said).expect("the connection is ended, not cut");

    let program = env!("CARGO_BIN_EXE_display-server");
    let mut nohup = Command::new("nohup");
    nohup.arg(program);
    let mut trap = Command::new("sh");
    trap.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", program]);
    for mut command in [nohup, trap] {
        let command = command.args(["--headless", "--listen", "127.0.0.1:0"]).stdin(Stdio::null());
        let (display, address) = Display::start(command.stderr(Stdio::null()));
        let _client = draw(&address);
        display.signal(Signal::HUP);
        let _other = draw(&address);
        display.end(Signal::TERM);
    }
}
