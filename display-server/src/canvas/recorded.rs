//! Joins a journal with its display and sessions.

use crate::canvas::apply::replay;
use crate::canvas::damage::Damage;
use crate::canvas::display::Display;
use crate::journal::inspect::{self, Moment};
use crate::journal::{JournalError, Opening, Options, Recorded, Recorder, Replay};
use crate::sessions::{SessionMirror, Sessions};
use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Answer, Color, Fault, Request, Size};
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// An open journal and its display. Clones are the same journal. When the last is dropped, everything written is
/// synced; only [`Journal::close`] takes a snapshot.
#[derive(Debug, Clone)]
pub struct Journal {
    recorder: Recorder,
    picture: Arc<Picture>,
    sessions: Arc<Sessions>,
}

/// The display of a journal, and its sessions as the journal has recorded them.
#[derive(Debug)]
struct Picture {
    display: Display,
    mirror: SessionMirror,
}

impl Recorded for Picture {
    fn copy_picture(&self, out: &mut [u8]) {
        self.display.framebuffer().copy_rows(0..self.display.size().height, out);
    }

    fn sessions(&self, visit: &mut dyn FnMut(Id, &Session)) {
        self.mirror.visit(visit);
    }
}

/// Replays drawing calls, without sessions.
#[derive(Debug)]
struct Drawing {
    display: Display,
    damage: Damage,
}

impl Drawing {
    fn draw(&mut self, request: &Request<'_>) -> Result<Answer, Fault> {
        replay(request, self.display.framebuffer(), &mut self.damage)
    }

    fn publish(mut self) -> Display {
        self.display.framebuffer().publish(&mut self.damage);
        self.display
    }
}

impl Replay for Drawing {
    type Rebuilt = Picture;

    fn begin(size: Size, background: Color) -> Result<Drawing, Box<dyn Error + Send + Sync>> {
        let display = Display::new(size, background)?;
        let damage = display.framebuffer().no_damage();
        Ok(Drawing { display, damage })
    }

    fn row(&mut self, y: u32, rgba: &[u8]) {
        let (width, damage) = (self.display.size().width, &mut self.damage);
        // Sides are below 65,536.
        self.display.framebuffer().put_image((0, y as i32), (width, 1), rgba, damage);
    }

    fn session(&mut self, _: Id, _: &Session) {}

    fn call(&mut self, _: u64, _: Option<Stamp>, request: &Request<'_>) {
        // Calls that failed when they were recorded fail again.
        _ = self.draw(request);
    }

    fn finish(self) -> Arc<Picture> {
        Arc::new(Picture { display: self.publish(), mirror: SessionMirror::default() })
    }
}

/// Replays drawing calls and sessions.
#[derive(Debug)]
struct Rebuilding {
    drawing: Drawing,
    mirror: SessionMirror,
}

impl Replay for Rebuilding {
    type Rebuilt = Picture;

    fn begin(size: Size, background: Color) -> Result<Rebuilding, Box<dyn Error + Send + Sync>> {
        Ok(Rebuilding { drawing: Drawing::begin(size, background)?, mirror: SessionMirror::default() })
    }

    fn row(&mut self, y: u32, rgba: &[u8]) {
        self.drawing.row(y, rgba);
    }

    fn session(&mut self, id: Id, session: &Session) {
        self.mirror.read(id, session.clone());
    }

    fn call(&mut self, _: u64, session: Option<Stamp>, request: &Request<'_>) {
        let result = self.drawing.draw(request);
        if let Some(stamp) = session {
            self.mirror.drawn(stamp, &result);
        }
    }

    fn finish(self) -> Arc<Picture> {
        Arc::new(Picture { display: self.drawing.publish(), mirror: self.mirror })
    }
}

/// A journal that was read, and in which nothing is changed yet. It is locked: no other server can use it.
#[derive(Debug)]
pub struct RecoveredJournal(Opening<Rebuilding>);

impl RecoveredJournal {
    /// Continues the journal, or begins a new one: removes what a crash left, and creates the file for the next calls.
    ///
    /// # Errors
    /// If the journal cannot be written: see [`JournalError`].
    pub fn begin(self) -> Result<Journal, JournalError> {
        Recorder::begin(self.0).map(Journal::of)
    }
}

impl Journal {
    /// Opens the journal in `directory`, which is created if it does not exist, and rebuilds its display. `progress` is
    /// called with the bytes replayed so far, and with their total.
    ///
    /// # Errors
    /// If the journal cannot be used: see [`JournalError`].
    pub fn open(
        directory: &Path,
        options: &Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Journal, JournalError> {
        Journal::recover(directory, options, progress)?.begin()
    }

    /// Locks the journal in `directory`, which is created if it does not exist, and rebuilds its display, as
    /// [`Journal::open`] does, but changes none of its files before [`RecoveredJournal::begin`]. A server of several
    /// displays recovers all journals before it begins one.
    ///
    /// # Errors
    /// If the journal cannot be used: see [`JournalError`].
    pub fn recover(
        directory: &Path,
        options: &Options,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<RecoveredJournal, JournalError> {
        Recorder::read(directory, options, progress).map(RecoveredJournal)
    }

    /// Opens the journal in a directory in memory.
    #[cfg(test)]
    pub(crate) fn open_in(
        storage: Arc<dyn crate::journal::Storage>,
        options: &Options,
    ) -> Result<Journal, JournalError> {
        RecoveredJournal(Opening::read(Path::new("memory"), storage, options, &mut |_, _| ())?).begin()
    }

    fn of((recorder, picture): (Recorder, Arc<Picture>)) -> Journal {
        let instance = (Id(recorder.instance()), recorder.boot());
        let sessions = Arc::new(Sessions::restored(instance, &picture.mirror));
        Journal { recorder, picture, sessions }
    }

    /// Replaces the instance that clients are told.
    #[cfg(test)]
    pub(crate) fn with_instance(self, instance: (Id, u64)) -> Journal {
        let sessions = Arc::new(Sessions::restored(instance, &self.picture.mirror));
        Journal { sessions, ..self }
    }

    /// Returns the display of the journal in `directory` as it was at a moment, and changes nothing. `progress` is
    /// called with the bytes replayed so far, and with their total.
    ///
    /// # Errors
    /// If the journal does not reach back so far, if it is damaged before that moment, or if it cannot be read.
    pub fn export(
        directory: &Path,
        moment: Moment,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Display, JournalError> {
        inspect::export::<Drawing>(directory, moment, progress).map(Drawing::publish)
    }

    /// Returns the display of the journal. Only calls of clients are recorded.
    pub fn display(&self) -> &Display {
        &self.picture.display
    }

    pub(super) fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    pub(super) fn mirror(&self) -> &SessionMirror {
        &self.picture.mirror
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Returns the directory of the journal.
    pub fn directory(&self) -> &Path {
        self.recorder.directory()
    }

    /// Returns the instance: random bytes that were chosen when the display was created.
    pub fn instance(&self) -> [u8; 16] {
        self.recorder.instance()
    }

    /// Returns how often the instance has been started, including this time. A start that found no room is counted when it is the first
    /// to draw: until then the next start has the same number, and the same picture.
    pub fn boot(&self) -> u64 {
        self.recorder.boot()
    }

    /// Returns the number up to which all records are on the disk and survive a loss of power. It never decreases.
    pub fn durable(&self) -> watch::Receiver<u64> {
        self.recorder.durable()
    }

    /// Returns the failed sync because of which no further call is accepted, if there was one.
    pub fn failure(&self) -> Option<Arc<str>> {
        self.recorder.failure()
    }

    /// Waits until [`Journal::failure`] returns a failure.
    pub async fn failed(&self) -> Arc<str> {
        self.recorder.failed().await
    }

    /// Closes the journal: takes a snapshot, so that the next start is fast, and syncs. It blocks. Call it when no
    /// client draws any more.
    ///
    /// # Errors
    /// If an acknowledged call may be missing at the next start. If only the snapshot fails, that is logged.
    pub fn close(&self) -> Result<(), JournalError> {
        self.recorder.close()
    }
}
