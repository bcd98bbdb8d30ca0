//! The unsent replies of a client.

use crate::transport::lingering_close::Outgoing;
use std::fmt;
use std::io::Write;
use std::time::Instant;

/// Once a client has this many unsent bytes, its lines are not executed until it reads. The reply to one line may
/// exceed it.
const FULL: usize = 32 << 10;

/// The commands, as `HELP` lists them.
const HELP: &str = "\
HELP: this text
SIZE: replies SIZE width height
PX x y rrggbb: draws a pixel
PX x y rrggbbaa: blends a pixel with what is there: aa is its opacity, 00 to ff
PX x y gg: draws a grey pixel, like PX x y gggggg
PX x y: replies PX x y rrggbb
OFFSET x y: adds x and y to the coordinates of all PX that follow on this connection
Pixels outside the display, and lines that are none of these, are ignored.
";

/// The most memory of the replies of one client.
pub(super) const MOST: usize = FULL + 2 * HELP.len();

/// Replies, in the order of their commands.
#[derive(Debug, Default)]
pub(super) struct Replies {
    bytes: Vec<u8>,
    /// The number of bytes that were sent.
    sent: usize,
}

impl Replies {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns whether the client has to read before more lines are executed.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    /// Returns the bytes of memory that the replies take.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Frees the memory if all replies were sent.
    pub(super) fn shrink(&mut self) {
        if self.is_empty() {
            self.bytes = Vec::new();
        }
    }

    pub(super) fn push(&mut self, reply: fmt::Arguments<'_>) {
        if self.bytes.capacity() == 0 {
            // Small at first, for clients with few commands. It doubles up to `MOST`.
            self.bytes.reserve(64);
        } else if self.bytes.len() > self.bytes.capacity() / 2 {
            self.bytes.reserve_exact(MOST.min(2 * self.bytes.capacity()).saturating_sub(self.bytes.len()));
        }
        // Writing to a `Vec` never fails.
        _ = self.bytes.write_fmt(reply);
    }

    pub(super) fn push_help(&mut self) {
        self.push(format_args!("{HELP}"));
    }
}

impl Outgoing for Replies {
    fn unsent(&mut self, _: Instant) -> &[u8] {
        &self.bytes[self.sent..]
    }

    fn sent(&mut self, bytes: usize, _: Instant) {
        self.sent += bytes;
        if self.sent >= self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unsent_takes_no_more_memory_than_is_asked_for() {
        for is_help in [true, false] {
            let mut replies = Replies::default();
            while !replies.is_full() {
                match is_help {
                    true => replies.push_help(),
                    false => replies.push(format_args!("PX {} {} {:06x}\n", i32::MIN, i32::MIN, 0xff_ffff)),
                }
                assert!(replies.memory() <= MOST, "{}", replies.memory());
            }
        }
    }

    #[test]
    fn bytes_are_sent_in_order_and_once() {
        let mut replies = Replies::default();
        replies.push(format_args!("abc"));
        let now = Instant::now();
        replies.sent(1, now);
        replies.push(format_args!("d"));
        assert_eq!(replies.unsent(now), b"bcd");
        replies.sent(3, now);
        assert!(replies.is_empty() && replies.unsent(now).is_empty());
        replies.shrink();
        assert_eq!(replies.memory(), 0);
    }
}
