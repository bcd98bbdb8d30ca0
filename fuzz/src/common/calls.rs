//! Arbitrary calls.

use arbitrary::{Result, Unstructured};
use draw_protocol::{Color, Pixel, Pixels, Request};

/// A request that owns its data.
#[derive(Debug, Clone)]
pub(crate) enum Owned {
    Plain(Request<'static>),
    Pixels(Vec<Pixel>),
    Additions(Vec<Pixel>),
    Image { x: i32, y: i32, width: u32, height: u32, rgba: Vec<u8> },
}

impl Owned {
    pub(crate) fn request(&self) -> Request<'_> {
        match self {
            Owned::Plain(request) => *request,
            Owned::Pixels(pixels) => Request::DrawPixels { pixels: Pixels::from(&pixels[..]) },
            Owned::Additions(pixels) => Request::AddPixels { pixels: Pixels::from(&pixels[..]) },
            Owned::Image { x, y, width, height, rgba } => {
                Request::PutImage { x: *x, y: *y, width: *width, height: *height, rgba }
            }
        }
    }
}

/// Draws a coordinate, mostly near the edges of a small display, sometimes any value.
fn place(input: &mut Unstructured<'_>) -> Result<i32> {
    Ok(match input.arbitrary::<i8>()? {
        i8::MIN => input.arbitrary()?,
        near => near.into(),
    })
}

fn length(input: &mut Unstructured<'_>) -> Result<u32> {
    Ok(match input.arbitrary::<u8>()? {
        u8::MAX => input.arbitrary()?,
        near => near.into(),
    })
}

fn color(input: &mut Unstructured<'_>) -> Result<Color> {
    Ok(Color::from_u32(input.arbitrary()?))
}

/// Draws up to 31 pixels. The highest bits of the count may repeat one of them: runs are drawn in blocks, and the test
/// needs more than one block.
fn pixels(input: &mut Unstructured<'_>) -> Result<Vec<Pixel>> {
    let count = input.arbitrary::<u8>()?;
    let mut pixels = Vec::new();
    for _ in 0..count & 31 {
        let (x, y) = (input.arbitrary::<u8>()?, input.arbitrary::<u8>()?);
        let wide = |n: u8| if n == u8::MAX { u16::MAX } else { n.into() };
        pixels.push(Pixel::new(wide(x), wide(y), color(input)?));
    }
    if let Some(&last) = pixels.last() {
        let more = usize::from(count >> 5) * 40;
        pixels.extend((0..more).map(|i| Pixel { x: last.x.wrapping_add(i as u16 % 5), ..last }));
    }
    Ok(pixels)
}

fn image(input: &mut Unstructured<'_>) -> Result<Owned> {
    let (x, y) = (place(input)?, place(input)?);
    let (width, height) =
        (u32::from(input.arbitrary::<u8>()? % 40), u32::from(input.arbitrary::<u8>()? % 40));
    // A single colour would do for the product; the pixels differ so that the test can tell them apart.
    let seed = input.arbitrary::<u8>()?;
    let rgba = (0..width * height * 4).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect();
    Ok(Owned::Image { x, y, width, height, rgba })
}

/// Draws a call of any kind that can be sent.
pub(crate) fn call(input: &mut Unstructured<'_>) -> Result<Owned> {
    Ok(Owned::Plain(match input.arbitrary::<u8>()? % 16 {
        0..3 => Request::DrawPixel { x: place(input)?, y: place(input)?, color: color(input)? },
        3 => return Ok(Owned::Pixels(pixels(input)?)),
        4 => return Ok(Owned::Additions(pixels(input)?)),
        5 => return image(input),
        6 => Request::FillRect {
            x: place(input)?,
            y: place(input)?,
            width: length(input)?,
            height: length(input)?,
            color: color(input)?,
        },
        7 => Request::Clear { color: color(input)? },
        8 | 9 => Request::AddPixel { x: place(input)?, y: place(input)?, amount: input.arbitrary()? },
        10 => Request::GetPixel { x: place(input)?, y: place(input)? },
        11 => {
            let (width, height) = (input.arbitrary::<u8>()?.into(), input.arbitrary::<u8>()?.into());
            Request::GetImage { x: place(input)?, y: place(input)?, width, height }
        }
        12 => {
            let (width, height) = (input.arbitrary::<u8>()?.into(), input.arbitrary::<u8>()?.into());
            Request::GetDigest { x: place(input)?, y: place(input)?, width, height }
        }
        13 => Request::GetSize {},
        14 => Request::GetMouse {},
        _ => Request::Sync {},
    }))
}
