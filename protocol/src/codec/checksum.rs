//! Checksums: a notification before each message with the digest of that message.
//!
//! TCP's own checksum has 16 bits, and middleboxes rewrite it, so corruption occurs. A writer opens a check ([`begin`]), writes
//! the message, and fills in the digest ([`finish`]). A reader passes each complete message to [`Verifier`] before it uses it.
//! Without agreed checks that costs a comparison or two.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// The notification with the checksum of the next message, in either direction: `[digest]`, its XXH3-64.
pub const CHECK: &str = "check";
/// The notification with the other checksum of the next message: `[digest]`, its CRC-32.
pub const CRC32: &str = "crc32";

/// The function that computes the digest of each message of a connection with checks. The name of a check states it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Checksum {
    /// XXH3-64 with seed 0: the faster and the longer one.
    #[default]
    Xxh3,
    /// CRC-32 as in zlib and gzip, for languages without a fast XXH3-64. Its digest has 32 bits.
    Crc32,
}

impl Checksum {
    const ALL: [Checksum; 2] = [Checksum::Xxh3, Checksum::Crc32];

    /// Returns the name of the notification that carries the digest.
    pub const fn name(self) -> &'static str {
        match self {
            Checksum::Xxh3 => CHECK,
            Checksum::Crc32 => CRC32,
        }
    }

    fn digest(self, message: &[u8]) -> u64 {
        match self {
            Checksum::Xxh3 => xxh3_64(message),
            Checksum::Crc32 => crc32fast::hash(message).into(),
        }
    }

    /// Returns a check up to its digest.
    const fn head(self) -> &'static [u8; HEAD] {
        match self {
            Checksum::Xxh3 => b"\x93\x02\xa5check\x91\xcf",
            Checksum::Crc32 => b"\x93\x02\xa5crc32\x91\xcf",
        }
    }
}

/// Returns whether a notification of this name is a check.
pub(crate) fn is_name(method: &[u8]) -> bool {
    Checksum::ALL.into_iter().any(|checksum| method == checksum.name().as_bytes())
}

/// A digest, and the function that computed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest {
    checksum: Checksum,
    value: u64,
}

impl Digest {
    fn of(message: &[u8], checksum: Checksum) -> Digest {
        Digest { checksum, value: checksum.digest(message) }
    }
}

/// Bytes of `[2, "check", [digest]]` up to the digest. The digest always has all of its eight bytes: so it can be filled in when
/// the message is there, and a bit that changes in front of it makes it something else.
const HEAD: usize = 10;

/// Length of a check in bytes.
pub(crate) const LENGTH: usize = HEAD + size_of::<u64>();

/// Returns the complete check with this digest.
pub(crate) fn bytes(digest: Digest) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..HEAD].copy_from_slice(digest.checksum.head());
    bytes[HEAD..].copy_from_slice(&digest.value.to_be_bytes());
    bytes
}

/// Returns the digest of a check, if this message is one.
#[inline]
pub(crate) fn read(message: &[u8]) -> Option<Digest> {
    let message = <&[u8; LENGTH]>::try_from(message).ok()?;
    let (head, value) = message.split_at(HEAD);
    let checksum = Checksum::ALL.into_iter().find(|checksum| head == checksum.head())?;
    Some(Digest { checksum, value: value.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)) })
}

/// Where a message begins that is being written, and whether there is room for its digest in front.
#[derive(Debug, Clone, Copy)]
#[must_use = "its digest is missing"]
pub(crate) struct Open {
    message: usize,
    checksum: Option<Checksum>,
}

/// Begins a message, with a check in front if there is to be one.
#[inline]
pub(crate) fn begin(out: &mut Vec<u8>, checksum: Option<Checksum>) -> Open {
    if let Some(checksum) = checksum {
        out.extend_from_slice(&bytes(Digest { checksum, value: 0 }));
    }
    Open { message: out.len(), checksum }
}

/// Finishes the message. Returns where it begins, behind its check.
#[inline]
pub(crate) fn finish(out: &mut [u8], open: Open) -> usize {
    if let Some(checksum) = open.checksum {
        fill_in(out, open.message, checksum.digest(&out[open.message..]));
    }
    open.message
}

/// Finishes the message, whose end `rest` is sent from elsewhere.
pub(crate) fn finish_lending(out: &mut [u8], open: Open, rest: &[u8]) {
    if let Some(checksum) = open.checksum {
        let mut hash = Hash::new(checksum);
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
pub(crate) fn write(
    out: &mut Vec<u8>,
    checksum: Option<Checksum>,
    write: impl FnOnce(&mut Vec<u8>),
) -> usize {
    let open = begin(out, checksum);
    write(out);
    finish(out, open)
}

/// Verifies the checksums of the messages that arrive on a connection.
#[derive(Debug, Default, Clone)]
pub(crate) struct Verifier {
    /// Each message has a check of this kind in front.
    agreed: Option<Checksum>,
    /// The kind of the last check.
    last: Checksum,
    /// The expected digest of the next message.
    expected: Option<Digest>,
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
    #[error("a check is of another kind than those before it")]
    Kind,
}

impl Verifier {
    /// Creates a verifier. With `agreed`, each message has a check of that kind from the start.
    pub(crate) fn new(agreed: Option<Checksum>) -> Verifier {
        Verifier { agreed, last: agreed.unwrap_or_default(), ..Verifier::default() }
    }

    /// Returns the kind of the check that each message has in front.
    #[inline]
    pub(crate) fn agreed(&self) -> Option<Checksum> {
        self.agreed
    }

    /// Requires a check in front of each message from now on, of the same kind as the last one.
    pub(crate) fn agree(&mut self) {
        self.agreed = Some(self.last);
    }

    /// Returns whether the other side supports checks: one has arrived for the next message, or they are agreed.
    pub(crate) fn is_known(&self) -> bool {
        self.agreed.is_some() || self.expected.is_some()
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
            (None, Some(digest)) if self.agreed.is_some_and(|agreed| agreed != digest.checksum) => {
                Err(Corruption::Kind)
            }
            (None, Some(digest)) => {
                (self.expected, self.last) = (Some(digest), digest.checksum);
                Ok(Verified::Check)
            }
            (Some(_), Some(_)) => Err(Corruption::Twice),
            (Some(digest), None) if digest == Digest::of(message, digest.checksum) => {
                self.was_checked = true;
                Ok(Verified::Message)
            }
            (Some(_), None) => Err(Corruption::Mismatch(message.len())),
            (None, None) if self.agreed.is_some() => Err(Corruption::Unchecked(message.len())),
            (None, None) => Ok(Verified::Message),
        }
    }
}

/// A digest that is computed in pieces.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack, or in a box with few others")]
enum Hash {
    Xxh3(Xxh3),
    Crc32(crc32fast::Hasher),
}

impl Hash {
    fn new(checksum: Checksum) -> Hash {
        match checksum {
            Checksum::Xxh3 => Hash::Xxh3(Xxh3::new()),
            Checksum::Crc32 => Hash::Crc32(crc32fast::Hasher::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hash::Xxh3(hash) => hash.update(bytes),
            Hash::Crc32(hash) => hash.update(bytes),
        }
    }

    fn digest(&self) -> u64 {
        match self {
            Hash::Xxh3(hash) => hash.digest(),
            Hash::Crc32(hash) => hash.clone().finalize().into(),
        }
    }
}

/// The digest of a message that is not kept as a whole, and its expected value.
pub(crate) struct RunningDigest {
    expected: Digest,
    /// The hash of the bytes so far. It is large, and few connections are traced.
    hash: Box<Hash>,
}

impl std::fmt::Debug for RunningDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningDigest").field("expected", &self.expected).finish_non_exhaustive()
    }
}

impl RunningDigest {
    /// Creates the digest of a message before its first byte.
    pub(crate) fn new(expected: Digest) -> RunningDigest {
        RunningDigest { expected, hash: Box::new(Hash::new(expected.checksum)) }
    }

    /// Adds the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    pub(crate) fn expected(&self) -> Digest {
        self.expected
    }

    /// Returns whether the digest is the expected one.
    pub(crate) fn matches(&self) -> bool {
        self.hash.digest() == self.expected.value
    }

    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.hash)
    }
}

#[cfg(test)]
mod tests;
