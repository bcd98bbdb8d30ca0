//! Tests the program with `--journal`, killed and restarted, and `display-server journal`.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use draw_client::blocking::Display;
use draw_client::{Color, ConnectOptions, Pixel};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(args: &[&str]) -> (Output, String, String) {
    let output = command(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    (output, out, errors)
}

/// A temporary directory of one test, removed on drop.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("display-server-journal-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

/// A server, killed when it is dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(journal: &str, args: &[&str]) -> Server {
        let common = ["--headless", "--listen", "127.0.0.1:0", "--log", "warn", "--journal", journal];
        let mut command = command(&[&common[..], args].concat());
        let mut child = command.stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        // A server that ends without printing anything closes its output, which ends the line.
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address =
            line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}")).to_owned();
        Server { child, address }
    }

    fn connect(&self) -> Display {
        Display::connect(&self.address).unwrap()
    }

    /// Kills the server with SIGKILL.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) -> ExitStatus {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn picture(display: &Display) -> Vec<u8> {
    let size = display.size();
    display.get_image(0, 0, size.width, size.height).unwrap()
}

#[test]
fn after_kill_9_the_picture_is_there() {
    let directory = Directory::new();
    let journal = directory.path("journal");
    let mut server = Server::start(&journal, &["--size", "64x48", "--background", "navy"]);
    for round in 0..5 {
        let display = server.connect();
        display.fill_rect(round * 7, 3, 5, 40, Color::rgb(9, 40 * round as u8, 7)).unwrap();
        display.draw_pixel(round, round, Color::WHITE).unwrap();
        let run: Vec<_> = (0..60).map(|x| Pixel::new(x, round as u16, Color::from_u32(x.into()))).collect();
        display.draw_pixels(&run).unwrap();
        display.put_image(60, 40, 2, 2, &[round as u8; 16]).unwrap();
        assert!(display.draw_pixel(64, 0, Color::RED).is_err());
        let before = picture(&display);
        server.kill();
        server = Server::start(&journal, &[]);
        let display = server.connect();
        assert!(picture(&display) == before, "round {round}");
        assert_eq!((display.size().width, display.size().height), (64, 48));
    }
}

#[test]
fn killed_while_it_draws_it_has_what_it_answered_and_no_gap() {
    let directory = Directory::new();
    let journal = directory.path("journal");
    let mut server = Server::start(&journal, &["--size", "256x256", "--journal-size", "1"]);
    for round in 1..=4_u32 {
        // Draws one pixel after the other, in another colour each time, until the display ends.
        let color = Color::from_u32(round << 8 | 0xff);
        let display =
            ConnectOptions::new().reconnect(Duration::ZERO).connect_pipeline(&server.address).unwrap();
        let drawing = std::thread::spawn(move || {
            let mut answered = 0;
            for n in 0..256 * 256 {
                // These calls are not joined into batches: each is a record of its own.
                let Ok(reply) = display.fill_rect(n % 256, n / 256, 1, 1, color) else { break };
                if n % 1_000 == 999 {
                    match reply.wait() {
                        Ok(()) => answered = n + 1,
                        Err(_) => break,
                    }
                }
            }
            answered
        });
        let watching = server.connect();
        let target = (0, 20 * round as i32);
        while watching.get_pixel(target.0, target.1).unwrap() != color {}
        server.kill();
        let answered = drawing.join().unwrap();
        server = Server::start(&journal, &["--journal-size", "1"]);
        let bytes = picture(&server.connect());
        let (pixels, _) = bytes.as_chunks::<4>();
        let drawn = pixels.iter().take_while(|&&pixel| pixel == color.to_bytes()).count();
        assert!(
            drawn >= answered as usize && drawn > 256 * target.1 as usize,
            "{drawn} of {answered}, {target:?}"
        );
        assert!(pixels[drawn..].iter().all(|&pixel| pixel != color.to_bytes()), "there is no gap");
    }
}

#[test]
fn two_servers_do_not_share_a_journal_and_a_size_must_fit() {
    let directory = Directory::new();
    let journal = directory.path("journal");
    let server = Server::start(&journal, &["--size", "64x48"]);
    let args = ["--headless", "--listen", "127.0.0.1:0", "--journal", &journal];
    let (output, _, errors) = run(&args);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("another server uses the journal in") && errors.contains(&journal), "{errors}");
    assert_eq!(server.end().code(), Some(0));

    let (output, _, errors) = run(&[&args[..], &["--size", "65x48"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("belongs to a display of 64x48, not 65x48: omit --size"), "{errors}");
    let (output, _, errors) = run(&["--headless", "--accept-loss"]);
    assert!(output.status.code() == Some(2) && errors.contains("--journal <DIR>"), "{errors}");
}

fn pixel_of_png(path: &str, x: usize, y: usize) -> [u8; 4] {
    let mut reader = png::Decoder::new(BufReader::new(fs::File::open(path).unwrap())).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let width = reader.next_frame(&mut bytes).unwrap().width as usize;
    bytes[(y * width + x) * 4..][..4].try_into().unwrap()
}

#[test]
fn a_journal_is_looked_at_while_it_is_written_and_after() {
    let directory = Directory::new();
    let journal = directory.path("journal");
    let server = Server::start(&journal, &["--size", "64x48"]);
    let display = server.connect();
    display.draw_pixel(1, 2, Color::RED).unwrap();
    display.clear(Color::GREEN).unwrap();
    let (output, out, errors) = run(&["journal", "check", &journal]);
    assert!(output.status.success() && errors.is_empty(), "{errors}");
    for part in [
        "whole     yes",
        // One record for the session, and two for the calls that draw.
        "records   3, 1 to 3",
        "sessions  1",
        "0 intact snapshots, 1 journal",
        "first     20",
    ] {
        assert!(out.contains(part), "{part} is missing:\n{out}");
    }
    let (output, out, _) = run(&["journal", "info", &journal]);
    assert!(output.status.success());
    for part in ["boot      1", "size      64x48", "instance  ", "journal-0000000000000001 "] {
        assert!(out.contains(part), "{part} is missing:\n{out}");
    }
    let png = directory.path("picture.png");
    for (at, color) in [("-0s", Color::GREEN), ("2100-01-01T00:00:00Z", Color::GREEN), ("12.5", Color::BLACK)]
    {
        let (output, _, errors) = run(&["journal", "export", &journal, "--at", at, "-o", &png]);
        assert!(output.status.success(), "{errors}");
        assert_eq!(pixel_of_png(&png, 1, 2), color.to_bytes(), "{at}");
    }
    assert_eq!(server.end().code(), Some(0));
    let (_, out, _) = run(&["journal", "check", &journal]);
    assert!(out.contains("1 intact snapshot, 2 journals"), "{out}");

    let (output, _, errors) = run(&["journal", "export", &journal, "--at", "soon", "-o", &png]);
    assert!(output.status.code() == Some(2) && errors.contains("write 2026-01-31T12:00:00Z"), "{errors}");
    let (output, _, errors) = run(&["journal", "check", &directory.path("nothing")]);
    assert!(output.status.code() == Some(1) && errors.contains("there is no journal in"), "{errors}");
    let (output, _, errors) = run(&["journal", "info", directory.0.to_str().unwrap()]);
    assert!(output.status.code() == Some(1) && errors.contains("there is no journal in"), "{errors}");
    let (output, out, _) = run(&["journal", "export", "--help"]);
    assert!(
        output.status.success() && out.contains("RFC 3339") && out.contains("--output <FILE.png>"),
        "{out}"
    );
    let (output, out, _) = run(&["journal", "--help"]);
    assert!(output.status.success() && out.contains("check") && out.contains("export"), "{out}");
}

/// Flips a bit of a file.
fn damage(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_named_refused_and_accepted_when_told() {
    let directory = Directory::new();
    let journal = directory.path("journal");
    let server = Server::start(&journal, &["--size", "64x48"]);
    let display = server.connect();
    for x in 0..20 {
        display.draw_pixel(x, 0, Color::RED).unwrap();
    }
    server.kill();
    // One more start, whose header vouches for everything before it.
    Server::start(&journal, &[]).kill();
    damage(&directory.0.join("journal/journal-0000000000000001"), 700);
    let (output, out, _) = run(&["journal", "check", &journal]);
    assert_eq!(output.status.code(), Some(1));
    assert!(out.contains("damaged   journal-0000000000000001, offset ") && out.contains("record "), "{out}");
    assert!(!out.contains("whole     yes"));

    let args = ["--headless", "--listen", "127.0.0.1:0", "--journal", &journal];
    let (output, _, errors) = run(&args);
    assert_eq!(output.status.code(), Some(1));
    let says = format!("the journal in {journal} is damaged: journal-0000000000000001, offset ");
    assert!(errors.contains(&says) && errors.contains("--accept-loss"), "{errors}");

    let server = Server::start(&journal, &["--accept-loss"]);
    let display = server.connect();
    assert_eq!(display.get_pixel(0, 0).unwrap(), Color::RED);
    assert_eq!(display.get_pixel(19, 0).unwrap(), Color::BLACK);
    assert_eq!(server.end().code(), Some(0));
    let (output, out, _) = run(&["journal", "check", &journal]);
    assert!(output.status.success() && out.contains("whole     yes"), "{out}");
    assert_eq!(Server::start(&journal, &[]).end().code(), Some(0));
}

#[test]
fn what_a_server_only_warns_of_is_a_warning_of_a_check() {
    let directory = Directory::new();
    let journal = directory.path("journal");
    for _ in 0..3 {
        let server = Server::start(&journal, &["--size", "64x48"]);
        server.connect().draw_pixel(1, 2, Color::RED).unwrap();
        assert_eq!(server.end().code(), Some(0));
    }
    let mut snapshots: Vec<_> = fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().path()).collect();
    snapshots.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snapshot-"));
    snapshots.sort();
    // The last file is not a snapshot: it keeps older programs out.
    snapshots.pop();
    let [old, new] = &snapshots[..] else { panic!("{snapshots:?}") };
    // Damages the picture of the older snapshot, then the header of the newer one.
    for (path, at) in [(old, 500), (new, 0)] {
        damage(path, at);
        let (output, out, errors) = run(&["journal", "check", &journal]);
        assert!(output.status.success() && errors.is_empty(), "{errors}{out}");
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(out.contains("whole     yes, with a warning: a server can start"), "{out}");
        assert!(out.contains(&format!("warning   {name}, offset 0, record 0: ")), "{out}");
        let (output, out, errors) = run(&["journal", "info", &journal]);
        assert!(output.status.success() && out.contains(name), "{errors}");
        // The older one is repaired below, so that it can be used when the newer one is damaged.
        assert_eq!(out.contains("damaged, but not needed: "), path == new, "{out}");
        if path == old {
            damage(path, at);
        }
    }
    let server = Server::start(&journal, &[]);
    assert_eq!(server.connect().get_pixel(1, 2).unwrap(), Color::RED);
    assert_eq!(server.end().code(), Some(0));
    let (_, out, _) = run(&["journal", "check", "--help"]);
    assert!(out.contains("A server refuses to start with a damaged journal"), "{out}");
}

#[test]
fn a_torn_end_is_cut_off_and_said() {
    let directory = Directory::new();
    let journal = directory.path("journal");
    let server = Server::start(&journal, &["--size", "64x48"]);
    let display = server.connect();
    display.draw_pixel(1, 2, Color::RED).unwrap();
    server.kill();
    let file = directory.0.join("journal/journal-0000000000000001");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [&whole[..], &whole[88..120]].concat()).unwrap();
    let (output, out, _) = run(&["journal", "check", &journal]);
    assert!(output.status.success() && out.contains("torn      32 bytes at the end"), "{out}");
    let mut command = command(&["--headless", "--listen", "127.0.0.1:0", "--journal", &journal]);
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("removing")).expect("it says so");
    assert!(line.contains("removing 32 bytes of unacknowledged records, from record 3 on"), "{line}");
    lines.find(|line| line.contains("serving")).expect("it starts");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read(&file).unwrap(), whole);
}
