//! The messages of faults that name a call, made from the fields of the fault. A display sends the message. A client makes the same
//! message where it knows more than the display: for a call that travelled in parts, or for one pixel of several that were joined.

use super::{Call, Count, Request};
use crate::fault::{Code, Fault, Fields, NAMED, Range, count_pixels};
use crate::types::{Position, Size};
use std::fmt::{self, Write};

impl Fault {
    /// Returns the fault of a call that is not all inside a display of `size`. Of a batch, `rejected` are the indexes of the
    /// pixels outside, and `outside` the positions of the first [`NAMED`] of them, as far as they are known.
    pub fn out_of_bounds(call: &Call, size: Size, rejected: Vec<Range>, outside: Vec<Position>) -> Fault {
        let message = out_of_bounds(call, size, &rejected, &outside);
        let fields = Fields { rejected, outside, size: Some(size), limit: None };
        Fault::with_fields(Code::OutOfBounds, message, fields)
    }

    /// Returns the fault of a request that asks for more than `limit`.
    pub(crate) fn too_large(request: &Request<'_>, asked: u64, limit: u64) -> Fault {
        let fields = Fields { limit: Some(limit), ..Fields::default() };
        Fault::with_fields(Code::TooLarge, too_large(request, asked, limit), fields)
    }

    /// Prints the fault without repeating the call, to be shown beside it: `out of bounds: the display is 640x480`.
    pub fn beside<'a>(&'a self, call: &'a Call) -> impl fmt::Display + use<'a> {
        Beside(self, call)
    }

    /// Renders the message anew for the whole of `call`, of which this is the fault of a part.
    pub(crate) fn restate(&mut self, call: &Call) {
        if let Some(size) = self.size() {
            self.message = out_of_bounds(call, size, self.rejected(), self.outside());
        }
    }
}

/// Describes what of `call` is outside of a display of `size`. Of a batch it names pixels by their position where that is known
/// (`outside`), else by their index in the call.
fn out_of_bounds(call: &Call, size: Size, rejected: &[Range], outside: &[Position]) -> String {
    match *call {
        Call::DrawPixel { x, y, .. } | Call::AddPixel { x, y, .. } | Call::GetPixel { x, y } => {
            format!("({x}, {y}) is outside {size}")
        }
        Call::DrawPixels { pixels: Count(of) } | Call::AddPixels { pixels: Count(of) } => {
            batch(of, size, rejected, outside)
        }
        Call::FillRect { x, y, width, height, .. } => drawn("rectangle", size, (x, y, width, height)),
        Call::PutImage { x, y, width, height, .. } => drawn("image", size, (x, y, width, height)),
        Call::GetImage { x, y, width, height } | Call::GetDigest { x, y, width, height } => {
            format!("the rectangle {width}x{height} at ({x}, {y}) is not all inside {size}")
        }
        Call::Clear { .. } | Call::GetSize {} | Call::GetMouse {} | Call::Sync {} | Call::SyncDurable {} => {
            format!("it is outside {size}")
        }
    }
}

fn batch(of: u32, size: Size, rejected: &[Range], outside: &[Position]) -> String {
    let count = count_pixels(rejected);
    let (s, are) = (if of == 1 { "" } else { "s" }, if count == 1 { "is" } else { "are" });
    let mut text = format!("{count} of {of} pixel{s} {are} outside {size}: ");
    if outside.is_empty() {
        _ = write!(text, "by index {}", Indexes(rejected));
        return text;
    }
    let named = outside.iter().take(NAMED);
    let unnamed = count.saturating_sub(named.len() as u64);
    for (i, Position { x, y }) in named.enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        _ = write!(text, "{comma}({x}, {y})");
    }
    if unnamed > 0 {
        _ = write!(text, " and {unnamed} more");
    }
    text
}

/// Describes a rectangle to draw on that is not all inside.
fn drawn(what: &str, size: Size, (x, y, width, height): (i32, i32, u32, u32)) -> String {
    let drawn = size.clip(x, y, width, height);
    let asked = format_args!("the {what} {width}x{height} at ({x}, {y})");
    match drawn.is_empty() {
        true => format!("{asked} is outside {size}: nothing was drawn"),
        false => format!("{asked} is not all inside {size}: only {drawn} was drawn"),
    }
}

/// Describes what of a request is more than its limit.
fn too_large(request: &Request<'_>, asked: u64, limit: u64) -> String {
    match *request {
        Request::GetDigest { width, height, .. } => format!(
            "a rectangle of {width}x{height} has {asked} pixels; the limit of a digest is {limit}: ask for bands of rows"
        ),
        Request::PutImage { width, .. } | Request::GetImage { width, .. } => {
            format!("a row of {width} pixels has {asked} bytes; the limit of a message is {limit}")
        }
        _ => format!("{asked} pixels in one call; the limit is {limit}"),
    }
}

/// Prints the first indexes of ranges, and counts the others.
struct Indexes<'a>(&'a [Range]);

impl fmt::Display for Indexes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let indexes = self.0.iter().flat_map(Range::indexes);
        for (i, index) in indexes.take(NAMED).enumerate() {
            write!(f, "{}{index}", if i == 0 { "" } else { ", " })?;
        }
        match count_pixels(self.0).saturating_sub(NAMED as u64) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// Prints a fault beside its call: see [`Fault::beside`].
struct Beside<'a>(&'a Fault, &'a Call);

impl fmt::Display for Beside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Beside(fault, call) = self;
        f.write_str(&fault.code.as_str().replace('_', " "))?;
        match (call, fault.size(), fault.rejected()) {
            (Call::DrawPixel { .. } | Call::AddPixel { .. } | Call::GetPixel { .. }, Some(size), _) => {
                write!(f, ": the display is {size}")
            }
            // Parts of it were refused for another reason than their places, which the message names.
            (
                Call::DrawPixels { pixels: Count(of) } | Call::AddPixels { pixels: Count(of) },
                None,
                [_, ..],
            ) => {
                let rejected = fault.rejected_pixels();
                let (s, were) = (if *of == 1 { "" } else { "s" }, if rejected == 1 { "was" } else { "were" });
                let indexes = Indexes(fault.rejected());
                write!(
                    f,
                    ": {rejected} of {of} pixel{s} {were} not drawn, by index {indexes}: {}",
                    fault.message
                )
            }
            _ => write!(f, ": {}", fault.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Color;

    const SIZE: Size = Size { width: 640, height: 480 };

    fn says(call: Call, rejected: &[(u32, u32)], outside: &[(i32, i32)]) -> String {
        let rejected: Vec<_> = rejected.iter().copied().map(Range::from).collect();
        let outside: Vec<_> = outside.iter().map(|&(x, y)| Position { x, y }).collect();
        out_of_bounds(&call, SIZE, &rejected, &outside)
    }

    #[test]
    fn what_is_outside_is_named() {
        let color = Color::RED;
        assert_eq!(says(Call::DrawPixel { x: 700, y: -1, color }, &[], &[]), "(700, -1) is outside 640x480");
        assert_eq!(
            says(Call::AddPixel { x: 700, y: 10, amount: 1 }, &[], &[]),
            "(700, 10) is outside 640x480"
        );
        assert_eq!(says(Call::GetPixel { x: 0, y: 480 }, &[], &[]), "(0, 480) is outside 640x480");
        let fill = |x, y, width, height| says(Call::FillRect { x, y, width, height, color }, &[], &[]);
        assert_eq!(
            fill(630, 470, 20, 20),
            "the rectangle 20x20 at (630, 470) is not all inside 640x480: only 10x10 at (630, 470) was drawn"
        );
        assert_eq!(fill(640, 0, 1, 1), "the rectangle 1x1 at (640, 0) is outside 640x480: nothing was drawn");
        let image = Call::PutImage { x: 639, y: 0, width: 2, height: 1, rgba: Count(8) };
        assert_eq!(
            says(image, &[], &[]),
            "the image 2x1 at (639, 0) is not all inside 640x480: only 1x1 at (639, 0) was drawn"
        );
        let asked = Call::GetImage { x: 1, y: 1, width: 640, height: 2 };
        assert_eq!(says(asked, &[], &[]), "the rectangle 640x2 at (1, 1) is not all inside 640x480");
    }

    #[test]
    fn pixels_of_a_batch_are_named_by_place_or_else_by_index_and_the_rest_is_counted() {
        let call = |of| Call::DrawPixels { pixels: Count(of) };
        assert_eq!(says(call(1), &[(0, 1)], &[(640, 3)]), "1 of 1 pixel is outside 640x480: (640, 3)");
        assert_eq!(
            says(call(6), &[(1, 2), (4, 1)], &[(640, 0), (0, 480), (65_535, 65_535)]),
            "3 of 6 pixels are outside 640x480: (640, 0), (0, 480), (65535, 65535)"
        );
        assert_eq!(
            says(call(90_000), &[(3, 1), (70_000, 2)], &[]),
            "3 of 90000 pixels are outside 640x480: by index 3, 70000, 70001"
        );
        let places: Vec<_> = (0..NAMED as i32).map(|y| (700, y)).collect();
        assert!(says(call(100), &[(0, 12)], &places).ends_with(", (700, 9) and 2 more"));
        assert!(
            says(call(100), &[(0, 12)], &[]).ends_with(": by index 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more")
        );
    }

    #[test]
    fn limits_are_named() {
        let pixels = [crate::Pixel::default(); 3];
        let batch = Request::DrawPixels { pixels: (&pixels[..]).into() };
        assert_eq!(too_large(&batch, 3, 2), "3 pixels in one call; the limit is 2");
        let digest = Request::GetDigest { x: 0, y: 0, width: 3, height: 2 };
        assert_eq!(
            too_large(&digest, 6, 5),
            "a rectangle of 3x2 has 6 pixels; the limit of a digest is 5: ask for bands of rows"
        );
        let image = Request::GetImage { x: 0, y: 0, width: 3, height: 2 };
        assert_eq!(too_large(&image, 12, 5), "a row of 3 pixels has 12 bytes; the limit of a message is 5");
    }
}
