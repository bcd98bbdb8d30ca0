//! The table of calls: the interface description from which everything else is generated.
//!
//! [`calls!`](crate::calls) passes its rows ([`rows`]) to a macro. Here they become [`Method`], [`Request`] and [`Call`]
//! ([`generate`]). The client library generates its methods from the same rows, and a test compares the specification with them. What a
//! call does and how it travels are columns of its row: see [`columns`].

mod columns;
mod fault_messages;
mod generate;
mod pixels;
mod request;
mod rows;
mod values;

pub use columns::{Cost, Effect, Join, JournalUse, Split};
pub use generate::{Call, Method, Request};
pub use pixels::{Pixel, Pixels};
pub use values::Count;

use crate::codec::envelope;
use crate::types::{Color, Digest, Position, Size};
use values::Returned;

/// The result of a request that succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// No value: nil on the wire.
    Done(()),
    /// A colour: the number 0xRRGGBBAA.
    Pixel(Color),
    /// Bytes R, G, B, A, rows from the top.
    Image(Vec<u8>),
    /// 32 bytes.
    Digest(Digest),
    /// `[width, height]`.
    Size(Size),
    /// `[x, y]`, or nil before any pointer was seen.
    Mouse(Option<Position>),
}

impl Answer {
    /// Returns the message that answers request `number` with this answer.
    pub fn to_response(&self, number: u64) -> Vec<u8> {
        let mut message = Vec::new();
        // On the wire a number is its low 32 bits.
        envelope::write_response_head(&mut message, number as u32);
        message.push(0xc0);
        self.encode(&mut message);
        message
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Answer::Done(()) => ().write(out),
            Answer::Pixel(color) => color.write(out),
            Answer::Image(bytes) => bytes.write(out),
            Answer::Digest(digest) => digest.write(out),
            Answer::Size(size) => size.write(out),
            Answer::Mouse(position) => position.write(out),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
