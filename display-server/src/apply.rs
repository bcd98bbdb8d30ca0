//! Executes a request on a display: a plain function over plain types.

mod digest;

use crate::damage::Damage;
use crate::display::Pointer;
use crate::framebuffer::Framebuffer;
use draw_protocol::{Answer, Area, Code, Color, Cost, Fault, Pixels, Range, Request, Size};
use std::fmt::Write;

pub(crate) use digest::Hashing;

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
    execute(request, framebuffer, pointer, damage)
}

/// Draws a call that was recorded, when the limits of the wire may have been others: applies [`Request::check_shape`] only.
///
/// # Errors
/// Those of [`apply()`], but for limits.
pub(crate) fn replay(
    request: &Request<'_>,
    framebuffer: &Framebuffer,
    damage: &mut Damage,
) -> Result<Answer, Fault> {
    request.check_shape()?;
    // Only questions look at the pointer.
    execute(request, framebuffer, &Pointer::default(), damage)
}

/// Executes a request that was checked.
#[inline]
fn execute(
    request: &Request<'_>,
    framebuffer: &Framebuffer,
    pointer: &Pointer,
    damage: &mut Damage,
) -> Result<Answer, Fault> {
    let size = framebuffer.size();
    match *request {
        Request::DrawPixel { x, y, color } => {
            if !framebuffer.draw_pixel(x, y, color, damage) {
                return Err(size.outside(x, y));
            }
        }
        Request::DrawPixels { pixels } => draw_pixels(pixels, framebuffer, damage)?,
        Request::FillRect { x, y, width, height, color } => {
            framebuffer.fill_rect((x, y), (width, height), color, damage);
            size.check_drawn("rectangle", (x, y, width, height))?;
        }
        Request::PutImage { x, y, width, height, rgba } => {
            framebuffer.put_image((x, y), (width, height), rgba, damage);
            size.check_drawn("image", (x, y, width, height))?;
        }
        Request::Clear { color } => framebuffer.clear(color, damage),
        Request::AddPixel { x, y, amount } => {
            if !framebuffer.add_pixel(x, y, amount, damage) {
                return Err(size.outside(x, y));
            }
        }
        Request::AddPixels { pixels } => add_pixels(pixels, framebuffer, damage)?,
        Request::GetPixel { x, y } => {
            return framebuffer.get_pixel(x, y).map(Answer::Pixel).ok_or_else(|| size.outside(x, y));
        }
        Request::GetImage { x, y, width, height } => {
            return get_image((x, y, width, height), framebuffer).map(Answer::Image);
        }
        Request::GetDigest { x, y, width, height } => {
            return digest::of((x, y, width, height), framebuffer).map(Answer::Digest);
        }
        Request::GetSize {} => return Ok(Answer::Size(size)),
        Request::GetMouse {} => return Ok(Answer::Mouse(pointer.position())),
        Request::Sync {} | Request::SyncDurable {} => {}
    }
    Ok(Answer::Done(()))
}

/// The part of the display that `request` asks to see, if it does and has an answer.
pub(crate) fn asked_area(request: &Request<'_>, size: Size) -> Option<Area> {
    match *request {
        Request::GetImage { x, y, width, height } => size.check_read(x, y, width, height).ok(),
        _ => None,
    }
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

/// Returns how many pixels a request touches when it is executed, at most, counted in what it takes to fill one; beside what any request costs.
pub(crate) fn work(request: &Request<'_>, size: Size) -> u64 {
    let area =
        |width: u32, height: u32| u64::from(width.min(size.width)) * u64::from(height.min(size.height));
    match request.method().cost() {
        Cost::Call => 0,
        Cost::Batch => request.pixels().map_or(0, |pixels| pixels.len() as u64),
        // An image that is asked for too, and before it is answered: one who asks for much is answered in turn.
        Cost::Area => request.extent().map_or(0, |(width, height)| area(width, height)),
        Cost::Display => area(size.width, size.height),
    }
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

fn add_pixels(pixels: Pixels<'_>, framebuffer: &Framebuffer, damage: &mut Damage) -> Result<(), Fault> {
    let mut rejected = Rejected::default();
    for (i, (x, y, amount)) in (0..).zip(pixels.iter()) {
        if !framebuffer.add_pixel(x, y, amount.to_u32(), damage) {
            rejected.add(i, x, y);
        }
    }
    rejected.into_result(pixels.len(), framebuffer.size())
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

fn get_image(
    (x, y, width, height): (i32, i32, u32, u32),
    framebuffer: &Framebuffer,
) -> Result<Vec<u8>, Fault> {
    if width == 0 || height == 0 {
        return Ok(Vec::new());
    }
    let area = framebuffer.size().check_read(x, y, width, height)?;
    let mut image = Vec::new();
    read(area, framebuffer, &mut image)?;
    Ok(image)
}

/// Appends what an area shows.
pub(crate) fn read(area: Area, framebuffer: &Framebuffer, out: &mut Vec<u8>) -> Result<(), Fault> {
    let bytes = area.width as usize * area.height as usize * 4;
    out.try_reserve(bytes).map_err(|_| no_memory(bytes))?;
    framebuffer.read(area, out);
    Ok(())
}

/// An answer of `bytes` cannot be made now.
pub(crate) fn no_memory(bytes: usize) -> Fault {
    let text =
        format!("the display has no memory to spare for {bytes} bytes now: ask later, or for fewer rows");
    Fault::new(Code::NoMemory, text)
}

#[cfg(test)]
mod tests;
