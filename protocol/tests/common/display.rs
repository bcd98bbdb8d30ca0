//! A minimal display in memory, the reference for protocol tests.

use draw_protocol::{Answer, Color, Digest, Fault, Pixels, Position, Range, Request, Size};
use sha2::{Digest as _, Sha256};

fn sum(color: Color, amount: u32) -> Color {
    Color::from_u32(color.to_u32().wrapping_add(amount))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Display {
    pub(crate) size: Size,
    pub(crate) pixels: Vec<Color>,
    pub(crate) mouse: Option<Position>,
}

impl Display {
    pub(crate) fn new(size: Size) -> Display {
        let pixels = vec![Color::BLACK; size.width as usize * size.height as usize];
        Display { size, pixels, mouse: None }
    }

    fn index(&self, x: i64, y: i64) -> Option<usize> {
        let (width, height) = (i64::from(self.size.width), i64::from(self.size.height));
        ((0..width).contains(&x) && (0..height).contains(&y)).then(|| (y * width + x) as usize)
    }

    pub(crate) fn pixel(&self, x: i32, y: i32) -> Option<Color> {
        self.index(x.into(), y.into()).map(|i| self.pixels[i])
    }

    pub(crate) fn apply(&mut self, request: &Request<'_>) -> Result<Answer, Fault> {
        match *request {
            Request::DrawPixel { x, y, color } => {
                let i = self.index(x.into(), y.into()).ok_or_else(|| self.outside(request))?;
                self.pixels[i] = color;
            }
            Request::DrawPixels { pixels } => self.each(request, pixels, |_, color| color)?,
            Request::AddPixel { x, y, amount } => {
                let i = self.index(x.into(), y.into()).ok_or_else(|| self.outside(request))?;
                self.pixels[i] = sum(self.pixels[i], amount);
            }
            Request::AddPixels { pixels } => {
                self.each(request, pixels, |old, amount| sum(old, amount.to_u32()))?;
            }
            Request::FillRect { x, y, width, height, color } => {
                self.rectangle(request, (x, y, width, height), |_| color)?;
            }
            Request::PutImage { x, y, width, height, rgba } => {
                self.rectangle(request, (x, y, width, height), |i| {
                    Color::rgba(rgba[i * 4], rgba[i * 4 + 1], rgba[i * 4 + 2], rgba[i * 4 + 3])
                })?;
            }
            Request::Clear { color } => self.pixels.fill(color),
            Request::GetPixel { x, y } => {
                return self.pixel(x, y).map(Answer::Pixel).ok_or_else(|| self.outside(request));
            }
            Request::GetImage { x, y, width, height } => {
                return self.image(request, (x, y, width, height)).map(Answer::Image);
            }
            Request::GetDigest { x, y, width, height } => {
                let image = self.image(request, (x, y, width, height))?;
                return Ok(Answer::Digest(Digest::from(<[u8; 32]>::from(Sha256::digest(image)))));
            }
            Request::GetSize {} => return Ok(Answer::Size(self.size)),
            Request::GetMouse {} => return Ok(Answer::Mouse(self.mouse)),
            Request::Sync {} | Request::SyncDurable {} => {}
        }
        Ok(Answer::Done(()))
    }

    /// Sets each pixel to the result of `new` for its color and the record's color.
    fn each(
        &mut self,
        request: &Request<'_>,
        pixels: Pixels<'_>,
        new: impl Fn(Color, Color) -> Color,
    ) -> Result<(), Fault> {
        let (mut rejected, mut outside): (Vec<Range>, Vec<Position>) = (Vec::new(), Vec::new());
        for (i, (x, y, color)) in (0..).zip(pixels.iter()) {
            if self.index(x.into(), y.into()).is_none() {
                outside.push(Position { x, y });
            }
            match (self.index(x.into(), y.into()), rejected.last_mut()) {
                (Some(at), _) => self.pixels[at] = new(self.pixels[at], color),
                (None, Some(range)) if range.first + range.count == i => range.count += 1,
                (None, _) => rejected.push(Range { first: i, count: 1 }),
            }
        }
        if rejected.is_empty() {
            return Ok(());
        }
        outside.truncate(10);
        Err(Fault::out_of_bounds(&request.call(), self.size, rejected, outside))
    }

    fn outside(&self, request: &Request<'_>) -> Fault {
        Fault::out_of_bounds(&request.call(), self.size, Vec::new(), Vec::new())
    }

    /// Returns the columns and rows of the rectangle that are inside.
    fn inside(
        &self,
        x: i32,
        y: i32,
        width: u32,
        height: u32,
    ) -> (std::ops::Range<i64>, std::ops::Range<i64>) {
        let clip = |from: i32, length: u32, most: u32| {
            let (from, to) = (i64::from(from), i64::from(from) + i64::from(length));
            from.max(0)..to.min(most.into())
        };
        (clip(x, width, self.size.width), clip(y, height, self.size.height))
    }

    fn rectangle(
        &mut self,
        request: &Request<'_>,
        (x, y, width, height): (i32, i32, u32, u32),
        color: impl Fn(usize) -> Color,
    ) -> Result<(), Fault> {
        let (columns, rows) = self.inside(x, y, width, height);
        for row in rows {
            for column in columns.clone() {
                let source = (row - i64::from(y)) * i64::from(width) + column - i64::from(x);
                let at = self.index(column, row).expect("clipped");
                self.pixels[at] = color(source as usize);
            }
        }
        if self.size.contains(x, y, width, height) { Ok(()) } else { Err(self.outside(request)) }
    }

    fn image(
        &self,
        request: &Request<'_>,
        (x, y, width, height): (i32, i32, u32, u32),
    ) -> Result<Vec<u8>, Fault> {
        let (columns, rows) = self.inside(x, y, width, height);
        if !self.size.contains(x, y, width, height) {
            return Err(self.outside(request));
        }
        let mut bytes = Vec::new();
        for row in rows {
            for column in columns.clone() {
                bytes.extend(self.pixels[self.index(column, row).expect("inside")].to_bytes());
            }
        }
        Ok(bytes)
    }
}
