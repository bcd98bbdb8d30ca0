//! What was drawn survives `kill -9`, a loss of power, and a full disk.
//!
//! A journal is a directory. Each drawing call is appended to a file in it before it is drawn, and reported when both
//! is done; a thread of its own syncs the file, at once when it is idle, else all that came meanwhile together. So of a
//! call that was reported as drawn the end of the process leaves everything, and a loss of power everything up to
//! [`Journal::durable`]. When the file has grown enough, the picture is written to a snapshot and older files go. The
//! bytes are described in `format.rs`; `display-server journal` looks at them.
//!
//! | what happens | what becomes of it |
//! |---|---|
//! | the process is killed | everything that was answered is there |
//! | the machine is | everything up to `durable`, and some or all of the rest, in order |
//! | the disk is full, or a write fails | drawing calls are refused with `no_space`, questions are answered; it goes on when there is room |
//! | a sync fails | nobody knows what is on the disk: the display says so and ends |
//! | the end of the last file is torn | it is cut off, and the log says how much |
//! | anything else was changed | the display does not start, and says where |
//! | the newest snapshot is damaged | the one before it is used, and the files since then |
//!
//! Locks: a connection holds the log for a turn, while it appends and draws, so that records are in the order of the
//! drawing. Nobody syncs, or waits for one who does, while holding it. Without a journal there is no lock.

mod error;
mod files;
mod format;
pub mod inspect;
mod log;
#[cfg(test)]
mod memory;
mod recover;
mod replay;
mod snapshots;
mod storage;
mod sync;
#[cfg(test)]
mod tests;
mod turn;

pub use error::{Damage, JournalError};
pub use format::{Entry, Stamp};

use crate::display::Display;
use draw_protocol::{Answer, Color, Fault, Size};
use format::HEADER;
use log::Log;
use recover::{Errors, Recovered, recover};
use replay::{Owner, Place};
use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use storage::{Directory, Storage};
use sync::{Syncer, locked};
use tokio::sync::watch;
use tracing::{info, warn};
pub(crate) use turn::Turn;

/// The size of a display when nobody says another.
pub const DEFAULT_SIZE: Size = Size { width: 640, height: 480 };

/// Files behind a snapshot that a start may find before it takes a new one: each start leaves one.
const FILES: u64 = 8;

/// What is kept beside the picture and survives with it. All of it is called while nothing is drawn.
pub trait Companion: Debug + Send + Sync {
    /// Takes back what [`Companion::save`] gave. At most once, and before anything is replayed.
    ///
    /// # Errors
    /// If that is nothing it can read; says why. Then the journal is not opened.
    fn restore(&self, state: &[u8]) -> Result<(), String>;
    /// An entry behind the snapshot, in order, with what drawing it again came to.
    fn replay(&self, sequence: u64, entry: &Entry<'_>, result: &Result<Answer, Fault>);
    /// What is to be in a snapshot: everything up to the last entry.
    fn save(&self) -> Vec<u8>;
}

/// Nothing is kept beside the picture.
impl Companion for () {
    fn restore(&self, _: &[u8]) -> Result<(), String> {
        Ok(())
    }
    fn replay(&self, _: u64, _: &Entry<'_>, _: &Result<Answer, Fault>) {}
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// How a journal is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The size of the display. `None` is that of the journal, or [`DEFAULT_SIZE`] if it is new.
    pub size: Option<Size>,
    /// The colour of a new display.
    pub background: Color,
    /// Bytes that a journal has when the next snapshot is taken: 256 MiB by default, which is two seconds of recovery.
    pub snapshot_after: u64,
    /// Whether a journal that is damaged is to be used as far as it is whole, as a new instance.
    pub accept_loss: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { size: None, background: Color::BLACK, snapshot_after: 256 << 20, accept_loss: false }
    }
}

/// An open journal and its display. Clones are the same. When the last is dropped, all that was written is synced; only
/// [`Journal::close`] takes a snapshot.
#[derive(Debug, Clone)]
pub struct Journal {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    core: Arc<Core>,
    syncing: Mutex<Option<JoinHandle<()>>>,
}

/// A journal without its threads.
#[derive(Debug)]
pub(crate) struct Core {
    directory: PathBuf,
    storage: Arc<dyn Storage>,
    display: Display,
    companion: Arc<dyn Companion>,
    log: Mutex<Log>,
    syncer: Syncer,
    snapshot_after: u64,
    /// The log has been told that it cannot be written.
    is_refusing: AtomicBool,
    /// The thread that is taking a snapshot, or has taken the last. Held to look and to start one.
    snapshot: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal in `directory`, which is made if there is none, and brings its display back. `progress` is told
    /// how many bytes of how many have been replayed.
    ///
    /// # Errors
    /// Whatever keeps it from being used: see [`JournalError`].
    pub fn open(
        directory: &Path,
        options: &Options,
        companion: Arc<dyn Companion>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Journal, JournalError> {
        let errors = Errors(directory);
        let storage = Directory::lock(directory).map_err(errors.io("lock it"))?;
        let storage = storage.ok_or_else(|| JournalError::Locked(directory.to_owned()))?;
        let core = Core::open(directory, Arc::new(storage), options, companion, progress)?;
        Journal::start(core).map_err(errors.io("start a thread"))
    }

    /// Starts what happens beside the connections.
    fn start(core: Core) -> io::Result<Journal> {
        let core = Arc::new(core);
        let syncing = core.clone();
        let syncing =
            thread::Builder::new().name("journal-sync".into()).spawn(move || syncing.syncer.run())?;
        Ok(Journal { handle: Arc::new(Handle { core, syncing: Mutex::new(Some(syncing)) }) })
    }

    /// The display that it keeps. Only what clients draw is kept, and what is drawn otherwise is not.
    pub fn display(&self) -> &Display {
        &self.handle.core.display
    }

    /// Born with an empty display, and never of another.
    pub fn instance(&self) -> [u8; 16] {
        locked(&self.handle.core.log).owner().instance
    }

    /// How often the instance has been started, this time included.
    pub fn boot(&self) -> u64 {
        locked(&self.handle.core.log).place.boot
    }

    /// The number up to which every entry is on the disk, and will be there after a loss of power. It only grows.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.handle.core.syncer.watch_durable()
    }

    /// Why nothing more is taken, ever: a sync has failed.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.handle.core.syncer.failure()
    }

    /// Ready when [`Journal::failure`] has something to say.
    pub async fn failed(&self) -> Arc<str> {
        let mut failure = self.handle.core.syncer.watch_failure();
        match failure.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone()) {
            Some(failure) => failure,
            // The sender lives as long as this journal.
            None => std::future::pending().await,
        }
    }

    /// Ends it: takes a snapshot, so that the next start is at once, and syncs. It blocks. To be called when nobody draws
    /// any more.
    ///
    /// # Errors
    /// If anything that clients were told is drawn is not certain to be there at the next start. That there is no
    /// snapshot is only logged.
    pub fn close(&self) -> Result<(), JournalError> {
        self.handle.join_snapshot();
        let outcome = self.handle.core.finish();
        self.handle.stop();
        outcome
    }

    pub(crate) fn core(&self) -> &Core {
        &self.handle.core
    }

    pub(crate) fn shared_core(&self) -> &Arc<Core> {
        &self.handle.core
    }
}

impl Handle {
    fn join_snapshot(&self) {
        let snapshot = locked(&self.core.snapshot).take();
        if let Some(snapshot) = snapshot {
            _ = snapshot.join();
        }
    }

    fn stop(&self) {
        self.join_snapshot();
        self.core.syncer.close();
        if let Some(syncing) = locked(&self.syncing).take() {
            _ = syncing.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Core {
    /// Recovers what there is, or begins anew.
    pub(crate) fn open(
        directory: &Path,
        storage: Arc<dyn Storage>,
        options: &Options,
        companion: Arc<dyn Companion>,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Core, JournalError> {
        let (errors, began) = (Errors(directory), Instant::now());
        let recovered = recover(&*storage, options, &*companion, &errors, progress)?;
        let is_new = recovered.is_none();
        let recovered = match recovered {
            Some(recovered) => recovered,
            None => empty(options).map_err(|error| errors.display(error))?,
        };
        let Recovered { display, mut owner, mut place, bytes, files, is_cut } = recovered;
        if is_new || is_cut {
            let random = getrandom::fill(&mut owner.instance).map_err(io::Error::other);
            random.map_err(errors.io("find a random number"))?;
            place.boot = 0;
        }
        place.boot += 1;
        let durable = place.next - 1;
        let log = Log::begin(storage.clone(), owner, options.background, place, durable);
        let log = log.and_then(|log| log.file.sync().and_then(|()| storage.sync_directory()).map(|()| log));
        let mut log = log.map_err(errors.io("begin a new file"))?;
        log.since = bytes.saturating_sub(files * HEADER as u64);
        let core = Core {
            directory: directory.to_owned(),
            syncer: Syncer::new(storage.clone(), durable),
            storage,
            display,
            companion,
            log: Mutex::new(log),
            snapshot_after: options.snapshot_after,
            is_refusing: AtomicBool::new(false),
            snapshot: Mutex::new(None),
        };
        if is_cut {
            core.take_snapshot()?;
        } else if (files >= FILES || bytes > options.snapshot_after)
            && let Err(error) = core.take_snapshot()
        {
            warn!("no snapshot was taken: {error}");
        }
        let took = began.elapsed();
        let path = directory.display();
        if is_new {
            info!("a new journal in {path}");
        } else {
            info!("{durable} calls are back from {path}: {bytes} bytes in {took:.1?}");
        }
        Ok(core)
    }

    /// Has all that was drawn in the files and synced, with a snapshot if there can be one.
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
            self.syncer.want(&log.file, log.place.next - 1, false);
            log.since > 0
        };
        if is_new && let Err(error) = self.take_snapshot() {
            warn!("no snapshot was taken, so the next start takes longer: {error}");
        }
        self.syncer.sync().map_err(|why| failed(why.to_string()))
    }
}

/// An empty display that nobody has drawn on.
fn empty(options: &Options) -> Result<Recovered, crate::Error> {
    let size = options.size.unwrap_or(DEFAULT_SIZE);
    let display = Display::new(size, options.background)?;
    let place = Place { file: 1, next: 1, checksum: 0, time: 0, boot: 0 };
    let owner = Owner { instance: [0; 16], size };
    Ok(Recovered { display, owner, place, bytes: 0, files: 0, is_cut: false })
}
