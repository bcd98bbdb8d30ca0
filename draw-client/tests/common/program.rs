//! Runs a test as a program of its own, and returns its output and status.

use super::DEADLINE;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

/// Tells a test that it is the program: what it is to do, and the address of its display.
const ROLE: &str = "TEST_ROLE";
const ADDRESS: &str = "TEST_ADDRESS";

/// What this process is to do, and where, if it is such a program.
pub(crate) fn role() -> Option<(String, String)> {
    Some((std::env::var(ROLE).ok()?, std::env::var(ADDRESS).ok()?))
}

/// The program that this test is in that role.
pub(crate) fn command(test: &str, role: &str, address: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).stdin(Stdio::null());
    command.env(ROLE, role).env(ADDRESS, address).env_remove("DRAW_DOCTOR").env_remove("DRAW_DEBUG");
    command
}

/// Runs it to its end, which comes within the deadline.
pub(crate) fn run(test: &str, role: &str, address: &str) -> Output {
    let mut command = command(test, role, address);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let id = child.id();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(child.wait_with_output().unwrap()));
    told.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        _ = Command::new("kill").args(["-KILL", &id.to_string()]).status();
        panic!("{test} as {role} did not end")
    })
}

/// Waits for its end, which comes within the deadline.
pub(crate) fn wait(mut child: Child) {
    let started = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::yield_now();
    }
}

/// What it said on standard output and standard error.
pub(crate) fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
