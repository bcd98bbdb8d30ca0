//! Checks a whole journal: whether a server would start with it, and what is damaged.

use super::{no_snapshot, time, with};
use crate::journal::error::{Damage, JournalError};
use crate::journal::files::{Catalogue, NoSnapshot, journal_name, read_snapshot, snapshot_name};
use crate::journal::format::SnapshotHeader;
use crate::journal::manifest::KEPT;
use crate::journal::record::{Entry, Unreadable};
use crate::journal::recover::{Unfounded, unfounded, unknown_state};
use crate::journal::recovery_point::{Errors, Found, find_recovery_point, read_header, restore};
use crate::journal::replay::{Owner, Place, Step, walk};
use crate::journal::storage::Storage;
use std::collections::HashSet;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::SystemTime;

/// The contents of a journal, whether a server starts with it, and its damage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Drawing calls.
    pub records: u64,
    /// The numbers of the first and the last drawing call.
    pub numbers: Option<(u64, u64)>,
    /// The times of the first and the last drawing call.
    pub times: Option<(SystemTime, SystemTime)>,
    /// The sessions that made the calls.
    pub sessions: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// The numbers of intact snapshots, and of journal files.
    pub files: (u64, u64),
    /// A torn end, and its size in bytes: a server that starts cuts it off.
    pub torn: Option<(Damage, u64)>,
    /// Why a server refuses to start, in the server's words; `None` if it starts.
    pub damage: Option<Damage>,
    /// A server of this version refuses to start because a later program has written [`Report::damage`], which is not
    /// known to be damaged. No loss can be accepted there.
    pub is_newer: bool,
    /// Other damage, with which a server starts.
    pub warnings: Vec<Damage>,
}

/// Checks the whole journal in `directory`. `progress` is called with the bytes read so far, and with their total.
///
/// # Errors
/// If there is no journal, or it cannot be read. Damage is part of the report, not an error.
pub fn check(directory: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Report, JournalError> {
    with(directory, |storage, catalogue, errors| examine(storage, catalogue, errors, progress))
}

/// Reads all of a journal.
pub(in crate::journal) fn examine(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    errors: &Errors<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, JournalError> {
    let (mut report, mut found) = read(storage, catalogue, errors, progress)?;
    if let Some(refusal) = refusal(storage, catalogue, errors)? {
        report.is_newer = matches!(refusal, Refusal::Newer(_));
        let (Refusal::Newer(damage) | Refusal::Damaged(damage)) = refusal;
        found
            .retain(|other| other.file != damage.file || (!report.is_newer && other.record != damage.record));
        report.damage = Some(damage);
        // No part is cut off before a loss is accepted.
        report.torn = None;
    }
    report.warnings = found;
    Ok(report)
}

/// Why a server does not start.
enum Refusal {
    Damaged(Damage),
    Newer(Damage),
}

/// Returns why a server would not start, by the same steps in the same order as `recover`.
fn refusal(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    errors: &Errors<'_>,
) -> Result<Option<Refusal>, JournalError> {
    if let Some(place) = catalogue.later_file(storage) {
        return Ok(Some(Refusal::Newer(place)));
    }
    let Found { point, damaged } = find_recovery_point::<()>(storage, catalogue, errors, |_| true)?;
    if let Some(damage) = catalogue.wrong_manifest(storage).map_err(errors.io("read it"))? {
        return Ok(Some(Refusal::Damaged(damage)));
    }
    let Some(mut point) = point else {
        let found = unfounded(storage, catalogue, &damaged).map_err(errors.io("read it"))?;
        return Ok(match found {
            Unfounded::Damaged(broken) => Some(Refusal::Damaged(broken.proven())),
            Unfounded::Unbegun(_) | Unfounded::Nothing => None,
        });
    };
    match restore(&mut point) {
        Ok(()) => {}
        Err(Unreadable::Damaged(why)) => {
            return Ok(Some(Refusal::Damaged(unknown_state(&point.place, &why))));
        }
        Err(Unreadable::Newer(why)) => return Ok(Some(Refusal::Newer(unknown_state(&point.place, &why)))),
    }
    let end = walk(storage, catalogue, point.owner, point.place, &mut |_, _, _| ControlFlow::Continue(()));
    let end = end.map_err(errors.io("read it"))?;
    Ok(match end.broken {
        Some(broken) if broken.is_newer => Some(Refusal::Newer(broken.damage)),
        Some(broken) => broken.proof.is_some().then(|| Refusal::Damaged(broken.proven())),
        None => catalogue.contradiction(point.owner, point.place.file, &end.place).map(Refusal::Damaged),
    })
}

/// Reads all of a journal from its oldest file on: its contents, and its damage.
fn read(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    errors: &Errors<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(Report, Vec<Damage>), JournalError> {
    let mut found: Vec<Damage> = Vec::new();
    let mut report = Report::default();
    for name in catalogue.journals.iter().map(|&n| journal_name(n)) {
        let length = storage.open(&name).and_then(|file| file.length());
        report.bytes += length.map_err(errors.io(format!("read {name}")))?;
    }
    let total = report.bytes;
    let mut snapshots = Vec::new();
    for &number in &catalogue.snapshots {
        match read_snapshot::<()>(storage, number) {
            Ok(snapshot) => snapshots.push((number, snapshot.header)),
            // A file that is missing now was just removed by a server, so the check is repeated.
            Err(NoSnapshot::Io(error)) if error.kind() != io::ErrorKind::NotFound => {
                let what = format!("it cannot be read: {error}");
                found.push(Damage { file: snapshot_name(number), offset: 0, record: 0, what });
            }
            Err(why) => found.push(no_snapshot(errors, number, why)?),
        }
        let length = storage.open(&snapshot_name(number)).and_then(|file| file.length());
        report.bytes += length.map_err(errors.io(format!("read {}", snapshot_name(number))))?;
    }
    report.files = (snapshots.len() as u64, catalogue.journals.len() as u64);
    let wrong = catalogue.wrong_manifest(storage).map_err(errors.io("read it"))?;
    let is_named = wrong.is_none();
    found.extend(wrong);
    let mut sessions = HashSet::new();
    // From the oldest file on, and then from every snapshot that begins a new instance, after a loss was accepted.
    let mut from = match start(storage, catalogue, &snapshots).map_err(errors.io("read it"))? {
        Ok(start) => start,
        Err(damage) => {
            found.push(damage);
            None
        }
    };
    let (mut done, mut told) = (0, 0);
    while let Some((owner, place)) = from.take() {
        let end = walk(storage, catalogue, owner, place, &mut |place, bytes, step| {
            match step {
                Step::File(header) => {
                    let snapshot = snapshots.iter().find(|(number, _)| *number == place.file);
                    if let Some((number, snapshot)) = snapshot
                        && (snapshot.sequence + 1, snapshot.checksum) != (header.first, header.previous)
                    {
                        let what = "it does not match the journal file after it".into();
                        let (file, record) = (snapshot_name(*number), header.first);
                        found.push(Damage { file, offset: 0, record, what });
                    }
                }
                Step::Record(frame, entry) => {
                    let (number, at) = (frame.sequence, time(frame.time));
                    report.records += 1;
                    report.numbers = Some((report.numbers.map_or(number, |(first, _)| first), number));
                    report.times = Some((report.times.map_or(at, |(first, _)| first), at));
                    sessions.extend(entry.and_then(Entry::session));
                }
            }
            if bytes - told >= 1 << 20 {
                told = bytes;
                progress(done + bytes, total);
            }
            ControlFlow::Continue(())
        });
        let end = end.map_err(errors.io("read it"))?;
        (done, told) = (done + end.bytes, 0);
        if let Some(broken) = end.broken {
            let renewed = snapshots
                .iter()
                .find(|(number, header)| *number > broken.file && header.instance != owner.instance);
            if let Some((number, header)) = renewed {
                from = Some(behind(*number, header));
            } else if broken.proof.is_some() {
                found.push(broken.proven());
            } else if broken.bytes > 0 {
                report.torn = Some((broken.damage, broken.bytes));
            }
        } else if is_named {
            let base = snapshots.last().map_or(place.file, |(number, _)| *number);
            found.extend(catalogue.contradiction(owner, base, &end.place));
        }
        if from.is_none() {
            let lost = catalogue.lost(owner);
            let is_told = |name: &String| found.iter().any(|damage| damage.file == *name);
            let lost = lost.into_iter().filter(|name| !is_told(name)).map(|file| {
                let what = "the file is missing (the manifest names it)".into();
                Damage { file, offset: 0, record: 0, what }
            });
            let lost: Vec<_> = lost.collect();
            found.extend(lost);
        }
    }
    report.sessions = sessions.len() as u64;
    Ok((report, found))
}

/// Returns the owner of the files, and the start of the oldest necessary one. (The removal of other files may have been
/// interrupted, in any order.)
pub(super) fn start(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    snapshots: &[(u64, SnapshotHeader)],
) -> io::Result<Result<Option<(Owner, Place)>, Damage>> {
    let needed = catalogue.snapshots.iter().rev().nth(KEPT - 1).or(catalogue.snapshots.first());
    let Some(&needed) = needed.or(catalogue.journals.first()) else { return Ok(Ok(None)) };
    let before = (1..=needed).rev().take_while(|number| catalogue.journals.contains(number));
    if let Some(first) = before.last() {
        let found = read_header(storage, first)?.map(|header| {
            let owner = Owner { instance: header.instance, size: header.size };
            let (next, checksum) = (header.first, header.previous);
            Some((owner, Place { file: first, next, checksum, time: 0, boot: 0 }))
        });
        return Ok(found.map_err(|what| Damage { file: journal_name(first), offset: 0, record: 0, what }));
    }
    // The journal file behind that snapshot is missing. If there are later ones, the walk reports it.
    Ok(Ok(snapshots.iter().find(|(number, _)| *number == needed).map(|(_, header)| behind(needed, header))))
}

/// Returns the start of the journal file behind a snapshot.
fn behind(number: u64, header: &SnapshotHeader) -> (Owner, Place) {
    let owner = Owner { instance: header.instance, size: header.size };
    let (next, checksum) = (header.sequence + 1, header.checksum);
    (owner, Place { file: number, next, checksum, time: header.time, boot: 0 })
}
