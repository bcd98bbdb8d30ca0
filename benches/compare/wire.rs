//! The bytes of a call and of its acknowledgement, counted in a conversation of the two state machines, which write
//! what the clients and the server send.

use crate::failure::{Failure, Result};
use benches::conversation::{Conversation, draw_nothing};
pub(crate) use benches::pictures::SIZE;
use draw_protocol::{Pixel, Request, Size};

/// The display for whole frames.
pub(crate) const FRAME: Size = Size { width: 1280, height: 720 };

/// The calls of a row, as our client sends them.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    /// Messages that draw, one after the other, each of `size` bytes.
    pub(crate) bytes: Vec<u8>,
    pub(crate) size: usize,
    /// Bytes of each message before its pixels, if it has many.
    pub(crate) head: Option<usize>,
    /// Bytes of the acknowledgement of a single message.
    pub(crate) acknowledgement: usize,
}

impl Messages {
    /// Returns the offset of the pixels in each message.
    pub(crate) fn head(&self) -> Result<usize> {
        self.head.ok_or_else(|| Failure::new("a message for many pixels has none"))
    }
}

/// Returns a conversation in which `calls` calls have been made.
fn after(calls: u32, request: &Request<'_>) -> Conversation {
    let mut conversation = Conversation::new();
    for _ in 0..calls {
        conversation.client.call(request);
        conversation.carry(draw_nothing);
    }
    conversation
}

/// Makes a call. Returns its bytes and those of its acknowledgement.
fn call(conversation: &mut Conversation, request: &Request<'_>) -> (Vec<u8>, usize) {
    conversation.client.call(request);
    let sent = conversation.client.unsent().to_vec();
    let acknowledgement = conversation.carry(draw_nothing);
    (sent, acknowledgement)
}

/// Returns one `draw_pixel` after `before` calls on its connection: numbers grow wider.
pub(crate) fn draw_pixel(pixel: Pixel, before: u32) -> Messages {
    let request = Request::DrawPixel { x: pixel.x.into(), y: pixel.y.into(), color: pixel.color };
    let (bytes, acknowledgement) = call(&mut after(before, &request), &request);
    Messages { size: bytes.len(), bytes, head: None, acknowledgement }
}

/// Returns the `draw_pixels` messages of all `pixels`, `batch` in each.
pub(crate) fn draw_pixels(pixels: &[Pixel], batch: usize) -> Result<Messages> {
    // The numbers from 256 to 65,535 have the same width.
    let mut conversation = after(256, &Request::Sync {});
    let mut all = Messages { bytes: Vec::new(), size: 0, head: None, acknowledgement: 0 };
    for pixels in pixels.chunks_exact(batch) {
        let (bytes, acknowledgement) =
            call(&mut conversation, &Request::DrawPixels { pixels: pixels.into() });
        all.bytes.extend_from_slice(&bytes);
        all.size = bytes.len();
        all.head = bytes.len().checked_sub(batch * Pixel::SIZE);
        all.acknowledgement = acknowledgement;
    }
    if all.head.is_none() || all.bytes.len() != all.size * (pixels.len() / batch) {
        return Err(Failure::new(
            "batches of as many pixels differ in length, so they have no raw counterpart",
        ));
    }
    Ok(all)
}

/// Returns the `put_image` of a whole frame: as many bytes as its bands have, with those other than pixels in front.
pub(crate) fn put_image(rgba: &[u8]) -> Messages {
    let request = Request::PutImage { x: 0, y: 0, width: FRAME.width, height: FRAME.height, rgba };
    let (sent, acknowledgement) = call(&mut after(256, &Request::Sync {}), &request);
    let head = sent.len() - rgba.len();
    let bytes = [&sent[..head], rgba].concat();
    Messages { size: bytes.len(), bytes, head: Some(head), acknowledgement }
}
