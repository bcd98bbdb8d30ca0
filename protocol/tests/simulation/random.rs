//! The source of every random decision of a run, from one seed.

/// SplitMix64 (<https://doi.org/10.1145/2714064.2660195>).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `n`, which must not be 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Returns true with probability `share / all`.
    pub(crate) fn happens(&mut self, share: usize, all: usize) -> bool {
        self.below(all) < share
    }

    /// Returns a number of at most `n` bytes: all, a few, or any number. It is 0 only if `n` is 0.
    pub(crate) fn portion(&mut self, n: usize) -> usize {
        match self.below(4) {
            _ if n == 0 => 0,
            0 => 1 + self.below(n.min(12)),
            1 => 1 + self.below(n),
            _ => n,
        }
    }
}
