//! Tests output files, with all kinds of existing files at the given name.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

#[path = "common/processes.rs"]
mod processes;

use display_server::output::{Patience, check, hint, write};
use processes::Directory;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, Patience::EachWait(Duration::from_secs(2)), |out| out.write_all(bytes))
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

fn count(directory: &Directory) -> usize {
    fs::read_dir(directory.path(".")).unwrap().count()
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let directory = Directory::new("output-links");
    let at = |name: &str| directory.path(name);
    fs::create_dir(at("below")).unwrap();
    fs::write(at("below/file"), "old").unwrap();
    symlink("below/file", at("first")).unwrap();
    symlink(at("first"), at("second")).unwrap();
    symlink("below/new", at("dangling")).unwrap();
    let before = fs::metadata(at("below/file")).unwrap().ino();
    for (link, target) in [("second", "below/file"), ("dangling", "below/new")] {
        check(&at(link)).unwrap();
        put(&at(link), b"new").unwrap();
        assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink(), "{link}");
        assert_eq!(fs::read(at(target)).unwrap(), b"new");
    }
    assert_ne!(fs::metadata(at("below/file")).unwrap().ino(), before, "it was replaced as a whole");
    assert_eq!(fs::read_dir(at("below")).unwrap().count(), 2, "nothing else is left");
    symlink("circle", at("circle")).unwrap();
    for made in [check(&at("circle")), put(&at("circle"), b"new")] {
        assert_eq!(made.unwrap_err().raw_os_error(), Some(rustix::io::Errno::LOOP.raw_os_error()));
    }
}

#[test]
fn a_file_keeps_its_mode_and_stays_when_it_cannot_be_replaced() {
    let directory = Directory::new("output-mode");
    let path = directory.path("picture");
    for mode in [0o600, 0o640, 0o666, 0o444] {
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        put(&path, b"new").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_file(&path).unwrap();
    }
    fs::write(&path, "old").unwrap();
    let failed =
        write(&path, Patience::default(), |out| out.write_all(b"half").and(Err(io::Error::other("no more"))));
    assert_eq!(
        (failed.unwrap_err().to_string(), fs::read(&path).unwrap()),
        ("no more".into(), b"old".to_vec())
    );
    let long = directory.path(&"n".repeat(255));
    put(&long, b"new").unwrap();
    assert_eq!(fs::read(&long).unwrap(), b"new");
    assert_eq!(count(&directory), 2, "nothing else is left");
}

#[test]
fn a_fifo_is_written_to_and_never_waited_for_for_ever() {
    let directory = Directory::new("output-fifo");
    let path = directory.path("fifo");
    fifo(&path);
    check(&path).unwrap();
    let error = put(&path, b"nobody").unwrap_err();
    assert!(
        error.kind() == io::ErrorKind::NotConnected && hint(&error).contains("start the reading program")
    );

    let bytes: Vec<_> = (0..1_000_000u32).map(|n| (n % 251) as u8).collect();
    let reading = {
        let path = path.clone();
        std::thread::spawn(move || fs::read(path).unwrap())
    };
    // A writer can open the FIFO once the reader has opened it.
    let began = Instant::now();
    while let Err(error) = put(&path, &bytes) {
        assert!(
            error.kind() == io::ErrorKind::NotConnected && began.elapsed() < processes::PATIENCE,
            "{error}"
        );
        std::thread::yield_now();
    }
    assert!(reading.join().unwrap() == bytes);

    let _idle = File::options().read(true).write(true).open(&path).unwrap();
    let error = put(&path, &bytes).expect_err("it is full");
    assert!(
        error.kind() == io::ErrorKind::TimedOut
            && error.to_string().contains("read nothing for 2s, after 65536 bytes"),
        "{error}"
    );
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());
    assert_eq!(count(&directory), 1);
}

#[test]
fn what_cannot_be_written_to_is_refused_before_and_after() {
    let directory = Directory::new("output-refused");
    let socket = directory.path("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, says) in [
        (directory.path("."), "directory"),
        (directory.path("name/"), "directory"),
        (directory.path("missing/name"), "No such file"),
        (socket.join("name"), "Not a directory"),
        (socket.clone(), "it is a socket"),
    ] {
        for error in [check(&path).unwrap_err(), put(&path, b"new").unwrap_err()] {
            assert!(error.to_string().contains(says), "{path:?}: {error}");
        }
    }
    assert!(fs::symlink_metadata(&socket).unwrap().file_type().is_socket());
    for (kind, says) in [
        (io::ErrorKind::StorageFull, "the disk is full"),
        (io::ErrorKind::QuotaExceeded, "is used up"),
        (io::ErrorKind::FileTooLarge, "ulimit -f"),
        (io::ErrorKind::PermissionDenied, "this user may write to"),
        (io::ErrorKind::ReadOnlyFilesystem, "the file system is read-only"),
        (io::ErrorKind::NotFound, "a directory that exists"),
    ] {
        assert!(hint(&kind.into()).contains(says), "{kind:?}");
    }
}

/// Runs a display without a journal and ends it with SIGTERM. Returns its status, its standard output after the first
/// line, and its standard error.
fn shown(snapshot: &Path, first_line: bool, limit: &str) -> (Option<i32>, Vec<u8>, String) {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limit} exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_display-server")]);
    shell.args([
        "--headless",
        "--listen",
        "127.0.0.1:0",
        "--size",
        "300x200",
        "--background",
        "red",
        "--snapshot",
    ]);
    let mut process = shell.arg(snapshot).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut log) =
        (BufReader::new(process.stdout.take().unwrap()), BufReader::new(process.stderr.take().unwrap()));
    let mut line = String::new();
    let mut said = String::new();
    if first_line {
        out.read_line(&mut line).unwrap();
    } else {
        while !line.starts_with("listening on ") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it says where it listens");
        }
    }
    if line.starts_with("listening on ") {
        kill_process(Pid::from_child(&process), Signal::TERM).unwrap();
    }
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).unwrap();
        bytes
    });
    log.read_to_string(&mut said).unwrap();
    (process.wait().unwrap().code(), reading.join().unwrap(), said)
}

#[test]
fn a_snapshot_goes_through_a_fifo_a_link_and_standard_output() {
    let directory = Directory::new("output-snapshot");
    let (path, link) = (directory.path("fifo"), directory.path("link"));
    fifo(&path);
    symlink("picture.png", &link).unwrap();
    let (status, _, said) = shown(&path, true, "");
    assert!(status == Some(1) && said.contains("no program has it open for reading"), "{said}");

    let reading = {
        let path = path.clone();
        // Both sides are held open until a byte has arrived, so that the display finds a reader.
        let mut both = File::options().read(true).write(true).open(&path).unwrap();
        std::thread::spawn(move || {
            let mut bytes = vec![0; 8];
            both.read_exact(&mut bytes).unwrap();
            bytes
        })
    };
    assert_eq!(shown(&path, true, "").0, Some(0));
    assert_eq!(reading.join().unwrap(), PNG);
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_fifo());

    assert_eq!(shown(&link, true, "").0, Some(0));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read(directory.path("picture.png")).unwrap().starts_with(PNG));

    let (status, out, _) = shown(Path::new("-"), false, "");
    assert!(status == Some(0) && out == fs::read(directory.path("picture.png")).unwrap());
    let error =
        display_server::Error::Snapshot { path: "-".into(), source: io::ErrorKind::BrokenPipe.into() };
    assert!(error.to_string().starts_with("cannot write the snapshot to standard output ("), "{error}");
    assert!(!Path::new("-").exists());
}

#[test]
fn a_snapshot_that_is_larger_than_a_file_may_be_says_so() {
    let directory = Directory::new("output-limit");
    // One block of 512 bytes: too little even for the beginning of the file.
    let (status, out, said) = shown(&directory.path("picture.png"), true, "ulimit -f 1;");
    assert!(status == Some(1) && out.is_empty(), "{status:?}: {said}");
    assert!(said.contains("picture.png") && said.contains("raise the limit (`ulimit -f`)"), "{said}");
    assert_eq!(count(&directory), 0, "nothing is left");
}
