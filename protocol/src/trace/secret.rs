//! Hides session ids in the bytes of a message. An id is secret, since it is enough to take the session over.

use crate::codec::reader::Reader;
use crate::session::Standing;
use std::ops::Range;

/// The key of the id in `hello`.
const KEY: &[u8] = b"session";
/// Bytes of an id.
const ID: usize = 16;
/// Bytes of an id that are shown, as `Id`'s `Debug` shows them.
const SHOWN: usize = 3;

/// Overwrites all session ids in `message` but for their beginnings, and returns where that was.
///
/// The bytes are searched for the key rather than decoded: what is refused or cut off may have an id in it as well. Whatever stands at
/// the key counts as one, of any type and length. In a message that was altered or is not understood (`is_broken`) the key itself may
/// be wrong, so that whatever looks like an id counts.
pub(super) fn hide(message: &mut [u8], is_broken: bool) -> Vec<Range<usize>> {
    let (mut hidden, mut at) = (Vec::new(), 0);
    while at < message.len() {
        let rest = &message[at..];
        let found = if rest.starts_with(KEY) {
            let (value, is_key) = (&rest[KEY.len()..], is_broken || is_key(&message[..at]));
            let found =
                if is_key { whole(value, is_broken) } else { text(value, false).map(beginning_shown) };
            found.map(|range| range.start + KEY.len()..range.end.saturating_add(KEY.len()))
        } else if is_broken && rest.starts_with(&[0xc4, ID as u8]) {
            Some(beginning_shown((2, ID)))
        } else {
            None
        };
        let Some(Range { start, end }) = found else {
            at += 1;
            continue;
        };
        let end = at.saturating_add(end).min(message.len());
        hidden.push((at + start).min(end)..end);
        at = end.max(at + 1);
    }
    hidden.iter().for_each(|range| message[range.clone()].fill(0));
    hidden
}

/// Returns whether the value that `bytes` starts with is how a session stands, which is under the same key in the display's
/// answer.
pub(super) fn is_standing(bytes: &[u8]) -> bool {
    let name = Reader::new(bytes).bytes();
    name.is_ok_and(|name| Standing::ALL.iter().any(|standing| standing.as_str().as_bytes() == name))
}

/// Returns whether a text of the length of the key begins behind `before`.
fn is_key(before: &[u8]) -> bool {
    const LENGTH: u8 = KEY.len() as u8;
    const FIXSTR: u8 = 0xa0 | LENGTH;
    matches!(
        before,
        [.., FIXSTR]
            | [.., 0xd9 | 0xc4, LENGTH]
            | [.., 0xda | 0xc5, 0, LENGTH]
            | [.., 0xdb | 0xc6, 0, 0, 0, LENGTH]
    )
}

/// Returns what is hidden of the value that `bytes` starts with. One that is cut off or broken ends with the message.
fn whole(bytes: &[u8], is_broken: bool) -> Option<Range<usize>> {
    if !is_broken && is_standing(bytes) {
        return None;
    }
    let end = Reader::new(bytes).skip().map_or(usize::MAX, <[u8]>::len);
    Some(match text(bytes, is_broken) {
        Some(found) => {
            let range = beginning_shown(found);
            range.start..range.end.max(end)
        }
        // What is no id may be a part of one, or two: nothing of it is shown.
        None => 0..end,
    })
}

/// Returns what is hidden of an id of this header and length.
fn beginning_shown((head, length): (usize, usize)) -> Range<usize> {
    head + SHOWN..head.saturating_add(length)
}

/// Returns the length of the header and of the body of the `bin` or `str` that `bytes` starts with.
fn text(bytes: &[u8], is_broken: bool) -> Option<(usize, usize)> {
    let number =
        |n: usize| bytes.get(1..=n).map(|digits| digits.iter().fold(0, |sum, &b| sum << 8 | usize::from(b)));
    let whole = match *bytes.first()? {
        byte @ 0xa0..=0xbf => Some((1, usize::from(byte & 0x1f))),
        0xc4 | 0xd9 => number(1).map(|length| (2, length)),
        0xc5 | 0xda => number(2).map(|length| (3, length)),
        0xc6 | 0xdb => number(4).map(|length| (5, length)),
        _ => None,
    };
    // Either byte of the header of an id may be the one that was altered.
    match whole {
        // Nothing else is an id.
        whole if !is_broken => whole.filter(|&(_, length)| length == ID),
        Some((head, ID)) => Some((head, ID)),
        _ => Some((2, ID)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Vec<u8> {
        [&b"\x94\0\0\xa5hello\x91\x82\xa7version\x01\xa7session\xc4\x10"[..], &[0xab; 16], b"\xa4next"]
            .concat()
    }

    #[test]
    fn an_id_is_hidden_but_for_its_beginning() {
        let mut bytes = hello();
        let hidden = hide(&mut bytes, false);
        let start = bytes.len() - 5 - 13;
        assert_eq!(hidden, vec![start..start + 13]);
        assert_eq!(bytes.iter().filter(|&&byte| byte == 0xab).count(), 3);
        assert!(bytes.ends_with(b"\0\xa4next"));
    }

    #[test]
    fn an_id_is_hidden_wherever_the_message_ends_and_whichever_bit_is_wrong() {
        for end in 0..=hello().len() {
            let mut bytes = hello()[..end].to_vec();
            hide(&mut bytes, false);
            assert!(bytes.iter().filter(|&&byte| byte == 0xab).count() <= 3, "cut at {end}");
        }
        for bit in 0..8 * hello().len() {
            let mut bytes = hello();
            bytes[bit / 8] ^= 1 << (bit % 8);
            hide(&mut bytes, true);
            assert!(bytes.iter().filter(|&&byte| byte == 0xab).count() <= 3, "bit {bit}");
        }
    }

    #[test]
    fn what_is_longer_than_an_id_is_hidden_in_an_altered_message_too() {
        let values: [(&[u8], Vec<u8>); 3] = [
            (b"\xc4\x20", vec![0xab; 32]),
            (b"\xdc\0\x10", [0xcc, 0xab].repeat(16)),
            (b"\xd9\x40", vec![0xab; 64]),
        ];
        for (head, value) in values {
            let whole = [&b"\x81\xa7session"[..], head, &value, b"\xa4next"].concat();
            for end in 0..=whole.len() {
                let mut bytes = whole[..end].to_vec();
                hide(&mut bytes, true);
                assert!(bytes.iter().filter(|&&byte| byte == 0xab).count() <= 3, "{head:?} cut at {end}");
                assert!(end < whole.len() || bytes.ends_with(b"\xa4next"), "{bytes:?}");
            }
        }
    }

    #[test]
    fn an_id_as_a_text_is_hidden_too() {
        for head in
            [&b"\xb0"[..], b"\xd9\x10", b"\xda\0\x10", b"\xdb\0\0\0\x10", b"\xc5\0\x10", b"\xc6\0\0\0\x10"]
        {
            for is_broken in [false, true] {
                let mut bytes = [b"\xa7session", head, &[0xab; 16]].concat();
                assert_eq!(hide(&mut bytes, is_broken).len(), 1, "{head:?}");
                let shown = [0xab, 0xab, 0xab, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                assert!(bytes.ends_with(&shown), "{head:?}, {is_broken}");
            }
        }
    }

    #[test]
    fn a_text_that_contains_the_key_is_shown_unless_an_id_follows() {
        let mut bytes = b"\xa9a session\xa3abc\xad a session too".to_vec();
        let before = bytes.clone();
        assert_eq!((hide(&mut bytes, false), &bytes), (vec![], &before));
        let mut bytes = [&b"\xa9a session\xc4\x10"[..], &[0xab; 16]].concat();
        hide(&mut bytes, false);
        assert_eq!(bytes.iter().filter(|&&byte| byte == 0xab).count(), 3);
    }

    #[test]
    fn a_key_is_found_behind_every_header_of_its_length() {
        for header in [
            &b"\xa7"[..],
            b"\xd9\x07",
            b"\xc4\x07",
            b"\xda\0\x07",
            b"\xc5\0\x07",
            b"\xdb\0\0\0\x07",
            b"\xc6\0\0\0\x07",
        ] {
            assert!(is_key(header), "{header:02x?}");
            let mut other = header.to_vec();
            *other.last_mut().unwrap() ^= 1;
            assert!(!is_key(&other), "{other:02x?}");
        }
    }
}
