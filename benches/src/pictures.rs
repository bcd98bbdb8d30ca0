//! The drawings of the benchmarks, the same in every run.

use draw_protocol::{Color, Pixel, Size};

/// The size of the display.
pub const SIZE: Size = Size { width: 640, height: 480 };

/// Number of pixels in a batch.
pub const BATCH: usize = 1_000;

/// The lowest column and row of wide coordinates: from 256 on, all have the same width on the wire.
const WIDE: u16 = 256;

/// Returns a different colour for each pixel of each round, all of the same width on the wire.
pub fn color(round: u32, i: usize) -> Color {
    // Multiplication by an odd factor is injective.
    let mixed = (i as u32 + 1).wrapping_add(round << 20).wrapping_mul(0x9e37_79b1);
    Color::from_u32(0x8000_0000 | mixed)
}

/// Returns pixel number `i` of a picture.
pub fn pixel((x, y): (u16, u16), i: usize) -> Pixel {
    Pixel::new(x, y, color(0, i))
}

/// Returns `count` pixels, row by row, repeatedly, all with the same width on the wire.
pub fn square(count: usize) -> Vec<Pixel> {
    let (columns, rows) = (256, SIZE.height as usize - usize::from(WIDE));
    let at = |i: usize| (WIDE + (i % columns) as u16, WIDE + (i / columns % rows) as u16);
    (0..count).map(|i| pixel(at(i), i)).collect()
}

/// Returns the pixels of the whole display, row by row, truncated to full batches of this size.
pub fn display(batch: usize) -> Vec<Pixel> {
    let all = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x as u16, y as u16)));
    let mut pixels: Vec<_> = all.enumerate().map(|(i, at)| pixel(at, i)).collect();
    pixels.truncate(pixels.len() / batch * batch);
    pixels
}

/// Returns the same number of pixels at random places on the display.
pub fn scattered() -> Vec<Pixel> {
    let mut state = 1_u64;
    // A linear congruential generator (Knuth's MMIX): only its high bits are random enough.
    let mut random = move |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((state >> 32) * u64::from(below)) >> 32) as u16
    };
    display(BATCH)
        .iter()
        .enumerate()
        .map(|(i, _)| pixel((random(SIZE.width), random(SIZE.height)), i))
        .collect()
}

/// Returns pixels in the wire format of a batch.
pub fn run(pixels: &[Pixel]) -> Vec<u8> {
    pixels.iter().flat_map(|pixel| pixel.to_bytes()).collect()
}

/// Returns an image of this size: bytes R, G, B, A.
pub fn image(size: Size) -> Vec<u8> {
    let pixels = size.width as usize * size.height as usize;
    (0..pixels).flat_map(|i| color(0, i).to_bytes()).collect()
}
