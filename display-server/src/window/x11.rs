//! Presents on any X screen without a GPU, over a connection of its own.
//!
//! Pixels go through memory shared with the X server if possible. Otherwise, such as over `ssh -X`, they go through the
//! connection, in requests of a size that every server accepts. Shared memory is written with system calls rather than mapped.
//! That costs a little more, but when the system has no memory left a call fails, while a write to a mapped page ends the
//! process.

use super::cells::Cells;
use super::format::{Format, write_rows};
use super::layout::Layout;
use super::presenter::{Frame, Presented, Presenter};
use super::segment::Segment;
use draw_protocol::Size;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use tracing::info;
use winit::raw_window_handle::{HasWindowHandle, RawWindowHandle};
use winit::window::Window;
use x11rb::connection::{Connection, SequenceNumber};
use x11rb::cookie::Cookie;
use x11rb::errors::{ConnectError, ConnectionError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::shm::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{self, ConnectionExt as _, ImageFormat};
use x11rb::rust_connection::RustConnection;

/// Bytes of pixels that are converted at once: they fit into a second-level cache. It is also below the longest request of
/// nearly all servers without the extension for longer ones (65,535 words).
const BAND: usize = 1 << 18;
/// What an X server answers that has as many clients as it accepts: 256, unless it was started with another -maxclients.
const FULL: &str = "Maximum number of clients reached";
/// Bytes of a PutImage request before its pixels, in its longer form.
const HEADER: usize = 28;
/// The last place in a window that X can address: coordinates are `i16`.
const FARTHEST: u32 = i16::MAX as u32;

/// Returns the X11 window of a winit window; `None` on another window system.
pub(super) fn id(window: &Window) -> Option<xproto::Window> {
    match window.window_handle().ok()?.as_raw() {
        RawWindowHandle::Xlib(handle) => handle.window.try_into().ok(),
        RawWindowHandle::Xcb(handle) => Some(handle.window.get()),
        _ => None,
    }
}

pub(super) struct X11 {
    connection: RustConnection,
    window: xproto::Window,
    context: xproto::Gcontext,
    format: Format,
    /// `None` if pixels go through the connection.
    shared: Option<Shared>,
    /// The layout of the last frame.
    layout: Option<Layout>,
    /// A request made after each frame. Its reply means that the server has finished the frame and with the shared memory.
    pending: Option<SequenceNumber>,
    cells: Cells,
    band: Vec<u8>,
}

/// Memory shared with the X server.
#[derive(Default)]
struct Shared {
    /// Holds the whole window, row by row. `None` before the first frame.
    segment: Option<Segment>,
}

/// Why a frame could not be presented.
enum Failure {
    /// The system has no shared memory left. Presenting through the connection is still possible.
    Memory(io::Error),
    Connection(String),
}

impl From<ConnectionError> for Failure {
    fn from(error: ConnectionError) -> Failure {
        Failure::Connection(format!("lost the connection to the X server: {error}"))
    }
}

impl X11 {
    /// Connects to the X server and reads the format of the window.
    ///
    /// # Errors
    /// A sentence, if the X server does not answer, or its screen has a format that is not supported.
    pub(super) fn open(window: xproto::Window, canvas: Size) -> Result<X11, String> {
        let (connection, _) = RustConnection::connect(None)
            .map_err(|error| format!("cannot connect to the X server: {}", why_not(error)))?;
        let (context, visual) = context(&connection, window)
            .map_err(|error| format!("the X server refused the window: {error}"))?;
        let format = Format::of(connection.setup(), visual)?;
        let shared = match Segment::new(&connection, 1) {
            Ok(tried) => {
                tried.free(&connection).map_err(|error| error.to_string())?;
                Some(Shared::default())
            }
            // On another machine, or without the extension. If the connection has ended, the first frame fails.
            Err(reason) => {
                info!(
                    "the X server shares no memory with this process ({reason}): sending pictures over its socket"
                );
                None
            }
        };
        Ok(X11 {
            connection,
            window,
            context,
            format,
            shared,
            layout: None,
            pending: None,
            cells: Cells::new(canvas),
            band: Vec::new(),
        })
    }

    /// Returns whether the faster presenter can be used: the server shares memory, and has the usual pixel format.
    pub(super) fn can_share_usual(&self) -> bool {
        self.shared.is_some() && self.format.is_usual
    }

    fn try_present(&mut self, frame: &Frame<'_>) -> Result<(), Failure> {
        self.settle()?;
        let is_new = self.layout != Some(*frame.layout);
        let is_whole = is_new || frame.is_whole;
        self.cells.begin(frame.layout);
        let room = if is_new { self.make_room(frame.layout) } else { Ok(()) };
        match room.and_then(|()| self.draw(frame, is_whole)) {
            Err(Failure::Memory(error)) => {
                info!("cannot share memory with the X server ({error}): sending pictures over its socket");
                self.unshare()?;
                self.draw(frame, true)?;
            }
            drawn => drawn?,
        }
        let asked = self.connection.get_input_focus()?;
        self.pending = Some(asked.sequence_number());
        // Dropping the cookie would discard the reply.
        std::mem::forget(asked);
        self.connection.flush()?;
        self.layout = Some(*frame.layout);
        Ok(())
    }

    /// Waits until the server has finished the previous frame, and returns its error if it failed.
    fn settle(&mut self) -> Result<(), Failure> {
        if let Some(pending) = self.pending.take() {
            let asked = Cookie::<_, xproto::GetInputFocusReply>::new(&self.connection, pending);
            asked.reply().map_err(|error| Failure::Connection(error.to_string()))?;
        }
        while let Some(event) = self.connection.poll_for_event()? {
            if let Event::Error(error) = event {
                let what = error.request_name.unwrap_or("a request");
                return Err(Failure::Connection(format!(
                    "the X server refused {what}: {:?}",
                    error.error_kind
                )));
            }
        }
        Ok(())
    }

    /// Enlarges the shared memory, if there is any, to hold a window.
    fn make_room(&mut self, layout: &Layout) -> Result<(), Failure> {
        let Some(shared) = &mut self.shared else { return Ok(()) };
        let Size { width, height } = layout.window;
        let bytes = self.format.stride(width as usize) as u64 * u64::from(height);
        if shared.segment.as_ref().is_some_and(|segment| segment.bytes >= bytes) {
            return Ok(());
        }
        if let Some(segment) = shared.segment.take() {
            segment.free(&self.connection)?;
        }
        // Rounded up, so that a growing window does not allocate each time. Unwritten pages take no memory.
        let segment = Segment::new(&self.connection, bytes.next_power_of_two())
            .or_else(|_| Segment::new(&self.connection, bytes))
            .map_err(|error| Failure::Memory(io::Error::other(error)))?;
        shared.segment = Some(segment);
        Ok(())
    }

    fn unshare(&mut self) -> Result<(), ConnectionError> {
        match self.shared.take().and_then(|shared| shared.segment) {
            Some(segment) => segment.free(&self.connection),
            None => Ok(()),
        }
    }

    /// Sends the whole window, or the damaged rows, to the server.
    fn draw(&mut self, frame: &Frame<'_>, is_whole: bool) -> Result<(), Failure> {
        let layout = frame.layout;
        let (width, height) = (layout.window.width.min(FARTHEST), layout.window.height.min(FARTHEST));
        if is_whole {
            return self.put(frame, 0..height, 0..width);
        }
        for rows in frame.damage.rows() {
            let rows = layout.window_rows(&layout.cell_rows(&rows));
            let right = (layout.left + layout.width()).min(width);
            self.put(frame, rows.start..rows.end.min(height), layout.left..right)?;
        }
        Ok(())
    }

    /// Sends these rows and columns of the window to the server.
    fn put(&mut self, frame: &Frame<'_>, rows: Range<u32>, columns: Range<u32>) -> Result<(), Failure> {
        if rows.is_empty() || columns.is_empty() {
            return Ok(());
        }
        match self.shared.as_ref().and_then(|shared| shared.segment.as_ref()).map(|segment| segment.id) {
            Some(segment) => self.put_shared(frame, rows, columns, segment),
            None => self.put_through(frame, rows, columns),
        }
    }

    fn put_shared(
        &mut self,
        frame: &Frame<'_>,
        rows: Range<u32>,
        columns: Range<u32>,
        segment: shm::Seg,
    ) -> Result<(), Failure> {
        let Size { width, height } = frame.layout.window;
        let stride = self.format.stride(width as usize);
        let at_once = (BAND / stride).max(1);
        for first in rows.clone().step_by(at_once) {
            self.fill(frame, first..rows.end.min(first + at_once as u32), 0..width);
            let memory = self.shared.as_ref().and_then(|shared| shared.segment.as_ref());
            if let Some(Segment { memory, .. }) = memory {
                let at = u64::from(first) * stride as u64;
                memory.write_all_at(&self.band, at).map_err(Failure::Memory)?;
            }
        }
        // The sides of a window have 16 bits in X, and no place is beyond FARTHEST.
        self.connection.shm_put_image(
            self.window,
            self.context,
            width as u16,
            height as u16,
            columns.start as u16,
            rows.start as u16,
            columns.len() as u16,
            rows.len() as u16,
            columns.start as i16,
            rows.start as i16,
            self.format.depth,
            ImageFormat::Z_PIXMAP.into(),
            false,
            segment,
            0,
        )?;
        Ok(())
    }

    /// Sends pixels through the connection, in requests no longer than the server allows.
    fn put_through(
        &mut self,
        frame: &Frame<'_>,
        rows: Range<u32>,
        columns: Range<u32>,
    ) -> Result<(), Failure> {
        let longest = usize::from(self.connection.setup().maximum_request_length) * 4;
        let limit = BAND.min(longest.saturating_sub(HEADER)).max(256);
        let stride = self.format.stride(columns.len());
        let at_once = (limit / stride).max(1);
        // A row longer than a request is split, at a multiple of 32 pixels, which needs no padding in any format.
        let piece = if stride > limit { limit / self.format.bytes / 32 * 32 } else { columns.len() };
        for first in rows.clone().step_by(at_once) {
            let band = first..rows.end.min(first + at_once as u32);
            self.fill(frame, band.clone(), columns.clone());
            for start in (0..columns.len()).step_by(piece) {
                let end = columns.len().min(start + piece);
                let bytes = if piece == columns.len() {
                    &self.band[..]
                } else {
                    let last = if end == columns.len() { stride } else { end * self.format.bytes };
                    &self.band[start * self.format.bytes..last]
                };
                self.connection.put_image(
                    ImageFormat::Z_PIXMAP,
                    self.window,
                    self.context,
                    (end - start) as u16,
                    band.len() as u16,
                    (columns.start as usize + start) as i16,
                    first as i16,
                    0,
                    self.format.depth,
                    bytes,
                )?;
            }
        }
        Ok(())
    }

    /// Converts these rows and columns of the window into the band.
    fn fill(&mut self, frame: &Frame<'_>, rows: Range<u32>, columns: Range<u32>) {
        let X11 { format, cells, band, .. } = self;
        write_rows(frame, cells, format, rows, columns, band);
    }
}

impl Presenter for X11 {
    fn present(&mut self, frame: &Frame<'_>) -> Result<Presented, String> {
        self.try_present(frame).map(|()| Presented::Shown).map_err(|failure| match failure {
            Failure::Memory(error) => error.to_string(),
            Failure::Connection(sentence) => sentence,
        })
    }

    fn name(&self) -> String {
        "software".to_owned()
    }
}

/// Returns why the X server is not connected, if it refuses connections; `None` if it accepts one.
pub(super) fn refusal() -> Option<String> {
    match RustConnection::connect(None) {
        Err(error @ (ConnectError::SetupFailed(_) | ConnectError::SetupAuthenticate(_))) => {
            Some(why_not(error))
        }
        _ => None,
    }
}

/// Returns the reason of a failure to connect, and what to do if the X server has no connection left.
fn why_not(error: ConnectError) -> String {
    let reason = match error {
        ConnectError::SetupFailed(failed) => failed.reason,
        ConnectError::SetupAuthenticate(failed) => failed.reason,
        error => return error.to_string(),
    };
    let reason = String::from_utf8_lossy(&reason);
    let reason = reason.trim_end_matches(['\0', '\n', ' ']);
    if reason.contains(FULL) {
        format!(
            "it has no connection left ({reason}), and every window that is presented by software takes one: open \
             fewer windows, close other programs, or start it with a larger -maxclients"
        )
    } else {
        reason.to_owned()
    }
}

/// Creates a graphics context for a window, and asks for the window's visual.
fn context(
    connection: &RustConnection,
    window: xproto::Window,
) -> Result<(xproto::Gcontext, xproto::Visualid), ReplyOrIdError> {
    let attributes = connection.get_window_attributes(window)?;
    let context = connection.generate_id()?;
    let options = xproto::CreateGCAux::new().graphics_exposures(0);
    let created = connection.create_gc(context, window, &options)?;
    let visual = attributes.reply()?.visual;
    created.check()?;
    Ok((context, visual))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: &[u8]) -> ConnectError {
        ConnectError::SetupFailed(xproto::SetupFailed {
            status: 0,
            protocol_major_version: 11,
            protocol_minor_version: 0,
            length: 0,
            reason: reason.to_vec(),
        })
    }

    #[test]
    fn a_refusal_says_why_and_what_to_do() {
        let said = why_not(failed(b"Maximum number of clients reached\0\0\0"));
        assert!(
            said.starts_with("it has no connection left (Maximum number of clients reached), "),
            "{said}"
        );
        assert!(said.contains("open fewer windows") && said.contains("-maxclients"), "{said}");
        assert_eq!(why_not(failed(b"No protocol specified\n")), "No protocol specified");
        assert!(why_not(ConnectError::UnknownError).contains("error"));
    }
}
