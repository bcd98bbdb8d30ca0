//! What brings the picture into a window, and what happens when that fails.

use super::gpu::Gpu;
use super::layout::Layout;
use super::software::Software;
use super::{Present, quiet};
use crate::damage::Damage;
use crate::framebuffer::Framebuffer;
use draw_protocol::Size;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tracing::{info, warn};
use winit::window::Window;

/// Failures in a row after which a presenter is given up for the next one. A surface that was lost comes back at the
/// first try; a third one would be the same again.
const TRIES: u32 = 3;

/// What is to be shown.
pub(super) struct Frame<'a> {
    pub(super) framebuffer: &'a Framebuffer,
    /// The rows that have changed since the last frame.
    pub(super) damage: &'a Damage,
    pub(super) layout: &'a Layout,
    /// The window has lost what was in it, or has a new size.
    pub(super) is_whole: bool,
}

/// How presenting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The frame was handed to the window system.
    Shown,
    /// Not this time: the whole window is to be presented once more.
    Later,
}

/// Brings frames into one window.
pub(super) trait Presenter {
    /// # Errors
    /// A sentence. The presenter is of no further use then.
    fn present(&mut self, frame: &Frame<'_>) -> Result<Outcome, String>;

    /// What it presents with, for the log.
    fn name(&self) -> String;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A GPU that is one.
    RealGpu,
    /// Whatever the graphics drivers offer, even a processor that computes what a GPU would.
    AnyGpu,
    Software,
}

/// The presenter of a window, and those to turn to when it fails.
pub(super) struct Presenters {
    window: Arc<Window>,
    canvas: Size,
    /// The first is the current one.
    kinds: VecDeque<Kind>,
    current: Option<Box<dyn Presenter>>,
    failures: u32,
}

impl Presenters {
    pub(super) fn new(window: Arc<Window>, canvas: Size, present: Present) -> Presenters {
        let kinds: &[Kind] = match present {
            Present::Auto => &[Kind::RealGpu, Kind::Software],
            Present::Gpu => &[Kind::AnyGpu, Kind::Software],
            Present::Software | Present::None => &[Kind::Software],
        };
        Presenters { window, canvas, kinds: kinds.iter().copied().collect(), current: None, failures: 0 }
    }

    /// Presents. `None` says that nothing works here and never will.
    pub(super) fn present(&mut self, frame: &Frame<'_>) -> Option<Outcome> {
        if self.current.is_none() {
            self.open(frame.layout.window)?;
        }
        let presenter = self.current.as_mut()?;
        // A driver's bug may show as a panic of the library that talks to it.
        let presented = catch_unwind(AssertUnwindSafe(|| presenter.present(frame)))
            .unwrap_or_else(|_| Err("it panicked".to_owned()));
        match presented {
            Ok(Outcome::Shown) => self.failures = 0,
            Ok(Outcome::Later) => {}
            Err(reason) => {
                self.failures += 1;
                warn!("presenting with {} failed: {reason}", presenter.name());
                // Opened again with the next frame: a window that was destroyed says so before that.
                self.current = None;
                if self.failures >= TRIES {
                    self.failures = 0;
                    self.kinds.pop_front();
                }
                return Some(Outcome::Later);
            }
        }
        presented.ok()
    }

    /// Opens the first presenter that can be, and says which it is and why.
    fn open(&mut self, size: Size) -> Option<()> {
        let is_hopeless = self.kinds.is_empty();
        let mut reason = String::new();
        while let Some(&kind) = self.kinds.front() {
            match open(kind, &self.window, size, self.canvas) {
                Ok(presenter) => {
                    info!("presenting with {}{reason}", presenter.name());
                    self.current = Some(presenter);
                    return Some(());
                }
                Err(why) => {
                    reason = format!(": {why}");
                    self.kinds.pop_front();
                }
            }
        }
        if !is_hopeless {
            warn!("nothing can be presented{reason}");
        }
        None
    }
}

fn open(kind: Kind, window: &Arc<Window>, size: Size, canvas: Size) -> Result<Box<dyn Presenter>, String> {
    let gpu = |only_real| -> Result<Box<dyn Presenter>, String> {
        Ok(Box::new(quiet(|| Gpu::open(window, size, canvas, only_real)).and_then(|opened| opened)?))
    };
    match kind {
        Kind::RealGpu => gpu(true),
        Kind::AnyGpu => gpu(false),
        Kind::Software => Ok(Box::new(Software::open(window, canvas)?)),
    }
}
