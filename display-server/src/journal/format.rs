//! The headers of a journal's files. `JOURNAL.md` describes all bytes of versions 1 and 2, precisely enough for another implementation.
//!
//! Version 2 is written. Version 1, of programs up to 0.1.0, is read for ever: a directory of it goes on with files of version 2.

use draw_protocol::{Color, Size, limits};
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

/// The most that a record's length may say. It is a limit of the format, so that a journal does not depend on the limits of the wire
/// when it was written; the longest message of the wire fits.
pub(crate) const RECORD: usize = 1 << 30;

const _: () = assert!(limits::MESSAGE_HARDEST + (64 << 10) < RECORD, "each message can be recorded");

/// Bytes of a journal's header in version 2.
pub(crate) const HEADER: usize = 96;
/// Bytes of a snapshot's header in version 2.
pub(crate) const SNAPSHOT_HEADER: usize = 92;
/// Bytes of a checksum.
pub(crate) const SUM: usize = 8;

/// Bytes of the field that version 2 adds to the headers.
const PROGRAM: usize = 8;
/// Pixels of the longest side of a display.
const SIDE: u32 = 65_535;

const JOURNAL_MAGIC: &[u8; 8] = b"DRAWJRNL";
const SNAPSHOT_MAGIC: &[u8; 8] = b"DRAWSNAP";
pub(super) const MANIFEST_MAGIC: &[u8; 8] = b"DRAWMANI";
/// The offset of the version, behind the magic.
pub(crate) const VERSION_AT: u64 = 8;
/// Bytes of the magic and the version.
pub(crate) const START: usize = 12;

/// The versions of the format.
pub(crate) const ONE: u32 = 1;
pub(crate) const TWO: u32 = 2;

/// Stands in headers of files behind which a manifest is to be expected. As a colour it cannot be seen, so no display was opened
/// with it before there were manifests.
pub(crate) const HAS_MANIFEST: Color = Color::from_u32(0x4d41_4e00);

/// Numbers of records and starts are smaller: counting on from others would overflow.
pub(super) const MOST: u64 = 1 << 62;

const IMPOSSIBLE: &str = "its header has invalid numbers";

/// The version of the program that wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Program(pub(crate) [u16; 3]);

impl Program {
    /// The version of this program.
    pub(crate) const THIS: Program = Program([
        number(env!("CARGO_PKG_VERSION_MAJOR")),
        number(env!("CARGO_PKG_VERSION_MINOR")),
        number(env!("CARGO_PKG_VERSION_PATCH")),
    ]);

    fn encode(self) -> [u8; PROGRAM] {
        let mut bytes = [0; PROGRAM];
        let (numbers, _) = bytes.as_chunks_mut();
        numbers.iter_mut().zip(self.0).for_each(|(bytes, number)| *bytes = number.to_be_bytes());
        bytes
    }

    fn decode(bytes: [u8; PROGRAM]) -> Program {
        let [a, b, c, d, e, f, ..] = bytes;
        Program([[a, b], [c, d], [e, f]].map(u16::from_be_bytes))
    }
}

/// Returns the number that decimal digits write.
const fn number(digits: &str) -> u16 {
    match u16::from_str_radix(digits, 10) {
        Ok(number) => number,
        Err(_) => panic!("versions are numbers"),
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Program([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The version of the format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// Is only read.
    One,
    /// Is written.
    Two {
        /// The program that wrote the file.
        program: Program,
    },
}

impl Version {
    /// The version that this program writes.
    pub(crate) const WRITTEN: Version = Version::Two { program: Program::THIS };

    fn number(self) -> u32 {
        match self {
            Version::One => ONE,
            Version::Two { .. } => TWO,
        }
    }

    /// Bytes of a header that has `two` in version 2.
    const fn length(self, two: usize) -> usize {
        match self {
            Version::One => two - PROGRAM,
            Version::Two { .. } => two,
        }
    }

    fn put_program(self, out: &mut Vec<u8>) {
        if let Version::Two { program } = self {
            out.extend_from_slice(&program.encode());
        }
    }

    /// Reads the field of the program, for which version 1 has none.
    fn with_program(number: u32, fields: &mut Fields<'_>) -> Option<Version> {
        if number == ONE {
            return Some(Version::One);
        }
        Some(Version::Two { program: Program::decode(fields.array()?) })
    }
}

/// The start of a `journal-N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) version: Version,
    pub(crate) size: Size,
    pub(crate) background: Color,
    pub(crate) instance: [u8; 16],
    pub(crate) boot: u64,
    pub(crate) first: u64,
    pub(crate) previous: u64,
    pub(crate) durable: u64,
    pub(crate) time: u64,
}

/// The start of a `snapshot-N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SnapshotHeader {
    pub(crate) version: Version,
    pub(crate) size: Size,
    pub(crate) instance: [u8; 16],
    pub(crate) boot: u64,
    pub(crate) sequence: u64,
    pub(crate) checksum: u64,
    pub(crate) time: u64,
    pub(crate) taken: u64,
    pub(crate) state: u64,
}

/// Reads numbers from the front of a slice. `None` where it ends too soon.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn size(&mut self) -> Option<Size> {
        Some(Size { width: self.u32()?, height: self.u32()? })
    }

    pub(super) fn blob(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }

    /// Reads the magic and the version of the format, which is 1 or 2, or says what is there instead.
    pub(super) fn start(&mut self, magic: &[u8; 8], what: &str) -> Result<u32, String> {
        if self.take(8).is_none_or(|found| found != magic) {
            return Err(format!("it does not start like a {what}"));
        }
        match self.u32() {
            Some(version @ (ONE | TWO)) => Ok(version),
            Some(version) if version > TWO => Err(unknown_version(version)),
            version => Err(format!("its version is {}, not 1 or 2", version.unwrap_or(0))),
        }
    }
}

/// Returns the version of a file that begins like one of a later version of the format, `None` for any other.
///
/// A later version may have other headers and other checksums, so nothing else of the file can be verified. If a file of
/// this program is damaged in exactly this number, it looks like one of a later version.
pub(crate) fn later_version(start: &[u8]) -> Option<u32> {
    let mut fields = Fields(start);
    let magic = fields.take(8)?;
    let is_known = [JOURNAL_MAGIC, SNAPSHOT_MAGIC, MANIFEST_MAGIC].iter().any(|known| magic == *known);
    fields.u32().filter(|&version| is_known && version > TWO)
}

/// Describes a file of a later version, and what to do with it.
pub(crate) fn unknown_version(version: u32) -> String {
    format!(
        "its version is {version}, and display-server {} reads versions 1 and 2: open it with the program that wrote it. \
         It is never dropped, even if a loss is accepted: if no later program has written it, these bytes are damaged, and the file \
         has to be moved away by hand",
        env!("CARGO_PKG_VERSION")
    )
}

fn is_possible(size: Size) -> bool {
    (1..=SIDE).contains(&size.width) && (1..=SIDE).contains(&size.height)
}

pub(super) fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
}

fn put_start(out: &mut Vec<u8>, magic: &[u8; 8], version: Version, size: Size) {
    out.extend_from_slice(magic);
    for number in [version.number(), size.width, size.height] {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

impl Header {
    /// Returns the number of its bytes.
    pub(crate) const fn length(&self) -> usize {
        self.version.length(HEADER)
    }

    /// Returns its bytes, and their checksum: the seed of the first record.
    pub(crate) fn encode(&self) -> (Vec<u8>, u64) {
        let mut out = Vec::with_capacity(HEADER);
        put_start(&mut out, JOURNAL_MAGIC, self.version, self.size);
        out.extend_from_slice(&self.background.to_u32().to_be_bytes());
        out.extend_from_slice(&self.instance);
        put(&mut out, &[self.boot, self.first, self.previous, self.durable, self.time]);
        self.version.put_program(&mut out);
        let checksum = xxh3_64(&out);
        put(&mut out, &[checksum]);
        (out, checksum)
    }

    /// Reads a header that `bytes` begins with, and its checksum, or says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Header, u64), String> {
        let mut fields = Fields(bytes);
        let short = |length| format!("its header has {} of {length} bytes", bytes.len().min(length));
        if bytes.len() < START {
            return Err(short(HEADER));
        }
        let version = fields.start(JOURNAL_MAGIC, "journal")?;
        let length = if version == ONE { HEADER - PROGRAM } else { HEADER };
        let bytes = bytes.get(..length).ok_or_else(|| short(length))?;
        let header = (|| {
            Some(Header {
                size: fields.size()?,
                background: Color::from_u32(fields.u32()?),
                instance: fields.array()?,
                boot: fields.u64()?,
                first: fields.u64()?,
                previous: fields.u64()?,
                durable: fields.u64()?,
                time: fields.u64()?,
                version: Version::with_program(version, &mut fields)?,
            })
        })();
        match (header, fields.u64()) {
            (Some(header), Some(sum)) if sum == xxh3_64(&bytes[..length - SUM]) => {
                let is_possible =
                    (1..MOST).contains(&header.first) && header.boot < MOST && is_possible(header.size);
                is_possible.then_some((header, sum)).ok_or_else(|| IMPOSSIBLE.into())
            }
            _ => Err("the checksum of its header is wrong".into()),
        }
    }
}

impl SnapshotHeader {
    /// Returns the number of its bytes.
    pub(crate) const fn length(&self) -> usize {
        self.version.length(SNAPSHOT_HEADER)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SNAPSHOT_HEADER);
        put_start(&mut out, SNAPSHOT_MAGIC, self.version, self.size);
        out.extend_from_slice(&self.instance);
        put(&mut out, &[self.boot, self.sequence, self.checksum, self.time, self.taken, self.state]);
        self.version.put_program(&mut out);
        out
    }

    /// Reads a header that `bytes` begins with. Whether it is whole, only the checksum at the end of the snapshot tells.
    pub(crate) fn decode(bytes: &[u8]) -> Result<SnapshotHeader, String> {
        let mut fields = Fields(bytes);
        let version = fields.start(SNAPSHOT_MAGIC, "snapshot")?;
        let header = (|| {
            Some(SnapshotHeader {
                size: fields.size()?,
                instance: fields.array()?,
                boot: fields.u64()?,
                sequence: fields.u64()?,
                checksum: fields.u64()?,
                time: fields.u64()?,
                taken: fields.u64()?,
                state: fields.u64()?,
                version: Version::with_program(version, &mut fields)?,
            })
        })();
        let header =
            header.ok_or_else(|| format!("its header has {} of {SNAPSHOT_HEADER} bytes", bytes.len()))?;
        if !is_possible(header.size) {
            return Err(format!("there is no display of {}", header.size));
        }
        let is_possible = header.sequence < MOST && header.boot < MOST;
        is_possible.then_some(header).ok_or_else(|| IMPOSSIBLE.into())
    }
}
