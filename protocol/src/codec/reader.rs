//! Reads MessagePack values from a slice, forgiving in the ways that existing clients need.
//!
//! A whole number may come in any width, and as a float with a whole value; bytes may come as `bin` or as `str`,
//! in which invalid UTF-8 is no error.

use crate::codec::scan::header;
use crate::limits;
use rmp::Marker;

/// A cursor over MessagePack bytes whose boundaries a [`Scan`](crate::Scan) has checked. It still never trusts them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

const CUT_OFF: &str = "cut off";

/// The error for a value of another type than expected; describes the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unexpected(pub(crate) String);

impl Unexpected {
    /// Returns whether the bytes ended inside the value.
    pub(crate) fn is_cut_off(&self) -> bool {
        self.0 == CUT_OFF
    }
}

/// One value, its nested ones not read yet.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    Negative(i64),
    Float(f64),
    Str(&'a [u8]),
    Bin(&'a [u8]),
    Array(u32),
    Map(u32),
    Ext,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// Returns the unread bytes.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Unexpected> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or_else(|| Unexpected(CUT_OFF.into()))?;
        self.rest = rest;
        Ok(taken)
    }

    fn number(&mut self, width: usize) -> Result<u64, Unexpected> {
        Ok(self.take(width)?.iter().fold(0, |n, &b| n << 8 | u64::from(b)))
    }

    fn value(&mut self) -> Result<Value<'a>, Unexpected> {
        let signed = |n: i64| u64::try_from(n).map_or(Value::Negative(n), Value::Unsigned);
        let first = self.take(1)?[0];
        Ok(match Marker::from_u8(first) {
            Marker::FixPos(n) => Value::Unsigned(u64::from(n)),
            Marker::FixNeg(n) => Value::Negative(i64::from(n)),
            Marker::Null => Value::Nil,
            Marker::False => Value::Bool(false),
            Marker::True => Value::Bool(true),
            Marker::U8 => Value::Unsigned(self.number(1)?),
            Marker::U16 => Value::Unsigned(self.number(2)?),
            Marker::U32 => Value::Unsigned(self.number(4)?),
            Marker::U64 => Value::Unsigned(self.number(8)?),
            Marker::I8 => signed(i64::from(self.number(1)? as i8)),
            Marker::I16 => signed(i64::from(self.number(2)? as i16)),
            Marker::I32 => signed(i64::from(self.number(4)? as i32)),
            Marker::I64 => signed(self.number(8)? as i64),
            Marker::F32 => Value::Float(f64::from(f32::from_bits(self.number(4)? as u32))),
            Marker::F64 => Value::Float(f64::from_bits(self.number(8)?)),
            Marker::FixStr(n) => Value::Str(self.take(usize::from(n))?),
            Marker::Str8 => Value::Str(self.body(1)?),
            Marker::Str16 => Value::Str(self.body(2)?),
            Marker::Str32 => Value::Str(self.body(4)?),
            Marker::Bin8 => Value::Bin(self.body(1)?),
            Marker::Bin16 => Value::Bin(self.body(2)?),
            Marker::Bin32 => Value::Bin(self.body(4)?),
            Marker::FixArray(n) => Value::Array(u32::from(n)),
            Marker::Array16 => Value::Array(self.number(2)? as u32),
            Marker::Array32 => Value::Array(self.number(4)? as u32),
            Marker::FixMap(n) => Value::Map(u32::from(n)),
            Marker::Map16 => Value::Map(self.number(2)? as u32),
            Marker::Map32 => Value::Map(self.number(4)? as u32),
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Ext8 => self.ext_sized(1)?,
            Marker::Ext16 => self.ext_sized(2)?,
            Marker::Ext32 => self.ext_sized(4)?,
            Marker::Reserved => return Err(Unexpected("byte 0xc1".into())),
        })
    }

    fn body(&mut self, width: usize) -> Result<&'a [u8], Unexpected> {
        let length = self.number(width)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn ext(&mut self, length: usize) -> Result<Value<'a>, Unexpected> {
        self.take(length + 1)?;
        Ok(Value::Ext)
    }

    fn ext_sized(&mut self, width: usize) -> Result<Value<'a>, Unexpected> {
        let length = self.number(width)? as usize;
        self.ext(length)
    }

    /// Reads a whole number. One above `i64::MAX` reads as `i64::MAX`: no parameter is that large, so it is out of range either
    /// way.
    #[inline]
    pub(crate) fn int(&mut self) -> Result<i64, Unexpected> {
        // Nearly all numbers: a message of a single pixel has five.
        let (n, rest) = match *self.rest {
            [n @ ..=0x7f, ref rest @ ..] | [0xcc, n, ref rest @ ..] => (n.into(), rest),
            [0xcd, a, b, ref rest @ ..] => (u16::from_be_bytes([a, b]).into(), rest),
            [0xce, a, b, c, d, ref rest @ ..] => (u32::from_be_bytes([a, b, c, d]).into(), rest),
            _ => return self.other_int(),
        };
        self.rest = rest;
        Ok(n)
    }

    fn other_int(&mut self) -> Result<i64, Unexpected> {
        match self.value()? {
            Value::Unsigned(n) => Ok(i64::try_from(n).unwrap_or(i64::MAX)),
            Value::Negative(n) => Ok(n),
            // The range is that in which every whole float is exact.
            Value::Float(x) if x.fract() == 0.0 && x.abs() <= (1u64 << 53) as f64 => Ok(x as i64),
            other => Err(other.unexpected()),
        }
    }

    /// Reads the bytes of a `bin` or a `str`.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Unexpected> {
        // The name of any method.
        if let [marker @ 0xa0..=0xbf, rest @ ..] = self.rest
            && let Some((bytes, rest)) = rest.split_at_checked(usize::from(marker & 0x1f))
        {
            self.rest = rest;
            return Ok(bytes);
        }
        match self.value()? {
            Value::Bin(bytes) | Value::Str(bytes) => Ok(bytes),
            other => Err(other.unexpected()),
        }
    }

    /// Reads a short text: `str` or `bin` of at most [`limits::STRING`] bytes.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<&'a [u8], Unexpected> {
        match self.bytes()? {
            bytes if bytes.len() <= limits::STRING => Ok(bytes),
            bytes => {
                Err(Unexpected(format!("a text of {} bytes; the limit is {}", bytes.len(), limits::STRING)))
            }
        }
    }

    /// Reads the header of an array. Returns the number of elements.
    #[inline]
    pub(crate) fn array(&mut self) -> Result<u32, Unexpected> {
        // The envelope of any message, and its parameters.
        if let [marker @ 0x90..=0x9f, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u32::from(marker & 0x0f));
        }
        match self.value()? {
            Value::Array(n) => Ok(n),
            other => Err(other.unexpected()),
        }
    }

    /// Reads a nil, if that is what comes next.
    pub(crate) fn nil(&mut self) -> bool {
        let is_nil = self.rest.first() == Some(&0xc0);
        if is_nil {
            self.rest = &self.rest[1..];
        }
        is_nil
    }

    /// Returns whether bytes come next (`bin` or `str`), and not an array.
    pub(crate) fn is_bytes(&self) -> bool {
        matches!(self.clone().value(), Ok(Value::Bin(_) | Value::Str(_)))
    }

    /// Reads a `bin` or `str` that may be cut off. Returns the announced length and the available bytes.
    pub(crate) fn announced(&mut self) -> Result<(u64, &'a [u8]), Unexpected> {
        let is_bytes = |marker| {
            use Marker::{Bin8, Bin16, Bin32, FixStr, Str8, Str16, Str32};
            matches!(marker, FixStr(_) | Str8 | Str16 | Str32 | Bin8 | Bin16 | Bin32)
        };
        let cut_off = || Unexpected(CUT_OFF.into());
        let first = *self.rest.first().ok_or_else(cut_off)?;
        if !is_bytes(Marker::from_u8(first)) {
            return Err(self.value()?.unexpected());
        }
        let header = header(self.rest).ok_or_else(cut_off)?;
        let body = &self.rest[header.length..];
        let there = usize::try_from(header.body).unwrap_or(usize::MAX).min(body.len());
        let (there, rest) = body.split_at(there);
        self.rest = rest;
        Ok((header.body, there))
    }

    /// Reads the header of a map. Returns the number of pairs.
    pub(crate) fn map(&mut self) -> Result<u32, Unexpected> {
        match self.value()? {
            Value::Map(n) => Ok(n),
            other => Err(other.unexpected()),
        }
    }

    /// Passes over one value with all that it holds, and answers its bytes.
    pub(crate) fn skip(&mut self) -> Result<&'a [u8], Unexpected> {
        let start = self.rest;
        let mut owed = 1u64;
        while owed > 0 {
            owed -= 1;
            owed += match self.value()? {
                Value::Array(n) => u64::from(n),
                Value::Map(n) => 2 * u64::from(n),
                _ => 0,
            };
        }
        Ok(&start[..start.len() - self.rest.len()])
    }
}

impl Value<'_> {
    fn unexpected(&self) -> Unexpected {
        Unexpected(match self {
            Value::Nil => "nil".into(),
            Value::Bool(b) => b.to_string(),
            Value::Unsigned(n) => n.to_string(),
            Value::Negative(n) => n.to_string(),
            Value::Float(x) => x.to_string(),
            Value::Str(bytes) => format!("a string of {} bytes", bytes.len()),
            Value::Bin(bytes) => format!("a bin of {} bytes", bytes.len()),
            Value::Array(n) => format!("an array of {n}"),
            Value::Map(n) => format!("a map of {n}"),
            Value::Ext => "an extension".into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_come_in_any_width_and_as_floats() {
        for (bytes, want) in [
            (&[0x05][..], 5),
            (&[0xcc, 5], 5),
            (&[0xcd, 0, 5], 5),
            (&[0xce, 0, 0, 0, 5], 5),
            (&[0xcf, 0, 0, 0, 0, 0, 0, 0, 5], 5),
            (&[0xd0, 5], 5),
            (&[0xd1, 0xff, 0xfb], -5),
            (&[0xd2, 0xff, 0xff, 0xff, 0xfb], -5),
            (&[0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfb], -5),
            (&[0xfb], -5),
            (&[0xca, 0x40, 0xa0, 0, 0], 5),
            (&[0xcb, 0xc0, 0x14, 0, 0, 0, 0, 0, 0], -5),
            (&[0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], i64::MAX),
        ] {
            assert_eq!(Reader::new(bytes).int(), Ok(want), "{bytes:02x?}");
        }
        for (bytes, what) in [
            (&[0xca, 0x40, 0xb0, 0, 0][..], "5.5"),
            (&[0xca, 0x7f, 0xc0, 0, 0], "NaN"),
            (&[0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0], "inf"),
            (&[0xc0], "nil"),
            (&[0xc3], "true"),
            (&[0xa1, b'5'], "a string of 1 bytes"),
            (&[0xcd, 0], "cut off"),
        ] {
            assert_eq!(Reader::new(bytes).int(), Err(Unexpected(what.into())));
        }
    }

    #[test]
    fn skipping_passes_over_nested_values() {
        let bytes = [0x92, 0x81, 0x01, 0x91, 0xc0, 0xc7, 1, 0, 9, 0x07];
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.skip().map(<[u8]>::len), Ok(9));
        assert_eq!(reader.int(), Ok(7));
        assert!(reader.skip().is_err());
    }
}
