//! Tests that the relay that prints messages forwards every byte unchanged, including invalid ones.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use display_server::{Options, Present, with_display};
use draw_client::blocking::Display;
use draw_client::{Color, ConnectOptions};
use draw_examples::wire::{Wire, with_port};
use draw_printer::Detail;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[path = "../../display-server/tests/common/blocked.rs"]
mod blocked;

use blocked::full_pipe;

/// The deadline of a test that hangs.
const HANGS: Duration = Duration::from_secs(30);

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Paper {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Starts a relay to `display` on its own thread, for the lifetime of the process.
fn relay(display: SocketAddr) -> (SocketAddr, Wire<Paper>, Paper) {
    let paper = Paper::default();
    let wire = Wire::new(&display.to_string(), Detail::Line, paper.clone());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let running = wire.clone();
    thread::spawn(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            match running.run(tokio::net::TcpListener::from_std(listener).unwrap()).await {}
        })
    });
    (address, wire, paper)
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(HANGS)).unwrap();
    stream.set_write_timeout(Some(HANGS)).unwrap();
    stream
}

/// Returns bytes in which an exchange of two would be noticed.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect()
}

#[test]
fn every_byte_is_forwarded_in_both_directions_and_each_ends_by_itself() {
    let display = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, wire, paper) = relay(display.local_addr().unwrap());
    // A valid request followed by invalid bytes, over many connections at once.
    let request = b"\x94\x00\x05\xa4sync\x90";
    let up = |i: u32| [&request[..], &noise(300_000, i)].concat();
    let down = |i: u32| [&b"\x94\x01\x05\xc0\xc0"[..], &noise(200_000, 1_000 + i)].concat();
    let clients: Vec<_> = (0..8)
        .map(|i| {
            let mut client = patient(TcpStream::connect(address).unwrap());
            let served = patient(display.accept().unwrap().0);
            let display = thread::spawn(move || {
                let mut heard = Vec::new();
                // Reads this direction to its end, and answers only then.
                (&served).read_to_end(&mut heard).unwrap();
                (&served).write_all(&down(i)).unwrap();
                heard
            });
            let client = thread::spawn(move || {
                client.write_all(&up(i)).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                let mut heard = Vec::new();
                client.read_to_end(&mut heard).unwrap();
                heard
            });
            (i, client, display)
        })
        .collect();
    for (i, client, display) in clients {
        assert!(display.join().unwrap() == up(i), "the display of client {i} heard something else");
        assert!(client.join().unwrap() == down(i), "client {i} heard something else");
    }
    let text = paper.text();
    for part in
        ["-> 5 sync()", "<- 5 sync: done (", "-> not understood: ", "<- not understood: ", "-> end", "<- end"]
    {
        assert_eq!(text.lines().filter(|line| line.contains(part)).count(), 8, "{part}\n{text}");
    }
    assert_eq!(
        wire.summary(),
        format!(
            "8 connections; -> 16 messages, {} bytes; <- 16 messages, {} bytes",
            8 * up(0).len(),
            8 * down(0).len()
        )
    );
}

#[test]
fn a_display_that_is_not_there_is_said_in_a_sentence() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (address, _, paper) = relay(nobody);
    let mut client = patient(TcpStream::connect(address).unwrap());
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the client is cut off");
    let text = paper.text();
    assert!(text.contains(&format!("no display at {nobody} (")), "{text}");
    assert!(text.ends_with("the client is cut off: start one with `display-server`\n"), "{text}");
}

#[test]
fn an_address_gets_the_port_that_it_does_not_name() {
    for (address, whole) in [
        ("localhost", "localhost:3729"),
        ("localhost:80", "localhost:80"),
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("::1", "[::1]:3729"),
        ("[::1]", "[::1]:3729"),
        ("[::1]:80", "[::1]:80"),
    ] {
        assert_eq!(with_port(address), whole);
    }
}

/// Returns a command for the example, which cargo builds before it runs the tests of this package.
fn draw_wire() -> Command {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join("draw_wire");
    assert!(program.exists(), "{program:?} is missing: `cargo build -p draw-examples --examples` makes it");
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_trace_that_nobody_reads_holds_up_neither_the_relay_nor_its_end() {
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        let (_reader, writer) = full_pipe();
        // A port alone refers to this machine.
        let arguments = ["--full", "--listen", "0", "--display", &own.address().to_string()];
        let mut child = draw_wire().args(arguments).stdout(writer).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.strip_prefix("listening on ").and_then(|rest| rest.split_once(';')).unwrap().0;
        assert!(address.starts_with("127.0.0.1:"), "{said}");
        let display = Display::connect(address).unwrap();
        for x in 0..2_000 {
            display.draw_pixel(x % 640, 2, Color::RED).unwrap();
        }
        display.close().unwrap();
        let pressed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(pressed.success());
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if began.elapsed() > HANGS {
                child.kill().unwrap();
                panic!("the relay does not end");
            }
            thread::sleep(Duration::from_millis(5));
        };
        assert!(status.success(), "{status}");
    })
    .unwrap();
}

#[test]
fn ctrl_c_ends_the_relay_with_a_summary_and_cuts_its_clients_off() {
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        let arguments = ["--listen", "127.0.0.1:0", "--display", &own.address().to_string()];
        let mut child = draw_wire().args(arguments).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        let address = said.strip_prefix("listening on ").and_then(|rest| rest.split_once(';')).unwrap().0;
        // One client that has drawn and stays connected, and one in the middle of a message.
        let display = ConnectOptions::new().reconnect(Duration::ZERO).connect_blocking(address).unwrap();
        display.draw_pixel(1, 2, Color::RED).unwrap();
        let mut stranger = patient(TcpStream::connect(address).unwrap());
        stranger.write_all(b"\x94\x00\x05\xa4sync\x90\x94\x00").unwrap();
        stranger.read_exact(&mut [0; 5]).unwrap();

        let pressed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
        assert!(pressed.success());
        let output = child.wait_with_output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{printed}");
        assert!(printed.contains("-> 1 draw_pixel(1, 2, #ff0000ff)"), "{printed}");
        let last = printed.lines().last().unwrap();
        assert!(
            last.starts_with("2 connections; -> 4 messages, ") && last.contains("; <- 3 messages, "),
            "{last}"
        );
        assert!(display.get_pixel(1, 2).unwrap_err().is_disconnected());
        assert!(stranger.read_to_end(&mut Vec::new()).is_ok(), "it is told by the end of the connection");
        TcpListener::bind(address).unwrap();
    })
    .unwrap();
}
