//! Writes vectors as JSON. It decodes MessagePack independently, so that the protocol's encoder is not compared with
//! itself.

use std::fmt::Write as _;

/// Returns the value at the front of `bytes` as JSON, and advances `bytes`. Panics on an invalid value.
pub(crate) fn value(bytes: &mut &[u8]) -> String {
    let tag = number(bytes, 1);
    match tag {
        0x00..=0x7f => tag.to_string(),
        0x80..=0x8f => map(bytes, tag & 0x0f),
        0x90..=0x9f => array(bytes, tag & 0x0f),
        0xa0..=0xbf => string(take(bytes, tag & 0x1f)),
        0xc0 => "null".into(),
        0xc2 | 0xc3 => (tag == 0xc3).to_string(),
        0xc4..=0xc6 => {
            let length = number(bytes, 1 << (tag - 0xc4));
            format!("{{\"$bin\": \"{}\"}}", hex(take(bytes, length)))
        }
        0xca => float(f32::from_bits(number(bytes, 4) as u32).into()),
        0xcb => float(f64::from_bits(number(bytes, 8))),
        0xcc..=0xcf => integer(number(bytes, 1 << (tag - 0xcc)).into()),
        0xd0..=0xd3 => {
            let size = 1 << (tag - 0xd0);
            let unsigned = number(bytes, size);
            let unused = 64 - 8 * size as u32;
            integer((((unsigned << unused) as i64) >> unused).into())
        }
        0xd9..=0xdb => {
            let length = number(bytes, 1 << (tag - 0xd9));
            string(take(bytes, length))
        }
        0xdc | 0xdd => {
            let length = number(bytes, 2 << (tag - 0xdc));
            array(bytes, length)
        }
        0xde | 0xdf => {
            let length = number(bytes, 2 << (tag - 0xde));
            map(bytes, length)
        }
        0xe0..=0xff => (tag as u8 as i8).to_string(),
        _ => panic!("{tag:02x} begins no value of the protocol"),
    }
}

/// Returns a text as a JSON string.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => {
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|unit| _ = write!(out, "\\u{unit:04x}"));
            }
        }
    }
    out + "\""
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(usize::try_from(length).expect("a length"));
    *bytes = rest;
    taken
}

fn number(bytes: &mut &[u8], size: u64) -> u64 {
    take(bytes, size).iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn integer(n: i128) -> String {
    const MOST: i128 = (1 << 53) - 1;
    if (-MOST..=MOST).contains(&n) { n.to_string() } else { format!("{{\"$int\": \"{n}\"}}") }
}

fn float(n: f64) -> String {
    format!("{{\"$float\": \"{n}\"}}")
}

fn string(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| format!("{{\"$str\": \"{}\"}}", hex(bytes)), text)
}

fn array(bytes: &mut &[u8], length: u64) -> String {
    let values: Vec<_> = (0..length).map(|_| value(bytes)).collect();
    format!("[{}]", values.join(", "))
}

fn map(bytes: &mut &[u8], length: u64) -> String {
    let entry = |_| {
        let key = value(bytes);
        assert!(key.starts_with('"') && !key.starts_with("\"$"), "{key} is a key");
        format!("{key}: {}", value(bytes))
    };
    let entries: Vec<_> = (0..length).map(entry).collect();
    format!("{{{}}}", entries.join(", "))
}
