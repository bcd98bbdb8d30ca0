//! Where a replay starts, and the replay.

use super::directory::obstacle;
use super::error::{Damage, JournalError};
use super::files::{Catalogue, NoSnapshot, Snapshot, journal_name, read_snapshot, snapshot_name};
use super::format::{HEADER, Header, Version};
use super::record::{Entry, Unreadable};
use super::replay::{Break, End, Owner, Place, Step, walk};
use super::state;
use super::storage::{FileReader, Storage};
use super::target::Replay;
use std::error::Error;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// Bytes between two reports of progress: a few milliseconds.
const TELL: u64 = 1 << 20;

/// Creates errors that name the directory.
pub(crate) struct Errors<'a>(pub(crate) &'a Path);

impl Errors<'_> {
    pub(crate) fn io(&self, what: impl Into<String>) -> impl FnOnce(io::Error) -> JournalError {
        let (directory, what) = (self.0.to_owned(), what.into());
        move |source| JournalError::Io { directory, what, source }
    }

    /// Returns the error of opening the directory, which says what is there instead.
    pub(crate) fn directory(&self, what: &str, source: io::Error) -> JournalError {
        match obstacle(self.0) {
            Some(what) => JournalError::NotDirectory { directory: self.0.to_owned(), what },
            None => self.io(what)(source),
        }
    }

    pub(crate) fn display(&self, source: Box<dyn Error + Send + Sync>) -> JournalError {
        JournalError::Display { directory: self.0.to_owned(), source }
    }

    pub(crate) fn damaged(&self, broken: Break) -> JournalError {
        match broken.is_newer {
            true => self.newer(broken.damage),
            false => self.damage(broken.proven()),
        }
    }

    pub(crate) fn newer(&self, place: Damage) -> JournalError {
        JournalError::Newer { directory: self.0.to_owned(), place }
    }

    pub(crate) fn damage(&self, damage: Damage) -> JournalError {
        JournalError::Damaged { directory: self.0.to_owned(), damage }
    }
}

/// Where a replay starts.
pub(crate) struct RecoveryPoint<R> {
    pub(crate) display: R,
    pub(crate) owner: Owner,
    pub(crate) place: Place,
    /// The version and the state of a snapshot; `None` for an empty display.
    pub(crate) state: Option<(Version, Vec<u8>)>,
}

/// Returns the start of an empty display.
fn birth<R: Replay>(header: &Header) -> Result<RecoveryPoint<R>, Box<dyn Error + Send + Sync>> {
    Ok(RecoveryPoint {
        display: R::begin(header.size, header.background)?,
        owner: Owner { instance: header.instance, size: header.size },
        place: Place { file: 1, next: 1, checksum: 0, time: 0, boot: 0 },
        state: None,
    })
}

/// The start of a replay.
pub(crate) struct Found<R> {
    pub(crate) point: Option<RecoveryPoint<R>>,
    /// Newer snapshots that are damaged, and their damage.
    pub(crate) damaged: Vec<(u64, String)>,
}

/// Returns the newest intact snapshot for whose time `suits` returns true, or the empty display.
pub(crate) fn find_recovery_point<R: Replay>(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    errors: &Errors<'_>,
    suits: impl Fn(u64) -> bool,
) -> Result<Found<R>, JournalError> {
    let mut damaged = Vec::new();
    for &number in catalogue.snapshots.iter().rev() {
        match read_snapshot(storage, number) {
            Ok(Snapshot { header, .. }) if !suits(header.time) => {}
            Ok(Snapshot { header, display, state }) => {
                let place = Place {
                    file: number,
                    next: header.sequence + 1,
                    checksum: header.checksum,
                    time: header.time,
                    boot: header.boot,
                };
                let owner = Owner { instance: header.instance, size: header.size };
                let point =
                    Some(RecoveryPoint { display, owner, place, state: Some((header.version, state)) });
                return Ok(Found { point, damaged });
            }
            Err(NoSnapshot::Damaged(what)) => damaged.push((number, what)),
            Err(NoSnapshot::Io(error)) => {
                return Err(errors.io(format!("read {}", snapshot_name(number)))(error));
            }
            Err(NoSnapshot::Display(error)) => return Err(errors.display(error)),
        }
    }
    if catalogue.journals.first() != Some(&1) {
        return Ok(Found { point: None, damaged });
    }
    let header = read_header(storage, 1).map_err(errors.io(format!("read {}", journal_name(1))))?;
    let point = header.ok().map(|header| birth(&header)).transpose();
    let point = point.map_err(|error| errors.display(error))?;
    Ok(Found { point, damaged })
}

pub(crate) fn read_header(storage: &dyn Storage, number: u64) -> io::Result<Result<Header, String>> {
    let mut reader = FileReader::new(storage.open(&journal_name(number))?, 0)?;
    Ok(Header::decode(reader.peek(HEADER)?).map(|(header, _)| header))
}

/// Restores the sessions of a recovery point.
///
/// # Errors
/// If its state is damaged, or a later program has written a part of it that must not be skipped.
pub(crate) fn restore<R: Replay>(point: &mut RecoveryPoint<R>) -> Result<(), Unreadable> {
    let Some((version, state)) = &point.state else { return Ok(()) };
    let display = &mut point.display;
    state::decode(*version, state, &mut |id, session| display.session(id, &session))
}

/// Replays records from `point` on, while `wants` returns true for their time.
pub(crate) fn replay<R: Replay>(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    point: &mut RecoveryPoint<R>,
    progress: &mut dyn FnMut(u64, u64),
    wants: impl Fn(u64) -> bool,
) -> io::Result<End> {
    let (display, mut told) = (&mut point.display, 0);
    let mut total = 0;
    for &number in catalogue.journals.iter().filter(|&&number| number >= point.place.file) {
        total += storage.open(&journal_name(number))?.length()?;
    }
    walk(storage, catalogue, point.owner, point.place, &mut |place, bytes, step| {
        if let Step::Record(frame, entry) = step {
            if !wants(frame.time) {
                return ControlFlow::Break(());
            }
            match entry {
                Some(Entry::Call { session, request }) => display.call(place.next, *session, request),
                Some(Entry::Session { id, session }) => display.session(*id, session),
                None => {}
            }
        }
        if bytes - told >= TELL {
            told = bytes;
            progress(bytes, total);
        }
        ControlFlow::Continue(())
    })
}
