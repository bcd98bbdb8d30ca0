//! Random calls for property tests.

use draw_protocol::{Color, Pixel, Pixels, Request};
use proptest::prelude::*;

/// A request that owns its data.
#[derive(Debug, Clone)]
pub(crate) enum Owned {
    Plain(Request<'static>),
    Pixels(Vec<Pixel>),
    Additions(Vec<Pixel>),
    Image { x: i32, y: i32, width: u32, rgba: Vec<u8> },
}

impl Owned {
    pub(crate) fn request(&self) -> Request<'_> {
        match self {
            Owned::Plain(request) => *request,
            Owned::Pixels(pixels) => Request::DrawPixels { pixels: Pixels::from(&pixels[..]) },
            Owned::Additions(pixels) => Request::AddPixels { pixels: Pixels::from(&pixels[..]) },
            Owned::Image { x, y, width, rgba } => {
                let height = (rgba.len() / 4) as u32 / width.max(&1);
                Request::PutImage { x: *x, y: *y, width: *width, height, rgba }
            }
        }
    }
}

fn color() -> impl Strategy<Value = Color> {
    any::<u32>().prop_map(Color::from_u32)
}

/// Generates a coordinate, mostly near the edges of a display 16 pixels wide or high, sometimes arbitrary.
fn place() -> impl Strategy<Value = i32> {
    prop_oneof![9 => -2..18i32, 1 => any::<i32>()]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![9 => 0..18u32, 1 => any::<u32>()]
}

/// Generates any call. On a display of 16x16 about half of them succeed.
pub(crate) fn call() -> impl Strategy<Value = Owned> {
    let pixel = || (0..18u16, 0..18u16, color()).prop_map(|(x, y, color)| Pixel::new(x, y, color));
    let image = (place(), place(), 0..9u32, 0..9u32).prop_flat_map(|(x, y, width, height)| {
        let bytes = prop::collection::vec(any::<u8>(), (width * height * 4) as usize);
        bytes.prop_map(move |rgba| Owned::Image { x, y, width, rgba })
    });
    prop_oneof![
        6 => (place(), place(), color())
            .prop_map(|(x, y, color)| Owned::Plain(Request::DrawPixel { x, y, color })),
        3 => prop::collection::vec(pixel(), 0..40).prop_map(Owned::Pixels),
        2 => (place(), place(), any::<u32>())
            .prop_map(|(x, y, amount)| Owned::Plain(Request::AddPixel { x, y, amount })),
        2 => prop::collection::vec(pixel(), 0..40).prop_map(Owned::Additions),
        2 => (place(), place(), length(), length(), color()).prop_map(|(x, y, width, height, color)| {
            Owned::Plain(Request::FillRect { x, y, width, height, color })
        }),
        2 => image,
        1 => color().prop_map(|color| Owned::Plain(Request::Clear { color })),
        2 => (place(), place()).prop_map(|(x, y)| Owned::Plain(Request::GetPixel { x, y })),
        // Small enough for the answer to fit a message. Other tests cover larger answers.
        1 => (place(), place(), 0..18u32, 0..18u32).prop_map(|(x, y, width, height)| {
            Owned::Plain(Request::GetImage { x, y, width, height })
        }),
        1 => (place(), place(), 0..18u32, 0..18u32).prop_map(|(x, y, width, height)| {
            Owned::Plain(Request::GetDigest { x, y, width, height })
        }),
        1 => Just(Owned::Plain(Request::GetSize {})),
        1 => Just(Owned::Plain(Request::GetMouse {})),
        1 => Just(Owned::Plain(Request::Sync {})),
        1 => Just(Owned::Plain(Request::SyncDurable {})),
    ]
}
