//! What proves that a file was there: the manifest, and snapshots by their numbers. The server and all who look at a journal ask
//! the same.

use super::error::Damage;
use super::files::{Catalogue, journal_name, snapshot_name};
use super::format::HAS_MANIFEST;
use super::manifest::{MANIFEST, Manifest};
use super::recovery_point::read_header;
use super::replay::{Owner, Place};
use super::storage::Storage;
use std::io;

const GONE: &str = "the file is missing";

fn damage(file: impl Into<String>, record: u64, what: impl Into<String>) -> Damage {
    Damage { file: file.into(), offset: 0, record, what: what.into() }
}

impl Catalogue {
    /// The manifest, if it is whole and of `owner`.
    pub(crate) fn manifest_of(&self, owner: Owner) -> Option<&Manifest> {
        let manifest = self.manifest.as_ref()?.as_ref().ok()?;
        (manifest.instance == owner.instance).then_some(manifest)
    }

    /// The number of the last journal that is there or is known to have been: a snapshot is named when the journal behind it, of the
    /// same number, is on the disk.
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

    /// Why what is missing from `record` on, in the journal `file` behind `offset`, was promised; `None` if nothing proves it.
    pub(crate) fn proof(&self, owner: Owner, file: u64, offset: u64, record: u64) -> Option<String> {
        // Of a file whose header is not to be had it proves something that the file was there; else that there was a later one.
        let least = if offset == 0 { file } else { file + 1 };
        if let Some(later) = self.snapshots.iter().find(|&&snapshot| snapshot >= least) {
            // A snapshot is named only when all before it is synced.
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

    /// The names of files that the manifest has and the directory has not, although nothing has made them superfluous. Oldest
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

    /// Whether a journal is missing that the newest picture needs.
    pub(crate) fn has_gap(&self, owner: Owner) -> bool {
        let first = self.snapshots.last().or(self.journals.first()).copied().unwrap_or(1);
        (first..=self.last(owner)).any(|number| !self.journals.contains(&number))
    }

    /// What is wrong with the manifest itself, whatever the files are: it is not as it was written, or it is gone although a header
    /// says that there was one.
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

    /// What of the manifest contradicts files that are whole up to `end`, from the number `base` on.
    pub(crate) fn contradiction(&self, owner: Owner, base: u64, end: &Place) -> Option<Damage> {
        let manifest = self.manifest.as_ref()?.as_ref().ok()?;
        if manifest.newest() < base {
            // It is older than the snapshot, which has all that it can know of.
            return None;
        }
        let what = if manifest.instance != owner.instance {
            "it is of another display than the files".to_owned()
        } else if manifest.boot > end.boot {
            format!("it is of start {}, and the files end with start {}", manifest.boot, end.boot)
        } else if manifest.durable >= end.next {
            format!("it says that record {} was synced, and the files end before it", manifest.durable)
        } else {
            return None;
        };
        Some(damage(MANIFEST, end.next, what))
    }
}
