//! Computes the SHA-256 of an area without building an image of it.

use crate::canvas::framebuffer::Framebuffer;
use draw_protocol::{Area, Digest};
use sha2::{Digest as _, Sha256};

/// The cost of hashing a pixel, in pixels filled: 16 on processors with instructions for SHA-256, and about 60 on
/// others.
const COST: u64 = 64;

/// Pixels that are copied and hashed at a time: 16 KiB fit into the first-level cache.
const PIECE: u32 = 4096;

/// A digest that is being computed.
#[derive(Debug)]
pub(crate) struct Hashing {
    hash: Sha256,
    area: Area,
    /// The next pixel: its row and its column within the area.
    row: u32,
    column: u32,
}

impl Hashing {
    /// Begins the digest of the bytes that `get_image` returns for `area`.
    pub(crate) fn new(area: Area) -> Hashing {
        // A rectangle without pixels has no rows to read.
        let area = if area.is_empty() { Area { x: 0, y: 0, width: 0, height: 0 } } else { area };
        Hashing { hash: Sha256::new(), area, row: 0, column: 0 }
    }

    /// Returns the cost of the whole digest, in pixels filled.
    pub(crate) fn work(&self) -> u64 {
        u64::from(self.area.width) * u64::from(self.area.height) * COST
    }

    /// Does work that costs about `most` pixels filled. Returns the cost of the work done, and the digest once it is
    /// complete.
    pub(crate) fn advance(&mut self, framebuffer: &Framebuffer, most: u64) -> (u64, Option<Digest>) {
        let Area { x, y, width, height } = self.area;
        let (mut piece, mut done) = (Vec::with_capacity(width.min(PIECE) as usize * 4), 0);
        while self.row < height {
            if done >= most {
                return (done, None);
            }
            piece.clear();
            let part = PIECE.min(width - self.column);
            framebuffer
                .read(Area { x: x + self.column, y: y + self.row, width: part, height: 1 }, &mut piece);
            self.hash.update(&piece);
            done += u64::from(part) * COST;
            self.column += part;
            if self.column == width {
                (self.row, self.column) = (self.row + 1, 0);
            }
        }
        let hash = std::mem::take(&mut self.hash);
        (done, Some(Digest::from(<[u8; Digest::SIZE]>::from(hash.finalize()))))
    }
}

/// Returns the digest of the bytes that `get_image` returns for `area`.
pub(super) fn of(area: Area, framebuffer: &Framebuffer) -> Digest {
    let (_, digest) = Hashing::new(area).advance(framebuffer, u64::MAX);
    digest.expect("u64::MAX is more than any digest costs")
}
