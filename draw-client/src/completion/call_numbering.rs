//! Maps the program's call numbers to the machine's.

use std::collections::VecDeque;

/// The program numbers all calls that were accepted, the machine those that it was given. The two numbers of a call differ by how many
/// calls were dropped before it, which is the same for long runs of calls.
#[derive(Debug, Default)]
pub(crate) struct CallNumbering {
    /// The difference before the first piece.
    before: u64,
    /// The first call of each piece as the machine numbers it, and the difference from there on. Both rise.
    pieces: VecDeque<(u64, u64)>,
    /// The difference in the last piece.
    last: u64,
}

impl CallNumbering {
    /// Returns the program's number of the call that the machine made last, or is about to make.
    #[inline]
    pub(crate) fn newest(&self, made: u64) -> u64 {
        made + self.last
    }

    /// Sets the number of the call that the machine makes next, `made`. Those in between were dropped.
    pub(crate) fn begin(&mut self, made: u64, number: u64) {
        let difference = number - made;
        if difference == self.last {
            return;
        }
        // A piece without calls is dropped.
        if self.pieces.back().is_some_and(|&(first, _)| first == made) {
            self.pieces.pop_back();
        }
        self.pieces.push_back((made, difference));
        self.last = difference;
    }

    /// Returns the difference, if it is the same for all calls.
    #[inline]
    pub(crate) fn only(&self) -> Option<u64> {
        self.pieces.is_empty().then_some(self.before)
    }

    /// Returns the program's number of a call that the machine has made and that is not settled, or was settled last.
    #[inline]
    pub(crate) fn number(&self, made: u64) -> u64 {
        if self.pieces.is_empty() {
            return made + self.before;
        }
        let behind = self.pieces.partition_point(|&(first, _)| first <= made);
        made + behind.checked_sub(1).map_or(self.before, |piece| self.pieces[piece].1)
    }

    /// Returns the machine's number of a call. `None` if it was dropped between two that were made. For a call after the last one
    /// made, and for one that was settled, the number is that of no call under way.
    #[inline]
    pub(crate) fn made(&self, number: u64) -> Option<u64> {
        if self.pieces.is_empty() {
            return Some(number.wrapping_sub(self.before));
        }
        let behind = self.pieces.partition_point(|&(first, difference)| first + difference <= number);
        let difference = behind.checked_sub(1).map_or(self.before, |piece| self.pieces[piece].1);
        let made = number.wrapping_sub(difference);
        self.pieces.get(behind).is_none_or(|&(next, _)| made < next).then_some(made)
    }

    /// Forgets calls before `done`, as the machine numbers them.
    #[inline]
    pub(crate) fn settle(&mut self, done: u64) {
        while let Some(&(_, difference)) = self.pieces.front().filter(|&&(first, _)| first <= done) {
            self.before = difference;
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_that_was_made_has_its_number_and_those_that_were_dropped_are_none() {
        // For each number from 1: whether the call reached the machine.
        let came = [true, true, false, true, false, false, true, true, false, true];
        let mut numbers = CallNumbering::default();
        let mut made = Vec::new();
        for (number, _) in (1..).zip(came).filter(|(_, came)| *came) {
            numbers.begin(made.len() as u64 + 1, number);
            made.push(number);
            assert_eq!(numbers.newest(made.len() as u64), number);
        }
        for done in 0..=made.len() {
            numbers.settle(done as u64);
            for (call, &number) in (1..).zip(&made).skip(done.saturating_sub(1)) {
                assert_eq!(numbers.number(call), number, "{done} are done");
                assert_eq!(numbers.made(number), Some(call), "{done} are done");
            }
            let last = done.checked_sub(1).map_or(0, |last| made[last]);
            for (number, _) in (1..).zip(came).filter(|&(number, came)| !came && number > last) {
                // A number between the last call that is done and the next may map to a call that is done.
                let call = numbers.made(number);
                assert!(call.is_none_or(|call| call <= done as u64), "{number} of {done}: {call:?}");
            }
        }
        assert!(numbers.pieces.is_empty());
        // Later calls get the next numbers.
        assert_eq!((numbers.newest(7), numbers.number(7), numbers.made(11)), (11, 11, Some(7)));
    }

    #[test]
    fn a_piece_in_which_nothing_was_made_leaves_nothing_behind() {
        let mut numbers = CallNumbering::default();
        for number in 2..100 {
            numbers.begin(1, number);
        }
        assert_eq!(numbers.pieces.len(), 1);
        assert_eq!((numbers.number(1), numbers.made(99), numbers.made(5)), (99, Some(1), None));
    }
}
