//! Handles the events of all windows.

use super::layout::shrunk;
use super::view::View;
use super::waker::Waker;
use super::{End, Present, Window};
use crate::canvas::display::Display;
use draw_protocol::Size;
use std::sync::Arc;
use std::time::Instant;
use tracing::{error, info};
use winit::application::ApplicationHandler;
use winit::dpi::PhysicalSize;
use winit::event::WindowEvent;
use winit::event_loop::{ActiveEventLoop, ControlFlow};
use winit::platform::x11::ActiveEventLoopExtX11;
use winit::window::{Window as WinitWindow, WindowId};

/// The windows of an event loop.
pub(super) struct App<F> {
    /// Opened as soon as the event loop runs; empty after that.
    windows: Vec<Window>,
    views: Vec<View>,
    /// The displays of all windows, also of closed ones.
    displays: Vec<Display>,
    present: Present,
    waker: Arc<Waker>,
    /// Called after the first frame.
    opened: Option<F>,
    end: End,
}

impl<F: FnOnce()> App<F> {
    pub(super) fn new(windows: Vec<Window>, present: Present, waker: Arc<Waker>, opened: F) -> App<F> {
        let displays = windows.iter().map(|window| window.display.clone()).collect();
        App { windows, views: Vec::new(), displays, present, waker, opened: Some(opened), end: End::Closed }
    }

    /// Returns how the windows ended.
    pub(super) fn end(&self) -> End {
        self.end
    }

    fn finish(&mut self, events: &ActiveEventLoop, end: End) {
        self.end = end;
        events.exit();
    }

    fn open(&mut self, events: &ActiveEventLoop, window: Window) {
        let size = first_size(events, window.display.size());
        let attributes = WinitWindow::default_attributes()
            .with_title(View::title(&window.title, &window.display))
            .with_inner_size(size);
        match events.create_window(attributes) {
            Ok(opened) => {
                let (wake, wake_too) = (Arc::clone(&self.waker), Arc::clone(&self.waker));
                let subscription = window.display.framebuffer().subscribe(move || wake.wake());
                // Without effect for a further window of the display, which is woken by the first one's.
                window.display.on_clients(move || wake_too.wake());
                self.views.push(View::new(Arc::new(opened), window, subscription, self.present));
            }
            Err(failure) => {
                error!(
                    window = window.title,
                    "cannot open a window, its display is served without it: {failure}"
                );
            }
        }
    }

    /// Removes a window, which was closed or failed for this reason. The end of the last one is the end of all.
    fn remove(&mut self, events: &ActiveEventLoop, index: usize, failure: Option<&str>) {
        let view = self.views.remove(index);
        let (window, goes_on) = (view.name(), remaining(self.views.len(), failure.is_some()));
        match failure {
            Some(reason) => error!(window, "cannot present to a window, {goes_on}: {reason}"),
            None => info!(window, "a window was closed, {goes_on}"),
        }
        if self.views.is_empty() {
            let end = if failure.is_none() { End::Closed } else { End::Failed };
            if end == End::Closed {
                // Before any server ends, so that its clients are told why.
                self.displays.iter().for_each(Display::window_closed);
            }
            self.finish(events, end);
        }
        view.log_frames();
    }

    /// Presents the damage of a window. Returns whether the window is still there.
    fn show(&mut self, events: &ActiveEventLoop, index: usize) -> bool {
        match self.views[index].show() {
            Ok(is_shown) => {
                if let Some(opened) = self.opened.take_if(|_| is_shown) {
                    opened();
                }
                true
            }
            Err(reason) => {
                self.remove(events, index, Some(&reason));
                false
            }
        }
    }

    /// Moves the pointer of a display to a place in one of its windows.
    fn move_pointer(&mut self, index: usize, place: (f64, f64)) {
        let display = self.views[index].display().clone();
        // The pointer has left the other windows of the display: a resized one must not put it back.
        for view in self.views.iter_mut().filter(|view| is_same(view.display(), &display)) {
            view.forget_pointer();
        }
        self.views[index].move_pointer(place);
    }
}

impl<F: FnOnce()> ApplicationHandler for App<F> {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        // A close before there was an event loop woke nothing.
        if self.waker.woken() {
            return self.finish(events, End::Closed);
        }
        for window in std::mem::take(&mut self.windows) {
            self.open(events, window);
        }
        if self.views.is_empty() {
            self.finish(events, End::Failed);
        }
    }

    fn user_event(&mut self, events: &ActiveEventLoop, (): ()) {
        if self.waker.woken() {
            self.finish(events, End::Closed);
        }
        self.views.iter_mut().for_each(View::set_stale);
    }

    fn window_event(&mut self, events: &ActiveEventLoop, id: WindowId, event: WindowEvent) {
        let Some(index) = self.views.iter().position(|view| view.id() == id) else { return };
        let view = &mut self.views[index];
        match event {
            // Another program may destroy the window without asking: to its user that is the same.
            WindowEvent::CloseRequested | WindowEvent::Destroyed => self.remove(events, index, None),
            WindowEvent::Resized(PhysicalSize { width, height }) => view.resize(Size { width, height }),
            WindowEvent::RedrawRequested if view.take_asked() => _ = self.show(events, index),
            // The window system has lost what was there.
            WindowEvent::RedrawRequested => view.set_lost(),
            WindowEvent::Moved(_) | WindowEvent::ScaleFactorChanged { .. } => view.set_rate(),
            WindowEvent::CursorMoved { position, .. } => self.move_pointer(index, (position.x, position.y)),
            _ => {}
        }
    }

    /// Called when all events have been handled.
    fn about_to_wait(&mut self, events: &ActiveEventLoop) {
        let mut next: Option<Instant> = None;
        let mut index = 0;
        while index < self.views.len() {
            let view = &mut self.views[index];
            let mut until = view.wait(Instant::now());
            if view.has_work() && until.is_none() && !events.exiting() {
                if !events.is_x11() {
                    // A compositor says when it is ready, and for a window that is not seen never.
                    view.ask();
                } else if !self.show(events, index) {
                    // At once: what X asks to be redrawn has been lost, so asking it would look like that.
                    continue;
                }
                // Anything left to do has to wait for the next frame.
                until = self.views[index].wait(Instant::now());
            }
            next = next.into_iter().chain(until).min();
            index += 1;
        }
        events.set_control_flow(next.map_or(ControlFlow::Wait, ControlFlow::WaitUntil));
    }

    fn exiting(&mut self, _: &ActiveEventLoop) {
        self.views.drain(..).for_each(|view| view.log_frames());
    }
}

/// Returns what goes on after the end of a window, if this many are still open.
fn remaining(count: usize, has_failed: bool) -> String {
    match count {
        0 if has_failed => "serving without one".to_owned(),
        0 => "it was the last one".to_owned(),
        1 => "1 other one stays open, and all displays are served".to_owned(),
        n => format!("{n} others stay open, and all displays are served"),
    }
}

/// Returns whether both are the same display, rather than equal ones.
fn is_same(one: &Display, other: &Display) -> bool {
    std::ptr::eq(one.framebuffer(), other.framebuffer())
}

/// Returns the initial size of a window: each pixel of the display is as large as the screen's scale factor, rounded down
/// to a whole number; on a screen too small for that, as large as fits.
fn first_size(events: &ActiveEventLoop, canvas: Size) -> PhysicalSize<u32> {
    let monitor = events.primary_monitor().or_else(|| events.available_monitors().next());
    let (scale, room) = monitor.map_or((1.0, canvas), |monitor| {
        let PhysicalSize { width, height } = monitor.size();
        (monitor.scale_factor(), Size { width, height })
    });
    // A reported factor of more than 16 is a mistake.
    let scale = (scale.clamp(1.0, 16.0) as u32)
        .min(room.width / canvas.width)
        .min(room.height / canvas.height)
        .max(1);
    let Size { width, height } = shrunk(canvas, room);
    PhysicalSize::new(width * scale, height * scale)
}

#[cfg(test)]
mod tests {
    use super::remaining;

    #[test]
    fn the_end_of_a_window_says_how_many_are_left() {
        assert_eq!(remaining(0, false), "it was the last one");
        assert_eq!(remaining(0, true), "serving without one");
        assert_eq!(remaining(1, true), "1 other one stays open, and all displays are served");
        assert_eq!(remaining(127, false), "127 others stay open, and all displays are served");
    }
}
