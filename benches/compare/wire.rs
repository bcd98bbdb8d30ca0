//! How many bytes a call and its acknowledgement have: counted in a conversation of the two state machines, since they
//! write what the clients and the server send.

use crate::{Context, Failure, Result};
use draw_protocol::{Answer, Hello, Pixel, Request, Size, client, limits, server};
use std::time::Instant;

/// The display that is drawn on.
pub(crate) const SIZE: Size = Size { width: 640, height: 480 };

/// The display for whole frames.
pub(crate) const FRAME: Size = Size { width: 1280, height: 720 };

/// What a row sends, as our client would.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    /// Messages that draw, one after the other, each of `size` bytes.
    pub(crate) bytes: Vec<u8>,
    pub(crate) size: usize,
    /// Bytes of each before its pixels, if it has many.
    pub(crate) head: Option<usize>,
    /// Bytes of the acknowledgement of one alone.
    pub(crate) acknowledgement: usize,
}

/// A client and a server that have greeted each other.
struct Conversation {
    client: client::Connection,
    server: server::Connection,
    now: Instant,
}

impl Conversation {
    /// One in which `calls` calls were made before.
    fn after(calls: u32, request: &Request<'_>) -> Result<Conversation> {
        let config = server::Config { server: "counted".into(), size: SIZE, message: limits::MESSAGE };
        let now = Instant::now();
        let mut new = Conversation {
            client: client::Connection::new(&Hello::new("counted")),
            server: server::Connection::new(config, now),
            now,
        };
        new.carry()?;
        for _ in 0..calls {
            new.call(request)?;
        }
        Ok(new)
    }

    /// Hands over what the client has to say, executed without fault, and then the answer.
    fn carry(&mut self) -> Result<(Vec<u8>, usize)> {
        let sent = self.client.poll_transmit().to_vec();
        self.client.handle_transmitted(sent.len());
        let mut input = &sent[..];
        loop {
            match self.server.handle_input(&mut input, self.now) {
                server::Step::Execute(_) => self.server.answer(Ok(Answer::Done(()))),
                server::Step::Continue => {}
                server::Step::Wait => break,
            }
        }
        let answer = self.server.poll_transmit(self.now).to_vec();
        self.server.handle_transmitted(answer.len(), self.now);
        let mut input = &answer[..];
        while self.client.handle_input(&mut input).context("counting the bytes of a call")?.is_some() {}
        Ok((sent, answer.len()))
    }

    /// Makes a call, and answers its bytes and how many its acknowledgement has.
    fn call(&mut self, request: &Request<'_>) -> Result<(Vec<u8>, usize)> {
        self.client.call(request, self.now).context("counting the bytes of a call")?;
        self.carry()
    }
}

/// One `draw_pixel`, when `before` calls were made on its connection: numbers grow wider.
pub(crate) fn draw_pixel(pixel: Pixel, before: u32) -> Result<Messages> {
    let request = Request::DrawPixel { x: pixel.x.into(), y: pixel.y.into(), color: pixel.color };
    let (bytes, acknowledgement) = Conversation::after(before, &request)?.call(&request)?;
    Ok(Messages { size: bytes.len(), bytes, head: None, acknowledgement })
}

/// The `draw_pixels` of all `pixels`, as many to each as `batch` says.
pub(crate) fn draw_pixels(pixels: &[Pixel], batch: usize) -> Result<Messages> {
    // The numbers from 256 to 65,535 have the same width.
    let mut conversation = Conversation::after(256, &Request::Sync {})?;
    let mut all = Messages { bytes: Vec::new(), size: 0, head: None, acknowledgement: 0 };
    for pixels in pixels.chunks_exact(batch) {
        let (bytes, acknowledgement) = conversation.call(&Request::DrawPixels { pixels: pixels.into() })?;
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

/// The `put_image` of a whole frame.
pub(crate) fn put_image(rgba: &[u8]) -> Result<Messages> {
    let request = Request::PutImage { x: 0, y: 0, width: FRAME.width, height: FRAME.height, rgba };
    let (bytes, acknowledgement) = Conversation::after(256, &Request::Sync {})?.call(&request)?;
    let head = bytes.len().checked_sub(rgba.len());
    Ok(Messages { size: bytes.len(), bytes, head, acknowledgement })
}
