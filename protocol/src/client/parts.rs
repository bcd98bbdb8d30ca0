//! How a call is cut into requests: a display takes so many pixels and bytes in one, and pieces of moderate size can be
//! drawn while the next are still on their way.

use crate::calls::Request;
use crate::fault::{Code, Fault};
use crate::hello::Welcome;
use crate::limits;
use crate::pixels::{Pixel, Pixels};

/// More than the envelope of a `put_image`, or of the answer to a `get_image`, takes.
pub(super) const ENVELOPE: usize = 64;

/// What one request may have, as the display granted it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    /// Pixels of a `draw_pixels` or an `add_pixels`.
    pub(super) batch: usize,
    /// Bytes of a message.
    pub(super) message: usize,
}

impl Most {
    pub(super) fn of(welcome: &Welcome) -> Most {
        let message = (welcome.message as usize).clamp(limits::FIRST_MESSAGE, limits::MESSAGE_HARDEST);
        // A full batch must fit a message too.
        let batch = limits::BATCH.min((message - ENVELOPE) / Pixel::SIZE);
        Most { batch: (welcome.batch as usize).clamp(1, batch), message }
    }

    /// Rows of that many pixels that go into one request: as many as make a band, or one that is longer.
    fn rows(&self, width: u32) -> Result<u32, Fault> {
        let (row, most) = (u64::from(width) * 4, (self.message - ENVELOPE) as u64);
        if row > most {
            let text = format!("a row of {width} pixels has {row} bytes; the limit of a message is {most}");
            return Err(Fault::new(Code::TooLarge, text));
        }
        let band = most.min(limits::BAND as u64);
        Ok(u32::try_from(band / row.max(1)).unwrap_or(u32::MAX).max(1))
    }

    /// The bands of an image, `(first row, rows)`. An image without pixels is one band.
    fn bands(
        &self,
        width: u32,
        height: u32,
    ) -> Result<impl ExactSizeIterator<Item = (u32, u32)> + use<>, Fault> {
        let is_empty = width == 0 || height == 0;
        let rows = if is_empty { height } else { self.rows(width)?.min(height) };
        let count = if is_empty { 1 } else { height.div_ceil(rows) };
        Ok((0..count).map(move |i| (i * rows, rows.min(height - i * rows))))
    }

    /// How many requests a call takes. One that can take none is refused by [`Connection::call`](super::Connection::call).
    pub(super) fn requests(&self, request: &Request<'_>) -> usize {
        match *request {
            Request::DrawPixels { pixels } | Request::AddPixels { pixels } => {
                pixels.len().div_ceil(self.batch).max(1)
            }
            Request::PutImage { width, height, .. } | Request::GetImage { width, height, .. } => {
                self.bands(width, height).map_or(1, |bands| bands.len())
            }
            _ => 1,
        }
    }

    /// Hands each request that a call takes to `send`, with the number of its first pixel, how many it has, and
    /// whether it is the last.
    pub(super) fn cut<'a>(
        &self,
        request: &Request<'a>,
        mut send: impl FnMut(&Request<'a>, u32, u32, bool),
    ) -> Result<(), Fault> {
        match *request {
            Request::DrawPixels { pixels } | Request::AddPixels { pixels } => {
                let mut first = 0;
                for part in pixels.parts(self.batch) {
                    let is_last = first + part.len() == pixels.len();
                    let count = part.len() as u32;
                    let part = match request {
                        Request::AddPixels { .. } => Request::AddPixels { pixels: part },
                        _ => Request::DrawPixels { pixels: part },
                    };
                    send(&part, first as u32, count, is_last);
                    first += count as usize;
                }
            }
            Request::PutImage { x, y, width, height, rgba } => {
                request.check()?;
                for (first, rows) in self.bands(width, height)? {
                    let row = width as usize * 4;
                    let band = &rgba[first as usize * row..][..rows as usize * row];
                    // A band below the last row that i32 can name is outside every display, as that row is.
                    let y = y.saturating_add_unsigned(first);
                    let part = Request::PutImage { x, y, width, height: rows, rgba: band };
                    send(&part, first.saturating_mul(width), rows * width, first + rows == height);
                }
            }
            Request::GetImage { x, y, width, height } => {
                for (first, rows) in self.bands(width, height)? {
                    let y = y.saturating_add_unsigned(first);
                    let part = Request::GetImage { x, y, width, height: rows };
                    send(&part, first.saturating_mul(width), rows * width, first + rows == height);
                }
            }
            _ => {
                request.check()?;
                send(request, 0, 0, true);
            }
        }
        Ok(())
    }
}

/// Credit that a request takes, in bytes: its data and what is around it.
pub(super) fn size(request: &Request<'_>) -> usize {
    ENVELOPE
        + match request {
            Request::DrawPixels { pixels } | Request::AddPixels { pixels } => pixels.len() * Pixel::SIZE,
            Request::PutImage { rgba, .. } => rgba.len(),
            _ => 0,
        }
}

impl<'a> Pixels<'a> {
    /// Parts of at most `most` pixels; one that is empty if there is none.
    fn parts(self, most: usize) -> impl Iterator<Item = Pixels<'a>> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let (part, after) = rest?.split_at(most);
            rest = (!after.is_empty()).then_some(after);
            Some(part)
        })
    }
}
