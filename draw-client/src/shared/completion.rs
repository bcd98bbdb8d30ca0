//! Calls that were accepted, wherever they are: under way, or in the offline queue.

use super::State;
use crate::completion::{ReplyState, Tag};
use crate::error::FailedCall;
use draw_protocol::client::IssuedCall;
use std::time::Instant;

impl State {
    /// Returns what happens to the error of a call. `None` if it is settled or was dropped: then there is a result, or was.
    pub(crate) fn reply(&mut self, number: u64) -> Option<&mut ReplyState> {
        match self.completion.reply(number) {
            Some(reply) => Some(reply),
            None => self.offline.queue.get_mut(number).map(|waiting| &mut waiting.reply),
        }
    }

    /// Returns the same for a call that the machine speaks of.
    pub(crate) fn reply_state(&mut self, number: u64) -> ReplyState {
        self.reply(number).map_or(ReplyState::Ignored, |reply| *reply)
    }

    /// Returns when a call was made that is not done.
    pub(crate) fn made_at(&mut self, number: u64) -> Option<Instant> {
        let made = self.completion.made(number).and_then(|made| self.machine.made_at(made));
        made.or_else(|| self.offline.queue.get_mut(number).map(|waiting| waiting.at))
    }

    /// Returns whether everything that was accepted is done.
    pub(crate) fn is_idle(&self) -> bool {
        self.machine.in_flight() == 0 && self.offline.queue.is_empty()
    }

    /// Returns the number of the call that was accepted last.
    pub(crate) fn last_number(&self) -> u64 {
        if self.offline.queue.is_empty() {
            return self.completion.newest(self.machine.last_call());
        }
        self.offline.queue.last_number()
    }

    pub(crate) fn failed_call(&self, made: IssuedCall, tag: &Tag, now: Instant) -> FailedCall {
        FailedCall::new(made, self.last_number(), tag.path(), now)
    }

    /// Settles the calls that the machine has done. Their events have been handled.
    pub(crate) fn settle(&mut self) {
        self.completion.settle(&self.machine, |tag| self.errors.deferred.drop(tag));
    }
}
