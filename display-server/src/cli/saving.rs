//! Writes snapshots beside the serving, one at a time.

use display_server::output::{self, Patience};
use display_server::{Display, Error, snapshot};
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

/// How long the reader of a pipe may keep a snapshot waiting that SIGUSR1 asked for: clients are served meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time that everybody else has together when the display ends: clients to go, and the reader of a pipe to take the
/// snapshot.
const END: Duration = Duration::from_secs(2);

/// What of [`END`] the reader has in any case, whatever the clients have used up.
const LAST: Duration = Duration::from_millis(700);

/// The snapshots of a display.
pub(super) struct Snapshots {
    display: Display,
    path: Option<PathBuf>,
    /// The one that is being written.
    writing: Option<JoinHandle<Result<(), Error>>>,
}

impl Snapshots {
    /// Of this display, to `path` if there is one.
    pub(super) fn new(display: &Display, path: Option<PathBuf>) -> Snapshots {
        Snapshots { display: display.clone(), path, writing: None }
    }

    /// Returns whether one is being written. Another one waits for it, so that the older one does not replace it.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Begins to write one, because of SIGUSR1.
    pub(super) fn begin(&mut self) {
        if self.path.is_some() {
            self.writing = Some(self.spawn(Patience::AllWaits(PATIENCE)));
        } else {
            warn!("SIGUSR1 came, but no snapshot is written: start the display with --snapshot FILE.png");
        }
    }

    /// Waits until the one that is being written is done, and logs what became of it. Never ready if there is none. The future
    /// may be dropped and made again.
    pub(super) async fn written(&mut self) {
        let Some(writing) = &mut self.writing else { return pending().await };
        let outcome = finished(writing).await;
        self.writing = None;
        match outcome {
            Ok(()) => info!("wrote the snapshot {}", self.name()),
            Err(error) => error!("{error}"),
        }
    }

    /// Writes the last one. `ending` is when the display began to end. A reader, other than a disk, has what is left of [`END`].
    pub(super) async fn finish(mut self, ending: Option<Instant>) -> Result<(), Error> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let gone = ending.map_or(Duration::ZERO, |ending| ending.elapsed());
        let left = END.saturating_sub(gone).max(LAST);
        if self.is_writing() && output::has_reader(&path) {
            if tokio::time::timeout(left, self.written()).await.is_err() {
                // What is left of it, and the new one behind it, would be no picture.
                let what = "the reader has not taken the snapshot that SIGUSR1 asked for, so the last one is not written";
                return Err(Error::Snapshot { path, source: io::Error::new(io::ErrorKind::TimedOut, what) });
            }
        } else if self.is_writing() {
            self.written().await;
        }
        let gone = ending.map_or(Duration::ZERO, |ending| ending.elapsed());
        finished(&mut self.spawn(Patience::AllWaits(END.saturating_sub(gone).max(LAST)))).await
    }

    /// Writes one on a thread that may block.
    fn spawn(&self, patience: Patience) -> JoinHandle<Result<(), Error>> {
        let (display, path) = (self.display.clone(), self.path.clone().unwrap_or_default());
        tokio::task::spawn_blocking(move || snapshot::write_within(display.framebuffer(), &path, patience))
    }

    fn name(&self) -> String {
        self.path.as_deref().map(output::name).unwrap_or_default()
    }
}

async fn finished(writing: &mut JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    writing.await.unwrap_or_else(|failure| Err(Error::Start(io::Error::other(failure))))
}
