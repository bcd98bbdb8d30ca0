//! The pixel format of an X screen, and the rows of a window in it.

use super::cells::Cells;
use super::compositing::BORDER;
use super::presenter::Frame;
use std::ops::Range;
use x11rb::protocol::xproto::{ImageOrder, Setup, VisualClass, Visualid, Visualtype};

/// Converts colours to pixels of a window.
pub(super) struct Format {
    /// Bits of colour: the depth in X.
    pub(super) depth: u8,
    /// Bytes of a pixel: 1 to 4.
    pub(super) bytes: usize,
    /// The length of a row in an image is a multiple of this, in bytes.
    pad: usize,
    is_little_endian: bool,
    /// For red, green and blue, the bits of a pixel for each value of the channel.
    channels: Box<[[u32; 256]; 3]>,
    /// Whether a pixel is the bytes B, G, R, 0, as on nearly every screen.
    pub(super) is_usual: bool,
}

impl Format {
    /// Returns the pixel format of a window.
    ///
    /// # Errors
    /// A sentence, if its pixels are indexes into a colour table.
    pub(super) fn of(setup: &Setup, visual: Visualid) -> Result<Format, String> {
        let mut depths = setup.roots.iter().flat_map(|screen| &screen.allowed_depths);
        let found = depths.find_map(|depth| {
            let visual = depth.visuals.iter().find(|known| known.visual_id == visual)?;
            Some((depth.depth, visual))
        });
        let Some((depth, visual)) = found else {
            return Err(format!("the X server does not list the window's visual {visual:#x}"));
        };
        let Some(pixmap) = setup.pixmap_formats.iter().find(|format| format.depth == depth) else {
            return Err(format!("the X server does not say how pixels of depth {depth} are stored"));
        };
        let (bits, pad) = (pixmap.bits_per_pixel, pixmap.scanline_pad);
        Format::new(visual, depth, (bits, pad), setup.image_byte_order == ImageOrder::LSB_FIRST)
    }

    fn new(visual: &Visualtype, depth: u8, stored: (u8, u8), is_little: bool) -> Result<Format, String> {
        let (bits, pad) = stored;
        let masks = [visual.red_mask, visual.green_mask, visual.blue_mask];
        let has_colors = matches!(visual.class, VisualClass::TRUE_COLOR | VisualClass::DIRECT_COLOR);
        if !has_colors || masks.contains(&0) {
            return Err(format!(
                "the X screen of depth {depth} has a color table instead of true color: \
                 use a screen of depth 15, 16, 24 or 30 (`Xvfb :1 -screen 0 1280x1024x24`)"
            ));
        }
        if !matches!(bits, 8 | 16 | 24 | 32) || !matches!(pad, 8 | 16 | 32) {
            return Err(format!("the X screen has {bits} bits a pixel, in rows of a multiple of {pad}"));
        }
        // The remaining bits of a pixel are opacity.
        let rest = (u32::MAX >> 32u32.saturating_sub(depth.into())) & !(masks[0] | masks[1] | masks[2]);
        let mut channels = Box::new(masks.map(channel));
        channels[0].iter_mut().for_each(|pixel| *pixel |= rest);
        let is_usual = is_little && bits == 32 && rest == 0 && masks == [0xff_0000, 0xff00, 0xff];
        Ok(Format {
            depth,
            bytes: usize::from(bits / 8),
            pad: usize::from(pad / 8),
            is_little_endian: is_little,
            channels,
            is_usual,
        })
    }

    /// Returns the bytes of a row of `width` pixels.
    pub(super) fn stride(&self, width: usize) -> usize {
        (width * self.bytes).next_multiple_of(self.pad)
    }

    /// Writes pixels given as bytes R, G, B, 255, each `scale` times.
    pub(super) fn write(&self, rgba: &[u8], scale: usize, out: &mut [u8]) {
        let (pixels, _) = rgba.as_chunks::<4>();
        if !self.is_usual {
            self.write_any(pixels, scale, out);
        } else if scale == 1 {
            let (out, _) = out.as_chunks_mut::<4>();
            out.iter_mut().zip(pixels).for_each(|(out, &pixel)| *out = usual(pixel));
        } else {
            for (out, &pixel) in out.chunks_exact_mut(4 * scale).zip(pixels) {
                out.as_chunks_mut::<4>().0.fill(usual(pixel));
            }
        }
    }

    fn write_any(&self, pixels: &[[u8; 4]], scale: usize, out: &mut [u8]) {
        for (out, &[r, g, b, _]) in out.chunks_exact_mut(self.bytes * scale).zip(pixels) {
            let pixel = self.pixel(r, g, b);
            for out in out.chunks_exact_mut(self.bytes) {
                out.copy_from_slice(&pixel[..self.bytes]);
            }
        }
    }

    /// Fills with the border colour.
    pub(super) fn write_border(&self, out: &mut [u8]) {
        let pixel = self.pixel(BORDER, BORDER, BORDER);
        out.chunks_exact_mut(self.bytes).for_each(|out| out.copy_from_slice(&pixel[..self.bytes]));
    }

    /// Returns a pixel's bytes, followed by zeros.
    fn pixel(&self, r: u8, g: u8, b: u8) -> [u8; 4] {
        let [red, green, blue] = &*self.channels;
        let pixel = red[usize::from(r)] | green[usize::from(g)] | blue[usize::from(b)];
        if self.is_little_endian {
            pixel.to_le_bytes()
        } else {
            (pixel << (32 - 8 * self.bytes as u32)).to_be_bytes()
        }
    }
}

/// Converts to the bytes B, G, R, 0.
fn usual(pixel: [u8; 4]) -> [u8; 4] {
    // Shifts and masks, which compilers vectorise, unlike moves of single bytes.
    let abgr = u32::from_le_bytes(pixel);
    ((abgr & 0xff) << 16 | abgr & 0xff00 | abgr >> 16 & 0xff).to_le_bytes()
}

/// Returns, for each value of 8 bits, the nearest value that the bits of `mask` can hold.
fn channel(mask: u32) -> [u32; 256] {
    let shift = mask.trailing_zeros();
    let most = u64::from(mask >> shift);
    std::array::from_fn(|value| ((((value as u64 * most * 2 + 255) / 510) as u32) << shift) & mask)
}

/// Writes the contents of these rows and columns of the window, row by row, with the padding of the format.
pub(super) fn write_rows(
    frame: &Frame<'_>,
    cells: &mut Cells,
    format: &Format,
    rows: Range<u32>,
    columns: Range<u32>,
    out: &mut Vec<u8>,
) {
    let layout = frame.layout;
    let (stride, scale) = (format.stride(columns.len()), layout.scale as usize);
    // The columns of the picture that are still to be written, and where they end.
    let left = columns.end.min(layout.left).saturating_sub(columns.start) as usize * format.bytes;
    let end =
        columns.end.min(layout.left + layout.width()).saturating_sub(columns.start) as usize * format.bytes;
    let picture = layout.window_rows(&(0..layout.rows));
    out.resize(rows.len() * stride, 0);
    let mut before = None;
    for (n, y) in rows.enumerate() {
        let cell_row = picture.contains(&y).then(|| (y - layout.top) / layout.scale);
        if before == Some(cell_row) {
            out.copy_within((n - 1) * stride..n * stride, n * stride);
            continue;
        }
        before = Some(cell_row);
        let row = &mut out[n * stride..][..columns.len() * format.bytes];
        match cell_row {
            Some(cell_row) => {
                format.write_border(&mut row[..left]);
                format.write(cells.row(frame.framebuffer, cell_row), scale, &mut row[left..end]);
                format.write_border(&mut row[end..]);
            }
            None => format.write_border(row),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::*;
    use crate::canvas::framebuffer::Framebuffer;
    use draw_protocol::{Color, Size};

    fn visual(class: VisualClass, masks: [u32; 3]) -> Visualtype {
        let [red_mask, green_mask, blue_mask] = masks;
        Visualtype { class, red_mask, green_mask, blue_mask, ..Visualtype::default() }
    }

    /// Orange, red and the border as a screen has them.
    fn written(masks: [u32; 3], depth: u8, bits: u8, is_little: bool) -> Vec<u8> {
        let visual = visual(VisualClass::TRUE_COLOR, masks);
        let format = Format::new(&visual, depth, (bits, 32), is_little).unwrap();
        let mut out = vec![0xee; format.stride(3)];
        let (picture, border) = out.split_at_mut(2 * format.bytes);
        format.write(&[0xff, 0x80, 0x00, 255, 0xff, 0, 0, 255], 1, picture);
        format.write_border(&mut border[..format.bytes]);
        out
    }

    #[test]
    fn the_forms_of_pixels_that_screens_have() {
        let usual = [0xff_0000, 0xff00, 0xff];
        assert_eq!(written(usual, 24, 32, true), [0, 0x80, 0xff, 0, 0, 0, 0xff, 0, 0x30, 0x30, 0x30, 0]);
        assert_eq!(written(usual, 24, 32, false), [0, 0xff, 0x80, 0, 0, 0xff, 0, 0, 0, 0x30, 0x30, 0x30]);
        // Opaque on a screen that has opacity.
        assert_eq!(
            written(usual, 32, 32, true),
            [0, 0x80, 0xff, 255, 0, 0, 0xff, 255, 0x30, 0x30, 0x30, 255]
        );
        // Three bytes a pixel; the row is filled up to a multiple of four.
        assert_eq!(written(usual, 24, 24, true)[..9], [0, 0x80, 0xff, 0, 0, 0xff, 0x30, 0x30, 0x30]);
        assert_eq!(written(usual, 24, 24, true).len(), 12);
        // 5, 6 and 5 bits: 31, 32 (of 63) and 0; the border 6, 12 and 6.
        let words = |masks, depth, little: bool| -> Vec<u16> {
            let bytes = written(masks, depth, 16, little);
            let word = if little { u16::from_le_bytes } else { u16::from_be_bytes };
            bytes.as_chunks::<2>().0[..3].iter().map(|&bytes| word(bytes)).collect()
        };
        let of_16 = vec![31 << 11 | 32 << 5, 31 << 11, 6 << 11 | 12 << 5 | 6];
        assert_eq!(words([0xf800, 0x07e0, 0x001f], 16, true), of_16);
        assert_eq!(words([0xf800, 0x07e0, 0x001f], 16, false), of_16);
        assert_eq!(
            words([0x7c00, 0x03e0, 0x001f], 15, true),
            [31 << 10 | 16 << 5, 31 << 10, 6 << 10 | 6 << 5 | 6]
        );
        // 10 bits each: 1023, 513.5 (rounded up) and 0.
        let bytes = written([0x3ff << 20, 0x3ff << 10, 0x3ff], 30, 32, true);
        assert_eq!(bytes[..4], (1023u32 << 20 | 514 << 10).to_le_bytes());
    }

    #[test]
    fn larger_each_pixel_is_repeated() {
        for (masks, depth, bits) in [([0xff_0000, 0xff00, 0xff], 24, 32), ([0xf800, 0x07e0, 0x001f], 16, 16)]
        {
            let format =
                Format::new(&visual(VisualClass::TRUE_COLOR, masks), depth, (bits, 32), true).unwrap();
            let (mut once, mut thrice) = (vec![0; 2 * format.bytes], vec![0; 6 * format.bytes]);
            let rgba = [1, 90, 200, 255, 77, 3, 160, 255];
            format.write(&rgba, 1, &mut once);
            format.write(&rgba, 3, &mut thrice);
            let (first, second) = once.split_at(format.bytes);
            assert_eq!(thrice, [first.repeat(3), second.repeat(3)].concat());
        }
    }

    /// A display of 3x2 pixels, the first row 1, 2, 3 and the second 4, 5, 6 in its blue channel, as rows and columns of a
    /// window show it: the blue of each pixel, with a dot for the border.
    fn rows_of(window: (u32, u32), rows: Range<u32>, columns: Range<u32>) -> Vec<String> {
        let canvas = Size { width: 3, height: 2 };
        let framebuffer = Framebuffer::new(canvas, Color::BLACK).unwrap();
        for n in 0..6 {
            let color = Color::rgba(0, 0, n as u8 + 1, 255);
            framebuffer.draw_pixel(n % 3, n / 3, color, &mut framebuffer.no_damage());
        }
        let layout = Layout::new(Size { width: window.0, height: window.1 }, canvas);
        let damage = framebuffer.no_damage();
        let frame = Frame { framebuffer: &framebuffer, damage: &damage, layout: &layout, is_whole: true };
        let visual = visual(VisualClass::TRUE_COLOR, [0xff_0000, 0xff00, 0xff]);
        let format = Format::new(&visual, 24, (24, 32), true).unwrap();
        let (mut cells, mut out) = (Cells::new(canvas), Vec::new());
        cells.begin(&layout);
        write_rows(&frame, &mut cells, &format, rows, columns.clone(), &mut out);
        let letter = |pixel: &[u8]| if pixel == [BORDER; 3] { '.' } else { char::from(b'0' + pixel[0]) };
        let row = |row: &[u8]| row.chunks(3).take(columns.len()).map(letter).collect();
        out.chunks(format.stride(columns.len())).map(row).collect()
    }

    #[test]
    #[rustfmt::skip]
    fn rows_are_the_picture_and_what_surrounds_it() {
        assert_eq!(rows_of((8, 6), 0..6, 0..8), [
            "........",
            ".112233.",
            ".112233.",
            ".445566.",
            ".445566.",
            "........",
        ]);
        // A part of it, from the middle of a cell; and nothing but the picture.
        assert_eq!(rows_of((8, 6), 2..4, 0..8), [
            ".112233.",
            ".445566.",
        ]);
        assert_eq!(rows_of((8, 6), 4..5, 1..7), ["445566"]);
        assert_eq!(rows_of((5, 2), 0..2, 0..5), [
            ".123.",
            ".456.",
        ]);
        assert_eq!(rows_of((2, 3), 0..3, 0..2), [
            "..",
            "34",
            "..",
        ]);
    }

    #[test]
    fn a_table_of_colours_is_refused_in_plain_words() {
        let refused = |class, masks| Format::new(&visual(class, masks), 8, (8, 32), true).err().unwrap();
        for class in [VisualClass::PSEUDO_COLOR, VisualClass::STATIC_GRAY, VisualClass::GRAY_SCALE] {
            let said = refused(class, [0; 3]);
            assert!(said.contains("depth 8") && said.contains("depth 15, 16, 24 or 30"), "{said}");
        }
        assert!(Format::new(&visual(VisualClass::TRUE_COLOR, [7, 56, 192]), 8, (8, 32), true).is_ok());
    }
}
