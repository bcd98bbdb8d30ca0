//! Tracks which rows of a framebuffer have changed, with one bit for each band of rows.

use std::ops::Range;

/// Words of a bitmap.
pub(crate) const WORDS: usize = 16;
/// The most bands of a display. A small, fixed number makes marking, publishing and taking damage cost the same for any
/// size. Up to 1,024 rows, a band is one row.
const BANDS: u32 = WORDS as u32 * 64;

/// The rows that have changed, in bands of a power of two rows.
///
/// Each connection marks a `Damage` of its own, without synchronisation;
/// [`Framebuffer::publish`](crate::Framebuffer::publish) then adds it to the damage of every subscriber, which takes it
/// with [`Subscription::take`](crate::Subscription::take).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    words: [u64; WORDS],
    /// A band has `1 << shift` rows.
    shift: u32,
    height: u32,
}

impl Damage {
    /// Returns empty damage of a display of `height` rows.
    pub(crate) fn none(height: u32) -> Damage {
        let rows = height.div_ceil(BANDS).max(1).next_power_of_two();
        Damage { words: [0; WORDS], shift: rows.trailing_zeros(), height }
    }

    /// Returns whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.words == [0; WORDS]
    }

    /// Returns the rows that have changed, as ranges from the top. Ranges neither touch nor overlap, and lie within the
    /// display.
    pub fn rows(&self) -> impl Iterator<Item = Range<u32>> + use<> {
        let Damage { words, shift, height } = *self;
        let is_marked = move |band: u32| words[(band / 64) as usize] >> (band % 64) & 1 == 1;
        let mut band = 0;
        std::iter::from_fn(move || {
            let first = (band..BANDS).find(|&b| is_marked(b))?;
            band = (first..BANDS).find(|&b| !is_marked(b)).unwrap_or(BANDS);
            Some(first << shift..height.min(band << shift))
        })
    }

    /// Marks row `y`, which must be a row of the display.
    #[inline]
    pub(crate) fn mark(&mut self, y: u32) {
        debug_assert!(y < self.height);
        let band = y >> self.shift;
        // The remainder changes nothing, and saves a bounds check.
        self.words[(band / 64) as usize % WORDS] |= 1 << (band % 64);
    }

    /// Marks all of `rows`, which must be rows of the display. An empty range marks nothing.
    #[inline]
    pub(crate) fn mark_rows(&mut self, rows: Range<u32>) {
        if rows.is_empty() {
            return;
        }
        debug_assert!(rows.end <= self.height);
        let (first, last) = (rows.start >> self.shift, (rows.end - 1) >> self.shift);
        let (first_word, last_word) = ((first / 64) as usize % WORDS, (last / 64) as usize % WORDS);
        let (from_first, to_last) = (u64::MAX << (first % 64), u64::MAX >> (63 - last % 64));
        if first_word == last_word {
            self.words[first_word] |= from_first & to_last;
            return;
        }
        self.words[first_word] |= from_first;
        self.words[last_word] |= to_last;
        if let Some(between) = self.words.get_mut(first_word + 1..last_word) {
            between.fill(u64::MAX);
        }
    }

    /// Adds the rows of `other`.
    #[cfg(any(test, feature = "window"))]
    pub(crate) fn add(&mut self, other: &Damage) {
        self.words.iter_mut().zip(other.words).for_each(|(word, more)| *word |= more);
    }

    /// Returns the bits, which the framebuffer takes and fills.
    pub(crate) fn words_mut(&mut self) -> &mut [u64; WORDS] {
        &mut self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(damage: &Damage) -> Vec<Range<u32>> {
        damage.rows().collect()
    }

    #[test]
    fn up_to_1024_rows_a_band_is_one_row() {
        let mut damage = Damage::none(1024);
        assert!(damage.is_empty() && rows(&damage).is_empty());
        for y in [0, 63, 64, 65, 1023] {
            damage.mark(y);
        }
        assert_eq!(rows(&damage), [0..1, 63..66, 1023..1024]);
        damage.mark_rows(1..63);
        damage.mark_rows(5..5);
        assert_eq!(rows(&damage), [0..66, 1023..1024]);
        let mut other = Damage::none(1024);
        other.mark_rows(60..70);
        other.add(&damage);
        assert_eq!(rows(&other), [0..70, 1023..1024]);
    }

    #[test]
    fn any_range_of_rows_is_the_rows_in_it() {
        for height in [1, 64, 480, 1024, 1025, 65_535] {
            let ends = [0, 1, 7, 63, 64, 65, 100, 128, 479, 1000, 1024, 40_000, height];
            for (first, end) in ends.iter().flat_map(|&first| ends.map(|end| (first, end.min(height)))) {
                let (mut damage, mut expected) = (Damage::none(height), Damage::none(height));
                damage.mark_rows(first..end);
                (first..end).for_each(|y| expected.mark(y));
                assert_eq!(rows(&damage), rows(&expected), "{first}..{end} of {height} rows");
            }
        }
    }

    #[test]
    fn a_higher_display_has_higher_bands_that_end_at_its_last_row() {
        let mut damage = Damage::none(1025);
        damage.mark(2);
        damage.mark(1024);
        assert_eq!(rows(&damage), [2..4, 1024..1025]);

        let mut damage = Damage::none(65_535);
        damage.mark(65_534);
        damage.mark_rows(63..65);
        assert_eq!(rows(&damage), [0..128, 65_472..65_535]);
        damage.mark_rows(0..65_535);
        assert_eq!(rows(&damage), [const { 0..65_535 }]);
    }
}
