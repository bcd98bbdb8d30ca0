//! Computes the colours of a picture's cells, row by row. All presenters use it, so that all show the same picture.
//!
//! If the picture is as large as the display, or larger, a cell is a pixel. If it is shrunk, a cell is the average of the
//! area that it covers, so no part of the picture is left out: a line of one pixel becomes fainter and stays visible. The
//! average is computed from the stored numbers (sRGB), over black. Thin dark and thin bright lines are then equally visible,
//! and no table is needed.

use super::compositing::rgba_row;
use super::layout::Layout;
use crate::canvas::framebuffer::Framebuffer;
use draw_protocol::Size;
use std::ops::Range;

/// The sum of the weights of a cell's pixels in one direction. The weighted sum of a cell in a row is then at most `255 << 8`,
/// which fits into 16 bits, the width at which vector units multiply most values at once. A pixel whose weight is rounded to 0
/// is less than a 256th of its cell, which no channel of 8 bits could show.
const WHOLE: u64 = 1 << 8;

/// Returns the pixels that cell `cell` of `cells` covers any part of, along one side of `pixels` pixels.
fn covered(cell: u32, cells: u32, pixels: u32) -> Range<u32> {
    let (cell, cells, pixels) = (u64::from(cell), u64::from(cells), u64::from(pixels));
    (cell * pixels / cells) as u32..((cell + 1) * pixels).div_ceil(cells) as u32
}

/// Returns the weight of each of those pixels. They add up to [`WHOLE`] exactly, so that an area of one colour keeps it.
fn weights(cell: u32, cells: u32, pixels: u32) -> impl Iterator<Item = u16> {
    let range = covered(cell, cells, pixels);
    let (start, cells, pixels) = (u64::from(cell) * u64::from(pixels), u64::from(cells), u64::from(pixels));
    // The weight of the part of the cell that is left of a place, in units of `1 / cells` of a pixel.
    let share = move |place: u64| place.clamp(start, start + pixels).wrapping_sub(start) * WHOLE / pixels;
    range.map(move |pixel| (share((u64::from(pixel) + 1) * cells) - share(u64::from(pixel) * cells)) as u16)
}

/// Computes rows of cells, and keeps the buffers for that.
pub(super) struct Cells {
    layout: Option<Layout>,
    /// A row of the display.
    rgba: Vec<u8>,
    /// The number of that row. It is kept because two neighbouring rows of cells may share it.
    row: Option<u32>,
    /// For each channel of a row of the display, the sum over the rows that a row of cells covers.
    sums: Vec<u16>,
    /// For each cell of a row, the first pixel that it covers and the number of pixels; and the weights of all these pixels.
    columns: Vec<(usize, usize)>,
    weights: Vec<u16>,
    shrunk: Vec<u8>,
}

impl Cells {
    pub(super) fn new(canvas: Size) -> Cells {
        Cells {
            layout: None,
            rgba: vec![0; canvas.width as usize * 4],
            row: None,
            sums: Vec::new(),
            columns: Vec::new(),
            weights: Vec::new(),
            shrunk: Vec::new(),
        }
    }

    /// Begins a frame: rows that were read before may have been drawn on.
    pub(super) fn begin(&mut self, layout: &Layout) {
        self.row = None;
        if self.layout == Some(*layout) {
            return;
        }
        self.layout = Some(*layout);
        self.columns.clear();
        self.weights.clear();
        if layout.is_shrunk() {
            let (cells, pixels) = (layout.columns, layout.canvas.width);
            for cell in 0..cells {
                let range = covered(cell, cells, pixels);
                self.columns.push((range.start as usize, range.len()));
                self.weights.extend(weights(cell, cells, pixels));
            }
            self.sums.resize(self.rgba.len(), 0);
            self.shrunk.resize(cells as usize * 4, 0);
        }
    }

    /// Returns a row of cells as bytes R, G, B, 255.
    pub(super) fn row(&mut self, framebuffer: &Framebuffer, row: u32) -> &[u8] {
        let Some(layout) = self.layout.filter(Layout::is_shrunk) else {
            rgba_row(framebuffer, row, &mut self.rgba);
            return &self.rgba;
        };
        let (cells, pixels) = (layout.rows, layout.canvas.height);
        let rows = covered(row, cells, pixels);
        for (n, (y, weight)) in rows.zip(weights(row, cells, pixels)).enumerate() {
            if self.row != Some(y) {
                rgba_row(framebuffer, y, &mut self.rgba);
                self.row = Some(y);
            }
            let channels = self.sums.iter_mut().zip(&self.rgba);
            if n == 0 {
                channels.for_each(|(sum, &channel)| *sum = u16::from(channel) * weight);
            } else {
                channels.for_each(|(sum, &channel)| *sum += u16::from(channel) * weight);
            }
        }
        let (mut weights, sums) = (self.weights.as_slice(), self.sums.as_chunks::<4>().0);
        for (cell, &(first, count)) in self.shrunk.as_chunks_mut::<4>().0.iter_mut().zip(&self.columns) {
            let (of_cell, others) = weights.split_at(count);
            weights = others;
            let mut total = [1u32 << 15; 4];
            for (pixel, &weight) in sums[first..first + count].iter().zip(of_cell) {
                for (total, &sum) in total.iter_mut().zip(pixel) {
                    *total += u32::from(sum) * u32::from(weight);
                }
            }
            *cell = total.map(|total| (total >> 16) as u8);
        }
        &self.shrunk
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use draw_protocol::Color;
    use proptest::prelude::*;

    /// The grey of each letter of a picture.
    const GREYS: [(char, u8); 5] = [(' ', 0), ('.', 64), (':', 128), ('+', 191), ('#', 255)];

    /// Draws a picture, shows it in a window, and returns what is seen: for each cell the letter whose grey is nearest.
    fn shown(picture: &[&str], width: u32, height: u32) -> Vec<String> {
        let canvas = Size { width: picture[0].len() as u32, height: picture.len() as u32 };
        let framebuffer = Framebuffer::new(canvas, Color::BLACK).unwrap();
        for (y, row) in picture.iter().enumerate() {
            for (x, letter) in row.chars().enumerate() {
                let (_, grey) = GREYS.into_iter().find(|&(known, _)| known == letter).unwrap();
                let color = Color::rgba(grey, grey, grey, 255);
                framebuffer.draw_pixel(x as i32, y as i32, color, &mut framebuffer.no_damage());
            }
        }
        let layout = Layout::new(Size { width, height }, canvas);
        let mut cells = Cells::new(canvas);
        cells.begin(&layout);
        let letter = |grey: u8| GREYS.into_iter().min_by_key(|(_, known)| known.abs_diff(grey)).unwrap().0;
        let row =
            |y| cells.row(&framebuffer, y).as_chunks::<4>().0.iter().map(|[r, ..]| letter(*r)).collect();
        (0..layout.rows).map(row).collect()
    }

    #[test]
    #[rustfmt::skip]
    fn as_large_as_the_display_or_larger_a_cell_is_a_pixel() {
        let picture = [
            "# .",
            ":+#",
        ];
        assert_eq!(shown(&picture, 3, 2), picture);
        assert_eq!(shown(&picture, 7, 5), picture);
    }

    #[test]
    #[rustfmt::skip]
    fn half_as_large_a_cell_is_the_average_of_four_pixels() {
        assert_eq!(shown(&[
            "####  ",
            "####  ",
            "#  #  ",
            "    ##",
        ], 3, 2), [
            "## ",
            "..:",
        ]);
    }

    #[test]
    #[rustfmt::skip]
    fn a_line_of_one_pixel_becomes_fainter_and_stays() {
        // A minus sign, a column and a frame, in a window that is a quarter smaller.
        assert_eq!(shown(&[
            "########",
            "#      #",
            "#      #",
            "# ###  #",
            "#      #",
            "#    # #",
            "#    # #",
            "########",
        ], 6, 6), [
            "#++++#",
            "+    +",
            "+.+: +",
            "+    +",
            "+  .:+",
            "#++++#",
        ]);
    }

    #[test]
    fn of_two_pixels_in_one_cell_both_count() {
        assert_eq!(shown(&["# "], 1, 1), [":"]);
        assert_eq!(shown(&["   #"], 1, 1), ["."]);
        assert_eq!(shown(&["#", " ", "#", "#"], 1, 1), ["+"]);
    }

    proptest! {
        #[test]
        fn weights_are_the_areas_and_nothing_is_left_out(pixels in 1u32..5000, part in 1u32..5000) {
            let cells = part.min(pixels);
            let mut seen = 0;
            for cell in [0, cells / 3, cells / 2, cells - 1] {
                let range = covered(cell, cells, pixels);
                let weights: Vec<u16> = weights(cell, cells, pixels).collect();
                prop_assert_eq!(range.len(), weights.len());
                prop_assert_eq!(weights.iter().map(|&weight| u64::from(weight)).sum::<u64>(), WHOLE);
                for (pixel, weight) in range.clone().zip(weights) {
                    // The part of the cell that the pixel is, exactly.
                    let (cell, pixel) = (f64::from(cell), f64::from(pixel));
                    let side = f64::from(pixels) / f64::from(cells);
                    let area = (pixel + 1.0).min((cell + 1.0) * side) - pixel.max(cell * side);
                    prop_assert!((f64::from(weight) - area / side * WHOLE as f64).abs() <= 1.001);
                }
                prop_assert!(cell == 0 || range.start < range.end);
                seen = seen.max(range.end);
            }
            prop_assert_eq!(seen, pixels);
        }

        #[test]
        fn one_colour_stays_that_colour(w in 1u32..80, h in 1u32..80, color: [u8; 3]) {
            let canvas = Size { width: 83, height: 57 };
            let [r, g, b] = color;
            let framebuffer = Framebuffer::new(canvas, Color::rgba(r, g, b, 255)).unwrap();
            let (layout, mut cells) = (Layout::new(Size { width: w, height: h }, canvas), Cells::new(canvas));
            cells.begin(&layout);
            for row in 0..layout.rows {
                let row = cells.row(&framebuffer, row);
                prop_assert!(row.as_chunks::<4>().0.iter().all(|cell| *cell == [r, g, b, 255]));
            }
        }
    }
}
