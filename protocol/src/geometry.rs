//! Sizes and rectangles, and what is said of those that do not fit. Both sides compute and say the same.

use crate::fault::{Code, Fault};
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
    /// Whether it has no pixel.
    pub fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// Its rows.
    pub fn rows(&self) -> Range<u32> {
        self.y..self.y + self.height
    }
}

impl fmt::Display for Area {
    /// `40x30 at (600, 450)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{} at ({}, {})", self.width, self.height, self.x, self.y)
    }
}

impl Size {
    /// The part of a rectangle that lies inside. Computed in 64 bits, in which no rectangle of 32-bit numbers overflows.
    pub fn clip(self, x: i32, y: i32, width: u32, height: u32) -> Area {
        let cut = |from: i32, length: u32, side: u32| {
            let start = i64::from(from).clamp(0, i64::from(side));
            let end = (i64::from(from) + i64::from(length)).clamp(start, i64::from(side));
            (start as u32, (end - start) as u32)
        };
        let ((x, width), (y, height)) = (cut(x, width, self.width), cut(y, height, self.height));
        Area { x, y, width, height }
    }

    /// What a display of this size says of a pixel that lies outside.
    pub fn outside(self, x: i32, y: i32) -> Fault {
        Fault::new(Code::OutOfBounds, format!("({x}, {y}) is outside {self}"))
    }

    /// Checks that a rectangle to draw on lies inside. `what` it is, is named; a rectangle without pixels is nowhere.
    ///
    /// # Errors
    /// [`Code::OutOfBounds`], saying which part lies inside, for that part is drawn.
    pub fn check_drawn(self, what: &str, (x, y, width, height): (i32, i32, u32, u32)) -> Result<(), Fault> {
        let drawn = self.clip(x, y, width, height);
        let asked = format_args!("the {what} {width}x{height} at ({x}, {y})");
        let text = match (drawn.width, drawn.height) {
            _ if width == 0 || height == 0 => return Ok(()),
            inside if inside == (width, height) => return Ok(()),
            _ if drawn.is_empty() => format!("{asked} is outside {self}: nothing was drawn"),
            _ => format!("{asked} is not all inside {self}: only {drawn} was drawn"),
        };
        Err(Fault::new(Code::OutOfBounds, text))
    }

    /// Checks that a rectangle to read lies inside, and answers it.
    ///
    /// # Errors
    /// [`Code::OutOfBounds`]: a rectangle that is partly outside has no answer.
    pub fn check_read(self, x: i32, y: i32, width: u32, height: u32) -> Result<Area, Fault> {
        let area = self.clip(x, y, width, height);
        if (area.width, area.height) == (width, height) {
            return Ok(area);
        }
        let text = format!("the rectangle {width}x{height} at ({x}, {y}) is not all inside {self}");
        Err(Fault::new(Code::OutOfBounds, text))
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
    fn what_lies_outside_is_said() {
        let size = Size { width: 4, height: 3 };
        let drawn = |x, y, width, height| match size.check_drawn("image", (x, y, width, height)) {
            Ok(()) => "all".to_owned(),
            Err(fault) => fault.message,
        };
        assert_eq!(drawn(0, 0, 4, 3), "all");
        assert_eq!(drawn(9, 9, 0, 3), "all");
        assert_eq!(
            drawn(3, 0, 2, 1),
            "the image 2x1 at (3, 0) is not all inside 4x3: only 1x1 at (3, 0) was drawn"
        );
        assert_eq!(drawn(4, 0, 1, 1), "the image 1x1 at (4, 0) is outside 4x3: nothing was drawn");
        assert!(size.check_read(1, 1, 3, 2).is_ok());
        let fault = size.check_read(1, 1, 4, 2).unwrap_err();
        assert_eq!(fault.message, "the rectangle 4x2 at (1, 1) is not all inside 4x3");
    }
}
