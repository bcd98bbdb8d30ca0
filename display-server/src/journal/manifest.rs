//! The manifest: the list of a journal's files, by which missing files are detected. `JOURNAL.md` describes its bytes.
//!
//! All files that the manifest on the disk names are on the disk: a file is named after its header and its name are
//! synced, and none of its records is reported as durable before, unless the manifest cannot be written (see
//! [`Ledger::add_journal`]). It may be out of date: superfluous files are removed before it is updated, which makes
//! room on a full disk, and a file that was begun just before a loss of power may not be in it. The numbers of the
//! files distinguish both cases from a loss.

use super::format::{Fields, MANIFEST_MAGIC, MOST, SUM, TWO, put};
use super::lock::locked;
use super::storage::{FileReader, Storage, append_all, is_full, set_aside};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use tracing::{info, warn};
use xxhash_rust::xxh3::xxh3_64;

pub(crate) const MANIFEST: &str = "manifest";
/// An unfinished manifest.
pub(crate) const UNFINISHED: &str = "manifest.new";

/// The number of snapshots that are kept. If the newest is damaged, the other is used.
pub(crate) const KEPT: usize = 2;

/// Names have sixteen digits.
const NUMBERS: u64 = 10_u64.pow(16);

/// More files than any journal has: a start takes a snapshot when there are a few.
const MOST_FILES: u64 = 1 << 16;

/// The files of a journal by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) instance: [u8; 16],
    /// The number of the start that wrote the newest journal file in it.
    pub(crate) boot: u64,
    /// All records up to this number were synced when the manifest was written.
    pub(crate) durable: u64,
    pub(crate) journals: BTreeSet<u64>,
    pub(crate) snapshots: BTreeSet<u64>,
}

impl Manifest {
    fn encode(&self) -> Vec<u8> {
        let mut out = MANIFEST_MAGIC.to_vec();
        out.extend_from_slice(&TWO.to_be_bytes());
        out.extend_from_slice(&self.instance);
        put(&mut out, &[self.boot, self.durable, self.journals.len() as u64, self.snapshots.len() as u64]);
        for &number in self.journals.iter().chain(&self.snapshots) {
            put(&mut out, &[number]);
        }
        let checksum = xxh3_64(&out);
        put(&mut out, &[checksum]);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Manifest, String> {
        let (covered, sum) = bytes.split_last_chunk::<SUM>().ok_or("it is cut off")?;
        let mut fields = Fields(covered);
        // Both versions have the same fields. A program that knows only version 1 refuses the directory by this number.
        fields.start(MANIFEST_MAGIC, MANIFEST)?;
        if u64::from_be_bytes(*sum) != xxh3_64(covered) {
            return Err("its checksum is wrong".into());
        }
        let read = (|| {
            let (instance, boot, durable) = (fields.array()?, fields.u64()?, fields.u64()?);
            let counts = [fields.u64()?, fields.u64()?];
            let mut numbers =
                |n: u64| (0..n.min(MOST_FILES)).map(|_| fields.u64()).collect::<Option<BTreeSet<u64>>>();
            let (journals, snapshots) = (numbers(counts[0])?, numbers(counts[1])?);
            let is_whole = fields.0.is_empty() && counts == [journals.len() as u64, snapshots.len() as u64];
            // Numbers are incremented, and are used in names.
            let mut files = journals.iter().chain(&snapshots);
            let is_possible =
                boot < MOST && durable < MOST && files.all(|number| (1..NUMBERS).contains(number));
            (is_whole && is_possible).then_some(Manifest { instance, boot, durable, journals, snapshots })
        })();
        read.ok_or_else(|| "it has invalid numbers".into())
    }

    /// Reads the manifest of a directory. `None` if there is none.
    pub(crate) fn read(storage: &dyn Storage) -> io::Result<Option<Result<Manifest, String>>> {
        let file = match storage.open(MANIFEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut reader = FileReader::new(file, 0)?;
        let most = 64 + 2 * 8 * MOST_FILES;
        if reader.left() > most {
            return Ok(Some(Err(format!("it has {} bytes, and at most {most} are possible", reader.left()))));
        }
        let bytes = reader.peek(most as usize)?;
        Ok(Some(Manifest::decode(bytes)))
    }

    /// Returns the highest number in it.
    pub(crate) fn newest(&self) -> u64 {
        self.journals.last().max(self.snapshots.last()).copied().unwrap_or(0)
    }

    /// Returns whether a missing file of this number was superfluous, by the existing snapshots.
    pub(crate) fn is_superfluous(number: u64, snapshots: &[u64]) -> bool {
        snapshots.iter().filter(|&&newer| newer > number).count() >= KEPT
    }
}

/// Why the manifest was not written.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pub(crate) error: io::Error,
    /// The new manifest may nevertheless have replaced the old one.
    pub(crate) is_in_doubt: bool,
    /// A sync has failed, for another reason than a full disk.
    pub(crate) is_failed_sync: bool,
}

/// Replaces the manifest atomically and durably.
fn replace(storage: &dyn Storage, manifest: &Manifest) -> Result<(), Unwritten> {
    let early = |error| Unwritten { error, is_in_doubt: false, is_failed_sync: false };
    let unsynced = |is_in_doubt| {
        move |error: io::Error| Unwritten { is_failed_sync: !is_full(&error), error, is_in_doubt }
    };
    match storage.remove(UNFINISHED) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(early(error)),
        _ => {}
    }
    let bytes = manifest.encode();
    let written = (|| {
        let file = storage.create(UNFINISHED).map_err(early)?;
        set_aside(&*file, bytes.len() as u64).map_err(early)?;
        append_all(&*file, &bytes).map_err(early)?;
        file.sync().map_err(unsynced(false))
    })();
    if written.is_err() {
        // If this fails, the next manifest removes it.
        _ = storage.remove(UNFINISHED);
    }
    written?;
    let renamed = storage.rename(UNFINISHED, MANIFEST);
    renamed.map_err(|error| Unwritten { error, is_in_doubt: true, is_failed_sync: false })?;
    storage.sync_directory().map_err(unsynced(true))
}

/// Updates the manifest of a journal that is being written: when a file is created or removed, and never for a call.
#[derive(Debug)]
pub(crate) struct Ledger {
    storage: Arc<dyn Storage>,
    /// Names the journal in the log.
    directory: PathBuf,
    /// Locked while the manifest is written. The log or the sync may be locked before it, never after.
    state: Mutex<State>,
    /// The last attempt to write it failed.
    is_stale: AtomicBool,
}

#[derive(Debug)]
struct State {
    manifest: Manifest,
    /// There is a manifest on the disk, possibly an older one.
    is_there: bool,
    /// A loss was accepted. The manifest stays that of the old instance until the first snapshot of the new one.
    is_held: bool,
}

impl Ledger {
    /// Creates the ledger of a directory that has these files.
    pub(crate) fn new(
        (storage, directory): (Arc<dyn Storage>, PathBuf),
        manifest: Manifest,
        is_there: bool,
        is_held: bool,
    ) -> Ledger {
        let state = Mutex::new(State { manifest, is_there, is_held });
        Ledger { storage, directory, state, is_stale: AtomicBool::new(false) }
    }

    fn write(&self, state: &mut State) -> Result<(), Unwritten> {
        if state.is_held {
            return Ok(());
        }
        let written = replace(&*self.storage, &state.manifest);
        state.is_there |= written.is_ok();
        self.is_stale.store(written.is_err(), Relaxed);
        written
    }

    /// Writes a manifest if there is none. After that, a header may say that there is one.
    pub(crate) fn ensure(&self) -> io::Result<()> {
        let mut state = locked(&self.state);
        if state.is_there { Ok(()) } else { self.write(&mut state).map_err(|unwritten| unwritten.error) }
    }

    /// Adds a journal file that a start has begun, and that is on the disk. If the manifest cannot be written, the file
    /// is not added, unless that is in doubt.
    pub(crate) fn begin(
        &self,
        (instance, boot): ([u8; 16], u64),
        number: u64,
        durable: u64,
    ) -> Result<(), Unwritten> {
        let mut state = locked(&self.state);
        let before = state.manifest.clone();
        state.manifest.journals.insert(number);
        (state.manifest.instance, state.manifest.boot, state.manifest.durable) = (instance, boot, durable);
        let written = self.write(&mut state);
        if written.as_ref().is_err_and(|unwritten| !unwritten.is_in_doubt) {
            state.manifest = before;
        }
        written
    }

    /// Adds journal files that are on the disk, as are all records up to `durable`. Retries an update that failed
    /// before.
    ///
    /// A failure is logged, and retried with each sync. Until then a removal of the file would not be detected, which
    /// is no reason to end a display whose records are on the disk.
    ///
    /// # Errors
    /// If a sync has failed.
    pub(crate) fn add_journals(&self, numbers: &[u64], durable: u64) -> io::Result<()> {
        if numbers.is_empty() && !self.is_stale.load(Relaxed) {
            return Ok(());
        }
        let mut state = locked(&self.state);
        state.manifest.journals.extend(numbers);
        state.manifest.durable = state.manifest.durable.max(durable);
        self.tell(&mut state)
    }

    /// Adds a snapshot that is on the disk, and removes files older than `oldest`.
    ///
    /// # Errors
    /// If a sync has failed, or this is the first snapshot since a loss was accepted.
    pub(crate) fn add_snapshot(&self, number: u64, oldest: u64) -> io::Result<()> {
        let mut state = locked(&self.state);
        state.manifest.snapshots.insert(number);
        state.manifest.snapshots.retain(|&number| number >= oldest);
        state.manifest.journals.retain(|&number| number >= oldest);
        if std::mem::take(&mut state.is_held) {
            return self.write(&mut state).map_err(|unwritten| unwritten.error);
        }
        self.tell(&mut state)
    }

    /// Writes the manifest. Logs the first failure.
    fn tell(&self, state: &mut State) -> io::Result<()> {
        let (was_stale, directory) = (self.is_stale.load(Relaxed), self.directory.display());
        match self.write(state) {
            Ok(()) if was_stale => info!("the manifest of the journal in {directory} is written again"),
            Ok(()) => {}
            Err(Unwritten { error, is_failed_sync: true, .. }) => return Err(error),
            Err(Unwritten { error, .. }) if was_stale => _ = error,
            Err(Unwritten { error, .. }) => {
                warn!(
                    "cannot write the manifest of the journal in {directory} ({error}): until it is written, removed files \
                     are not detected"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_that_are_described() {
        let (journals, snapshots) = (BTreeSet::from([3, 4, 5]), BTreeSet::from([3, 4]));
        let manifest = Manifest { instance: [7; 16], boot: 2, durable: 99, journals, snapshots };
        let bytes = manifest.encode();
        let numbers = [2, 99, 3, 2, 3, 4, 5, 3, 4].into_iter().flat_map(u64::to_be_bytes);
        let covered: Vec<u8> = b"DRAWMANI\0\0\0\x02".iter().copied().chain([7; 16]).chain(numbers).collect();
        assert_eq!(bytes, [&covered[..], &xxh3_64(&covered).to_be_bytes()].concat());
        assert_eq!(Manifest::decode(&bytes), Ok(manifest.clone()));
        let mut first = covered.clone();
        first[11] = 1;
        let first = [&first[..], &xxh3_64(&first).to_be_bytes()].concat();
        assert_eq!(Manifest::decode(&first), Ok(manifest), "version 1 is read");
        assert_eq!(covered.len(), 60 + 5 * 8);
    }

    #[test]
    fn numbers_that_cannot_be_are_refused_however_right_the_checksum_is() {
        let good = Manifest { boot: 1, journals: BTreeSet::from([1]), ..Manifest::default() };
        assert!(Manifest::decode(&good.encode()).is_ok());
        for bad in [
            Manifest { boot: u64::MAX, ..good.clone() },
            Manifest { durable: u64::MAX, ..good.clone() },
            Manifest { journals: BTreeSet::from([0]), ..good.clone() },
            Manifest { snapshots: BTreeSet::from([u64::MAX]), ..good.clone() },
        ] {
            assert!(Manifest::decode(&bad.encode()).is_err(), "{bad:?}");
        }
        // Counts that are larger or smaller than the list.
        for (at, count) in [(44, u64::MAX), (52, 1 << 40), (44, 0)] {
            let mut bytes = good.encode();
            bytes.truncate(bytes.len() - SUM);
            bytes[at..at + 8].copy_from_slice(&count.to_be_bytes());
            let sealed = [&bytes[..], &xxh3_64(&bytes).to_be_bytes()].concat();
            assert!(Manifest::decode(&sealed).is_err(), "{count} at {at}");
        }
    }
}
