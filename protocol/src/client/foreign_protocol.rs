//! Recognises what answers in place of a display: a web server, a shell, a screen of another kind.

use std::fmt::Write;

/// How many of the first bytes are kept: a line of text that shows what the other side is.
const KEPT: usize = 64;

/// The first bytes that came on a connection, until `hello` is answered.
#[derive(Debug)]
pub(super) struct First {
    bytes: [u8; KEPT],
    length: usize,
}

impl Default for First {
    fn default() -> First {
        First { bytes: [0; KEPT], length: 0 }
    }
}

impl First {
    /// Adds the next bytes.
    pub(super) fn note(&mut self, input: &[u8]) {
        let room = &mut self.bytes[self.length..];
        let taken = room.len().min(input.len());
        room[..taken].copy_from_slice(&input[..taken]);
        self.length += taken;
    }

    /// Returns what the other side is, if its first bytes show that it is no display. A display begins with 0x93 or 0x94, and 0x01 or
    /// 0x02: one byte that is altered in transit does not make text of that.
    pub(super) fn stranger(&self) -> Option<String> {
        let bytes = &self.bytes[..self.length];
        match bytes {
            [0x15, 0x03, 0..=4, ..] => Some("TLS (an alert); a display speaks without it".into()),
            [0x16, 0x03, 0..=4, ..] => Some("TLS (a handshake); a display speaks without it".into()),
            [0 | 1, _, 11, 0, 0, 0, ..] => Some("X11".into()),
            [0x20..=0x7e, second, third, ..] if is_text(*second) && is_text(*third) => Some(text(bytes)),
            _ => None,
        }
    }
}

/// Returns whether a byte may be part of text: visible, a space, the end of a line, or the escape that begins a terminal's colours.
fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\r' | 0x1b | 0x20..=0x7e)
}

/// Returns the beginning of a line of text, and its protocol.
fn text(bytes: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 13] = [
        (b"HTTP/", "HTTP"),
        (b"<", "HTML or XML"),
        (b"SSH-", "SSH"),
        (b"RFB ", "VNC"),
        (b"220 ", "SMTP or FTP"),
        (b"220-", "SMTP or FTP"),
        (b"* OK", "IMAP"),
        (b"+OK", "POP3"),
        (b"-ERR", "Redis or POP3"),
        (b"-DENIED", "Redis"),
        (b"AMQP", "AMQP"),
        (b"INFO {", "NATS"),
        (b"ERROR", "memcached"),
    ];
    let known = KNOWN.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, name)| *name);
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or(bytes);
    let mut says = known.map(|name| format!("{name}, ")).unwrap_or_default();
    // Escaped: it is a stranger's, and is to be printed.
    _ = write!(says, "\"{}\"", line.escape_ascii());
    says
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(bytes: &[u8]) -> Option<String> {
        let mut first = First::default();
        bytes.chunks(3).for_each(|chunk| first.note(chunk));
        first.stranger()
    }

    #[test]
    fn strangers_are_known_by_how_they_begin_and_quoted_without_control_characters() {
        for (bytes, says) in [
            (&b"HTTP/1.1 400 Bad Request\r\nServer: x"[..], r#"HTTP, "HTTP/1.1 400 Bad Request""#),
            (b"SSH-2.0-OpenSSH_9.2\r\n", r#"SSH, "SSH-2.0-OpenSSH_9.2""#),
            (b"RFB 003.008\n", r#"VNC, "RFB 003.008""#),
            (b"220 mail.example ESMTP\r\n", r#"SMTP or FTP, "220 mail.example ESMTP""#),
            (b"hi\x1b[31m\xff", r#""hi\x1b[31m\xff""#),
            (b"\x15\x03\x01\x00\x02\x02\x46", "TLS (an alert); a display speaks without it"),
            (b"\x00\x16\x0b\x00\x00\x00\x06\x00", "X11"),
        ] {
            assert_eq!(stranger(bytes).as_deref(), Some(says));
        }
        let long = stranger(&[b'a'; 1000]).unwrap_or_default();
        assert_eq!(long.len(), KEPT + 2, "no more is kept");
    }

    #[test]
    fn what_may_be_a_displays_with_a_byte_altered_is_no_strangers() {
        for altered in [&b""[..], b"S", b"3\x02", b"S\x02\xa5check", b"s\x01\x00", b"\x93S\xa5"] {
            assert_eq!(stranger(altered), None, "{altered:?}");
        }
        for first in [0x93_u8, 0x94] {
            for bit in 0..8 {
                assert_eq!(stranger(&[first ^ 1 << bit, 2, 0xa5]), None);
            }
        }
    }
}
