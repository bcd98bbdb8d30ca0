//! The window that shows a display.
//!
//! [`Screen::open`] looks for a screen, and [`Screen::show`] shows a display on it until the window is closed. The thread
//! that calls these handles the window's events; it has to be the main one where the system wants that (not on Linux).
//!
//! Every pixel of the display is a square of a whole number of window pixels, as large as fits, with a border around the
//! picture. A window smaller than the display shows one pixel of each square of a whole number of pixels. The pointer is
//! reported as the pixel that is seen there, and counts on beyond the edges of the display; where it was last seen stays
//! its position. Alpha is shown over black.
//!
//! A frame is presented when something was drawn: the first at once, those that follow at the monitor's rate. Nothing
//! happens while nothing is drawn.
//!
//! What cannot be is said in one sentence of the log: without a screen there is no window, without a GPU the picture is
//! presented by software. A presenter that fails is opened anew, and after three failures in a row the next one takes
//! over; neither the picture nor the clients notice. One failure is beyond reach: when the X server ends, or cuts the
//! connection, its library ends the process.

mod app;
mod choose;
mod gpu;
mod layout;
mod pace;
mod presenter;
mod shown;
mod software;
mod wakes;

use crate::display::Display;
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::Arc;
use tracing::{error, warn};
use wakes::Wakes;
use winit::event_loop::{EventLoop, EventLoopProxy};

/// How a display is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Present {
    /// In a window if there is a screen: with a GPU if there is a real one, else by software.
    #[default]
    Auto,
    /// In a window, with whatever the graphics drivers offer, even a processor in place of a GPU; by software if that
    /// fails.
    Gpu,
    /// In a window, by software.
    Software,
    /// Not at all.
    None,
}

impl Present {
    /// Every way, with the word that a command line has for it.
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

/// How showing a display ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The window was closed, by its user, by another program, or by [`Remote::close`].
    Closed,
    /// No window could be opened, or nothing be presented in it. The display is as it was.
    Failed,
}

/// A screen to show a display on. A process can have one, once.
pub struct Screen {
    events: EventLoop<()>,
    present: Present,
    waker: Arc<Waker>,
}

impl Screen {
    /// Finds a screen. `None` if there is none, or none is wanted; the log says why.
    pub fn open(present: Present) -> Option<Screen> {
        if present == Present::None {
            return None;
        }
        match choose::event_loop() {
            Ok(events) => {
                let waker = Arc::new(Waker::new(events.create_proxy()));
                Some(Screen { events, present, waker })
            }
            Err(reason) => {
                warn!("no window, serving without one: {reason}");
                None
            }
        }
    }

    /// What can close the window from another thread.
    pub fn remote(&self) -> Remote {
        Remote { waker: Arc::clone(&self.waker) }
    }

    /// Shows a display until its window is closed. `opened` is called once, after the first frame. `address` is where
    /// its clients connect, for the title.
    pub fn show(self, display: &Display, address: SocketAddr, opened: impl FnOnce()) -> End {
        let Screen { events, present, waker } = self;
        let wake = Arc::clone(&waker);
        if !display.framebuffer().on_damage(move || wake.wake()) {
            error!("no window: this display has a presenter already");
            return End::Failed;
        }
        let wake = Arc::clone(&waker);
        display.on_clients(move || wake.wake());
        let mut app = app::App::new(display, present, address.to_string(), waker, opened);
        // What a library that is missing, or a driver, does to the window is not to end the server.
        match catch_unwind(AssertUnwindSafe(|| events.run_app(&mut app))) {
            Ok(Ok(())) => app.end(),
            Ok(Err(failure)) => {
                error!("the window's events ended: {failure}");
                End::Failed
            }
            Err(_) => {
                error!("the window panicked: serving without it");
                End::Failed
            }
        }
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("present", &self.present).finish_non_exhaustive()
    }
}

/// Closes the window of a [`Screen`], from any thread.
#[derive(Debug, Clone)]
pub struct Remote {
    waker: Arc<Waker>,
}

impl Remote {
    /// Closes the window, or keeps it from opening.
    pub fn close(&self) {
        self.waker.wakes.close();
        self.waker.wake();
    }
}

/// Wakes the window's thread.
#[derive(Debug)]
struct Waker {
    proxy: EventLoopProxy<()>,
    wakes: Wakes,
}

impl Waker {
    fn new(proxy: EventLoopProxy<()>) -> Waker {
        Waker { proxy, wakes: Wakes::new() }
    }

    fn wake(&self) {
        // It fails when the window is gone, and then nobody needs to be woken.
        self.wakes.wake(|| _ = self.proxy.send_event(()));
    }

    /// Called by the woken thread before it looks at what there is to do. Answers whether it is to close the window.
    fn woken(&self) -> bool {
        self.wakes.woken()
    }
}

/// Calls what may panic because a library is missing, and says nothing of that but the sentence it returns.
fn quiet<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    let here = std::thread::current().id();
    let hook: Arc<dyn Fn(&std::panic::PanicHookInfo<'_>) + Send + Sync> = Arc::from(std::panic::take_hook());
    let others = Arc::clone(&hook);
    // A panic of another thread in the meantime is reported as ever.
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() != here {
            others(info);
        }
    }));
    let called = catch_unwind(AssertUnwindSafe(call));
    std::panic::set_hook(Box::new(move |info| hook(info)));
    called.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a library panicked").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_every_way() {
        for (word, present) in Present::WORDS {
            assert_eq!((word.parse(), present.to_string()), (Ok(present), word.to_owned()));
        }
        assert!("GPU".parse::<Present>().unwrap_err().contains("auto, gpu, software or none"));
        assert_eq!(Screen::open(Present::None).map(|_| ()), None);
    }

    #[test]
    fn a_panic_becomes_a_sentence() {
        assert_eq!(quiet(|| 1), Ok(1));
        assert_eq!(quiet(|| panic!("Library lib{}.so", 1)), Err::<(), _>("Library lib1.so".to_owned()));
        assert_eq!(quiet(|| std::panic::panic_any(3)), Err::<(), _>("a library panicked".to_owned()));
    }
}
