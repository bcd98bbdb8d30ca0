//! What memory a connection holds, what it waits for, and when others need what it holds.

use super::Connection;
use crate::doors::TurnEnd;
use crate::resources::budget::{LARGE, WaitsFor};
use crate::resources::buffers::ReadBuffer;
use draw_protocol::{limits, server};
use std::sync::atomic::Ordering::Relaxed;

impl<S> Connection<'_, S> {
    /// What the connection waits for after such a turn.
    pub(super) fn waits(&self, turn: TurnEnd) -> WaitsFor {
        let is_held = self.target.caller.is_held();
        if self.machine.unsent() > 0 && !is_held {
            WaitsFor::Client
        } else if self.grants.share.is_waiting() {
            WaitsFor::Memory
        } else if is_held
            || turn == TurnEnd::Queue
            || self.pending.is_some()
            || self.session.resuming.is_some()
        {
            WaitsFor::Display
        } else {
            WaitsFor::Client
        }
    }

    /// Brings the display's counters, and the share of the memory, to what there is now.
    pub(super) fn settle(&mut self) {
        let (counters, stats, counted) =
            (self.display().counters(), self.machine.stats(), self.reported.stats);
        if stats != counted {
            counters.executed.fetch_add(stats.executed - counted.executed, Relaxed);
            counters.faults.fetch_add(stats.faults - counted.faults, Relaxed);
            counters.unheard_faults.fetch_add(stats.unheard_faults - counted.unheard_faults, Relaxed);
            self.reported.stats = stats;
        }
        let memory = self.machine.memory();
        let is_large = self.input.buffer.as_ref().is_some_and(|input| extra(input) > 0);
        // What is unread in a large buffer was granted together with the buffer, and is not to be waited for. Nor is what the rest
        // of a message needs that has all its room.
        let is_kept = is_large || self.machine.has_room();
        self.grants.share.shrink(if is_kept {
            step(&self.machine, self.input.buffer.as_ref())
        } else {
            memory
        });
        self.count_buffered(memory + self.input.buffer.as_ref().map_or(0, ReadBuffer::capacity));
    }

    fn count_buffered(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.reported.buffered, bytes as u64);
        self.display().count_buffered(before, self.reported.buffered);
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
