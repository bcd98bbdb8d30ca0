//! What the window does with each event.

use super::layout::{Layout, shrunk};
use super::pace::Pace;
use super::presenter::{Frame, Outcome, Presenters};
use super::{End, Present, Waker};
use crate::display::Display;
use crate::framebuffer::Subscription;
use draw_protocol::Size;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{debug, error};
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, ControlFlow};
use winit::platform::x11::ActiveEventLoopExtX11;
use winit::window::{Window, WindowId};

/// How long a window that can show nothing is kept. What has become of it arrives within a round trip to the window
/// system, which is seldom so slow even on a machine that is busy.
const GRACE: Duration = Duration::from_millis(500);

pub(super) struct App<'a, F> {
    display: &'a Display,
    subscription: Subscription,
    present: Present,
    address: String,
    waker: Arc<Waker>,
    opened: Option<F>,
    open: Option<Open>,
    end: End,
}

/// The window while it is there.
struct Open {
    /// First, so that it is dropped before the window it presents in.
    presenters: Presenters,
    window: Arc<Window>,
    /// As it was last told: asking costs a round trip, and panics when the window has been destroyed.
    size: Size,
    layout: Layout,
    pace: Pace,
    /// Where in the window the pointer was last seen.
    pointer: Option<(f64, f64)>,
    /// Clients in the title.
    clients: Option<u64>,
    /// Something was drawn, or clients came or went.
    is_stale: bool,
    /// The window has lost what was in it, or has a new size.
    is_whole: bool,
    /// The window system was asked to say when it is ready for a frame.
    is_asked: bool,
    frames: u64,
    /// Since when nothing can be presented.
    failed: Option<Instant>,
}

impl<'a, F: FnOnce()> App<'a, F> {
    pub(super) fn new(
        display: &'a Display,
        subscription: Subscription,
        present: Present,
        address: String,
        waker: Arc<Waker>,
        opened: F,
    ) -> App<'a, F> {
        App {
            display,
            subscription,
            present,
            address,
            waker,
            opened: Some(opened),
            open: None,
            end: End::Closed,
        }
    }

    pub(super) fn end(&self) -> End {
        self.end
    }

    fn finish(&mut self, events: &ActiveEventLoop, end: End) {
        self.end = end;
        events.exit();
    }

    /// Presents what there is to present, and shows the number of clients.
    fn show(&mut self, events: &ActiveEventLoop) {
        let Some(open) = &mut self.open else { return };
        let framebuffer = self.display.framebuffer();
        let size = open.size;
        if size.width == 0 || size.height == 0 {
            // Minimised: the damage stays where it is until there is something to present it in.
            return;
        }
        open.set_layout(Layout::new(size, self.display.size()));
        open.put_pointer(self.display);
        open.set_title(self.display, &self.address);
        let mut damage = framebuffer.no_damage();
        self.subscription.take(&mut damage);
        let is_whole = std::mem::take(&mut open.is_whole);
        open.is_stale = false;
        if damage.is_empty() && !is_whole {
            return;
        }
        // Nothing is locked here: the presenter copies pixels that may be drawn on meanwhile.
        open.window.pre_present_notify();
        let frame = Frame { framebuffer, damage: &damage, layout: &open.layout, is_whole };
        let outcome = open.presenters.present(&frame);
        open.pace.presented(Instant::now());
        match outcome {
            Some(Outcome::Shown) => {
                open.frames += 1;
                if let Some(opened) = self.opened.take() {
                    opened();
                }
            }
            Some(Outcome::Later) => open.is_whole = true,
            // A window that another program has destroyed lets nothing be presented, and says so a moment later.
            None if open.failed.get_or_insert_with(Instant::now).elapsed() < GRACE => open.is_whole = true,
            None => {
                error!("nothing can be shown, serving without a window: {}", open.presenters.reason());
                self.finish(events, End::Failed);
            }
        }
    }
}

impl<F: FnOnce()> ApplicationHandler for App<'_, F> {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        // Whoever closed it before there was a screen could wake nobody.
        if self.waker.woken() {
            return self.finish(events, End::Closed);
        }
        if self.open.is_some() {
            return;
        }
        let size = first_size(events, self.display.size());
        let title = title(&self.address, self.display);
        let attributes = Window::default_attributes().with_title(title).with_inner_size(size);
        match events.create_window(attributes) {
            Ok(window) => self.open = Some(Open::new(Arc::new(window), self.display, self.present)),
            Err(failure) => {
                error!("no window, serving without one: {failure}");
                self.finish(events, End::Failed);
            }
        }
    }

    fn user_event(&mut self, events: &ActiveEventLoop, (): ()) {
        if self.waker.woken() {
            self.finish(events, End::Closed);
        }
        if let Some(open) = &mut self.open {
            open.is_stale = true;
        }
    }

    fn window_event(&mut self, events: &ActiveEventLoop, _: WindowId, event: WindowEvent) {
        let Some(open) = &mut self.open else { return };
        match event {
            // Another program may destroy the window without asking: to its user that is the same.
            WindowEvent::CloseRequested | WindowEvent::Destroyed => {
                self.display.window_closed();
                self.finish(events, End::Closed);
            }
            WindowEvent::Resized(PhysicalSize { width, height }) => {
                open.size = Size { width, height };
                open.is_whole = true;
            }
            WindowEvent::RedrawRequested if open.is_asked => {
                open.is_asked = false;
                self.show(events);
            }
            // The window system has lost what was there.
            WindowEvent::RedrawRequested => open.is_whole = true,
            WindowEvent::Moved(_) | WindowEvent::ScaleFactorChanged { .. } => {
                open.pace.set_rate(rate(&open.window));
            }
            WindowEvent::CursorMoved { position, .. } => {
                open.pointer = Some((position.x, position.y));
                open.put_pointer(self.display);
            }
            _ => {}
        }
    }

    /// After all events that there were.
    fn about_to_wait(&mut self, events: &ActiveEventLoop) {
        let Some(open) = &mut self.open else { return };
        let has_work = (open.is_stale || open.is_whole) && !open.is_asked;
        let until = if has_work { open.pace.wait(Instant::now()) } else { None };
        if has_work && until.is_none() && !events.exiting() {
            if events.is_x11() {
                // At once: what X asks to be redrawn has been lost, so asking it would look like that.
                self.show(events);
            } else {
                // A compositor says when it is ready, and for a window that is not seen never.
                open.is_asked = true;
                open.window.request_redraw();
            }
        }
        // Anything left to do after that has to wait for the next frame.
        let Some(open) = &self.open else { return };
        let is_left = (open.is_stale || open.is_whole) && !open.is_asked;
        let until = until.or_else(|| open.pace.wait(Instant::now()).filter(|_| is_left));
        events.set_control_flow(until.map_or(ControlFlow::Wait, ControlFlow::WaitUntil));
    }

    fn exiting(&mut self, _: &ActiveEventLoop) {
        if let Some(open) = self.open.take() {
            debug!("the window has shown {} frames", open.frames);
        }
    }
}

impl Open {
    fn new(window: Arc<Window>, display: &Display, present: Present) -> Open {
        let PhysicalSize { width, height } = window.inner_size();
        let size = Size { width, height };
        Open {
            presenters: Presenters::new(Arc::clone(&window), display.size(), present),
            size,
            layout: Layout::new(size, display.size()),
            pace: Pace::new(rate(&window)),
            window,
            pointer: None,
            clients: None,
            is_stale: true,
            is_whole: true,
            is_asked: false,
            frames: 0,
            failed: None,
        }
    }

    fn set_layout(&mut self, layout: Layout) {
        self.is_whole |= self.layout != layout;
        self.layout = layout;
    }

    /// Tells the display where the pointer is. Also where the window changed under a pointer that did not move.
    fn put_pointer(&self, display: &Display) {
        if let Some((x, y)) = self.pointer {
            let position = Some(self.layout.pixel(x, y));
            if display.mouse() != position {
                display.set_mouse(position);
            }
        }
    }

    fn set_title(&mut self, display: &Display, address: &str) {
        let clients = display.stats().connections;
        if self.clients.replace(clients) != Some(clients) {
            self.window.set_title(&title(address, display));
        }
    }
}

/// `127.0.0.1:3729 - 640x480 - 2 clients`
fn title(address: &str, display: &Display) -> String {
    let clients = match display.stats().connections {
        0 => "no client".to_owned(),
        1 => "1 client".to_owned(),
        n => format!("{n} clients"),
    };
    format!("{address} - {} - {clients}", display.size())
}

fn rate(window: &Window) -> Option<u32> {
    window.current_monitor()?.refresh_rate_millihertz()
}

/// The size of the window at first: each pixel of the display as large as the screen's scale factor says, rounded down
/// to a whole number; if the screen is too small for that, as large as fits it.
fn first_size(events: &ActiveEventLoop, canvas: Size) -> PhysicalSize<u32> {
    let monitor = events.primary_monitor().or_else(|| events.available_monitors().next());
    let (scale, room) = monitor.map_or((1.0, canvas), |monitor| {
        let PhysicalSize { width, height } = monitor.size();
        (monitor.scale_factor(), Size { width, height })
    });
    // Whatever a system claims: a factor of more than 16 is a mistake.
    let scale = (scale.clamp(1.0, 16.0) as u32)
        .min(room.width / canvas.width)
        .min(room.height / canvas.height)
        .max(1);
    let Size { width, height } = shrunk(canvas, room);
    PhysicalSize::new(width * scale, height * scale)
}
