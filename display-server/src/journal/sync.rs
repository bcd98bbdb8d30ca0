//! Makes durable what was written: one sync for all that came while the last one ran.

use super::lock::locked;
use super::manifest::Ledger;
use super::storage::{Storage, StoredFile};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tokio::sync::watch;

/// What waits to be synced, and how far that is.
#[derive(Debug)]
pub(crate) struct Syncer {
    storage: Arc<dyn Storage>,
    ledger: Arc<Ledger>,
    /// Held for a moment; `one` may be held around it, never the other way.
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Held while a sync runs. The system tells of a failure only once, so there is one at a time.
    one: Mutex<()>,
    durable: watch::Sender<u64>,
    /// The same, to be had without a lock.
    durable_now: AtomicU64,
    failure: watch::Sender<Option<Arc<str>>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Those that have something unsynced, oldest first.
    files: Vec<Arc<dyn StoredFile>>,
    /// The numbers of journals that are new.
    new: Vec<u64>,
    written: u64,
    is_closed: bool,
}

impl Syncer {
    /// Everything up to `durable` is synced.
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

    /// Everything up to `written` has been written, the last of it to `file`, which is a new journal if it has a number.
    pub(crate) fn want(&self, file: &Arc<dyn StoredFile>, written: u64, new: Option<u64>) {
        let mut queue = locked(&self.queue);
        if written <= queue.written && new.is_none() {
            // A turn that was refused wants nothing of a disk that may be sick.
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

    /// Syncs all that waits, unless a sync has failed before: what that one lost, no other brings back.
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
        // Before anything in a new journal is durable, that there is one is.
        let synced = synced.and_then(|()| self.ledger.add_journals(&new, written));
        synced.map_err(|error| self.fail(&format!("a sync to its disk failed ({error})")))?;
        // After the sync, not before: a server that started meanwhile has not reported this as durable.
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

    /// Syncs whenever there is something to sync, until it is closed and all is synced, or a sync fails.
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
