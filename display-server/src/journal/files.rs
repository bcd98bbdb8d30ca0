//! Lists the files of a journal, and reads and writes snapshot files.

use super::format::{SNAPSHOT_HEADER, SUM, SnapshotHeader};
use super::manifest::{Manifest, UNFINISHED};
use super::storage::{FileReader, Storage, append_all, set_aside};
use super::target::Replay;
use draw_protocol::Color;
use std::error::Error;
use std::io::{self, Read};
use xxhash_rust::xxh3::Xxh3;

pub(crate) fn journal_name(number: u64) -> String {
    format!("journal-{number:016}")
}

pub(crate) fn snapshot_name(number: u64) -> String {
    format!("snapshot-{number:016}")
}

/// The number of a placeholder. Programs that know only version 1 of the format take the file for a damaged snapshot
/// behind all journal files, and refuse the journal. Without it they would take files of version 2 for a torn end, and
/// cut them off.
pub(crate) const BARRIER: u64 = 9_000_000_000_000_000;

/// Creates the file of [`BARRIER`], unless it exists.
pub(crate) fn make_barrier(storage: &dyn Storage) -> io::Result<()> {
    let file = match storage.create(&snapshot_name(BARRIER)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        created => created?,
    };
    // Only its name matters. Without room for the text, it stays empty.
    _ = set_aside(&*file, BARRIER_TEXT.len() as u64).and_then(|()| append_all(&*file, BARRIER_TEXT));
    Ok(())
}

const BARRIER_TEXT: &[u8] = b"DRAWSNAP\0\0\0\x02\nNo snapshot: this journal is of version 2, and older programs must not cut it off.\n";

fn unfinished_name(number: u64) -> String {
    format!("snapshot-{number:016}.new")
}

/// The files of a journal, each list in ascending order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Catalogue {
    pub(crate) journals: Vec<u64>,
    pub(crate) snapshots: Vec<u64>,
    /// Unfinished snapshots and manifests.
    pub(crate) unfinished: Vec<String>,
    /// The manifest, or what is wrong with it; `None` if there is none.
    pub(crate) manifest: Option<Result<Manifest, String>>,
}

/// How often a directory is listed again if a server has just created or removed a file.
const TRIES: u32 = 10;

impl Catalogue {
    /// Reads the manifest and the names of all files, in a consistent state.
    pub(crate) fn read(storage: &dyn Storage) -> io::Result<Catalogue> {
        let mut manifest = Manifest::read(storage)?;
        for n in 1.. {
            let catalogue = Catalogue::list(storage)?;
            let after = Manifest::read(storage)?;
            if after == manifest || n == TRIES {
                return Ok(Catalogue { manifest, ..catalogue });
            }
            manifest = after;
        }
        unreachable!("the last try returns")
    }

    /// Reads the names of all files, and not the manifest.
    pub(crate) fn list(storage: &dyn Storage) -> io::Result<Catalogue> {
        let mut catalogue = Catalogue::default();
        for name in storage.list()? {
            let (kind, number) = name.split_once('-').unwrap_or_default();
            let is_number = number.len() == 16 && number.bytes().all(|b| b.is_ascii_digit());
            match (kind, number.parse().ok().filter(|&n| is_number && n > 0)) {
                ("journal", Some(number)) => catalogue.journals.push(number),
                ("snapshot", Some(BARRIER)) => {}
                ("snapshot", Some(number)) => catalogue.snapshots.push(number),
                ("snapshot", None) if number.ends_with(".new") => catalogue.unfinished.push(name),
                _ if name == UNFINISHED => catalogue.unfinished.push(name),
                _ => {}
            }
        }
        catalogue.journals.sort_unstable();
        catalogue.snapshots.sort_unstable();
        Ok(catalogue)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.journals.is_empty() && self.snapshots.is_empty()
    }
}

/// Writes a snapshot durably. The file is complete or does not exist.
pub(crate) fn write_snapshot(
    storage: &dyn Storage,
    number: u64,
    header: &SnapshotHeader,
    picture: &[u8],
    state: &[u8],
) -> io::Result<()> {
    let name = unfinished_name(number);
    // Removes an unfinished snapshot of the same name.
    match storage.remove(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = (|| {
        let file = storage.create(&name)?;
        set_aside(&*file, (header.length() + picture.len() + state.len() + SUM) as u64)?;
        let mut hash = Xxh3::new();
        for part in [&header.encode(), picture, state] {
            hash.update(part);
            append_all(&*file, part)?;
        }
        append_all(&*file, &hash.digest().to_be_bytes())?;
        file.sync()?;
        storage.rename(&name, &snapshot_name(number))
    })();
    if written.is_err() {
        // If this fails, the next snapshot removes it.
        _ = storage.remove(&name);
    }
    written?;
    storage.sync_directory()
}

/// The contents of a snapshot.
#[derive(Debug)]
pub(crate) struct Snapshot<R> {
    pub(crate) header: SnapshotHeader,
    pub(crate) display: R,
    pub(crate) state: Vec<u8>,
}

/// Why a snapshot file cannot be used.
#[derive(Debug)]
pub(crate) enum NoSnapshot {
    /// It was changed.
    Damaged(String),
    /// The file cannot be read.
    Io(io::Error),
    /// There is no memory for the display.
    Display(Box<dyn Error + Send + Sync>),
}

impl From<io::Error> for NoSnapshot {
    fn from(error: io::Error) -> NoSnapshot {
        NoSnapshot::Io(error)
    }
}

/// Reads the header of a snapshot. It is not verified before the checksum at the end.
pub(crate) fn snapshot_header(storage: &dyn Storage, number: u64) -> Result<SnapshotHeader, NoSnapshot> {
    let mut reader = FileReader::new(storage.open(&snapshot_name(number))?, 0)?;
    read_header(&mut reader)
}

fn read_header(reader: &mut FileReader) -> Result<SnapshotHeader, NoSnapshot> {
    let header = SnapshotHeader::decode(reader.peek(SNAPSHOT_HEADER)?).map_err(NoSnapshot::Damaged)?;
    // Checked before memory is allocated by it.
    let picture = u64::from(header.size.width) * u64::from(header.size.height);
    let length = u128::from(picture) * 4 + u128::from(header.state) + (header.length() + SUM) as u128;
    if length != u128::from(reader.left()) {
        return Err(NoSnapshot::Damaged(format!("it has {} bytes, not {length}", reader.left())));
    }
    Ok(header)
}

/// Reads a snapshot, and verifies its checksum.
pub(crate) fn read_snapshot<R: Replay>(
    storage: &dyn Storage,
    number: u64,
) -> Result<Snapshot<R>, NoSnapshot> {
    let mut reader = FileReader::new(storage.open(&snapshot_name(number))?, 0)?;
    let header = read_header(&mut reader)?;
    let mut hash = Xxh3::new();
    hash.update(reader.peek(header.length())?);
    reader.advance(header.length());
    let mut display = R::begin(header.size, Color::BLACK).map_err(NoSnapshot::Display)?;
    let mut row = vec![0; header.size.width as usize * 4];
    for y in 0..header.size.height {
        reader.read_exact(&mut row)?;
        hash.update(&row);
        display.row(y, &row);
    }
    // The length is bounded by that of the file.
    let mut state = vec![0; usize::try_from(header.state).unwrap_or(usize::MAX)];
    reader.read_exact(&mut state)?;
    hash.update(&state);
    let mut sum = [0; SUM];
    reader.read_exact(&mut sum)?;
    if u64::from_be_bytes(sum) != hash.digest() {
        return Err(NoSnapshot::Damaged("its checksum is wrong".into()));
    }
    Ok(Snapshot { header, display, state })
}
