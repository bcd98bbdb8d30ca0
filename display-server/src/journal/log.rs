//! The file that records are appended to.

use super::cleanup::Cleanup;
use super::files::{journal_name, make_barrier};
use super::format::{HAS_MANIFEST, HEADER, Header, Version};
use super::manifest::Ledger;
use super::record::{Entry, Frame, encode_record};
use super::replay::{Owner, Place};
use super::storage::{Storage, StoredFile, append_all, give_back, set_aside};
use draw_protocol::Color;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes that are reserved at a time: about a thousand turns of small calls, and a few of large ones.
const RESERVED: u64 = 4 << 20;

/// The capacity that an empty buffer keeps: more than a turn usually needs.
const KEPT_BUFFER: usize = 256 << 10;

/// Returns the milliseconds since 1970.
pub(crate) fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The newest `journal-N`, and the records to append to it.
///
/// Space is reserved before a record is accepted, so that a full disk cannot fail the write at the end of a turn, after
/// its calls were drawn. If the file system cannot reserve space, each record is written immediately.
///
/// A start that finds no room has no file yet. Clients are told its boot number, and the next start may use the same
/// number. That is harmless: [`Log::begin`] writes the header durably before anything is drawn, so among starts with
/// the same number only the last can have drawn, and the others showed the picture on the disk. Calls that a loss of
/// power removes were drawn in a boot whose number no later start has, and clients detect the restart by the number.
#[derive(Debug)]
pub(crate) struct Log {
    storage: Arc<dyn Storage>,
    ledger: Arc<Ledger>,
    /// `None` before it is begun: see [`Log::begin`].
    pub(crate) file: Option<Arc<dyn StoredFile>>,
    /// What to remove before the file is begun.
    cleanup: Option<Cleanup>,
    owner: Owner,
    background: Color,
    /// The position behind the last record in the file and the buffer.
    pub(crate) place: Place,
    /// Bytes of the header and of complete records in the file. The file may be longer while `is_stuck`.
    length: u64,
    reserved: u64,
    can_reserve: bool,
    /// The last reservation of [`RESERVED`] bytes failed, so the next record may find no room.
    is_short: bool,
    /// Records that are not, or not completely, in the file yet.
    buffer: Vec<u8>,
    /// The last attempt to write failed, or there was none yet. No record is accepted before one succeeds.
    is_stuck: bool,
    /// Bytes since the last snapshot.
    pub(crate) since: u64,
    now: u64,
}

/// Creates the file `place.file`. Returns it and the checksum of its header.
fn make_file(
    storage: &dyn Storage,
    owner: Owner,
    background: Color,
    place: &Place,
    durable: u64,
) -> io::Result<(Arc<dyn StoredFile>, u64)> {
    let header = Header {
        version: Version::WRITTEN,
        size: owner.size,
        background: if place.file == 1 { background } else { HAS_MANIFEST },
        instance: owner.instance,
        boot: place.boot,
        first: place.next,
        previous: place.checksum,
        durable,
        time: wall_clock(),
    };
    let name = journal_name(place.file);
    let file = match storage.create(&name) {
        // A file of an earlier failed attempt, without records.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            storage.remove(&name)?;
            storage.create(&name)?
        }
        created => created?,
    };
    let (bytes, checksum) = header.encode();
    let written = set_aside(&*file, bytes.len() as u64).and_then(|()| append_all(&*file, &bytes));
    if let Err(error) = written {
        // If this fails, the next attempt removes it.
        _ = storage.remove(&name);
        return Err(error);
    }
    Ok((file, checksum))
}

impl Log {
    /// Creates the log, whose file will be `place.file`. [`Log::begin`] creates the file, or the first record does.
    pub(crate) fn new(
        (storage, ledger): (Arc<dyn Storage>, Arc<Ledger>),
        owner: Owner,
        background: Color,
        place: Place,
        cleanup: Option<Cleanup>,
    ) -> Log {
        Log {
            storage,
            ledger,
            file: None,
            cleanup,
            owner,
            background,
            place,
            length: 0,
            reserved: 0,
            can_reserve: true,
            is_short: false,
            buffer: Vec::new(),
            is_stuck: true,
            since: 0,
            now: 0,
        }
    }

    /// Begins the file, durably, and names it in the manifest. After a start that found no room, the first call does
    /// this, with a few syncs that all connections wait for. It can be retried after a failure: each attempt creates
    /// another file, so no file is assumed to be on the disk after a failed sync.
    pub(crate) fn begin(&mut self) -> io::Result<()> {
        if let Some(cleanup) = &mut self.cleanup {
            cleanup.remove(&*self.storage).map_err(|(_, error)| error)?;
            self.cleanup = None;
        }
        // Before the manifest, whose sync makes it durable.
        make_barrier(&*self.storage)?;
        if self.place.file > 1 {
            // The header says that there is a manifest.
            self.ledger.ensure()?;
        }
        // The start has synced everything that it has read.
        let durable = self.place.next - 1;
        let (file, checksum) = make_file(&*self.storage, self.owner, self.background, &self.place, durable)?;
        if let Err(error) = file.sync().and_then(|()| self.storage.sync_directory()) {
            _ = self.storage.remove(&journal_name(self.place.file));
            return Err(error);
        }
        let start = (self.owner.instance, self.place.boot);
        if let Err(unwritten) = self.ledger.begin(start, self.place.file, durable) {
            if unwritten.is_in_doubt {
                // The manifest may name the file, so it stays. The next attempt creates the next file.
                (self.place.file, self.place.checksum) = (self.place.file + 1, checksum);
            } else {
                _ = self.storage.remove(&journal_name(self.place.file));
            }
            return Err(unwritten.error);
        }
        self.place.checksum = checksum;
        (self.file, self.length, self.is_stuck) = (Some(file), HEADER as u64, false);
        Ok(())
    }

    pub(crate) fn owner(&self) -> Owner {
        self.owner
    }

    /// Returns the sequence number of the last record, if all records are in the file.
    pub(crate) fn written(&self) -> Option<u64> {
        self.buffer.is_empty().then(|| self.place.next - 1)
    }

    /// Returns whether the next record will probably find room.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_stuck && !self.is_short
    }

    /// Begins a transaction, whose records have the time of `now`. The time in the file never decreases, even if the clock does.
    pub(crate) fn begin_transaction(&mut self, now: u64) {
        self.now = now;
    }

    /// Appends a record completely, or not at all.
    pub(crate) fn append(&mut self, entry: &Entry<'_>, durable: u64) -> io::Result<u64> {
        if self.is_stuck {
            self.retry()?;
        }
        let (start, before) = (self.buffer.len(), self.place);
        let time = self.now.max(before.time);
        let frame = Frame { sequence: before.next, durable, time };
        let Some(checksum) = encode_record(&mut self.buffer, frame, entry, before.checksum) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        self.place = Place { next: before.next + 1, checksum, time, ..before };
        let taken = self.make_room().and_then(|()| if self.can_reserve { Ok(()) } else { self.flush() });
        if taken.is_err() {
            self.buffer.truncate(start);
            self.place = before;
        }
        taken.map(|()| before.next)
    }

    /// Reserves space for all records in the buffer. If the file system cannot reserve space, the call still checks the
    /// file size limit, beyond which a write would end this process.
    fn make_room(&mut self) -> io::Result<()> {
        let wanted = self.buffer.len() as u64;
        if self.length + wanted <= self.reserved {
            return Ok(());
        }
        let file = self.file.as_ref().expect("no record is taken before the file is begun");
        for (is_short, bytes) in [(false, wanted.max(RESERVED)), (true, wanted)] {
            self.is_short = is_short;
            match file.reserve(self.length, bytes) {
                Ok(()) => {
                    self.reserved = self.length + bytes;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    (self.can_reserve, self.is_short) = (false, false);
                    return Ok(());
                }
                Err(error) if is_short => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Writes the buffer to the file. After an error the records stay in the buffer, and the next attempt first cuts
    /// off what may be in the file.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        // Without a file, no record was accepted.
        let Some(file) = &self.file else { return Ok(()) };
        if self.is_stuck {
            file.truncate(self.length)?;
            self.reserved = 0;
            self.is_stuck = false;
        }
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.is_stuck = true;
        append_all(&**file, &self.buffer)?;
        self.is_stuck = false;
        self.length += self.buffer.len() as u64;
        self.since += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(KEPT_BUFFER);
        Ok(())
    }

    /// Begins the file if necessary, and writes all accepted records to it.
    fn retry(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            self.begin()?;
        }
        self.flush()
    }

    /// Continues in a new file. Returns the end of the old file, the old file and the new one.
    pub(crate) fn rotate(&mut self, durable: u64) -> io::Result<(Place, [Arc<dyn StoredFile>; 2])> {
        self.retry()?;
        let before = self.place;
        let mut place = Place { file: before.file + 1, ..before };
        let (file, checksum) = make_file(&*self.storage, self.owner, self.background, &place, durable)?;
        place.checksum = checksum;
        let length = self.length;
        (self.place, self.length, self.reserved, self.since) = (place, HEADER as u64, 0, 0);
        let old = self.file.replace(file.clone()).expect("it is begun, or this had failed");
        give_back(&*old, length);
        Ok((before, [old, file]))
    }
}
