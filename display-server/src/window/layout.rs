//! Where the pixels of a display are in a window, and which pixel is at a place of the window.
//!
//! Whole numbers only, so that every pixel of the display has the same size in the window, and a place in the window
//! belongs to exactly the pixel that is seen there.

use draw_protocol::{Position, Size};
use std::ops::Range;

/// How a display is laid out in a window.
///
/// In a window at least as large as the display, each pixel becomes a square of the largest whole number of window
/// pixels that fits. In a smaller one, of each square of the smallest whole number of pixels that makes the display fit
/// the top left one is shown. Either way the picture is in the middle and the rest is border; where that cannot be
/// divided by two, the border is one pixel narrower on the left and at the top.
///
/// A *cell* is a square of the window that shows one pixel: as many as the display has, or fewer in a small window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Window pixels along each side of a cell.
    pub(super) scale: u32,
    /// Display pixels from one cell to the next. It is 1 unless the window is smaller than the display.
    pub(super) divisor: u32,
    /// The window's column where the picture begins, and its row.
    pub(super) left: u32,
    pub(super) top: u32,
    pub(super) columns: u32,
    pub(super) rows: u32,
    pub(super) window: Size,
    canvas: Size,
}

/// The smallest whole number by which `canvas` has to be divided to fit `room`: 1 where it fits as it is.
pub(super) fn divisor(canvas: Size, room: Size) -> u32 {
    canvas.width.div_ceil(room.width.max(1)).max(canvas.height.div_ceil(room.height.max(1))).max(1)
}

impl Layout {
    /// Of a display of size `canvas`. Neither size may have a side of 0; one that has is taken for 1.
    pub(super) fn new(window: Size, canvas: Size) -> Layout {
        let at_least_1 = |size: Size| Size { width: size.width.max(1), height: size.height.max(1) };
        let (window, canvas) = (at_least_1(window), at_least_1(canvas));
        let divisor = divisor(canvas, window);
        let scale = (window.width / canvas.width).min(window.height / canvas.height).max(1);
        let (columns, rows) = (canvas.width.div_ceil(divisor), canvas.height.div_ceil(divisor));
        let (left, top) = ((window.width - columns * scale) / 2, (window.height - rows * scale) / 2);
        Layout { scale, divisor, left, top, columns, rows, window, canvas }
    }

    /// The pixel of the display at a place of the window, given in window pixels from the top left corner of the window.
    /// Beside the picture, and beside the window, the count goes on as if there were more cells: such a position lies
    /// outside the display.
    pub(super) fn pixel(&self, x: f64, y: f64) -> Position {
        // A cast of floating point to a whole number saturates, so no place overflows.
        let along = |place: f64, start: u32| {
            let cell = (place.floor() as i64).saturating_sub(start.into()).div_euclid(self.scale.into());
            cell.saturating_mul(self.divisor.into()).clamp(i32::MIN.into(), i32::MAX.into()) as i32
        };
        Position { x: along(x, self.left), y: along(y, self.top) }
    }

    /// The rows of cells that show any of these rows of the display.
    pub(super) fn cell_rows(&self, rows: &Range<u32>) -> Range<u32> {
        rows.start.div_ceil(self.divisor)..rows.end.min(self.canvas.height).div_ceil(self.divisor)
    }

    /// Window pixels of the picture along its width.
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
    fn smaller_it_shows_one_pixel_of_each_square() {
        let canvas = Size { width: 5, height: 4 };
        assert_eq!(picture(5, 4, canvas), [
            "abcde",
            "fghij",
            "klmno",
            "pqrst",
        ]);
        // 5 columns by 2: the last square is cut by the edge of the display.
        assert_eq!(picture(4, 4, canvas), [
            "....",
            "ace.",
            "kmo.",
            "....",
        ]);
        assert_eq!(picture(5, 1, canvas), [".ae.."]);
        assert_eq!(picture(1, 1, canvas), ["a"]);
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
        // Of three columns shown by two cells, what is beside the second cell is outside.
        let small = self::layout(4, 2, Size { width: 3, height: 4 });
        assert_eq!((small.columns, small.left), (2, 1));
        let columns: Vec<_> = (0..4).map(|x| small.pixel(f64::from(x), 0.0).x).collect();
        assert_eq!(columns, [-2, 0, 2, 4]);
    }

    #[test]
    fn the_sizes_of_the_window_test() {
        let canvas = Size { width: 640, height: 480 };
        for (width, height, scale, divisor, left, top) in [
            (640, 480, 1, 1, 0, 0),
            (1280, 960, 2, 1, 0, 0),
            (900, 700, 1, 1, 130, 110),
            (901, 701, 1, 1, 130, 110),
            (641, 481, 1, 1, 0, 0),
            (500, 300, 1, 2, 90, 30),
            (501, 301, 1, 2, 90, 30),
            (1279, 1001, 1, 1, 319, 260),
            (1280, 961, 2, 1, 0, 0),
        ] {
            let layout = layout(width, height, canvas);
            let found = (layout.scale, layout.divisor, layout.left, layout.top);
            assert_eq!(found, (scale, divisor, left, top), "{width}x{height}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_sizes(w in 1u32..300, h in 1u32..300, cw in 1u32..200, ch in 1u32..200) {
            let canvas = Size { width: cw, height: ch };
            let layout = layout(w, h, canvas);
            prop_assert!(layout.scale == 1 || layout.divisor == 1);
            // It fits, and in the middle.
            let (right, bottom) = (w - layout.left - layout.width(), h - layout.top - layout.rows * layout.scale);
            prop_assert!(right.wrapping_sub(layout.left) <= 1 && bottom.wrapping_sub(layout.top) <= 1);
            // One more would not fit, one less divided neither.
            let (more, less) = (layout.scale + 1, layout.divisor - 1);
            prop_assert!(layout.divisor > 1 || cw * more > w || ch * more > h);
            prop_assert!(less == 0 || cw.div_ceil(less) > w || ch.div_ceil(less) > h);
            // Each window pixel of a cell means the cell's pixel.
            for column in 0..layout.columns {
                for x in [0, layout.scale - 1] {
                    let place = layout.left + column * layout.scale + x;
                    let at = layout.pixel(f64::from(place) + 0.5, 0.0).x as u32;
                    prop_assert!(at == column * layout.divisor && at < cw);
                }
            }
            for row in 0..layout.rows {
                let at = layout.pixel(0.0, f64::from(layout.top + row * layout.scale)).y as u32;
                prop_assert!(at == row * layout.divisor && at < ch);
                // The rows of cells are those whose pixel is among the rows.
                prop_assert_eq!(layout.cell_rows(&(at..at + 1)), row..row + 1);
            }
            prop_assert_eq!(layout.cell_rows(&(0..ch)), 0..layout.rows);
        }
    }
}
