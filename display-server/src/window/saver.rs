//! Saves the picture of a display when its window is asked to. A thread writes the file, since a disk may be slow.

use super::waker::Waker;
use crate::canvas::display::Display;
use crate::canvas::framebuffer::Framebuffer;
use crate::snapshot;
use draw_protocol::DisplayName;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};
use tracing::{error, info};
use winit::window::WindowId;

/// Pictures of one second. More are not saved by hand.
const IN_A_SECOND: u32 = 100;

/// The first second of the year 10,000 in UTC, since 1970.
const YEAR_10_000: u64 = 253_402_300_800;

/// Saves pictures, one at a time.
pub(super) struct Saver {
    waker: Arc<Waker>,
    sender: Sender<Saved>,
    receiver: Receiver<Saved>,
    is_saving: bool,
}

/// How saving a picture ended.
pub(super) struct Saved {
    /// The window that was asked to.
    pub(super) window: WindowId,
    /// A sentence for its user.
    pub(super) message: String,
}

impl Saver {
    /// Creates a saver that wakes the windows' thread when a picture was saved.
    pub(super) fn new(waker: Arc<Waker>) -> Saver {
        let (sender, receiver) = channel();
        Saver { waker, sender, receiver, is_saving: false }
    }

    /// Begins to save a picture to a new file in the current directory. Returns a sentence for the user of the window.
    pub(super) fn save(&mut self, window: WindowId, name: &DisplayName, display: &Display) -> String {
        if self.is_saving {
            return "still saving the picture before".to_owned();
        }
        let (sender, waker) = (self.sender.clone(), Arc::clone(&self.waker));
        let (name, display) = (name.clone(), display.clone());
        let saving = thread::Builder::new().name("save".into()).spawn(move || {
            let message = save(&name, display.framebuffer());
            // Fails if the windows have ended.
            _ = sender.send(Saved { window, message });
            waker.wake();
        });
        match saving {
            Ok(_) => {
                self.is_saving = true;
                "saving the picture".to_owned()
            }
            Err(error) => {
                error!("cannot save the picture: cannot start a thread: {error}");
                format!("cannot save the picture: cannot start a thread: {error}")
            }
        }
    }

    /// Returns the picture that was saved since the last call, if one was.
    pub(super) fn saved(&mut self) -> Option<Saved> {
        let saved = self.receiver.try_recv().ok()?;
        self.is_saving = false;
        Some(saved)
    }

    /// Waits until the picture is saved, if one is being saved, but at most for `limit`.
    pub(super) fn finish(&mut self, limit: Duration) {
        if std::mem::take(&mut self.is_saving) && self.receiver.recv_timeout(limit).is_err() {
            error!("the windows end before the picture was saved");
        }
    }
}

/// Saves a picture in the current directory. Logs how that ended, and returns a sentence.
fn save(name: &DisplayName, framebuffer: &Framebuffer) -> String {
    // Without a current directory, which may have been removed, writing fails with a reason.
    let directory = std::env::current_dir().unwrap_or_default();
    match save_in(&directory, name, SystemTime::now(), framebuffer) {
        Ok(path) => {
            info!("saved the picture to {}", path.display());
            format!("saved {}", path.display())
        }
        Err(reason) => {
            error!("{reason}");
            reason
        }
    }
}

/// Writes a picture to a new file. Returns its path.
///
/// # Errors
/// A sentence that names the file, the reason, and what to do.
fn save_in(
    directory: &Path,
    name: &DisplayName,
    now: SystemTime,
    framebuffer: &Framebuffer,
) -> Result<PathBuf, String> {
    let mut n = 1;
    loop {
        let path = directory.join(file_name(name.as_str(), now, n));
        match snapshot::write_new(framebuffer, &path) {
            Ok(()) => return Ok(path),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && n < IN_A_SECOND => n += 1,
            Err(error) => {
                let advice = advice(&error);
                return Err(format!("cannot save the picture as {} ({error}): {advice}", path.display()));
            }
        }
    }
}

/// Returns what to do about an error. The file is always in the current directory.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room on that disk, or start the display in a directory on another one"
        }
        ErrorKind::FileTooLarge => "raise the limit of file sizes (`ulimit -f`)",
        ErrorKind::NotFound => "start the display in a directory that exists",
        _ => "start the display in a directory that this user may write to",
    }
}

/// Returns the name of file `n` for a picture of this time, in UTC: `main-20261201-041134.png`, then
/// `main-20261201-041134-2.png`.
fn file_name(display: &str, now: SystemTime, n: u32) -> String {
    // Beyond, the clock is wrong by centuries, and has no such form.
    let is_date = |since: &Duration| since.as_secs() < YEAR_10_000;
    let date = match now.duration_since(SystemTime::UNIX_EPOCH).ok().filter(is_date) {
        Some(_) => {
            let time = humantime::format_rfc3339_seconds(now).to_string();
            time.replace(['-', ':', 'Z'], "").replace('T', "-")
        }
        None => "unknown".to_owned(),
    };
    let number = if n == 1 { String::new() } else { format!("-{n}") };
    format!("{display}-{date}{number}.png")
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::{Color, Size};
    use std::fs;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_file_is_named_after_the_display_and_the_time() {
        assert_eq!(file_name("main", at(1_796_098_294), 1), "main-20261201-041134.png");
        assert_eq!(file_name("plots-2", at(1_796_098_294), 2), "plots-2-20261201-041134-2.png");
        assert_eq!(file_name("main", at(0), 1), "main-19700101-000000.png");
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(file_name("main", before, 1), "main-unknown.png");
        assert_eq!(file_name("main", at(YEAR_10_000 - 1), 1), "main-99991231-235959.png");
        assert_eq!(file_name("main", at(YEAR_10_000), 1), "main-unknown.png");
    }

    #[test]
    fn no_file_is_replaced_and_a_failure_says_where_and_why() {
        let directory = std::env::temp_dir().join(format!("display-server-saver-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (name, now) = (DisplayName::main(), at(1_796_098_294));
        let framebuffer = Framebuffer::new(Size { width: 3, height: 2 }, Color::RED).unwrap();
        let first = directory.join("main-20261201-041134.png");
        fs::write(&first, "of another program").unwrap();
        let paths: Vec<_> = (0..3).map(|_| save_in(&directory, &name, now, &framebuffer).unwrap()).collect();
        for (n, path) in (2..).zip(&paths) {
            assert_eq!(path, &directory.join(format!("main-20261201-041134-{n}.png")));
            assert!(fs::read(path).unwrap().starts_with(b"\x89PNG"));
        }
        assert_eq!(fs::read(&first).unwrap(), b"of another program");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 4, "nothing else is left behind");

        for n in 5..=IN_A_SECOND {
            fs::write(directory.join(file_name("main", now, n)), "").unwrap();
        }
        let said = save_in(&directory, &name, now, &framebuffer).unwrap_err();
        assert!(said.contains("main-20261201-041134-100.png ("), "{said}");
        fs::remove_dir_all(&directory).unwrap();
        let said = save_in(&directory, &name, now, &framebuffer).unwrap_err();
        let wanted = format!("cannot save the picture as {} (", first.display());
        assert!(said.starts_with(&wanted), "{said}");
        assert!(said.ends_with("): start the display in a directory that exists"), "{said}");
    }

    #[test]
    fn one_picture_is_saved_at_a_time() {
        let display = Display::new(Size { width: 3, height: 2 }, Color::RED).unwrap();
        let mut saver = Saver::new(Arc::default());
        saver.is_saving = true;
        let said = saver.save(WindowId::dummy(), &DisplayName::main(), &display);
        assert_eq!(said, "still saving the picture before");
        let message = "saved".to_owned();
        saver.sender.send(Saved { window: WindowId::dummy(), message }).unwrap();
        assert_eq!(saver.saved().unwrap().message, "saved");
        assert!(!saver.is_saving && saver.saved().is_none());
        // Without one there is nothing to wait for, however long the limit is.
        saver.finish(Duration::MAX);
    }
}
