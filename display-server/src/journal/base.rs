//! Where a replay starts, and the replay.

use super::error::{Damage, JournalError};
use super::files::{Catalogue, NoSnapshot, Snapshot, journal_name, read_snapshot, snapshot_name};
use super::format::{HEADER, Header};
use super::record::Entry;
use super::replay::{Break, End, Owner, Place, Step, walk};
use super::storage::{FileReader, Storage};
use crate::apply::apply;
use crate::display::Display;
use crate::error::Error;
use draw_protocol::{Answer, Fault};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// Bytes between two reports of progress: a few milliseconds.
const TELL: u64 = 1 << 20;

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
        self.damage(broken.proven())
    }

    pub(crate) fn damage(&self, damage: Damage) -> JournalError {
        JournalError::Damaged { directory: self.0.to_owned(), damage }
    }
}

/// Where a replay starts.
pub(crate) struct Base {
    pub(crate) display: Display,
    pub(crate) owner: Owner,
    pub(crate) place: Place,
    /// When what is in it was drawn, and the state, if it is a snapshot.
    pub(crate) state: Option<Vec<u8>>,
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
    mut entry: impl FnMut(&Place, &Entry<'_>, &Result<Answer, Fault>),
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
