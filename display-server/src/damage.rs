//! Which rows of a framebuffer have changed: one bit for each band of rows.

use std::ops::Range;

/// Words of a bitmap.
pub(crate) const WORDS: usize = 16;
/// Bands that a display is divided into at most. It is a small, fixed number so that marking, publishing and taking
/// damage cost the same whatever the size of the display; up to 1,024 rows a band is one row.
const BANDS: u32 = WORDS as u32 * 64;

/// The rows that have changed, in bands of a power of two rows.
///
/// Drawing marks a `Damage` of the drawer's own, which costs no synchronisation;
/// [`Framebuffer::publish`](crate::Framebuffer::publish) then adds it to that of the framebuffer, and a presenter
/// gets it from [`Framebuffer::take_damage`](crate::Framebuffer::take_damage).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    words: [u64; WORDS],
    /// A band has `1 << shift` rows.
    shift: u32,
    height: u32,
}

/// What a long run of pixels has changed: a byte for each band, which is stored without being read before. A bit among
/// others has to wait for the one that was set before it, which made random pixels a fifth slower.
pub(crate) struct Marks {
    bands: [u8; BANDS as usize],
    shift: u32,
}

impl Marks {
    /// Row `y` has changed. It must be a row of the display.
    #[inline]
    pub(crate) fn mark(&mut self, y: u32) {
        // The remainder is the band itself, and saves a check.
        self.bands[(y >> self.shift) as usize % BANDS as usize] = 1;
    }
}

impl Damage {
    /// Nothing has changed on a display of `height` rows.
    pub(crate) fn none(height: u32) -> Damage {
        let rows = height.div_ceil(BANDS).max(1).next_power_of_two();
        Damage { words: [0; WORDS], shift: rows.trailing_zeros(), height }
    }

    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.words == [0; WORDS]
    }

    /// The rows that have changed, as ranges from the top. Ranges neither touch nor overlap, and end at the last row.
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

    /// Row `y` has changed. It must be a row of the display.
    #[inline]
    pub(crate) fn mark(&mut self, y: u32) {
        debug_assert!(y < self.height);
        let band = y >> self.shift;
        // The remainder is the word itself, and saves a check.
        self.words[(band / 64) as usize % WORDS] |= 1 << (band % 64);
    }

    /// Marks for a long run of pixels, to be added.
    #[inline]
    pub(crate) fn marks(&self) -> Marks {
        Marks { bands: [0; BANDS as usize], shift: self.shift }
    }

    /// What `marks` says has changed, too.
    pub(crate) fn add_marks(&mut self, marks: &Marks) {
        let used = self.height.div_ceil(1 << self.shift).div_ceil(64) as usize;
        for (word, bands) in self.words.iter_mut().zip(marks.bands.as_chunks::<64>().0).take(used) {
            for (i, &eight) in bands.as_chunks::<8>().0.iter().enumerate() {
                // Each byte is 0 or 1: the product has all eight of them side by side in its highest byte.
                let bits = u64::from_le_bytes(eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
                *word |= bits << (8 * i);
            }
        }
    }

    /// All of `rows` have changed.
    pub(crate) fn mark_rows(&mut self, rows: Range<u32>) {
        if rows.is_empty() {
            return;
        }
        let (first, last) = (rows.start >> self.shift, (rows.end - 1) >> self.shift);
        for band in first..=last {
            self.words[(band / 64) as usize] |= 1 << (band % 64);
        }
    }

    /// What `other` says has changed, too.
    pub(crate) fn add(&mut self, other: &Damage) {
        self.words.iter_mut().zip(other.words).for_each(|(word, more)| *word |= more);
    }

    /// The bits themselves, for a framebuffer to take and to fill.
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
    fn marks_are_bits_in_the_end() {
        for height in [1, 64, 480, 1024, 1025, 65_535] {
            let (mut damage, mut expected) = (Damage::none(height), Damage::none(height));
            let mut marks = damage.marks();
            for y in [0, 7, 8, 63, 64, 100, 479, 1000, 1023, 1024, 40_000, 65_534, height - 1] {
                if y < height {
                    marks.mark(y);
                    expected.mark(y);
                }
            }
            damage.add_marks(&marks);
            assert_eq!(rows(&damage), rows(&expected), "{height} rows");
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
