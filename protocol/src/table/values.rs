//! How the parameters of requests and the values of answers are written and read.

use super::pixels::Pixels;
use crate::codec::reader::{Reader, Unexpected};
use crate::fault::Fault;
use crate::types::{Color, Digest, Position, Size};
use std::fmt;

/// How much data a call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count<const UNIT: char>(pub u32);

impl<const UNIT: char> fmt::Display for Count<UNIT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if UNIT == 'p' { "pixel" } else { "byte" };
        write!(f, "{} {unit}{}", self.0, if self.0 == 1 { "" } else { "s" })
    }
}

impl<const UNIT: char> Count<UNIT> {
    fn of(length: usize) -> Count<UNIT> {
        Count(u32::try_from(length).unwrap_or(u32::MAX))
    }
}

/// A parameter of a request.
pub(super) trait Parameter<'a>: Sized {
    type Kept;
    fn encode(&self, out: &mut Vec<u8>);
    /// Appends the value, but of bytes only the header.
    fn encode_lending(&self, out: &mut Vec<u8>) {
        self.encode(out);
    }
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<Self, Fault>;
    fn keep(&self) -> Self::Kept;
    /// Reads what [`Call`](super::Call) keeps of it, from bytes that may end within its data.
    fn glance(reader: &mut Reader<'a>, name: &str) -> Result<Self::Kept, Fault> {
        Self::decode(reader, name).map(|parameter| parameter.keep())
    }
}

/// Reads a whole number within `T`; says what was wanted otherwise.
fn whole<T: TryFrom<i64>>(reader: &mut Reader<'_>, name: &str, wanted: &str) -> Result<T, Fault> {
    let refuse = |what: String| Fault::invalid(format!("{name} is to be {wanted}, not {what}"));
    let n = reader.int().map_err(|Unexpected(what)| refuse(what))?;
    T::try_from(n).map_err(|_| refuse(n.to_string()))
}

impl<'a> Parameter<'a> for i32 {
    type Kept = i32;
    fn encode(&self, out: &mut Vec<u8>) {
        crate::codec::envelope::write_int(out, i64::from(*self));
    }
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<i32, Fault> {
        whole(reader, name, "a whole number from -2147483648 to 2147483647")
    }
    fn keep(&self) -> i32 {
        *self
    }
}

impl<'a> Parameter<'a> for u32 {
    type Kept = u32;
    fn encode(&self, out: &mut Vec<u8>) {
        crate::codec::envelope::write_int(out, i64::from(*self));
    }
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<u32, Fault> {
        whole(reader, name, "a whole number from 0 to 4294967295")
    }
    fn keep(&self) -> u32 {
        *self
    }
}

impl<'a> Parameter<'a> for Color {
    type Kept = Color;
    fn encode(&self, out: &mut Vec<u8>) {
        crate::codec::envelope::write_int(out, i64::from(self.to_u32()));
    }
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<Color, Fault> {
        whole(reader, name, "a number 0xRRGGBBAA, from 0 to 4294967295").map(Color::from_u32)
    }
    fn keep(&self) -> Color {
        *self
    }
}

fn no_bin(name: &str, Unexpected(what): &Unexpected) -> Fault {
    Fault::invalid(format!("{name} is to be a bin, not {what}"))
}

impl<'a> Parameter<'a> for &'a [u8] {
    type Kept = Count<'b'>;
    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_lending(out);
        out.extend_from_slice(self);
    }
    fn encode_lending(&self, out: &mut Vec<u8>) {
        crate::codec::envelope::write_bin_header(out, self.len());
    }
    fn decode(reader: &mut Reader<'a>, name: &str) -> Result<&'a [u8], Fault> {
        reader.bytes().map_err(|what| no_bin(name, &what))
    }
    fn keep(&self) -> Count<'b'> {
        Count::of(self.len())
    }
    fn glance(reader: &mut Reader<'a>, name: &str) -> Result<Count<'b'>, Fault> {
        let length = reader.announced().map_err(|what| no_bin(name, &what))?.0;
        Ok(Count(u32::try_from(length).unwrap_or(u32::MAX)))
    }
}

impl<'a> Parameter<'a> for Pixels<'a> {
    type Kept = Count<'p'>;
    fn encode(&self, out: &mut Vec<u8>) {
        Pixels::encode(self, out);
    }
    fn decode(reader: &mut Reader<'a>, _name: &str) -> Result<Pixels<'a>, Fault> {
        Pixels::decode(reader)
    }
    fn keep(&self) -> Count<'p'> {
        Count::of(self.len())
    }
    fn glance(reader: &mut Reader<'a>, _name: &str) -> Result<Count<'p'>, Fault> {
        Pixels::first(reader, 0).map(|(count, _)| Count(count))
    }
}

/// The value of an answer.
pub(super) trait Returned: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(reader: &mut Reader<'_>) -> Result<Self, Unexpected>;
}

impl Returned for () {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(0xc0);
    }
    fn read(reader: &mut Reader<'_>) -> Result<(), Unexpected> {
        reader.skip().map(|_| ())
    }
}

impl Returned for Color {
    fn write(&self, out: &mut Vec<u8>) {
        crate::codec::envelope::write_int(out, i64::from(self.to_u32()));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Color, Unexpected> {
        bounded(reader).map(Color::from_u32)
    }
}

impl Returned for Vec<u8> {
    fn write(&self, out: &mut Vec<u8>) {
        crate::codec::envelope::write_bin_header(out, self.len());
        out.extend_from_slice(self);
    }
    fn read(reader: &mut Reader<'_>) -> Result<Vec<u8>, Unexpected> {
        reader.bytes().map(<[u8]>::to_vec)
    }
}

impl Returned for Digest {
    fn write(&self, out: &mut Vec<u8>) {
        crate::codec::envelope::write_bin_header(out, Digest::SIZE);
        out.extend_from_slice(self.as_bytes());
    }
    fn read(reader: &mut Reader<'_>) -> Result<Digest, Unexpected> {
        let bytes = reader.bytes()?;
        let bytes: [u8; Digest::SIZE] =
            bytes.try_into().map_err(|_| Unexpected(format!("a digest of {} bytes", bytes.len())))?;
        Ok(Digest::from(bytes))
    }
}

impl Returned for Size {
    fn write(&self, out: &mut Vec<u8>) {
        crate::codec::envelope::write_array_header(out, 2);
        crate::codec::envelope::write_int(out, i64::from(self.width));
        crate::codec::envelope::write_int(out, i64::from(self.height));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Size, Unexpected> {
        pair(reader).map(|(width, height)| Size { width, height })
    }
}

impl Returned for Option<Position> {
    fn write(&self, out: &mut Vec<u8>) {
        let Some(Position { x, y }) = *self else { return out.push(0xc0) };
        crate::codec::envelope::write_array_header(out, 2);
        crate::codec::envelope::write_int(out, i64::from(x));
        crate::codec::envelope::write_int(out, i64::from(y));
    }
    fn read(reader: &mut Reader<'_>) -> Result<Option<Position>, Unexpected> {
        if reader.nil() {
            return Ok(None);
        }
        pair(reader).map(|(x, y)| Some(Position { x, y }))
    }
}

fn bounded<T: TryFrom<i64>>(reader: &mut Reader<'_>) -> Result<T, Unexpected> {
    let n = reader.int()?;
    T::try_from(n).map_err(|_| Unexpected(n.to_string()))
}

/// Reads the first two numbers of an array; later versions may append more.
fn pair<T: TryFrom<i64>>(reader: &mut Reader<'_>) -> Result<(T, T), Unexpected> {
    let count = reader.array()?;
    if count < 2 {
        return Err(Unexpected(format!("an array of {count}")));
    }
    let pair = (bounded(reader)?, bounded(reader)?);
    (2..count).try_for_each(|_| reader.skip().map(|_| ()))?;
    Ok(pair)
}
