//! Checksums: a notification before each message that says what that has to be.
//!
//! TCP's own checksum has 16 bits, and boxes in between write it anew: now and then bytes arrive otherwise than they were sent.
//! Who writes opens a check ([`begin`]), writes the message, and fills the digest in ([`finish`]). Who reads asks [`Arriving`] of
//! each whole message before anything in it is believed. Where nothing is agreed and no check comes, that is a comparison or two.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// Bytes of a check.
pub(crate) const LENGTH: usize = HEAD.len() + size_of::<u64>();

/// `[2, "check", [digest]]` up to the digest, which always has all of its eight bytes: so it can be filled in when the message is
/// there, and a bit that changes here makes it something else.
const HEAD: [u8; 10] = *b"\x93\x02\xa5check\x91\xcf";

/// The whole check with this digest.
pub(crate) fn bytes(digest: u64) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..HEAD.len()].copy_from_slice(&HEAD);
    bytes[HEAD.len()..].copy_from_slice(&digest.to_be_bytes());
    bytes
}

/// The digest that a check has, if this message is one.
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

/// The message is whole. Answers where it begins, behind its check.
#[inline]
pub(crate) fn finish(out: &mut [u8], open: Open) -> usize {
    if open.is_checked {
        fill_in(out, open.message, xxh3_64(&out[open.message..]));
    }
    open.message
}

/// The message is whole but for `rest`, which is sent from elsewhere.
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

/// Writes a message that `write` appends, and answers where it begins, behind its check.
#[inline]
pub(crate) fn write(out: &mut Vec<u8>, is_checked: bool, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    let open = begin(out, is_checked);
    write(out);
    finish(out, open)
}

/// What the messages that arrive on a connection have to be.
#[derive(Debug, Default, Clone)]
pub(crate) struct Arriving {
    /// Each of them has a check in front.
    is_agreed: bool,
    /// The digest that the next one is to have.
    expected: Option<u64>,
    /// The last one had it.
    was_checked: bool,
}

/// What a whole message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// It says what the next one is to be, and there is nothing else to it.
    Check,
    /// It is to be dealt with.
    Message,
}

/// How it shows that bytes were altered on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Altered {
    #[error("a message of {0} bytes is not what its check says")]
    Mismatch(usize),
    #[error("a message of {0} bytes came without a check")]
    Unchecked(usize),
    #[error("a check came where the message of another was due")]
    Twice,
}

impl Arriving {
    /// The first message is to come. Whether it is known already that there is a check before each.
    pub(crate) fn new(is_agreed: bool) -> Arriving {
        Arriving { is_agreed, ..Arriving::default() }
    }

    /// Whether each message has a check in front.
    #[inline]
    pub(crate) fn is_agreed(&self) -> bool {
        self.is_agreed
    }

    /// From now on each message has.
    pub(crate) fn agree(&mut self) {
        self.is_agreed = true;
    }

    /// Whether the other side knows checks: one has come for what comes next, or they are agreed.
    pub(crate) fn is_known(&self) -> bool {
        self.is_agreed || self.expected.is_some()
    }

    /// Whether the last message had a check in front.
    pub(crate) fn was_checked(&self) -> bool {
        self.was_checked
    }

    /// A message has arrived whole.
    ///
    /// # Errors
    /// It is not what was sent: nothing of it may be believed.
    #[inline]
    pub(crate) fn take(&mut self, message: &[u8]) -> Result<Arrived, Altered> {
        if !self.is_known() && message.len() != LENGTH {
            self.was_checked = false;
            return Ok(Arrived::Message);
        }
        self.compare(message)
    }

    fn compare(&mut self, message: &[u8]) -> Result<Arrived, Altered> {
        self.was_checked = false;
        match (self.expected.take(), read(message)) {
            (None, Some(digest)) => {
                self.expected = Some(digest);
                Ok(Arrived::Check)
            }
            (Some(_), Some(_)) => Err(Altered::Twice),
            (Some(digest), None) if digest == xxh3_64(message) => {
                self.was_checked = true;
                Ok(Arrived::Message)
            }
            (Some(_), None) => Err(Altered::Mismatch(message.len())),
            (None, None) if self.is_agreed => Err(Altered::Unchecked(message.len())),
            (None, None) => Ok(Arrived::Message),
        }
    }
}

/// A message of which only a part is kept, beside what its check says.
pub(crate) struct Passing {
    expected: u64,
    /// Of the bytes so far. It is large, and few connections are watched.
    hash: Box<Xxh3>,
}

impl std::fmt::Debug for Passing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passing").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl Passing {
    /// Nothing has passed of a message that is to have this digest.
    pub(crate) fn new(expected: u64) -> Passing {
        Passing { expected, hash: Box::new(Xxh3::new()) }
    }

    /// These bytes are next.
    pub(crate) fn pass(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// Whether all of it is what the check says.
    pub(crate) fn is_right(&self) -> bool {
        self.hash.digest() == self.expected
    }

    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{envelope, hello};

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
        let mut arriving = Arriving::new(true);
        assert_eq!(arriving.take(&whole[6..at]), Ok(Arrived::Check));
        assert_eq!((arriving.take(&whole[at..]), arriving.was_checked()), (Ok(Arrived::Message), true));
        let mut bare = Vec::new();
        assert_eq!(write(&mut bare, false, |out| out.extend_from_slice(MESSAGE)), 0);
        assert_eq!(bare, MESSAGE);
    }

    #[test]
    fn what_is_not_as_agreed_was_altered() {
        let right = bytes(xxh3_64(MESSAGE));
        for is_agreed in [false, true] {
            let arriving = || Arriving::new(is_agreed);
            let alone = if is_agreed { Err(Altered::Unchecked(MESSAGE.len())) } else { Ok(Arrived::Message) };
            assert_eq!(arriving().take(MESSAGE), alone);
            let after = |check: &[u8], message: &[u8]| {
                let mut arriving = arriving();
                assert_eq!(arriving.take(check), Ok(Arrived::Check));
                assert!(arriving.is_known() && !arriving.was_checked());
                arriving.take(message)
            };
            assert_eq!(after(&right, MESSAGE), Ok(Arrived::Message));
            assert_eq!(after(&bytes(7), MESSAGE), Err(Altered::Mismatch(MESSAGE.len())));
            assert_eq!(after(&right, &right), Err(Altered::Twice));
        }
    }

    #[test]
    fn only_a_message_that_a_check_preceded_counts_as_checked() {
        let mut arriving = Arriving::new(false);
        for plain in [MESSAGE, &[0x90; LENGTH]] {
            assert_eq!(arriving.take(&bytes(xxh3_64(MESSAGE))), Ok(Arrived::Check));
            assert_eq!((arriving.take(MESSAGE), arriving.was_checked()), (Ok(Arrived::Message), true));
            assert_eq!((arriving.take(plain), arriving.was_checked()), (Ok(Arrived::Message), false));
        }
    }
}
