//! Records the calls of a connection, while no other connection records.

use super::Recorder;
use super::lock::locked;
use super::log::{Log, wall_clock};
use super::record::Entry;
use super::shared::Core;
use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Code, Fault, JournalUse, Request};
use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};
use tracing::{error, info};

/// The calls that a connection records in a turn. The first drawing call locks the log, and the end releases it. By
/// then all records are in the file, before a client is answered, or [`Transaction::end`] returns that they are not.
pub(crate) struct Transaction<'a> {
    journal: Option<&'a Recorder>,
    log: Option<MutexGuard<'a, Log>>,
    /// The client will be told of the contents of the log: a call was recorded, or pixels are read.
    is_told: bool,
    /// See [`Transaction::last`].
    last: Option<u64>,
}

impl<'a> Transaction<'a> {
    /// Begins a transaction, which records nothing if there is no journal.
    pub(crate) fn new(journal: Option<&'a Recorder>) -> Transaction<'a> {
        Transaction { journal, log: None, is_told: false, last: None }
    }

    /// Returns the number of the last record on which the answers of this transaction depend: its own last record, or
    /// the last of all records if it read pixels. Returns `None` if they depend on none.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last
    }

    /// Records `request`, and returns the number of the record. The caller must draw it before the transaction ends.
    ///
    /// Reads are not recorded. A read of pixels waits for the transactions of other connections, so that the pixels are
    /// in the file; `sync_durable` waits in the same way. The caller must also update the session before the
    /// transaction ends.
    ///
    /// # Errors
    /// Those of the request; [`Code::NoSpace`] if it cannot be written; [`Code::ShuttingDown`] after a sync has failed.
    #[inline]
    pub(crate) fn record(
        &mut self,
        session: Option<Stamp>,
        request: &Request<'_>,
    ) -> Result<Option<u64>, Fault> {
        match self.journal {
            Some(journal) => self.record_in(journal.core(), session, request),
            None => Ok(None),
        }
    }

    /// Records the state of a session that a connection has begun or resumed, and returns the number of the record, if
    /// there is a journal.
    ///
    /// # Errors
    /// [`Code::NoSpace`] if it cannot be written.
    pub(crate) fn record_session(&mut self, id: Id, session: &Session) -> Result<Option<u64>, Fault> {
        let Some(journal) = self.journal else { return Ok(None) };
        let core = journal.core();
        let log = self.log.get_or_insert_with(|| {
            let mut log = locked(&core.log);
            log.begin_transaction(wall_clock());
            log
        });
        self.is_told = true;
        // The calls of earlier connections of the session are recorded before.
        self.last = Some(log.place.next - 1);
        let entry = Entry::Session { id, session };
        let number = core.append(log, &entry)?;
        self.last = Some(number);
        Ok(self.last)
    }

    fn record_in(
        &mut self,
        core: &'a Core,
        session: Option<Stamp>,
        request: &Request<'_>,
    ) -> Result<Option<u64>, Fault> {
        let how = request.method().journal();
        if how == JournalUse::Skip {
            return Ok(None);
        }
        if matches!(how, JournalUse::Append | JournalUse::Flush) {
            request.check()?;
            if self.log.is_none()
                && let Some(failure) = core.syncer.failure()
            {
                return Err(Fault::new(Code::ShuttingDown, &*failure));
            }
        }
        let log = self.log.get_or_insert_with(|| {
            let mut log = locked(&core.log);
            log.begin_transaction(wall_clock());
            log
        });
        if how == JournalUse::Flush {
            if log.written().is_none() {
                core.flush(log)?;
            }
            self.last = Some(log.place.next - 1);
        }
        if how != JournalUse::Append {
            self.is_told = true;
            return Ok(None);
        }
        self.last = Some(core.append(log, &Entry::Call { session, request: *request })?);
        self.is_told = true;
        Ok(self.last)
    }
}

impl Transaction<'_> {
    /// Ends the transaction. Returns the last number if records of this or an earlier transaction are not in the file,
    /// because a write into reserved space has failed. Then no client may be answered before that record is on the
    /// disk.
    #[inline]
    pub(crate) fn end(mut self) -> Option<u64> {
        self.finish()
    }

    #[inline]
    fn finish(&mut self) -> Option<u64> {
        let (journal, mut log) = (self.journal?, self.log.take()?);
        let is_large = journal.core().end_transaction(&mut log);
        let unwritten = (self.is_told && log.written().is_none()).then(|| log.place.next - 1);
        drop(log);
        if is_large {
            journal.shared_core().start_snapshot();
        }
        unwritten
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Core {
    /// Appends an entry, and returns its number.
    pub(crate) fn append(&self, log: &mut Log, entry: &Entry<'_>) -> Result<u64, Fault> {
        let taken = log.append(entry, self.syncer.durable());
        self.say(log, taken.as_ref().err());
        taken.map_err(|error| {
            let text = format!("the journal cannot be written ({error}), so nothing is drawn until it can");
            Fault::new(Code::NoSpace, text)
        })
    }

    /// Retries a write that failed at the end of a transaction.
    pub(crate) fn write_again(&self) {
        let mut log = locked(&self.log);
        if log.written().is_none() {
            self.end_transaction(&mut log);
        }
    }

    /// Writes all appended records to the file.
    fn flush(&self, log: &mut Log) -> Result<(), Fault> {
        let flushed = log.flush();
        self.say(log, flushed.as_ref().err());
        flushed.map_err(|error| {
            let text =
                format!("the journal cannot be written ({error}), so what was drawn last is not durable yet");
            Fault::new(Code::NoSpace, text)
        })
    }

    /// Writes the records of a transaction. Returns whether a snapshot is due.
    pub(crate) fn end_transaction(&self, log: &mut Log) -> bool {
        // Records that cannot be written stay in memory, and no further record is accepted before they are written.
        let flushed = log.flush();
        self.say(log, flushed.as_ref().err());
        if let (Some(written), Some(file)) = (log.written(), &log.file) {
            self.syncer.want(file, written, None);
        }
        log.since >= self.snapshot_after
    }

    /// Logs once that the journal cannot be written, and once that it can again.
    fn say(&self, log: &Log, failed: Option<&io::Error>) {
        let path = self.directory.display();
        if log.file.is_some() && self.is_read_only.load(Relaxed) {
            self.is_read_only.store(false, Relaxed);
            self.is_refusing.store(false, Relaxed);
            info!("there is room for the journal in {path} again: the display accepts drawing again");
        }
        match failed {
            Some(error) if !self.is_refusing.swap(true, Relaxed) => {
                error!("the journal in {path} cannot be written ({error}): nothing is drawn until it can");
            }
            None if self.is_refusing.load(Relaxed) && log.has_room() => {
                self.is_refusing.store(false, Relaxed);
                info!("the journal in {path} can be written again");
            }
            _ => {}
        }
    }

    /// Starts a thread that takes a snapshot, unless one is running.
    pub(crate) fn start_snapshot(self: &Arc<Core>) {
        let mut snapshot = locked(&self.snapshot);
        if snapshot.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        let core = self.clone();
        let started = std::thread::Builder::new().name("journal-snapshot".into()).spawn(move || {
            if let Err(error) = core.take_snapshot() {
                error!("cannot take a snapshot, so the journal grows: {error}");
                core.retry_snapshot_soon();
            }
        });
        match started {
            Ok(started) => *snapshot = Some(started),
            Err(error) => {
                let directory = self.directory.display();
                error!("the journal in {directory}: cannot take a snapshot, so it grows: {error}");
            }
        }
    }
}
