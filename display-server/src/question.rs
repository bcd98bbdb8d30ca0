//! A question that is not answered at once: an image, which may wait for memory, or a digest, which is computed elsewhere.

use crate::apply::{Hashing, answer_bytes, asked_area};
use crate::display::Display;
use crate::hasher::Hasher;
use draw_protocol::session::{Peer, Stamp};
use draw_protocol::{Area, Code, Digest, Fault, Request, limits};
use std::time::Instant;
use tokio::sync::oneshot;

/// What a connection is about to answer. It changes nothing, so that one that is not answered may be asked again.
pub(crate) enum Question {
    /// An image of so many bytes, and until when it waits for memory.
    Image { area: Area, bytes: usize, until: Instant },
    /// A digest, and where it comes from while it is not there.
    Digest { digest: Option<Result<Digest, Fault>>, coming: oneshot::Receiver<Digest> },
}

/// With the stamp of its session, for the journal.
pub(crate) type Asked = (Question, Option<Stamp>);

impl Question {
    /// What `request` asks, if it is such a question and has an answer.
    pub(crate) fn of(
        request: &Request<'_>,
        (display, hasher, peer): (&Display, &Hasher, Peer),
        now: Instant,
    ) -> Option<Question> {
        let size = display.framebuffer().size();
        match *request {
            Request::GetImage { .. } => {
                let area = asked_area(request, size)?;
                let until = now + limits::MEMORY_TIMEOUT;
                Some(Question::Image { area, bytes: answer_bytes(request), until })
            }
            Request::GetDigest { x, y, width, height } => {
                request.check().ok()?;
                let hashing = Hashing::new((x, y, width, height), size).ok()?;
                Some(Question::Digest { digest: None, coming: hasher.start(hashing, display, peer) })
            }
            _ => None,
        }
    }

    /// As a request again, as far as a journal looks at one.
    pub(crate) fn request(&self) -> Request<'static> {
        match self {
            Question::Image { .. } => Request::GetImage { x: 0, y: 0, width: 0, height: 0 },
            Question::Digest { .. } => Request::GetDigest { x: 0, y: 0, width: 0, height: 0 },
        }
    }
}

/// What is answered if a digest could not be computed.
pub(crate) fn no_digest() -> Fault {
    let text = "the digest could not be computed, for a reason that is in the log of the display: ask again, or use get_image";
    Fault::new(Code::AnswerLost, text)
}
