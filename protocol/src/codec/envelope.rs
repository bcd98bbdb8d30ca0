//! The MessagePack-RPC envelope: requests, responses and notifications.
//!
//! `[0, msgid, method, params]`, `[1, msgid, error, result]` and `[2, method, params]`, as the public specification
//! has it (<https://github.com/msgpack-rpc/msgpack-rpc/blob/master/spec.md>). Numbers are written in their shortest form.

use crate::codec::reader::{Reader, Unexpected};
use rmp::encode;

const INFALLIBLE: &str = "a Vec takes every byte";

#[inline]
pub(crate) fn write_int(out: &mut Vec<u8>, n: i64) {
    // Written at once, a call of a single pixel costs a tenth less than byte by byte.
    match n {
        0..=0x7f => out.push(n as u8),
        0x80..=0xff => out.extend_from_slice(&[0xcc, n as u8]),
        0x100..=0xffff => {
            let [a, b] = (n as u16).to_be_bytes();
            out.extend_from_slice(&[0xcd, a, b]);
        }
        0x1_0000..=0xffff_ffff => {
            let [a, b, c, d] = (n as u32).to_be_bytes();
            out.extend_from_slice(&[0xce, a, b, c, d]);
        }
        _ => _ = encode::write_sint(out, n).expect(INFALLIBLE),
    }
}

#[inline]
pub(crate) fn write_array_header(out: &mut Vec<u8>, count: usize) {
    match count {
        0..=0x0f => out.push(0x90 | count as u8),
        _ => _ = encode::write_array_len(out, count as u32).expect(INFALLIBLE),
    }
}

/// Writes the header of a `bin` of `length` bytes.
pub(crate) fn write_bin_header(out: &mut Vec<u8>, length: usize) {
    encode::write_bin_len(out, u32::try_from(length).expect("messages are far below 4 GiB"))
        .expect(INFALLIBLE);
}

/// Writes a request up to its parameters.
pub(crate) fn write_request_head(out: &mut Vec<u8>, msgid: u32, method: &str) {
    out.extend_from_slice(&[0x94, 0x00]);
    write_int(out, i64::from(msgid));
    encode::write_str(out, method).expect(INFALLIBLE);
}

/// Writes a response up to its error and result.
pub(crate) fn write_response_head(out: &mut Vec<u8>, msgid: u32) {
    out.extend_from_slice(&[0x94, 0x01]);
    write_int(out, i64::from(msgid));
}

/// Writes a notification up to its array of parameters.
pub(crate) fn write_notification_head(out: &mut Vec<u8>, method: &str) {
    out.extend_from_slice(&[0x93, 0x02]);
    encode::write_str(out, method).expect(INFALLIBLE);
}

/// Writes a value as a map of its fields.
pub(crate) fn write_map<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) {
    let mut serializer = rmp_serde::Serializer::new(out).with_struct_map();
    value.serialize(&mut serializer).expect(INFALLIBLE);
}

/// A whole message, its contents not read yet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Message<'a> {
    Request {
        msgid: u32,
        method: &'a [u8],
        params: Reader<'a>,
    },
    /// `error` and `result` follow each other.
    Response {
        msgid: u32,
        rest: Reader<'a>,
    },
    Notification {
        method: &'a [u8],
        params: Reader<'a>,
    },
}

/// As much of a message as its bytes so far tell.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Head<'a> {
    /// Type, msgid and method, each when it has been read.
    kind: Option<i64>,
    pub(crate) msgid: Option<u32>,
    pub(crate) method: Option<&'a [u8]>,
    /// Where the parameters, or error and result, begin.
    rest: Option<Reader<'a>>,
    /// It cannot become a message any more.
    broken: bool,
}

impl<'a> Head<'a> {
    /// Reads what there is. A value that is cut off is only missing; one of the wrong type breaks the message.
    pub(crate) fn read(bytes: &'a [u8]) -> Head<'a> {
        let mut head = Head::default();
        head.broken = head.read_fields(Reader::new(bytes)).is_err_and(|what| !what.is_cut_off());
        head
    }

    fn read_fields(&mut self, mut reader: Reader<'a>) -> Result<(), Unexpected> {
        let count = reader.array()?;
        let kind = reader.int()?;
        self.kind = Some(kind);
        match (kind, count) {
            (0 | 1, 4) => {
                let n = reader.int()?;
                self.msgid = Some(u32::try_from(n).map_err(|_| Unexpected(n.to_string()))?);
            }
            (2, 3) => {}
            _ => return Err(Unexpected(format!("type {kind} in an array of {count}"))),
        }
        if kind != 1 {
            self.method = Some(reader.text()?);
        }
        self.rest = Some(reader);
        Ok(())
    }

    /// Returns whether the bytes so far can be the start of a message.
    pub(crate) fn is_possible(&self) -> bool {
        !self.broken
    }

    /// Returns the message, if all of its head was read.
    pub(crate) fn message(self) -> Option<Message<'a>> {
        match (self.kind?, self.msgid, self.method, self.rest?) {
            (0, Some(msgid), Some(method), params) => Some(Message::Request { msgid, method, params }),
            (1, Some(msgid), None, rest) => Some(Message::Response { msgid, rest }),
            (2, None, Some(method), params) => Some(Message::Notification { method, params }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_in_their_shortest_form() {
        let powers = (0..63).map(|bit| 1_i64 << bit);
        for n in powers.flat_map(|n| [n - 1, n, n + 1, -n, 1 - n]).chain([i64::MIN, i64::MAX]) {
            let (mut written, mut shortest) = (Vec::new(), Vec::new());
            write_int(&mut written, n);
            encode::write_sint(&mut shortest, n).unwrap();
            assert_eq!(written, shortest, "{n}");
        }
        for count in [0, 1, 15, 16, 0xffff, 0x1_0000] {
            let (mut written, mut shortest) = (Vec::new(), Vec::new());
            write_array_header(&mut written, count);
            encode::write_array_len(&mut shortest, count as u32).unwrap();
            assert_eq!(written, shortest, "{count}");
        }
    }

    #[test]
    fn the_forms_of_the_specification_are_read() {
        let mut out = Vec::new();
        write_request_head(&mut out, 300, "draw_pixel");
        out.push(0x90);
        assert_eq!(out[..5], [0x94, 0x00, 0xcd, 1, 44]);
        for cut in 0..out.len() - 1 {
            let head = Head::read(&out[..cut]);
            assert!(head.is_possible() && head.message().is_none(), "cut at {cut}");
        }
        let Some(Message::Request { msgid: 300, method: b"draw_pixel", params }) = Head::read(&out).message()
        else {
            panic!("{out:02x?}")
        };
        assert_eq!(params.rest(), [0x90]);

        // A msgid may have any width, and a method may be a bin.
        let odd = [0x94, 0x00, 0xcf, 0, 0, 0, 0, 0, 0, 0, 7, 0xc4, 1, b'm', 0x90];
        assert!(matches!(Head::read(&odd).message(), Some(Message::Request { msgid: 7, method: b"m", .. })));
        let notification = [0x93, 0x02, 0xa1, b'm', 0x90];
        assert!(matches!(
            Head::read(&notification).message(),
            Some(Message::Notification { method: b"m", .. })
        ));
        let response = [0x94, 0x01, 0x05, 0xc0, 0xc0];
        assert!(matches!(Head::read(&response).message(), Some(Message::Response { msgid: 5, .. })));
    }

    #[test]
    fn what_cannot_become_a_message_is_seen_at_once() {
        for (bytes, msgid) in [
            (&[0x95, 0x00][..], None),
            (&[0x94, 0x03], None),
            (&[0x94, 0x02], None),
            (&[0x93, 0x00], None),
            (&[0x94, 0xa1, b'0'], None),
            (&[0x94, 0x00, 0xff], None),
            (&[0x94, 0x00, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0], None),
            (&[0x94, 0x00, 0x07, 0xc0], Some(7)),
        ] {
            let head = Head::read(bytes);
            assert!(!head.is_possible(), "{bytes:02x?}");
            assert_eq!(head.msgid, msgid);
        }
        assert!(Head::read(&[]).is_possible());
    }
}
