//! Colours: four bytes red, green, blue, alpha; one number 0xRRGGBBAA on the wire; `#rrggbbaa` in text.

use std::fmt;
use std::str::FromStr;

/// A colour with alpha. On the wire it is the number 0xRRGGBBAA, in a framebuffer the bytes R, G, B, A.
///
/// Drawing stores a colour as it is: alpha is kept, not blended. The order is red, green, blue, **alpha**: opaque red is the
/// number 0xff0000ff. Six digits, as in 0xff0000, are green with alpha 0, which is invisible; `DRAW_DEBUG=1` and
/// `DRAW_DOCTOR=1` say so.
///
/// ```
/// use draw_protocol::Color;
/// assert_eq!(Color::RED.to_u32(), 0xff00_00ff);
/// assert_eq!("#ff8000".parse(), Ok(Color::rgb(255, 128, 0)));
/// assert_eq!("teal".parse(), Ok(Color::rgb(0, 128, 128)));
/// assert_eq!(Color::RED.to_string(), "#ff0000ff");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Color {
    /// Red, 0 to 255.
    pub r: u8,
    /// Green, 0 to 255.
    pub g: u8,
    /// Blue, 0 to 255.
    pub b: u8,
    /// Alpha: 0 is transparent, 255 is opaque.
    pub a: u8,
}

/// The colour names that text may use: those of CSS 2.1, with their values (<https://www.w3.org/TR/CSS21/syndata.html#color-units>).
const NAMES: [(&str, Color); 18] = [
    ("aqua", Color::rgb(0, 255, 255)),
    ("black", Color::BLACK),
    ("blue", Color::BLUE),
    ("fuchsia", Color::rgb(255, 0, 255)),
    ("gray", Color::rgb(128, 128, 128)),
    ("green", Color::rgb(0, 128, 0)),
    ("lime", Color::rgb(0, 255, 0)),
    ("maroon", Color::rgb(128, 0, 0)),
    ("navy", Color::rgb(0, 0, 128)),
    ("olive", Color::rgb(128, 128, 0)),
    ("orange", Color::rgb(255, 165, 0)),
    ("purple", Color::rgb(128, 0, 128)),
    ("red", Color::RED),
    ("silver", Color::rgb(192, 192, 192)),
    ("teal", Color::rgb(0, 128, 128)),
    ("transparent", Color::rgba(0, 0, 0, 0)),
    ("white", Color::WHITE),
    ("yellow", Color::YELLOW),
];

impl Color {
    /// `#000000ff`
    pub const BLACK: Color = Color::rgb(0, 0, 0);
    /// `#ffffffff`
    pub const WHITE: Color = Color::rgb(255, 255, 255);
    /// `#ff0000ff`
    pub const RED: Color = Color::rgb(255, 0, 0);
    /// `#00ff00ff`: full green, which CSS calls lime.
    pub const GREEN: Color = Color::rgb(0, 255, 0);
    /// `#0000ffff`
    pub const BLUE: Color = Color::rgb(0, 0, 255);
    /// `#ffff00ff`
    pub const YELLOW: Color = Color::rgb(255, 255, 0);

    /// Returns the opaque colour that was probably meant, if this one has colour but is invisible since its alpha is 0: of
    /// 0xff0000 it is 0xff0000ff. The number 0, which erases, is no such colour.
    #[doc(hidden)]
    pub const fn invisible(self) -> Option<Color> {
        match (self.to_u32(), self.to_u32() << 8) {
            (0, _) => None,
            _ if self.a > 0 => None,
            // Six digits were written.
            (0x100.., rgb) if self.r == 0 => Some(Color::from_u32(rgb | 0xff)),
            _ => Some(Color { a: 255, ..self }),
        }
    }

    /// Creates an opaque colour.
    pub const fn rgb(r: u8, g: u8, b: u8) -> Color {
        Color { r, g, b, a: 255 }
    }

    /// Creates a colour with alpha, 0 transparent to 255 opaque.
    pub const fn rgba(r: u8, g: u8, b: u8, a: u8) -> Color {
        Color { r, g, b, a }
    }

    /// Creates a colour from the number 0xRRGGBBAA, as the wire has it: 0xff0000ff is opaque red. [`Color::rgb`] takes no
    /// alpha.
    #[inline]
    pub const fn from_u32(rgba: u32) -> Color {
        let [r, g, b, a] = rgba.to_be_bytes();
        Color { r, g, b, a }
    }

    /// Returns the number 0xRRGGBBAA.
    #[inline]
    pub const fn to_u32(self) -> u32 {
        u32::from_be_bytes(self.to_bytes())
    }

    /// Returns the bytes R, G, B, A, as a framebuffer and an image have them.
    #[inline]
    pub const fn to_bytes(self) -> [u8; 4] {
        [self.r, self.g, self.b, self.a]
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:08x}", self.to_u32())
    }
}

impl fmt::Debug for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that names no colour.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no colour: write rrggbb or rrggbbaa in hex, with or without #, or one of {names}", names = names())]
pub struct ParseColorError(String);

/// The sentence; `{:#?}` has the text as it was given.
impl fmt::Debug for ParseColorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f.debug_tuple("ParseColorError").field(&self.0).finish();
        }
        fmt::Display::fmt(self, f)
    }
}

fn names() -> String {
    NAMES.map(|(name, _)| name).join(", ")
}

impl FromStr for Color {
    type Err = ParseColorError;

    /// Reads `rrggbb` or `rrggbbaa`, with or without `#`, or a name, in either case.
    fn from_str(text: &str) -> Result<Color, ParseColorError> {
        let lower = text.to_ascii_lowercase();
        if let Some(&(_, color)) = NAMES.iter().find(|(name, _)| *name == lower) {
            return Ok(color);
        }
        let digits = lower.strip_prefix('#').unwrap_or(&lower);
        // from_str_radix would also take a sign.
        let number =
            digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok());
        match (digits.len(), number.flatten()) {
            (6, Some(rgb)) => Ok(Color::from_u32(rgb << 8 | 0xff)),
            (8, Some(rgba)) => Ok(Color::from_u32(rgba)),
            _ => Err(ParseColorError(text.chars().take(40).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_of_six_digits_is_told_from_one_that_erases() {
        for (color, meant) in [
            (0xff_0000, Some(0xff00_00ff)),
            (0x0080_ff00, Some(0x80ff_00ff)),
            (0xff00_0000, Some(0xff00_00ff)),
            (0, None),
            (0xff, None),
            (0xff00_0001, None),
        ] {
            assert_eq!(Color::from_u32(color).invisible().map(Color::to_u32), meant, "{color:#x}");
        }
    }

    #[test]
    fn text_forms_are_read() {
        for (text, want) in [
            ("ff0000", 0xff00_00ff),
            ("#ff0000", 0xff00_00ff),
            ("#FF000080", 0xff00_0080),
            ("01020304", 0x0102_0304),
            ("Navy", 0x0000_80ff),
            ("transparent", 0),
        ] {
            assert_eq!(text.parse::<Color>().map(Color::to_u32), Ok(want), "{text}");
        }
        for text in ["", "#", "#fff", "+f0000", "ff00000", "grue", "#ff0000ff0", "ff 000"] {
            let error = text.parse::<Color>().unwrap_err().to_string();
            assert!(error.contains("rrggbbaa") && error.contains("teal"), "{error}");
        }
    }

    #[test]
    fn every_colour_survives_its_text() {
        for n in [0, 1, 0xff, 0x0102_0304, 0xffff_ffff, 0x8000_0000] {
            let color = Color::from_u32(n);
            assert_eq!(color.to_string().parse(), Ok(color));
            assert_eq!(color.to_bytes(), n.to_be_bytes());
        }
    }
}
