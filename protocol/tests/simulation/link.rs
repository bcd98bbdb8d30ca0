//! A connection of the network: bytes in flight in both directions, and their faults.

use super::ledger::Process;
use super::random::Random;
use std::collections::VecDeque;
use std::time::Instant;

/// One direction.
#[derive(Debug, Default)]
pub(crate) struct Way {
    bytes: VecDeque<u8>,
    /// All that ever got on the way: it may arrive once more, at any time.
    history: Vec<u8>,
    /// Nothing more gets on the way; what is on it may still arrive.
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
    pub(crate) kind: Kind,
    /// When its first byte was sent.
    pub(crate) began: Instant,
    /// Nobody has sent this: it is what another connection has carried, once more.
    pub(crate) is_copy: bool,
    /// There are copies of it, so that its client may find that it has been overtaken.
    pub(crate) is_copied: bool,
    /// The display has taken the session from it for no reason.
    pub(crate) is_robbed: bool,
    pub(crate) has_client: bool,
    pub(crate) has_server: bool,
}

/// What its client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Checks.
    pub(crate) is_checked: bool,
    /// To confirm the welcome. Older clients do not.
    pub(crate) confirms: bool,
}

impl Link {
    pub(crate) fn new(client: usize, process: Process, kind: Kind, began: Instant) -> Link {
        let (up, down, is_copy, is_copied, is_robbed) = (Way::default(), Way::default(), false, false, false);
        let (has_client, has_server) = (true, true);
        Link { client, process, up, down, kind, began, is_copy, is_copied, is_robbed, has_client, has_server }
    }

    /// All that it has carried to the display, or the beginning of it, on its way on a connection that nobody listens to.
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
