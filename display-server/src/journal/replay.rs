//! Reads records in order, and distinguishes a torn end from damage.

use super::error::Damage;
use super::files::{Catalogue, journal_name};
use super::format::{HEADER, Header, SUM, later_version};
use super::record::{Entry, Frame, Unreadable, check_record, decode_entry, decode_frame, record_length};
use super::storage::{FileReader, Storage};
use draw_protocol::Size;
use std::io;
use std::ops::ControlFlow;

/// A position in a journal: behind a record, or before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the current file, or of the next one.
    pub(crate) file: u64,
    /// The next sequence number.
    pub(crate) next: u64,
    /// The checksum that the next record or header is chained to.
    pub(crate) checksum: u64,
    /// The time of the previous record.
    pub(crate) time: u64,
    pub(crate) boot: u64,
}

/// An item that a walk visits.
#[derive(Debug)]
pub(crate) enum Step<'a> {
    File(&'a Header),
    /// A record, with its entry if this program knows its kind.
    Record(Frame, Option<&'a Entry<'a>>),
}

/// Where the walk ended.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) place: Place,
    /// Bytes of files that were read, headers included.
    pub(crate) bytes: u64,
    /// Why the walk ended early; `None` at the end of the journal, or if the visitor stopped it.
    pub(crate) broken: Option<Break>,
}

/// Bytes that are not a record, where a record could be.
#[derive(Debug)]
pub(crate) struct Break {
    /// The offset in the file up to which it was read. 0 if its header is damaged, or the file is missing.
    pub(crate) damage: Damage,
    pub(crate) file: u64,
    /// Bytes from there on, in this file and later ones.
    pub(crate) bytes: u64,
    /// The proof that the break is not a torn end, because of which nothing may be cut off.
    pub(crate) proof: Option<String>,
    /// A later program wrote the bytes, as far as can be told, and they must not be dropped.
    pub(crate) is_newer: bool,
}

impl Break {
    /// Returns the damage, and the proof that it is not a torn end.
    pub(crate) fn proven(self) -> Damage {
        let mut damage = self.damage;
        if let Some(proof) = self.proof {
            damage.what = format!("{} ({proof})", damage.what);
        }
        damage
    }

    /// Returns whether nothing is left of the journal once everything behind the break is cut off.
    pub(crate) fn removes(&self, number: u64) -> bool {
        number > self.file || (number == self.file && !self.has_header())
    }

    /// Returns whether the header of the file is intact.
    pub(crate) fn has_header(&self) -> bool {
        self.damage.offset > 0
    }
}

/// The display that files belong to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    pub(crate) instance: [u8; 16],
    pub(crate) size: Size,
}

/// Visits all items from `place` on, until the end, a break, or until the visitor stops. The visitor is called with the
/// position, and the number of bytes read.
pub(crate) fn walk(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    owner: Owner,
    mut place: Place,
    visit: &mut dyn FnMut(&Place, u64, Step<'_>) -> ControlFlow<()>,
) -> io::Result<End> {
    let last = catalogue.last(owner);
    let mut bytes = 0;
    while place.file <= last {
        let stop = walk_file(storage, catalogue, owner, &mut place, &mut bytes, visit)?;
        if let Some(stop) = stop {
            let broken =
                stop.map(|stop| find_proof(storage, catalogue, owner, place.file, stop)).transpose()?;
            return Ok(End { place, bytes, broken });
        }
        place.file += 1;
    }
    Ok(End { place, bytes, broken: None })
}

/// The damage at a position.
struct Wrong {
    damage: Damage,
    certainty: Certainty,
}

/// The classification of bytes that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Certainty {
    /// Possibly a torn end.
    None,
    /// The beginning of a file of a later version of the format, which is not checked.
    LaterVersion,
    /// Intact by their checksum, but in contradiction to the format.
    Written,
    /// Intact, and written by a later program.
    Newer,
}

/// Visits one file. Returns `None` at its end, or why the walk ends: `Some(None)` if the visitor stopped it.
fn walk_file(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    owner: Owner,
    place: &mut Place,
    bytes: &mut u64,
    visit: &mut dyn FnMut(&Place, u64, Step<'_>) -> ControlFlow<()>,
) -> io::Result<Option<Option<Wrong>>> {
    let name = journal_name(place.file);
    let wrong = |offset: u64, record: u64, what: String, certainty: Certainty| {
        Ok(Some(Some(Wrong { damage: Damage { file: name.clone(), offset, record, what }, certainty })))
    };
    if !catalogue.journals.contains(&place.file) {
        return wrong(0, place.next, "the file is missing".into(), Certainty::None);
    }
    let mut reader = FileReader::new(storage.open(&name)?, 0)?;
    let start = reader.peek(HEADER)?;
    let certainty = if later_version(start).is_some() { Certainty::LaterVersion } else { Certainty::None };
    let found = Header::decode(start);
    let (header, sum) = match found.and_then(|found| follows(&found.0, owner, place).map(|()| found)) {
        Ok(found) => found,
        Err(what) => return wrong(0, place.next, what, certainty),
    };
    reader.advance(header.length());
    (place.checksum, place.boot) = (sum, header.boot);
    *bytes += header.length() as u64;
    if visit(place, *bytes, Step::File(&header)).is_break() {
        return Ok(Some(None));
    }
    while reader.left() > 0 {
        let offset = reader.offset();
        let (length, sum, frame) = match next_record(&mut reader, place)? {
            Ok(found) => found,
            Err(what) => return wrong(offset, place.next, what.into(), Certainty::None),
        };
        match decode_entry(reader.peek(length)?, &header, &mut None) {
            Ok(entry) => {
                if visit(place, *bytes, Step::Record(frame, entry.as_ref())).is_break() {
                    return Ok(Some(None));
                }
            }
            Err(Unreadable::Damaged(what)) => {
                let what = format!("its checksum is right, but it cannot be read: {what}");
                return wrong(offset, place.next, what, Certainty::Written);
            }
            Err(Unreadable::Newer(what)) => return wrong(offset, place.next, what, Certainty::Newer),
        }
        *place = Place { next: place.next + 1, checksum: sum, time: frame.time, ..*place };
        reader.advance(length);
        *bytes += length as u64;
    }
    Ok(None)
}

/// Returns whether a file with this header follows `place`.
fn follows(header: &Header, owner: Owner, place: &Place) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("it does not continue the file before it: its {what} differs"));
    match header {
        header if header.size != owner.size => wrong("size"),
        header if header.instance != owner.instance => wrong("instance"),
        header if header.first != place.next => wrong("first sequence number"),
        header if header.previous != place.checksum => wrong("previous checksum"),
        header if header.boot < place.boot => wrong("boot"),
        _ => Ok(()),
    }
}

/// Returns length, checksum and frame of the next record, or what is wrong with it.
fn next_record(
    reader: &mut FileReader,
    place: &Place,
) -> io::Result<Result<(usize, u64, Frame), &'static str>> {
    let Some(length) = reader.peek(4)?.first_chunk().copied().and_then(record_length) else {
        return Ok(Err("the length of the record is invalid"));
    };
    let record = reader.peek(length)?;
    if record.len() < length {
        return Ok(Err("the record is cut off"));
    }
    let Some(sum) = check_record(record, place.checksum) else {
        return Ok(Err("the checksum of the record is wrong"));
    };
    match decode_frame(record) {
        Some(frame) if frame.sequence == place.next && frame.time >= place.time => {
            Ok(Ok((length, sum, frame)))
        }
        _ => Ok(Err("the number or the time of the record is wrong")),
    }
}

/// Searches for proof that records missing at a position were durable, in the names and contents of files.
fn find_proof(
    storage: &dyn Storage,
    catalogue: &Catalogue,
    owner: Owner,
    file: u64,
    Wrong { damage, certainty }: Wrong,
) -> io::Result<Break> {
    let missing = damage.record;
    let mut bytes = 0;
    let is_newer = matches!(certainty, Certainty::LaterVersion | Certainty::Newer);
    let mut proof = match certainty {
        Certainty::None => None,
        Certainty::LaterVersion => Some("a later program may have written it".to_owned()),
        Certainty::Written | Certainty::Newer => Some("its checksum is right".to_owned()),
    };
    proof = proof.or_else(|| catalogue.proof(owner, file, damage.offset, missing));
    let mut readers = Vec::new();
    for &later in catalogue.journals.iter().filter(|&&later| later >= file) {
        let from = if later == file { damage.offset } else { 0 };
        let reader = FileReader::new(storage.open(&journal_name(later))?, from)?;
        bytes += reader.left();
        readers.push((later, reader));
    }
    for (later, mut reader) in readers {
        if proof.is_none()
            && let Some(voucher) = find_voucher(&mut reader, missing, bytes)?
        {
            proof = Some(format!("{} at offset {voucher} says that it was synced", journal_name(later)));
        }
    }
    Ok(Break { damage, file, bytes, proof, is_newer })
}

/// Searches all bytes from here on for a header or a record that says that `missing` was synced.
///
/// A record can be verified anywhere: the checksum that it is chained to is right before it.
///
/// There are `bytes` in total, which bounds the number of records.
fn find_voucher(reader: &mut FileReader, missing: u64, bytes: u64) -> io::Result<Option<u64>> {
    if reader.offset() == 0
        && let Ok((header, _)) = Header::decode(reader.peek(HEADER)?)
        && header.durable >= missing
    {
        return Ok(Some(0));
    }
    // There is no record at the start of the search. The first 8 bytes can only be a checksum.
    let mut before = 0;
    for n in 0.. {
        let Some(&byte) = reader.peek(1)?.first() else { return Ok(None) };
        if n >= SUM
            && let Some(length) = reader.peek(4)?.first_chunk().copied().and_then(record_length)
            && let Some(frame) = decode_frame(reader.peek(4 + 24)?)
            && frame.durable >= missing
            && frame.sequence > frame.durable
            && frame.sequence - missing <= bytes
        {
            let record = reader.peek(length)?;
            if record.len() == length && check_record(record, before).is_some() {
                return Ok(Some(reader.offset()));
            }
        }
        before = before << 8 | u64::from(byte);
        reader.advance(1);
    }
    Ok(None)
}
