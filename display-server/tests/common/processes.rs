//! Runs the display as a separate process, with helpers for tests.
#![allow(dead_code, reason = "each test uses its part")]

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Limit for anything a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A temporary directory of one test, removed on drop.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("display-server-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns a port that no other connection gets by chance while the display is down, as higher ports may: clients
/// reconnect to the address they know. Two tests of this program get different ports.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 10_000) as u16 + NEXT.fetch_add(100, SeqCst);
    (first..32_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("one of them is free")
}

/// A running display, killed when it is dropped.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: String,
    /// The lines of the log, if the display was started with a limit.
    log: Option<Receiver<String>>,
}

impl Server {
    /// Starts a display with a journal, and returns when it listens.
    pub(crate) fn start(journal: &Path, port: u16, size: &str) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
        command.args(["--log", "warn", "--journal-size", "1", "--journal"]).arg(journal);
        Server::start_by(&mut command, port, size)
    }

    /// Starts a display without a journal, on any port.
    pub(crate) fn start_plain(size: &str) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
        command.args(["--log", "error"]);
        Server::start_by(&mut command, 0, size)
    }

    /// Starts a display that may write at most `blocks` blocks of 512 bytes to a file. Its log goes to a pipe, since
    /// standard error may be a file as well.
    #[cfg(target_os = "linux")]
    pub(crate) fn start_limited(journal: &Path, port: u16, size: &str, blocks: u64) -> Server {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -S -f {blocks}; exec \"$0\" \"$@\"")]);
        shell.args([env!("CARGO_BIN_EXE_display-server"), "--journal-size", "1", "--journal"]).arg(journal);
        let mut server = Server::start_by(shell.stderr(Stdio::piped()), port, size);
        let lines = BufReader::new(server.process.stderr.take().unwrap()).lines();
        let (say, log) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        server.log = Some(log);
        server
    }

    /// Starts a display with a command that becomes the display.
    fn start_by(command: &mut Command, port: u16, size: &str) -> Server {
        let mut process = command
            .args(["--headless", "--size", size, "--listen", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
        Server { address: address.to_owned(), process, log: None }
    }

    /// Waits for a line of the log that contains `text`.
    #[cfg(target_os = "linux")]
    pub(crate) fn expect(&self, text: &str) {
        let log = self.log.as_ref().expect("it is read");
        while !log
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("it does not say {text:?}"))
            .contains(text)
        {}
    }

    /// Sends SIGTERM, and waits for the end of the display.
    pub(crate) fn end(mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        self.process.wait().unwrap()
    }

    /// Returns the resident memory of the display in bytes.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it runs");
        resident.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }
}

/// Stops a process with SIGSTOP, and returns when it is stopped.
pub(crate) fn stop(process: &Child) {
    let pid = Pid::from_child(process);
    kill_process(pid, Signal::STOP).unwrap();
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().expect("it was waited for");
    assert!(status.stopped(), "{status:?}");
}

/// Continues a stopped process.
pub(crate) fn go_on(process: &Child) {
    kill_process(Pid::from_child(process), Signal::CONT).unwrap();
}

/// Lifts the limit on the size of files that a process may write.
#[cfg(target_os = "linux")]
pub(crate) fn lift_limit(process: &Child) {
    use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit = Rlimit { current: maximum, maximum };
    prlimit(Some(Pid::from_child(process)), Resource::Fsize, limit).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// A generator of pseudorandom numbers, reproducible from its seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Returns a number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}
