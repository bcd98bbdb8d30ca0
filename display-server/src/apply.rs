//! Executes a request on a display: a plain function over plain types.

use crate::damage::Damage;
use crate::display::Pointer;
use crate::framebuffer::{Area, Framebuffer};
use draw_protocol::{Answer, Code, Color, Fault, Pixels, Range, Request, Size};
use std::fmt::Write;

/// Pixels that the text of a fault names. The rest is counted.
const NAMED: usize = 10;

/// Executes `request`, and marks in `damage` what it drew.
///
/// # Errors
/// [`Code::OutOfBounds`] if any of it lies outside; what lies inside is drawn. A question about something that is
/// not all inside has no answer. [`Code::NoMemory`] if an image that was asked for finds no memory. Whatever
/// [`Request::check`] finds: then nothing is drawn.
pub fn apply(
    request: &Request<'_>,
    framebuffer: &Framebuffer,
    pointer: &Pointer,
    damage: &mut Damage,
) -> Result<Answer, Fault> {
    request.check()?;
    let size = framebuffer.size();
    match *request {
        Request::DrawPixel { x, y, color } => {
            if !framebuffer.draw_pixel(x, y, color, damage) {
                return Err(outside(x, y, size));
            }
        }
        Request::DrawPixels { pixels } => draw_pixels(pixels, framebuffer, damage)?,
        Request::FillRect { x, y, width, height, color } => {
            let drawn = framebuffer.fill_rect((x, y), (width, height), color, damage);
            check_drawn("rectangle", (x, y, width, height), drawn, size)?;
        }
        Request::PutImage { x, y, width, height, rgba } => {
            let drawn = framebuffer.put_image((x, y), (width, height), rgba, damage);
            check_drawn("image", (x, y, width, height), drawn, size)?;
        }
        Request::Clear { color } => framebuffer.clear(color, damage),
        Request::GetPixel { x, y } => {
            return framebuffer.get_pixel(x, y).map(Answer::Pixel).ok_or_else(|| outside(x, y, size));
        }
        Request::GetImage { x, y, width, height } => {
            return get_image((x, y, width, height), framebuffer).map(Answer::Image);
        }
        Request::GetSize {} => return Ok(Answer::Size(size)),
        Request::GetMouse {} => return Ok(Answer::Mouse(pointer.position())),
        Request::Sync {} => {}
    }
    Ok(Answer::Done(()))
}

/// What an answer takes, at most, beside a few bytes.
pub(crate) fn answer_bytes(request: &Request<'_>) -> usize {
    match *request {
        // The bytes are a u64 at most: they passed the limit of a message.
        Request::GetImage { width, height, .. } => {
            usize::try_from(u64::from(width) * u64::from(height) * 4).unwrap_or(usize::MAX)
        }
        _ => 0,
    }
}

/// How many pixels executing a request touches, at most.
pub(crate) fn work(request: &Request<'_>, size: Size) -> u64 {
    let area =
        |width: u32, height: u32| u64::from(width.min(size.width)) * u64::from(height.min(size.height));
    match *request {
        Request::DrawPixels { pixels } => pixels.len() as u64,
        Request::FillRect { width, height, .. }
        | Request::PutImage { width, height, .. }
        | Request::GetImage { width, height, .. } => area(width, height),
        Request::Clear { .. } => area(size.width, size.height),
        Request::DrawPixel { .. }
        | Request::GetPixel { .. }
        | Request::GetSize {}
        | Request::GetMouse {}
        | Request::Sync {} => 1,
    }
}

fn outside(x: i32, y: i32, size: Size) -> Fault {
    Fault::new(Code::OutOfBounds, format!("({x}, {y}) is outside {size}"))
}

fn draw_pixels(pixels: Pixels<'_>, framebuffer: &Framebuffer, damage: &mut Damage) -> Result<(), Fault> {
    let mut rejected = Rejected::default();
    if let Some(run) = pixels.as_run() {
        framebuffer.draw_run(run, damage, |i, pixel| {
            rejected.add(i, i32::from(pixel.x), i32::from(pixel.y));
        });
    } else {
        for (i, (x, y, color)) in (0..).zip(pixels.iter()) {
            draw_one((i, x, y, color), framebuffer, damage, &mut rejected);
        }
    }
    rejected.into_result(pixels.len(), framebuffer.size())
}

fn draw_one(
    (i, x, y, color): (u32, i32, i32, Color),
    framebuffer: &Framebuffer,
    damage: &mut Damage,
    rejected: &mut Rejected,
) {
    if !framebuffer.draw_pixel(x, y, color, damage) {
        rejected.add(i, x, y);
    }
}

/// The pixels of a batch that lie outside.
#[derive(Default)]
struct Rejected {
    ranges: Vec<Range>,
    named: Vec<(i32, i32)>,
    count: usize,
}

impl Rejected {
    #[cold]
    fn add(&mut self, index: u32, x: i32, y: i32) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push((x, y));
        }
        match self.ranges.last_mut() {
            Some(range) if range.first + range.count == index => range.count += 1,
            _ => self.ranges.push(Range { first: index, count: 1 }),
        }
    }

    fn into_result(self, of: usize, size: Size) -> Result<(), Fault> {
        if self.count == 0 {
            return Ok(());
        }
        let (s, are) = (if of == 1 { "" } else { "s" }, if self.count == 1 { "is" } else { "are" });
        let mut text = format!("{} of {of} pixel{s} {are} outside {size}: ", self.count);
        for (i, (x, y)) in self.named.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            _ = write!(text, "{comma}({x}, {y})");
        }
        if self.count > self.named.len() {
            _ = write!(text, " and {} more", self.count - self.named.len());
        }
        Err(Fault::of_pixels(Code::OutOfBounds, text, self.ranges))
    }
}

/// An error if less than all was drawn.
fn check_drawn(
    what: &str,
    (x, y, width, height): (i32, i32, u32, u32),
    drawn: Area,
    size: Size,
) -> Result<(), Fault> {
    let has_pixels = width > 0 && height > 0;
    let asked = format_args!("the {what} {width}x{height} at ({x}, {y})");
    let text = match (drawn.width, drawn.height) {
        _ if !has_pixels => return Ok(()),
        inside if inside == (width, height) => return Ok(()),
        _ if drawn.is_empty() => format!("{asked} is outside {size}: nothing was drawn"),
        _ => format!("{asked} is not all inside {size}: only {drawn} was drawn"),
    };
    Err(Fault::new(Code::OutOfBounds, text))
}

fn get_image(
    (x, y, width, height): (i32, i32, u32, u32),
    framebuffer: &Framebuffer,
) -> Result<Vec<u8>, Fault> {
    if width == 0 || height == 0 {
        return Ok(Vec::new());
    }
    let (area, size) = (framebuffer.clip(x, y, width, height), framebuffer.size());
    if (area.width, area.height) != (width, height) {
        let text = format!("the rectangle {width}x{height} at ({x}, {y}) is not all inside {size}");
        return Err(Fault::new(Code::OutOfBounds, text));
    }
    let bytes = width as usize * height as usize * 4;
    let mut image = Vec::new();
    image.try_reserve_exact(bytes).map_err(|_| no_memory(bytes))?;
    framebuffer.read(area, &mut image);
    Ok(image)
}

/// An answer of `bytes` cannot be made now.
pub(crate) fn no_memory(bytes: usize) -> Fault {
    let text =
        format!("the display has no memory to spare for {bytes} bytes now: ask later, or for fewer rows");
    Fault::new(Code::NoMemory, text)
}

#[cfg(test)]
mod tests;
