//! Collects pixels that are drawn together, as one request and one record of the journal.

use crate::canvas::Turn;
use draw_protocol::{Answer, Color, Fault, Pixel, Pixels, Request};

/// The most pixels of a batch.
const BATCH: usize = 4096;

/// The most memory of a batch.
pub(super) const MOST: usize = BATCH * Pixel::SIZE;

/// Bytes of the shortest line that draws a pixel: `PX 0 0 00` and its end.
const SHORTEST: usize = 10;

/// Successive pixels of a turn, in order. All of them lie inside the display.
pub(super) struct Batch {
    records: Vec<[u8; Pixel::SIZE]>,
    /// The positions in the batch. Tracked from the first blended pixel of the turn on.
    places: Option<Places>,
    /// Pixels that could not be drawn, and why the last of them could not.
    pub(super) refused: u64,
    pub(super) fault: Option<Fault>,
}

impl Batch {
    /// Creates an empty batch with room for the pixels of `bytes` bytes of lines.
    pub(super) fn new(bytes: usize) -> Batch {
        let pixels = BATCH.min(bytes / SHORTEST + 1);
        Batch { records: Vec::with_capacity(pixels), places: None, refused: 0, fault: None }
    }

    /// Adds a pixel that replaces the one below.
    #[inline]
    pub(super) fn store(&mut self, turn: &mut Turn<'_, '_>, x: u16, y: u16, color: Color) {
        if self.records.len() == self.records.capacity() {
            self.draw(turn);
        }
        if let Some(places) = &mut self.places {
            places.add(x, y);
        }
        self.records.push(Pixel::new(x, y, color).to_bytes());
    }

    /// Adds a pixel that is blended with the one below.
    ///
    /// The pixel below is read now. Without a journal, a pixel that another connection draws at this position before
    /// the batch is drawn is overwritten, as if it had been drawn earlier.
    pub(super) fn blend(&mut self, turn: &mut Turn<'_, '_>, x: u16, y: u16, color: Color) {
        let may_have_it = self.places.as_ref().is_none_or(|places| places.may_have(x, y));
        if may_have_it {
            self.draw(turn);
        }
        self.places.get_or_insert_default();
        match self.read(turn, x, y) {
            Ok(below) => self.store(turn, x, y, over(color, below)),
            Err(fault) => self.refuse(1, fault),
        }
    }

    /// Draws the batch, and returns the colour at a position.
    pub(super) fn get(&mut self, turn: &mut Turn<'_, '_>, x: u16, y: u16) -> Option<Color> {
        self.draw(turn);
        self.read(turn, x, y).map_err(|fault| self.refuse(1, fault)).ok()
    }

    fn read(&self, turn: &mut Turn<'_, '_>, x: u16, y: u16) -> Result<Color, Fault> {
        match turn.call(None, &Request::GetPixel { x: x.into(), y: y.into() })? {
            Answer::Pixel(color) => Ok(color),
            answer => unreachable!("get_pixel is answered with a pixel, not with {answer:?}"),
        }
    }

    /// Draws the batch, and empties it.
    pub(super) fn draw(&mut self, turn: &mut Turn<'_, '_>) {
        if self.records.is_empty() {
            return;
        }
        let drawn = turn.call(None, &Request::DrawPixels { pixels: Pixels::from_records(&self.records) });
        if let Err(fault) = drawn {
            self.refuse(self.records.len() as u64, fault);
        }
        self.records.clear();
        if let Some(places) = &mut self.places {
            *places = Places::default();
        }
    }

    fn refuse(&mut self, pixels: u64, fault: Fault) {
        self.refused += pixels;
        self.fault = Some(fault);
    }
}

/// Places that a batch has. It may say so of a place that it does not have, but never the other way round.
struct Places([u64; Places::BITS as usize / 64]);

impl Default for Places {
    fn default() -> Places {
        Places([0; Places::BITS as usize / 64])
    }
}

impl Places {
    /// Twice as many as there are pixels in a batch. Those of a row never share one.
    const BITS: u32 = 2 * BATCH as u32;

    fn bit(x: u16, y: u16) -> (usize, u64) {
        // An odd number, so that rows are spread over all bits.
        let bit = (u32::from(x) + u32::from(y) * 1237) % Places::BITS;
        (bit as usize / 64, 1 << (bit % 64))
    }

    fn add(&mut self, x: u16, y: u16) {
        let (word, bit) = Places::bit(x, y);
        self.0[word] |= bit;
    }

    fn may_have(&self, x: u16, y: u16) -> bool {
        let (word, bit) = Places::bit(x, y);
        self.0[word] & bit != 0
    }
}

/// Returns `color` over `below`, which is opaque in Pixelflut: one that a native client stored with alpha is taken as it is shown,
/// over black.
fn over(color: Color, below: Color) -> Color {
    let ([r, g, b, a], below) = (color.to_bytes(), shown(below));
    Color::rgb(mix(r, below[0], a), mix(g, below[1], a), mix(b, below[2], a))
}

/// Returns red, green and blue of a pixel as the window shows it.
pub(super) fn shown(color: Color) -> [u8; 3] {
    let [r, g, b, a] = color.to_bytes();
    [mix(r, 0, a), mix(g, 0, a), mix(b, 0, a)]
}

/// `(above * alpha + below * (255 - alpha)) / 255`, rounded to the nearest.
fn mix(above: u8, below: u8, alpha: u8) -> u8 {
    let [above, below, alpha] = [above, below, alpha].map(u32::from);
    ((above * alpha + below * (255 - alpha) + 127) / 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canvas::display::Display;
    use crate::canvas::{Caller, Canvas};
    use draw_protocol::Size;

    #[test]
    fn a_colour_is_mixed_to_the_nearest() {
        for (above, below, alpha) in [(255, 0, 0x80), (0, 255, 1), (10, 20, 0), (10, 20, 255), (7, 9, 100)] {
            let exact =
                (f64::from(above) * f64::from(alpha) + f64::from(below) * f64::from(255 - alpha)) / 255.0;
            assert_eq!(f64::from(mix(above, below, alpha)), exact.round(), "{above} {below} {alpha}");
        }
    }

    #[test]
    fn each_blended_pixel_sees_all_that_came_before_it() {
        let display = Display::new(Size { width: 300, height: 300 }, Color::BLACK).expect("it is small");
        let canvas = Canvas::new(display);
        let mut caller = Caller::new(&canvas);
        let (mut turn, mut batch) = (caller.turn(), Batch::new(1 << 20));
        // A model that draws each at once. Places return soon, late, and in other batches.
        let mut model = vec![Color::BLACK; 300 * 300];
        let mut random = 1_u32;
        for step in 0..30_000_u32 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (x, y) = match step % 3 {
                0 => (0, 0),
                1 => (step % 300, step / 300 % 300),
                _ => (random >> 8 & 0xff, random >> 16 & 0xff),
            };
            let color = Color::from_u32(random | 1);
            let place = &mut model[(y * 300 + x) as usize];
            if random >> 24 & 1 == 0 {
                *place = over(color, *place);
                batch.blend(&mut turn, x as u16, y as u16, color);
            } else {
                *place = color;
                batch.store(&mut turn, x as u16, y as u16, color);
            }
        }
        batch.draw(&mut turn);
        _ = turn.end();
        let framebuffer = canvas.display().framebuffer();
        for (at, &color) in model.iter().enumerate() {
            let (x, y) = (at % 300, at / 300);
            assert_eq!(framebuffer.get_pixel(x as i32, y as i32), Some(color), "({x}, {y})");
        }
        assert_eq!(batch.refused, 0);
    }
}
