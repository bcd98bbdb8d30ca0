//! Tests that a slow reader of a snapshot delays neither the clients nor the end of the display.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "common/processes.rs"]
mod processes;

use display_server::output::{Patience, has_reader, write};
use draw_client::Color;
use draw_client::blocking::Display;
use processes::{Dice, Directory};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Limit far longer than the display may take to end, and far shorter than the reader takes for a picture.
const DEADLINE: Duration = Duration::from_secs(20);

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// Reads a FIFO at a page a second, so that no single write waits for long. The FIFO is open when this returns.
fn read_slowly(path: &Path) -> Receiver<()> {
    // Opened for both reading and writing, so that this does not wait for a writer.
    let mut fifo = File::options().read(true).write(true).open(path).unwrap();
    let (begin, begun) = channel();
    thread::spawn(move || {
        while fifo.read_exact(&mut [0; 4096]).is_ok() {
            _ = begin.send(());
            thread::sleep(Duration::from_secs(1));
        }
    });
    begun
}

struct Program {
    process: Child,
    address: String,
    log: Receiver<String>,
}

impl Program {
    fn start(snapshot: &Path) -> Program {
        let mut process = Command::new(env!("CARGO_BIN_EXE_display-server"))
            .args(["--headless", "--listen", "127.0.0.1:0", "--snapshot"])
            .arg(snapshot)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (say, log) = channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| say.send(line)));
        Program { process, address, log }
    }

    /// Draws noise, which does not compress.
    fn draw_noise(&self) -> Display {
        let mut dice = Dice::new(1);
        let noise: Vec<u8> = (0..640 * 480 * 4).map(|_| dice.below(256) as u8).collect();
        let display = Display::connect(&self.address).unwrap();
        display.put_image(0, 0, 640, 480, &noise).unwrap();
        display
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for the end, and returns the status and the rest of the log.
    fn end(mut self) -> (ExitStatus, String) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < DEADLINE, "it ends");
            thread::sleep(Duration::from_millis(5));
        };
        (status, self.log.iter().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

#[test]
fn a_slow_reader_of_the_last_snapshot_does_not_keep_the_display_alive() {
    let directory = Directory::new("slow-end");
    let path = directory.path("fifo");
    fifo(&path);
    let _reading = read_slowly(&path);
    let program = Program::start(&path);
    drop(program.draw_noise());
    program.signal(Signal::TERM);
    let (status, said) = program.end();
    assert_eq!(status.code(), Some(1), "{said}");
    let name = path.display();
    assert!(
        said.contains(&format!("cannot write the snapshot {name} (its reader has read "))
            && said.contains("the rest is lost"),
        "{said}"
    );
}

#[test]
fn a_slow_reader_of_a_snapshot_does_not_keep_clients_waiting() {
    let directory = Directory::new("slow-serving");
    let path = directory.path("fifo");
    fifo(&path);
    let reading = read_slowly(&path);
    let program = Program::start(&path);
    let old = program.draw_noise();
    program.signal(Signal::USR1);
    reading.recv_timeout(DEADLINE).expect("the snapshot begins");
    // This snapshot is kept until the first one is written.
    program.signal(Signal::USR1);
    old.draw_pixel(1, 2, Color::RED).unwrap();
    let new = Display::connect(&program.address).unwrap();
    assert_eq!(new.get_pixel(1, 2).unwrap(), Color::RED);
    program.signal(Signal::TERM);
    let (status, said) = program.end();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("has not read the snapshot requested by SIGUSR1"), "{said}");
}

#[test]
fn only_a_reader_has_a_limit_and_no_regular_file() {
    let directory = Directory::new("slow-file");
    let (path, pipe) = (directory.path("picture"), directory.path("fifo"));
    fs::write(&path, "old").unwrap();
    let open = File::options().append(true).open(&path).unwrap();
    let through = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    let bytes = vec![7; 1 << 20];
    for (name, length) in [(&through, bytes.len() + 3), (&path, bytes.len())] {
        assert!(!has_reader(name));
        write(name, Patience::AllWaits(Duration::ZERO), |out| out.write_all(&bytes)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), length as u64);
    }

    fifo(&pipe);
    assert!(has_reader(&pipe));
    // The reader takes a page now and then, so that no single wait is long.
    let mut reader = File::options().read(true).write(true).open(&pipe).unwrap();
    thread::spawn(move || {
        while reader.read_exact(&mut [0; 4096]).is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    let began = Instant::now();
    let slow =
        write(&pipe, Patience::AllWaits(Duration::from_millis(500)), |out| out.write_all(&bytes.repeat(8)));
    let error = slow.expect_err("eight MiB would take 100 s");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("within 500"), "{error}");
    assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
}
