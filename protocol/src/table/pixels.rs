//! Pixels, and runs of them as they cross the wire: 8 bytes each, big-endian.

use crate::codec::reader::{Reader, Unexpected};
use crate::fault::Fault;
use crate::types::Color;

/// One pixel to draw. `(0, 0)` is the top left corner, y grows downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Pixel {
    /// Column.
    pub x: u16,
    /// Row.
    pub y: u16,
    /// What to store there. For `add_pixels`: how much to add, see [`Pixel::adding`].
    pub color: Color,
}

impl Pixel {
    /// Bytes of one pixel in a run: `x: u16, y: u16, color: u32`, each in network byte order.
    pub const SIZE: usize = 8;

    /// Returns a pixel at `(x, y)`.
    pub const fn new(x: u16, y: u16, color: Color) -> Pixel {
        Pixel { x, y, color }
    }

    /// Returns a pixel at `(x, y)`, numbers of any integer type.
    ///
    /// A coordinate that does not fit becomes 65,535, which is outside every display: the error of the call names the pixel by
    /// its index.
    ///
    /// ```
    /// use draw_protocol::{Color, Pixel};
    ///
    /// let (center, radius) = (320_i32, 50_usize);
    /// assert_eq!(Pixel::at(center, radius, Color::RED), Pixel::new(320, 50, Color::RED));
    /// assert_eq!(Pixel::at(center - 400, radius, Color::RED).x, 65_535);
    /// ```
    #[inline]
    pub fn at(x: impl TryInto<u16>, y: impl TryInto<u16>, color: Color) -> Pixel {
        Pixel { x: x.try_into().unwrap_or(u16::MAX), y: y.try_into().unwrap_or(u16::MAX), color }
    }

    /// Creates the record of `add_pixels` at `(x, y)`: in its records the amount stands in place of the colour.
    pub const fn adding(x: u16, y: u16, amount: u32) -> Pixel {
        Pixel { x, y, color: Color::from_u32(amount) }
    }

    /// Its record in a run.
    #[inline]
    pub const fn to_bytes(self) -> [u8; Pixel::SIZE] {
        // As one number it is a few instructions, byte by byte it is twenty.
        ((self.x as u64) << 48 | (self.y as u64) << 32 | self.color.to_u32() as u64).to_be_bytes()
    }

    /// Creates a pixel from its record in a run.
    #[inline]
    pub const fn from_bytes(record: [u8; Pixel::SIZE]) -> Pixel {
        let number = u64::from_be_bytes(record);
        Pixel { x: (number >> 48) as u16, y: (number >> 32) as u16, color: Color::from_u32(number as u32) }
    }
}

/// The pixels of a `draw_pixels` or an `add_pixels`, borrowed from where they are.
#[derive(Debug, Clone, Copy)]
pub struct Pixels<'a>(Form<'a>);

#[derive(Debug, Clone, Copy)]
enum Form<'a> {
    /// As a program has them.
    Slice(&'a [Pixel]),
    /// As records of [`Pixel::SIZE`] bytes; the length is a multiple.
    Run(&'a [u8]),
    /// As an array of `count` arrays `[x, y, color]`, all of them checked.
    Listed { array: Reader<'a>, count: u32 },
}

impl<'a> From<&'a [Pixel]> for Pixels<'a> {
    fn from(pixels: &'a [Pixel]) -> Pixels<'a> {
        Pixels(Form::Slice(pixels))
    }
}

impl<'a> Pixels<'a> {
    /// Records of [`Pixel::SIZE`] bytes, as they cross the wire.
    pub(crate) fn of_run(records: &'a [u8]) -> Pixels<'a> {
        debug_assert!(records.len().is_multiple_of(Pixel::SIZE));
        Pixels(Form::Run(records))
    }

    /// Takes records as [`Pixel::to_bytes`] makes them: as they cross the wire, and the fastest to draw.
    pub fn from_records(records: &'a [[u8; Pixel::SIZE]]) -> Pixels<'a> {
        Pixels::of_run(records.as_flattened())
    }

    /// Returns the number of pixels.
    pub fn len(&self) -> usize {
        match self.0 {
            Form::Slice(pixels) => pixels.len(),
            Form::Run(bytes) => bytes.len() / Pixel::SIZE,
            Form::Listed { count, .. } => count as usize,
        }
    }

    /// Returns whether there are no pixels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the records of a run as they arrived, the fastest form to draw. `None` if they arrived in another form.
    pub fn as_run(&self) -> Option<&'a [u8]> {
        match self.0 {
            Form::Run(bytes) => Some(bytes),
            Form::Slice(_) | Form::Listed { .. } => None,
        }
    }

    /// Iterates over the pixels as `(x, y, color)`. The coordinates of an array may lie outside what a [`Pixel`] can hold.
    pub fn iter(&self) -> impl Iterator<Item = (i32, i32, Color)> + use<'a> {
        let form = self.0;
        let mut listed = match form {
            Form::Listed { array, .. } => array,
            _ => Reader::new(&[]),
        };
        (0..self.len()).map(move |i| {
            let pixel = match form {
                Form::Slice(pixels) => pixels[i],
                Form::Run(bytes) => Pixel::from_bytes(bytes.as_chunks().0[i]),
                Form::Listed { .. } => return triple(&mut listed).expect("checked by decode"),
            };
            (i32::from(pixel.x), i32::from(pixel.y), pixel.color)
        })
    }

    /// Splits after the first `n` pixels. Pixels in an array are not split: they are one whole message.
    pub(crate) fn split_at(self, n: usize) -> (Pixels<'a>, Pixels<'a>) {
        let n = n.min(self.len());
        match self.0 {
            Form::Slice(pixels) => {
                let (a, b) = pixels.split_at(n);
                (Pixels(Form::Slice(a)), Pixels(Form::Slice(b)))
            }
            Form::Run(bytes) => {
                let (a, b) = bytes.split_at(n * Pixel::SIZE);
                (Pixels(Form::Run(a)), Pixels(Form::Run(b)))
            }
            Form::Listed { .. } => (self, Pixels(Form::Slice(&[]))),
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let records = self.len() * Pixel::SIZE;
        crate::codec::envelope::write_bin_header(out, records);
        match self.0 {
            Form::Run(bytes) => out.extend_from_slice(bytes),
            Form::Slice(pixels) => {
                let start = out.len();
                out.resize(start + records, 0);
                // Into place, for `extend` asks for room at each. Clearing the place first costs next to nothing. As two
                // halves, of which the colour is only copied, it is 10 instructions a pixel and not 13.
                let (places, _) = out[start..].as_chunks_mut::<{ Pixel::SIZE }>();
                for (record, pixel) in places.iter_mut().zip(pixels) {
                    let place = u32::from(pixel.x) << 16 | u32::from(pixel.y);
                    record[..4].copy_from_slice(&place.to_be_bytes());
                    record[4..].copy_from_slice(&pixel.color.to_bytes());
                }
            }
            Form::Listed { .. } => {
                // What a u16 cannot hold lies outside every display; so does 65,535, since sides are at most that.
                for (x, y, color) in self.iter() {
                    out.extend_from_slice(&Pixel::at(x, y, color).to_bytes());
                }
            }
        }
    }

    /// Returns the number of pixels, and the first ones up to `most`, read from bytes that may end within them.
    pub(crate) fn first(reader: &mut Reader<'a>, most: usize) -> Result<(u32, Pixels<'a>), Fault> {
        let mut array = *reader;
        if let Ok(count) = array.array() {
            *reader = array;
            let mut listed = array;
            let whole = (0..count).take(most).take_while(|_| triple(&mut listed).is_ok()).count();
            return Ok((count, Pixels(Form::Listed { array, count: whole as u32 })));
        }
        let (length, there) = reader.announced().map_err(|what| wrong(&what))?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        check_length(length)?;
        let whole = (there.len() / Pixel::SIZE).min(most) * Pixel::SIZE;
        let count = u32::try_from(length / Pixel::SIZE).unwrap_or(u32::MAX);
        Ok((count, Pixels::of_run(&there[..whole])))
    }

    /// Reads a run, or the array that hand-written clients send, and checks all of it but how many there are: see
    /// [`Request::check`](crate::Request::check).
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Pixels<'a>, Fault> {
        if reader.is_bytes() {
            let bytes = reader.bytes().map_err(|what| wrong(&what))?;
            check_length(bytes.len())?;
            return Ok(Pixels(Form::Run(bytes)));
        }
        let count = reader.array().map_err(|what| wrong(&what))?;
        let array = *reader;
        for i in 0..count {
            triple(reader).map_err(|Unexpected(what)| {
                Fault::invalid(format!("pixels[{i}] is to be an array [x, y, color], not {what}"))
            })?;
        }
        Ok(Pixels(Form::Listed { array, count }))
    }
}

/// Checks that a run consists of whole records.
fn check_length(bytes: usize) -> Result<(), Fault> {
    if bytes.is_multiple_of(Pixel::SIZE) {
        return Ok(());
    }
    Err(Fault::invalid(format!(
        "pixels has {bytes} bytes, which is no multiple of {}: a pixel is x: u16, y: u16, color: u32, big-endian",
        Pixel::SIZE
    )))
}

fn wrong(Unexpected(what): &Unexpected) -> Fault {
    Fault::invalid(format!(
        "pixels is to be a bin of 8-byte records or an array of [x, y, color], not {what}"
    ))
}

/// Reads one `[x, y, color]`. Coordinates that no display has are kept outside of every display.
fn triple(reader: &mut Reader<'_>) -> Result<(i32, i32, Color), Unexpected> {
    let count = reader.array()?;
    if count != 3 {
        return Err(Unexpected(format!("an array of {count}")));
    }
    let mut coordinate = || -> Result<i32, Unexpected> {
        let n = reader.int()?;
        Ok(n.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32)
    };
    let (x, y) = (coordinate()?, coordinate()?);
    let color = reader.int()?;
    let color = u32::try_from(color).map_err(|_| Unexpected(format!("the colour {color}")))?;
    Ok((x, y, Color::from_u32(color)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: [Pixel; 2] =
        [Pixel::new(1, 2, Color::RED), Pixel::new(640, 65_535, Color::from_u32(0x0102_0304))];

    #[test]
    fn a_run_is_in_network_byte_order() {
        let mut out = Vec::new();
        Pixels::from(&TWO[..]).encode(&mut out);
        assert_eq!(
            out,
            [0xc4, 16, 0, 1, 0, 2, 255, 0, 0, 255, 2, 128, 255, 255, 1, 2, 3, 4],
            "bin 8, 16 bytes, then x, y, R, G, B, A"
        );
        let pixels = Pixels::decode(&mut Reader::new(&out)).unwrap();
        assert_eq!(pixels.as_run(), Some(&out[2..]));
        assert_eq!(pixels.iter().nth(1), Some((640, 65_535, TWO[1].color)));
    }

    #[test]
    fn an_array_of_triples_is_accepted() {
        // [[1, 2, 0xff0000ff], [-1, 70000, 1.0]]
        let bytes = [
            &[0x92, 0x93, 0x01, 0x02, 0xce, 0xff, 0, 0, 0xff][..],
            &[0x93, 0xff, 0xce, 0, 1, 0x11, 0x70, 0xca, 0x3f, 0x80, 0, 0],
        ]
        .concat();
        let pixels = Pixels::decode(&mut Reader::new(&bytes)).unwrap();
        let all: Vec<_> = pixels.iter().collect();
        assert_eq!(all, [(1, 2, Color::RED), (-1, 70_000, Color::from_u32(1))]);
        let mut out = Vec::new();
        pixels.encode(&mut out);
        let again = Pixels::decode(&mut Reader::new(&out)).unwrap();
        assert_eq!(again.iter().next(), Some((1, 2, Color::RED)));
    }

    #[test]
    fn a_coordinate_of_any_type_that_does_not_fit_is_outside_every_display() {
        let color = Color::RED;
        assert_eq!(Pixel::at(7_i32, 8_usize, color), Pixel::new(7, 8, color));
        assert_eq!(Pixel::at(65_534_u32, 0_u16, color), Pixel::new(65_534, 0, color));
        for far in [-1, 65_536, i64::MIN, i64::MAX] {
            assert_eq!(Pixel::at(far, 3_u8, color), Pixel::new(65_535, 3, color));
            assert_eq!(Pixel::at(3_i8, far, color), Pixel::new(3, 65_535, color));
        }
    }

    #[test]
    fn what_is_no_pixels_is_refused_whole() {
        for (bytes, says) in [
            (&[0xc4, 3, 1, 2, 3][..], "3 bytes, which is no multiple of 8"),
            (&[0xc0], "not nil"),
            (&[0x05], "not 5"),
            (&[0x91, 0x92, 1, 2], "pixels[0] is to be an array [x, y, color], not an array of 2"),
            (&[0x91, 0x93, 1, 2, 0xff], "not the colour -1"),
            (&[0x91, 0x93, 1, 0xa1, b'y', 3], "not a string of 1 bytes"),
        ] {
            let fault = Pixels::decode(&mut Reader::new(bytes)).unwrap_err();
            assert_eq!(fault.code, crate::Code::InvalidArgument);
            assert!(fault.message.contains(says), "{fault}");
        }
    }
}
