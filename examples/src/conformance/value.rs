//! MessagePack values: decoded from any bytes, encoded in their shortest form, and printed for people.

use std::fmt;

/// The deepest nesting that is decoded, as protocol/spec limits it.
const DEPTH: usize = 16;

/// How many characters of a string are printed. Messages of a display have fewer.
const SHOWN: usize = 200;

/// A MessagePack value. Text that is not UTF-8 is kept as [`Value::Bin`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nil.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer of any width.
    Int(i128),
    /// A float of either width.
    Float(f64),
    /// A string.
    Str(String),
    /// Bytes.
    Bin(Vec<u8>),
    /// An array.
    Array(Vec<Value>),
    /// A map, with its keys in the order of the bytes.
    Map(Vec<(Value, Value)>),
    /// An extension.
    Ext(u8, Vec<u8>),
}

impl Value {
    /// Decodes the first value of `bytes`. Returns the value and its length, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// If the bytes are not MessagePack, or nest too deeply.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Value, usize)>, String> {
        let mut reader = Reader { bytes, at: 0 };
        match reader.value(0) {
            Ok(value) => Ok(Some((value, reader.at))),
            Err(Stop::Incomplete) => Ok(None),
            Err(Stop::Invalid(text)) => Err(text),
        }
    }

    /// Returns a string value.
    pub fn text(text: &str) -> Value {
        Value::Str(text.to_owned())
    }

    /// Returns the integer, also of a float whose value is one.
    pub fn as_int(&self) -> Option<i128> {
        match self {
            Value::Int(n) => Some(*n),
            // Exact: the fraction is zero, and the value is far from the limits of the type.
            Value::Float(n) if n.fract() == 0.0 && n.abs() < 1e18 => Some(*n as i128),
            _ => None,
        }
    }

    /// Returns the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Str(text) = self { Some(text) } else { None }
    }

    /// Returns the elements of an array.
    pub fn as_array(&self) -> Option<&[Value]> {
        if let Value::Array(items) = self { Some(items) } else { None }
    }

    /// Returns the value of `key` in a map.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let Value::Map(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// Sets `key` in a map; anything else is left as it is.
    pub fn set(&mut self, key: &str, value: Value) {
        let Value::Map(pairs) = self else { return };
        match pairs.iter_mut().find(|(name, _)| name.as_str() == Some(key)) {
            Some((_, old)) => *old = value,
            None => pairs.push((Value::text(key), value)),
        }
    }

    /// Appends the value's shortest encoding.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::Nil => out.push(0xc0),
            Value::Bool(yes) => out.push(0xc2 + u8::from(*yes)),
            Value::Int(n) => int(*n, out),
            Value::Float(n) => {
                out.push(0xcb);
                out.extend(n.to_be_bytes());
            }
            Value::Str(text) => {
                match text.len() {
                    n @ 0..=31 => out.push(0xa0 + n as u8),
                    n => head(n, [0xd9, 0xda, 0xdb], out),
                }
                out.extend(text.as_bytes());
            }
            Value::Bin(bytes) => {
                head(bytes.len(), [0xc4, 0xc5, 0xc6], out);
                out.extend(bytes);
            }
            Value::Ext(kind, bytes) => {
                head(bytes.len(), [0xc7, 0xc8, 0xc9], out);
                out.push(*kind);
                out.extend(bytes);
            }
            Value::Array(items) => {
                match items.len() {
                    n @ 0..=15 => out.push(0x90 + n as u8),
                    n => wide(n, [0xdc, 0xdd], out),
                }
                items.iter().for_each(|item| item.encode(out));
            }
            Value::Map(pairs) => {
                match pairs.len() {
                    n @ 0..=15 => out.push(0x80 + n as u8),
                    n => wide(n, [0xde, 0xdf], out),
                }
                for (key, value) in pairs {
                    key.encode(out);
                    value.encode(out);
                }
            }
        }
    }

    /// Returns the value's shortest encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// Returns an array value.
pub fn array<const N: usize>(items: [Value; N]) -> Value {
    Value::Array(items.into())
}

/// Returns a map value with string keys.
pub fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Map(pairs.into_iter().map(|(key, value)| (Value::text(key), value)).collect())
}

fn head(n: usize, marks: [u8; 3], out: &mut Vec<u8>) {
    match n {
        0..=0xff => out.extend([marks[0], n as u8]),
        _ => wide(n, [marks[1], marks[2]], out),
    }
}

fn wide(n: usize, marks: [u8; 2], out: &mut Vec<u8>) {
    match u16::try_from(n) {
        Ok(n) => {
            out.push(marks[0]);
            out.extend(n.to_be_bytes());
        }
        Err(_) => {
            out.push(marks[1]);
            out.extend((n as u32).to_be_bytes());
        }
    }
}

fn int(n: i128, out: &mut Vec<u8>) {
    match n {
        0..=0x7f => out.push(n as u8),
        -32..=-1 => out.push(n as i8 as u8),
        0x80..=0xff => out.extend([0xcc, n as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((n as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend((n as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend((n as u64).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend((n as i64).to_be_bytes());
        }
    }
}

enum Stop {
    Incomplete,
    Invalid(String),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Stop> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len()).ok_or(Stop::Incomplete)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn unsigned(&mut self, width: usize) -> Result<u64, Stop> {
        Ok(self.take(width)?.iter().fold(0, |n, &byte| n << 8 | u64::from(byte)))
    }

    fn signed(&mut self, width: usize) -> Result<Value, Stop> {
        let shift = 64 - 8 * width as u32;
        Ok(Value::Int(i128::from((self.unsigned(width)? << shift) as i64 >> shift)))
    }

    fn text(&mut self, n: u64) -> Result<Value, Stop> {
        let bytes = self.take(n as usize)?;
        Ok(String::from_utf8(bytes.to_vec()).map_or_else(|_| Value::Bin(bytes.to_vec()), Value::Str))
    }

    fn array(&mut self, n: u64, depth: usize) -> Result<Value, Stop> {
        (0..n).map(|_| self.value(depth + 1)).collect::<Result<_, _>>().map(Value::Array)
    }

    fn map(&mut self, n: u64, depth: usize) -> Result<Value, Stop> {
        let pairs = (0..n).map(|_| Ok((self.value(depth + 1)?, self.value(depth + 1)?)));
        pairs.collect::<Result<_, _>>().map(Value::Map)
    }

    fn ext(&mut self, n: u64) -> Result<Value, Stop> {
        let kind = self.take(1)?[0];
        Ok(Value::Ext(kind, self.take(n as usize)?.to_vec()))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > DEPTH {
            return Err(Stop::Invalid(format!("it nests deeper than {DEPTH} levels")));
        }
        let first = self.take(1)?[0];
        Ok(match first {
            0x00..=0x7f => Value::Int(first.into()),
            0x80..=0x8f => self.map(u64::from(first & 15), depth)?,
            0x90..=0x9f => self.array(u64::from(first & 15), depth)?,
            0xa0..=0xbf => self.text(u64::from(first & 31))?,
            0xc0 => Value::Nil,
            0xc1 => return Err(Stop::Invalid("byte 0xc1 is not MessagePack".to_owned())),
            0xc2 | 0xc3 => Value::Bool(first == 0xc3),
            0xc4..=0xc6 => {
                let n = self.unsigned(1 << (first - 0xc4))?;
                Value::Bin(self.take(n as usize)?.to_vec())
            }
            0xc7..=0xc9 => {
                let n = self.unsigned(1 << (first - 0xc7))?;
                self.ext(n)?
            }
            0xca => Value::Float(f32::from_bits(self.unsigned(4)? as u32).into()),
            0xcb => Value::Float(f64::from_bits(self.unsigned(8)?)),
            0xcc..=0xcf => Value::Int(self.unsigned(1 << (first - 0xcc))?.into()),
            0xd0..=0xd3 => self.signed(1 << (first - 0xd0))?,
            0xd4..=0xd8 => self.ext(1 << (first - 0xd4))?,
            0xd9..=0xdb => {
                let n = self.unsigned(1 << (first - 0xd9))?;
                self.text(n)?
            }
            0xdc | 0xdd => {
                let n = self.unsigned(2 << (first - 0xdc))?;
                self.array(n, depth)?
            }
            0xde | 0xdf => {
                let n = self.unsigned(2 << (first - 0xde))?;
                self.map(n, depth)?
            }
            0xe0..=0xff => Value::Int((first as i8).into()),
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(yes) => write!(f, "{yes}"),
            Value::Int(n) => write!(f, "{n}"),
            Value::Float(n) => write!(f, "{n:?}"),
            Value::Str(text) => match text.char_indices().nth(SHOWN) {
                None => write!(f, "{text:?}"),
                Some((end, _)) => write!(f, "{:?}... ({} bytes)", &text[..end], text.len()),
            },
            Value::Bin(bytes) | Value::Ext(_, bytes) if bytes.len() <= 16 => {
                f.write_str("<")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str(">")
            }
            Value::Bin(bytes) | Value::Ext(_, bytes) => write!(f, "<{} bytes>", bytes.len()),
            Value::Array(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().take(12).enumerate() {
                    write!(f, "{}{item}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(if items.len() > 12 { ", ...]" } else { "]" })
            }
            Value::Map(pairs) => {
                f.write_str("{")?;
                for (i, (key, value)) in pairs.iter().take(16).enumerate() {
                    let key = key.as_str().map_or_else(|| key.to_string(), ToOwned::to_owned);
                    write!(f, "{}{key}: {value}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_decoded_at_any_cut_and_encoded_again() {
        let value = map([
            ("small", array([Value::Int(0), Value::Int(-1), Value::Int(200), Value::Int(-200)])),
            ("large", array([Value::Int(70_000), Value::Int(u32::MAX.into()), Value::Int(u64::MAX.into())])),
            ("text", Value::Str("x".repeat(40))),
            ("rest", array([Value::Nil, Value::Bool(true), Value::Float(0.5), Value::Ext(7, vec![1; 300])])),
            ("long", Value::Array(vec![Value::Bin(vec![9; 300]); 20])),
        ]);
        let bytes = value.to_bytes();
        assert_eq!(Value::decode(&bytes), Ok(Some((value, bytes.len()))));
        assert!((0..bytes.len()).all(|cut| Value::decode(&bytes[..cut]) == Ok(None)));
    }

    #[test]
    fn a_long_string_is_printed_up_to_200_characters() {
        let text = |n| Value::Str("é".repeat(n)).to_string();
        assert_eq!(text(200), format!("\"{}\"", "é".repeat(200)));
        assert_eq!(text(201), format!("\"{}\"... (402 bytes)", "é".repeat(200)));
    }

    #[test]
    fn what_is_no_messagepack_is_refused() {
        assert!(Value::decode(&[0x91, 0xc1]).is_err());
        assert!(Value::decode(&[0x91; 20]).is_err(), "it nests too deeply");
        assert_eq!(Value::decode(&[0xdd, 0xff, 0xff, 0xff, 0xff, 0]), Ok(None), "a count costs nothing");
    }
}
