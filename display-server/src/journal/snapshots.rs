//! Takes snapshots, and removes superfluous files.

use super::error::JournalError;
use super::files::{Catalogue, journal_name, snapshot_name, write_snapshot};
use super::format::{SnapshotHeader, Version};
use super::lock::locked;
use super::log::wall_clock;
use super::manifest::KEPT;
use super::shared::Core;
use super::state;
use std::io;
use tracing::{debug, warn};

impl Core {
    /// Takes a snapshot. Drawing only stops while the picture is copied.
    pub(crate) fn take_snapshot(&self) -> Result<(), JournalError> {
        let io = |what: &str| {
            let (directory, what) = (self.directory.clone(), what.to_owned());
            move |source: io::Error| JournalError::Io { directory, what, source }
        };
        let size = locked(&self.log).owner().size;
        let mut picture = Vec::new();
        let bytes = u64::from(size.width) * u64::from(size.height) * 4;
        // The memory is allocated and touched before the log is locked.
        usize::try_from(bytes)
            .ok()
            .and_then(|bytes| picture.try_reserve_exact(bytes).ok())
            .ok_or_else(|| io("copy the picture")(io::ErrorKind::OutOfMemory.into()))?;
        picture.resize(picture.capacity(), 0);

        let mut log = locked(&self.log);
        let (before, [old, new]) = log.rotate(self.syncer.durable()).map_err(io("create a new file"))?;
        self.syncer.want(&old, before.next - 1, None);
        self.syncer.want(&new, before.next - 1, Some(log.place.file));
        self.display.copy_picture(&mut picture);
        let state = state::encode(|visit| self.display.sessions(visit));
        let (owner, number) = (log.owner(), log.place.file);
        drop(log);

        // The name of a snapshot promises that all records before it are synced.
        self.syncer.sync().map_err(|why| JournalError::Failed {
            directory: self.directory.clone(),
            why: why.to_string(),
        })?;
        let header = SnapshotHeader {
            version: Version::WRITTEN,
            size,
            instance: owner.instance,
            boot: before.boot,
            sequence: before.next - 1,
            checksum: before.checksum,
            time: before.time,
            taken: wall_clock(),
            state: state.len() as u64,
        };
        let written = write_snapshot(&*self.storage, number, &header, &picture, &state);
        written.map_err(io(&format!("write {}", snapshot_name(number))))?;
        debug!("the journal in {}: took a snapshot after call {}", self.directory.display(), header.sequence);
        let oldest = self.remove_old().unwrap_or_else(|error| {
            warn!("cannot remove old files of the journal in {}: {error}", self.directory.display());
            0
        });
        self.ledger.add_snapshot(number, oldest).map_err(io("write the manifest"))
    }

    /// Removes files that none of the kept snapshots needs, and returns the number of the oldest kept one. Failures are
    /// retried after the next snapshot.
    fn remove_old(&self) -> io::Result<u64> {
        let catalogue = Catalogue::list(&*self.storage)?;
        let Some(&oldest) = catalogue.snapshots.iter().rev().nth(KEPT - 1) else { return Ok(0) };
        let old = |numbers: &[u64], name: fn(u64) -> String| {
            numbers.iter().filter(|&&number| number < oldest).map(|&number| name(number)).collect::<Vec<_>>()
        };
        // A snapshot is removed before the journal file that it needs.
        for name in
            old(&catalogue.snapshots, snapshot_name).iter().chain(&old(&catalogue.journals, journal_name))
        {
            self.storage.remove(name)?;
        }
        Ok(oldest)
    }

    /// Delays the next attempt after a failed snapshot.
    pub(crate) fn retry_snapshot_soon(&self) {
        let mut log = locked(&self.log);
        log.since = self.snapshot_after - self.snapshot_after / 8;
    }
}
