//! The part of a journal that connections, the syncing thread and the snapshot thread share.

use super::Options;
use super::error::JournalError;
use super::format::HEADER;
use super::lock::locked;
use super::log::Log;
use super::manifest::Ledger;
use super::recover::{Recovered, recover};
use super::recovery_point::Errors;
use super::storage::{Storage, is_full};
use super::sync::Syncer;
use super::target::{Recorded, Replay};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// If a start finds this many files behind a snapshot, it takes a new one. Each start adds one.
const FILES: u64 = 8;

/// A journal without its threads.
#[derive(Debug)]
pub(crate) struct Core {
    pub(super) directory: PathBuf,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) display: Arc<dyn Recorded>,
    pub(super) log: Mutex<Log>,
    pub(super) syncer: Syncer,
    pub(super) snapshot_after: u64,
    /// It was logged that the journal cannot be written.
    pub(super) is_refusing: AtomicBool,
    /// It was logged that the start has found no room.
    pub(super) is_read_only: AtomicBool,
    /// The thread that is taking a snapshot, or has taken the last one. Locked to check and to start it.
    pub(super) snapshot: Mutex<Option<JoinHandle<()>>>,
}

/// A journal that was read, and in which nothing is changed yet.
#[derive(Debug)]
pub(crate) struct Opening<R> {
    directory: PathBuf,
    storage: Arc<dyn Storage>,
    options: Options,
    recovered: Recovered<R>,
    /// How long the reading took.
    took: Duration,
}

impl<R: Replay> Opening<R> {
    /// Reads the journal in `storage`, which errors call `directory`.
    pub(crate) fn read(
        directory: &Path,
        storage: Arc<dyn Storage>,
        options: &Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Opening<R>, JournalError> {
        let began = Instant::now();
        let recovered = recover::<R>(&*storage, options, &Errors(directory), progress)?;
        let (directory, options) = (directory.to_owned(), options.clone());
        Ok(Opening { directory, storage, options, recovered, took: began.elapsed() })
    }

    /// Continues the journal, or begins a new one. Also returns the display.
    pub(crate) fn begin(self) -> Result<(Core, Arc<R::Rebuilt>), JournalError> {
        let Opening { directory, storage, options, mut recovered, took } = self;
        let (errors, began) = (Errors(&directory), Instant::now());
        recovered.settle(&*storage, &errors)?;
        let Recovered {
            display,
            mut owner,
            mut place,
            bytes,
            files,
            is_cut,
            is_new,
            cleanup,
            manifest,
            has_manifest,
            ..
        } = recovered;
        if is_new || is_cut {
            let random = getrandom::fill(&mut owner.instance).map_err(io::Error::other);
            random.map_err(errors.io("get random bytes"))?;
            place.boot = 0;
        }
        place.boot += 1;
        let durable = place.next - 1;
        let ledger =
            Arc::new(Ledger::new((storage.clone(), directory.clone()), manifest, has_manifest, is_cut));
        let disk = (storage.clone(), ledger.clone());
        let mut log = Log::new(disk, owner, options.background, place, cleanup);
        let full = match log.begin() {
            Ok(()) => None,
            // An existing picture can be shown, and clients can continue. A new journal needs its file first.
            Err(error) if is_full(&error) && !is_new && !is_cut => Some(error),
            Err(error) => return Err(errors.io("create a new file")(error)),
        };
        let wants_snapshot = files >= FILES || bytes > options.snapshot_after;
        log.since =
            if wants_snapshot { options.snapshot_after } else { bytes.saturating_sub(files * HEADER as u64) };
        let display = display.finish();
        let core = Core {
            directory: directory.clone(),
            syncer: Syncer::new(storage.clone(), ledger.clone(), durable),
            storage,
            ledger,
            display: display.clone(),
            log: Mutex::new(log),
            snapshot_after: options.snapshot_after,
            is_refusing: AtomicBool::new(full.is_some()),
            is_read_only: AtomicBool::new(full.is_some()),
            snapshot: Mutex::new(None),
        };
        if is_cut {
            core.take_snapshot()?;
        } else if wants_snapshot
            && full.is_none()
            && let Err(error) = core.take_snapshot()
        {
            warn!("cannot take a snapshot: {error}");
        }
        let took = took + began.elapsed();
        let path = directory.display();
        if is_new {
            info!("created a journal in {path}");
        } else {
            let calls = draw_protocol::text::count(durable, "call");
            info!("recovered {calls} from {path}: {bytes} bytes in {took:.1?}");
        }
        if let Some(error) = full {
            error!(
                "no room for the journal in {path} ({error}): the display is read-only until there is room"
            );
        }
        Ok((core, display))
    }
}

impl Core {
    /// Recovers the journal, or begins a new one. Also returns the display.
    #[cfg(test)]
    pub(crate) fn open<R: Replay>(
        directory: &Path,
        storage: Arc<dyn Storage>,
        options: &Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(Core, Arc<R::Rebuilt>), JournalError> {
        Opening::<R>::read(directory, storage, options, progress)?.begin()
    }

    /// Writes and syncs all records, and takes a snapshot if possible.
    pub(crate) fn finish(&self) -> Result<(), JournalError> {
        let failed = |why: String| JournalError::Failed { directory: self.directory.clone(), why };
        if let Some(failure) = self.syncer.failure() {
            return Err(failed(failure.to_string()));
        }
        let is_new = {
            let mut log = locked(&self.log);
            log.flush().map_err(|error| {
                failed(format!(
                    "what was drawn last could not be written ({error}), and is lost with this process"
                ))
            })?;
            if let Some(file) = &log.file {
                self.syncer.want(file, log.place.next - 1, None);
            }
            log.since > 0
        };
        if is_new && let Err(error) = self.take_snapshot() {
            warn!("cannot take a snapshot, so the next start takes longer: {error}");
        }
        self.syncer.sync().map_err(|why| failed(why.to_string()))
    }
}
