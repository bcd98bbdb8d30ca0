//! Draws lines of text into rectangles of window pixels, with a bitmap font.

use draw_protocol::Size;
use embedded_graphics::Drawable;
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size as Area};
use embedded_graphics::mono_font::iso_8859_1::FONT_7X13;
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::text::{Baseline, Text};
use std::convert::Infallible;

const FONT: &MonoFont<'_> = &FONT_7X13;
/// Font pixels between the text and the edge of the panel.
const PADDING: u32 = 6;
/// Font pixels from one line to the next.
const LINE: u32 = FONT.character_size.height + 2;
/// The fewest columns that text can be read in.
const COLUMNS: u32 = 12;
/// The colours, as bytes R, G, B, 255.
const TEXT: [u8; 4] = [0xf0, 0xf0, 0xf0, 255];
const BACKGROUND: [u8; 4] = [0x14, 0x18, 0x20, 255];

/// Where in a window a panel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    TopLeft,
    Middle,
    Bottom,
}

/// An opaque rectangle of window pixels, which lies over the picture. It is within the window that it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::window) struct Panel {
    /// The window's column where it begins, and its row.
    pub(in crate::window) left: u32,
    pub(in crate::window) top: u32,
    pub(in crate::window) size: Size,
    /// Bytes R, G, B, 255, rows from the top.
    pub(in crate::window) rgba: Vec<u8>,
}

impl Panel {
    /// Draws lines of text for a window, each font pixel as a square of up to `zoom` window pixels. Lines that are too long are
    /// continued on the next one, and those for which there is no room are left out. `None` if the window is too small
    /// for any text.
    pub(super) fn new(lines: &[String], place: Place, window: Size, zoom: u32) -> Option<Panel> {
        let room = |zoom: u32| {
            let cells = |side: u32, cell: u32| (side / zoom).saturating_sub(2 * PADDING) / cell;
            (cells(window.width, FONT.character_size.width), cells(window.height, LINE))
        };
        let longest = lines.iter().map(|line| line.chars().count()).max()?;
        let fits = |zoom: u32| room(zoom).0 as usize >= longest && room(zoom).1 as usize >= lines.len();
        // Rather small than broken.
        let zoom = (1..=zoom).rev().find(|&zoom| fits(zoom)).unwrap_or(1);
        let (columns, rows) = room(zoom);
        if rows == 0 || (columns as usize) < longest.min(COLUMNS as usize) {
            return None;
        }
        let mut wrapped = wrap(lines, columns as usize);
        wrapped.truncate(rows as usize);
        let width = wrapped.iter().map(|line| line.chars().count()).max()? as u32;
        let sheet = Size {
            width: width * FONT.character_size.width + 2 * PADDING,
            height: wrapped.len() as u32 * LINE + 2 * PADDING,
        };
        let mut letters = Letters { size: sheet, bits: vec![false; (sheet.width * sheet.height) as usize] };
        let style = MonoTextStyle::new(FONT, BinaryColor::On);
        for (line, y) in wrapped.iter().zip((PADDING + 1..).step_by(LINE as usize)) {
            let at = Point::new(PADDING as i32, y as i32);
            // It cannot fail.
            _ = Text::with_baseline(line, at, style, Baseline::Top).draw(&mut letters);
        }
        let size = Size { width: sheet.width * zoom, height: sheet.height * zoom };
        let (beside, above) = (window.width - size.width, window.height - size.height);
        let edge = |room: u32| room.min(PADDING * zoom);
        let (left, top) = match place {
            Place::TopLeft => (edge(beside), edge(above)),
            Place::Middle => (beside / 2, above / 2),
            Place::Bottom => (beside / 2, above - edge(above)),
        };
        Some(Panel { left, top, size, rgba: letters.enlarged(zoom as usize) })
    }

    /// Returns its part of a row of the window, as bytes R, G, B, 255, if it has any.
    pub(in crate::window) fn row(&self, y: u32) -> Option<&[u8]> {
        let stride = self.size.width as usize * 4;
        self.rgba.chunks_exact(stride).nth(y.checked_sub(self.top)? as usize)
    }
}

/// Font pixels: whether each belongs to a letter.
struct Letters {
    size: Size,
    bits: Vec<bool>,
}

impl Letters {
    /// Returns bytes R, G, B, 255, each font pixel as a square of `zoom` pixels.
    fn enlarged(&self, zoom: usize) -> Vec<u8> {
        let color = |bit: bool| if bit { TEXT } else { BACKGROUND };
        let row =
            |bits: &[bool]| -> Vec<u8> { bits.iter().flat_map(|&bit| color(bit).repeat(zoom)).collect() };
        self.bits.chunks(self.size.width as usize).flat_map(|bits| row(bits).repeat(zoom)).collect()
    }
}

impl OriginDimensions for Letters {
    fn size(&self) -> Area {
        Area::new(self.size.width, self.size.height)
    }
}

impl DrawTarget for Letters {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<BinaryColor>>,
    {
        let Size { width, height } = self.size;
        for Pixel(Point { x, y }, color) in pixels {
            if let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y))
                && x < width
                && y < height
            {
                self.bits[(y * width + x) as usize] = color.is_on();
            }
        }
        Ok(())
    }
}

/// Breaks lines that are longer than `columns` characters: between words, or within a word that is longer.
fn wrap(lines: &[String], columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut wrapped = Vec::new();
    for line in lines {
        let mut rest: Vec<char> = line.chars().collect();
        while rest.len() > columns {
            let space = rest[..=columns].iter().rposition(|&c| c == ' ').filter(|&at| at > 0);
            let after = rest.split_off(space.unwrap_or(columns));
            wrapped.push(rest.into_iter().collect());
            rest = after.into_iter().skip(usize::from(space.is_some())).collect();
        }
        wrapped.push(rest.into_iter().collect());
    }
    wrapped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strings(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    fn panel(lines: &[&str], place: Place, (width, height): (u32, u32), zoom: u32) -> Option<Panel> {
        Panel::new(&strings(lines), place, Size { width, height }, zoom)
    }

    /// The panel as text: `#` for a letter's pixel.
    fn picture(panel: &Panel) -> Vec<String> {
        let letter = |pixel: &[u8; 4]| if *pixel == TEXT { '#' } else { '.' };
        let row = |y| panel.row(y).unwrap().as_chunks::<4>().0.iter().map(letter).collect();
        (panel.top..panel.top + panel.size.height).map(row).collect()
    }

    #[test]
    #[rustfmt::skip]
    fn text_is_drawn_with_a_padding() {
        let panel = panel(&["Hi"], Place::TopLeft, (200, 100), 1).unwrap();
        assert_eq!((panel.left, panel.top, panel.size), (6, 6, Size { width: 26, height: 27 }));
        assert_eq!(picture(&panel)[6..21], [
            "..........................",
            "..........................",
            "..........................",
            "......#....#..............",
            "......#....#....#.........",
            "......#....#..............",
            "......#....#...##.........",
            "......######....#.........",
            "......#....#....#.........",
            "......#....#....#.........",
            "......#....#....#.........",
            "......#....#..#####.......",
            "..........................",
            "..........................",
            "..........................",
        ]);
    }

    #[test]
    fn each_font_pixel_is_a_square_where_there_is_room() {
        let small = panel(&["Hi"], Place::TopLeft, (200, 100), 1).unwrap();
        let large = panel(&["Hi"], Place::TopLeft, (200, 100), 3).unwrap();
        assert_eq!(large.size, Size { width: 78, height: 81 });
        for (n, row) in picture(&large).iter().enumerate() {
            let wanted: String = picture(&small)[n / 3].chars().flat_map(|c| [c; 3]).collect();
            assert_eq!(*row, wanted);
        }
        assert_eq!(panel(&["Hi"], Place::TopLeft, (60, 100), 3).unwrap().size.width, 52, "zoom 2 fits");
        assert_eq!(panel(&["Hi"], Place::TopLeft, (200, 30), 3).unwrap().size.width, 26, "zoom 1 fits");
    }

    #[test]
    fn a_panel_is_where_it_is_said_to_be() {
        for (place, left, top) in [(Place::TopLeft, 6, 6), (Place::Middle, 37, 36), (Place::Bottom, 37, 67)] {
            let panel = panel(&["Hi"], place, (100, 100), 1).unwrap();
            assert_eq!((panel.left, panel.top), (left, top), "{place:?}");
            assert!(panel.row(top - 1).is_none() && panel.row(top + 27).is_none());
            assert_eq!(panel.row(top).unwrap().len(), 26 * 4);
        }
        let tight = panel(&["Hi"], Place::Bottom, (26, 27), 1).unwrap();
        assert_eq!((tight.left, tight.top), (0, 0));
    }

    #[test]
    fn a_window_too_small_for_text_has_no_panel() {
        assert_eq!(panel(&[], Place::Middle, (100, 100), 1), None);
        assert_eq!(panel(&["Hi"], Place::Middle, (25, 100), 1), None);
        assert_eq!(panel(&["Hi"], Place::Middle, (100, 26), 1), None);
        assert_eq!(panel(&["a sentence of words"], Place::Middle, (64, 48), 1), None);
        assert_eq!(panel(&["Hi"], Place::Middle, (0, 0), 4), None);
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let of = |line: &str| wrap(&strings(&[line]), 10);
        assert_eq!(of("0123456789"), ["0123456789"]);
        assert_eq!(of("012 456 89 and more"), ["012 456 89", "and more"]);
        assert_eq!(of("012 456 890 and"), ["012 456", "890 and"]);
        assert_eq!(of("a_word_that_is_long"), ["a_word_tha", "t_is_long"]);
        assert_eq!(of(""), [""]);
        let narrow = panel(&["one two three"], Place::TopLeft, (6 * 2 + 12 * 7, 100), 1).unwrap();
        assert_eq!(narrow.size, Size { width: 12 + 7 * 7, height: 12 + 2 * LINE });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_is_within_the_window(lines in proptest::collection::vec("[ -~\\u{a0}-\\u{17f}]{0,60}", 0..8), w in 0u32..700,
                                   h in 0u32..300, zoom in 0u32..5) {
            for place in [Place::TopLeft, Place::Middle, Place::Bottom] {
                let Some(panel) = Panel::new(&lines, place, Size { width: w, height: h }, zoom) else { continue };
                let Panel { left, top, size, rgba } = panel;
                prop_assert!(left + size.width <= w && top + size.height <= h);
                prop_assert_eq!(rgba.len(), (size.width * size.height * 4) as usize);
                prop_assert!(size.width > 0 && size.height > 0);
            }
        }
    }
}
