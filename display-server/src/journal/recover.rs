//! From a directory to a picture.

use super::error::JournalError;
use super::files::{Catalogue, NoSnapshot, Snapshot, journal_name, read_snapshot, snapshot_name};
use super::format::{HEADER, Header};
use super::replay::{Break, End, Owner, Place, Step, walk};
use super::storage::{FileReader, Storage};
use super::{Companion, Options};
use crate::apply::apply;
use crate::display::Display;
use crate::error::Error;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use tracing::{info, warn};

/// Bytes between two reports of progress: a few milliseconds.
const TELL: u64 = 1 << 20;

/// The display as it was, and where its journal goes on.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) display: Display,
    pub(crate) owner: Owner,
    pub(crate) place: Place,
    /// Bytes that were read behind the snapshot, and in how many files.
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// What was dropped with the owner's consent: the picture is another than was promised.
    pub(crate) is_cut: bool,
}

/// Where a replay starts.
pub(crate) struct Base {
    pub(crate) display: Display,
    pub(crate) owner: Owner,
    pub(crate) place: Place,
    /// When what is in it was drawn, and the state, if it is a snapshot.
    pub(crate) state: Option<Vec<u8>>,
}

/// Names what was tried.
pub(crate) struct Errors<'a>(pub(crate) &'a Path);

impl Errors<'_> {
    pub(crate) fn io(&self, what: impl Into<String>) -> impl FnOnce(io::Error) -> JournalError {
        let (directory, what) = (self.0.to_owned(), what.into());
        move |source| JournalError::Io { directory, what, source }
    }

    pub(crate) fn display(&self, source: Error) -> JournalError {
        JournalError::Display { directory: self.0.to_owned(), source: Box::new(source) }
    }

    pub(crate) fn damaged(&self, broken: Break) -> JournalError {
        let mut damage = broken.damage;
        if let Some(proof) = broken.proof {
            damage.what = format!("{} ({proof})", damage.what);
        }
        JournalError::Damaged { directory: self.0.to_owned(), damage }
    }
}

/// The start of a display that nobody has drawn on.
fn birth(header: &Header) -> Result<Base, Error> {
    Ok(Base {
        display: Display::new(header.size, header.background)?,
        owner: Owner { instance: header.instance, size: header.size },
        place: Place { file: 1, next: 1, checksum: 0, time: 0, boot: 0 },
        state: None,
    })
}

/// What there is to start from.
pub(crate) struct Found {
    pub(crate) base: Option<Base>,
    /// Newer snapshots that are damaged, and how.
    pub(crate) damaged: Vec<(u64, String)>,
}

/// The newest snapshot that is whole and whose time `suits`, or else the empty display.
pub(crate) fn find_base(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    errors: &Errors<'_>,
    suits: impl Fn(u64) -> bool,
) -> Result<Found, JournalError> {
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
                let base = Some(Base { display, owner, place, state: Some(state) });
                return Ok(Found { base, damaged });
            }
            Err(NoSnapshot::Damaged(what)) => damaged.push((number, what)),
            Err(NoSnapshot::Io(error)) => {
                return Err(errors.io(format!("read {}", snapshot_name(number)))(error));
            }
            Err(NoSnapshot::Display(error)) => return Err(errors.display(error)),
        }
    }
    if catalogue.journals.first() != Some(&1) {
        return Ok(Found { base: None, damaged });
    }
    let header = read_header(storage, 1).map_err(errors.io(format!("read {}", journal_name(1))))?;
    let base = header.ok().map(|header| birth(&header)).transpose();
    let base = base.map_err(|error| errors.display(error))?;
    Ok(Found { base, damaged })
}

pub(crate) fn read_header(storage: &dyn Storage, number: u64) -> io::Result<Result<Header, String>> {
    let mut reader = FileReader::new(storage.open(&journal_name(number))?, 0)?;
    Ok(Header::decode(reader.peek(HEADER)?).map(|(header, _)| header))
}

/// Draws what was journaled, from `base` on, as long as `wants` says so.
pub(crate) fn replay(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    base: &Base,
    progress: &mut dyn FnMut(u64, u64),
    mut entry: impl FnMut(&Place, &super::Entry<'_>, &Result<draw_protocol::Answer, draw_protocol::Fault>),
    wants: impl Fn(u64) -> bool,
) -> io::Result<End> {
    let framebuffer = base.display.framebuffer();
    let (mut damage, mut told) = (framebuffer.no_damage(), 0);
    let mut total = 0;
    for &number in catalogue.journals.iter().filter(|&&number| number >= base.place.file) {
        total += storage.open(&journal_name(number))?.length()?;
    }
    let end = walk(storage, catalogue, base.owner, base.place, &mut |place, bytes, step| {
        if let Step::Record(frame, journaled) = step {
            if !wants(frame.time) {
                return ControlFlow::Break(());
            }
            let result = apply(&journaled.request, framebuffer, base.display.pointer(), &mut damage);
            entry(place, journaled, &result);
        }
        if bytes - told >= TELL {
            told = bytes;
            progress(bytes, total);
        }
        ControlFlow::Continue(())
    });
    framebuffer.publish(&mut damage);
    end
}

/// Recovers what `storage` has, and cuts off a torn end. `None` if it has nothing.
pub(crate) fn recover(
    storage: &dyn Storage,
    options: &Options,
    companion: &dyn Companion,
    errors: &Errors<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<Recovered>, JournalError> {
    let catalogue = Catalogue::read(storage).map_err(errors.io("list it"))?;
    for name in &catalogue.unfinished {
        storage.remove(name).map_err(errors.io(format!("remove {name}")))?;
    }
    let Found { base, damaged } = find_base(storage, &catalogue, errors, |_| true)?;
    for (number, what) in &damaged {
        warn!("{} is damaged and not used: {what}", snapshot_name(*number));
    }
    let Some(base) = base else { return no_base(storage, &catalogue, options, errors, damaged) };
    if let Some(wanted) = options.size.filter(|&wanted| wanted != base.owner.size) {
        return Err(JournalError::Size { directory: errors.0.to_owned(), wanted, found: base.owner.size });
    }
    if let Some(state) = &base.state {
        let state = companion.restore(state);
        state.map_err(|why| JournalError::State { directory: errors.0.to_owned(), why })?;
    }
    let end = replay(
        storage,
        &catalogue,
        &base,
        progress,
        |place, entry, result| companion.replay(place.next, entry, result),
        |_| true,
    )
    .map_err(errors.io("read it"))?;
    let mut is_cut = false;
    if let Some(broken) = &end.broken {
        is_cut = broken.proof.is_some();
        if is_cut && !options.accept_loss {
            return Err(errors.damaged(end.broken.expect("it is broken")));
        }
        let Break { damage, bytes, .. } = broken;
        if is_cut {
            warn!("dropping {bytes} bytes from record {} on, which were promised: {damage}", damage.record);
        } else {
            info!(
                "cutting off {bytes} bytes that were never synced, from record {} on: {damage}",
                damage.record
            );
            cut(storage, &catalogue, broken).map_err(errors.io("cut off its torn end"))?;
        }
    }
    let mut place = end.place;
    if is_cut {
        // Behind everything that is there: the dropped files stay until newer snapshots remove them.
        place.file = catalogue.journals.last().map_or(place.file, |last| last + 1).max(place.file);
    } else if end.broken.as_ref().is_some_and(|broken| broken.damage.offset >= HEADER as u64) {
        place.file += 1;
    }
    // The end of a process leaves what it had not synced, and the next header vouches for all of it.
    for &number in catalogue.journals.iter().filter(|&&n| n >= base.place.file && n < place.file) {
        let name = journal_name(number);
        storage.open(&name).and_then(|file| file.sync()).map_err(errors.io(format!("sync {name}")))?;
    }
    for (number, _) in damaged {
        // Were it counted as one of the two that are kept, the next would remove a better one.
        let name = snapshot_name(number);
        storage.remove(&name).map_err(errors.io(format!("remove {name}")))?;
    }
    storage.sync_directory().map_err(errors.io("sync it"))?;
    let files = place.file - base.place.file;
    Ok(Some(Recovered { display: base.display, owner: base.owner, place, bytes: end.bytes, files, is_cut }))
}

/// There are neither a snapshot nor the first journal to start from.
fn no_base(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    options: &Options,
    errors: &Errors<'_>,
    damaged: Vec<(u64, String)>,
) -> Result<Option<Recovered>, JournalError> {
    if catalogue.is_empty() {
        return Ok(None);
    }
    let first = catalogue.journals.first().copied().unwrap_or(1);
    let only_torn = catalogue.snapshots.is_empty() && catalogue.journals == [1];
    if only_torn && !options.accept_loss {
        // The very first header was never finished, so nothing behind it was promised; unless it vouches.
        let owner = Owner { instance: [0; 16], size: draw_protocol::Size { width: 0, height: 0 } };
        let place = Place { file: 1, next: 1, checksum: 0, time: 0, boot: 0 };
        let end = walk(storage, catalogue, owner, place, &mut |_, _, _| ControlFlow::Continue(()));
        let broken = end.map_err(errors.io("read it"))?.broken;
        return match broken {
            Some(broken) if broken.proof.is_some() => Err(errors.damaged(broken)),
            Some(broken) => {
                info!("the journal was never begun: removing {} bytes", broken.bytes);
                cut(storage, catalogue, &broken).map_err(errors.io("remove its torn start"))?;
                Ok(None)
            }
            None => Ok(None),
        };
    }
    let what = match damaged.first() {
        Some((number, what)) => format!("no snapshot is whole ({}: {what})", snapshot_name(*number)),
        None => "there is no snapshot before it".to_owned(),
    };
    let damage = super::Damage { file: journal_name(first), offset: 0, record: 1, what };
    let broken = Break { damage, file: first, bytes: 0, proof: None };
    if !options.accept_loss {
        return Err(errors.damaged(broken));
    }
    warn!("starting with an empty display: {}", broken.damage);
    let size = options.size.unwrap_or(super::DEFAULT_SIZE);
    let display = Display::new(size, options.background).map_err(|error| errors.display(error))?;
    let newest = catalogue.journals.last().max(catalogue.snapshots.last()).copied().unwrap_or(0);
    let place = Place { file: newest + 1, next: 1, checksum: 0, time: 0, boot: 0 };
    let owner = Owner { instance: [0; 16], size };
    Ok(Some(Recovered { display, owner, place, bytes: 0, files: 0, is_cut: true }))
}

/// Cuts off what is behind a break that nothing vouches for.
fn cut(storage: &dyn Storage, catalogue: &Catalogue, broken: &Break) -> io::Result<()> {
    // From the last on: what is left when this is interrupted is torn in the same way.
    for &number in catalogue.journals.iter().rev().filter(|&&number| number >= broken.file) {
        let name = journal_name(number);
        if number > broken.file || broken.damage.offset < HEADER as u64 {
            storage.remove(&name)?;
        } else {
            let file = storage.open(&name)?;
            file.truncate(broken.damage.offset)?;
            file.sync()?;
        }
    }
    storage.sync_directory()
}
