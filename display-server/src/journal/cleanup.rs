//! Files and ends of files that a start does not need: they are removed before anything is written.

use super::files::journal_name;
use super::replay::Break;
use super::storage::Storage;
use std::io;

/// What is to be removed. If the disk is too full even for that, it stays, and nothing is written meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Cleanup {
    /// Snapshots that were never finished, or are damaged: were those counted as one of the two that are kept, the next would
    /// remove a better one.
    pub(crate) names: Vec<String>,
    /// A break that nothing vouches for, and the files that there are. What is behind it is cut off.
    pub(crate) torn: Option<(Vec<u64>, Break)>,
    /// It was cut off, and the disk has not confirmed it. No other sync would tell whether it is.
    pub(super) has_failed: bool,
}

impl Cleanup {
    /// Removes all of it, durably. What is gone already is no error, so that it can be tried again.
    ///
    /// # Errors
    /// What could not be done, and what the system says. Only that there is no room may end by itself.
    pub(crate) fn remove(&mut self, storage: &dyn Storage) -> Result<(), (String, io::Error)> {
        for name in &self.names {
            remove(storage, name)?;
        }
        if let Some((journals, broken)) = &self.torn {
            // From the last on: what is left when this is interrupted is torn in the same way.
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
        // What this fails to make durable, a later start finds and removes.
        storage.sync_directory().map_err(|error| ("sync it".to_owned(), error))
    }
}

fn remove(storage: &dyn Storage, name: &str) -> Result<(), (String, io::Error)> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err((format!("remove {name}"), error)),
        _ => Ok(()),
    }
}
