//! A display as simple as possible: a vector of colours, and loops over every pixel.

use draw_client::digest_of_image;
use draw_protocol::{Answer, Code, Color, Fault, Pixels, Range, Request, Size};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) size: Size,
    pub(crate) pixels: Vec<Color>,
}

/// The result of a call. The text of an error does not matter here.
pub(crate) type Said = Result<Answer, (Code, Vec<Range>)>;

pub(crate) fn said(result: Result<Answer, Fault>) -> Said {
    result.map_err(|fault| (fault.code.clone(), fault.rejected().to_vec()))
}

fn outside<T>() -> Result<T, (Code, Vec<Range>)> {
    Err((Code::OutOfBounds, Vec::new()))
}

impl Model {
    pub(crate) fn new(size: Size) -> Model {
        Model::filled(size, Color::BLACK)
    }

    pub(crate) fn filled(size: Size, color: Color) -> Model {
        Model { size, pixels: vec![color; size.width as usize * size.height as usize] }
    }

    fn at(&self, x: i64, y: i64) -> Option<usize> {
        let is_inside = (0..self.size.width.into()).contains(&x) && (0..self.size.height.into()).contains(&y);
        is_inside.then(|| (y * i64::from(self.size.width) + x) as usize)
    }

    /// Returns the whole display in the byte format of an image.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|color| color.to_bytes()).collect()
    }

    pub(crate) fn apply(&mut self, request: &Request<'_>) -> Said {
        if let Err(fault) = request.check() {
            return Err((fault.code.clone(), fault.rejected().to_vec()));
        }
        match *request {
            Request::DrawPixel { x, y, color } => {
                return self.each([(x, y, color)], |_, color| color).map_err(whole);
            }
            Request::AddPixel { x, y, amount } => {
                return self.each([(x, y, Color::from_u32(amount))], sum).map_err(whole);
            }
            Request::DrawPixels { pixels } => return self.batch(pixels, |_, color| color),
            Request::AddPixels { pixels } => return self.batch(pixels, sum),
            Request::FillRect { x, y, width, height, color } => {
                return self.rectangle((x, y, width, height), |_| color);
            }
            Request::PutImage { x, y, width, height, rgba } => {
                let (colors, _) = rgba.as_chunks::<4>();
                return self.rectangle((x, y, width, height), |i| {
                    let [r, g, b, a] = colors[i as usize];
                    Color::rgba(r, g, b, a)
                });
            }
            Request::Clear { color } => self.pixels.fill(color),
            Request::GetPixel { x, y } => {
                return self
                    .at(x.into(), y.into())
                    .map_or_else(outside, |at| Ok(Answer::Pixel(self.pixels[at])));
            }
            Request::GetImage { x, y, width, height } => {
                return self.image((x, y, width, height)).map(Answer::Image);
            }
            Request::GetDigest { x, y, width, height } => {
                let image = self.image((x, y, width, height))?;
                return Ok(Answer::Digest(digest_of_image(&image)));
            }
            Request::GetSize {} => return Ok(Answer::Size(self.size)),
            Request::GetMouse {} => return Ok(Answer::Mouse(None)),
            Request::Sync {} | Request::SyncDurable {} => {}
        }
        Ok(Answer::Done(()))
    }

    /// Replaces each colour by `new` of it and of the record's colour. Fails with the indexes of the pixels outside, as
    /// ranges.
    fn each(
        &mut self,
        pixels: impl IntoIterator<Item = (i32, i32, Color)>,
        new: impl Fn(Color, Color) -> Color,
    ) -> Said {
        let mut rejected: Vec<Range> = Vec::new();
        for (i, (x, y, color)) in (0..).zip(pixels) {
            match (self.at(x.into(), y.into()), rejected.last_mut()) {
                (Some(at), _) => self.pixels[at] = new(self.pixels[at], color),
                (None, Some(range)) if range.first + range.count == i => range.count += 1,
                (None, _) => rejected.push(Range { first: i, count: 1 }),
            }
        }
        if rejected.is_empty() { Ok(Answer::Done(())) } else { Err((Code::OutOfBounds, rejected)) }
    }

    fn batch(&mut self, pixels: Pixels<'_>, new: impl Fn(Color, Color) -> Color) -> Said {
        self.each(pixels.iter(), new)
    }

    /// Returns whether every pixel of a rectangle lies inside.
    fn holds(&self, (x, y, width, height): (i32, i32, u32, u32)) -> bool {
        let last = |from: i32, length: u32| i64::from(from) + i64::from(length) - 1;
        self.at(x.into(), y.into()).is_some() && self.at(last(x, width), last(y, height)).is_some()
    }

    fn rectangle(&mut self, area: (i32, i32, u32, u32), color: impl Fn(i128) -> Color) -> Said {
        let (x, y, width, height) = area;
        let (left, right) = (i64::from(x), i64::from(x) + i64::from(width));
        let (top, bottom) = (i64::from(y), i64::from(y) + i64::from(height));
        // Loops over the display's pixels and tests each: a rectangle may have too many pixels to loop over.
        for row in 0..i64::from(self.size.height) {
            for column in 0..i64::from(self.size.width) {
                if (left..right).contains(&column) && (top..bottom).contains(&row) {
                    let at = (row * i64::from(self.size.width) + column) as usize;
                    // A rectangle that begins far outside has more pixels than an i64 can count.
                    self.pixels[at] =
                        color(i128::from(row - top) * i128::from(width) + i128::from(column - left));
                }
            }
        }
        if width == 0 || height == 0 || self.holds(area) { Ok(Answer::Done(())) } else { outside() }
    }

    pub(crate) fn image(&self, area: (i32, i32, u32, u32)) -> Result<Vec<u8>, (Code, Vec<Range>)> {
        let (x, y, width, height) = area;
        if width == 0 || height == 0 {
            return Ok(Vec::new());
        }
        if !self.holds(area) {
            return outside();
        }
        let pixel = |row, column| self.at(i64::from(x) + column, i64::from(y) + row).expect("it lies inside");
        let rows =
            (0..i64::from(height)).flat_map(|row| (0..i64::from(width)).map(move |column| (row, column)));
        Ok(rows.flat_map(|(row, column)| self.pixels[pixel(row, column)].to_bytes()).collect())
    }
}

fn sum(color: Color, amount: Color) -> Color {
    Color::from_u32(color.to_u32().wrapping_add(amount.to_u32()))
}

/// Removes the ranges: a single pixel has no index.
fn whole((code, _): (Code, Vec<Range>)) -> (Code, Vec<Range>) {
    (code, Vec::new())
}
