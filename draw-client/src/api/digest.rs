//! Computes the digest of a picture that the program has in memory.

use draw_protocol::Digest;
use sha2::{Digest as _, Sha256};

/// Returns what `get_digest` returns while the display shows `rgba`: pixels as bytes R, G, B, A, rows from the top.
///
/// ```no_run
/// use draw_client::{blocking::Display, digest_of_image};
///
/// let display = Display::connect("localhost:3729")?;
/// let picture = [255; 64 * 48 * 4];
/// display.put_image(0, 0, 64, 48, &picture)?;
/// assert_eq!(display.get_digest(0, 0, 64, 48)?, digest_of_image(&picture));   // it is shown, to the last byte
/// # Ok::<(), draw_client::Error>(())
/// ```
pub fn digest_of_image(rgba: &[u8]) -> Digest {
    Digest::from(<[u8; Digest::SIZE]>::from(Sha256::digest(rgba)))
}
