//! Cuts a call into requests: a display limits the pixels and bytes of one, and pieces of moderate size can be drawn while the next are
//! still in transit.

use crate::fault::Fault;
use crate::hello::Welcome;
use crate::limits;
use crate::table::{Pixel, Pixels};
use crate::table::{Request, Split};

/// More than the envelope of a `put_image`, or of the answer to a `get_image`, takes.
pub(super) const ENVELOPE: usize = 64;

/// The limits of one request, as the display granted them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Pixels of a `draw_pixels` or an `add_pixels`.
    pub(super) batch: usize,
    /// Bytes of a message.
    pub(super) message: usize,
}

impl Limits {
    pub(super) fn of(welcome: &Welcome) -> Limits {
        let message = (welcome.message as usize).clamp(limits::FIRST_MESSAGE, limits::MESSAGE_HARDEST);
        // A full batch must fit a message too.
        let batch = limits::BATCH.min((message - ENVELOPE) / Pixel::SIZE);
        Limits { batch: (welcome.batch as usize).clamp(1, batch), message }
    }

    /// Returns how many rows of `width` pixels go into one request: as many as make a band, or one that is longer.
    fn rows(&self, request: &Request<'_>, width: u32) -> Result<u32, Fault> {
        let (row, most) = (u64::from(width) * 4, (self.message - ENVELOPE) as u64);
        if row > most {
            return Err(Fault::too_large(request, row, most));
        }
        let band = most.min(limits::BAND as u64);
        Ok(u32::try_from(band / row.max(1)).unwrap_or(u32::MAX).max(1))
    }

    /// Returns the bands of an image, `(first row, rows)`. An image without pixels is one band.
    fn bands(
        &self,
        request: &Request<'_>,
        (width, height): (u32, u32),
    ) -> Result<impl ExactSizeIterator<Item = (u32, u32)> + use<>, Fault> {
        let is_empty = width == 0 || height == 0;
        let rows = if is_empty { height } else { self.rows(request, width)?.min(height) };
        let count = if is_empty { 1 } else { height.div_ceil(rows) };
        Ok((0..count).map(move |i| (i * rows, rows.min(height - i * rows))))
    }

    /// Returns how many requests a call takes. A call that fits in none is refused by [`Connection::call`](super::Connection::call).
    pub(super) fn requests(&self, request: &Request<'_>) -> usize {
        match (request.method().split(), request.pixels(), request.extent()) {
            (Split::Batch, Some(pixels), _) => pixels.len().div_ceil(self.batch).max(1),
            (Split::Rows, _, Some(extent)) => self.bands(request, extent).map_or(1, |bands| bands.len()),
            _ => 1,
        }
    }

    /// Passes each request that a call takes to `send`, with the number of its first pixel, how many it has, and whether it is the
    /// last.
    pub(super) fn cut<'a>(
        &self,
        request: &Request<'a>,
        mut send: impl FnMut(&Request<'a>, u32, u32, bool),
    ) -> Result<(), Fault> {
        let method = request.method();
        match (method.split(), request.pixels(), request.extent()) {
            (Split::Batch, Some(pixels), _) => {
                let mut first = 0;
                for part in pixels.parts(self.batch) {
                    let is_last = first + part.len() == pixels.len();
                    let count = part.len() as u32;
                    let part = Request::of_pixels(method, part).expect("it has a batch");
                    send(&part, first as u32, count, is_last);
                    first += count as usize;
                }
            }
            (Split::Rows, _, Some((width, height))) => {
                request.check()?;
                for (first, rows) in self.bands(request, (width, height))? {
                    let is_last = first + rows == height;
                    send(&request.band(first, rows), first.saturating_mul(width), rows * width, is_last);
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

/// Returns the credit that a request takes, in bytes: its data and its envelope.
pub(super) fn size(request: &Request<'_>) -> usize {
    ENVELOPE
        + match (request.pixels(), request) {
            (Some(pixels), _) => pixels.len() * Pixel::SIZE,
            (_, Request::PutImage { rgba, .. }) => rgba.len(),
            _ => 0,
        }
}

impl<'a> Pixels<'a> {
    /// Returns parts of at most `most` pixels. A batch without pixels has one empty part.
    fn parts(self, most: usize) -> impl Iterator<Item = Pixels<'a>> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let (part, after) = rest?.split_at(most);
            rest = (!after.is_empty()).then_some(after);
            Some(part)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::flight::single;
    use crate::table::Join;
    use crate::table::tests::samples;

    #[test]
    fn the_parts_of_a_call_make_the_whole_and_only_calls_that_are_split_have_several() {
        // The limits allow one row of any sample and one pixel of a batch in each part.
        let most = Limits { batch: 1, message: ENVELOPE + 8 };
        for request in samples() {
            let method = request.method();
            let (mut count, mut bands, mut data, mut lasts) = (0, Vec::new(), Vec::new(), Vec::new());
            let mut bytes = Vec::new();
            let cut = most.cut(&request, |part, first, pixels, is_last| {
                assert_eq!(part.method(), method);
                match (part.pixels(), part.extent()) {
                    (Some(batch), _) => {
                        assert_eq!((first as usize, pixels as usize), (data.len(), batch.len()));
                        data.extend(batch.iter());
                    }
                    (_, Some((width, height))) if method.split() == Split::Rows => {
                        assert_eq!(pixels, width * height);
                        bands.push((first / width, height));
                    }
                    _ => assert_eq!((first, pixels), (0, 0)),
                }
                if let Request::PutImage { rgba, .. } = part {
                    bytes.extend_from_slice(rgba);
                }
                count += 1;
                lasts.push(is_last);
            });
            assert_eq!(cut, Ok(()));
            assert_eq!(count, most.requests(&request), "{method:?}");
            assert_eq!(count > 1, method.split() != Split::Whole, "{method:?}");
            assert_eq!(lasts.iter().position(|last| *last), Some(count - 1), "{method:?}");
            if let Some(pixels) = request.pixels() {
                assert_eq!(data, pixels.iter().collect::<Vec<_>>(), "{method:?}");
            }
            if let Request::PutImage { rgba, .. } = request {
                assert_eq!(bytes, rgba);
            }
            if let (Split::Rows, Some((_, height))) = (method.split(), request.extent()) {
                let end = bands.iter().fold(0, |end, &(first, rows)| {
                    assert_eq!(first, end, "{method:?}");
                    end + rows
                });
                assert_eq!(end, height, "{method:?}");
            }
        }
    }

    #[test]
    fn the_calls_that_join_are_those_whose_column_says_so() {
        for request in samples() {
            let joins = request.method().join() == Join::Run;
            // Only coordinates that fit a record join.
            let request = match request {
                Request::DrawPixel { color, .. } => Request::DrawPixel { x: 1, y: 2, color },
                other => other,
            };
            assert_eq!(single(&request).is_some(), joins, "{:?}", request.method());
        }
    }
}
