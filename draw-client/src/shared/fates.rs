//! Calls under way, by the numbers that everybody but the machine knows them by.

use super::{Fate, State};
use crate::late::FailedCall;
use crate::scope::Tag;
use draw_protocol::client::Made;
use std::time::Instant;

impl State {
    /// What is to happen with the result of a call. Nothing if it is settled, or dropped: there is a result, or was.
    pub(super) fn fate(&mut self, number: u64) -> Option<&mut Fate> {
        let behind = self.numbers.made(number).map(|made| made.wrapping_sub(self.settled + 1) as usize);
        match behind.and_then(|behind| self.fates.get_mut(behind)) {
            Some(fate) => Some(fate),
            None => self.room.get_mut(number).map(|waiting| &mut waiting.fate),
        }
    }

    /// That of a call which the machine speaks of.
    pub(super) fn fate_of(&mut self, number: u64) -> Fate {
        self.fate(number).map_or(Fate::Ignored, |fate| *fate)
    }

    /// A call that the machine speaks of, by the number that everybody else knows it by.
    pub(super) fn numbered(&self, made: Made) -> Made {
        let mut numbered = made;
        numbered.number = self.numbers.number(made.number);
        numbered
    }

    /// Whether this call and all before it are done.
    pub(super) fn is_settled(&self, number: u64) -> bool {
        number <= self.numbers.number(self.settled)
    }

    /// When a call was made that is not done.
    pub(super) fn made_at(&mut self, number: u64) -> Option<Instant> {
        let made = self.numbers.made(number).and_then(|made| self.machine.made_at(made));
        made.or_else(|| self.room.get_mut(number).map(|waiting| waiting.at))
    }

    /// Whether everything that was accepted is done.
    pub(crate) fn is_idle(&self) -> bool {
        self.machine.in_flight() == 0 && self.room.is_empty()
    }

    pub(super) fn failed_call(&self, made: Made, tag: &Tag, now: Instant) -> FailedCall {
        FailedCall::new(made, self.last_number(), tag, now)
    }

    /// Forgets the fates of calls that are done; their events have been dealt with.
    pub(super) fn settle(&mut self) {
        let done = self.machine.done();
        self.fates.drain(..(done - self.settled) as usize);
        self.settled = done;
        self.numbers.settle(done);
        self.find_first();
        let last = self.numbers.number(self.machine.last_call());
        self.tags.settle(self.numbers.number(done), last, |tag| self.after.drop(tag));
    }

    /// To be called when `settled` or the numbers have changed.
    #[inline]
    pub(super) fn find_first(&mut self) {
        // No call has a number as high as that: nobody counts so far.
        self.first = self.numbers.only().map_or(1 << 63, |difference| self.settled + difference + 1);
    }

    /// Those whose call is done are to be woken.
    pub(super) fn wake_waiting(&mut self) {
        while let Some(first) = self.waiting.first_entry() {
            if *first.key() > self.numbers.number(self.settled) {
                break;
            }
            self.woken.push(first.remove().0);
        }
        if !self.again.is_empty() {
            let done = self.numbers.number(self.settled);
            self.woken.extend(std::iter::from_fn(|| self.again.pop_up_to(done)));
        }
    }
}
