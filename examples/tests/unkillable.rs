//! Runs the demonstration as a user does: its output, its picture, and that it leaves no process behind.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The deadline of a test that hangs.
const HANGS: Duration = Duration::from_secs(120);

/// A directory of one test: the demonstration runs in it, and has its temporary files there.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = std::env::temp_dir().join(format!("draw-examples-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("tmp")).unwrap();
        Place(path)
    }

    fn start(&self, arguments: &[&str]) -> Child {
        // Beside this test, which is in `deps`. `cargo test` builds it; `--test unkillable` alone does not.
        let program = std::env::current_exe().unwrap();
        let program = program.parent().unwrap().parent().unwrap().join("examples/unkillable");
        assert!(program.exists(), "`cargo build -p draw-examples --example unkillable` makes {program:?}");
        // SIGHUP may be ignored here (`nohup cargo test`), which a program inherits.
        Command::new("env")
            .arg("--default-signal=HUP")
            .arg(program)
            .args(arguments)
            .current_dir(&self.0)
            .env("TMPDIR", self.0.join("tmp"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Returns the number of processes whose command line names this place: the displays started here.
    fn displays(&self) -> usize {
        let name = self.0.as_os_str().as_bytes();
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        // A process that has ended meanwhile has no command line.
        let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
        lines.filter(|line| line.windows(name.len()).any(|part| part == name)).count()
    }

    fn wait_for_displays(&self, count: usize) {
        let until = Instant::now() + HANGS;
        while self.displays() != count {
            assert!(Instant::now() < until, "{} displays instead of {count}", self.displays());
            std::thread::yield_now();
        }
    }

    fn temporary_files(&self) -> usize {
        std::fs::read_dir(self.0.join("tmp")).unwrap().count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns width, height, and bytes R, G, B, A.
fn picture(path: &Path) -> (usize, usize, Vec<u8>) {
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgba);
    (info.width as usize, info.height as usize, bytes)
}

#[test]
fn both_pictures_are_the_same_and_nothing_is_left() {
    let place = Place::new("unkillable-same");
    let child = place.start(&["--kills", "3", "--calls", "60000", "--output", "both.png"]);
    let output = child.wait_with_output().unwrap();
    let (out, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && errors.is_empty(), "{}\n{out}{errors}", output.status);
    for line in ["   1 ", "   2 ", "   3 ", "60,000 calls over 16 connections, 3 kills, in "] {
        assert_eq!(out.lines().filter(|said| said.starts_with(line)).count(), 1, "{line:?}\n{out}");
    }
    assert!(out.ends_with("executed twice: none; lost: none\n"), "{out}");
    let digests: Vec<_> = out.lines().filter_map(|line| line.split_once("SHA-256 ")).collect();
    assert!(digests.len() == 2 && digests[0].1.len() == 64 && digests[0].1 == digests[1].1, "{out}");

    let (width, height, bytes) = picture(&place.0.join("both.png"));
    let side = (width - 9) / 2;
    assert_eq!((side, height), (300, 304));
    let mut colors = std::collections::HashSet::new();
    for row in bytes.chunks(4 * width) {
        assert!(row[..4 * side] == row[4 * (width - side)..], "one half differs from the other");
        assert_eq!(row[4 * (side + 4)..][..4], [255; 4], "the line between them");
        colors.extend(row[..4 * side].chunks(4).map(<[u8]>::to_vec));
    }
    assert!(colors.len() > 100, "something is drawn");
    assert_eq!((place.displays(), place.temporary_files()), (0, 0), "displays and files that are left");
}

/// Starts the demonstration with more to draw than is drawn here. Returns when the first kill has been reported.
fn start_and_wait_for_a_kill(place: &Place) -> (Child, BufReader<impl Read>) {
    let mut child = place.start(&["--kills", "1000", "--calls", "2000000"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("   1 ") {
        line.clear();
        if out.read_line(&mut line).unwrap() == 0 {
            let output = child.wait_with_output().unwrap();
            panic!("it ended before the first kill: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    (child, out)
}

#[test]
fn ctrl_c_and_the_end_of_the_terminal_end_it_cleanly() {
    for (signal, name, status) in
        [("INT", "SIGINT (Ctrl-C)", 130), ("TERM", "SIGTERM", 143), ("HUP", "SIGHUP", 129)]
    {
        let place = Place::new(&format!("unkillable-interrupted-{signal}"));
        let (child, _out) = start_and_wait_for_a_kill(&place);
        let sent =
            Command::new("sh").args(["-c", &format!("kill -{signal} {}", child.id())]).status().unwrap();
        assert!(sent.success());
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{signal}: {errors}");
        assert_eq!(errors, format!("unkillable: stopped by {name}: nothing is left of the display\n"));
        assert_eq!((place.displays(), place.temporary_files()), (0, 0), "displays and files that are left");
    }
}

#[test]
fn its_display_does_not_outlive_it() {
    let place = Place::new("unkillable-killed");
    let (mut child, _out) = start_and_wait_for_a_kill(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    place.wait_for_displays(0);
}

#[test]
fn what_cannot_be_done_is_said_before_anything_starts() {
    let place = Place::new("unkillable-refused");
    let output = place.start(&["--output", "nowhere/both.png"]).wait_with_output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(errors.contains("nowhere/both.png") && output.stdout.is_empty(), "{errors}");
    let output = place.start(&["--calls", "9999"]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
