//! A journal's directory on a disk, with the locks by which one server at a time has it.
//!
//! Two locks are held with `flock`: one on the directory itself, whose replacement is noticed, and one on the file
//! `lock` in it, which is all that servers before the manifest know of. Every name is looked up in the directory that was opened,
//! wherever its path leads later.

use super::storage::{Storage, StoredFile};
use rustix::fs::{
    AtFlags, Dir, FallocateFlags, FlockOperation, Mode, OFlags, Stat, fallocate, flock, fstat, openat,
    renameat, stat, statat, unlinkat,
};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tracing::warn;

use super::lock::locked;

/// Only the user of the server may read the files: they have ids of sessions, and an id is enough to take a session.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIRECTORY_MODE: u32 = 0o700;

const LOCK: &str = "lock";

/// A directory on a disk.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The directory. Locked as well if it is open for writing.
    opened: File,
    /// The file `lock`. `None` if the directory is only read.
    lock: Option<Mutex<File>>,
}

/// The failed operation on a directory, and the error.
pub(crate) type Refused = (&'static str, io::Error);

impl Directory {
    /// Opens a directory for reading, while another process may write to it.
    pub(crate) fn read_only(path: &Path) -> io::Result<Directory> {
        Ok(Directory { path: path.to_owned(), opened: open_directory(path)?, lock: None })
    }

    /// Opens a directory for writing, and creates it if it does not exist. Returns `None` if another process writes to
    /// it.
    ///
    /// # Errors
    /// The failed operation.
    pub(crate) fn lock(path: &Path) -> Result<Option<Directory>, Refused> {
        make(path).map_err(|error| ("create it", error))?;
        let opened = open_directory(path).map_err(|error| ("read it", error))?;
        match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            // Some network file systems cannot lock directories. There, only the file is locked.
            Err(Errno::BADF | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOLCK | Errno::NOSYS) => {}
            Err(error) => return Err(("lock it", error.into())),
        }
        let lock = openat(&opened, LOCK, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, FILE_MODE);
        let lock = File::from(lock.map_err(|error| ("write to it", error.into()))?);
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Directory { path: path.to_owned(), opened, lock: Some(Mutex::new(lock)) })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(("lock the file `lock` in it", error.into())),
        }
    }

    /// Creates the file `lock` again. No server has started without it: a server creates one and leaves it there.
    fn lock_again(&self, lock: &mut File) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        let new = File::from(openat(&self.opened, LOCK, flags, FILE_MODE)?);
        flock(&new, FlockOperation::NonBlockingLockExclusive)?;
        *lock = new;
        warn!(
            "the file `lock` of the journal in {} was removed and has been created again: do not remove files from there while a \
             server runs",
            self.path.display()
        );
        Ok(())
    }
}

/// Creates a directory and its missing parents, durably.
fn make(path: &Path) -> io::Result<()> {
    let missing: Vec<_> = path.ancestors().take_while(|path| !path.exists()).collect();
    if let Some(parent) = path.parent().filter(|_| !missing.is_empty()) {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    for parent in missing.iter().filter_map(|path| path.parent()) {
        // Otherwise a loss of power may remove the directory with its contents.
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn open_directory(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// Describes the first part of a path that is something else than a directory, and what to do. `None` if there is none:
/// the rest of the path does not exist, or cannot be looked up.
pub(crate) fn obstacle(path: &Path) -> Option<String> {
    let mut parts: Vec<_> = path.ancestors().filter(|part| !part.as_os_str().is_empty()).collect();
    parts.reverse();
    parts.into_iter().find_map(|part| {
        let shown = part.display();
        let there = part.symlink_metadata().ok()?;
        if !there.is_symlink() {
            return (!there.is_dir()).then(|| {
                format!(
                    "{shown} is {}, not a directory: move it away, or name another directory",
                    kind(there.file_type())
                )
            });
        }
        let target = fs::read_link(part).unwrap_or_default();
        let link = format!("{shown} is a link to {}", target.display());
        match part.metadata() {
            Ok(there) if there.is_dir() => None,
            Ok(there) => Some(format!(
                "{link}, which is {}, not a directory: remove the link, or let it lead to a directory",
                kind(there.file_type())
            )),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(format!(
                "{link}, which does not exist: create that directory (or mount its disk), or remove the link"
            )),
            Err(error) => Some(format!(
                "{link}, which cannot be followed ({error}): let the link lead to a directory that this user may open, or remove it"
            )),
        }
    })
}

fn kind(found: fs::FileType) -> &'static str {
    if found.is_file() { "a file" } else { "a socket, a pipe or a device" }
}

fn is_same(a: &Stat, b: &Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

impl Storage for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.opened)? {
            // Names that are not UTF-8 are not those of a journal.
            if let Ok(name) = entry?.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let access = if self.lock.is_some() { OFlags::RDWR | OFlags::APPEND } else { OFlags::RDONLY };
        // A pipe of this name would be waited for.
        let flags = access | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = openat(&self.opened, name, flags, Mode::empty())?;
        Ok(Arc::new(File::from(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        Ok(Arc::new(File::from(openat(&self.opened, name, flags, FILE_MODE)?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.opened, from, &self.opened, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.opened, name, AtFlags::empty())?)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.opened.sync_all()
    }

    fn check(&self) -> io::Result<()> {
        let opened = fstat(&self.opened)?;
        match stat(&self.path) {
            Ok(there) if is_same(&there, &opened) => {}
            Ok(_) => return Err(io::Error::other("its directory was moved and replaced by another")),
            Err(error) => {
                return Err(io::Error::other(format!(
                    "its directory was moved or removed ({})",
                    io::Error::from(error)
                )));
            }
        }
        let Some(lock) = &self.lock else { return Ok(()) };
        let mut lock = locked(lock);
        match statat(&self.opened, LOCK, AtFlags::empty()) {
            Ok(there) if is_same(&there, &fstat(&*lock)?) => Ok(()),
            Err(Errno::NOENT) => self.lock_again(&mut lock).map_err(|error| {
                io::Error::other(format!(
                    "its file `lock` was removed, and cannot be created again ({error})"
                ))
            }),
            Ok(_) => Err(io::Error::other(
                "its file `lock` was replaced, so another server may have written to it",
            )),
            Err(error) => Err(error.into()),
        }
    }
}

impl StoredFile for File {
    fn length(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn reserve(&self, length: u64, bytes: u64) -> io::Result<()> {
        // The call below does not check the file size limit of this process, and a write beyond it would end the
        // process.
        if getrlimit(Resource::Fsize).current.is_some_and(|limit| length + bytes > limit) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // The length is kept, so that reserved space does not look like written bytes.
        fallocate(self, FallocateFlags::KEEP_SIZE, length, bytes).map_err(|error| match error {
            rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS => io::ErrorKind::Unsupported.into(),
            error => error.into(),
        })
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
