//! Syncs written records: one sync for all records that were written while the last one ran.

use super::lock::locked;
use super::manifest::Ledger;
use super::storage::{Storage, StoredFile};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::watch;

/// The records that wait for a sync, and the progress of syncing.
#[derive(Debug)]
pub(crate) struct Syncer {
    storage: Arc<dyn Storage>,
    ledger: Arc<Ledger>,
    /// Locked for a short time. `one` may be locked before it, never after.
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Locked while a sync runs. The system reports a failure only once, so only one sync runs at a time.
    one: Mutex<()>,
    durable: watch::Sender<u64>,
    /// The same number, readable without a lock.
    durable_now: AtomicU64,
    failure: watch::Sender<Option<Arc<str>>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Files with unsynced records, oldest first.
    files: Vec<Arc<dyn StoredFile>>,
    /// The numbers of new journal files.
    new: Vec<u64>,
    written: u64,
    is_closed: bool,
}

impl Syncer {
    /// Creates a syncer; all records up to `durable` are synced.
    pub(crate) fn new(storage: Arc<dyn Storage>, ledger: Arc<Ledger>, durable: u64) -> Syncer {
        Syncer {
            storage,
            ledger,
            queue: Mutex::new(Queue { written: durable, ..Queue::default() }),
            changed: Condvar::new(),
            one: Mutex::new(()),
            durable: watch::Sender::new(durable),
            durable_now: AtomicU64::new(durable),
            failure: watch::Sender::new(None),
        }
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable_now.load(Acquire)
    }

    pub(crate) fn watch_durable(&self) -> watch::Receiver<u64> {
        self.durable.subscribe()
    }

    pub(crate) fn watch_failure(&self) -> watch::Receiver<Option<Arc<str>>> {
        self.failure.subscribe()
    }

    pub(crate) fn failure(&self) -> Option<Arc<str>> {
        self.failure.borrow().clone()
    }

    /// Requests a sync of all records up to `written`, the last of which are in `file`. `new` is the number of the file
    /// if it is new.
    pub(crate) fn want(&self, file: &Arc<dyn StoredFile>, written: u64, new: Option<u64>) {
        let mut queue = locked(&self.queue);
        if written <= queue.written && new.is_none() {
            // A refused turn does not sync, since the disk may be failing.
            return;
        }
        if queue.files.last().is_none_or(|last| !Arc::ptr_eq(last, file)) {
            queue.files.push(file.clone());
        }
        queue.written = queue.written.max(written);
        queue.new.extend(new);
        drop(queue);
        self.changed.notify_one();
    }

    /// Syncs all waiting records, unless a sync has failed before: no later sync can restore what that one lost.
    pub(crate) fn sync(&self) -> Result<(), Arc<str>> {
        let _one = locked(&self.one);
        if let Some(failure) = self.failure() {
            return Err(failure);
        }
        let (files, new, written) = {
            let mut queue = locked(&self.queue);
            (std::mem::take(&mut queue.files), std::mem::take(&mut queue.new), queue.written)
        };
        let synced = files.iter().try_for_each(|file| file.sync());
        let synced =
            synced.and_then(|()| if new.is_empty() { Ok(()) } else { self.storage.sync_directory() });
        // The manifest names a new journal file before any of its records is reported as durable.
        let synced = synced.and_then(|()| self.ledger.add_journals(&new, written));
        synced.map_err(|error| self.fail(&format!("a sync to its disk failed ({error})")))?;
        // Checked after the sync: another server that started meanwhile may have missed these records, which are not
        // reported as durable yet.
        self.storage.check().map_err(|error| self.fail(&error.to_string()))?;
        self.durable_now.store(written, Release);
        self.durable.send_if_modified(|durable| std::mem::replace(durable, written) != written);
        Ok(())
    }

    fn fail(&self, what: &str) -> Arc<str> {
        let why: Arc<str> = format!(
            "{what}, so what was drawn since record {} may not be in it: the display ends",
            self.durable()
        )
        .into();
        self.failure.send_replace(Some(why.clone()));
        why
    }

    /// Syncs whenever records wait, until it is closed and all are synced, or a sync fails.
    pub(crate) fn run(&self) {
        loop {
            let queue = locked(&self.queue);
            let idle = |queue: &mut Queue| queue.files.is_empty() && !queue.is_closed;
            let queue = self.changed.wait_while(queue, idle).unwrap_or_else(PoisonError::into_inner);
            if queue.files.is_empty() {
                return;
            }
            drop(queue);
            if self.sync().is_err() {
                return;
            }
        }
    }

    pub(crate) fn close(&self) {
        locked(&self.queue).is_closed = true;
        self.changed.notify_all();
    }
}
