//! Executes a request on a display: plain functions over plain types.

mod digest;

use crate::canvas::damage::Damage;
use crate::canvas::display::Pointer;
use crate::canvas::framebuffer::Framebuffer;
use draw_protocol::{Answer, Area, Code, Color, Cost, Fault, NAMED, Pixels, Position, Range, Request, Size};

pub(crate) use digest::Hashing;

/// Executes `request`, and marks in `damage` what it drew.
///
/// # Errors
/// [`Code::OutOfBounds`] if any of it lies outside; what lies inside is drawn. A read that is not all inside has no
/// answer. [`Code::NoMemory`] if there is no memory for an image that is read. The errors of [`Request::check`], in
/// which case nothing is drawn.
pub fn apply(
    request: &Request<'_>,
    framebuffer: &Framebuffer,
    pointer: &Pointer,
    damage: &mut Damage,
) -> Result<Answer, Fault> {
    request.check()?;
    execute(request, framebuffer, pointer, damage)
}

/// Draws a recorded call. Checks it by [`Request::check_shape`] only, since the limits of the wire may have been
/// different when it was recorded.
///
/// # Errors
/// Those of [`apply()`], except for limits.
pub(crate) fn replay(
    request: &Request<'_>,
    framebuffer: &Framebuffer,
    damage: &mut Damage,
) -> Result<Answer, Fault> {
    request.check_shape()?;
    // Only reads use the pointer.
    execute(request, framebuffer, &Pointer::default(), damage)
}

/// Executes a request that has been checked.
#[inline]
fn execute(
    request: &Request<'_>,
    framebuffer: &Framebuffer,
    pointer: &Pointer,
    damage: &mut Damage,
) -> Result<Answer, Fault> {
    let size = framebuffer.size();
    let is_inside = match *request {
        Request::DrawPixel { x, y, color } => framebuffer.draw_pixel(x, y, color, damage),
        Request::DrawPixels { pixels } => {
            let rejected = draw_pixels(pixels, framebuffer, damage);
            return rejected.into_result(request, size);
        }
        Request::FillRect { x, y, width, height, color } => {
            framebuffer.fill_rect((x, y), (width, height), color, damage);
            size.contains(x, y, width, height)
        }
        Request::PutImage { x, y, width, height, rgba } => {
            framebuffer.put_image((x, y), (width, height), rgba, damage);
            size.contains(x, y, width, height)
        }
        Request::Clear { color } => {
            framebuffer.clear(color, damage);
            true
        }
        Request::AddPixel { x, y, amount } => framebuffer.add_pixel(x, y, amount, damage),
        Request::AddPixels { pixels } => {
            let rejected = add_pixels(pixels, framebuffer, damage);
            return rejected.into_result(request, size);
        }
        Request::GetPixel { x, y } => {
            return framebuffer.get_pixel(x, y).map(Answer::Pixel).ok_or_else(|| outside(request, size));
        }
        Request::GetImage { x, y, width, height } => {
            let area = readable(request, (x, y, width, height), size)?;
            let mut image = Vec::new();
            read(area, framebuffer, &mut image)?;
            return Ok(Answer::Image(image));
        }
        Request::GetDigest { x, y, width, height } => {
            let area = readable(request, (x, y, width, height), size)?;
            return Ok(Answer::Digest(digest::of(area, framebuffer)));
        }
        Request::GetSize {} => return Ok(Answer::Size(size)),
        Request::GetMouse {} => return Ok(Answer::Mouse(pointer.position())),
        Request::Sync {} | Request::SyncDurable {} => true,
    };
    if is_inside { Ok(Answer::Done(())) } else { Err(outside(request, size)) }
}

/// Returns the fault of a request that is not all inside.
#[cold]
fn outside(request: &Request<'_>, size: Size) -> Fault {
    Fault::out_of_bounds(&request.call(), size, Vec::new(), Vec::new())
}

/// Returns the area to read, or the fault if it is not all inside. A rectangle without pixels is an empty area,
/// wherever it is.
pub(crate) fn readable(
    request: &Request<'_>,
    (x, y, width, height): (i32, i32, u32, u32),
    size: Size,
) -> Result<Area, Fault> {
    if size.contains(x, y, width, height) {
        Ok(size.clip(x, y, width, height))
    } else {
        Err(outside(request, size))
    }
}

/// Returns the area that `request` reads, if it is a `get_image` of at least one pixel that succeeds.
pub(crate) fn asked_area(request: &Request<'_>, size: Size) -> Option<Area> {
    match *request {
        Request::GetImage { x, y, width, height } => {
            readable(request, (x, y, width, height), size).ok().filter(|area| !area.is_empty())
        }
        _ => None,
    }
}

/// Returns the bytes that the answer to `request` takes at most, apart from a small envelope.
pub(crate) fn answer_bytes(request: &Request<'_>) -> usize {
    match *request {
        // The product fits into a `u64`: the sides passed the limit of a message.
        Request::GetImage { width, height, .. } => {
            usize::try_from(u64::from(width) * u64::from(height) * 4).unwrap_or(usize::MAX)
        }
        _ => 0,
    }
}

/// Returns the cost of executing a request, in pixels filled, beyond the constant cost of any request. It is an upper
/// bound.
pub(crate) fn work(request: &Request<'_>, size: Size) -> u64 {
    let area =
        |width: u32, height: u32| u64::from(width.min(size.width)) * u64::from(height.min(size.height));
    match request.method().cost() {
        Cost::Call => 0,
        Cost::Batch => request.pixels().map_or(0, |pixels| pixels.len() as u64),
        // Includes images that are read, so that a client that reads large images shares the processor too.
        Cost::Area => request.extent().map_or(0, |(width, height)| area(width, height)),
        Cost::Display => area(size.width, size.height),
    }
}

fn draw_pixels(pixels: Pixels<'_>, framebuffer: &Framebuffer, damage: &mut Damage) -> Rejected {
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
    rejected
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

fn add_pixels(pixels: Pixels<'_>, framebuffer: &Framebuffer, damage: &mut Damage) -> Rejected {
    let mut rejected = Rejected::default();
    for (i, (x, y, amount)) in (0..).zip(pixels.iter()) {
        if !framebuffer.add_pixel(x, y, amount.to_u32(), damage) {
            rejected.add(i, x, y);
        }
    }
    rejected
}

/// The pixels of a batch that lie outside: the indexes of all, and the positions of the first.
#[derive(Default)]
struct Rejected {
    ranges: Vec<Range>,
    outside: Vec<Position>,
}

impl Rejected {
    #[cold]
    fn add(&mut self, index: u32, x: i32, y: i32) {
        if self.outside.len() < NAMED {
            self.outside.push(Position { x, y });
        }
        match self.ranges.last_mut() {
            Some(range) if range.first + range.count == index => range.count += 1,
            _ => self.ranges.push(Range { first: index, count: 1 }),
        }
    }

    fn into_result(self, request: &Request<'_>, size: Size) -> Result<Answer, Fault> {
        match self.ranges.is_empty() {
            true => Ok(Answer::Done(())),
            false => Err(Fault::out_of_bounds(&request.call(), size, self.ranges, self.outside)),
        }
    }
}

/// Appends the pixels of an area to `out`.
pub(crate) fn read(area: Area, framebuffer: &Framebuffer, out: &mut Vec<u8>) -> Result<(), Fault> {
    let bytes = area.width as usize * area.height as usize * 4;
    out.try_reserve(bytes).map_err(|_| no_memory(bytes))?;
    framebuffer.read(area, out);
    Ok(())
}

/// Returns the fault of an answer of `bytes` for which there is no memory.
pub(crate) fn no_memory(bytes: usize) -> Fault {
    let text =
        format!("the display has no memory to spare for {bytes} bytes now: ask later, or for fewer rows");
    Fault::new(Code::NoMemory, text)
}

#[cfg(test)]
mod tests;
