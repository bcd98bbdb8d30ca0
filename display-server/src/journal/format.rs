//! The bytes of a journal, precisely enough for another implementation.
//!
//! A directory has files `journal-N` and `snapshot-N`, where N is a number of sixteen decimal digits from 1 up, and a
//! file `lock` that the server which writes them holds with `flock`, as it does the directory itself; and a file `manifest` of what
//! else there is. A name that ends in `.new` is a snapshot or a manifest that was never finished. All numbers are big-endian. A
//! checksum is XXH3, 64 bits, with a seed.
//!
//! **`journal-N`** is a header of 88 bytes, and then records up to its end:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | `DRAWJRNL` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4, 4 | width and height of the display |
//! | 20 | 4 | in `journal-1` the colour of the empty display, 0xRRGGBBAA; in others [`HAS_MANIFEST`] if there was a manifest when it was begun, and any other number if not |
//! | 24 | 16 | instance: random, born with an empty display |
//! | 40 | 8 | boot: counts the starts of the instance, from 1; not those that found no room for a file, and so have drawn nothing |
//! | 48 | 8 | the sequence number of the first record that may follow; the first of all is 1 |
//! | 56 | 8 | previous: the checksum of the last record before it, or of the header if a file has none; in `journal-1` 0 |
//! | 64 | 8 | durable: see below |
//! | 72 | 8 | time when it was begun |
//! | 80 | 8 | checksum of these 80 bytes, with the seed 0 |
//!
//! **A record** is one drawing call:
//!
//! | bytes | |
//! |---|---|
//! | 4 | length: how many bytes follow it before the checksum, at most [`RECORD`] |
//! | 8 | sequence number, one more than that of the record before it |
//! | 8 | durable: every record up to this number was known to be synced when this one was written |
//! | 8 | time of the wall clock, in milliseconds since 1970 UTC; never less than that of the record before it |
//! | 1 | 1 if a session stamp follows, else 0 |
//! | 16, 8, 8, 8 | only then: id of the session, number of the request, acknowledgement, digest. The number is not below the acknowledgement, and at most [`SESSION_WINDOW`](limits::SESSION_WINDOW) above it |
//! | 1, n | length and name of the method, as on the wire |
//! | 4, n | length and bytes of its parameters, a MessagePack array as on the wire; a batch is one such array |
//! | 4, n | length and bytes of its exceptions: a MessagePack map with `code` and `rejected` as in a fault. Length 0: there are none, or they follow from the call and the size of the display, so that a replay finds them again |
//! | 8 | checksum of everything from the length on, with the checksum before it as the seed: that of the record before it, or of the header |
//!
//! So a record cannot be changed, moved, left out or put in without notice. A writer that is cut off may leave anything
//! where it had not synced yet, also whole records behind a hole. That is a *torn* end, and is cut off. What tells it
//! from *damage* is `durable`: if any record or header behind the place vouches for what is missing there, it is damage.
//!
//! **`snapshot-N`** is what there is before `journal-N`: a header of 84 bytes, the picture, a state, a checksum.
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | `DRAWSNAP` |
//! | 8 | 4 | version: 1 |
//! | 12 | 4, 4 | width and height of the display |
//! | 20 | 16 | instance |
//! | 36 | 8 | boot |
//! | 44 | 8 | sequence number of the last record that is in it |
//! | 52 | 8 | checksum of that record: what `journal-N` has as previous |
//! | 60 | 8 | time of that record |
//! | 68 | 8 | time when it was taken |
//! | 76 | 8 | length of the state |
//! | 84 | width * height * 4 | the pixels as bytes R, G, B, A, rows from the top |
//! | | n | the state: what the server keeps beside the picture |
//! | | 8 | checksum of everything before it, with the seed 0 |
//!
//! **`manifest`** says which files there are, so that one that is gone is missed. It is replaced as a whole. What it names was on the
//! disk before; what was begun or removed last may not be in it yet:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | `DRAWMANI` |
//! | 8 | 4 | version: 1 |
//! | 12 | 16 | instance |
//! | 28 | 8 | boot of the newest journal in it |
//! | 36 | 8 | durable: every record up to this number was synced when it was written |
//! | 44 | 8, 8 | how many journals and how many snapshots it names |
//! | 60 | n * 8 | the numbers of the journals, rising, and then those of the snapshots |
//! | | 8 | checksum of everything before it, with the seed 0 |
//!
//! A journal from the newest snapshot on that is named and not there is damage, and so is a missing `journal-N` where there is a
//! `snapshot-N`, and a missing manifest where a header says that there was one. A file with two newer snapshots was removed. A
//! manifest that names only files older than the newest snapshot is out of date: a server that knows of no manifest has been there.
//! A directory without one is that of such a server, and gets one.

use draw_protocol::{Color, Size, limits};
use xxhash_rust::xxh3::xxh3_64;

/// What a record's length may say: the longest message, and room for what stands around its parameters.
pub(crate) const RECORD: usize = limits::MESSAGE_HARDEST + (64 << 10);

/// Bytes of a journal's header.
pub(crate) const HEADER: usize = 88;
/// Bytes of a snapshot's header.
pub(crate) const SNAPSHOT_HEADER: usize = 84;
/// Bytes of a checksum.
pub(crate) const SUM: usize = 8;

const JOURNAL_MAGIC: &[u8; 8] = b"DRAWJRNL";
const SNAPSHOT_MAGIC: &[u8; 8] = b"DRAWSNAP";
const VERSION: u32 = 1;

/// Stands in headers of files behind which a manifest is to be expected. As a colour it cannot be seen, so nobody has asked for it as
/// that of a display before there were manifests.
pub(crate) const HAS_MANIFEST: Color = Color::from_u32(0x4d41_4e00);

/// Numbers of records and starts are smaller: what says otherwise is no journal, and counting on from it would overflow.
pub(super) const MOST: u64 = 1 << 62;

const IMPOSSIBLE: &str = "its header has numbers that cannot be";

/// The start of a `journal-N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
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

    /// The magic and the version, or what is there instead.
    pub(super) fn start(&mut self, magic: &[u8; 8], wanted: u32, what: &str) -> Result<(), String> {
        if self.take(8).is_none_or(|found| found != magic) {
            return Err(format!("it does not start as a {what} does"));
        }
        match self.u32() {
            Some(version) if version == wanted => Ok(()),
            version => Err(format!("its version is {}, not {wanted}", version.unwrap_or(0))),
        }
    }
}

pub(super) fn put(out: &mut Vec<u8>, numbers: &[u64]) {
    numbers.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
}

fn put_start(out: &mut Vec<u8>, magic: &[u8; 8], size: Size) {
    out.extend_from_slice(magic);
    for number in [VERSION, size.width, size.height] {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

impl Header {
    /// Its bytes, and their checksum: the seed of the first record.
    pub(crate) fn encode(&self) -> (Vec<u8>, u64) {
        let mut out = Vec::with_capacity(HEADER);
        put_start(&mut out, JOURNAL_MAGIC, self.size);
        out.extend_from_slice(&self.background.to_u32().to_be_bytes());
        out.extend_from_slice(&self.instance);
        put(&mut out, &[self.boot, self.first, self.previous, self.durable, self.time]);
        let checksum = xxh3_64(&out);
        put(&mut out, &[checksum]);
        (out, checksum)
    }

    /// Reads it, and its checksum, or says what is wrong with it.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Header, u64), String> {
        let short = || format!("its header has {} of {HEADER} bytes", bytes.len());
        let bytes: &[u8; HEADER] = bytes.try_into().map_err(|_| short())?;
        let mut fields = Fields(bytes);
        fields.start(JOURNAL_MAGIC, VERSION, "journal")?;
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
            })
        })();
        match (header, fields.u64()) {
            (Some(header), Some(sum)) if sum == xxh3_64(&bytes[..HEADER - SUM]) => {
                let is_possible = (1..MOST).contains(&header.first) && header.boot < MOST;
                is_possible.then_some((header, sum)).ok_or_else(|| IMPOSSIBLE.into())
            }
            _ => Err("the checksum of its header is wrong".into()),
        }
    }
}

impl SnapshotHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SNAPSHOT_HEADER);
        put_start(&mut out, SNAPSHOT_MAGIC, self.size);
        out.extend_from_slice(&self.instance);
        put(&mut out, &[self.boot, self.sequence, self.checksum, self.time, self.taken, self.state]);
        out
    }

    /// Reads it. Whether it is whole, only the checksum at the end of the snapshot tells.
    pub(crate) fn decode(bytes: &[u8]) -> Result<SnapshotHeader, String> {
        let mut fields = Fields(bytes);
        fields.start(SNAPSHOT_MAGIC, VERSION, "snapshot")?;
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
            })
        })();
        let header =
            header.ok_or_else(|| format!("its header has {} of {SNAPSHOT_HEADER} bytes", bytes.len()))?;
        let is_possible = header.sequence < MOST && header.boot < MOST;
        is_possible.then_some(header).ok_or_else(|| IMPOSSIBLE.into())
    }
}
