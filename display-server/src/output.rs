//! Writes output files. A regular file is replaced completely or not at all; anything else at the name is written to.
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

/// How long the reader of a pipe, a terminal or a socket may delay its writer. Only the waits count, not the time to
/// encode the picture. A regular file has no reader, and no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// Each wait for the reader is limited: a reader that continues, however slowly, gets everything.
    EachWait(Duration),
    /// All waits together are limited, for a writer that has to finish.
    AllWaits(Duration),
}

impl Default for Patience {
    /// Returns a minute for each wait: enough for a reader that asks for a password first, such as `ssh`.
    fn default() -> Patience {
        Patience::EachWait(Duration::from_secs(60))
    }
}

/// Symbolic links that are followed, as many as Linux follows.
const LINKS: u32 = 40;

/// Bytes that a writable pipe takes without blocking (POSIX: at least 512; Linux: 4096).
const PIPE: usize = 4096;

/// The name of standard output.
const STANDARD: &str = "-";

/// Returns whether this name stands for standard output.
pub fn is_standard(path: &Path) -> bool {
    path.as_os_str() == STANDARD
}

/// Returns whether output to `path` goes to a reader, which may be slow, and not to a regular file. A path that cannot
/// be written to has no reader.
pub fn has_reader(path: &Path) -> bool {
    let is_file = match place(path) {
        Ok(Place::Standard) => fstat(io::stdout()).is_ok_and(|stat| is_regular(&stat)),
        Ok(Place::Through(path)) => fs::metadata(path).is_ok_and(|metadata| metadata.is_file()),
        Ok(Place::File { .. }) | Err(_) => true,
    };
    !is_file
}

/// Writes the output of `fill` to `path`. It blocks for as long as the disk takes, and for a reader as long as
/// `patience` allows.
///
/// # Errors
/// Those of the system, and of a path that must not be written to. An existing file at `path` is unchanged. After
/// [`ErrorKind::TimedOut`], a reader that was too slow has a part of the output.
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

/// Returns the name of the path for messages: standard output by its name instead of `-`.
pub fn name(path: &Path) -> String {
    if is_standard(path) { "to standard output".into() } else { path.display().to_string() }
}

/// Checks whether [`write()`] can write to `path`, and leaves nothing behind.
///
/// # Errors
/// Those of [`write()`] that can be detected in advance.
pub fn check(path: &Path) -> io::Result<()> {
    match place(path)? {
        Place::Standard => Ok(()),
        // Opening and closing a FIFO would end its reader's input.
        Place::Through(path) => Ok(access(&path, Access::WRITE_OK)?),
        Place::File { target, there } => {
            let temporary = Temporary::beside(&target, there.as_ref())?;
            // A full disk may still have room for a name.
            temporary.limited().write_all(&[0; 4096])
        }
    }
}

/// Returns advice for an error of [`write()`].
pub fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull => "the disk is full: make room there, or name a file on another disk",
        ErrorKind::QuotaExceeded => {
            "the disk quota of this user is used up: remove something, or name a file on another disk"
        }
        ErrorKind::FileTooLarge => {
            "the file would exceed the limit of file sizes: raise the limit (`ulimit -f`), or name a file on another disk"
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => "name a file in a directory that exists",
        ErrorKind::IsADirectory => "name a file in that directory",
        ErrorKind::PermissionDenied => "name a file in a directory that this user may write to",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only: name a file on another disk",
        ErrorKind::TimedOut => "the rest is lost. Let the reader read without pauses, or name a regular file",
        ErrorKind::BrokenPipe | ErrorKind::NotConnected => {
            "start the reading program before this one writes, and let it read to the end"
        }
        _ => "name another file",
    }
}

/// The destination of output.
#[derive(Debug)]
enum Place {
    Standard,
    /// A FIFO, a character device, or an open file of this process.
    Through(PathBuf),
    /// A regular file: the name to replace, and the existing file.
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
                // An open file rather than a name, as behind /dev/stdout.
                return if fs::metadata(&target)?.file_type().is_block_device() {
                    Err(refuse("it is a block device, whose contents would be destroyed"))
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
            return Err(refuse("it is a block device, whose contents would be destroyed"));
        }
    }
    Err(Errno::LOOP.into())
}

fn refuse(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

fn open_through(path: &Path) -> io::Result<File> {
    // Append, since an open file may have contents.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(opened) => Ok(File::from(opened)),
        Err(Errno::NXIO) => {
            Err(io::Error::new(ErrorKind::NotConnected, "no program has it open for reading"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens the pipe or terminal of standard output again, in non-blocking mode: other programs may share the open file,
/// whose mode must not change. `None` if standard output is used as it is.
fn open_standard() -> Option<File> {
    let kind = FileType::from_raw_mode(fstat(io::stdout()).ok()?.st_mode);
    let is_pipe = matches!(kind, FileType::Fifo | FileType::CharacterDevice);
    is_pipe.then(|| open_through(Path::new("/proc/self/fd/1")).ok()).flatten()
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_file()
}

/// Calls `fill` to write to `out`. Returns the first error of `out` itself, rather than what an encoder in between
/// makes of it.
fn fill_up(out: impl Write, fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(Noting { out, failed: None });
    let filled = fill(&mut out).and_then(|()| out.flush());
    let (noting, _) = out.into_parts();
    filled.map_err(|error| noting.failed.unwrap_or(error))
}

/// Records the first error.
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

/// Writes without blocking, and waits for the reader no longer than `patience` allows.
struct Patient<'a> {
    to: BorrowedFd<'a>,
    patience: Patience,
    /// The time left for all waits, or for the current one.
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
                format!("its reader has read nothing for {limit:?}, after {taken} bytes")
            }
            Patience::AllWaits(limit) => {
                format!("its reader has read only {taken} bytes within {limit:.1?}")
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

/// Fails where the system would end the process for exceeding its file size limit.
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

/// A temporary file beside another, removed when it is dropped unless it was renamed.
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
            // Must not exist yet: in a directory that others may write to, the name could be a link of theirs.
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

    /// Returns a writer that is limited to what this process may write.
    fn limited(&self) -> Limited<'_> {
        Limited { file: &self.file, left: getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX) }
    }

    /// Copies the mode of another file, and its owner and group if the system allows it.
    fn be_like(&self, other: &Metadata) -> io::Result<()> {
        let own = self.file.metadata()?;
        let mut mode = other.mode() & 0o777;
        if (own.uid(), own.gid()) != (other.uid(), other.gid()) {
            let (uid, gid) = (Uid::from_raw(other.uid()), Gid::from_raw(other.gid()));
            let is_given = fchown(&self.file, Some(uid), Some(gid)).is_ok()
                || fchown(&self.file, None, Some(gid)).is_ok();
            if !is_given {
                // The group is a different one, so it gets the permissions of others.
                mode = mode & !0o070 | (mode & 0o007) << 3;
            }
        }
        self.file.set_permissions(Permissions::from_mode(mode))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Fails if it was renamed.
        _ = fs::remove_file(&self.path);
    }
}
