//! Journals on a disk in memory, written from `display-server/JOURNAL.md` by code independent of the server's.

use draw_protocol::session::{Id, Stamp};
use draw_protocol::{Color, Size};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A directory that is removed on drop.
pub(crate) struct Directory(PathBuf);

/// The files of a directory, by name.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

impl Directory {
    pub(crate) fn with(files: &Files) -> Directory {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("draw-fuzz-{}-{number}", std::process::id()));
        fs::create_dir(&path).expect("a directory for a journal");
        let directory = Directory(path);
        for (name, bytes) in files {
            fs::write(directory.0.join(name), bytes).expect("a file for a journal");
        }
        directory
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn files(&self) -> Files {
        let entries = fs::read_dir(&self.0).expect("it is there").map(|entry| entry.expect("an entry"));
        let name = |entry: &fs::DirEntry| entry.file_name().into_string().expect("a name in ASCII");
        entries.map(|entry| (name(&entry), fs::read(entry.path()).expect("a file"))).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A failure only leaves files behind.
        _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn journal_name(number: u64) -> String {
    format!("journal-{number:016}")
}

pub(crate) fn snapshot_name(number: u64) -> String {
    format!("snapshot-{number:016}")
}

/// Appends the checksum of all bytes, and returns it.
pub(crate) fn seal(bytes: &mut Vec<u8>, seed: u64) -> u64 {
    let sum = xxh3_64_with_seed(bytes, seed);
    bytes.extend_from_slice(&sum.to_be_bytes());
    sum
}

/// The format version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One = 1,
    Two = 2,
}

/// The program that wrote a file of version 2.
const PROGRAM: [u8; 8] = [0, 3, 0, 1, 0, 4, 0, 0];

/// The header of a `journal-N`.
#[derive(Debug, Clone, Copy)]
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

impl Header {
    /// Returns the bytes of the header, and the checksum that the first record is chained to.
    pub(crate) fn encode(&self) -> (Vec<u8>, u64) {
        let mut bytes = b"DRAWJRNL\0\0\0".to_vec();
        bytes.push(self.version as u8);
        for number in [self.size.width, self.size.height, self.background.to_u32()] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.instance);
        for number in [self.boot, self.first, self.previous, self.durable, self.time] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        if self.version == Version::Two {
            bytes.extend_from_slice(&PROGRAM);
        }
        let sum = seal(&mut bytes, 0);
        (bytes, sum)
    }
}

/// One drawing call, or a session as version 1 writes it: the exceptions of a `sync`.
#[derive(Debug, Clone)]
pub(crate) struct Record<'a> {
    /// Overrides the kind that follows from the other fields, in version 2.
    pub(crate) kind: Option<u8>,
    pub(crate) sequence: u64,
    pub(crate) durable: u64,
    pub(crate) time: u64,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) method: &'a [u8],
    pub(crate) parameters: &'a [u8],
    pub(crate) exceptions: &'a [u8],
}

impl Record<'_> {
    /// Returns the bytes of the record after something with the checksum `before`, and its own checksum.
    pub(crate) fn encode(&self, version: Version, before: u64) -> (Vec<u8>, u64) {
        let mut bytes = Vec::new();
        for number in [self.sequence, self.durable, self.time] {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        if version == Version::Two {
            self.encode_body(&mut bytes);
            let mut record = (bytes.len() as u32).to_be_bytes().to_vec();
            record.append(&mut bytes);
            let sum = seal(&mut record, before);
            return (record, sum);
        }
        bytes.push(self.stamp.is_some().into());
        if let Some(Stamp { session: Id(id), number, ack, digest }) = self.stamp {
            bytes.extend_from_slice(&id);
            [number, ack, digest].iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
        }
        bytes.push(self.method.len() as u8);
        bytes.extend_from_slice(self.method);
        for blob in [self.parameters, self.exceptions] {
            bytes.extend_from_slice(&(blob.len() as u32).to_be_bytes());
            bytes.extend_from_slice(blob);
        }
        let mut record = (bytes.len() as u32).to_be_bytes().to_vec();
        record.append(&mut bytes);
        let sum = seal(&mut record, before);
        (record, sum)
    }

    /// Appends the kind of version 2 and the fields after it.
    fn encode_body(&self, bytes: &mut Vec<u8>) {
        let is_session = self.method == b"sync";
        bytes.push(self.kind.unwrap_or(match self.stamp {
            Some(_) if is_session => 3,
            Some(_) => 2,
            None => 1,
        }));
        if let Some(Stamp { session: Id(id), number, ack, digest }) = self.stamp {
            bytes.extend_from_slice(&id);
            if is_session {
                return bytes.extend_from_slice(self.exceptions);
            }
            [number, ack, digest].iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
        }
        bytes.push(self.method.len() as u8);
        bytes.extend_from_slice(self.method);
        bytes.extend_from_slice(self.parameters);
    }
}

/// Returns the bytes of a `snapshot-N` before its picture and state: those of a header, in another order.
pub(crate) fn snapshot(header: &Header, taken: u64, picture: &[u8], state: &[u8]) -> Vec<u8> {
    let mut bytes = b"DRAWSNAP\0\0\0".to_vec();
    bytes.push(header.version as u8);
    for side in [header.size.width, header.size.height] {
        bytes.extend_from_slice(&side.to_be_bytes());
    }
    bytes.extend_from_slice(&header.instance);
    let sequence = header.first - 1;
    for number in [header.boot, sequence, header.previous, header.time, taken, state.len() as u64] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    if header.version == Version::Two {
        bytes.extend_from_slice(&PROGRAM);
    }
    bytes.extend_from_slice(picture);
    bytes.extend_from_slice(state);
    seal(&mut bytes, 0);
    bytes
}

/// Returns the state of a snapshot with one session. In version 2 a section of a skippable kind follows it.
pub(crate) fn state(version: Version, Id(id): Id, session: &[u8]) -> Vec<u8> {
    let sessions = [&id[..], &(session.len() as u32).to_be_bytes(), session].concat();
    match version {
        Version::One => sessions,
        Version::Two => {
            let length = (sessions.len() as u64).to_be_bytes();
            [&[1][..], &length, &sessions, &[0x93, 0, 0, 0, 0, 0, 0, 0, 2, 5, 5]].concat()
        }
    }
}
