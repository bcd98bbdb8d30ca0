//! Inspects a journal without changing it, also while a server writes to it.

mod check;

#[cfg(test)]
pub(super) use check::examine;
use check::start;
pub use check::{Report, check};

use super::directory::Directory;
pub(crate) use super::directory::obstacle;
use super::error::{Damage, JournalError};
use super::files::{Catalogue, NoSnapshot, journal_name, snapshot_header, snapshot_name};
use super::recovery_point::{Errors, Found, find_recovery_point, read_header, replay};
use super::replay::{Owner, walk};
use super::storage::Storage;
use super::target::Replay;
use draw_protocol::Size;
use std::cell::Cell;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often an inspection is repeated if a server has just removed a file.
const TRIES: u32 = 10;

/// The properties of a journal, by its newest files.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The instance: random bytes that were chosen when the display was created.
    pub instance: [u8; 16],
    /// How often the instance was started.
    pub boot: u64,
    /// The size of the display.
    pub size: Size,
    /// Oldest first.
    pub snapshots: Vec<FileInfo>,
    /// Oldest first.
    pub journals: Vec<FileInfo>,
}

/// A file of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileInfo {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The number of the last record in a snapshot, or of the first record in a journal file.
    pub record: u64,
    /// When the file was created.
    pub begun: SystemTime,
    /// The damage of its header, in which case [`FileInfo::record`] and [`FileInfo::begun`] are meaningless. A server
    /// does not need the file: there is a newer snapshot, or an older one with the journal files since.
    pub damage: Option<String>,
}

impl FileInfo {
    fn damaged(damage: &Damage, bytes: u64) -> FileInfo {
        let (name, what) = (damage.file.clone(), Some(damage.what.clone()));
        FileInfo { name, bytes, record: 0, begun: UNIX_EPOCH, damage: what }
    }
}

/// A moment in the life of a display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moment {
    /// After the last record.
    #[default]
    End,
    /// After all records up to this time.
    At(SystemTime),
    /// This long before the last record.
    Before(Duration),
}

/// The last millisecond that RFC 3339 can express: years have four digits.
const LAST: u64 = 253_402_300_799_999;

/// From milliseconds since 1970.
fn time(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds.min(LAST))
}

/// Opens the directory of a journal and calls `look`, again if files were removed meanwhile.
fn with<T>(
    directory: &Path,
    mut look: impl FnMut(&dyn Storage, &Catalogue, &Errors<'_>) -> Result<T, JournalError>,
) -> Result<T, JournalError> {
    let errors = Errors(directory);
    for n in 1.. {
        let storage = Directory::read_only(directory).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if directory.symlink_metadata().is_err() => {
                JournalError::Missing(directory.to_owned())
            }
            _ => errors.directory("read it", error),
        })?;
        let catalogue = Catalogue::read(&storage).map_err(errors.io("list it"))?;
        if catalogue.is_empty() && catalogue.manifest.is_none() {
            return Err(JournalError::Missing(directory.to_owned()));
        }
        match look(&storage, &catalogue, &errors) {
            Err(JournalError::Io { source, .. }) if n < TRIES && source.kind() == io::ErrorKind::NotFound => {
            }
            looked => return looked,
        }
    }
    unreachable!("the last try returns")
}

fn no_snapshot(errors: &Errors<'_>, number: u64, why: NoSnapshot) -> Result<Damage, JournalError> {
    match why {
        NoSnapshot::Damaged(what) => Ok(Damage { file: snapshot_name(number), offset: 0, record: 0, what }),
        NoSnapshot::Io(error) => Err(errors.io(format!("read {}", snapshot_name(number)))(error)),
        NoSnapshot::Display(error) => Err(errors.display(error)),
    }
}

/// Reads the headers of the files in `directory`.
///
/// # Errors
/// If there is no journal, if it cannot be read, or if a header is damaged or a file is missing that a server needs.
pub fn info(directory: &Path) -> Result<Info, JournalError> {
    with(directory, |storage, catalogue, errors| {
        let length = |name: &str| {
            let length = storage.open(name).and_then(|file| file.length());
            length.map_err(errors.io(format!("read {name}")))
        };
        let damaged = |damage| JournalError::Damaged { directory: directory.to_owned(), damage };
        if let Some(place) = catalogue.later_file(storage) {
            return Err(errors.newer(place));
        }
        if let Some(damage) = catalogue.wrong_manifest(storage).map_err(errors.io("read it"))? {
            return Err(damaged(damage));
        }
        let (mut snapshots, mut journals, mut newest, mut headers) =
            (Vec::new(), Vec::new(), None, Vec::new());
        let mut wrong = Vec::new();
        for &number in &catalogue.snapshots {
            let name = snapshot_name(number);
            let bytes = length(&name)?;
            match snapshot_header(storage, number) {
                Ok(header) => {
                    newest = Some((header.instance, header.boot, header.size));
                    let (record, begun) = (header.sequence, time(header.taken));
                    snapshots.push(FileInfo { name, bytes, record, begun, damage: None });
                    headers.push((number, header));
                }
                Err(why) => {
                    let damage = no_snapshot(errors, number, why)?;
                    snapshots.push(FileInfo::damaged(&damage, bytes));
                    wrong.push((number, damage));
                }
            }
        }
        for &number in &catalogue.journals {
            let name = journal_name(number);
            let header = read_header(storage, number).map_err(errors.io(format!("read {name}")))?;
            // The last file may not have a header yet.
            let is_last = catalogue.journals.last() == Some(&number);
            let bytes = length(&name)?;
            match header {
                Ok(header) => {
                    newest = Some((header.instance, header.boot, header.size));
                    let (record, begun) = (header.first, time(header.time));
                    journals.push(FileInfo { name, bytes, record, begun, damage: None });
                }
                Err(_) if is_last && newest.is_some() => {}
                Err(what) => {
                    let damage = Damage { file: name, offset: 0, record: 0, what };
                    journals.push(FileInfo::damaged(&damage, bytes));
                    wrong.push((number, damage));
                }
            }
        }
        if let Some((_, first)) = wrong.first() {
            // Whether there is a picture in spite of it.
            let Some(point) = find_recovery_point::<()>(storage, catalogue, errors, |_| true)?.point else {
                return Err(damaged(first.clone()));
            };
            let is_needed = |(number, damage): &&(u64, Damage)| {
                *number >= point.place.file && damage.file == journal_name(*number)
            };
            if let Some((_, needed)) = wrong.iter().find(is_needed) {
                return Err(damaged(needed.clone()));
            }
        }
        let (instance, boot, size) = newest.ok_or_else(|| JournalError::Missing(directory.to_owned()))?;
        if catalogue.has_gap(Owner { instance, size })
            && let Some((owner, place)) =
                start(storage, catalogue, &headers).map_err(errors.io("read it"))?.map_err(damaged)?
        {
            let end = walk(storage, catalogue, owner, place, &mut |_, _, _| ControlFlow::Continue(()));
            if let Some(broken) = end.map_err(errors.io("read it"))?.broken {
                return Err(errors.damaged(broken));
            }
        }
        Ok(Info { instance, boot, size, snapshots, journals })
    })
}

/// Returns the display as it was at a moment. `progress` is called with the bytes replayed so far, and with their
/// total.
///
/// # Errors
/// If the journal does not reach back so far, if it is damaged before that moment, or if it cannot be read.
pub(crate) fn export<R: Replay>(
    directory: &Path,
    moment: Moment,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<R, JournalError> {
    with(directory, |storage, catalogue, errors| {
        let until = match moment {
            Moment::End => u64::MAX,
            Moment::At(at) => milliseconds(at.duration_since(UNIX_EPOCH).unwrap_or_default()),
            Moment::Before(before) => {
                let end = last_time(storage, catalogue, errors)?;
                end.saturating_sub(milliseconds(before))
            }
        };
        let Found { point, damaged } = find_recovery_point(storage, catalogue, errors, |time| time <= until)?;
        let wrong = catalogue.wrong_manifest(storage).map_err(errors.io("read it"))?;
        // The moment may be before anything that a later program has written. If not, the picture has to come from it.
        let later = || catalogue.later_file(storage).map(|place| errors.newer(place));
        let Some(mut point) = point else {
            return Err(later().unwrap_or_else(|| match wrong {
                Some(damage) => errors.damage(damage),
                None => nothing_before(storage, catalogue, errors, damaged),
            }));
        };
        let is_at_end = Cell::new(true);
        let wants = |time| {
            is_at_end.set(time <= until);
            is_at_end.get()
        };
        let end = replay(storage, catalogue, &mut point, progress, wants);
        let end = end.map_err(errors.io("read it"))?;
        match end.broken {
            Some(broken) if broken.proof.is_some() => return Err(errors.damaged(broken)),
            None if is_at_end.get() => {
                let wrong =
                    wrong.or_else(|| catalogue.contradiction(point.owner, point.place.file, &end.place));
                if let Some(damage) = wrong {
                    return Err(later().unwrap_or_else(|| errors.damage(damage)));
                }
            }
            _ => {}
        }
        Ok(point.display)
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns when the last record was written.
fn last_time(storage: &dyn Storage, catalogue: &Catalogue, errors: &Errors<'_>) -> Result<u64, JournalError> {
    let point = find_recovery_point::<()>(storage, catalogue, errors, |_| true)?.point;
    let Some(point) = point else { return Ok(0) };
    let end = walk(storage, catalogue, point.owner, point.place, &mut |_, _, _| ControlFlow::Continue(()));
    Ok(end.map_err(errors.io("read it"))?.place.time)
}

/// Returns why there is no picture to start from.
fn nothing_before(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    errors: &Errors<'_>,
    damaged: Vec<(u64, String)>,
) -> JournalError {
    let directory = errors.0.to_owned();
    match (damaged.into_iter().next(), catalogue.snapshots.first()) {
        (Some((number, what)), _) => {
            let damage = Damage { file: snapshot_name(number), offset: 0, record: 0, what };
            JournalError::Damaged { directory, damage }
        }
        (None, Some(&oldest)) => match snapshot_header(storage, oldest) {
            Ok(header) => {
                let begin = humantime::format_rfc3339_millis(time(header.time)).to_string();
                JournalError::TooEarly { directory, begin }
            }
            Err(_) => JournalError::Missing(directory),
        },
        (None, None) => JournalError::Missing(directory),
    }
}
