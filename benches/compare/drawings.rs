//! Pixels and images, in different colours each turn.

use crate::failure::{Failure, Result};
use crate::wire::FRAME;
use benches::pictures;
pub(crate) use benches::pictures::{BATCH, color};
use draw_client::Pixel;
use std::rc::Rc;

/// Number of pixels in a frame.
pub(crate) const PIXELS: usize = FRAME.width as usize * FRAME.height as usize;

/// Returns `count` pixels, row by row, repeatedly.
pub(crate) fn square(count: usize) -> Rc<[Pixel]> {
    pictures::square(count).into()
}

/// Returns the pixels of the whole display, row by row, truncated to full batches of this size.
pub(crate) fn display(batch: usize) -> Rc<[Pixel]> {
    pictures::display(batch).into()
}

/// Returns the same number of pixels at random places on the display, equal in every run.
pub(crate) fn scattered() -> Rc<[Pixel]> {
    pictures::scattered().into()
}

/// Returns the same pixels in the colours of this turn.
pub(crate) fn painted(pixels: &[Pixel], salt: u32) -> Vec<Pixel> {
    let paint = |(i, pixel): (usize, &Pixel)| Pixel { color: color(salt, i), ..*pixel };
    pixels.iter().enumerate().map(paint).collect()
}

/// Returns a whole image in the colours of this turn.
pub(crate) fn image(pixels: usize, salt: u32) -> Vec<u8> {
    (0..pixels).flat_map(|i| color(salt, i).to_bytes()).collect()
}

/// Returns the two images of a turn.
pub(crate) fn two_images(salt: u32) -> [Vec<u8>; 2] {
    [image(PIXELS, salt), image(PIXELS, salt + 1)]
}

/// Alternates the two images, `count` in total.
pub(crate) fn in_turn<T>(images: &[Vec<T>; 2], count: usize) -> Vec<&[T]> {
    images.iter().map(Vec::as_slice).cycle().take(count).collect()
}

/// Checks that an image is the expected one.
pub(crate) fn same(wanted: &[u8], got: &[u8]) -> Result<()> {
    if wanted == got { Ok(()) } else { Err(Failure::new("the image is not the one that was put there")) }
}
