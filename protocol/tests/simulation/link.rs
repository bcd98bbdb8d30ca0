//! A connection of the network: bytes in flight in both directions, and their faults.

use super::ledger::Process;
use super::random::Random;
use std::collections::VecDeque;
use std::time::Instant;

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Way {
    bytes: VecDeque<u8>,
    /// All bytes ever sent. A copy may deliver them again at any time.
    history: Vec<u8>,
    /// Whether new bytes are dropped. Bytes in flight may still arrive.
    is_cut: bool,
}

impl Way {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.is_cut {
            self.bytes.extend(bytes);
            self.history.extend_from_slice(bytes);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn history(&self) -> &[u8] {
        &self.history
    }

    /// Returns the next `n` bytes to arrive.
    pub(crate) fn first(&mut self, n: usize) -> &[u8] {
        &self.bytes.make_contiguous()[..n]
    }

    pub(crate) fn drop_first(&mut self, n: usize) {
        self.bytes.drain(..n);
    }

    /// Drops the end of the bytes in flight, from a random byte on, and cuts the direction.
    pub(crate) fn cut(&mut self, random: &mut Random) {
        let kept = match random.below(3) {
            0 => self.bytes.len(),
            1 => 0,
            _ => random.below(self.bytes.len() + 1),
        };
        self.bytes.truncate(kept);
        self.is_cut = true;
    }

    /// Flips a bit in flight. Returns its index, or `None` if nothing is in flight.
    pub(crate) fn alter(&mut self, random: &mut Random) -> Option<usize> {
        let bit = (!self.bytes.is_empty()).then(|| random.below(self.bytes.len() * 8))?;
        self.bytes[bit / 8] ^= 1 << (bit % 8);
        Some(bit)
    }

    /// Closes the sender's end.
    pub(crate) fn close(&mut self) {
        self.is_cut = true;
    }

    /// Returns whether the receiver can detect the end.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_cut && self.bytes.is_empty()
    }
}

/// A connection. Each end detects its loss independently, so a connection that the client has left may still deliver
/// bytes in flight.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: usize,
    /// The process of the display at the other end.
    pub(crate) process: Process,
    /// To the display.
    pub(crate) up: Way,
    /// To the client.
    pub(crate) down: Way,
    pub(crate) kind: Kind,
    /// The time of the connect.
    pub(crate) began: Instant,
    /// Whether it is a copy of the bytes of another connection.
    pub(crate) is_copy: bool,
    /// Whether copies of it exist, which may overtake its client.
    pub(crate) is_copied: bool,
    /// Whether the display has taken the session from it without a reason.
    pub(crate) is_robbed: bool,
    pub(crate) has_client: bool,
    pub(crate) has_server: bool,
}

/// The options of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Whether it uses checks.
    pub(crate) is_checked: bool,
    /// Whether it confirms the welcome. Older clients do not.
    pub(crate) confirms: bool,
}

impl Link {
    pub(crate) fn new(client: usize, process: Process, kind: Kind, began: Instant) -> Link {
        let (up, down, is_copy, is_copied, is_robbed) = (Way::default(), Way::default(), false, false, false);
        let (has_client, has_server) = (true, true);
        Link { client, process, up, down, kind, began, is_copy, is_copied, is_robbed, has_client, has_server }
    }

    /// Returns a connection without a client that carries the same bytes to the display, or the first part of them.
    pub(crate) fn copy(&mut self, random: &mut Random) -> Link {
        self.is_copied = true;
        let mut copy = Link { is_copy: true, ..Link::new(self.client, self.process, self.kind, self.began) };
        let all = self.up.history();
        copy.up.push(&all[..if random.happens(3, 4) { all.len() } else { random.portion(all.len()) }]);
        copy.leave_client();
        copy
    }

    pub(crate) fn leave_client(&mut self) {
        self.has_client = false;
        self.up.close();
    }

    pub(crate) fn leave_server(&mut self) {
        self.has_server = false;
        self.down.close();
    }
}
