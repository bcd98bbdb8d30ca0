//! Writes snapshots while the server runs, one at a time.

use display_server::output::{self, Patience};
use display_server::{Display, DisplayName, Error, Server, snapshot};
use std::future::pending;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

/// How long the reader of a pipe may delay a snapshot for SIGUSR1. Clients are served meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);

/// The total time for the end of the display: for clients to disconnect, and for the reader of a pipe to take the
/// snapshot.
const END: Duration = Duration::from_secs(2);

/// The part of [`END`] that the reader has in any case, whatever the clients have used.
const LAST: Duration = Duration::from_millis(700);

/// Returns the path for the snapshot of an added display if that of the first display goes to `path`: the same with
/// `-NAME` before the extension. `None` if `path` is not a regular file.
pub(super) fn beside(path: &Path, name: &DisplayName) -> Option<PathBuf> {
    let is_other = output::is_standard(path) || path.metadata().is_ok_and(|metadata| !metadata.is_file());
    let stem = path.file_stem().filter(|_| !is_other)?;
    let mut file = stem.to_owned();
    file.push(format!("-{name}"));
    if let Some(extension) = path.extension() {
        file.push(".");
        file.push(extension);
    }
    Some(path.with_file_name(file))
}

/// The snapshots of the displays of a server.
pub(super) struct Snapshots {
    /// The displays that are written, and their paths, the first display first. Empty without a path.
    displays: Vec<(Display, PathBuf)>,
    /// The snapshot that is being written.
    writing: Option<JoinHandle<Result<(), Error>>>,
}

impl Snapshots {
    /// Creates the snapshots of all displays of this server, at `path` and beside it if there is a path.
    pub(super) fn new(server: &Server, path: Option<&Path>) -> Snapshots {
        let places = server.displays().enumerate().filter_map(|(i, (name, display))| {
            let path = if i == 0 { path?.to_owned() } else { beside(path?, name)? };
            Some((display.clone(), path))
        });
        Snapshots { displays: places.collect(), writing: None }
    }

    /// Returns the paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.displays.iter().map(|(_, path)| &**path)
    }

    /// Returns whether a snapshot is being written. The next one waits for it, so that the older one does not replace
    /// the newer.
    pub(super) fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// Begins to write a snapshot, for SIGUSR1.
    pub(super) fn begin(&mut self) {
        if !self.displays.is_empty() {
            self.writing = Some(self.spawn(Patience::AllWaits(PATIENCE)));
        } else {
            warn!(
                "received SIGUSR1, but no snapshot file is configured: start the server with --snapshot FILE.png"
            );
        }
    }

    /// Waits until the current snapshot is written, and logs the result. Never ready if there is none. The future may
    /// be dropped and called again.
    pub(super) async fn written(&mut self) {
        let Some(writing) = &mut self.writing else { return pending().await };
        let outcome = finished(writing).await;
        self.writing = None;
        match outcome {
            Ok(()) => {
                let names: Vec<_> = self.paths().map(output::name).collect();
                let what = if names.len() > 1 { "snapshots" } else { "snapshot" };
                info!("wrote the {what} {}", names.join(", "));
            }
            Err(error) => error!("{error}"),
        }
    }

    /// Writes the last snapshot. `ending` is the time at which the shutdown began. A reader has the rest of [`END`]; a
    /// disk has no limit.
    pub(super) async fn finish(mut self, ending: Option<Instant>) -> Result<(), Error> {
        let Some(path) = self.paths().next().map(Path::to_owned) else { return Ok(()) };
        let gone = ending.map_or(Duration::ZERO, |ending| ending.elapsed());
        let left = END.saturating_sub(gone).max(LAST);
        if self.is_writing() && output::has_reader(&path) {
            if tokio::time::timeout(left, self.written()).await.is_err() {
                // The rest of it, followed by the new one, would not be a picture.
                let what = "the reader has not read the snapshot requested by SIGUSR1, so the last snapshot is not written";
                return Err(Error::Snapshot { path, source: io::Error::new(io::ErrorKind::TimedOut, what) });
            }
        } else if self.is_writing() {
            self.written().await;
        }
        let gone = ending.map_or(Duration::ZERO, |ending| ending.elapsed());
        finished(&mut self.spawn(Patience::AllWaits(END.saturating_sub(gone).max(LAST)))).await
    }

    /// Writes a snapshot of each display on a thread that may block. All are written, even if one of them fails; the
    /// result is the first error.
    fn spawn(&self, patience: Patience) -> JoinHandle<Result<(), Error>> {
        let displays = self.displays.clone();
        tokio::task::spawn_blocking(move || {
            let write = |(display, path): &(Display, PathBuf)| {
                snapshot::write_within(display.framebuffer(), path, patience)
            };
            let mut outcome = Ok(());
            for written in displays.iter().map(write) {
                match (&outcome, written) {
                    (Err(_), Err(another)) => error!("{another}"),
                    (Ok(()), written) => outcome = written,
                    (Err(_), Ok(())) => {}
                }
            }
            outcome
        })
    }
}

async fn finished(writing: &mut JoinHandle<Result<(), Error>>) -> Result<(), Error> {
    writing.await.unwrap_or_else(|failure| Err(Error::Start(io::Error::other(failure))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_of_an_added_display_has_its_name_before_the_extension() {
        let name: DisplayName = "plots".parse().expect("a name");
        for (path, wanted) in [
            ("shot.png", Some("shot-plots.png")),
            ("/no/where/a.b.png", Some("/no/where/a.b-plots.png")),
            ("shot", Some("shot-plots")),
            (".png", Some(".png-plots")),
            // These have one picture.
            ("-", None),
            ("/dev/null", None),
            ("/", None),
        ] {
            assert_eq!(beside(Path::new(path), &name), wanted.map(PathBuf::from), "{path}");
        }
    }
}
