//! The windows that show displays.
//!
//! [`open`] shows displays in windows of one thread, until the windows are closed. Only that thread waits for the screen:
//! a screen that is slow, stands still or never answers delays neither the clients nor the end of the process. If the
//! screen answers late, the windows appear late.
//!
//! Each window has a presenter, a subscription to its display's damage, a layout and a frame rate of its own. A display
//! may have several windows, which show the same picture. Closing a window closes only that window. Its display goes on,
//! even if that was its last window. Closing the last window of the process is reported as [`End::Closed`], and a server
//! then tells the clients of all its displays that the window was closed.
//!
//! Every pixel of the display is a square of a whole number of window pixels, as large as fits, with a border around the
//! picture. A window smaller than the display shows the whole picture shrunk: each window pixel is the average of the
//! area that it covers. The pointer is reported as the pixel that is seen there, and is counted on beyond the edges of the
//! display. The position in the window that the pointer was last in remains the display's pointer position. Alpha is
//! shown over black.
//!
//! A frame is presented when something was drawn: the first at once, the following ones at the monitor's rate. Nothing
//! happens while nothing is drawn.
//!
//! Each failure is one sentence in the log: without a screen there is no window, and without a GPU the picture is
//! presented by software. A presenter that fails is opened again, and after three failures in a row the next kind of
//! presenter takes over; neither the picture nor the clients notice. One failure cannot be handled: when the X server
//! ends, or closes the connection, its library ends the process.
//!
//! # Features
//!
//! Without the cargo feature `window` no window can be opened: [`open`] logs that, and reports [`End::Failed`]. Without
//! the feature `gpu` windows are presented by software.

#[cfg(not(feature = "window"))]
mod absent;
#[cfg(feature = "window")]
mod app;
#[cfg(feature = "window")]
mod backend;
#[cfg(feature = "window")]
mod cells;
#[cfg(feature = "window")]
mod compositing;
#[cfg(feature = "window")]
mod fallback;
#[cfg(feature = "window")]
mod format;
#[cfg(feature = "gpu")]
mod gpu;
#[cfg(feature = "window")]
mod layout;
#[cfg(feature = "window")]
mod pace;
#[cfg(feature = "window")]
mod presenter;
mod progress;
#[cfg(feature = "window")]
mod quiet;
#[cfg(feature = "window")]
mod segment;
#[cfg(feature = "window")]
mod software;
#[cfg(feature = "window")]
mod thread;
#[cfg(feature = "window")]
mod view;
#[cfg(feature = "window")]
mod wake_coalescer;
#[cfg(feature = "window")]
mod waker;
#[cfg(feature = "window")]
mod x11;

use crate::canvas::display::Display;
use progress::{Progress, Step, Teller};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

#[cfg(not(feature = "window"))]
use absent as thread;
#[cfg(not(feature = "window"))]
use absent::Waker;
#[cfg(feature = "window")]
use waker::Waker;

/// How a display is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Present {
    /// In a window if there is a screen: with a GPU if there is a real one, else by software.
    #[default]
    Auto,
    /// In a window, with any adapter of the graphics drivers, even a processor in place of a GPU; by software if that
    /// fails.
    Gpu,
    /// In a window, by software.
    Software,
    /// Not at all.
    None,
}

impl Present {
    /// Every variant, with its word on the command line.
    pub const WORDS: [(&'static str, Present); 4] = [
        ("auto", Present::Auto),
        ("gpu", Present::Gpu),
        ("software", Present::Software),
        ("none", Present::None),
    ];
}

impl fmt::Display for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Present::WORDS.iter().find(|(_, present)| present == self);
        f.pad(word.map_or("none", |(word, _)| word))
    }
}

impl FromStr for Present {
    type Err = String;

    fn from_str(text: &str) -> Result<Present, String> {
        let found = Present::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|&(_, present)| present).ok_or_else(|| "choose auto, gpu, software or none".to_owned())
    }
}

/// How showing displays ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The last window was closed, by its user, by another program, or by [`Windows::close`].
    Closed,
    /// No window could be opened, or the last one could not be presented in. The displays are as they were.
    Failed,
}

/// What happens to the windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first frame is in one of them. Sent once.
    Opened,
    /// There are none any more. Nothing follows.
    Ended(End),
}

/// How long a screen may take to open a window before the log says that it does not answer, and before
/// [`Handle::has_window`](crate::Handle::has_window) returns that there is none. A busy machine takes a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a program that ends waits for its windows to be closed. It takes milliseconds, or a few tens of them with a
/// graphics driver. A screen that stands still never answers.
const CLOSING: Duration = Duration::from_millis(500);

/// A window to be opened.
#[derive(Debug, Clone)]
pub struct Window {
    /// The beginning of its title. The size of the display and the number of its clients follow.
    pub title: String,
    /// The display that it shows. Several windows may show the same one.
    pub display: Display,
}

/// The open windows of the process. Clones are the same windows.
#[derive(Debug, Clone)]
pub struct Windows {
    waker: Arc<Waker>,
    progress: Arc<Progress>,
}

/// Opens `windows` on a thread of their own, and returns at once. The windows stay until they are closed.
///
/// Returns `None` if `present` is [`Present::None`] or `windows` is empty. Any other reason why there is no window is
/// logged, and reported as [`End::Failed`]. The windows' thread calls `told`. A process can open windows only once.
pub fn open(
    windows: Vec<Window>,
    present: Present,
    told: impl FnMut(Event) + Send + 'static,
) -> Option<Windows> {
    if present == Present::None || windows.is_empty() {
        return None;
    }
    let opened = Windows { waker: Arc::default(), progress: Arc::default() };
    let teller = Teller::new(told, Arc::clone(&opened.progress));
    thread::start(windows, present, &opened, teller);
    Some(opened)
}

impl Windows {
    /// Closes the windows, or keeps them from opening, without waiting for it.
    pub fn close(&self) {
        self.waker.close();
        self.progress.close();
    }

    /// Closes the windows and waits until that is done or has failed, but at most until half a second after the first
    /// call of [`close`](Windows::close). If the screen stands still, the windows' thread is left behind: it waits for the
    /// screen and does nothing else.
    pub fn finish(&self) {
        self.close();
        let since = self.progress.close();
        if !self.progress.wait(CLOSING.saturating_sub(since.elapsed()), |step| step == Step::Ended) {
            warn!("the screen does not answer: its window is not closed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::{Color, Size};

    #[test]
    fn a_word_for_every_way() {
        for (word, present) in Present::WORDS {
            assert_eq!((word.parse(), present.to_string()), (Ok(present), word.to_owned()));
        }
        assert!("GPU".parse::<Present>().unwrap_err().contains("auto, gpu, software or none"));
    }

    #[test]
    fn without_a_wish_for_a_window_there_is_none() {
        let display = Display::new(Size { width: 2, height: 2 }, Color::BLACK).unwrap();
        let told = |event| panic!("{event:?}");
        let window = Window { title: "a".to_owned(), display };
        assert!(open(vec![window], Present::None, told).is_none());
        assert!(open(Vec::new(), Present::Auto, told).is_none());
    }
}
