//! The SHA-256 of a part of the picture, without an image being built.

use crate::framebuffer::Framebuffer;
use draw_protocol::{Area, Digest, Fault};
use sha2::{Digest as _, Sha256};

/// Pixels filled in the time of hashing one: 16 where the processor has instructions for SHA-256, and about 60 where it
/// has none.
pub(super) const COST: u64 = 64;

/// Pixels that are copied and hashed at a time: 16 KiB stay in the nearest cache.
const PIECE: u32 = 4096;

/// The digest of exactly the bytes that `get_image` would answer.
pub(super) fn of(
    (x, y, width, height): (i32, i32, u32, u32),
    framebuffer: &Framebuffer,
) -> Result<Digest, Fault> {
    let mut hash = Sha256::new();
    // As with an image, a rectangle without pixels is nowhere.
    if width > 0 && height > 0 {
        let area = framebuffer.size().check_read(x, y, width, height)?;
        let mut piece = Vec::with_capacity(width.min(PIECE) as usize * 4);
        for y in area.rows() {
            for start in (0..width).step_by(PIECE as usize) {
                piece.clear();
                let width = PIECE.min(width - start);
                framebuffer.read(Area { x: area.x + start, y, width, height: 1 }, &mut piece);
                hash.update(&piece);
            }
        }
    }
    Ok(Digest::from(<[u8; Digest::SIZE]>::from(hash.finalize())))
}
