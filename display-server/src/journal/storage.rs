//! The storage of a journal: a directory of files that are only appended to. On a disk in `directory.rs`, in memory for
//! tests.

use std::fmt::Debug;
use std::io::{self, Read};
use std::sync::Arc;

/// A directory of files. Changes to it survive a loss of power only after [`Storage::sync_directory`].
pub(crate) trait Storage: Debug + Send + Sync {
    /// Returns the names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens an existing file.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>>;
    /// Creates an empty file, which must not exist.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>>;
    /// Renames a file, and replaces an existing file of the new name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all changes to the directory durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Fails if the directory was moved or removed since it was opened, or if another server may have opened it: then
    /// even synced records may be lost. The error says which. Cheap enough to be called for each sync.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file. Appended bytes survive the end of the process, and a loss of power only after [`StoredFile::sync`].
pub(crate) trait StoredFile: Debug + Send + Sync {
    fn length(&self) -> io::Result<u64>;
    /// Reads from `offset`; returns 0 bytes at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Appends some of `bytes`, and returns their number.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Reserves space, so that appending `bytes` to the existing `length` cannot fail on a full disk.
    /// [`io::ErrorKind::Unsupported`] if the file system cannot reserve; [`io::ErrorKind::FileTooLarge`] if that
    /// exceeds the file size limit of this process, which a write beyond it would end.
    fn reserve(&self, length: u64, bytes: u64) -> io::Result<()>;
    /// Truncates the file to `length`, and releases reserved space.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes all appended bytes durable. After an error it is unknown which are: the system discards bytes that it
    /// could not write, and a second call would succeed.
    fn sync(&self) -> io::Result<()>;
}

/// Appends all of `bytes`.
pub(crate) fn append_all(file: &dyn StoredFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reserves space for `bytes` in an empty file, if the file system can. Then a write does not fail midway, and
/// exceeding the file size limit of this process is an ordinary error.
pub(crate) fn set_aside(file: &dyn StoredFile, bytes: u64) -> io::Result<()> {
    match file.reserve(0, bytes) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        reserved => reserved,
    }
}

/// Releases the space reserved for a file of `length` bytes that is complete. Errors are ignored: only space is lost.
pub(crate) fn give_back(file: &dyn StoredFile, length: u64) {
    _ = file.truncate(length);
}

/// Returns whether the error is a full disk, an exceeded quota or file size limit, from which the journal can recover.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Reads a file from its start, a large piece at a time.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: Arc<dyn StoredFile>,
    /// The offset in the file of the unread part of `buffer`.
    offset: u64,
    /// The length of the file when it was opened. Bytes that are appended later are not read.
    length: u64,
    buffer: Vec<u8>,
    start: usize,
}

/// Bytes of one read.
const READ: usize = 1 << 20;

impl FileReader {
    pub(crate) fn new(file: Arc<dyn StoredFile>, offset: u64) -> io::Result<FileReader> {
        let length = file.length()?;
        Ok(FileReader { file, offset, length, buffer: Vec::new(), start: 0 })
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the number of bytes left.
    pub(crate) fn left(&self) -> u64 {
        self.length.saturating_sub(self.offset)
    }

    /// Returns the next `n` bytes, or fewer at the end of the file. Memory is allocated for existing bytes only.
    pub(crate) fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        self.peek_ahead(n, READ)
    }

    /// Does what [`FileReader::peek`] does, and reads no further.
    pub(crate) fn peek_only(&mut self, n: usize) -> io::Result<&[u8]> {
        self.peek_ahead(n, 0)
    }

    /// Returns the next `n` bytes, and reads at least `ahead` if it has to read.
    fn peek_ahead(&mut self, n: usize, ahead: usize) -> io::Result<&[u8]> {
        let n = n.min(usize::try_from(self.left()).unwrap_or(usize::MAX));
        if self.buffer.len() - self.start < n {
            self.buffer.drain(..self.start);
            self.start = 0;
            let mut filled = self.buffer.len();
            let wanted = n.max(ahead.min(usize::try_from(self.left()).unwrap_or(usize::MAX)));
            self.buffer.resize(wanted.max(filled), 0);
            while filled < wanted {
                match self.file.read_at(&mut self.buffer[filled..wanted], self.offset + filled as u64) {
                    // The file was truncated while it was read.
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            self.buffer.truncate(filled);
            if filled < n {
                self.length = self.offset + filled as u64;
            }
        }
        let end = self.buffer.len().min(self.start + n);
        Ok(&self.buffer[self.start..end])
    }

    /// Skips `n` bytes that were peeked.
    pub(crate) fn advance(&mut self, n: usize) {
        let n = n.min(self.buffer.len() - self.start);
        self.start += n;
        self.offset += n as u64;
    }
}

impl Read for FileReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = out.len().min(READ);
        let bytes = self.peek(n)?;
        let n = bytes.len();
        out[..n].copy_from_slice(bytes);
        self.advance(n);
        Ok(n)
    }
}
