//! Tests the program with the journals of several displays: which of them are refused, with which messages, and that
//! none is changed before all of them have been checked.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use draw_client::Color;
use draw_client::blocking::Display;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Limit for anything a test waits for.
const DEADLINE: Duration = Duration::from_secs(60);

const FIRST: &str = "journal-0000000000000001";

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_display-server"));
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A temporary directory of one test, removed on drop.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("display-server-journals-{}-{n}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    /// Returns the directory of the journals of these displays. Each display has drawn, and was killed twice: the
    /// second start has recorded that everything before it was synced.
    fn drawn(names: &[&str]) -> Directory {
        let directory = Directory::new();
        for _ in 0..2 {
            let server = directory.start(names, &[]);
            for name in ["main"].iter().chain(names) {
                let display = Display::connect(&format!("{}/{name}", server.address)).unwrap();
                (0..20).for_each(|x| display.draw_pixel(x, 0, Color::RED).unwrap());
            }
            server.kill();
        }
        directory
    }

    fn path(&self, name: &str) -> PathBuf {
        let journal = self.0.join("journal");
        if name.is_empty() { journal } else { journal.join(name) }
    }

    fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn command(&self, names: &[&str], args: &[&str]) -> Command {
        let mut command = command(&["--headless", "--listen", "127.0.0.1:0", "--journal"]);
        command.arg(self.0.join("journal")).args(args);
        names.iter().for_each(|name| _ = command.arg(format!("--add={name}=32x16")));
        command
    }

    fn start(&self, names: &[&str], args: &[&str]) -> Server {
        Server::start(self.command(names, args))
    }

    /// Starts a server that ends by itself with status 1, and returns its final error messages.
    fn refused(&self, names: &[&str], args: &[&str]) -> Vec<String> {
        let mut server = Server::spawn(self.command(names, args));
        let status = server.status();
        let log: Vec<_> = server.log.iter().collect();
        assert_eq!(status.code(), Some(1), "{names:?} {args:?}: {log:?}");
        log.into_iter().filter(|line| line.starts_with("display-server: ")).collect()
    }

    /// Returns the contents of all files below the directory.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn read(path: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(path).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    read(&path, files);
                } else {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        read(&self.0, &mut files);
        files
    }

    fn change(&self, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path(file);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    /// Flips a bit of a record that was synced.
    fn damage(&self, file: &str) {
        self.change(file, |bytes| bytes[700] ^= 4);
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (say, said) = channel();
    let lines = BufReader::new(from).lines();
    thread::spawn(move || lines.map_while(Result::ok).for_each(|line| _ = say.send(line)));
    said
}

/// A server, killed when it is dropped.
struct Server {
    child: Child,
    address: String,
    log: Receiver<String>,
}

impl Server {
    fn start(command: Command) -> Server {
        let mut server = Server::spawn(command);
        let said = lines(server.child.stdout.take().unwrap());
        let line = said.recv_timeout(DEADLINE).unwrap_or_else(|_| panic!("it ends: {:?}", server.log()));
        server.address = line.strip_prefix("listening on ").unwrap().to_owned();
        server
    }

    /// Starts a server that does not listen yet.
    fn spawn(mut command: Command) -> Server {
        let mut child = command.spawn().unwrap();
        let log = lines(child.stderr.take().unwrap());
        Server { child, address: String::new(), log }
    }

    /// Returns the lines of the log received so far.
    fn log(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }

    /// Waits for a line of the log that contains `part`, and returns it.
    fn logged(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let line = self.log.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("no {part:?} in the log: {seen:?}"));
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Waits until the program handles a signal.
    fn handles(&mut self, signal: Signal) {
        let (path, began) = (format!("/proc/{}/status", self.child.id()), Instant::now());
        let bit = 1_u64 << (signal.as_raw() - 1);
        loop {
            let status = fs::read_to_string(&path).unwrap();
            let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
            if u64::from_str_radix(mask.trim(), 16).unwrap() & bit != 0 {
                return;
            }
            assert!(began.elapsed() < DEADLINE && self.child.try_wait().unwrap().is_none(), "{status}");
            thread::yield_now();
        }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end of the server, and returns its status.
    fn status(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(began.elapsed() < DEADLINE, "it does not end: {:?}", self.log());
            thread::yield_now();
        }
    }

    fn end(mut self) -> Vec<String> {
        kill_process(self.pid(), Signal::TERM).unwrap();
        assert_eq!(self.status().code(), Some(0));
        self.log.iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

fn journal(args: &[&str], directory: &str) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } =
        command(&[&["journal", args[0], directory], &args[1..]].concat()).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

#[test]
fn every_damaged_journal_is_named_before_any_journal_is_changed() {
    let directory = Directory::drawn(&["a", "b", "c"]);
    directory.damage(&format!("displays/a/{FIRST}"));
    fs::remove_file(directory.path(&format!("displays/c/{FIRST}"))).unwrap();
    let before = directory.files();
    let said = directory.refused(&["a", "b", "c"], &[]);
    let [a, c] = &said[..] else { panic!("{said:?}") };
    for (said, name) in [(a, "a"), (c, "c")] {
        let path = directory.shown(&format!("displays/{name}"));
        let says = format!("display-server: the display {name}: the journal in {path} is damaged: journal-");
        assert!(said.starts_with(&says) && said.contains("`--accept-loss`"), "{said}");
    }
    assert!(directory.files() == before, "nothing was changed");

    // The first display is one of several as well.
    directory.damage(FIRST);
    let before = directory.files();
    let said = directory.refused(&["a", "b", "c"], &[]);
    assert!(
        said.len() == 3 && said[0].starts_with("display-server: the display main: the journal in "),
        "{said:?}"
    );
    assert!(directory.files() == before, "nothing was changed");

    let server = directory.start(&["a", "b", "c"], &["--accept-loss"]);
    let log = server.end();
    for (name, says) in
        [("", ": dropping "), ("displays/a", ": dropping "), ("displays/c", ": starting with an empty")]
    {
        let says = format!("the journal in {}{says}", directory.shown(name));
        assert!(log.iter().any(|line| line.contains(&says)), "{says}: {log:?}");
    }
    assert!(!log.iter().any(|line| line.contains("WARN") && line.contains("displays/b: ")), "{log:?}");
    directory.start(&["a", "b", "c"], &[]).end();
}

#[test]
fn a_display_of_another_size_changes_no_other_journal() {
    let directory = Directory::drawn(&["a"]);
    let before = directory.files();
    for _ in 0..2 {
        let said = directory.refused(&[], &["--add", "a=9x9", "--add", "new=3x3"]);
        assert!(said.len() == 1 && said[0].contains("belongs to a display of 32x16, not 9x9"), "{said:?}");
    }
    let mut after = directory.files();
    // The directory of the new display was locked.
    assert_eq!(after.remove(&directory.path("displays/new/lock")), Some(vec![]));
    assert!(after == before, "nothing was changed");
}

#[test]
fn a_journal_of_a_later_version_is_not_changed_whatever_loss_is_accepted() {
    let directory = Directory::drawn(&["a", "b"]);
    directory.damage(FIRST);
    directory.change(&format!("displays/b/{FIRST}"), |bytes| bytes[11] = 9);
    let before = directory.files();
    let path = directory.shown("displays/b");
    let says = format!(
        "display-server: the display b: the journal in {path} cannot be used by this program: {FIRST}, offset 8, record 0: its \
         version is 9, "
    );
    let said = directory.refused(&["a", "b"], &["--accept-loss"]);
    assert!(said.len() == 1 && said[0].starts_with(&says), "{said:?}");
    let said = directory.refused(&["a", "b"], &[]);
    assert!(said.len() == 2 && said[1].starts_with(&says), "{said:?}");
    assert!(!said[1].contains("`--accept-loss`") && !said[1].contains("is damaged:"), "{said:?}");

    let (status, said) = journal(&["check"], &path);
    assert!(status == Some(1) && said.starts_with(&format!("newer     {FIRST}, offset 8")), "{said}");
    assert!(!said.contains("whole") && !said.contains("damaged   "), "{said}");
    let png = directory.0.join("past.png");
    let png = png.to_str().unwrap();
    for args in [&["info"][..], &["export", "-o", png], &["export", "--at", "12.5", "-o", png]] {
        let (status, said) = journal(args, &path);
        assert!(status == Some(1) && said.contains("cannot be used by this program"), "{args:?}: {said}");
        assert!(said.contains("its version is 9"), "{args:?}: {said}");
    }
    assert!(directory.files() == before, "nothing was changed");
}

#[test]
fn a_moment_before_what_a_later_program_has_written_is_exported() {
    let directory = Directory::drawn(&[]);
    directory.start(&[], &[]).kill();
    let path = directory.shown("");
    directory.change("journal-0000000000000003", |bytes| bytes[11] = 3);
    let png = directory.0.join("past.png");
    let png = png.to_str().unwrap();
    let (status, said) = journal(&["export", "--at", "12.5", "-o", png], &path);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = journal(&["export", "-o", png], &path);
    assert!(status == Some(1) && said.contains("cannot be used by this program"), "{said}");
}

#[test]
fn lines_of_the_log_name_the_directory_of_the_journal() {
    let directory = Directory::drawn(&["a"]);
    directory.change("displays/a/journal-0000000000000002", |bytes| bytes.truncate(bytes.len() - 3));
    let server = directory.start(&["a"], &["--journal-size", "1"]);
    let a = directory.shown("displays/a");
    server.logged(&format!("the journal in {a}: removing "));
    // A directory in place of the unfinished manifest: the manifest cannot be written when the next file is created.
    fs::create_dir(directory.path("displays/a/manifest.new")).unwrap();
    let display = Display::connect(&format!("{}/a", server.address)).unwrap();
    let image = vec![7; 32 * 16 * 4];
    let draw = || (0..600).for_each(|_| display.put_image(0, 0, 32, 16, &image).unwrap());
    draw();
    server.logged(&format!("cannot write the manifest of the journal in {a} ("));
    fs::remove_dir(directory.path("displays/a/manifest.new")).unwrap();
    draw();
    server.logged(&format!("the manifest of the journal in {a} is written again"));
    // A failed journal ends the server.
    fs::rename(directory.path("displays/a"), directory.path("displays/moved")).unwrap();
    _ = display.draw_pixel(1, 1, Color::RED);
    server.logged(&format!("ERROR the journal in {a}: its directory was moved or removed"));
}

#[test]
fn each_journal_that_is_not_served_is_told_with_what_is_wrong_with_it() {
    let directory = Directory::drawn(&["a", "b", "c", "d", "served"]);
    let folder = directory.path("displays");
    directory.damage(&format!("displays/b/{FIRST}"));
    fs::write(folder.join("b/manifest"), b"no manifest").unwrap();
    // A directory cannot be read like a file, by any user.
    fs::remove_file(folder.join("c").join(FIRST)).unwrap();
    fs::create_dir(folder.join("c").join(FIRST)).unwrap();
    fs::rename(folder.join("d"), folder.join("D.old")).unwrap();
    symlink("/no/where", folder.join("gone")).unwrap();
    symlink("served", folder.join("also-served")).unwrap();
    // The check does not wait for data from a pipe.
    fs::create_dir(folder.join("pipe")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe").join(FIRST)).status().unwrap().success());
    fs::create_dir(folder.join("empty")).unwrap();
    fs::write(folder.join("notes"), b"no journal").unwrap();
    let warned = |server: Server| {
        let mut log = server.end();
        log.retain(|line| line.contains("WARN"));
        log
    };
    let log = warned(directory.start(&["served"], &[]));
    let path = |name: &str| folder.join(name).display().to_string();
    let says = [
        "no display can have this name: rename the directory".to_owned(),
        format!(
            "the journal in {} belongs to the display a, which is not served: serve it with --add a=32x16",
            path("a")
        ),
        format!("the display b is not served, and the journal in {} is damaged: manifest", path("b")),
        format!("the display c is not served, and the journal in {}: cannot read {FIRST}", path("c")),
        format!(
            "the display gone is not served, and the journal in {0} cannot be opened: {0} is a link to /no/where, which does not exist",
            path("gone")
        ),
        format!("the display pipe is not served, and the journal in {} is damaged: {FIRST}", path("pipe")),
    ];
    assert_eq!(log.len(), says.len(), "{log:?}");
    for (line, says) in log.iter().zip(says) {
        assert!(line.contains(&says), "{says}: {line}");
    }

    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir(folder.join("main")).unwrap();
    fs::copy(directory.path(FIRST), folder.join("main").join(FIRST)).unwrap();
    let log = warned(directory.start(&[], &[]));
    let says =
        format!("the journal in {} is not used, because the display main has its journal in ", path("main"));
    assert!(log.len() == 1 && log[0].contains(&says), "{log:?}");

    fs::remove_dir_all(&folder).unwrap();
    assert!(warned(directory.start(&[], &[])).is_empty(), "there are none");
    fs::write(&folder, b"").unwrap();
    let log = warned(directory.start(&[], &[]));
    let says = format!("{} is a file, not a directory: move it away", folder.display());
    assert!(log.len() == 1 && log[0].contains(&says), "{log:?}");
}

#[test]
fn what_is_in_the_way_of_a_directory_is_named() {
    let directory = Directory::new();
    fs::create_dir(directory.path("")).unwrap();
    let (folder, a) = (directory.path("displays"), directory.path("displays/a"));
    let refused = |says: &str| {
        let said = directory.refused(&["a"], &[]);
        let says = says.replace("FOLDER", &folder.display().to_string());
        let says =
            format!("display-server: the display a: the journal in {} cannot be opened: {says}", a.display());
        assert!(said.len() == 1 && said[0].starts_with(&says), "{says}: {said:?}");
    };
    let other = directory.0.join("other");
    let gone = other.display();
    for place in [&folder, &a] {
        let shown = if *place == folder { "FOLDER" } else { "FOLDER/a" };
        fs::write(place, b"").unwrap();
        refused(&format!("{shown} is a file, not a directory: move it away, or name another directory"));
        fs::remove_file(place).unwrap();
        assert!(Command::new("mkfifo").arg(place).status().unwrap().success());
        refused(&format!("{shown} is a socket, a pipe or a device, not a directory: "));
        fs::remove_file(place).unwrap();
        symlink(&other, place).unwrap();
        refused(&format!("{shown} is a link to {gone}, which does not exist: create that directory"));
        fs::write(&other, b"").unwrap();
        refused(&format!("{shown} is a link to {gone}, which is a file, not a directory: remove the link"));
        fs::remove_file(&other).unwrap();
        fs::remove_file(place).unwrap();
        symlink(place, place).unwrap();
        refused(&format!("{shown} is a link to {shown}, which cannot be followed ("));
        fs::remove_file(place).unwrap();
        fs::create_dir(place).unwrap();
    }
    directory.start(&["a"], &[]).end();

    fs::write(&other, b"").unwrap();
    let (status, said) = journal(&["info"], other.to_str().unwrap());
    let says = format!("the journal in {gone} cannot be opened: {gone} is a file, not a directory");
    assert!(status == Some(1) && said.contains(&says), "{said}");
}

#[test]
fn two_displays_do_not_share_a_directory() {
    for (target, first) in [("b", "b"), ("..", "main"), ("../displays/b", "b")] {
        let directory = Directory::drawn(&["b"]);
        let before = directory.files();
        symlink(target, directory.path("displays/a")).unwrap();
        let said = directory.refused(&["b", "a"], &["--accept-loss"]);
        let says = format!(
            "display-server: the displays {first} and a of this server would use the same journal, because their directories \
             are the same ({}): ",
            directory.shown("displays/a")
        );
        assert!(said.len() == 1 && said[0].starts_with(&says), "{said:?}");
        fs::remove_file(directory.path("displays/a")).unwrap();
        assert!(directory.files() == before, "nothing was changed");
        // A link to another directory works like a directory.
        let elsewhere = directory.0.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, directory.path("displays/a")).unwrap();
        directory.start(&["b", "a"], &[]).end();
        assert!(elsewhere.join(FIRST).exists());
    }
}

/// Returns a journal that takes a while to recover, since its calls fill many pixels.
fn slow() -> Directory {
    let directory = Directory::new();
    let server = directory.start(&[], &["--size", "2048x2048"]);
    let display = Display::connect(&server.address).unwrap();
    (0..100).for_each(|n| display.clear(Color::from_u32(n << 8 | 0xff)).unwrap());
    server.kill();
    directory
}

/// Number of tries, since a signal may come too late for the test.
const TRIES: u32 = 20;

#[test]
fn a_signal_to_end_that_comes_while_a_journal_is_recovered_ends_the_server_when_it_serves() {
    let directory = slow();
    for signal in [Signal::TERM, Signal::INT] {
        let is_early = (0..TRIES).any(|_| {
            let mut server = Server::spawn(directory.command(&[], &[]));
            server.handles(signal);
            kill_process(server.pid(), signal).unwrap();
            assert_eq!(server.status().code(), Some(0), "{:?}", server.log());
            let log: Vec<_> = server.log.iter().collect();
            let at = |part: &str| log.iter().position(|line| line.contains(part));
            let (received, recovered, stopped) =
                (at("received SIG"), at("recovered "), at("stopped serving"));
            assert!(received.is_some() && recovered.is_some() && stopped > recovered, "{log:?}");
            received < recovered
        });
        assert!(is_early, "{signal:?} never came while the journal was recovered");
    }
}

#[test]
fn sigusr1_that_comes_while_a_journal_is_recovered_writes_the_snapshot_when_it_serves() {
    let directory = slow();
    let snapshot = directory.0.join("picture.png");
    let is_early = (0..TRIES).any(|_| {
        let mut server = Server::spawn(directory.command(&[], &["--snapshot", snapshot.to_str().unwrap()]));
        server.handles(Signal::USR1);
        kill_process(server.pid(), Signal::USR1).unwrap();
        let before = server.log();
        server.logged("wrote the snapshot");
        let bytes = fs::read(&snapshot).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"), "it is a picture");
        server.kill();
        !before.iter().any(|line| line.contains("recovered "))
    });
    assert!(is_early, "SIGUSR1 never came while the journal was recovered");
}
