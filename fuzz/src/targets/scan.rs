use crate::common::cuts;
use draw_protocol::{Scan, ScanError, limits};

/// The end of a message, or the error in it, is the same however the bytes are cut, and agrees with a simple recursive
/// definition; and a scan never asks for a byte after the end. The first byte chooses the limit of a message.
pub fn scan(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    let limit = [16, 100, 1_000, limits::FIRST_MESSAGE, limits::MESSAGE][usize::from(first) % 5];
    let expected = Plain { bytes, at: 0, values: 0, limit }.message();
    for cuts in cuts(bytes) {
        let (mut scan, mut have) = (Scan::default(), 0);
        let mut found = scan.run(&[], limit);
        for piece in cuts.pieces(bytes) {
            have += piece.len();
            found = scan.run(&bytes[..have], limit);
            match found {
                Ok(None) => {
                    let missing = scan.missing(have);
                    assert!(missing > 0, "nothing is missing, and there is no end at {have}");
                    if let Ok(Some(end)) = expected {
                        assert!(
                            have + missing <= end,
                            "{missing} bytes are missing at {have}, and it ends at {end}"
                        );
                    }
                }
                // The end is found as soon as its byte has arrived.
                Ok(Some(end)) => {
                    assert!(end <= have && have < end + piece.len());
                    break;
                }
                Err(_) => break,
            }
        }
        assert_eq!(found, expected, "{cuts:?}");
    }
}

/// A scanner that follows MessagePack and the limits directly, without regard to speed.
struct Plain<'a> {
    bytes: &'a [u8],
    at: u64,
    values: u64,
    limit: usize,
}

impl Plain<'_> {
    fn message(mut self) -> Result<Option<usize>, ScanError> {
        match self.bytes.first() {
            None => return Ok(None),
            Some(0x90..=0x9f | 0xdc | 0xdd) => {}
            Some(&other) => return Err(ScanError::NotAnArray(other)),
        }
        let is_whole = self.value(0)?.is_some() && self.at <= self.bytes.len() as u64;
        Ok(is_whole.then_some(self.at as usize))
    }

    /// Skips a value at this nesting depth. Returns `None` if bytes of the value or of a nested one are missing.
    fn value(&mut self, depth: usize) -> Result<Option<()>, ScanError> {
        let rest = usize::try_from(self.at).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default();
        let Some(&first) = rest.first() else { return Ok(None) };
        // The width of the number after the first byte, what it counts, and the fixed number of bytes besides.
        let (width, bytes, values, fixed) = match first {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0, 0, 0),
            0xc1 => return Err(ScanError::Reserved(self.at as usize)),
            0x80..=0x8f => (0, 0, 2 * u64::from(first & 0x0f), 0),
            0x90..=0x9f => (0, 0, u64::from(first & 0x0f), 0),
            0xa0..=0xbf => (0, 0, 0, u64::from(first & 0x1f)),
            0xc4 | 0xd9 => (1, 1, 0, 0),
            0xc5 | 0xda => (2, 1, 0, 0),
            0xc6 | 0xdb => (4, 1, 0, 0),
            0xc7 => (1, 1, 0, 1),
            0xc8 => (2, 1, 0, 1),
            0xc9 => (4, 1, 0, 1),
            0xcc | 0xd0 => (0, 0, 0, 1),
            0xcd | 0xd1 => (0, 0, 0, 2),
            0xca | 0xce | 0xd2 => (0, 0, 0, 4),
            0xcb | 0xcf | 0xd3 => (0, 0, 0, 8),
            0xd4..=0xd8 => (0, 0, 0, 1 + (1 << (first - 0xd4))),
            0xdc => (2, 0, 1, 0),
            0xdd => (4, 0, 1, 0),
            0xde => (2, 0, 2, 0),
            0xdf => (4, 0, 2, 0),
        };
        let Some(field) = rest.get(1..1 + width) else { return Ok(None) };
        let number = field.iter().fold(0, |number, &byte| number * 256 + u64::from(byte));
        let owes = if width == 0 { values } else { number * values };
        let end = self.at + 1 + width as u64 + number * bytes + fixed;
        if end + owes > self.limit as u64 {
            return Err(ScanError::TooLong { needs: end + owes, limit: self.limit });
        }
        self.values += 1;
        if self.values + owes > u64::from(limits::VALUES) {
            return Err(ScanError::TooManyValues);
        }
        if owes > 0 && depth == limits::DEPTH {
            return Err(ScanError::TooDeep);
        }
        self.at = end;
        for _ in 0..owes {
            if self.value(depth + 1)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}
