//! One window and what it shows.

use super::fallback::Presenters;
use super::layout::Layout;
use super::pace::Pace;
use super::presenter::{Frame, Presented};
use super::{Present, Window};
use crate::canvas::display::Display;
use crate::canvas::framebuffer::Subscription;
use draw_protocol::Size;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::debug;
use winit::dpi::PhysicalSize;
use winit::window::{Window as WinitWindow, WindowId};

/// How long a window that nothing can be presented in is kept. The reason, such as that it was destroyed, arrives within a
/// round trip to the window system, which is seldom slower than this even on a busy machine.
const GRACE: Duration = Duration::from_millis(500);

/// A window while it is open.
pub(super) struct View {
    /// First, so that it is dropped before the window it presents in.
    presenters: Presenters,
    window: Arc<WinitWindow>,
    title: String,
    display: Display,
    /// The damage that this window has not shown yet.
    subscription: Subscription,
    /// As last reported: asking costs a round trip, and panics when the window has been destroyed.
    size: Size,
    layout: Layout,
    pace: Pace,
    /// Where in the window the pointer was last seen; `None` if it was seen in another window since.
    pointer: Option<(f64, f64)>,
    /// The number of clients in the title.
    clients: Option<u64>,
    /// Something was drawn, or clients came or went.
    is_stale: bool,
    /// The window has lost its contents, or has a new size.
    is_lost: bool,
    /// The window system was asked to report when it is ready for a frame.
    is_asked: bool,
    frames: u64,
    /// Since when presenting has failed.
    failed: Option<Instant>,
}

impl View {
    pub(super) fn new(
        opened: Arc<WinitWindow>,
        window: Window,
        subscription: Subscription,
        present: Present,
    ) -> View {
        let Window { title, display } = window;
        let PhysicalSize { width, height } = opened.inner_size();
        let size = Size { width, height };
        View {
            presenters: Presenters::new(Arc::clone(&opened), &title, display.size(), present),
            size,
            layout: Layout::new(size, display.size()),
            pace: Pace::new(rate(&opened)),
            window: opened,
            title,
            display,
            subscription,
            pointer: None,
            clients: None,
            is_stale: true,
            is_lost: true,
            is_asked: false,
            frames: 0,
            failed: None,
        }
    }

    /// Returns the part of the title that does not change, which tells this window from others.
    pub(super) fn name(&self) -> &str {
        &self.title
    }

    /// Returns a title: `127.0.0.1:3729 - 640x480 - 2 clients`.
    pub(super) fn title(start: &str, display: &Display) -> String {
        let clients = match display.stats().connections {
            0 => "no client".to_owned(),
            1 => "1 client".to_owned(),
            n => format!("{n} clients"),
        };
        format!("{start} - {} - {clients}", display.size())
    }

    pub(super) fn id(&self) -> WindowId {
        self.window.id()
    }

    pub(super) fn display(&self) -> &Display {
        &self.display
    }

    /// Logs the number of frames that were presented.
    pub(super) fn log_frames(&self) {
        let plural = if self.frames == 1 { "" } else { "s" };
        debug!(window = self.title, "presented {} frame{plural}", self.frames);
    }

    /// Sets a new size of the window.
    pub(super) fn resize(&mut self, size: Size) {
        self.size = size;
        self.is_lost = true;
    }

    /// Notes that something was drawn, or that clients came or went.
    pub(super) fn set_stale(&mut self) {
        self.is_stale = true;
    }

    /// Notes that the window has lost its contents.
    pub(super) fn set_lost(&mut self) {
        self.is_lost = true;
    }

    /// Reads the frame rate of the monitor that the window is on.
    pub(super) fn set_rate(&mut self) {
        self.pace.set_rate(rate(&self.window));
    }

    /// Returns whether there may be something to present, and the window system was not yet asked when.
    pub(super) fn has_work(&self) -> bool {
        (self.is_stale || self.is_lost) && !self.is_asked
    }

    /// Returns when the next frame is due; `None` if one is due now, or if there is no work.
    pub(super) fn wait(&self, now: Instant) -> Option<Instant> {
        self.pace.wait(now).filter(|_| self.has_work())
    }

    /// Asks the window system to report when it is ready for a frame.
    pub(super) fn ask(&mut self) {
        self.is_asked = true;
        self.window.request_redraw();
    }

    /// Returns whether a request to redraw answers [`View::ask`].
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.is_asked)
    }

    /// Moves the display's pointer to a place of this window, given in window pixels.
    pub(super) fn move_pointer(&mut self, place: (f64, f64)) {
        self.pointer = Some(place);
        self.put_pointer();
    }

    /// Notes that the pointer is in another window of the display.
    pub(super) fn forget_pointer(&mut self) {
        self.pointer = None;
    }

    /// Presents the damage and updates the title. Returns whether a frame was presented.
    ///
    /// # Errors
    /// A sentence, if nothing can be presented in this window.
    pub(super) fn show(&mut self) -> Result<bool, String> {
        if self.size.width == 0 || self.size.height == 0 {
            // Minimised: the damage is kept until there is something to present it in.
            return Ok(false);
        }
        self.set_layout();
        self.put_pointer();
        self.set_title();
        let framebuffer = self.display.framebuffer();
        let mut damage = framebuffer.no_damage();
        self.subscription.take(&mut damage);
        let is_whole = std::mem::take(&mut self.is_lost);
        self.is_stale = false;
        if damage.is_empty() && !is_whole {
            return Ok(false);
        }
        // No lock is held: the presenter copies pixels that may be drawn on meanwhile.
        self.window.pre_present_notify();
        let frame = Frame { framebuffer, damage: &damage, layout: &self.layout, is_whole };
        let outcome = self.presenters.present(&frame);
        self.pace.presented(Instant::now());
        match outcome {
            Some(Presented::Shown) => {
                self.frames += 1;
                return Ok(true);
            }
            Some(Presented::Later) => self.is_lost = true,
            // Presenting in a window that another program has destroyed fails before the event says so.
            None if self.failed.get_or_insert_with(Instant::now).elapsed() < GRACE => self.is_lost = true,
            None => return Err(self.presenters.reason().to_owned()),
        }
        Ok(false)
    }

    fn set_layout(&mut self) {
        let layout = Layout::new(self.size, self.display.size());
        self.is_lost |= self.layout != layout;
        self.layout = layout;
    }

    /// Sets the display's pointer, also when the window has changed under a pointer that did not move.
    fn put_pointer(&self) {
        if let Some((x, y)) = self.pointer {
            let position = Some(self.layout.pixel(x, y));
            if self.display.mouse() != position {
                self.display.set_mouse(position);
            }
        }
    }

    fn set_title(&mut self) {
        let clients = self.display.stats().connections;
        if self.clients.replace(clients) != Some(clients) {
            self.window.set_title(&View::title(&self.title, &self.display));
        }
    }
}

/// Returns the frame rate of the monitor that a window is on, in thousandths of a frame a second.
fn rate(window: &WinitWindow) -> Option<u32> {
    window.current_monitor()?.refresh_rate_millihertz()
}
