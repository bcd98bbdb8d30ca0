//! A presenter of a window, and the frames that it presents. Each kind of presenter implements this trait in a file of its own.

use super::layout::Layout;
use crate::canvas::damage::Damage;
use crate::canvas::framebuffer::Framebuffer;

/// A frame to present.
pub(super) struct Frame<'a> {
    pub(super) framebuffer: &'a Framebuffer,
    /// The rows that changed since the last frame of this window.
    pub(super) damage: &'a Damage,
    pub(super) layout: &'a Layout,
    /// Whether the window has lost its contents, or has a new size.
    pub(super) is_whole: bool,
}

/// How presenting ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presented {
    /// The frame was handed to the window system.
    Shown,
    /// The frame was not presented. The whole window must be presented again.
    Later,
}

/// Presents frames in one window.
pub(super) trait Presenter {
    /// Presents a frame.
    ///
    /// # Errors
    /// A sentence. The presenter must not be used after that.
    fn present(&mut self, frame: &Frame<'_>) -> Result<Presented, String>;

    /// Returns what it presents with, for the log.
    fn name(&self) -> String;
}
