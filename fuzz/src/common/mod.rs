//! Helpers shared by the targets.

pub(crate) mod calls;
pub(crate) mod disk;
pub(crate) mod model;

use draw_protocol::server::Config;
use draw_protocol::session::{Id, Nonce};
use draw_protocol::{Scan, Size, limits};
use xxhash_rust::xxh3::xxh3_64;

/// The display size of most targets: small enough that half of the coordinates lie outside.
pub(crate) const SMALL: Size = Size { width: 16, height: 16 };

/// The nonce that a client of a session must confirm, on most connections.
pub(crate) const NONCE: Nonce = Nonce::new(0x0bad_cafe);

/// Returns the message that confirms a nonce.
pub(crate) fn confirmation(nonce: Nonce) -> Vec<u8> {
    [&b"\x93\x02\xa7confirm\x91\xcf"[..], &nonce.get().to_be_bytes()].concat()
}

/// Returns the configuration of a server whose display offers sessions.
pub(crate) fn config(size: Size) -> Config {
    Config {
        display: draw_protocol::DisplayName::main(),
        server: "fuzz".into(),
        size,
        message: limits::MESSAGE,
        instance: Some((Id([7; 16]), 1)),
        has_journal: false,
        nonce: Some(NONCE),
    }
}

/// Returns four ways to cut these bytes: not at all, at every byte, and in two ways derived from the bytes themselves.
/// A file of bytes is therefore the whole input, and a fuzzer changes nothing but those bytes.
pub(crate) fn cuts(bytes: &[u8]) -> [Cuts; 4] {
    let own = xxh3_64(bytes) | 1;
    [Cuts::Whole, Cuts::Bytes, Cuts::Random(own, 9), Cuts::Random(own, 400)]
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Cuts {
    Whole,
    Bytes,
    /// A seed, and the largest size of a piece in bytes.
    Random(u64, u64),
}

impl Cuts {
    /// Returns the bytes in pieces, none of which is empty.
    pub(crate) fn pieces(self, bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let (mut rest, mut cuts) = (bytes, self);
        std::iter::from_fn(move || {
            let length = match &mut cuts {
                Cuts::Whole => rest.len(),
                Cuts::Bytes => 1,
                Cuts::Random(state, most) => {
                    // Xorshift: Marsaglia, "Xorshift RNGs", 2003.
                    *state ^= *state << 13;
                    *state ^= *state >> 7;
                    *state ^= *state << 17;
                    (*state % *most) as usize + 1
                }
            };
            let (piece, others) = rest.split_at(length.min(rest.len()));
            rest = others;
            (!piece.is_empty()).then_some(piece)
        })
    }
}

/// Splits these bytes into whole messages and the rest.
pub(crate) fn messages(mut bytes: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let mut messages = Vec::new();
    while let Ok(Some(end)) = Scan::default().run(bytes, limits::MESSAGE_HARDEST) {
        let (message, rest) = bytes.split_at(end);
        messages.push(message);
        bytes = rest;
    }
    (messages, bytes)
}

/// Returns the same bytes with a valid checksum before each message: a fuzzer would not find one.
pub(crate) fn checked(bytes: &[u8]) -> Vec<u8> {
    let (messages, rest) = messages(bytes);
    let mut checked = Vec::new();
    for message in messages {
        checked.extend_from_slice(b"\x93\x02\xa5check\x91\xcf");
        checked.extend_from_slice(&xxh3_64(message).to_be_bytes());
        checked.extend_from_slice(message);
    }
    checked.extend_from_slice(rest);
    checked
}
