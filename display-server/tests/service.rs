//! Tests the program under a service manager: sockets that are passed to it, and notifications that it sends. The
//! sockets are passed through a shell, which sets their descriptor numbers.
#![cfg(all(feature = "systemd", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// Deadline, long enough for the slowest machine; only a test that fails waits for it.
const DEADLINE: Duration = Duration::from_secs(20);

/// Sets the variable so that the descriptors are for the server itself: the shell becomes the server.
const ITSELF: &str = "LISTEN_PID=$$";

/// A running server, killed when the test ends.
struct Program {
    child: Child,
    /// The lines of standard error, which also carries the program's standard output.
    lines: Receiver<String>,
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Program {
    fn spawn(mut command: Command) -> Program {
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        // All lines are read, so the program never waits for a reader.
        std::thread::spawn(move || stderr.lines().for_each(|line| _ = sender.send(line.unwrap())));
        Program { child, lines }
    }

    /// Waits for a line with this text.
    fn line(&self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("no line has {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Waits for the first line, and returns its address.
    fn address(&self) -> String {
        self.line("listening on ")["listening on ".len()..].to_owned()
    }

    /// Waits for the end. Returns the status and the lines that were not read.
    fn end(&mut self) -> (Option<i32>, String) {
        let mut text = String::new();
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => text += &line,
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the server does not end: {text}"),
            }
        }
        (self.child.wait().unwrap().code(), text)
    }

    fn terminate(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let (status, text) = self.end();
        assert_eq!(status, Some(0), "{text}");
    }
}

/// Returns the command of a headless server that gets two descriptors, 3 and 4. `pid` sets the process that they are
/// for: see [`ITSELF`].
fn command(first: OwnedFd, second: OwnedFd, pid: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{pid} exec \"$@\" 3<&0 4<&1 1>&2 <&-")).arg("sh");
    command.arg(env!("CARGO_BIN_EXE_display-server")).arg("--headless").args(args);
    command.env_remove("NOTIFY_SOCKET").env("LISTEN_FDS", "2");
    command.stdin(first).stdout(second).stderr(Stdio::piped());
    command
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Draws a pixel with the native protocol.
fn draw(address: &str) {
    let mut stream = connect(address);
    stream.write_all(b"\x94\x00\x07\xaadraw_pixel\x93\x01\x02\xce\xff\x00\x00\xff").unwrap();
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, *b"\x94\x01\x07\xc0\xc0");
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[test]
fn passed_sockets_take_the_place_of_the_address_to_listen_on() {
    let (first, second, taken) = (listener(), listener(), listener());
    let (one, other) = (first.local_addr().unwrap().to_string(), second.local_addr().unwrap().to_string());
    // This address is in use: a server that listens on it ends.
    let taken = taken.local_addr().unwrap().to_string();
    let mut program = Program::spawn(command(first.into(), second.into(), ITSELF, &["--listen", &taken]));
    assert_eq!(program.address(), one);
    draw(&one);
    draw(&other);
    program.terminate();
}

#[test]
fn a_passed_socket_that_is_named_pixelflut_is_for_pixelflut() {
    let (first, second) = (listener(), listener());
    let (pixelflut, native) =
        (first.local_addr().unwrap().to_string(), second.local_addr().unwrap().to_string());
    let mut command = command(first.into(), second.into(), ITSELF, &["--size", "32x16"]);
    command.env("LISTEN_FDNAMES", "pixelflut:display-server.socket");
    let mut program = Program::spawn(command);
    assert_eq!(program.address(), native);
    draw(&native);
    let mut stream = connect(&pixelflut);
    stream.write_all(b"SIZE\nPX 1 2\n").unwrap();
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "SIZE 32 16\nPX 1 2 ff0000\n");
    program.terminate();
}

#[test]
fn sockets_that_are_for_another_process_are_not_taken() {
    for pid in ["LISTEN_PID=1", "LISTEN_PID=", "unset LISTEN_PID;"] {
        let (first, second) = (listener(), listener());
        let others = [&first, &second].map(|socket| socket.local_addr().unwrap().to_string());
        let program = Program::spawn(command(first.into(), second.into(), pid, &["--listen", "127.0.0.1:0"]));
        let address = program.address();
        assert!(!others.contains(&address), "{pid}");
        draw(&address);
    }
}

/// Runs a server that is expected to fail, and returns its output.
fn failure(command: Command) -> String {
    let (status, text) = Program::spawn(command).end();
    assert_eq!(status, Some(1), "{text}");
    text
}

#[test]
fn a_descriptor_that_is_no_listening_tcp_socket_is_refused_by_its_number() {
    let first = listener();
    let client = TcpStream::connect(first.local_addr().unwrap()).unwrap();
    for (second, says) in [
        (OwnedFd::from(File::open("/dev/null").unwrap()), "fd 4 is not a socket"),
        (UdpSocket::bind("127.0.0.1:0").unwrap().into(), "fd 4 is not a valid tcp socket"),
        (client.into(), "it does not listen"),
    ] {
        let text = failure(command(first.try_clone().unwrap().into(), second, ITSELF, &[]));
        let wanted =
            format!("cannot listen on the descriptor 4 that the service manager passed ({says}): pass TCP");
        assert!(text.contains(&wanted), "{text}");
    }
}

#[test]
fn more_descriptors_than_a_service_has_are_refused() {
    let mut command = command(listener().into(), listener().into(), ITSELF, &[]);
    command.env("LISTEN_FDS", "18446744073709551615");
    let text = failure(command);
    assert!(text.contains("there are 18446744073709551615, at most 64 are taken"), "{text}");
}

/// Starts a server that sends its notifications to `socket`, and checks them.
fn check_notifications(socket: &str, notifications: &UnixDatagram) {
    notifications.set_read_timeout(Some(DEADLINE)).unwrap();
    let first = listener();
    let address = first.local_addr().unwrap().to_string();
    let mut command = command(first.into(), listener().into(), ITSELF, &[]);
    command.env("NOTIFY_SOCKET", socket);
    let mut program = Program::spawn(command);
    let next = || {
        let mut text = [0; 64];
        let bytes = notifications.recv(&mut text).unwrap();
        String::from_utf8(text[..bytes].to_vec()).unwrap()
    };
    assert_eq!(next(), "READY=1\n");
    draw(&address);
    program.terminate();
    assert_eq!(next(), "STOPPING=1\n");
}

#[test]
fn the_service_manager_is_told_when_clients_can_connect_and_when_the_server_ends() {
    let path = std::env::temp_dir().join(format!("display-server-notify-{}", std::process::id()));
    let notifications = UnixDatagram::bind(&path).unwrap();
    check_notifications(path.to_str().unwrap(), &notifications);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_socket_for_notifications_may_be_abstract() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("display-server-notify-{}", std::process::id());
    let notifications = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    check_notifications(&format!("@{name}"), &notifications);
}

#[test]
fn a_service_manager_that_cannot_be_told_is_a_warning() {
    let first = listener();
    let address = first.local_addr().unwrap().to_string();
    let mut command = command(first.into(), listener().into(), ITSELF, &[]);
    command.env("NOTIFY_SOCKET", "/nonexistent/notify");
    let program = Program::spawn(command);
    let warning = program.line("WARN");
    let wanted = "cannot send READY=1 to the service manager at /nonexistent/notify (No such file";
    assert!(warning.contains(wanted), "{warning}");
    draw(&address);
}
