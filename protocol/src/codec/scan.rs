//! Where a MessagePack message ends, found without decoding it.
//!
//! MessagePack-RPC messages follow each other with no length prefix, so the end of one is found by counting the values still
//! owed: an array of n owes n, a map of n owes 2n. There is no recursion and no allocation, the scan continues at any byte
//! where it stopped, and every limit is checked on a header, before its body has arrived.

use crate::limits;
use rmp::Marker;

/// Progress through one message. Make a new one (or [`Scan::default`]) for the next.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// Offset of the next header. It may lie behind the bytes at hand: then a body is still on its way.
    at: usize,
    /// Values owed by each open array or map. `owed[0]` stands for the message itself.
    owed: [u32; limits::DEPTH + 1],
    /// Open arrays and maps.
    depth: usize,
    values: u32,
}

/// Why a message cannot be one of ours. The connection it came from cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// A message is an array; anything else is no MessagePack-RPC.
    #[error("the message starts with byte {0:#04x}, not with an array: this is not MessagePack-RPC")]
    NotAnArray(u8),
    /// Byte 0xc1, which MessagePack leaves undefined.
    #[error("byte 0xc1 at offset {0} is no MessagePack")]
    Reserved(usize),
    /// The header read last promises more than a message may have.
    #[error("the message has at least {needs} bytes; the limit is {limit}")]
    TooLong {
        /// Bytes up to the end of the value that broke the limit.
        needs: u64,
        /// The limit in force.
        limit: usize,
    },
    /// More than [`limits::VALUES`].
    #[error("the message has more than {} values", limits::VALUES)]
    TooManyValues,
    /// More than [`limits::DEPTH`].
    #[error("the message nests deeper than {} levels", limits::DEPTH)]
    TooDeep,
}

/// One header: its own length, the bytes of body behind it, the values it owes.
pub(crate) struct Header {
    pub(crate) length: usize,
    pub(crate) body: u64,
    pub(crate) owes: u64,
}

impl Scan {
    /// Goes on through `message`, which starts where the scan began and may have grown since the last call. Returns the
    /// message's length once its end has been seen.
    ///
    /// # Errors
    /// [`ScanError`], as soon as a header shows it. The scan is of no use afterwards.
    pub fn run(&mut self, message: &[u8], limit: usize) -> Result<Option<usize>, ScanError> {
        if self.is_counted() {
            return Ok((message.len() >= self.at).then_some(self.at));
        }
        if self.values == 0 {
            match message.first() {
                None => return Ok(None),
                Some(&first) if !is_array(first) => return Err(ScanError::NotAnArray(first)),
                Some(_) => self.owed[0] = 1,
            }
        }
        // In variables of its own, which need not be stored for each value.
        let Scan { mut at, mut depth, mut values, .. } = *self;
        let mut owed = self.owed[depth];
        let found = 'values: loop {
            let Some(&first) = message.get(at) else { break Ok(None) };
            let (end, owes) = match LENGTHS[usize::from(first)] {
                0 => match header(&message[at..]) {
                    Some(header) => ((at + header.length) as u64 + header.body, header.owes),
                    None if first == 0xc1 => break Err(ScanError::Reserved(at)),
                    None => break Ok(None),
                },
                length => ((at + usize::from(length)) as u64, 0),
            };
            // Each value owed takes a byte at least, so a huge count is refused by its header too.
            let needs = end + owes;
            if needs > limit as u64 {
                break Err(ScanError::TooLong { needs, limit });
            }
            // Counted when it is seen, but judged with all that it announces.
            values += 1;
            if u64::from(values) + owes > u64::from(limits::VALUES) {
                break Err(ScanError::TooManyValues);
            }
            at = end as usize;
            owed -= 1;
            if owes > 0 {
                if depth == limits::DEPTH {
                    break Err(ScanError::TooDeep);
                }
                self.owed[depth] = owed;
                depth += 1;
                owed = owes as u32;
            }
            while owed == 0 {
                if depth == 0 {
                    break 'values Ok((message.len() >= at).then_some(at));
                }
                depth -= 1;
                owed = self.owed[depth];
            }
        };
        (self.at, self.depth, self.values, self.owed[depth]) = (at, depth, values, owed);
        found
    }

    /// Forgets the message, for the next one. (What is owed is written when it is first read.)
    pub(crate) fn reset(&mut self) {
        (self.at, self.depth, self.values) = (0, 0, 0);
    }

    /// Returns bytes that must arrive, at the least, before the scan can go on; `have` are there.
    pub fn missing(&self, have: usize) -> usize {
        if self.is_counted() {
            return self.at.saturating_sub(have);
        }
        (self.at + 1).saturating_sub(have).max(1)
    }

    /// Returns where the next header begins, counted from the start of what is handed in.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Drops the first `n` bytes, which lie before [`Scan::position`]: they are not passed in any more.
    pub(crate) fn pass(&mut self, n: usize) {
        self.at -= n;
    }

    /// Returns whether every header has been seen, and at most the last body is missing.
    pub(crate) fn is_counted(&self) -> bool {
        self.values > 0 && self.depth == 0 && self.owed[0] == 0
    }
}

/// How long a value is that starts with this byte, all of it, if that alone tells; else 0. Most values of a small message are
/// such.
const LENGTHS: [u8; 256] = {
    let mut lengths = [0; 256];
    let mut first = 0;
    while first < 256 {
        lengths[first] = match first as u8 {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => 1,
            0xcc | 0xd0 => 2,
            0xcd | 0xd1 => 3,
            0xca | 0xce | 0xd2 => 5,
            0xcb | 0xcf | 0xd3 => 9,
            string @ 0xa0..=0xbf => 1 + (string & 0x1f),
            _ => 0,
        };
        first += 1;
    }
    lengths
};

fn is_array(first: u8) -> bool {
    matches!(Marker::from_u8(first), Marker::FixArray(_) | Marker::Array16 | Marker::Array32)
}

/// Reads the header at the start of `bytes`; `None` when it is not all there, or reserved.
///
/// Inlined, or every message that a display reads costs a tenth more.
#[inline(always)]
pub(crate) fn header(bytes: &[u8]) -> Option<Header> {
    let plain = |body: u64| Some(Header { length: 1, body, owes: 0 });
    // The big-endian length of `width` bytes behind the marker.
    let sized = |width: usize| {
        let field = bytes.get(1..1 + width)?;
        Some(field.iter().fold(0u64, |n, &b| n << 8 | u64::from(b)))
    };
    let body = |width: usize, extra: u64| {
        sized(width).map(|n| Header { length: 1 + width, body: n + extra, owes: 0 })
    };
    let owes =
        |width: usize, each: u64| sized(width).map(|n| Header { length: 1 + width, body: 0, owes: n * each });
    match Marker::from_u8(bytes[0]) {
        Marker::Reserved => None,
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => plain(0),
        Marker::U8 | Marker::I8 => plain(1),
        Marker::U16 | Marker::I16 => plain(2),
        Marker::U32 | Marker::I32 | Marker::F32 => plain(4),
        Marker::U64 | Marker::I64 | Marker::F64 => plain(8),
        Marker::FixStr(n) => plain(u64::from(n)),
        Marker::FixArray(n) => Some(Header { length: 1, body: 0, owes: u64::from(n) }),
        Marker::FixMap(n) => Some(Header { length: 1, body: 0, owes: 2 * u64::from(n) }),
        Marker::Str8 | Marker::Bin8 => body(1, 0),
        Marker::Str16 | Marker::Bin16 => body(2, 0),
        Marker::Str32 | Marker::Bin32 => body(4, 0),
        Marker::Array16 => owes(2, 1),
        Marker::Array32 => owes(4, 1),
        Marker::Map16 => owes(2, 2),
        Marker::Map32 => owes(4, 2),
        // An extension has a byte for its type in front of its data.
        Marker::FixExt1 => plain(2),
        Marker::FixExt2 => plain(3),
        Marker::FixExt4 => plain(5),
        Marker::FixExt8 => plain(9),
        Marker::FixExt16 => plain(17),
        Marker::Ext8 => body(1, 1),
        Marker::Ext16 => body(2, 1),
        Marker::Ext32 => body(4, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_all(bytes: &[u8]) -> Result<Option<usize>, ScanError> {
        Scan::default().run(bytes, limits::MESSAGE)
    }

    #[test]
    fn an_end_is_found_for_every_kind_of_value() {
        for (what, bytes) in [
            ("empty array", &[0x90][..]),
            ("numbers", &[0x95, 0x01, 0xcc, 200, 0xcd, 1, 2, 0xce, 1, 2, 3, 4, 0xff]),
            ("eight bytes", &[0x92, 0xcf, 0, 0, 0, 0, 0, 0, 0, 1, 0xd3, 0, 0, 0, 0, 0, 0, 0, 1]),
            ("floats", &[0x92, 0xca, 0, 0, 0, 0, 0xcb, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("strings", &[0x93, 0xa2, b'h', b'i', 0xd9, 1, b'x', 0xda, 0, 1, b'y']),
            ("bins", &[0x93, 0xc4, 1, 9, 0xc5, 0, 1, 9, 0xc6, 0, 0, 0, 1, 9]),
            ("nested", &[0x92, 0x91, 0x91, 0x90, 0x81, 0x01, 0x80]),
            ("long forms", &[0xdc, 0, 1, 0xdd, 0, 0, 0, 1, 0xde, 0, 1, 0x01, 0xdf, 0, 0, 0, 0]),
            ("extensions", &[0x93, 0xd4, 1, 9, 0xd5, 1, 9, 9, 0xc7, 2, 1, 9, 9]),
            ("nil and booleans", &[0x93, 0xc0, 0xc2, 0xc3]),
        ] {
            assert_eq!(scan_all(bytes), Ok(Some(bytes.len())), "{what}");
            let mut longer = bytes.to_vec();
            longer.extend([0x90, 0x90]);
            assert_eq!(scan_all(&longer), Ok(Some(bytes.len())), "{what}, more behind it");
            for cut in 0..bytes.len() {
                let mut scan = Scan::default();
                assert_eq!(scan.run(&bytes[..cut], 100), Ok(None), "{what} cut at {cut}");
                let missing = scan.missing(cut);
                assert!(missing >= 1 && cut + missing <= bytes.len(), "{what} cut at {cut}: {missing}");
                assert_eq!(scan.run(&longer, 100), Ok(Some(bytes.len())), "{what} resumed at {cut}");
            }
        }
    }

    #[test]
    fn the_lengths_that_one_byte_tells_are_those_of_its_header() {
        for first in 0..=u8::MAX {
            let told = LENGTHS[usize::from(first)];
            let header = header(&[first, 1, 2, 3, 4]);
            if told > 0 {
                let header = header.unwrap();
                assert_eq!(
                    (header.length as u64 + header.body, header.owes),
                    (told.into(), 0),
                    "{first:#04x}"
                );
            }
        }
    }

    #[test]
    fn limits_are_checked_before_the_body() {
        assert_eq!(
            Scan::default().run(&[0x91, 0xc6, 0xff, 0xff, 0xff, 0xff], 1000),
            Err(ScanError::TooLong { needs: 6 + 0xffff_ffff, limit: 1000 })
        );
        assert_eq!(
            scan_all(&[0xdd, 0xff, 0xff, 0xff, 0xff]),
            Err(ScanError::TooLong { needs: 5 + 0xffff_ffff, limit: limits::MESSAGE })
        );
        assert_eq!(scan_all(&[0xdd, 0x00, 0x10, 0x00, 0x00]), Err(ScanError::TooManyValues));
        let nested = [0x91; 1000];
        assert_eq!(scan_all(&nested), Err(ScanError::TooDeep));
        assert_eq!(scan_all(&nested[..limits::DEPTH]), Ok(None));
        assert_eq!(scan_all(&[0x91, 0xc1]), Err(ScanError::Reserved(1)));
        assert_eq!(scan_all(b"GET / HTTP/1.1\r\n"), Err(ScanError::NotAnArray(b'G')));
        assert_eq!(scan_all(&[0x81, 0x00, 0x00]), Err(ScanError::NotAnArray(0x81)));
    }
}
