//! Tests changes to a journal's directory while it is used: removed files, removed locks, a removed directory; and a
//! directory written by a server without manifests.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "common/processes.rs"]
mod processes;

use draw_client::blocking::Display;
use draw_client::{Color, ConnectOptions};
use processes::Directory;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

fn command(journal: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
    command
        .args(["--headless", "--listen", "127.0.0.1:0", "--log", "warn", "--journal"])
        .arg(journal)
        .args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a server that must be refused, and returns its status and its standard error.
fn refused(journal: &Path) -> (Option<i32>, String) {
    let mut process = command(journal, &[]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let mut server = Server { process, address: String::new() };
    assert_eq!(line, "", "it was to be refused");
    let status = server.process.wait().unwrap();
    (status.code(), server.said())
}

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(journal: &Path, more: &[&str]) -> Server {
        let mut process = command(journal, more).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("listening on ").map(str::to_owned) else {
            panic!("it did not start: {}", Server { process, address: line }.said())
        };
        Server { process, address }
    }

    fn connect(&self) -> Display {
        ConnectOptions::new().reconnect(Duration::ZERO).connect_blocking(&self.address).unwrap()
    }

    /// Returns everything that the server writes to standard error until it ends.
    fn said(mut self) -> String {
        let mut said = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }

    fn end(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.process), Signal::TERM).unwrap();
        self.process.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn look(what: &str, journal: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
    command.args(["journal", what]).arg(journal).args(more).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Returns the names of the files that make up a journal.
fn files(journal: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name.contains('-')).collect();
    names.sort();
    names
}

#[test]
fn the_newest_journal_that_is_removed_is_missed_by_the_server_and_all_who_look() {
    let directory = Directory::new("guarded-newest");
    for is_ended in [false, true] {
        let journal = directory.path(&format!("journal-{is_ended}"));
        let server = Server::start(&journal, &["--size", "8x6"]);
        let display = server.connect();
        for x in 0..8 {
            display.draw_pixel(x, 0, Color::RED).unwrap();
        }
        display.sync_durable().unwrap();
        if is_ended {
            assert_eq!(server.end(), Some(0));
        } else {
            drop(server);
            // Starts the server once more, so that there is a picture to go back to.
            drop(Server::start(&journal, &[]));
        }
        let newest = files(&journal).into_iter().rfind(|name| name.starts_with("journal-")).unwrap();
        fs::remove_file(journal.join(&newest)).unwrap();

        let (status, says) = refused(&journal);
        assert!(
            status == Some(1) && says.contains(&newest) && says.contains("the file is missing"),
            "{says}"
        );
        assert!(says.contains("--accept-loss") && !says.contains("does not need it"), "{says}");
        let checked = look("check", &journal, &[]);
        let out = text(&checked.stdout);
        assert!(checked.status.code() == Some(1) && out.contains(&format!("damaged   {newest}")), "{out}");
        let png = directory.path("picture.png");
        for output in [look("info", &journal, &[]), look("export", &journal, &["-o", png.to_str().unwrap()])]
        {
            let says = text(&output.stderr);
            assert!(output.status.code() == Some(1) && says.contains(&newest), "{says}");
            assert!(says.contains("the file is missing"), "{says}");
        }
        assert_eq!(Server::start(&journal, &["--accept-loss"]).end(), Some(0));
        assert_eq!(Server::start(&journal, &[]).end(), Some(0));
        assert!(look("check", &journal, &[]).status.success());
    }
}

#[test]
fn a_journal_from_before_the_manifest_is_read_and_goes_on_with_one() {
    is_read_and_goes_on("journal-without-manifest", 3);
}

/// The journal was written by commit 929d23f: a display of 16x12 with batches, images, faults, sums and three sessions,
/// which was ended, started again, and killed.
#[test]
fn a_journal_of_version_1_is_read_and_goes_on() {
    is_read_and_goes_on("journal-version-1", 2);
}

/// Reads a journal of version 1 that has had `boot` starts, and continues it.
fn is_read_and_goes_on(name: &str, boot: u32) {
    let directory = Directory::new(&format!("guarded-{name}"));
    let (journal, png) = (directory.path("journal"), directory.path("picture.png"));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let restore = || {
        _ = fs::remove_dir_all(&journal);
        fs::create_dir(&journal).unwrap();
        for name in files(&data) {
            fs::copy(data.join(&name), journal.join(&name)).unwrap();
        }
    };
    restore();
    let checked = look("check", &journal, &[]);
    assert!(checked.status.success() && text(&checked.stdout).contains("sessions  "), "{checked:?}");
    assert!(text(&look("info", &journal, &[]).stdout).contains(&format!("boot      {boot}")));
    assert!(look("export", &journal, &["-o", png.to_str().unwrap()]).status.success());
    let pixels = |path: &Path| {
        let file = BufReader::new(File::open(path).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        bytes
    };
    let old = pixels(&data.join("picture.png"));
    assert!(pixels(&png) == old);

    for round in 0..3 {
        let server = Server::start(&journal, &[]);
        let display = server.connect();
        let size = display.size();
        assert!(round > 0 || display.get_image(0, 0, size.width, size.height).unwrap() == old);
        display.draw_pixel(7, round, Color::WHITE).unwrap();
        assert_eq!(server.end(), Some(0));
        assert!(journal.join("manifest").exists());
        assert!(look("check", &journal, &[]).status.success());
    }
    assert!(text(&look("info", &journal, &[]).stdout).contains(&format!("boot      {}", boot + 3)));

    // Files whose existence the numbers of the snapshots prove are reported missing in this version as well.
    restore();
    let newest_snapshot = files(&journal).pop().unwrap();
    let behind = newest_snapshot.replace("snapshot", "journal");
    for name in files(&journal).iter().filter(|name| name.starts_with("journal-") && **name >= behind) {
        fs::remove_file(journal.join(name)).unwrap();
    }
    let (status, says) = refused(&journal);
    assert!(status == Some(1) && says.contains(&behind) && says.contains("was taken behind it"), "{says}");
}

#[test]
fn one_server_at_a_time_whatever_becomes_of_the_file_lock() {
    let directory = Directory::new("guarded-lock");
    let journal = directory.path("journal");
    let server = Server::start(&journal, &["--size", "8x6"]);
    let display = server.connect();
    fs::remove_file(journal.join("lock")).unwrap();
    for _ in 0..2 {
        let (status, says) = refused(&journal);
        assert!(status == Some(1) && says.contains("another server uses the journal in"), "{says}");
        // The next sync creates the file again.
        display.draw_pixel(1, 2, Color::RED).unwrap();
        display.sync_durable().unwrap();
        assert!(journal.join("lock").exists());
    }
    // A server without manifests locks only that file.
    let open = || OpenOptions::new().write(true).open(journal.join("lock")).unwrap();
    assert!(flock(open(), FlockOperation::NonBlockingLockExclusive).is_err());
    assert_eq!(server.end(), Some(0));
    let old = open();
    flock(&old, FlockOperation::NonBlockingLockExclusive).unwrap();
    let (status, says) = refused(&journal);
    assert!(status == Some(1) && says.contains("another server uses the journal in"), "{says}");
    drop(old);
    let again = Server::start(&journal, &[]);
    assert_eq!(again.connect().get_pixel(1, 2).unwrap(), Color::RED);
}

/// Runs a server, applies `happens` to its journal directory, and checks that it reports this to its clients and ends.
fn ends(name: &str, happens: impl Fn(&Path), says: &str) {
    let directory = Directory::new(name);
    let journal = directory.path("journal");
    let server = Server::start(&journal, &["--size", "8x6"]);
    let display = server.connect();
    display.draw_pixel(1, 2, Color::RED).unwrap();
    display.sync_durable().unwrap();
    happens(&journal);
    _ = display.draw_pixel(1, 3, Color::RED);
    let error = display.sync_durable().expect_err("it is not durable").to_string();
    assert!(error.contains(says), "{error}");
    let mut server = server;
    assert_eq!(server.process.wait().unwrap().code(), Some(1));
    let said = server.said();
    assert!(said.contains(says) && said.contains("may not be in it"), "{said}");
}

#[test]
fn a_lock_that_another_server_has_made_ends_the_first() {
    let replace = |journal: &Path| {
        fs::remove_file(journal.join("lock")).unwrap();
        File::create(journal.join("lock")).unwrap();
    };
    ends("guarded-replaced", replace, "its file `lock` was replaced");
}

#[test]
fn a_directory_that_is_moved_or_removed_ends_its_server() {
    let moved = |journal: &Path| fs::rename(journal, journal.with_file_name("elsewhere")).unwrap();
    ends("guarded-moved", moved, "its directory was moved or removed");
    ends(
        "guarded-removed",
        |journal| fs::remove_dir_all(journal).unwrap(),
        "its directory was moved or removed",
    );
    let replaced = |journal: &Path| {
        moved(journal);
        fs::create_dir(journal).unwrap();
    };
    ends("guarded-other", replaced, "its directory was moved and replaced by another");
}

#[test]
fn nobody_else_reads_the_files_of_a_journal() {
    let directory = Directory::new("guarded-mode");
    let journal = directory.path("journal");
    // The umask allows everything to other users.
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_display-server")]);
    shell.args(["--headless", "--listen", "127.0.0.1:0", "--size", "8x6", "--journal"]).arg(&journal);
    let mut process = shell.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let server = Server { process, address };
    server.connect().draw_pixel(1, 2, Color::RED).unwrap();
    assert_eq!(server.end(), Some(0));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&journal), 0o700);
    let entries: Vec<_> = fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(entries.len() >= 5, "journals, a snapshot, the manifest, the lock: {entries:?}");
    for path in entries {
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
}
