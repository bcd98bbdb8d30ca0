//! The drawings of the benchmarks, the same in every run.

use draw_protocol::{Color, Pixel, Size};

/// The display that is drawn on.
pub const SIZE: Size = Size { width: 640, height: 480 };

/// Pixels of a batch.
pub const BATCH: usize = 1_000;

/// Columns and rows of 256 and more, which all have the same width on the wire.
const WIDE: u16 = 256;

/// A colour of its own for each pixel of each round, and none that is shorter on the wire than others.
pub fn color(round: u32, i: usize) -> Color {
    // An odd factor maps different numbers to different ones.
    let mixed = (i as u32 + 1).wrapping_add(round << 20).wrapping_mul(0x9e37_79b1);
    Color::from_u32(0x8000_0000 | mixed)
}

/// Pixel number `i` of a picture.
pub fn pixel((x, y): (u16, u16), i: usize) -> Pixel {
    Pixel::new(x, y, color(0, i))
}

/// `count` pixels, row by row, over and over, all as wide on the wire.
pub fn square(count: usize) -> Vec<Pixel> {
    let (columns, rows) = (256, SIZE.height as usize - usize::from(WIDE));
    let at = |i: usize| (WIDE + (i % columns) as u16, WIDE + (i / columns % rows) as u16);
    (0..count).map(|i| pixel(at(i), i)).collect()
}

/// The whole display, row by row, as far as full batches of so many pixels go.
pub fn display(batch: usize) -> Vec<Pixel> {
    let all = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x as u16, y as u16)));
    let mut pixels: Vec<_> = all.enumerate().map(|(i, at)| pixel(at, i)).collect();
    pixels.truncate(pixels.len() / batch * batch);
    pixels
}

/// As many pixels, anywhere on the display.
pub fn scattered() -> Vec<Pixel> {
    let mut state = 1_u64;
    // An ordinary linear congruential generator (Knuth's MMIX): its high bits are what is random.
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

/// Pixels as a batch has them on the wire.
pub fn run(pixels: &[Pixel]) -> Vec<u8> {
    pixels.iter().flat_map(|pixel| pixel.to_bytes()).collect()
}

/// An image of that size: bytes R, G, B, A.
pub fn image(size: Size) -> Vec<u8> {
    let pixels = size.width as usize * size.height as usize;
    (0..pixels).flat_map(|i| color(0, i).to_bytes()).collect()
}
