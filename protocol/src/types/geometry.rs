//! Sizes and rectangles.

use std::fmt;
use std::ops::Range;

/// Width and height in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// A place on a display, in its pixels; `(0, 0)` is the top left corner. It may lie outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    /// Column.
    pub x: i32,
    /// Row.
    pub y: i32,
}

/// A rectangle that lies inside a display. It may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// The leftmost column.
    pub x: u32,
    /// The topmost row.
    pub y: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Area {
    /// Returns whether it has no pixel.
    pub fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// Returns its rows.
    pub fn rows(&self) -> Range<u32> {
        self.y..self.y + self.height
    }
}

impl fmt::Display for Area {
    /// Prints `40x30 at (600, 450)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} at ({}, {})", self.width, self.height, self.x, self.y)
    }
}

impl Size {
    /// Returns the part of a rectangle that lies inside. Computed in 64 bits, in which no rectangle of 32-bit numbers overflows.
    pub fn clip(self, x: i32, y: i32, width: u32, height: u32) -> Area {
        let cut = |from: i32, length: u32, side: u32| {
            let start = i64::from(from).clamp(0, i64::from(side));
            let end = (i64::from(from) + i64::from(length)).clamp(start, i64::from(side));
            (start as u32, (end - start) as u32)
        };
        let ((x, width), (y, height)) = (cut(x, width, self.width), cut(y, height, self.height));
        Area { x, y, width, height }
    }

    /// Returns whether all of a rectangle lies inside. One without pixels does, wherever it is.
    pub fn contains(self, x: i32, y: i32, width: u32, height: u32) -> bool {
        let inside = self.clip(x, y, width, height);
        width == 0 || height == 0 || (inside.width, inside.height) == (width, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rectangles_are_clipped_whatever_their_numbers() {
        let size = Size { width: 4, height: 3 };
        for (x, y, width, height, inside) in [
            (0, 0, 4, 3, "4x3 at (0, 0)"),
            (-1, -1, 2, 2, "1x1 at (0, 0)"),
            (3, 2, u32::MAX, u32::MAX, "1x1 at (3, 2)"),
            (i32::MIN, i32::MIN, u32::MAX, u32::MAX, "4x3 at (0, 0)"),
            (i32::MAX, 0, u32::MAX, 1, "0x1 at (4, 0)"),
            (1, 1, 0, 0, "0x0 at (1, 1)"),
        ] {
            assert_eq!(size.clip(x, y, width, height).to_string(), inside, "{width}x{height} at ({x}, {y})");
        }
    }

    #[test]
    fn a_rectangle_lies_inside_if_all_of_it_does_or_if_it_has_no_pixels() {
        let size = Size { width: 4, height: 3 };
        for (x, y, width, height) in [(0, 0, 4, 3), (1, 1, 3, 2), (9, -9, 0, 3), (9, -9, 3, 0)] {
            assert!(size.contains(x, y, width, height), "{width}x{height} at ({x}, {y})");
        }
        for (x, y, width, height) in [(3, 0, 2, 1), (4, 0, 1, 1), (-1, 0, 2, 1), (0, 0, u32::MAX, u32::MAX)] {
            assert!(!size.contains(x, y, width, height), "{width}x{height} at ({x}, {y})");
        }
    }
}
