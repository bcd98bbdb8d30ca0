//! Where a journal is kept: a directory of files that only grow. On a disk in `directory.rs`, in memory for tests.

use std::fmt::Debug;
use std::io::{self, Read};
use std::sync::Arc;

/// A directory of files. What is done to it survives a loss of power only after [`Storage::sync_directory`].
pub(crate) trait Storage: Debug + Send + Sync {
    /// The names of all files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that is there.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>>;
    /// Makes an empty file where there was none.
    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>>;
    /// Gives a file another name, and takes it from the file that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes all that was done to the directory durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Fails if the directory is no longer where it was opened, or another server may have come in: what is written to it then may
    /// be lost, however well it is synced. Says which of them. Cheap: it is called before each sync.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file. What is appended survives the end of the process, and a loss of power only after [`StoredFile::sync`].
pub(crate) trait StoredFile: Debug + Send + Sync {
    fn length(&self) -> io::Result<u64>;
    /// Reads what is there from `offset` on; nothing at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Appends some of `bytes`, and returns how many.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Sets space aside, so that appending `bytes` to the `length` that there are does not fail for want of it.
    /// [`io::ErrorKind::Unsupported`] where that cannot be had; [`io::ErrorKind::FileTooLarge`], there too, if this process must
    /// not write so much, and would end if it did.
    fn reserve(&self, length: u64, bytes: u64) -> io::Result<()>;
    /// Cuts off what is behind `length`, and gives back what was reserved.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes all that was appended durable. After an error it is unknown what is durable: the system forgets what it could not
    /// write, and a second call would say that all is well.
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

/// Sets space for so many bytes aside in an empty file, where that can be had. Then a write does not fail half way, and a
/// limit of this process, beyond which a write would end it, is an error like any other.
pub(crate) fn set_aside(file: &dyn StoredFile, bytes: u64) -> io::Result<()> {
    match file.reserve(0, bytes) {
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        reserved => reserved,
    }
}

/// Gives back what was set aside for a file that has `length` bytes and gets no more. It is only room.
pub(crate) fn give_back(file: &dyn StoredFile, length: u64) {
    _ = file.truncate(length);
}

/// Whether there is no room for more, on the disk, for this user or in a file: what may end by itself.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Reads a file from its start, a large piece at a time.
#[derive(Debug)]
pub(crate) struct FileReader {
    file: Arc<dyn StoredFile>,
    /// Where in the file the unread part of `buffer` begins.
    offset: u64,
    /// How long the file was when it was opened: what comes later is not read.
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

    /// How many bytes are left.
    pub(crate) fn left(&self) -> u64 {
        self.length.saturating_sub(self.offset)
    }

    /// The next `n` bytes, or fewer at the end of the file. Memory is taken for bytes that are there, not for `n`.
    pub(crate) fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        let n = n.min(usize::try_from(self.left()).unwrap_or(usize::MAX));
        if self.buffer.len() - self.start < n {
            self.buffer.drain(..self.start);
            self.start = 0;
            let mut filled = self.buffer.len();
            let wanted = n.max(READ.min(usize::try_from(self.left()).unwrap_or(usize::MAX)));
            self.buffer.resize(wanted.max(filled), 0);
            while filled < wanted {
                match self.file.read_at(&mut self.buffer[filled..wanted], self.offset + filled as u64) {
                    // It was cut while it was read.
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

    /// Passes over `n` bytes that were peeked.
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
