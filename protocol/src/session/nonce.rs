//! The number that identifies a welcome.

/// A number that identifies one welcome. A client that sends it back has received that welcome, so its messages belong to this
/// connection. Late copies of bytes of an older connection carry another number.
///
/// It has 52 random bits. One bit more is always set: so it is never the number of a `hello`, which counts from 1, and every
/// language has it as a whole number (the largest that JavaScript and Lua count exactly is 2^53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce(u64);

impl Nonce {
    const LEAST: u64 = 1 << 52;
    const MOST: u64 = (1 << 53) - 1;

    /// Creates a nonce from random bits, of which it uses 52.
    pub const fn new(random: u64) -> Nonce {
        Nonce(Nonce::LEAST | random & (Nonce::LEAST - 1))
    }

    /// Returns the number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns whether this number is a nonce.
    pub(super) fn is_one(number: u64) -> bool {
        (Nonce::LEAST..=Nonce::MOST).contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_neither_a_small_number_nor_one_that_some_languages_do_not_count_to() {
        for random in [0, 1, 1 << 51, 1 << 52, u64::MAX] {
            let nonce = Nonce::new(random);
            assert!(Nonce::is_one(nonce.get()) && (1 << 52..1 << 53).contains(&nonce.get()), "{nonce:?}");
        }
        assert_eq!(Nonce::new(5).get(), (1 << 52) + 5);
        assert_ne!(Nonce::new(1 << 51), Nonce::new(0));
        assert!([0, 1, (1 << 52) - 1, 1 << 53, u64::MAX].into_iter().all(|number| !Nonce::is_one(number)));
    }
}
