//! Files that a program leaves for its user, whatever is at the name: a file is there whole or not at all, and what is no file
//! stays what it is.
//!
//! | at the name is | what happens |
//! |---|---|
//! | nothing, or a file | a new file takes the name when it is whole; of an old one it has the mode, and the owner where the system lets it |
//! | a symbolic link | the same to the file it leads to, which may not be there yet; the link stays |
//! | a FIFO or a character device | it is written to, and its reader has a limited time: see [`Patience`]. A FIFO without a reader is an error |
//! | a directory, a socket, a block device | an error |
//! | `-` alone | standard output, likewise |
//!
//! A new file has the mode that the user's `umask` gives it. A regular file is never cut short, however slow its disk is.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, FileType, Gid, Mode, OFlags, Stat, Uid, access, fchown, fstat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the reader of a pipe, a terminal or a socket may keep its writer waiting. Only the waits count, not the time that
/// the picture takes to be made; a regular file has no reader, and no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Each wait for the reader is limited: a reader that goes on, however slowly, gets everything.
    EachWait(Duration),
    /// All waits together are limited: for a writer that has to come to an end.
    AllWaits(Duration),
}

impl Default for Patience {
    /// A minute for each wait: enough for a reader that asks for a password first, such as `ssh`.
    fn default() -> Patience {
        Patience::EachWait(Duration::from_secs(60))
    }
}

/// Links that lead to links: as many as Linux follows.
const LINKS: u32 = 40;

/// What a pipe takes at once if it takes anything (POSIX: at least 512; Linux: 4096).
const PIPE: usize = 4096;

/// The name of standard output.
const STANDARD: &str = "-";

/// Whether this name stands for standard output.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == STANDARD
}

/// Returns whether what is written to `path` goes to a reader, which may take its time, and not to a regular file. What cannot be
/// written to at all has no reader.
pub fn has_reader(path: &Path) -> bool {
    let is_file = match place(path) {
        Ok(Place::Standard) => fstat(io::stdout()).is_ok_and(|stat| is_regular(&stat)),
        Ok(Place::Through(path)) => fs::metadata(path).is_ok_and(|metadata| metadata.is_file()),
        Ok(Place::File { .. }) | Err(_) => true,
    };
    !is_file
}

/// Writes what `fill` writes to `path`. It blocks, for as long as the disk of a file takes, and as `patience` says for a reader.
///
/// # Errors
/// What the system says, and what is wrong with what is there. A file that was at `path` is still there. A reader that was too
/// slow, [`ErrorKind::TimedOut`], has a part of it.
pub fn write(
    path: &Path,
    patience: Patience,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match place(path)? {
        Place::Standard => {
            let mut stdout = io::stdout();
            stdout.flush()?;
            let own = open_standard();
            let to = own.as_ref().map_or_else(|| stdout.as_fd(), AsFd::as_fd);
            fill_up(Patient::new(to, patience), fill)
        }
        Place::Through(path) => fill_up(Patient::new(open_through(&path)?.as_fd(), patience), fill),
        Place::File { target, there } => {
            let temporary = Temporary::beside(&target, there.as_ref())?;
            fill_up(temporary.limited(), fill)?;
            fs::rename(&temporary.path, &target)
        }
    }
}

/// Returns what a message calls the place: standard output by its name, not by its sign.
pub fn name(path: &Path) -> String {
    if is_standard(path) { "to standard output".into() } else { path.display().to_string() }
}

/// Finds out whether [`write()`] will be able to, and leaves nothing behind.
///
/// # Errors
/// Those of [`write()`], as far as they can be known before.
pub fn check(path: &Path) -> io::Result<()> {
    match place(path)? {
        Place::Standard => Ok(()),
        // To open a FIFO would tell its reader that all has been said.
        Place::Through(path) => Ok(access(&path, Access::WRITE_OK)?),
        Place::File { target, there } => {
            let temporary = Temporary::beside(&target, there.as_ref())?;
            // A full disk has names left when it has no room.
            temporary.limited().write_all(&[0; 4096])
        }
    }
}

/// What to do about an error of [`write()`].
pub fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull => "the disk is full: make room there, or name a file on another disk",
        ErrorKind::QuotaExceeded => {
            "what this user may have on the disk is used up: remove something, or name a file on another disk"
        }
        ErrorKind::FileTooLarge => {
            "it is larger than a file may be: raise the limit (`ulimit -f`), or name a file on another disk"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => "name a file in a directory that exists",
        ErrorKind::IsADirectory => "name a file in that directory",
        ErrorKind::PermissionDenied => "name a file in a directory that this user may write to",
        ErrorKind::ReadOnlyFilesystem => "nothing can be written there: name a file on another disk",
        ErrorKind::TimedOut => "the rest is lost. Let its reader take it sooner, or name a regular file",
        ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
            "start the program that reads it before this one writes, and let it read to the end"
        }
        _ => "name another file",
    }
}

/// Where something goes.
#[derive(Debug)]
enum Place {
    Standard,
    /// A FIFO, a character device, or an open file of this process.
    Through(PathBuf),
    /// A file by the name that is replaced, and what is there now.
    File {
        target: PathBuf,
        there: Option<Metadata>,
    },
}

fn place(path: &Path) -> io::Result<Place> {
    if is_standard(path) {
        return Ok(Place::Standard);
    }
    if path.as_os_str().as_bytes().ends_with(b"/") {
        return Err(ErrorKind::IsADirectory.into());
    }
    let mut target = path.to_owned();
    for _ in 0..LINKS {
        let there = match fs::symlink_metadata(&target) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Place::File { target, there: None });
            }
            there => there?,
        };
        let kind = there.file_type();
        if kind.is_symlink() {
            let parent = target.parent().unwrap_or(Path::new("")).to_owned();
            if fs::canonicalize(&parent).is_ok_and(|parent| parent.starts_with("/proc")) {
                // Not the name of a file but an open one, as /dev/stdout leads to.
                return if fs::metadata(&target)?.file_type().is_block_device() {
                    Err(refuse("it is a block device, and what is on it would be destroyed"))
                } else {
                    Ok(Place::Through(target))
                };
            }
            target = parent.join(fs::read_link(&target)?);
        } else if kind.is_file() {
            return Ok(Place::File { target, there: Some(there) });
        } else if kind.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        } else if kind.is_fifo() || kind.is_char_device() {
            return Ok(Place::Through(target));
        } else if kind.is_socket() {
            return Err(refuse("it is a socket"));
        } else {
            return Err(refuse("it is a block device, and what is on it would be destroyed"));
        }
    }
    Err(Errno::LOOP.into())
}

fn refuse(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

fn open_through(path: &Path) -> io::Result<File> {
    // An open file may have something in it already.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(opened) => Ok(File::from(opened)),
        Err(Errno::NXIO) => {
            Err(io::Error::new(ErrorKind::NotConnected, "no program has it open for reading"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens a pipe or a terminal that is standard output once more, so that a write to it never blocks: other programs may have the
/// same one, and would not expect that of theirs. `None` where standard output is used as it is.
fn open_standard() -> Option<File> {
    let kind = FileType::from_raw_mode(fstat(io::stdout()).ok()?.st_mode);
    let is_pipe = matches!(kind, FileType::Fifo | FileType::CharacterDevice);
    is_pipe.then(|| open_through(Path::new("/proc/self/fd/1")).ok()).flatten()
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_file()
}

/// Has `fill` write to `out`. What `out` says when it fails is the error, whatever an encoder in between makes of it.
fn fill_up(out: impl Write, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(Noting { out, failed: None });
    let filled = fill(&mut out).and_then(|()| out.flush());
    let (noting, _) = out.into_parts();
    filled.map_err(|error| noting.failed.unwrap_or(error))
}

/// Notes the first error.
struct Noting<W> {
    out: W,
    failed: Option<io::Error>,
}

impl<W: Write> Write for Noting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        if let Err(error) = &written
            && error.kind() != ErrorKind::Interrupted
        {
            self.failed.get_or_insert_with(|| match error.raw_os_error() {
                Some(number) => io::Error::from_raw_os_error(number),
                None => io::Error::new(error.kind(), error.to_string()),
            });
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Writes no more at a time than is taken at once, and waits for a reader no longer than it may.
struct Patient<'a> {
    to: BorrowedFd<'a>,
    patience: Patience,
    /// What is left for all waits, or for the present one.
    left: Duration,
    written: u64,
}

impl<'a> Patient<'a> {
    fn new(to: BorrowedFd<'a>, patience: Patience) -> Patient<'a> {
        let (Patience::EachWait(left) | Patience::AllWaits(left)) = patience;
        Patient { to, patience, left, written: 0 }
    }

    fn too_slow(&self) -> io::Error {
        let taken = self.written;
        let what = match self.patience {
            Patience::EachWait(limit) => {
                format!("its reader has taken nothing for {limit:?}, and {taken} bytes before")
            }
            Patience::AllWaits(limit) => {
                format!("its reader has taken {taken} bytes and kept the rest waiting for {limit:.1?}")
            }
        };
        io::Error::new(ErrorKind::TimedOut, what)
    }
}

impl Write for Patient<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Patience::EachWait(limit) = self.patience {
            self.left = limit;
        }
        loop {
            let wait = Timespec::try_from(self.left).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
            let began = Instant::now();
            let ready = poll(&mut [PollFd::new(&self.to, PollFlags::OUT)], Some(&wait));
            self.left = self.left.saturating_sub(began.elapsed());
            match ready {
                Ok(0) => return Err(self.too_slow()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            match rustix::io::write(self.to, &bytes[..bytes.len().min(PIPE)]) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                written => {
                    let written = written?;
                    self.written += written as u64;
                    return Ok(written);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails where the system would end a process that writes more than it may.
struct Limited<'a> {
    file: &'a File,
    left: u64,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let n = self.file.write(bytes)?;
        self.left -= n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A new file beside another, removed when it is dropped unless it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    fn beside(target: &Path, there: Option<&Metadata>) -> io::Result<Temporary> {
        let name = target.file_name().ok_or(ErrorKind::InvalidFilename)?.as_bytes();
        let name = String::from_utf8_lossy(&name[..name.len().min(100)]).into_owned();
        for n in 0..100 {
            let hidden = OsString::from(format!(".{name}.{}-{n}.tmp", std::process::id()));
            let path = target.with_file_name(hidden);
            // A new file and no other: in a directory that others may write to, the name could be a link of theirs.
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(if there.is_some() { 0o600 } else { 0o666 });
            match options.open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                opened => {
                    let temporary = Temporary { path, file: opened? };
                    if let Some(there) = there {
                        temporary.be_like(there)?;
                    }
                    return Ok(temporary);
                }
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    /// Writes to it what this process may.
    fn limited(&self) -> Limited<'_> {
        Limited { file: &self.file, left: getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX) }
    }

    /// Takes the mode of another file, and its owner and group where the system lets this process give a file to them.
    fn be_like(&self, other: &Metadata) -> io::Result<()> {
        let own = self.file.metadata()?;
        let mut mode = other.mode() & 0o777;
        if (own.uid(), own.gid()) != (other.uid(), other.gid()) {
            let (uid, gid) = (Uid::from_raw(other.uid()), Gid::from_raw(other.gid()));
            let is_given = fchown(&self.file, Some(uid), Some(gid)).is_ok()
                || fchown(&self.file, None, Some(gid)).is_ok();
            if !is_given {
                // This group is another one, which may do what anybody may.
                mode = mode & !0o070 | (mode & 0o007) << 3;
            }
        }
        self.file.set_permissions(Permissions::from_mode(mode))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Not there any more if it was renamed.
        _ = fs::remove_file(&self.path);
    }
}
