//! Runs a test as a program of its own and returns its output and status.

use super::DEADLINE;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

/// Environment variables that make a test act as the program: its role, and the address of its display.
const ROLE: &str = "TEST_ROLE";
const ADDRESS: &str = "TEST_ADDRESS";

/// Returns the role and the display's address if this process is such a program.
pub(crate) fn role() -> Option<(String, String)> {
    Some((std::env::var(ROLE).ok()?, std::env::var(ADDRESS).ok()?))
}

/// Returns the command that runs this test in that role.
pub(crate) fn command(test: &str, role: &str, address: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).stdin(Stdio::null());
    command.env(ROLE, role).env(ADDRESS, address).env_remove("DRAW_DOCTOR").env_remove("DRAW_DEBUG");
    command
}

/// Runs the program to its end, within the deadline.
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

/// Waits for the end of the program, within the deadline.
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

/// Returns what the program printed on standard output and standard error.
pub(crate) fn said(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
