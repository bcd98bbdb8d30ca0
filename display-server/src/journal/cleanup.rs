//! Removes files, and torn ends of files, that a start does not need, before anything is written.

use super::files::journal_name;
use super::replay::Break;
use super::storage::Storage;
use std::io;

/// What is to be removed. If the disk is too full even for that, nothing is written until it succeeds.
#[derive(Debug, Default)]
pub(crate) struct Cleanup {
    /// Unfinished and damaged snapshots. If they counted as one of the two that are kept, the next snapshot would
    /// remove an intact one.
    pub(crate) names: Vec<String>,
    /// A break without proof of later records, and the existing files. Everything behind the break is cut off.
    pub(crate) torn: Option<(Vec<u64>, Break)>,
    /// The end was cut off, and the sync of that is outstanding.
    pub(super) has_failed: bool,
}

impl Cleanup {
    /// Removes all of it, durably. A missing file is no error, so this can be repeated.
    ///
    /// # Errors
    /// The failed operation, and the error. Only a full disk may recover by itself.
    pub(crate) fn remove(&mut self, storage: &dyn Storage) -> Result<(), (String, io::Error)> {
        for name in &self.names {
            remove(storage, name)?;
        }
        if let Some((journals, broken)) = &self.torn {
            // From the last file on, so that an interruption leaves a journal that is torn in the same way.
            for &number in journals.iter().rev().filter(|&&number| number >= broken.file) {
                let name = journal_name(number);
                if broken.removes(number) {
                    remove(storage, &name)?;
                    continue;
                }
                let file = storage.open(&name);
                let file = file.and_then(|file| file.truncate(broken.damage.offset).map(|()| file));
                let file = file.map_err(|error| (format!("cut off the torn end of {name}"), error))?;
                let synced = if self.has_failed {
                    Err(io::Error::other("an earlier sync failed"))
                } else {
                    file.sync()
                };
                self.has_failed = synced.is_err();
                synced.map_err(|error| (format!("sync {name}"), io::Error::other(error)))?;
            }
        }
        // If this fails, a later start removes the files again.
        storage.sync_directory().map_err(|error| ("sync it".to_owned(), error))
    }
}

fn remove(storage: &dyn Storage, name: &str) -> Result<(), (String, io::Error)> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((format!("remove {name}"), error)),
        _ => Ok(()),
    }
}
