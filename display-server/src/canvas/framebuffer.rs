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

/// Records that are processed together. Neighbours mostly lie in one row, which is then looked up and marked once, so a
/// pixel takes two thirds of the time. (Comparing each pixel's row with the last one costs random pixels 30 %, since
/// the branch is mispredicted. Comparing blocks costs random pixels nothing.)
const BLOCK: usize = 8;

/// Blocks whose rows are marked together, from the first row to the last, unless a block lies in one row. Marking each
/// pixel costs a second store that depends on the first: random pixels took 2.9 ns on an Intel processor, and now take
/// 2.3 ns, as without any mark. Rows that are marked without need are copied by a presenter, sixty times a second at
/// most.
const BLOCKS: u32 = 16;

/// A rectangle of pixels, row by row from the top, each four bytes in memory: R, G, B, A.
///
/// Every pixel is an atomic and all access is relaxed: if two connections draw the same pixel at the same time, it gets
/// the colour of one of them, never a mixture. The damage orders pixels for readers: see [`Framebuffer::publish`].
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
    /// Creates a framebuffer whose pixels all have one colour.
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
        // A failed allocation is an error here; `vec![]` would abort the process.
        usize::try_from(area)
            .ok()
            .and_then(|area| pixels.try_reserve_exact(area).ok())
            .ok_or(Error::Memory { size, bytes: area * BYTES as u64 })?;
        pixels.extend((0..area).map(|_| AtomicU32::new(value(background))));
        Ok(Framebuffer { pixels: pixels.into_boxed_slice(), size, damage: Arc::new(Handoff::new()) })
    }

    /// Returns width and height in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns empty damage, which drawing methods mark.
    pub fn no_damage(&self) -> Damage {
        Damage::none(self.size.height)
    }

    /// Returns the colour at `(x, y)`; `None` outside.
    pub fn get_pixel(&self, x: i32, y: i32) -> Option<Color> {
        let [r, g, b, a] = self.at(x, y)?.load(Relaxed).to_ne_bytes();
        Some(Color::rgba(r, g, b, a))
    }

    /// Appends the pixels of `area` as bytes R, G, B, A, rows from the top. `area` is clipped.
    pub fn read(&self, area: Area, out: &mut Vec<u8>) {
        let area = self.inside(area);
        out.reserve(area.width as usize * area.height as usize * BYTES);
        // Copies through a small buffer: reserving initialised room in `out` took longer.
        let mut piece = [0; 1024];
        for y in area.rows() {
            for pixels in self.row(y, area.x, area.width).chunks(piece.len() / BYTES) {
                copy(pixels, &mut piece);
                out.extend_from_slice(&piece[..pixels.len() * BYTES]);
            }
        }
    }

    /// Copies whole rows, from the top, as bytes R, G, B, A. Stops at the end of `rows` or `out`.
    pub fn copy_rows(&self, rows: Range<u32>, out: &mut [u8]) {
        let stride = self.size.width as usize * BYTES;
        for (y, bytes) in (rows.start..rows.end.min(self.size.height)).zip(out.chunks_exact_mut(stride)) {
            copy(self.row(y, 0, self.size.width), bytes);
        }
    }

    /// Stores one pixel. Returns whether it lies inside.
    pub fn draw_pixel(&self, x: i32, y: i32, color: Color, damage: &mut Damage) -> bool {
        let Some(pixel) = self.at(x, y) else { return false };
        pixel.store(value(color), Relaxed);
        damage.mark(y as u32);
        true
    }

    /// Adds `amount` to one pixel, taken as the number 0xRRGGBBAA, and wraps. Returns whether it lies inside.
    ///
    /// The addition is atomic: additions by several connections at the same time are all counted.
    pub fn add_pixel(&self, x: i32, y: i32, amount: u32, damage: &mut Damage) -> bool {
        let Some(pixel) = self.at(x, y) else { return false };
        // In memory the bytes are R, G, B, A, which is the number in network byte order on any machine.
        let sum = |stored: u32| u32::from_be(stored).wrapping_add(amount).to_be();
        _ = pixel.fetch_update(Relaxed, Relaxed, |stored| Some(sum(stored)));
        damage.mark(y as u32);
        true
    }

    /// Stores a run of records of [`Pixel::SIZE`] bytes, in the format of the wire. Calls `outside` with the index of
    /// each pixel that does not lie inside.
    pub fn draw_run(&self, run: &[u8], damage: &mut Damage, mut outside: impl FnMut(u32, Pixel)) {
        let (records, _) = run.as_chunks::<{ Pixel::SIZE }>();
        // Local copies: the compiler would reload the fields after each store.
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
                // The index of a pixel below the last row is beyond the end of `pixels`.
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

    /// Fills the part of a rectangle that lies inside, and returns that part.
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

    /// Stores the part of an image that lies inside, and returns that part. `rgba` has `width * height` pixels as bytes
    /// R, G, B, A, rows from the top; missing rows are not drawn.
    pub fn put_image(
        &self,
        (x, y): (i32, i32),
        (width, height): (u32, u32),
        rgba: &[u8],
        damage: &mut Damage,
    ) -> Area {
        let area = self.size.clip(x, y, width, height);
        // The columns and rows of the image beyond the left and the top edge.
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

    /// Fills all pixels.
    pub fn clear(&self, color: Color, damage: &mut Damage) {
        let Size { width, height } = self.size;
        self.fill_rect((0, 0), (width, height), color, damage);
    }

    /// Publishes what was drawn to all subscribers, and empties `damage`. Call it after a batch of drawing: a
    /// subscriber that takes this damage sees every pixel that was stored before. The cost does not depend on the
    /// number of subscribers.
    pub fn publish(&self, damage: &mut Damage) {
        if !damage.is_empty() {
            self.damage.publish(damage.words_mut());
        }
    }

    /// Subscribes to published damage. At first the whole framebuffer is damaged, since a subscriber has to show all of
    /// it once.
    ///
    /// `wake` is called when there is damage to take: once, and not again before [`Subscription::take`] was called. The
    /// first call comes from this method. Later calls come from the thread that draws, so `wake` must be quick.
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

    /// Returns `width` pixels of row `y` from column `x`, all of which must lie inside.
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

/// Returns the row of a record.
#[inline]
fn row(&[_, _, y0, y1, ..]: &[u8; Pixel::SIZE]) -> u16 {
    u16::from_be_bytes([y0, y1])
}

/// Returns the row that all records of a block lie in, if they do.
#[inline]
fn common_row(block: &[[u8; Pixel::SIZE]; BLOCK]) -> Option<u32> {
    let (first, last) = (row(&block[0]), row(&block[BLOCK - 1]));
    // Comparing the first and the last record rejects most random blocks.
    let is_common = first == last && block.iter().fold(0, |bits, record| bits | (row(record) ^ first)) == 0;
    is_common.then_some(first.into())
}

/// The first and the last of some rows.
struct Rows {
    first: u16,
    last: u16,
}

impl Default for Rows {
    /// Creates a range without rows.
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

    /// Returns the range from the first row to the last, clipped to a display of `height` rows.
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
