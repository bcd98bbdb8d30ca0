//! A directory in memory that can fail, and that simulates a loss of power.

use crate::journal::lock::locked;
use crate::journal::storage::{Storage, StoredFile};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Bytes that a disk writes together: few, so that small files tear as well.
const PAGE: usize = 32;

/// A generator of pseudorandom numbers, reproducible from its seed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Returns a number below `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// Operations that fail, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// The machine loses its power before this operation.
    Crash(u64),
    /// `count` operations from this one on fail.
    Error {
        from: u64,
        count: u64,
        kind: io::ErrorKind,
    },
}

/// Operations for which a disk has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// All operations have room.
    No,
    /// Files can be created, but bytes can only be written to reserved space.
    ForBytes,
    /// Files cannot be created, cut or removed either, as on file systems where each change first takes space of its
    /// own.
    ForAnything,
}

/// A disk in memory. Clones share the same disk.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    disk: Arc<Mutex<Disk>>,
    /// Wakes syncs of files that wait, and tests that wait for those.
    syncs: Arc<Condvar>,
}

#[derive(Debug)]
struct Disk {
    names: BTreeMap<String, usize>,
    /// The names at the last sync of the directory.
    synced_names: BTreeMap<String, usize>,
    files: Vec<Contents>,
    done: u64,
    trouble: Trouble,
    full: Full,
    can_reserve: bool,
    /// Maximum length of a file. The system would end a process that writes more.
    limit: u64,
    fails_to_sync: bool,
    /// Number of syncs of files that still end, if limited, and of syncs that wait.
    syncs_left: Option<u64>,
    syncs_waiting: u64,
}

#[derive(Debug, Clone, Default)]
struct Contents {
    bytes: Vec<u8>,
    synced: Vec<u8>,
    reserved: u64,
}

#[derive(Debug)]
struct Handle {
    disk: Arc<Mutex<Disk>>,
    syncs: Arc<Condvar>,
    file: usize,
}

impl Disk {
    /// Counts an operation, and fails if it is one that must fail.
    fn operate(&mut self) -> io::Result<()> {
        self.done += 1;
        match self.trouble {
            Trouble::Crash(at) if self.done >= at => Err(io::Error::other("the power is gone")),
            Trouble::Error { from, count, kind } if (from..from + count).contains(&self.done) => {
                Err(kind.into())
            }
            _ => Ok(()),
        }
    }

    /// Counts an operation that creates or removes files, or makes one shorter.
    fn rearrange(&mut self) -> io::Result<()> {
        self.operate()?;
        if self.full == Full::ForAnything { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn has_room(&self) -> io::Result<()> {
        if self.full == Full::No { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Memory {
    pub(crate) fn new(trouble: Trouble, can_reserve: bool) -> Memory {
        Memory::with(BTreeMap::new(), Vec::new(), trouble, can_reserve)
    }

    fn with(
        names: BTreeMap<String, usize>,
        files: Vec<Contents>,
        trouble: Trouble,
        can_reserve: bool,
    ) -> Memory {
        let synced_names = names.clone();
        let disk = Disk {
            synced_names,
            names,
            files,
            done: 0,
            trouble,
            full: Full::No,
            can_reserve,
            limit: u64::MAX,
            fails_to_sync: false,
            syncs_left: None,
            syncs_waiting: 0,
        };
        Memory { disk: Arc::new(Mutex::new(disk)), syncs: Arc::default() }
    }

    pub(crate) fn operations(&self) -> u64 {
        locked(&self.disk).done
    }

    pub(crate) fn set_trouble(&self, trouble: Trouble) {
        locked(&self.disk).trouble = trouble;
    }

    pub(crate) fn set_limit(&self, limit: u64) {
        locked(&self.disk).limit = limit;
    }

    pub(crate) fn set_full(&self, full: Full) {
        locked(&self.disk).full = full;
    }

    /// Makes the next sync of a file fail. Later syncs succeed, as on a real system.
    pub(crate) fn set_sync_failure(&self) {
        locked(&self.disk).fails_to_sync = true;
    }

    /// Lets `left` more syncs of files end; those after them wait.
    pub(crate) fn set_syncs_left(&self, left: Option<u64>) {
        locked(&self.disk).syncs_left = left;
        self.syncs.notify_all();
    }

    /// Waits until a sync of a file is waiting.
    pub(crate) fn wait_for_sync(&self) {
        let disk = locked(&self.disk);
        let is_missing = |disk: &mut Disk| disk.syncs_waiting == 0;
        let waited = self.syncs.wait_timeout_while(disk, Duration::from_secs(20), is_missing);
        assert!(waited.is_ok_and(|(_, waited)| !waited.timed_out()), "there is no sync");
    }

    /// Returns `true` if the power is lost.
    pub(crate) fn is_dead(&self) -> bool {
        let disk = locked(&self.disk);
        matches!(disk.trouble, Trouble::Crash(at) if disk.done >= at)
    }

    /// Returns what another process finds after this one was killed: everything.
    pub(crate) fn after_kill(&self) -> Memory {
        let disk = locked(&self.disk);
        let files = disk.files.iter().map(|file| Contents { reserved: 0, ..file.clone() }).collect();
        let survivor = Memory::with(disk.names.clone(), files, Trouble::None, disk.can_reserve);
        locked(&survivor.disk).synced_names = disk.synced_names.clone();
        survivor
    }

    /// Returns what is found after a loss of power: what was synced, and any part of the rest.
    pub(crate) fn after_power_loss(&self, dice: &mut Dice) -> Memory {
        let disk = locked(&self.disk);
        let mut names = disk.synced_names.clone();
        for name in disk.names.keys().chain(disk.synced_names.keys()) {
            if dice.one_in(2) {
                match disk.names.get(name) {
                    Some(&file) => names.insert(name.clone(), file),
                    None => names.remove(name),
                };
            }
        }
        let files = disk.files.iter().map(|file| {
            let bytes = file.survive(dice);
            Contents { synced: bytes.clone(), bytes, reserved: 0 }
        });
        Memory::with(names, files.collect(), Trouble::None, disk.can_reserve)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        let disk = locked(&self.disk);
        disk.files[disk.names[name]].bytes.clone()
    }

    /// Returns a copy of the disk on which a file has other contents, synced.
    pub(crate) fn with_file(&self, name: &str, bytes: Vec<u8>) -> Memory {
        let changed = self.after_kill();
        {
            let mut disk = locked(&changed.disk);
            let file = disk.names[name];
            disk.files[file] = Contents { synced: bytes.clone(), bytes, reserved: 0 };
        }
        changed
    }

    pub(crate) fn without_file(&self, name: &str) -> Memory {
        let changed = self.after_kill();
        locked(&changed.disk).names.remove(name).expect("it is there");
        changed
    }
}

impl Contents {
    /// Returns what a loss of power leaves: pages of the current contents, of earlier contents, or neither.
    fn survive(&self, dice: &mut Dice) -> Vec<u8> {
        let (now, synced) = (&self.bytes, &self.synced);
        let stable = common_prefix(now, synced);
        // If the file was not cut since the last sync, all synced bytes are there.
        let least = if stable == synced.len() { stable } else { stable.min(now.len()) };
        let most = now.len().max(synced.len());
        let length = match dice.below(3) {
            0 => least,
            1 => most,
            _ => least + dice.below((most - least) as u64 + 1) as usize,
        };
        let is_clean = dice.one_in(2);
        let mut left = Vec::with_capacity(length);
        while left.len() < length {
            let start = left.len();
            let kept = is_clean || !dice.one_in(3);
            let page = (start / PAGE + 1) * PAGE;
            let end = if start < stable { page.min(stable) } else { page }.min(length);
            if start < stable || kept {
                left.extend_from_slice(part(now, start, end));
            }
            left.extend_from_slice(part(synced, left.len(), end));
            left.resize(end, 0);
        }
        left
    }
}

/// Returns `bytes[start..end]`, as far as there are bytes.
fn part(bytes: &[u8], start: usize, end: usize) -> &[u8] {
    bytes.get(start..end.min(bytes.len())).unwrap_or_default()
}

/// Returns the length of the longest common prefix. Compares pages, since comparing byte by byte took most of the time of the tests.
fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let pages = a.chunks(PAGE).zip(b.chunks(PAGE)).take_while(|(a, b)| a == b);
    let equal = pages.map(|(page, _)| page.len()).sum();
    let rest = a[equal..].iter().zip(&b[equal..]);
    equal + rest.take_while(|(a, b)| a == b).count()
}

impl Storage for Memory {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut disk = locked(&self.disk);
        disk.operate()?;
        Ok(disk.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let mut disk = locked(&self.disk);
        disk.operate()?;
        let file = disk.file(name)?;
        Ok(Arc::new(Handle { disk: self.disk.clone(), syncs: self.syncs.clone(), file }))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoredFile>> {
        let mut disk = locked(&self.disk);
        disk.rearrange()?;
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = disk.files.len();
        disk.files.push(Contents::default());
        disk.names.insert(name.to_owned(), file);
        Ok(Arc::new(Handle { disk: self.disk.clone(), syncs: self.syncs.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = locked(&self.disk);
        disk.rearrange()?;
        let file = disk.file(from)?;
        disk.names.remove(from);
        disk.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = locked(&self.disk);
        disk.rearrange()?;
        disk.file(name)?;
        disk.names.remove(name);
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut disk = locked(&self.disk);
        disk.operate()?;
        disk.synced_names = disk.names.clone();
        Ok(())
    }
}

impl StoredFile for Handle {
    fn length(&self) -> io::Result<u64> {
        let mut disk = locked(&self.disk);
        disk.operate()?;
        Ok(disk.files[self.file].bytes.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut disk = locked(&self.disk);
        disk.operate()?;
        let rest = disk.files[self.file].bytes.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = locked(&self.disk);
        let outcome = disk.operate().and_then(|()| disk.has_room());
        let limit = disk.limit;
        let file = &mut disk.files[self.file];
        assert!(file.bytes.len() as u64 + bytes.len() as u64 <= limit, "the process is ended by SIGXFSZ");
        // Writes to reserved space succeed. Other failures leave a part behind.
        let is_reserved = file.bytes.len() as u64 + bytes.len() as u64 <= file.reserved;
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::StorageFull && is_reserved => {}
            Err(error) => {
                file.bytes.extend_from_slice(&bytes[..bytes.len() / 2]);
                return Err(error);
            }
            Ok(()) => {}
        }
        // Longer writes take two calls.
        let n = if bytes.len() > 40 { bytes.len() / 2 } else { bytes.len() };
        file.bytes.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn reserve(&self, length: u64, bytes: u64) -> io::Result<()> {
        let mut disk = locked(&self.disk);
        disk.operate()?;
        if length + bytes > disk.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if !disk.can_reserve {
            return Err(io::ErrorKind::Unsupported.into());
        }
        disk.has_room()?;
        disk.files[self.file].reserved = length + bytes;
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut disk = locked(&self.disk);
        disk.rearrange()?;
        let file = &mut disk.files[self.file];
        file.bytes.truncate(length as usize);
        file.reserved = 0;
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut disk = locked(&self.disk);
        disk.syncs_waiting += 1;
        self.syncs.notify_all();
        let must_wait = |disk: &mut Disk| disk.syncs_left == Some(0);
        let mut disk = self.syncs.wait_while(disk, must_wait).unwrap_or_else(PoisonError::into_inner);
        disk.syncs_waiting -= 1;
        disk.syncs_left = disk.syncs_left.map(|left| left - 1);
        disk.operate()?;
        if std::mem::take(&mut disk.fails_to_sync) {
            return Err(io::Error::other("a bad sector"));
        }
        let file = &mut disk.files[self.file];
        file.synced = file.bytes.clone();
        Ok(())
    }
}
