//! Maps the pixels of a display to places in a window, and back.

use draw_protocol::{Position, Size};
use std::ops::Range;

/// How a display is laid out in a window.
///
/// In a window at least as large as the display, each pixel becomes a square of the largest whole number of window
/// pixels that fits. In a smaller one the whole display is shrunk in its proportions until it fits, and each window pixel
/// shows the average of the area that it covers (see [`cells`](super::cells)). In both cases the picture is centred and the
/// rest is border. If the border cannot be divided by two, it is one pixel narrower on the left and at the top.
///
/// A *cell* is a square of the window that has one colour: a pixel of the display, or the average of an area of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Window pixels along each side of a cell. 1 if the picture is shrunk.
    pub(super) scale: u32,
    /// The window's column where the picture begins, and its row.
    pub(super) left: u32,
    pub(super) top: u32,
    /// Cells: as many as the display has pixels, or fewer in a small window.
    pub(super) columns: u32,
    pub(super) rows: u32,
    pub(super) window: Size,
    pub(super) canvas: Size,
}

/// Returns the largest size with the proportions of `canvas` that fits into `room` and is no larger than `canvas`. No side
/// is 0.
pub(super) fn shrunk(canvas: Size, room: Size) -> Size {
    let ([cw, ch], [w, h]) = (sides(canvas), sides(room));
    if cw <= w && ch <= h {
        return canvas;
    }
    // Rounded to the nearest. It fits: what is rounded is at most a whole number.
    let along = |side: u64, by: u64, of: u64| ((2 * side * by + of) / (2 * of)).max(1) as u32;
    if w * ch <= h * cw {
        Size { width: w as u32, height: along(ch, w, cw) }
    } else {
        Size { width: along(cw, h, ch), height: h as u32 }
    }
}

/// Returns the sides of a size, with 1 in place of 0.
fn sides(size: Size) -> [u64; 2] {
    [size.width, size.height].map(|side| u64::from(side.max(1)))
}

impl Layout {
    /// Returns the layout of a display of size `canvas`. Neither size may have a side of 0; one that has is taken for 1.
    pub(super) fn new(window: Size, canvas: Size) -> Layout {
        let at_least_1 = |size: Size| Size { width: size.width.max(1), height: size.height.max(1) };
        let (window, canvas) = (at_least_1(window), at_least_1(canvas));
        let scale = (window.width / canvas.width).min(window.height / canvas.height).max(1);
        let Size { width: columns, height: rows } = shrunk(canvas, window);
        let (left, top) = ((window.width - columns * scale) / 2, (window.height - rows * scale) / 2);
        Layout { scale, left, top, columns, rows, window, canvas }
    }

    /// Returns whether a cell is more than one pixel of the display.
    pub(super) fn is_shrunk(&self) -> bool {
        (self.columns, self.rows) != (self.canvas.width, self.canvas.height)
    }

    /// Returns the pixel of the display at a place of the window, given in window pixels from the top left corner of the
    /// window. If the picture is shrunk, it is the pixel in the middle of the cell. Beside the picture, and beside the window,
    /// the coordinates continue as if there were more cells: such a position is outside the display.
    pub(super) fn pixel(&self, x: f64, y: f64) -> Position {
        // Within this range nothing overflows. The pixel of a cell beyond it is at or near the limits of an i32.
        const CELLS: i64 = 1 << 32;
        // A cast from floating point to an integer saturates, so no place overflows.
        let along = |place: f64, start: u32, cells: u32, pixels: u32| {
            let cell = (place.floor() as i64).saturating_sub(start.into()).div_euclid(self.scale.into());
            let middle = 2 * cell.clamp(-CELLS, CELLS) + 1;
            let pixel = (middle * i64::from(pixels)).div_euclid(2 * i64::from(cells));
            pixel.clamp(i32::MIN.into(), i32::MAX.into()) as i32
        };
        Position {
            x: along(x, self.left, self.columns, self.canvas.width),
            y: along(y, self.top, self.rows, self.canvas.height),
        }
    }

    /// Returns the rows of cells that show any part of these rows of the display.
    pub(super) fn cell_rows(&self, rows: &Range<u32>) -> Range<u32> {
        let (cells, pixels) = (u64::from(self.rows), u64::from(self.canvas.height));
        let (start, end) = (u64::from(rows.start.min(self.canvas.height)), pixels.min(rows.end.into()));
        if start >= end {
            return 0..0;
        }
        (start * cells / pixels) as u32..(end * cells).div_ceil(pixels) as u32
    }

    /// Returns the rows of the window that these rows of cells cover.
    pub(super) fn window_rows(&self, cells: &Range<u32>) -> Range<u32> {
        self.top + cells.start * self.scale..self.top + cells.end * self.scale
    }

    /// Returns the width of the picture in window pixels.
    pub(super) fn width(&self) -> u32 {
        self.columns * self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CANVAS: Size = Size { width: 3, height: 2 };

    fn layout(width: u32, height: u32, canvas: Size) -> Layout {
        Layout::new(Size { width, height }, canvas)
    }

    /// The window as text: the letter of the pixel that is shown, a dot for the border.
    fn picture(width: u32, height: u32, canvas: Size) -> Vec<String> {
        let layout = layout(width, height, canvas);
        let letter = |x: u32, y: u32| {
            let at = layout.pixel(f64::from(x), f64::from(y));
            let is_inside =
                (0..canvas.width as i32).contains(&at.x) && (0..canvas.height as i32).contains(&at.y);
            if is_inside { (b'a' + (at.y as u32 * canvas.width + at.x as u32) as u8) as char } else { '.' }
        };
        (0..height).map(|y| (0..width).map(|x| letter(x, y)).collect()).collect()
    }

    #[test]
    fn as_large_as_the_display() {
        assert_eq!(picture(3, 2, CANVAS), ["abc", "def"]);
    }

    #[test]
    #[rustfmt::skip]
    fn larger_it_grows_by_whole_numbers_and_stays_in_the_middle() {
        assert_eq!(picture(6, 4, CANVAS), [
            "aabbcc",
            "aabbcc",
            "ddeeff",
            "ddeeff",
        ]);
        assert_eq!(picture(8, 5, CANVAS), [
            ".aabbcc.",
            ".aabbcc.",
            ".ddeeff.",
            ".ddeeff.",
            "........",
        ]);
        assert_eq!(picture(5, 7, CANVAS), [
            ".....",
            ".....",
            ".abc.",
            ".def.",
            ".....",
            ".....",
            ".....",
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn the_odd_pixel_of_the_border_is_on_the_right_and_at_the_bottom() {
        assert_eq!(picture(4, 3, CANVAS), [
            "abc.",
            "def.",
            "....",
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn smaller_it_shrinks_in_its_proportions_and_the_pixel_is_the_one_in_the_middle() {
        let canvas = Size { width: 5, height: 4 };
        assert_eq!(picture(5, 4, canvas), [
            "abcde",
            "fghij",
            "klmno",
            "pqrst",
        ]);
        // A cell of 1.25 pixels by 1.33.
        assert_eq!(picture(4, 4, canvas), [
            "abde",
            "klno",
            "pqst",
            "....",
        ]);
        assert_eq!(picture(5, 1, canvas), ["..m.."]);
        assert_eq!(picture(9, 2, canvas), [
            "...fhj...",
            "...prt...",
        ]);
        assert_eq!(picture(1, 1, canvas), ["m"]);
    }

    #[test]
    fn beside_the_picture_the_count_goes_on() {
        let layout = layout(8, 5, CANVAS);
        for (x, y, want) in [
            (-1.0, -1.0, (-1, -1)),
            (0.9, 4.9, (-1, 2)),
            (1.0, 0.0, (0, 0)),
            (2.999, 0.0, (0, 0)),
            (3.0, 0.0, (1, 0)),
            (7.0, 0.0, (3, 0)),
            (1e300, -1e300, (i32::MAX, i32::MIN)),
            (f64::NAN, 2.0, (-1, 1)),
        ] {
            assert_eq!(layout.pixel(x, y), Position { x: want.0, y: want.1 }, "({x}, {y})");
        }
        // Of six columns shown by three cells, what is beside the third cell is outside.
        let small = self::layout(5, 2, Size { width: 6, height: 4 });
        assert_eq!((small.columns, small.left), (3, 1));
        let columns: Vec<_> = (0..5).map(|x| small.pixel(f64::from(x), 0.0).x).collect();
        assert_eq!(columns, [-1, 1, 3, 5, 7]);
        assert_eq!(small.pixel(1e300, -1e300), Position { x: i32::MAX, y: i32::MIN });
    }

    #[test]
    fn the_sizes_of_the_window_test() {
        let canvas = Size { width: 640, height: 480 };
        for (width, height, scale, left, top, columns, rows) in [
            (640, 480, 1, 0, 0, 640, 480),
            (1280, 960, 2, 0, 0, 640, 480),
            (900, 700, 1, 130, 110, 640, 480),
            (901, 701, 1, 130, 110, 640, 480),
            (641, 481, 1, 0, 0, 640, 480),
            (600, 450, 1, 0, 0, 600, 450),
            (639, 480, 1, 0, 0, 639, 479),
            (500, 300, 1, 50, 0, 400, 300),
            (501, 301, 1, 50, 0, 401, 301),
            (1279, 1001, 1, 319, 260, 640, 480),
            (1280, 961, 2, 0, 0, 640, 480),
        ] {
            let layout = layout(width, height, canvas);
            let found = (layout.scale, layout.left, layout.top, layout.columns, layout.rows);
            assert_eq!(found, (scale, left, top, columns, rows), "{width}x{height}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_sizes(w in 1u32..300, h in 1u32..300, cw in 1u32..200, ch in 1u32..200) {
            let canvas = Size { width: cw, height: ch };
            let layout = layout(w, h, canvas);
            prop_assert!(layout.scale == 1 || !layout.is_shrunk());
            prop_assert_eq!(layout.is_shrunk(), w < cw || h < ch);
            // It fits, and in the middle.
            let (right, bottom) = (w - layout.left - layout.width(), h - layout.top - layout.rows * layout.scale);
            prop_assert!(right.wrapping_sub(layout.left) <= 1 && bottom.wrapping_sub(layout.top) <= 1);
            // It could not be larger.
            let more = layout.scale + 1;
            prop_assert!(layout.is_shrunk() || cw * more > w || ch * more > h);
            prop_assert!(!layout.is_shrunk() || layout.columns == w || layout.rows == h);
            // The proportions are kept to half a pixel of the window.
            let skew = (layout.columns * ch).abs_diff(layout.rows * cw);
            prop_assert!(skew <= cw.max(ch) / 2 + 1 || layout.columns == 1 || layout.rows == 1);
            // Each window pixel of a cell means the pixel of the display in the middle of the cell.
            for column in 0..layout.columns {
                for x in [0, layout.scale - 1] {
                    let place = layout.left + column * layout.scale + x;
                    let at = layout.pixel(f64::from(place) + 0.5, 0.0).x as u32;
                    prop_assert!(at == (2 * column + 1) * cw / (2 * layout.columns) && at < cw);
                }
            }
            prop_assert!(layout.pixel(f64::from(layout.left) - 0.5, 0.0).x < 0);
            prop_assert!(layout.pixel(f64::from(layout.left + layout.width()), 0.0).x >= cw as i32);
            for row in 0..ch {
                // Of each row of the display, the cells that it has a part of.
                let cells = layout.cell_rows(&(row..row + 1));
                for cell in 0..layout.rows {
                    let is_part = cell * ch < (row + 1) * layout.rows && row * layout.rows < (cell + 1) * ch;
                    prop_assert_eq!(cells.contains(&cell), is_part, "row {} and cell {}", row, cell);
                }
            }
            prop_assert_eq!(layout.cell_rows(&(0..ch)), 0..layout.rows);
            prop_assert!(layout.cell_rows(&(ch..ch)).is_empty());
        }
    }
}
