//! Recovers the display from a directory: reads all of it first ([`recover`]), and changes it only when the start is
//! decided ([`Recovered::settle`]). So a server of several displays knows what is wrong with each journal before it
//! changes one.

use super::cleanup::Cleanup;
use super::error::{Damage, JournalError};
use super::files::{Catalogue, journal_name, snapshot_name};
use super::manifest::Manifest;
use super::record::Unreadable;
use super::recovery_point::{Errors, Found, find_recovery_point, replay, restore};
use super::replay::{Break, Owner, Place, walk};
use super::storage::{Storage, give_back, is_full};
use super::target::Replay;
use super::{DEFAULT_SIZE, Options};
use draw_protocol::Size;
use std::io;
use std::ops::ControlFlow;
use tracing::{info, warn};

/// A recovered display, and where its journal continues.
#[derive(Debug)]
pub(crate) struct Recovered<R> {
    pub(crate) display: R,
    pub(crate) owner: Owner,
    pub(crate) place: Place,
    /// Bytes that were read behind the snapshot, and in how many files.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// A damaged part was dropped with the owner's consent, so the picture may lack acknowledged calls.
    pub(crate) is_cut: bool,
    /// Nothing was ever acknowledged: the display is empty, and its journal begins.
    pub(crate) is_new: bool,
    /// Useless files and a torn end. [`Recovered::settle`] removes them, unless the disk is full.
    pub(crate) cleanup: Option<Cleanup>,
    /// The journal files that were read, whose records may not be synced.
    unsynced: Vec<u64>,
    /// What is logged when the journal is changed.
    notes: Vec<Note>,
    /// The files on the disk.
    pub(crate) manifest: Manifest,
    /// The directory has a manifest, whatever its contents.
    pub(crate) has_manifest: bool,
}

/// A line of the log.
#[derive(Debug)]
enum Note {
    Info(String),
    Warn(String),
}

impl<R> Recovered<R> {
    /// Removes useless files, cuts off a torn end, and syncs everything that was recovered. If the disk is too full for
    /// that, the cleanup is left for later.
    pub(crate) fn settle(&mut self, storage: &dyn Storage, errors: &Errors<'_>) -> Result<(), JournalError> {
        let directory = errors.0.display();
        for note in self.notes.drain(..) {
            match note {
                Note::Info(what) => info!("the journal in {directory}: {what}"),
                Note::Warn(what) => warn!("the journal in {directory}: {what}"),
            }
        }
        if let Some(mut cleanup) = self.cleanup.take() {
            match cleanup.remove(storage) {
                Ok(()) => {}
                Err((what, error)) if is_full(&error) && !self.is_cut && !self.is_new => {
                    warn!(
                        "the journal in {directory}: cannot {what} ({error}): trying again when there is room"
                    );
                    self.cleanup = Some(cleanup);
                }
                Err((what, error)) => return Err(errors.io(what)(error)),
            }
        }
        if self.is_new {
            return Ok(());
        }
        // A process that ended may have left unsynced records, and the next header promises all of them.
        for name in self.unsynced.iter().map(|&number| journal_name(number)) {
            let synced = storage.open(&name).and_then(|file| {
                // It may also have left reserved space, which other files need on a full disk.
                give_back(&*file, file.length()?);
                file.sync()
            });
            synced.map_err(errors.io(format!("sync {name}")))?;
        }
        storage.sync_directory().map_err(errors.io("sync it"))
    }
}

/// Returns an empty display, whose journal begins with the first file.
fn empty<R: Replay>(options: &Options, errors: &Errors<'_>) -> Result<Recovered<R>, JournalError> {
    let size = options.size.unwrap_or(DEFAULT_SIZE);
    Ok(Recovered {
        display: R::begin(size, options.background).map_err(|error| errors.display(error))?,
        owner: Owner { instance: [0; 16], size },
        place: Place { file: 1, next: 1, checksum: 0, time: 0, boot: 0 },
        bytes: 0,
        files: 0,
        is_cut: false,
        is_new: true,
        cleanup: None,
        unsynced: Vec::new(),
        notes: Vec::new(),
        manifest: Manifest::default(),
        has_manifest: false,
    })
}

/// The files without useless ones.
fn manifest_of(catalogue: &Catalogue, owner: Owner, cleanup: &Cleanup) -> Manifest {
    let mut manifest = Manifest {
        instance: owner.instance,
        journals: catalogue.journals.iter().copied().collect(),
        snapshots: catalogue.snapshots.iter().copied().collect(),
        ..Manifest::default()
    };
    manifest.snapshots.retain(|&number| !cleanup.names.contains(&snapshot_name(number)));
    if let Some((_, broken)) = &cleanup.torn {
        manifest.journals.retain(|&number| !broken.removes(number));
    }
    manifest
}

/// Reads the journal in `storage`, or begins with an empty display if there is none. Changes nothing.
pub(crate) fn recover<R: Replay>(
    storage: &dyn Storage,
    options: &Options,
    errors: &Errors<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Recovered<R>, JournalError> {
    let catalogue = Catalogue::read(storage).map_err(errors.io("list it"))?;
    if let Some(place) = catalogue.later_file(storage) {
        return Err(errors.newer(place));
    }
    let Found { point, damaged } = find_recovery_point(storage, &catalogue, errors, |_| true)?;
    for (number, what) in &damaged {
        let (directory, name) = (errors.0.display(), snapshot_name(*number));
        warn!("the journal in {directory}: {name} is damaged and is not used: {what}");
    }
    let wrong = catalogue.wrong_manifest(storage).map_err(errors.io("read it"))?;
    if let Some(damage) = wrong.as_ref().filter(|_| !options.accept_loss) {
        return Err(errors.damage(damage.clone()));
    }
    let Some(mut point) = point else {
        return no_recovery_point(storage, &catalogue, options, errors, &damaged);
    };
    if let Some(wanted) = options.size.filter(|&wanted| wanted != point.owner.size) {
        return Err(JournalError::Size { directory: errors.0.to_owned(), wanted, found: point.owner.size });
    }
    restore(&mut point).map_err(|why| match why {
        Unreadable::Damaged(why) => JournalError::State { directory: errors.0.to_owned(), why },
        Unreadable::Newer(why) => errors.newer(unknown_state(&point.place, &why)),
    })?;
    let mut end =
        replay(storage, &catalogue, &mut point, progress, |_| true).map_err(errors.io("read it"))?;
    if let Some(broken) = end.broken.take_if(|broken| broken.is_newer) {
        // There is no loss: all files are whole.
        return Err(errors.damaged(broken));
    }
    let mut place = end.place;
    let mut cleanup = Cleanup { names: catalogue.unfinished.clone(), ..Cleanup::default() };
    cleanup.names.extend(damaged.iter().map(|(number, _)| snapshot_name(*number)));
    let wrong = match &end.broken {
        Some(_) => wrong,
        None => wrong.or_else(|| catalogue.contradiction(point.owner, point.place.file, &place)),
    };
    if let Some(damage) = wrong.as_ref().filter(|_| !options.accept_loss) {
        return Err(errors.damage(damage.clone()));
    }
    let is_cut = wrong.is_some() || end.broken.as_ref().is_some_and(|broken| broken.proof.is_some());
    // If the journal ends because a file is missing, the checks below detect it.
    let lost = if is_cut { Vec::new() } else { catalogue.lost(point.owner) };
    for name in lost {
        warn!(
            "the journal in {}: {name} is missing. The picture does not need it, but do not remove files from there",
            errors.0.display()
        );
    }
    let mut notes = Vec::new();
    match end.broken {
        Some(broken) if is_cut && !options.accept_loss => return Err(errors.damaged(broken)),
        Some(Break { damage, bytes, .. }) if is_cut => {
            notes.push(Note::Warn(format!(
                "dropping {bytes} bytes from record {} on, some of which were acknowledged: {damage}",
                damage.record
            )));
        }
        Some(broken) => {
            let Break { damage, bytes, .. } = &broken;
            notes.push(Note::Info(format!(
                "removing {bytes} bytes of unacknowledged records, from record {} on: {damage}",
                damage.record
            )));
            // A file with an unfinished header is begun again.
            place.file += u64::from(broken.has_header());
            cleanup.torn = Some((catalogue.journals.clone(), broken));
        }
        None => {}
    }
    if let Some(damage) = wrong {
        notes.push(Note::Warn(format!("continuing as a new instance despite this damage: {damage}")));
    }
    if is_cut {
        // Behind all files that exist or existed: the dropped files stay until newer snapshots replace them.
        place.file = place.file.max(catalogue.newest() + 1);
    }
    let manifest = manifest_of(&catalogue, point.owner, &cleanup);
    let read = |&number: &u64| number >= point.place.file && number < place.file;
    Ok(Recovered {
        display: point.display,
        owner: point.owner,
        place,
        bytes: end.bytes,
        files: place.file - point.place.file,
        is_cut,
        is_new: false,
        cleanup: Some(cleanup),
        unsynced: catalogue.journals.iter().copied().filter(read).collect(),
        notes,
        manifest,
        has_manifest: catalogue.manifest.is_some(),
    })
}

/// Returns the place of a snapshot's state that cannot be restored.
pub(crate) fn unknown_state(place: &Place, why: &str) -> Damage {
    let what = format!("the state in it cannot be restored: {why}");
    Damage { file: snapshot_name(place.file), offset: 0, record: place.next - 1, what }
}

/// The state of a journal that has neither an intact snapshot nor a first file with a header.
pub(crate) enum Unfounded {
    /// Nothing was ever acknowledged: a server begins a new journal.
    Nothing,
    /// The first header is unfinished: a server removes it and begins a new journal.
    Unbegun(Break),
    /// A server does not start.
    Damaged(Break),
}

pub(crate) fn unfounded(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    damaged: &[(u64, String)],
) -> io::Result<Unfounded> {
    if catalogue.is_empty() && catalogue.manifest.is_none() {
        return Ok(Unfounded::Nothing);
    }
    let only_torn =
        catalogue.snapshots.is_empty() && catalogue.journals == [1] && catalogue.manifest.is_none();
    if only_torn {
        // Behind an unfinished header nothing was acknowledged, unless there is proof of later records.
        let owner = Owner { instance: [0; 16], size: Size { width: 0, height: 0 } };
        let place = Place { file: 1, next: 1, checksum: 0, time: 0, boot: 0 };
        let end = walk(storage, catalogue, owner, place, &mut |_, _, _| ControlFlow::Continue(()))?;
        return Ok(match end.broken {
            Some(broken) if broken.proof.is_some() => Unfounded::Damaged(broken),
            Some(broken) => Unfounded::Unbegun(broken),
            None => Unfounded::Nothing,
        });
    }
    let first = catalogue.journals.first().copied().unwrap_or(1);
    let what = match damaged.first() {
        Some((number, what)) => format!("no snapshot is intact ({}: {what})", snapshot_name(*number)),
        None if first == 1 => "its header is damaged".to_owned(),
        None => "there is no snapshot before it".to_owned(),
    };
    let damage = Damage { file: journal_name(first), offset: 0, record: 1, what };
    Ok(Unfounded::Damaged(Break { damage, file: first, bytes: 0, proof: None, is_newer: false }))
}

fn no_recovery_point<R: Replay>(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    options: &Options,
    errors: &Errors<'_>,
    damaged: &[(u64, String)],
) -> Result<Recovered<R>, JournalError> {
    let broken = match unfounded(storage, catalogue, damaged).map_err(errors.io("read it"))? {
        Unfounded::Nothing => return empty(options, errors),
        Unfounded::Unbegun(broken) if !options.accept_loss => {
            let what =
                format!("it was never started: removing {} bytes of an unfinished header", broken.bytes);
            let torn = Some((catalogue.journals.clone(), broken));
            return Ok(Recovered {
                cleanup: Some(Cleanup { torn, ..Cleanup::default() }),
                notes: vec![Note::Info(what)],
                ..empty(options, errors)?
            });
        }
        Unfounded::Unbegun(broken) => broken,
        Unfounded::Damaged(broken) if !options.accept_loss => return Err(errors.damaged(broken)),
        Unfounded::Damaged(broken) => broken,
    };
    let empty = empty(options, errors)?;
    // No existing file belongs to the new instance, whose first snapshot will be the first in the manifest.
    Ok(Recovered {
        place: Place { file: catalogue.newest() + 1, ..empty.place },
        is_cut: true,
        is_new: false,
        notes: vec![Note::Warn(format!("starting with an empty display: {}", broken.damage))],
        has_manifest: catalogue.manifest.is_some(),
        ..empty
    })
}
