//! Responses that are not ready at once: an image, which may wait for memory, or a digest, which another thread computes.

use crate::canvas::apply::{Hashing, answer_bytes, asked_area, readable};
use crate::canvas::display::Display;
use crate::canvas::hasher::Hasher;
use crate::limits;
use draw_protocol::session::{Peer, Stamp};
use draw_protocol::{Area, Code, Digest, Fault, Request};
use std::time::Instant;
use tokio::sync::oneshot;

/// Bytes of an image that is answered in pieces, at a time, for a connection without a band of its own: what a plain
/// connection, which has no session, may hold without a grant beyond the memory of a step.
const PIECE: usize = 32 << 10;

/// The answer that a connection is making. Its request changes nothing, so it may be repeated if it is not answered.
pub(crate) enum PendingAnswer {
    /// An image of `bytes` bytes, which waits for memory until `until`.
    Image { area: Area, bytes: usize, until: Instant },
    /// The rest of an image that is sent in pieces, because there was no memory for all of it.
    Rows { area: Area },
    /// A digest, and the channel that delivers it.
    Digest { digest: Option<Result<Digest, Fault>>, receiver: oneshot::Receiver<Digest> },
}

/// A pending answer with the stamp of its request, for the journal.
pub(crate) type Pending = (PendingAnswer, Option<Stamp>);

impl PendingAnswer {
    /// Returns the pending answer to `request`, if it is of such a kind and succeeds.
    pub(crate) fn of(
        request: &Request<'_>,
        (display, hasher, peer): (&Display, &Hasher, Peer),
        now: Instant,
    ) -> Option<PendingAnswer> {
        let size = display.framebuffer().size();
        match *request {
            Request::GetImage { .. } => {
                let area = asked_area(request, size)?;
                let until = now + limits::MEMORY_TIMEOUT;
                Some(PendingAnswer::Image { area, bytes: answer_bytes(request), until })
            }
            Request::GetDigest { x, y, width, height } => {
                request.check().ok()?;
                let hashing = Hashing::new(readable(request, (x, y, width, height), size).ok()?);
                Some(PendingAnswer::Digest { digest: None, receiver: hasher.start(hashing, display, peer) })
            }
            _ => None,
        }
    }

    /// Returns the bytes of a small piece of an image: [`PIECE`], or one row if that is more.
    pub(crate) fn piece(rest: &Area) -> usize {
        PIECE.max(rest.width as usize * 4)
    }

    /// Takes the next rows from the rest of an image: as many as fit into `bytes`, and at least one.
    pub(crate) fn take_rows(rest: &mut Area, bytes: usize) -> Area {
        let rows = bytes / (rest.width as usize * 4).max(1);
        let height = u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, rest.height.max(1)).min(rest.height);
        let piece = Area { height, ..*rest };
        (rest.y, rest.height) = (rest.y + height, rest.height - height);
        piece
    }

    /// Returns a request of the same method, which is all that the journal reads of it.
    pub(crate) fn request(&self) -> Request<'static> {
        match self {
            PendingAnswer::Image { .. } | PendingAnswer::Rows { .. } => {
                Request::GetImage { x: 0, y: 0, width: 0, height: 0 }
            }
            PendingAnswer::Digest { .. } => Request::GetDigest { x: 0, y: 0, width: 0, height: 0 },
        }
    }
}

/// Returns the fault of a digest that could not be computed.
pub(crate) fn no_digest() -> Fault {
    let text = "the digest could not be computed, for a reason that is in the log of the display: ask again, or use get_image";
    Fault::new(Code::AnswerLost, text)
}
