//! Read buffers, which threads keep and connections borrow.
//!
//! A connection takes a buffer to try a read, and gives it back at once if there was nothing to read. A thousand idle
//! connections share one buffer per thread.

use crate::limits;
use std::cell::RefCell;

/// Buffers of each size that a thread keeps: one for the connection that is being polled, and one that a connection
/// kept with unread input and then gave back.
const KEPT: usize = 2;

thread_local! {
    static SPARE: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of [`limits::READ`] or [`limits::STREAM_READ`] bytes, and the input in it. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl ReadBuffer {
    /// Takes an empty buffer.
    pub(crate) fn take(is_large: bool) -> ReadBuffer {
        let size = if is_large { limits::STREAM_READ } else { limits::READ };
        let find = |spare: &RefCell<Vec<Box<[u8]>>>| {
            let mut spare = spare.borrow_mut();
            let place = spare.iter().position(|bytes| bytes.len() == size)?;
            Some(spare.swap_remove(place))
        };
        // A thread that is ending has no spare buffers.
        let spare = SPARE.try_with(find).ok().flatten();
        let bytes = spare.unwrap_or_else(|| vec![0; size].into_boxed_slice());
        ReadBuffer { bytes, start: 0, end: 0 }
    }

    /// Returns the size of the buffer in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Returns the whole buffer, to read into.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Records that `n` bytes were read into the buffer.
    pub(crate) fn fill(&mut self, n: usize) {
        (self.start, self.end) = (0, n.min(self.bytes.len()));
    }

    /// Returns the input that was not consumed yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Records that all but the last `left` bytes of input were consumed.
    pub(crate) fn keep_last(&mut self, left: usize) {
        self.start = self.end - left.min(self.end);
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        _ = SPARE.try_with(|spare| {
            let mut spare = spare.borrow_mut();
            if spare.iter().filter(|other| other.len() == bytes.len()).count() < KEPT {
                spare.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_keeps_a_few_buffers_of_each_size() {
        let taken = |is_large| (0..KEPT + 1).map(move |_| ReadBuffer::take(is_large)).collect::<Vec<_>>();
        for is_large in [false, true, false, true] {
            let buffers = taken(is_large);
            let size = if is_large { limits::STREAM_READ } else { limits::READ };
            assert!(buffers.iter().all(|buffer| buffer.capacity() == size && buffer.unread().is_empty()));
        }
        let kept = SPARE.with_borrow(|spare| spare.iter().map(|bytes| bytes.len()).collect::<Vec<_>>());
        for size in [limits::READ, limits::STREAM_READ] {
            assert_eq!(kept.iter().filter(|&&kept| kept == size).count(), KEPT);
        }
    }
}
