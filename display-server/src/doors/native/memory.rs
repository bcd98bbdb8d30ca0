//! Accounts for the memory that a connection holds, and reports what it waits for.

use super::Connection;
use crate::doors::TurnEnd;
use crate::resources::budget::{LARGE, WaitsFor};
use crate::resources::buffers::ReadBuffer;
use draw_protocol::{limits, server};
use std::sync::atomic::Ordering::Relaxed;

impl<S> Connection<'_, S> {
    /// Returns what the connection waits for after a turn that ended so.
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

    /// Updates the display's counters and the connection's share of the memory.
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
        // The memory to process a large buffer, or the rest of a message whose buffer is allocated, was granted before
        // and is kept, so that it need not be waited for.
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

/// Returns the most memory that the connection may hold after the next step, including input that was read and not
/// executed yet.
pub(super) fn step(machine: &server::Connection, input: Option<&ReadBuffer>) -> usize {
    machine.most_memory() + limits::READ + input.map_or(0, extra)
}

/// Returns the memory of a buffer, and of a step that processes it, beyond those of a usual buffer: see [`LARGE`].
fn extra(buffer: &ReadBuffer) -> usize {
    if buffer.capacity() > limits::READ { LARGE } else { 0 }
}
