//! Checksums: a notification before each message with the digest of that message.
//!
//! TCP's own checksum has 16 bits, and middleboxes rewrite it, so corruption occurs. A writer opens a check ([`begin`]), writes
//! the message, and fills in the digest ([`finish`]). A reader passes each complete message to [`Verifier`] before it uses it.
//! Without agreed checks that costs a comparison or two.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Length of a check in bytes.
pub(crate) const LENGTH: usize = HEAD.len() + size_of::<u64>();

/// `[2, "check", [digest]]` up to the digest, which always has all of its eight bytes: so it can be filled in when the message is
/// there, and a bit that changes here makes it something else.
const HEAD: [u8; 10] = *b"\x93\x02\xa5check\x91\xcf";

/// Returns the complete check with this digest.
pub(crate) fn bytes(digest: u64) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..HEAD.len()].copy_from_slice(&HEAD);
    bytes[HEAD.len()..].copy_from_slice(&digest.to_be_bytes());
    bytes
}

/// Returns the digest of a check, if this message is one.
#[inline]
pub(crate) fn read(message: &[u8]) -> Option<u64> {
    let message = <&[u8; LENGTH]>::try_from(message).ok()?;
    let (head, digest) = message.split_at(HEAD.len());
    (head == HEAD).then(|| digest.iter().fold(0, |digest, &byte| digest << 8 | u64::from(byte)))
}

/// Where a message begins that is being written, and whether there is room for its digest in front.
#[derive(Debug, Clone, Copy)]
#[must_use = "its digest is missing"]
pub(crate) struct Open {
    message: usize,
    is_checked: bool,
}

/// Begins a message, with a check in front if there is to be one.
#[inline]
pub(crate) fn begin(out: &mut Vec<u8>, is_checked: bool) -> Open {
    if is_checked {
        out.extend_from_slice(&bytes(0));
    }
    Open { message: out.len(), is_checked }
}

/// Finishes the message. Returns where it begins, behind its check.
#[inline]
pub(crate) fn finish(out: &mut [u8], open: Open) -> usize {
    if open.is_checked {
        fill_in(out, open.message, xxh3_64(&out[open.message..]));
    }
    open.message
}

/// Finishes the message, whose end `rest` is sent from elsewhere.
pub(crate) fn finish_lending(out: &mut [u8], open: Open, rest: &[u8]) {
    if open.is_checked {
        let mut hash = Xxh3::new();
        hash.update(&out[open.message..]);
        hash.update(rest);
        fill_in(out, open.message, hash.digest());
    }
}

fn fill_in(out: &mut [u8], message: usize, digest: u64) {
    out[message - size_of::<u64>()..message].copy_from_slice(&digest.to_be_bytes());
}

/// Writes a message that `write` appends. Returns where it begins, behind its check.
#[inline]
pub(crate) fn write(out: &mut Vec<u8>, is_checked: bool, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let open = begin(out, is_checked);
    write(out);
    finish(out, open)
}

/// Verifies the checksums of the messages that arrive on a connection.
#[derive(Debug, Default, Clone)]
pub(crate) struct Verifier {
    /// Each message has a check in front.
    is_agreed: bool,
    /// The expected digest of the next message.
    expected: Option<u64>,
    /// The last message was verified.
    was_checked: bool,
}

/// The result of [`Verifier::verify`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    /// The message is a check of the next one.
    Check,
    /// The message is valid.
    Message,
}

/// How corruption was detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Corruption {
    #[error("a message of {0} bytes is not what its check says")]
    Mismatch(usize),
    #[error("a message of {0} bytes came without a check")]
    Unchecked(usize),
    #[error("a check came where the message of another was due")]
    Twice,
}

impl Verifier {
    /// Creates a verifier. `is_agreed` means that each message has a check from the start.
    pub(crate) fn new(is_agreed: bool) -> Verifier {
        Verifier { is_agreed, ..Verifier::default() }
    }

    /// Returns whether each message has a check in front.
    #[inline]
    pub(crate) fn is_agreed(&self) -> bool {
        self.is_agreed
    }

    /// Requires a check in front of each message from now on.
    pub(crate) fn agree(&mut self) {
        self.is_agreed = true;
    }

    /// Returns whether the other side supports checks: one has arrived for the next message, or they are agreed.
    pub(crate) fn is_known(&self) -> bool {
        self.is_agreed || self.expected.is_some()
    }

    /// Returns whether the last message had a check in front.
    pub(crate) fn was_checked(&self) -> bool {
        self.was_checked
    }

    /// Verifies a complete message.
    ///
    /// # Errors
    /// [`Corruption`] if the message is not what was sent.
    #[inline]
    pub(crate) fn verify(&mut self, message: &[u8]) -> Result<Verified, Corruption> {
        if !self.is_known() && message.len() != LENGTH {
            self.was_checked = false;
            return Ok(Verified::Message);
        }
        self.compare(message)
    }

    fn compare(&mut self, message: &[u8]) -> Result<Verified, Corruption> {
        self.was_checked = false;
        match (self.expected.take(), read(message)) {
            (None, Some(digest)) => {
                self.expected = Some(digest);
                Ok(Verified::Check)
            }
            (Some(_), Some(_)) => Err(Corruption::Twice),
            (Some(digest), None) if digest == xxh3_64(message) => {
                self.was_checked = true;
                Ok(Verified::Message)
            }
            (Some(_), None) => Err(Corruption::Mismatch(message.len())),
            (None, None) if self.is_agreed => Err(Corruption::Unchecked(message.len())),
            (None, None) => Ok(Verified::Message),
        }
    }
}

/// The digest of a message that is not kept as a whole, and its expected value.
pub(crate) struct RunningDigest {
    expected: u64,
    /// The hash of the bytes so far. It is large, and few connections are traced.
    hash: Box<Xxh3>,
}

impl std::fmt::Debug for RunningDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningDigest").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl RunningDigest {
    /// Creates the digest of a message before its first byte.
    pub(crate) fn new(expected: u64) -> RunningDigest {
        RunningDigest { expected, hash: Box::new(Xxh3::new()) }
    }

    /// Adds the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// Returns whether the digest is the expected one.
    pub(crate) fn matches(&self) -> bool {
        self.hash.digest() == self.expected
    }

    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::envelope;
    use crate::hello;

    const MESSAGE: &[u8] = b"\x94\x00\x01\xa4sync\x90";

    #[test]
    fn a_check_is_a_notification_with_a_number_of_full_width() {
        let mut out = Vec::new();
        envelope::write_notification_head(&mut out, hello::CHECK);
        envelope::write_map(&mut out, &(u64::MAX,));
        assert_eq!(out, bytes(u64::MAX));
        assert_eq!((read(&bytes(7)), read(&out[..17])), (Some(7), None));
        for bit in 0..10 * 8 {
            let mut altered = bytes(7);
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&altered), None);
        }
    }

    #[test]
    fn what_is_written_in_any_manner_is_what_its_check_says() {
        let (mut whole, mut lent) = (b"before".to_vec(), b"before".to_vec());
        let at = write(&mut whole, true, |out| out.extend_from_slice(MESSAGE));
        assert_eq!((&whole[at..], at), (MESSAGE, 6 + LENGTH));
        let open = begin(&mut lent, true);
        lent.extend_from_slice(&MESSAGE[..4]);
        finish_lending(&mut lent, open, &MESSAGE[4..]);
        assert_eq!(lent, whole[..whole.len() - MESSAGE.len() + 4]);
        let mut verifier = Verifier::new(true);
        assert_eq!(verifier.verify(&whole[6..at]), Ok(Verified::Check));
        assert_eq!((verifier.verify(&whole[at..]), verifier.was_checked()), (Ok(Verified::Message), true));
        let mut bare = Vec::new();
        assert_eq!(write(&mut bare, false, |out| out.extend_from_slice(MESSAGE)), 0);
        assert_eq!(bare, MESSAGE);
    }

    #[test]
    fn what_is_not_as_agreed_was_altered() {
        let right = bytes(xxh3_64(MESSAGE));
        for is_agreed in [false, true] {
            let verifier = || Verifier::new(is_agreed);
            let alone =
                if is_agreed { Err(Corruption::Unchecked(MESSAGE.len())) } else { Ok(Verified::Message) };
            assert_eq!(verifier().verify(MESSAGE), alone);
            let after = |check: &[u8], message: &[u8]| {
                let mut verifier = verifier();
                assert_eq!(verifier.verify(check), Ok(Verified::Check));
                assert!(verifier.is_known() && !verifier.was_checked());
                verifier.verify(message)
            };
            assert_eq!(after(&right, MESSAGE), Ok(Verified::Message));
            assert_eq!(after(&bytes(7), MESSAGE), Err(Corruption::Mismatch(MESSAGE.len())));
            assert_eq!(after(&right, &right), Err(Corruption::Twice));
        }
    }

    #[test]
    fn only_a_message_that_a_check_preceded_counts_as_checked() {
        let mut verifier = Verifier::new(false);
        for plain in [MESSAGE, &[0x90; LENGTH]] {
            assert_eq!(verifier.verify(&bytes(xxh3_64(MESSAGE))), Ok(Verified::Check));
            assert_eq!((verifier.verify(MESSAGE), verifier.was_checked()), (Ok(Verified::Message), true));
            assert_eq!((verifier.verify(plain), verifier.was_checked()), (Ok(Verified::Message), false));
        }
    }
}
