//! Composites pixels over black.
//!
//! A display stores alpha, and a window has none. Each channel is shown as `colour * alpha / 255`, rounded to the nearest whole
//! number. All presenters use it, so that all show the same colours.

use crate::canvas::framebuffer::Framebuffer;

/// The grey of the border. It is not the default background, and is rarely drawn.
pub(super) const BORDER: u8 = 0x30;

/// Returns `channel * alpha / 255`, rounded to the nearest. There are no ties, since 255 is odd.
fn over_black(channel: u8, alpha: u8) -> u8 {
    ((u32::from(channel) * u32::from(alpha) + 127) / 255) as u8
}

/// Returns whether all pixels of these bytes R, G, B, A are opaque. Most are, and need no computation.
fn is_opaque(rgba: &[u8]) -> bool {
    let (pixels, _) = rgba.as_chunks::<4>();
    // Combines whole pixels rather than their alpha, which compilers vectorise.
    pixels.iter().fold(u32::MAX, |all, &pixel| all & u32::from_le_bytes(pixel)) >> 24 == 255
}

/// Copies a row as bytes R, G, B, 255 into `out`, which must be as long as a row.
pub(super) fn rgba_row(framebuffer: &Framebuffer, y: u32, out: &mut [u8]) {
    framebuffer.copy_rows(y..y + 1, out);
    if !is_opaque(out) {
        for [r, g, b, a] in out.as_chunks_mut::<4>().0 {
            (*r, *g, *b, *a) = (over_black(*r, *a), over_black(*g, *a), over_black(*b, *a), 255);
        }
    }
}

/// Returns a pixel of a window as `0x00RRGGBB`.
pub(super) const fn packed(r: u8, g: u8, b: u8) -> u32 {
    u32::from_be_bytes([0, r, g, b])
}

/// Writes pixels given as bytes R, G, B, 255 as `0x00RRGGBB`.
pub(super) fn pack(rgba: &[u8], out: &mut [u32]) {
    let (pixels, _) = rgba.as_chunks::<4>();
    out.iter_mut().zip(pixels).for_each(|(out, &pixel)| {
        // The same as `packed`, in shifts and masks, which compilers vectorise, unlike moves of single bytes.
        let abgr = u32::from_le_bytes(pixel);
        *out = (abgr & 0xff) << 16 | abgr & 0xff00 | abgr >> 16 & 0xff;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::{Color, Size};

    #[test]
    fn every_channel_and_alpha_is_rounded_to_the_nearest() {
        for channel in 0..=255u8 {
            for alpha in 0..=255u8 {
                let exact = f64::from(channel) * f64::from(alpha) / 255.0;
                assert_eq!(f64::from(over_black(channel, alpha)), exact.round(), "{channel} * {alpha} / 255");
            }
            assert_eq!((over_black(channel, 255), over_black(channel, 0)), (channel, 0));
        }
    }

    #[test]
    fn a_row_is_shown_over_black() {
        let framebuffer = Framebuffer::new(Size { width: 3, height: 2 }, Color::rgba(1, 2, 3, 255)).unwrap();
        let mut row = [9; 12];
        rgba_row(&framebuffer, 1, &mut row);
        assert_eq!(row, [1, 2, 3, 255, 1, 2, 3, 255, 1, 2, 3, 255]);
        let mut damage = framebuffer.no_damage();
        framebuffer.draw_pixel(1, 1, Color::rgba(200, 100, 50, 128), &mut damage);
        framebuffer.draw_pixel(2, 1, Color::rgba(200, 100, 50, 0), &mut damage);
        rgba_row(&framebuffer, 1, &mut row);
        assert_eq!(row, [1, 2, 3, 255, 100, 50, 25, 255, 0, 0, 0, 255]);
    }

    #[test]
    fn a_packed_row_has_one_number_for_each_pixel() {
        let rgba: Vec<u8> = (0..3).flat_map(|n| [n, 16 + n, 32 + n, 255]).collect();
        let mut all = [0; 3];
        pack(&rgba, &mut all);
        assert_eq!(all, [packed(0, 16, 32), packed(1, 17, 33), packed(2, 18, 34)]);
        assert_eq!(all, [0x0000_1020, 0x0001_1121, 0x0002_1222]);
    }
}
