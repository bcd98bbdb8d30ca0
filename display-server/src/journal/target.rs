//! The traits by which the journal knows a display: how it is rebuilt, and how a snapshot is taken.

use draw_protocol::session::{Id, Session, Stamp};
use draw_protocol::{Color, Request, Size};
use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

/// Rebuilds a display: from an empty display, or the rows and sessions of a snapshot, and then from the entries behind
/// that, in order.
pub(crate) trait Replay: Sized {
    /// The rebuilt display.
    type Rebuilt: Recorded;

    /// Begins with an empty display. Sizes are from 1x1 to 65,535x65,535.
    ///
    /// # Errors
    /// If there is no memory for it.
    fn begin(size: Size, background: Color) -> Result<Self, Box<dyn Error + Send + Sync>>;
    /// Sets row `y` of the picture: 4 bytes a pixel.
    fn row(&mut self, y: u32, rgba: &[u8]);
    /// Sets the state of a session.
    fn session(&mut self, id: Id, session: &Session);
    /// Draws a call that was recorded as `session`'s. It has passed [`Request::check_shape`]; no limit of the wire applies.
    fn call(&mut self, sequence: u64, session: Option<Stamp>, request: &Request<'_>);
    /// Ends the replay.
    fn finish(self) -> Arc<Self::Rebuilt>;
}

/// A display that is recorded, for taking snapshots. Its methods are called while nothing is drawn.
pub(crate) trait Recorded: Debug + Send + Sync + 'static {
    /// Copies the picture, 4 bytes a pixel, rows from the top.
    fn copy_picture(&self, out: &mut [u8]);
    /// Calls `visit` with each session, in the state of the last entry.
    fn sessions(&self, visit: &mut dyn FnMut(Id, &Session));
}

/// Reads a journal without a display.
impl Replay for () {
    type Rebuilt = ();

    fn begin(_: Size, _: Color) -> Result<(), Box<dyn Error + Send + Sync>> {
        Ok(())
    }
    fn row(&mut self, _: u32, _: &[u8]) {}
    fn session(&mut self, _: Id, _: &Session) {}
    fn call(&mut self, _: u64, _: Option<Stamp>, _: &Request<'_>) {}
    fn finish(self) -> Arc<()> {
        Arc::new(())
    }
}

impl Recorded for () {
    fn copy_picture(&self, _: &mut [u8]) {}
    fn sessions(&self, _: &mut dyn FnMut(Id, &Session)) {}
}
