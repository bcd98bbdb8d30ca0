//! One window and what it shows.

use super::fallback::Presenters;
use super::layout::Layout;
use super::overlay::{Facts, Overlay};
use super::pace::Pace;
use super::presenter::{Frame, Presented};
use super::{Present, Window};
use crate::canvas::display::Display;
use crate::canvas::framebuffer::{Framebuffer, Subscription};
use draw_protocol::{DisplayName, Size};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::debug;
use winit::dpi::PhysicalSize;
use winit::window::{Fullscreen, Window as WinitWindow, WindowId};

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
    /// What the window says itself.
    overlay: Overlay,
    /// The name of the display.
    name: DisplayName,
    /// The address that programs connect to.
    address: String,
    /// The number of clients in the title.
    clients: Option<u64>,
    /// Nothing was presented yet.
    is_new: bool,
    /// Something was drawn, or clients came or went.
    is_stale: bool,
    /// The window has lost its contents, or has a new size.
    is_lost: bool,
    /// The window system was asked to report when it is ready for a frame.
    is_asked: bool,
    frames: u64,
    /// The frames that were presented because something was drawn.
    drawn_frames: u64,
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
        let Window { title, display, name, address, fullscreen: _ } = window;
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
            overlay: Overlay::default(),
            name,
            address,
            clients: None,
            is_new: true,
            is_stale: true,
            is_lost: true,
            is_asked: false,
            frames: 0,
            drawn_frames: 0,
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

    /// Returns the name of the display.
    pub(super) fn display_name(&self) -> &DisplayName {
        &self.name
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

    /// Shows how the display is doing, or hides it.
    pub(super) fn toggle_overlay(&mut self) {
        self.overlay.toggle(Instant::now());
        self.is_stale = true;
    }

    /// Shows a message for a few seconds.
    pub(super) fn say(&mut self, message: String) {
        self.overlay.say(message, Instant::now());
        self.is_stale = true;
    }

    /// Notes whether the overlay has to change at `now`.
    pub(super) fn wake_overlay(&mut self, now: Instant) {
        self.is_stale |= self.overlay.is_due(now);
    }

    /// Returns when the overlay changes by itself after `now`; `None` if it does not, or should have.
    pub(super) fn alarm(&self, now: Instant) -> Option<Instant> {
        self.overlay.next().filter(|&next| now < next)
    }

    /// Fills the screen with the window, or makes it a window again.
    pub(super) fn toggle_fullscreen(&self) {
        let is_fullscreen = self.window.fullscreen().is_some();
        self.window.set_fullscreen((!is_fullscreen).then_some(Fullscreen::Borderless(None)));
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
        let mut damage = self.display.framebuffer().no_damage();
        self.subscription.take(&mut damage);
        // At first all rows are damaged, whether or not anything was drawn.
        if !self.is_new && !damage.is_empty() {
            self.overlay.drawn();
        }
        self.is_lost |= self.update_overlay();
        let is_whole = std::mem::take(&mut self.is_lost);
        self.is_stale = false;
        if damage.is_empty() && !is_whole {
            return Ok(false);
        }
        // No lock is held: the presenter copies pixels that may be drawn on meanwhile.
        self.window.pre_present_notify();
        let (framebuffer, panels) = (self.display.framebuffer(), self.overlay.panels());
        let frame = Frame { framebuffer, damage: &damage, layout: &self.layout, panels, is_whole };
        let outcome = self.presenters.present(&frame);
        self.pace.presented(Instant::now());
        match outcome {
            Some(Presented::Shown) => {
                self.frames += 1;
                self.drawn_frames += u64::from(!damage.is_empty());
                // After the first frame, which it would delay.
                if std::mem::take(&mut self.is_new) && is_blank(framebuffer) {
                    self.overlay.is_blank(Instant::now());
                }
                return Ok(true);
            }
            Some(Presented::Later) => self.is_lost = true,
            // Presenting in a window that another program has destroyed fails before the event says so.
            None if self.failed.get_or_insert_with(Instant::now).elapsed() < GRACE => self.is_lost = true,
            None => return Err(self.presenters.reason().to_owned()),
        }
        Ok(false)
    }

    /// Makes the overlay again where it has changed. Returns whether it has.
    fn update_overlay(&mut self) -> bool {
        let now = Instant::now();
        if !self.overlay.is_due(now) && self.overlay.panels().list.is_empty() {
            return false;
        }
        let stats = self.display.stats();
        let facts = Facts {
            address: &self.address,
            clients: stats.connections,
            calls: stats.executed,
            frames: self.drawn_frames,
            layout: &self.layout,
            is_anyone_listening: self.display.has_listeners(),
        };
        // A reported factor of more than 8 is a mistake.
        let zoom = self.window.scale_factor().round().clamp(1.0, 8.0) as u32;
        self.overlay.update(now, &facts, self.size, zoom)
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

/// Returns whether all pixels have one colour. It reads up to the first row that does not.
fn is_blank(framebuffer: &Framebuffer) -> bool {
    let Size { width, height } = framebuffer.size();
    let (mut first, mut row) = (vec![0; width as usize * 4], vec![0; width as usize * 4]);
    framebuffer.copy_rows(0..1, &mut first);
    let is_even = first.as_chunks::<4>().0.windows(2).all(|pair| pair[0] == pair[1]);
    is_even
        && (1..height).all(|y| {
            framebuffer.copy_rows(y..y + 1, &mut row);
            row == first
        })
}

/// Returns the frame rate of the monitor that a window is on, in thousandths of a frame a second.
fn rate(window: &WinitWindow) -> Option<u32> {
    window.current_monitor()?.refresh_rate_millihertz()
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::Color;

    #[test]
    fn one_pixel_of_another_colour_is_a_picture() {
        let blank = || Framebuffer::new(Size { width: 5, height: 4 }, Color::rgba(1, 2, 3, 4)).unwrap();
        assert!(is_blank(&blank()));
        for (x, y) in [(0, 0), (4, 0), (0, 3), (4, 3), (2, 1)] {
            let framebuffer = blank();
            framebuffer.draw_pixel(x, y, Color::RED, &mut framebuffer.no_damage());
            assert!(!is_blank(&framebuffer), "({x}, {y})");
        }
        assert!(is_blank(&Framebuffer::new(Size { width: 1, height: 1 }, Color::RED).unwrap()));
    }
}
