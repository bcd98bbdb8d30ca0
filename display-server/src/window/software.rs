//! Presents without a GPU: writes the picture into memory that is shared with the window system.

use super::layout::Layout;
use super::presenter::{Frame, Outcome, Presenter};
use super::shown::{BORDER, pack, packed, rgba_row};
use crate::damage::Damage;
use crate::framebuffer::Framebuffer;
use draw_protocol::Size;
use softbuffer::{Context, Rect, Surface};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use winit::window::Window;

const BORDER_COLOR: u32 = packed(BORDER, BORDER, BORDER);

pub(super) struct Software {
    surface: Surface<Arc<Window>, Arc<Window>>,
    /// What the buffers that were presented before have been laid out for.
    layout: Option<Layout>,
    /// What changed with the frame before: a buffer that was presented two frames ago lacks it.
    before: Damage,
    row: Row,
}

impl Software {
    pub(super) fn open(window: &Arc<Window>, canvas: Size) -> Result<Software, String> {
        let context = Context::new(Arc::clone(window)).map_err(|error| error.to_string())?;
        let surface = Surface::new(&context, Arc::clone(window)).map_err(|error| error.to_string())?;
        Ok(Software { surface, layout: None, before: Damage::none(canvas.height), row: Row::new(canvas) })
    }

    fn try_present(&mut self, frame: &Frame<'_>) -> Result<(), softbuffer::SoftBufferError> {
        let Frame { framebuffer, layout, .. } = *frame;
        let (Some(width), Some(height)) =
            (NonZeroU32::new(layout.window.width), NonZeroU32::new(layout.window.height))
        else {
            return Ok(());
        };
        let is_new = self.layout != Some(*layout);
        if is_new {
            self.surface.resize(width, height)?;
        }
        // Here it may wait for the window system to have done with the frame before.
        let mut buffer = self.surface.buffer_mut()?;
        let mut stale = frame.damage.clone();
        match buffer.age() {
            1 if !is_new => {}
            2 if !is_new => stale.add(&self.before),
            _ => {
                buffer.fill(BORDER_COLOR);
                stale.mark_rows(0..framebuffer.size().height);
            }
        }
        for rows in stale.rows() {
            for row in layout.cell_rows(&rows) {
                self.row.write(framebuffer, layout, row, &mut buffer);
            }
        }
        if frame.is_whole || is_new {
            buffer.present()?;
        } else {
            // What the window shows lacks the last change only, whatever the buffer lacked.
            let changed = frame.damage.rows().filter_map(|rows| rectangle(layout, layout.cell_rows(&rows)));
            buffer.present_with_damage(&changed.collect::<Vec<_>>())?;
        }
        self.layout = Some(*layout);
        self.before = frame.damage.clone();
        Ok(())
    }
}

impl Presenter for Software {
    fn present(&mut self, frame: &Frame<'_>) -> Result<Outcome, String> {
        self.try_present(frame).map(|()| Outcome::Shown).map_err(|error| error.to_string())
    }

    fn name(&self) -> String {
        "software".to_owned()
    }
}

/// Where these rows of cells are in the window.
fn rectangle(layout: &Layout, cells: Range<u32>) -> Option<Rect> {
    Some(Rect {
        x: layout.left,
        y: layout.top + cells.start * layout.scale,
        width: NonZeroU32::new(layout.width())?,
        height: NonZeroU32::new(cells.end.saturating_sub(cells.start) * layout.scale)?,
    })
}

/// Writes one row of cells after the other.
struct Row {
    rgba: Vec<u8>,
    packed: Vec<u32>,
}

impl Row {
    fn new(canvas: Size) -> Row {
        Row { rgba: vec![0; canvas.width as usize * 4], packed: vec![0; canvas.width as usize] }
    }

    fn write(&mut self, framebuffer: &Framebuffer, layout: &Layout, cell_row: u32, window: &mut [u32]) {
        let Layout { scale, divisor, left, top, columns, .. } = *layout;
        rgba_row(framebuffer, cell_row * divisor, &mut self.rgba);
        let (stride, scale) = (layout.window.width as usize, scale as usize);
        let start = (top as usize + cell_row as usize * scale) * stride + left as usize;
        let width = columns as usize * scale;
        let first = &mut window[start..start + width];
        if scale == 1 {
            pack(&self.rgba, divisor as usize, first);
            return;
        }
        pack(&self.rgba, divisor as usize, &mut self.packed);
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
        assert_eq!(shown(2, 2), [
            [1, 3],
            [0, 0],
        ]);
        assert_eq!(shown(1, 1), [[1]]);
    }

    #[test]
    fn only_what_changed_is_handed_over() {
        let layout = Layout::new(Size { width: 8, height: 5 }, Size { width: 3, height: 2 });
        let rect = rectangle(&layout, layout.cell_rows(&(1..2))).unwrap();
        assert_eq!((rect.x, rect.y, rect.width.get(), rect.height.get()), (1, 2, 6, 2));
        // A row of the display that a small window does not show changes nothing.
        let small = Layout::new(Size { width: 2, height: 1 }, Size { width: 3, height: 2 });
        assert!(rectangle(&small, small.cell_rows(&(1..2))).is_none());
    }
}
