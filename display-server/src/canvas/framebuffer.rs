//! The pixels of a display, drawn on by many connections at once without a lock.

mod handoff;
mod subscription;
#[cfg(test)]
mod tests;

use crate::canvas::damage::{Damage, WORDS};
use crate::error::Error;
use draw_protocol::limits::SIDE_HARDEST;
use draw_protocol::{Area, Color, Pixel, Size};
use handoff::Handoff;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
pub use subscription::Subscription;

/// Bytes of a pixel: R, G, B, A.
const BYTES: usize = 4;

/// Records that are looked at together. Neighbours mostly lie in one row, which then is found and marked once: a pixel
/// takes two thirds of the time. (To look at each pixel whether its row is the last one's costs random pixels 30 %: the
/// processor cannot foresee it. Of a block it can, and random ones lose nothing.)
const BLOCK: usize = 8;

/// Blocks whose rows are marked together, from the first to the last, unless a block lies in one row. A mark for each pixel is a
/// second store beside the pixel's own, behind which it has to wait: random pixels took 2.9 ns on an Intel processor and now take 2.3, as without
/// any mark. What is marked too much is copied once more by a presenter, sixty times a second at most.
const BLOCKS: u32 = 16;

/// A rectangle of pixels, row by row from the top, each four bytes in memory: R, G, B, A.
///
/// Every pixel is an atomic of its own and all access is relaxed: two connections that draw the same pixel at the same
/// time leave the colour of one of them, never a mixture. What orders pixels for those who read them is the damage:
/// see [`Framebuffer::publish`].
pub struct Framebuffer {
    /// `width * height` pixels, each `u32::from_ne_bytes([r, g, b, a])`.
    pixels: Box<[AtomicU32]>,
    size: Size,
    /// Shared with its subscriptions.
    damage: Arc<Handoff<WORDS>>,
}

fn value(color: Color) -> u32 {
    u32::from_ne_bytes(color.to_bytes())
}

impl Framebuffer {
    /// All pixels in one colour.
    ///
    /// # Errors
    /// [`Error::Size`] if a side is not from 1 to 65,535, [`Error::Memory`] if there is no memory for it.
    pub fn new(size: Size, background: Color) -> Result<Framebuffer, Error> {
        let side = 1..=SIDE_HARDEST;
        if !side.contains(&size.width) || !side.contains(&size.height) {
            return Err(Error::Size(size));
        }
        let area = u64::from(size.width) * u64::from(size.height);
        let mut pixels = Vec::new();
        // An allocation that fails is an error here; `vec![]` would end the process.
        usize::try_from(area)
            .ok()
            .and_then(|area| pixels.try_reserve_exact(area).ok())
            .ok_or(Error::Memory { size, bytes: area * BYTES as u64 })?;
        pixels.extend((0..area).map(|_| AtomicU32::new(value(background))));
        Ok(Framebuffer { pixels: pixels.into_boxed_slice(), size, damage: Arc::new(Handoff::new()) })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Damage that says nothing has changed, for drawing to mark.
    pub fn no_damage(&self) -> Damage {
        Damage::none(self.size.height)
    }

    /// The colour at `(x, y)`; `None` outside.
    pub fn get_pixel(&self, x: i32, y: i32) -> Option<Color> {
        let [r, g, b, a] = self.at(x, y)?.load(Relaxed).to_ne_bytes();
        Some(Color::rgba(r, g, b, a))
    }

    /// Appends the pixels of `area` as bytes R, G, B, A, rows from the top. `area` is clipped.
    pub fn read(&self, area: Area, out: &mut Vec<u8>) {
        let area = self.inside(area);
        out.reserve(area.width as usize * area.height as usize * BYTES);
        // By way of the nearest cache: room in `out` would have to be filled with something first, which took longer.
        let mut piece = [0; 1024];
        for y in area.rows() {
            for pixels in self.row(y, area.x, area.width).chunks(piece.len() / BYTES) {
                copy(pixels, &mut piece);
                out.extend_from_slice(&piece[..pixels.len() * BYTES]);
            }
        }
    }

    /// Copies whole rows, from the top, as bytes R, G, B, A; stops where `rows` or `out` ends.
    pub fn copy_rows(&self, rows: Range<u32>, out: &mut [u8]) {
        let stride = self.size.width as usize * BYTES;
        for (y, bytes) in (rows.start..rows.end.min(self.size.height)).zip(out.chunks_exact_mut(stride)) {
            copy(self.row(y, 0, self.size.width), bytes);
        }
    }

    /// Stores one pixel. Answers whether it lies inside.
    pub fn draw_pixel(&self, x: i32, y: i32, color: Color, damage: &mut Damage) -> bool {
        let Some(pixel) = self.at(x, y) else { return false };
        pixel.store(value(color), Relaxed);
        damage.mark(y as u32);
        true
    }

    /// Adds `amount` to one pixel, taken as the number 0xRRGGBBAA, and wraps. Answers whether it lies inside.
    ///
    /// It is one step: whatever other connections do to the pixel comes before it or after it, so what many of them add
    /// at once is all there.
    pub fn add_pixel(&self, x: i32, y: i32, amount: u32, damage: &mut Damage) -> bool {
        let Some(pixel) = self.at(x, y) else { return false };
        // In memory the bytes are R, G, B, A: the number in network byte order, whatever the machine's is.
        let sum = |stored: u32| u32::from_be(stored).wrapping_add(amount).to_be();
        _ = pixel.fetch_update(Relaxed, Relaxed, |stored| Some(sum(stored)));
        damage.mark(y as u32);
        true
    }

    /// Stores a run of records of [`Pixel::SIZE`] bytes, as they cross the wire; calls `outside` with the index of each
    /// that does not lie inside.
    pub fn draw_run(&self, run: &[u8], damage: &mut Damage, mut outside: impl FnMut(u32, Pixel)) {
        let (records, _) = run.as_chunks::<{ Pixel::SIZE }>();
        // Not read anew for each pixel, as if storing the last one could have moved them.
        let (pixels, width, height) = (&self.pixels[..], self.size.width as usize, self.size.height);
        let mut store = |common_row: Option<&[AtomicU32]>, first: u32, records: &[[u8; Pixel::SIZE]]| {
            if let Some(row) = common_row {
                for (i, &record) in (first..).zip(records) {
                    let pixel = Pixel::from_bytes(record);
                    match row.get(usize::from(pixel.x)) {
                        Some(place) => place.store(value(pixel.color), Relaxed),
                        None => outside(i, pixel),
                    }
                }
                return;
            }
            for (i, &record) in (first..).zip(records) {
                let pixel = Pixel::from_bytes(record);
                let (x, y) = (usize::from(pixel.x), usize::from(pixel.y));
                // A row that is too low begins behind the last pixel.
                if x < width
                    && let Some(place) = pixels.get(y * width + x)
                {
                    place.store(value(pixel.color), Relaxed);
                } else {
                    outside(i, pixel);
                }
            }
        };
        let (blocks, rest) = records.as_chunks::<BLOCK>();
        let mut several = Rows::default();
        for (i, block) in (0..).zip(blocks) {
            let common_row = common_row(block)
                .and_then(|y| Some((y, pixels.get(y as usize * width..(y as usize + 1) * width)?)));
            match common_row {
                Some((y, _)) => damage.mark(y),
                None => block.iter().for_each(|record| several.add(row(record))),
            }
            if i % BLOCKS == BLOCKS - 1 {
                damage.mark_rows(std::mem::take(&mut several).range(height));
            }
            store(common_row.map(|(_, row)| row), i * BLOCK as u32, block);
        }
        damage.mark_rows(several.range(height));
        store(None, (records.len() - rest.len()) as u32, rest);
        for record in rest {
            let y = row(record).into();
            damage.mark_rows(y..(y + 1).min(height));
        }
    }

    /// Fills the part of a rectangle that lies inside, and answers that part.
    pub fn fill_rect(
        &self,
        (x, y): (i32, i32),
        (width, height): (u32, u32),
        color: Color,
        damage: &mut Damage,
    ) -> Area {
        let area = self.size.clip(x, y, width, height);
        let value = value(color);
        for y in area.rows() {
            self.row(y, area.x, area.width).iter().for_each(|pixel| pixel.store(value, Relaxed));
        }
        self.mark(area, damage);
        area
    }

    /// Stores the part of an image that lies inside, and answers that part. `rgba` has `width * height` pixels as bytes
    /// R, G, B, A, rows from the top; rows that it lacks are not drawn.
    pub fn put_image(
        &self,
        (x, y): (i32, i32),
        (width, height): (u32, u32),
        rgba: &[u8],
        damage: &mut Damage,
    ) -> Area {
        let area = self.size.clip(x, y, width, height);
        // How much of the image hangs over the left and the top edge.
        let (left, top) = (i64::from(area.x) - i64::from(x), i64::from(area.y) - i64::from(y));
        if area.is_empty() {
            return area;
        }
        let stride = width as usize * BYTES;
        let (left, top) = (left as usize * BYTES, top as usize);
        for (y, image_row) in area.rows().zip(rgba.chunks_exact(stride).skip(top)) {
            let (colors, _) = image_row[left..].as_chunks::<BYTES>();
            for (pixel, &color) in self.row(y, area.x, area.width).iter().zip(colors) {
                pixel.store(u32::from_ne_bytes(color), Relaxed);
            }
        }
        self.mark(area, damage);
        area
    }

    /// Fills everything.
    pub fn clear(&self, color: Color, damage: &mut Damage) {
        let Size { width, height } = self.size;
        self.fill_rect((0, 0), (width, height), color, damage);
    }

    /// Tells all subscribers what was drawn, and empties `damage`. Call it after a batch of drawing: a subscriber that takes
    /// this damage sees every pixel that was stored before. It costs the same however many subscribe.
    pub fn publish(&self, damage: &mut Damage) {
        if !damage.is_empty() {
            self.damage.publish(damage.words_mut());
        }
    }

    /// Subscribes to what is published. All of the framebuffer is damaged at first, as a subscriber has to show it once.
    ///
    /// `wake` is called when there is damage to take: once, and then not before [`Subscription::take`] was called. The first
    /// time it is called from here. Later it is called from whatever thread draws, so it must be quick.
    ///
    /// ```
    /// use display_server::{Color, Framebuffer, Size};
    ///
    /// let framebuffer = Framebuffer::new(Size { width: 4, height: 3 }, Color::BLACK)?;
    /// let (woken, wake) = std::sync::mpsc::channel();
    /// let mut subscription = framebuffer.subscribe(move || _ = woken.send(()));
    /// let (mut drawn, mut taken) = (framebuffer.no_damage(), framebuffer.no_damage());
    /// subscription.take(&mut taken);
    /// assert!(taken.rows().eq([0..3]));
    ///
    /// framebuffer.draw_pixel(0, 1, Color::RED, &mut drawn);
    /// framebuffer.publish(&mut drawn);
    /// subscription.take(&mut taken);
    /// assert!(taken.rows().eq([1..2]));
    /// assert_eq!(wake.try_iter().count(), 2);
    /// # Ok::<(), display_server::Error>(())
    /// ```
    pub fn subscribe(&self, wake: impl Fn() + Send + Sync + 'static) -> Subscription {
        let Size { height, .. } = self.size;
        let mut all = self.no_damage();
        all.mark_rows(0..height);
        Subscription { subscriber: self.damage.subscribe(*all.words_mut(), wake), height }
    }

    fn at(&self, x: i32, y: i32) -> Option<&AtomicU32> {
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        let is_inside = x < self.size.width && y < self.size.height;
        is_inside.then(|| &self.pixels[y as usize * self.size.width as usize + x as usize])
    }

    /// `width` pixels of row `y` from column `x`, all of them inside.
    fn row(&self, y: u32, x: u32, width: u32) -> &[AtomicU32] {
        let start = y as usize * self.size.width as usize + x as usize;
        &self.pixels[start..start + width as usize]
    }

    fn inside(&self, area: Area) -> Area {
        let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        self.size.clip(number(area.x), number(area.y), area.width, area.height)
    }

    fn mark(&self, area: Area, damage: &mut Damage) {
        if !area.is_empty() {
            damage.mark_rows(area.rows());
        }
    }
}

/// The row of a record.
#[inline]
fn row(&[_, _, y0, y1, ..]: &[u8; Pixel::SIZE]) -> u16 {
    u16::from_be_bytes([y0, y1])
}

/// The row that all records of a block lie in, if it is one.
#[inline]
fn common_row(block: &[[u8; Pixel::SIZE]; BLOCK]) -> Option<u32> {
    let (first, last) = (row(&block[0]), row(&block[BLOCK - 1]));
    // The last one tells most random blocks at once.
    let is_common = first == last && block.iter().fold(0, |bits, record| bits | (row(record) ^ first)) == 0;
    is_common.then_some(first.into())
}

/// The first and the last of some rows.
struct Rows {
    first: u16,
    last: u16,
}

impl Default for Rows {
    /// None.
    fn default() -> Rows {
        Rows { first: u16::MAX, last: 0 }
    }
}

impl Rows {
    #[inline]
    fn add(&mut self, y: u16) {
        self.first = self.first.min(y);
        self.last = self.last.max(y);
    }

    /// Those of a display of `height` rows, and what lies between them.
    fn range(&self, height: u32) -> Range<u32> {
        self.first.into()..(u32::from(self.last) + 1).min(height)
    }
}

fn copy(row: &[AtomicU32], out: &mut [u8]) {
    let (colors, _) = out.as_chunks_mut::<BYTES>();
    for (pixel, color) in row.iter().zip(colors) {
        *color = pixel.load(Relaxed).to_ne_bytes();
    }
}

impl fmt::Debug for Framebuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Framebuffer").field("size", &self.size).finish_non_exhaustive()
    }
}
