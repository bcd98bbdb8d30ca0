//! What memory a connection holds, what it waits for, and when others need what it holds.

use super::Connection;
use super::converse::Turn;
use crate::budget::{LARGE, Waits};
use crate::buffers::ReadBuffer;
use draw_protocol::{limits, server};
use std::sync::atomic::Ordering::Relaxed;

impl<S> Connection<'_, S> {
    /// What the connection waits for after such a turn.
    pub(super) fn waits(&self, turn: Turn) -> Waits {
        let is_held = self.caller.is_held();
        if self.machine.unsent() > 0 && !is_held {
            Waits::Client
        } else if self.share.is_waiting() {
            Waits::Memory
        } else if is_held || turn == Turn::Queue || self.asked.is_some() || self.resuming.is_some() {
            Waits::Display
        } else {
            Waits::Client
        }
    }

    /// Brings the display's counters, and the share of the memory, to what there is now.
    pub(super) fn settle(&mut self) {
        let (counters, stats, counted) = (self.display().counters(), self.machine.stats(), self.counted);
        if stats != counted {
            counters.executed.fetch_add(stats.executed - counted.executed, Relaxed);
            counters.faults.fetch_add(stats.faults - counted.faults, Relaxed);
            counters.unheard_faults.fetch_add(stats.unheard_faults - counted.unheard_faults, Relaxed);
            self.counted = stats;
        }
        let memory = self.machine.memory();
        let is_large = self.input.as_ref().is_some_and(|input| extra(input) > 0);
        // What is unread in a large buffer was granted together with the buffer, and is not to be waited for. Nor is what the rest
        // of a message needs that has all its room.
        let is_kept = is_large || self.machine.has_room();
        self.share.shrink(if is_kept { step(&self.machine, self.input.as_ref()) } else { memory });
        self.count_buffered(memory + self.input.as_ref().map_or(0, ReadBuffer::capacity));
    }

    fn count_buffered(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.buffered, bytes as u64);
        self.display().count_buffered(before, self.buffered);
    }
}

/// The most that the next step may have the connection hold, with what was read and not executed yet.
pub(super) fn step(machine: &server::Connection, input: Option<&ReadBuffer>) -> usize {
    machine.most_memory() + limits::READ + input.map_or(0, extra)
}

/// What a buffer takes beyond the one that each connection may have, and a step of it: see [`LARGE`].
fn extra(buffer: &ReadBuffer) -> usize {
    if buffer.capacity() > limits::READ { LARGE } else { 0 }
}
