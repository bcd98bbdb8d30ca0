//! A question that is not answered at once: an image, which may wait for memory, or a digest, which is computed elsewhere.

use crate::canvas::apply::{Hashing, answer_bytes, asked_area, readable};
use crate::canvas::display::Display;
use crate::canvas::hasher::Hasher;
use crate::limits;
use draw_protocol::session::{Peer, Stamp};
use draw_protocol::{Area, Code, Digest, Fault, Request};
use std::time::Instant;
use tokio::sync::oneshot;

/// Bytes of an image that is answered in pieces, at a time, for a connection without a band of its own: what a plain one, which
/// has no session, may hold of its own beyond what a step needs.
const PIECE: usize = 32 << 10;

/// What a connection is about to answer. It changes nothing, so that one that is not answered may be asked again.
pub(crate) enum PendingAnswer {
    /// An image of so many bytes, and until when it waits for memory.
    Image { area: Area, bytes: usize, until: Instant },
    /// What is left of an image that is answered in pieces, since there was no memory for all of it.
    Rows { area: Area },
    /// A digest, and where it comes from while it is not there.
    Digest { digest: Option<Result<Digest, Fault>>, coming: oneshot::Receiver<Digest> },
}

/// With the stamp of its session, for the journal.
pub(crate) type Pending = (PendingAnswer, Option<Stamp>);

impl PendingAnswer {
    /// What `request` asks, if it is such a question and has an answer.
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
                Some(PendingAnswer::Digest { digest: None, coming: hasher.start(hashing, display, peer) })
            }
            _ => None,
        }
    }

    /// Returns what the next piece of such an image takes, if it is to be small: [`PIECE`] bytes, or one row where that is more.
    pub(crate) fn piece(rest: &Area) -> usize {
        PIECE.max(rest.width as usize * 4)
    }

    /// Takes the next rows out of the rest of an image: as many as have room in so many bytes, and one at least.
    pub(crate) fn take_rows(rest: &mut Area, bytes: usize) -> Area {
        let rows = bytes / (rest.width as usize * 4).max(1);
        let height = u32::try_from(rows).unwrap_or(u32::MAX).clamp(1, rest.height.max(1)).min(rest.height);
        let piece = Area { height, ..*rest };
        (rest.y, rest.height) = (rest.y + height, rest.height - height);
        piece
    }

    /// As a request again, as far as a journal looks at one.
    pub(crate) fn request(&self) -> Request<'static> {
        match self {
            PendingAnswer::Image { .. } | PendingAnswer::Rows { .. } => {
                Request::GetImage { x: 0, y: 0, width: 0, height: 0 }
            }
            PendingAnswer::Digest { .. } => Request::GetDigest { x: 0, y: 0, width: 0, height: 0 },
        }
    }
}

/// What is answered if a digest could not be computed.
pub(crate) fn no_digest() -> Fault {
    let text = "the digest could not be computed, for a reason that is in the log of the display: ask again, or use get_image";
    Fault::new(Code::AnswerLost, text)
}
