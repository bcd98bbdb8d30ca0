//! The answer to `get_digest`: a fingerprint of a picture.

use std::fmt;
use std::str::FromStr;

/// The SHA-256 of a picture: of `width * height` pixels as bytes R, G, B, A, rows from the top. As text it is 64 digits
/// in hex, as `sha256sum` prints it.
///
/// This crate carries it and does not compute it; `draw_client::digest_of_image` does.
///
/// ```
/// use draw_protocol::Digest;
/// let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// let digest: Digest = text.parse()?;
/// assert_eq!(digest.to_string(), text);
/// assert_eq!(digest.as_bytes()[..2], [0xe3, 0xb0]);
/// # Ok::<(), draw_protocol::ParseDigestError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; Digest::SIZE]);

impl Digest {
    /// Bytes of a digest.
    pub const SIZE: usize = 32;

    /// Returns its bytes.
    pub const fn as_bytes(&self) -> &[u8; Digest::SIZE] {
        &self.0
    }
}

impl From<[u8; Digest::SIZE]> for Digest {
    fn from(bytes: [u8; Digest::SIZE]) -> Digest {
        Digest(bytes)
    }
}

impl From<Digest> for [u8; Digest::SIZE] {
    fn from(digest: Digest) -> [u8; Digest::SIZE] {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The error for a text that is not a digest.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no digest: write its 64 digits in hex")]
pub struct ParseDigestError(String);

/// The sentence; `{:#?}` has the text as it was given.
impl fmt::Debug for ParseDigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f.debug_tuple("ParseDigestError").field(&self.0).finish();
        }
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    /// Reads 64 digits in hex, in either case.
    fn from_str(text: &str) -> Result<Digest, ParseDigestError> {
        let wrong = || ParseDigestError(text.chars().take(2 * Digest::SIZE + 1).collect());
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != Digest::SIZE || !rest.is_empty() {
            return Err(wrong());
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
        let mut bytes = [0; Digest::SIZE];
        for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
        }
        Ok(Digest(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_64_digits_are_a_digest() {
        let digest = Digest::from(std::array::from_fn(|i| (i * 9) as u8));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!(digest.to_string().to_uppercase().parse(), Ok(digest));
        let (short, long) = ("0".repeat(63), "0".repeat(65));
        for text in ["", &short, &long, &format!("{short}g"), &format!("+{short}"), &"é".repeat(32)] {
            let error = text.parse::<Digest>().unwrap_err().to_string();
            assert!(error.contains("64 digits in hex"), "{error}");
        }
    }
}
