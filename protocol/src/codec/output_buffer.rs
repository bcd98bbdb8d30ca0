//! Bytes to send.

/// Bytes to send, and how many of them are sent.
#[derive(Debug, Default)]
pub(crate) struct OutputBuffer {
    pub(crate) bytes: Vec<u8>,
    sent: usize,
}

impl OutputBuffer {
    #[inline]
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Discards all but the first `n` unsent bytes.
    pub(crate) fn truncate(&mut self, n: usize) {
        self.bytes.truncate(self.sent + n);
    }

    /// Records that `n` more bytes are sent. Frees memory beyond `keep` bytes when nothing is left to send.
    #[inline]
    pub(crate) fn advance(&mut self, n: usize, keep: usize) {
        self.sent = (self.sent + n).min(self.bytes.len());
        if self.sent == self.bytes.len() {
            self.sent = 0;
            if self.bytes.capacity() > keep {
                self.bytes = Vec::new();
            }
            self.bytes.clear();
        } else if self.sent > keep.max(self.bytes.len() - self.sent) {
            // A peer that is always a little behind must not make the sent part grow for ever. Moving less than
            // was sent costs less than a copy of each byte.
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }
}
