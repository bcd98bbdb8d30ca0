//! The window that shows a display.
//!
//! [`Window::open`] shows a display from a thread of its own, until the window is closed. That thread alone waits for the
//! screen: one that is slow, stands still or never answers delays neither the clients nor the end of the process. When the
//! screen answers late, the window appears late.
//!
//! Every pixel of the display is a square of a whole number of window pixels, as large as fits, with a border around the
//! picture. In a window smaller than the display the whole picture is shrunk: each window pixel shows the average of the
//! area that it covers. The pointer is reported as the pixel that is seen there, and counts on beyond the edges of the
//! display; where it was last seen stays its position. Alpha is shown over black.
//!
//! A frame is presented when something was drawn: the first at once, those that follow at the monitor's rate. Nothing
//! happens while nothing is drawn.
//!
//! What cannot be is said in one sentence of the log: without a screen there is no window, without a GPU the picture is
//! presented by software. A presenter that fails is opened anew, and after three failures in a row the next one takes
//! over; neither the picture nor the clients notice. One failure is beyond reach: when the X server ends, or cuts the
//! connection, its library ends the process.

mod app;
mod backend;
mod cells;
mod compositing;
mod format;
mod gpu;
mod layout;
mod pace;
mod presenter;
mod progress;
mod quiet;
mod segment;
mod software;
mod wake_coalescer;
mod x11;

use crate::display::Display;
use progress::{Progress, Step, Teller};
use std::fmt;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;
use tracing::{debug, error, warn};
use wake_coalescer::WakeCoalescer;
use winit::event_loop::EventLoopProxy;

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
    /// The window was closed, by its user, by another program, or by [`Window::close`].
    Closed,
    /// No window could be opened, or nothing be presented in it. The display is as it was.
    Failed,
}

/// What happens to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The first frame is in it.
    Opened,
    /// It is no more. Nothing follows.
    Ended(End),
}

/// How long a screen may take to open a window before the log says that it does not answer, and before those who ask
/// whether there is a window are told that there is none. A busy machine takes a second.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// How long a program that ends waits for its window to be closed. It takes milliseconds; a graphics driver a few tens of
/// them; a screen that stands still would take for ever.
const CLOSING: Duration = Duration::from_millis(500);

/// A display's window, which has a thread of its own. A process can have one, once.
#[derive(Debug, Clone)]
pub struct Window {
    waker: Arc<Waker>,
    progress: Arc<Progress>,
}

impl Window {
    /// Shows `display` in a window, until that is closed, and returns at once. `None` if none is wanted; whatever else keeps
    /// it from being shown is in the log, and is told as [`End::Failed`]. `address` is where its clients connect, for the
    /// title. `told` is called by the window's thread.
    pub fn open(
        display: &Display,
        present: Present,
        address: SocketAddr,
        told: impl FnMut(Event) + Send + 'static,
    ) -> Option<Window> {
        if present == Present::None {
            return None;
        }
        // Before other threads may set a panic hook of their own.
        quiet::install_hook();
        let window = Window { waker: Arc::default(), progress: Arc::default() };
        let mut teller = Teller::new(told, Arc::clone(&window.progress));
        let (waker, display) = (Arc::clone(&window.waker), display.clone());
        let thread = thread::Builder::new().name("window".into()).spawn(move || {
            let end = show(&display, present, address, &waker, &mut teller);
            teller.tell(Event::Ended(end));
        });
        if let Err(error) = thread {
            // The teller was dropped with the closure, and has told that.
            error!("no window, serving without one: no thread for it: {error}");
            return Some(window);
        }
        let progress = Arc::clone(&window.progress);
        let watch = thread::Builder::new().name("window-watch".into()).spawn(move || {
            if !progress.wait(PATIENCE, |step| step != Step::Opening) {
                let place = backend::place();
                warn!("no window yet, serving without one: {place} has not answered for {PATIENCE:?}");
            }
        });
        if let Err(error) = watch {
            debug!("whether the screen answers is not watched: {error}");
        }
        Some(window)
    }

    /// Closes the window, or keeps it from opening, and does not wait for that.
    pub fn close(&self) {
        self.waker.wakes.close();
        self.waker.wake();
        self.progress.close();
    }

    /// Closes the window, and waits until that is done or has failed, but not for a screen that stands still: until half a
    /// second after it was first closed. What then is left of it goes on waiting for the screen, and does nothing else.
    pub fn finish(&self) {
        self.close();
        let since = self.progress.close();
        if !self.progress.wait(CLOSING.saturating_sub(since.elapsed()), |step| step == Step::Ended) {
            warn!("the screen does not answer: its window is left behind");
        }
    }
}

/// Shows a display until its window is closed.
fn show<F: FnMut(Event)>(
    display: &Display,
    present: Present,
    address: SocketAddr,
    waker: &Arc<Waker>,
    told: &mut Teller<F>,
) -> End {
    let events = match backend::event_loop() {
        Ok(events) => events,
        Err(reason) => {
            warn!("no window, serving without one: {reason}");
            return End::Failed;
        }
    };
    waker.set_proxy(events.create_proxy());
    let wake = Arc::clone(waker);
    let subscription = display.framebuffer().subscribe(move || wake.wake());
    let wake = Arc::clone(waker);
    display.on_clients(move || wake.wake());
    let opened = || told.tell(Event::Opened);
    let mut app =
        app::App::new(display, subscription, present, address.to_string(), Arc::clone(waker), opened);
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

/// Wakes the window's thread.
#[derive(Debug)]
struct Waker {
    /// `None` while the screen has not answered. Held only to send.
    proxy: Mutex<Option<EventLoopProxy<()>>>,
    wakes: WakeCoalescer,
}

impl Default for Waker {
    fn default() -> Waker {
        Waker { proxy: Mutex::new(None), wakes: WakeCoalescer::new() }
    }
}

impl Waker {
    /// From here on the thread is woken. What was to wake it before it sees when it asks [`Waker::woken`].
    fn set_proxy(&self, proxy: EventLoopProxy<()>) {
        *self.proxy.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxy);
    }

    fn wake(&self) {
        self.wakes.wake(|| {
            if let Some(proxy) = &*self.proxy.lock().unwrap_or_else(PoisonError::into_inner) {
                // It fails when the window is gone, and then nobody needs to be woken.
                _ = proxy.send_event(());
            }
        });
    }

    /// Called by the woken thread before it looks at what there is to do. Answers whether it is to close the window.
    fn woken(&self) -> bool {
        self.wakes.woken()
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
        let size = Size { width: 2, height: 2 };
        let display = Display::new(size, Color::BLACK).unwrap();
        let told = |event| panic!("{event:?}");
        assert!(Window::open(&display, Present::None, ([127, 0, 0, 1], 1).into(), told).is_none());
    }

    #[test]
    fn a_window_that_is_closed_before_there_is_a_screen_is_closed() {
        let waker = Waker::default();
        waker.wakes.close();
        waker.wake();
        assert!(waker.woken());
    }
}
