//! Presents without a GPU: writes the picture into mapped memory that is shared with the window system. If X cannot share
//! memory, or has another pixel format, [`x11`](super::x11) presents instead.

use super::cells::Cells;
use super::compositing::{BORDER, pack, packed};
use super::layout::Layout;
use super::presenter::{Frame, Presented, Presenter};
use super::x11::{self, X11};
use crate::canvas::damage::Damage;
use crate::canvas::framebuffer::Framebuffer;
use draw_protocol::Size;
use rustix::fs::{FallocateFlags, Mode};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::shm;
use softbuffer::{Context, Rect, Surface};
use std::io;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use tracing::info;
use winit::window::Window;

const BORDER_COLOR: u32 = packed(BORDER, BORDER, BORDER);

/// Opens the presenter of the window's window system.
///
/// # Errors
/// A sentence, if the window system does not answer or has no screen that can be presented on.
pub(super) fn open(window: &Arc<Window>, canvas: Size) -> Result<Box<dyn Presenter>, String> {
    Ok(match x11::id(window) {
        Some(id) => {
            let any = X11::open(id, canvas)?;
            let mapped = if any.can_share_usual() {
                Some(Software::open(window, canvas, Room::Files { segment: 0, written: 0 })?)
            } else {
                None
            };
            Box::new(OnX { mapped, any })
        }
        None => Box::new(Software::open(window, canvas, Room::Memory)?),
    })
}

/// Presents through mapped memory until that fails, and then through requests.
struct OnX {
    mapped: Option<Software>,
    any: X11,
}

impl Presenter for OnX {
    fn present(&mut self, frame: &Frame<'_>) -> Result<Presented, String> {
        if let Some(mapped) = &mut self.mapped {
            match mapped.present(frame) {
                Ok(outcome) => return Ok(outcome),
                Err(reason) => {
                    info!("no memory is shared with the X server, so the picture is sent to it: {reason}");
                }
            }
            self.mapped = None;
        }
        self.any.present(frame)
    }

    fn name(&self) -> String {
        "software".to_owned()
    }
}

/// Where shared memory comes from.
enum Room {
    /// Anonymous memory.
    Memory,
    /// A file below /dev/shm: its length, and how many of its bytes were written and so take memory.
    Files { segment: u64, written: u64 },
}

struct Software {
    surface: Surface<Arc<Window>, Arc<Window>>,
    /// The layout of the buffers that were presented before.
    layout: Option<Layout>,
    /// The damage of the previous frame, which a buffer of two frames ago lacks.
    before: Damage,
    row: Row,
    room: Room,
}

impl Software {
    fn open(window: &Arc<Window>, canvas: Size, room: Room) -> Result<Software, String> {
        let context = Context::new(Arc::clone(window)).map_err(|error| error.to_string())?;
        let surface = Surface::new(&context, Arc::clone(window)).map_err(|error| error.to_string())?;
        let before = Damage::none(canvas.height);
        Ok(Software { surface, layout: None, before, row: Row::new(canvas), room })
    }

    fn try_present(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        let Frame { framebuffer, layout, .. } = *frame;
        let (Some(width), Some(height)) =
            (NonZeroU32::new(layout.window.width), NonZeroU32::new(layout.window.height))
        else {
            return Ok(());
        };
        let is_new = self.layout != Some(*layout);
        if is_new {
            self.room.take(layout.window)?;
            self.surface.resize(width, height).map_err(|error| error.to_string())?;
        }
        // May wait until the window system has finished the previous frame.
        let mut buffer = self.surface.buffer_mut().map_err(|error| error.to_string())?;
        let mut stale = frame.damage.clone();
        match buffer.age() {
            1 if !is_new => {}
            2 if !is_new => stale.add(&self.before),
            _ => {
                buffer.fill(BORDER_COLOR);
                stale.mark_rows(0..framebuffer.size().height);
            }
        }
        self.row.cells.begin(layout);
        for rows in stale.rows() {
            for row in layout.cell_rows(&rows) {
                self.row.write(framebuffer, layout, row, &mut buffer);
            }
        }
        let presented = if frame.is_whole || is_new {
            buffer.present()
        } else {
            // The window lacks only the last damage, even if the buffer lacked more.
            let changed = frame.damage.rows().filter_map(|rows| rectangle(layout, layout.cell_rows(&rows)));
            buffer.present_with_damage(&changed.collect::<Vec<_>>())
        };
        presented.map_err(|error| error.to_string())?;
        self.layout = Some(*layout);
        self.before = frame.damage.clone();
        Ok(())
    }
}

/// Bytes that must be free beyond those of the window, since other programs use /dev/shm too.
const SPARE: u64 = 4 << 20;

impl Room {
    /// Checks that there is memory for a window. The caller writes to it directly afterwards. The library does not check, and
    /// a write to a page that cannot be allocated ends the process.
    ///
    /// # Errors
    /// A sentence, if there is not enough memory.
    fn take(&mut self, window: Size) -> Result<(), String> {
        let bytes = u64::from(window.width) * u64::from(window.height) * 4;
        // The library allocates a power of two of bytes, and counts them in an `i32`.
        let taken = bytes.next_power_of_two();
        if taken > 1 << 30 {
            return Err(format!("a window of {window} is too large for shared memory"));
        }
        if let Some(limit) = getrlimit(Resource::Fsize).current.filter(|&limit| taken + SPARE > limit) {
            return Err(format!(
                "a window of {window} needs {taken} bytes of shared memory, but the limit of file sizes (ulimit -f) is {limit}"
            ));
        }
        if let Room::Files { segment, written } = self {
            if taken > *segment {
                (*segment, *written) = (taken, 0);
            }
            if bytes > *written {
                try_files(bytes - *written + SPARE).map_err(|error| {
                    format!("not enough room in /dev/shm for a window of {window}: {error}")
                })?;
                *written = bytes;
            }
        }
        Ok(())
    }
}

/// Allocates this many bytes of /dev/shm and frees them.
fn try_files(bytes: u64) -> io::Result<()> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("/draw-window-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
    let flags = shm::OFlags::CREATE | shm::OFlags::EXCL | shm::OFlags::RDWR;
    let file = shm::open(&name, flags, Mode::RUSR | Mode::WUSR)?;
    shm::unlink(&name)?;
    // A signal may interrupt the call; nothing was allocated then.
    while let Err(error) = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    Ok(())
}

impl Presenter for Software {
    fn present(&mut self, frame: &Frame<'_>) -> Result<Presented, String> {
        self.try_present(frame).map(|()| Presented::Shown)
    }

    fn name(&self) -> String {
        "software".to_owned()
    }
}

/// Returns the rectangle of the window that these rows of cells cover.
fn rectangle(layout: &Layout, cells: Range<u32>) -> Option<Rect> {
    let rows = layout.window_rows(&cells);
    Some(Rect {
        x: layout.left,
        y: rows.start,
        width: NonZeroU32::new(layout.width())?,
        height: NonZeroU32::new(rows.end.saturating_sub(rows.start))?,
    })
}

/// Writes rows of cells.
struct Row {
    cells: Cells,
    packed: Vec<u32>,
}

impl Row {
    fn new(canvas: Size) -> Row {
        Row { cells: Cells::new(canvas), packed: vec![0; canvas.width as usize] }
    }

    fn write(&mut self, framebuffer: &Framebuffer, layout: &Layout, cell_row: u32, window: &mut [u32]) {
        let rgba = self.cells.row(framebuffer, cell_row);
        let (stride, scale) = (layout.window.width as usize, layout.scale as usize);
        let start = layout.window_rows(&(cell_row..cell_row)).start as usize * stride + layout.left as usize;
        let width = layout.width() as usize;
        let first = &mut window[start..start + width];
        if scale == 1 {
            pack(rgba, first);
            return;
        }
        pack(rgba, &mut self.packed);
        for (cell, &color) in first.chunks_exact_mut(scale).zip(&self.packed) {
            cell.fill(color);
        }
        for below in 1..scale {
            window.copy_within(start..start + width, start + below * stride);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::Color;

    /// A display of 3x2 pixels, the first row 1, 2, 3 and the second 4, 5, 6 in its blue channel, in a window.
    fn shown(width: u32, height: u32) -> Vec<Vec<u32>> {
        let canvas = Size { width: 3, height: 2 };
        let framebuffer = Framebuffer::new(canvas, Color::BLACK).unwrap();
        for n in 0..6 {
            let color = Color::rgba(0, 0, n as u8 + 1, 255);
            framebuffer.draw_pixel(n % 3, n / 3, color, &mut framebuffer.no_damage());
        }
        let layout = Layout::new(Size { width, height }, canvas);
        let mut window = vec![0; (width * height) as usize];
        let mut row = Row::new(canvas);
        row.cells.begin(&layout);
        layout.cell_rows(&(0..2)).for_each(|cells| row.write(&framebuffer, &layout, cells, &mut window));
        window.chunks(width as usize).map(<[u32]>::to_vec).collect()
    }

    #[test]
    #[rustfmt::skip]
    fn rows_are_written_where_the_layout_says() {
        assert_eq!(shown(3, 2), [
            [1, 2, 3],
            [4, 5, 6],
        ]);
        assert_eq!(shown(7, 5), [
            [1, 1, 2, 2, 3, 3, 0],
            [1, 1, 2, 2, 3, 3, 0],
            [4, 4, 5, 5, 6, 6, 0],
            [4, 4, 5, 5, 6, 6, 0],
            [0, 0, 0, 0, 0, 0, 0],
        ]);
        assert_eq!(shown(5, 3), [
            [0, 1, 2, 3, 0],
            [0, 4, 5, 6, 0],
            [0, 0, 0, 0, 0],
        ]);
        // The averages of 1 and half of 2, 4 and half of 5, and so on: 1.3 and 4.3, then 2.7 and 5.7, of which the rows are.
        assert_eq!(shown(2, 2), [
            [3, 4],
            [0, 0],
        ]);
        assert_eq!(shown(1, 1), [[4]]);
    }

    #[test]
    fn only_what_changed_is_handed_over() {
        let layout = Layout::new(Size { width: 8, height: 5 }, Size { width: 3, height: 2 });
        let rect = rectangle(&layout, layout.cell_rows(&(1..2))).unwrap();
        assert_eq!((rect.x, rect.y, rect.width.get(), rect.height.get()), (1, 2, 6, 2));
        assert!(rectangle(&layout, layout.cell_rows(&(2..2))).is_none());
    }

    #[test]
    fn memory_that_cannot_be_is_refused_before_it_is_written() {
        assert_eq!(Room::Memory.take(Size { width: 3840, height: 2160 }), Ok(()));
        for mut room in [Room::Memory, Room::Files { segment: 0, written: 0 }] {
            let said = room.take(Size { width: 40_000, height: 40_000 }).unwrap_err();
            assert!(said.contains("40000x40000"), "{said}");
        }
    }
}
