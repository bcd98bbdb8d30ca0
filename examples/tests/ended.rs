//! Tests that an example that is asked to end does so soon, whatever it waits for, and prints which work may not be
//! done.
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use display_server::{Options, Present, with_display};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The deadline of everything that a test waits for.
const DEADLINE: Duration = Duration::from_secs(60);

/// A second suffices; the machine may be busy. Waiting for the display takes longer.
const SOON: Duration = Duration::from_secs(3);

/// Number of bytes of a connection that reach the display.
const PASSES: usize = 3_000;

fn example(name: &str, args: &[&str]) -> Child {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join(name);
    let mut command = Command::new("env");
    // SIGHUP may be ignored here (`nohup cargo test`), which a program inherits.
    command.arg("--default-signal=HUP").arg(program);
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DRAW_DISPLAY"] {
        command.env_remove(variable);
    }
    command.args(args).current_dir(std::env::temp_dir()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Accepts connections without ever sending anything. Reports each connection.
fn silent() -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    thread::spawn(move || {
        let mut taken = Vec::new();
        for stream in listener.incoming() {
            taken.push(stream.unwrap());
            _ = tell.send(());
        }
    });
    (address, told)
}

/// Starts a relay to a display that forwards only the first bytes of each connection. Reports when more have arrived.
fn held(display: SocketAddr) -> (SocketAddr, Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, tell) = (client.unwrap(), tell.clone());
            let to = TcpStream::connect(display).unwrap();
            let back = (to.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || {
                let (mut from, mut to) = back;
                _ = std::io::copy(&mut from, &mut to);
            });
            thread::spawn(move || pass(client, to, &tell));
        }
    });
    (address, told)
}

fn pass(mut client: TcpStream, mut display: TcpStream, tell: &Sender<()>) {
    let mut left = PASSES;
    let mut bytes = [0; PASSES];
    while left > 0 {
        match client.read(&mut bytes[..left]) {
            Ok(n) if n > 0 && display.write_all(&bytes[..n]).is_ok() => left -= n,
            // The connection ended earlier.
            _ => return,
        }
    }
    _ = tell.send(());
    // The connection stays open without being read.
    loop {
        thread::park();
    }
}

/// Ends the example with a signal. Returns its status and its errors, if it ends soon.
fn ended(name: &str, mut child: Child, signal: Signal) -> (i32, String) {
    kill_process(Pid::from_child(&child), signal).unwrap();
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > SOON {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("{name} goes on after {signal:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let errors = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
    (status.code().unwrap_or_else(|| panic!("{name} {status}: {errors}")), errors)
}

const RUNS: [(&str, &[&str], &str); 7] = [
    ("circle", &["--mode", "sync"], " of 7,860 pixels are drawn for certain (sync)"),
    ("circle", &["--mode", "async"], " of 7,860 draw_pixel were called, and no answer says how many"),
    ("circle", &["--mode", "batch"], "0 of 7,860 pixels are drawn for certain (batch)"),
    ("density", &[], "had not answered that all of the 2000000 points are counted"),
    ("film", &[], "had not answered that it shows the last of "),
    ("mouse", &[], "had not answered the last call; what was painted stays"),
    ("picture", &[], "had not answered that it shows all of the picture"),
];

#[test]
fn a_peer_that_stays_silent_keeps_no_example_alive() {
    for (n, (name, args, _)) in RUNS.into_iter().enumerate() {
        let (signal, status, by) =
            [(Signal::INT, 130, "SIGINT (Ctrl-C)"), (Signal::TERM, 143, "SIGTERM")][n % 2];
        let (address, has_come) = silent();
        let child = example(name, &[args, &["--display", &address.to_string()]].concat());
        has_come.recv_timeout(DEADLINE).unwrap();
        let (found, errors) = ended(name, child, signal);
        let says =
            format!("{name}: stopped by {by}: {address} did not answer as a display, and nothing was ");
        assert!(found == status && errors.starts_with(&says), "{found}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn a_peer_that_stays_silent_is_named_in_the_end() {
    let (address, _has_come) = silent();
    let output = example("mouse", &["--display", &address.to_string()]).wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    let says = format!("mouse: the program at {address} did not answer as a display within ");
    assert!(output.status.code() == Some(1) && errors.starts_with(&says), "{errors}");
}

#[test]
fn a_display_that_answers_no_more_keeps_no_example_alive() {
    let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        for (n, (name, args, says)) in RUNS.into_iter().enumerate() {
            let (signal, status, by) =
                [(Signal::TERM, 143, "SIGTERM"), (Signal::INT, 130, "SIGINT (Ctrl-C)")][n % 2];
            let (address, is_held) = held(own.address());
            let child = example(name, &[args, &["--display", &address.to_string()]].concat());
            is_held.recv_timeout(DEADLINE).unwrap();
            let (found, errors) = ended(name, child, signal);
            assert!(
                found == status && errors.contains(&format!("{name}: stopped by {by}: ")),
                "{found}: {errors}"
            );
            assert!(errors.contains(says), "{name} {args:?}: {errors}");
        }
    })
    .unwrap();
}

#[test]
fn the_relay_ends_by_each_signal_with_its_summary() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut child = example("draw_wire", &["--listen", "127.0.0.1:0", "--display", "127.0.0.1:1"]);
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        assert!(line.contains("Ctrl-C ends it"), "{line}");
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(
            output.status.success() && out.contains("0 connections"),
            "{signal:?} {:?}: {out}",
            output.status
        );
    }
}
