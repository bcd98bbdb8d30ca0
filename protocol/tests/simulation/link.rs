//! A connection of the network: bytes on their way in both directions, and what can happen to them.

use super::ledger::Process;
use super::random::Random;
use std::collections::VecDeque;

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Way {
    bytes: VecDeque<u8>,
    /// Nothing more gets on the way; what is on it may still arrive.
    is_cut: bool,
}

impl Way {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if !self.is_cut {
            self.bytes.extend(bytes);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What arrives next.
    pub(crate) fn first(&mut self, n: usize) -> &[u8] {
        &self.bytes.make_contiguous()[..n]
    }

    pub(crate) fn drop_first(&mut self, n: usize) {
        self.bytes.drain(..n);
    }

    /// The end of what is on its way, from any byte on, never arrives.
    pub(crate) fn cut(&mut self, random: &mut Random) {
        let kept = match random.below(3) {
            0 => self.bytes.len(),
            1 => 0,
            _ => random.below(self.bytes.len() + 1),
        };
        self.bytes.truncate(kept);
        self.is_cut = true;
    }

    /// A bit of what is on its way arrives as the other. Answers which, if anything is.
    pub(crate) fn alter(&mut self, random: &mut Random) -> Option<usize> {
        let bit = (!self.bytes.is_empty()).then(|| random.below(self.bytes.len() * 8))?;
        self.bytes[bit / 8] ^= 1 << (bit % 8);
        Some(bit)
    }

    /// The sender will send nothing more.
    pub(crate) fn close(&mut self) {
        self.is_cut = true;
    }

    /// Whether the receiver can find out that nothing more comes.
    pub(crate) fn has_ended(&self) -> bool {
        self.is_cut && self.bytes.is_empty()
    }
}

/// Each end finds out for itself that a connection is gone, sooner or later: so one that the client has left may still carry what was
/// on its way.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client: usize,
    /// Who is at the other end.
    pub(crate) process: Process,
    /// To the display.
    pub(crate) up: Way,
    /// To the client.
    pub(crate) down: Way,
    /// Its client wants checks.
    pub(crate) is_checked: bool,
    pub(crate) has_client: bool,
    pub(crate) has_server: bool,
}

impl Link {
    pub(crate) fn new(client: usize, process: Process, is_checked: bool) -> Link {
        let (up, down) = (Way::default(), Way::default());
        Link { client, process, up, down, is_checked, has_client: true, has_server: true }
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
