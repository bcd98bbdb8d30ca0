//! Detects missing files, by the manifest and by the numbers of snapshots. The server and the inspection of a journal
//! share this code.

use super::error::Damage;
use super::files::{Catalogue, journal_name, snapshot_name};
use super::format::{HAS_MANIFEST, START, VERSION_AT, later_version, unknown_version};
use super::manifest::{MANIFEST, Manifest};
use super::recovery_point::read_header;
use super::replay::{Owner, Place};
use super::storage::{FileReader, Storage};
use std::io;

const GONE: &str = "the file is missing";

fn damage(file: impl Into<String>, record: u64, what: impl Into<String>) -> Damage {
    Damage { file: file.into(), offset: 0, record, what: what.into() }
}

impl Catalogue {
    /// Returns the manifest, if it is whole and of `owner`.
    pub(crate) fn manifest_of(&self, owner: Owner) -> Option<&Manifest> {
        let manifest = self.manifest.as_ref()?.as_ref().ok()?;
        (manifest.instance == owner.instance).then_some(manifest)
    }

    /// Returns the number of the last journal file that exists or is known to have existed. A snapshot proves the
    /// journal file of the same number, which was on the disk before the snapshot was named.
    pub(crate) fn last(&self, owner: Owner) -> u64 {
        let named = self.manifest_of(owner).and_then(|manifest| manifest.journals.last());
        self.journals.last().max(self.snapshots.last()).max(named).copied().unwrap_or(0)
    }

    /// Returns the highest number that any file of the directory has or had, of any display.
    pub(crate) fn newest(&self) -> u64 {
        let there = self.journals.last().max(self.snapshots.last()).copied().unwrap_or(0);
        self.manifest
            .as_ref()
            .and_then(|manifest| manifest.as_ref().ok())
            .map_or(there, |m| m.newest().max(there))
    }

    /// Returns the proof that records from `record` on, in the journal file `file` behind `offset`, were durable;
    /// `None` if there is none.
    pub(crate) fn proof(&self, owner: Owner, file: u64, offset: u64, record: u64) -> Option<String> {
        // For a file without a readable header, its own existence is a proof; otherwise that of a later one.
        let least = if offset == 0 { file } else { file + 1 };
        if let Some(later) = self.snapshots.iter().find(|&&snapshot| snapshot >= least) {
            // A snapshot is named only after all records before it are synced.
            return Some(format!("snapshot {later} was taken behind it"));
        }
        let manifest = self.manifest_of(owner)?;
        if let Some(&later) = manifest.journals.range(least..).next() {
            let named =
                if later == file { "it".into() } else { format!("the later {}", journal_name(later)) };
            return Some(format!("the manifest names {named}"));
        }
        (manifest.durable >= record).then(|| "the manifest says that it was synced".to_owned())
    }

    /// Returns the names of files in the manifest that are missing, although no newer snapshots replace them. Oldest
    /// first, snapshots before journals.
    pub(crate) fn lost(&self, owner: Owner) -> Vec<String> {
        let Some(manifest) = self.manifest_of(owner) else { return Vec::new() };
        let is_lost = |number: &&u64, there: &[u64]| {
            !there.contains(number) && !Manifest::is_superfluous(**number, &self.snapshots)
        };
        let snapshots = manifest.snapshots.iter().filter(|number| is_lost(number, &self.snapshots));
        let journals = manifest.journals.iter().filter(|number| is_lost(number, &self.journals));
        snapshots.map(|&n| snapshot_name(n)).chain(journals.map(|&n| journal_name(n))).collect()
    }

    /// Returns whether a journal file is missing that the newest picture needs.
    pub(crate) fn has_gap(&self, owner: Owner) -> bool {
        let first = self.snapshots.last().or(self.journals.first()).copied().unwrap_or(1);
        (first..=self.last(owner)).any(|number| !self.journals.contains(&number))
    }

    /// Returns the first file of a later version of the format, as the place of its version. `None` if there is none.
    ///
    /// A file that cannot be read is passed over: the start fails if it needs that file.
    pub(crate) fn later_file(&self, storage: &dyn Storage) -> Option<Damage> {
        let manifest = self.manifest.is_some().then(|| MANIFEST.to_owned());
        let snapshots = self.snapshots.iter().map(|&number| snapshot_name(number));
        let journals = self.journals.iter().map(|&number| journal_name(number));
        manifest.into_iter().chain(snapshots).chain(journals).find_map(|file| {
            let mut reader = FileReader::new(storage.open(&file).ok()?, 0).ok()?;
            let version = later_version(reader.peek_only(START).ok()?)?;
            Some(Damage { file, offset: VERSION_AT, record: 0, what: unknown_version(version) })
        })
    }

    /// Returns the damage of the manifest itself: its bytes were changed, or it is missing although a header says that
    /// there is one.
    pub(crate) fn wrong_manifest(&self, storage: &dyn Storage) -> io::Result<Option<Damage>> {
        match &self.manifest {
            Some(Err(what)) => Ok(Some(damage(MANIFEST, 0, what.clone()))),
            Some(Ok(manifest)) if self.is_empty() => {
                let first = manifest.journals.first().map(|&number| journal_name(number));
                Ok(first.map(|first| damage(first, 1, format!("{GONE} (the manifest names it)"))))
            }
            Some(Ok(_)) => Ok(None),
            None => {
                for &number in self.journals.iter().rev().filter(|&&number| number > 1) {
                    if read_header(storage, number)?.is_ok_and(|header| header.background == HAS_MANIFEST) {
                        let what = format!("{GONE} ({} says that there was one)", journal_name(number));
                        return Ok(Some(damage(MANIFEST, 0, what)));
                    }
                }
                Ok(None)
            }
        }
    }

    /// Returns where the manifest contradicts files that are whole up to `end`, from the number `base` on.
    pub(crate) fn contradiction(&self, owner: Owner, base: u64, end: &Place) -> Option<Damage> {
        let manifest = self.manifest.as_ref()?.as_ref().ok()?;
        if manifest.newest() < base {
            // The manifest is older than the snapshot, which has everything it can name.
            return None;
        }
        let what = if manifest.instance != owner.instance {
            "it belongs to another display than the files".to_owned()
        } else if manifest.boot > end.boot {
            format!("it was written by start {}, but the files end with start {}", manifest.boot, end.boot)
        } else if manifest.durable >= end.next {
            format!("it says that record {} was synced, but the files end before it", manifest.durable)
        } else {
            return None;
        };
        Some(damage(MANIFEST, end.next, what))
    }
}
