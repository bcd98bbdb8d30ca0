//! Keeps what was drawn across `kill -9`, a loss of power, and a full disk.
//!
//! A journal is a directory. Each drawing call is appended to a file in it before it is drawn, and acknowledged when
//! both are done. A thread syncs the file: immediately if it is idle, or together with all records that were written
//! while the last sync ran. When the process ends, each acknowledged call is kept; after a loss of power, each call up
//! to `Recorder::durable`. For a client that needs more, the connection holds acknowledgements back. When the file
//! has reached a certain size, the picture is written to a snapshot, and older files are removed. `JOURNAL.md`
//! describes the bytes; `display-server journal` reads them.
//!
//! | event | result |
//! |---|---|
//! | the process is killed | every acknowledged call is kept |
//! | the machine loses power | every call up to `durable` is kept, and some or all of the rest, in order |
//! | the disk is full | drawing calls are refused with `no_space`, questions are answered; drawing goes on when there is room |
//! | the disk is full when the display starts | the same: the picture and the sessions are back. Only new ones need room |
//! | the file system is read-only | the display does not start: a failing disk is often remounted so, and what is read may not be on it |
//! | a write fails for another reason | the call is drawn, and acknowledged when it is on the disk; then as with a full disk |
//! | a sync fails | what is on the disk is unknown: the display reports it and ends |
//! | the end of the last file is torn | it is cut off, and the log says how much |
//! | anything else was changed | the display does not start, and says where |
//! | the newest snapshot is damaged | the one before it is used, with the files since then |
//!
//! A connection writes in its own thread, to the system's cache, once per transaction. If the disk cannot follow, the system blocks
//! the writer, and with it its client. What is drawn in a transaction may be visible in the window a moment before it is
//! written; no client is answered before.
//!
//! Locks: a connection holds the log for a transaction, while it appends and draws, so that records are in the order of
//! the drawing. No thread syncs, or waits for a sync, while it holds the log, except for the first call that finds room
//! after a start without room, which completes that start. Without a journal there is no lock.
//!
//! This folder uses the protocol only. The journal knows a display only by the traits `Replay` and `Recorded`,
//! which its owner implements.

mod cleanup;
mod directory;
mod error;
mod expected_files;
mod files;
mod format;
pub mod inspect;
mod kinds;
mod lock;
mod log;
mod manifest;
mod record;
mod recover;
mod recovery_point;
mod replay;
mod shared;
mod snapshots;
mod state;
mod storage;
mod sync;
mod target;
#[cfg(test)]
mod tests;
mod transaction;

pub use error::{Damage, JournalError};

use directory::Directory;
use draw_protocol::{Color, Size};
use lock::locked;
use recovery_point::Errors;
use shared::Core;
pub(crate) use shared::Opening;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;
#[cfg(test)]
pub(crate) use storage::Storage;
pub(crate) use target::{Recorded, Replay};
use tokio::sync::watch;
pub(crate) use transaction::Transaction;

/// The size of a new display without a given size.
pub const DEFAULT_SIZE: Size = Size { width: 640, height: 480 };

/// How soon a failed write is tried again for connections that wait for it.
const TRY_AGAIN: Duration = Duration::from_millis(250);

/// How a journal is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The size of the display. `None` is that of the journal, or [`DEFAULT_SIZE`] if it is new.
    pub size: Option<Size>,
    /// The colour of a new display.
    pub background: Color,
    /// The size of the journal, in bytes, at which the next snapshot is taken: 256 MiB by default, which take two
    /// seconds to recover.
    pub snapshot_after: u64,
    /// Whether to use the intact part of a damaged journal, as a new instance.
    pub accept_loss: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { size: None, background: Color::BLACK, snapshot_after: 256 << 20, accept_loss: false }
    }
}

/// An open journal, to which calls are recorded with a [`Transaction`]. Clones are the same journal. When the last is
/// dropped, everything written is synced; only [`Recorder::close`] takes a snapshot.
#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    core: Arc<Core>,
    syncing: Mutex<Option<JoinHandle<()>>>,
}

impl Recorder {
    /// Locks the journal in `directory`, which is created if it does not exist, and reads it.
    pub(crate) fn read<R: Replay>(
        directory: &Path,
        options: &Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Opening<R>, JournalError> {
        let errors = Errors(directory);
        let storage = Directory::lock(directory).map_err(|(what, error)| errors.directory(what, error))?;
        let storage = storage.ok_or_else(|| JournalError::Locked(directory.to_owned()))?;
        Opening::read(directory, Arc::new(storage), options, progress)
    }

    /// Continues a journal that was read. Also returns its display.
    pub(crate) fn begin<R: Replay>(opening: Opening<R>) -> Result<(Recorder, Arc<R::Rebuilt>), JournalError> {
        let (core, display) = opening.begin()?;
        let directory = core.directory.clone();
        let recorder = Recorder::start(core).map_err(Errors(&directory).io("start a thread"))?;
        Ok((recorder, display))
    }

    /// Starts the syncing thread.
    fn start(core: Core) -> io::Result<Recorder> {
        let core = Arc::new(core);
        let syncing = core.clone();
        let syncing =
            thread::Builder::new().name("journal-sync".into()).spawn(move || syncing.syncer.run())?;
        Ok(Recorder { handle: Arc::new(Handle { core, syncing: Mutex::new(Some(syncing)) }) })
    }

    /// Returns the instance: random bytes that were chosen when the display was created.
    pub(crate) fn instance(&self) -> [u8; 16] {
        locked(&self.handle.core.log).owner().instance
    }

    /// Returns how often the instance has been started, including this time. A start that found no room is counted once
    /// it draws; until then, the next start has the same number, and the same picture.
    pub(crate) fn boot(&self) -> u64 {
        locked(&self.handle.core.log).place.boot
    }

    /// Returns the directory, which names the journal in the log.
    pub(crate) fn directory(&self) -> &Path {
        &self.handle.core.directory
    }

    /// Returns the number up to which all records are on the disk and survive a loss of power. It never decreases.
    pub(crate) fn durable(&self) -> watch::Receiver<u64> {
        self.handle.core.syncer.watch_durable()
    }

    /// Returns whether record `number` and all before it are on the disk.
    pub(crate) fn has_durable(&self, number: u64) -> bool {
        self.handle.core.syncer.durable() >= number
    }

    /// Waits until record `number` is on the disk; for ever after a failure.
    pub(crate) fn until_durable(&self, number: u64) -> impl Future<Output = ()> + Send + use<> {
        let (mut durable, core) = (self.durable(), self.handle.core.clone());
        async move {
            // The sender lives as long as `self`, so only the number ends the wait. A failed write is retried here too,
            // since the next call, which would retry it, may be one that a client makes only after this one is
            // answered.
            while tokio::time::timeout(TRY_AGAIN, durable.wait_for(|durable| *durable >= number))
                .await
                .is_err()
            {
                core.write_again();
            }
        }
    }

    /// Returns the failed sync because of which no further call is accepted, if there was one.
    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.handle.core.syncer.failure()
    }

    /// Waits until [`Recorder::failure`] returns a failure.
    pub(crate) async fn failed(&self) -> Arc<str> {
        let mut failure = self.handle.core.syncer.watch_failure();
        match failure.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone()) {
            Some(failure) => failure,
            // The sender lives as long as this journal.
            None => std::future::pending().await,
        }
    }

    /// Takes a snapshot, so that the next start is fast, and syncs. It blocks. Call it when no client draws any more.
    ///
    /// # Errors
    /// If an acknowledged call may be missing at the next start. If only the snapshot fails, that is logged.
    pub(crate) fn close(&self) -> Result<(), JournalError> {
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
