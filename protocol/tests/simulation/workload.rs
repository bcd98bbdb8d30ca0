//! The calls of clients.

use super::ledger::{SIZE, uncolored};
use super::random::Random;
use crate::common::calls::Owned;
use draw_protocol::{Color, Request};

/// Returns a call of any kind. `asked` returns a unique number for a read.
pub(crate) fn call(random: &mut Random, asked: impl FnMut() -> u32) -> Owned {
    match random.below(100) {
        0..45 => {
            // A few of them are outside.
            let (x, y) = (random.below(66) as i32, random.below(97) as i32);
            Owned::Plain(Request::DrawPixel { x, y, color: Color::BLACK })
        }
        45..55 => pixels(random, 20),
        // More than one request holds.
        55..58 => pixels(random, 1300),
        58..66 => rectangle(random),
        66..70 => image(random),
        70 => Owned::Plain(Request::Clear { color: Color::BLACK }),
        71..85 => pixel(asked),
        85..91 => read(asked),
        91..95 => Owned::Plain(Request::GetSize {}),
        95..98 => Owned::Plain(Request::Sync {}),
        _ => Owned::Plain(Request::SyncDurable {}),
    }
}

fn pixels(random: &mut Random, most: usize) -> Owned {
    let count = random.below(most);
    let columns = if random.happens(1, 2) { 64 } else { 65 };
    Owned::Pixels((0..count).map(|_| uncolored(random.below(columns), random.below(96))).collect())
}

/// Returns a rectangle, which is never joined: each is a request of its own.
pub(crate) fn rectangle(random: &mut Random) -> Owned {
    let (x, y) = (random.below(62) as i32, random.below(90) as i32);
    let (width, height) = (1 + random.below(3) as u32, 1 + random.below(4) as u32);
    Owned::Plain(Request::FillRect { x, y, width, height, color: Color::BLACK })
}

/// Returns an image of one or a few bands.
fn image(random: &mut Random) -> Owned {
    let (width, height) = (8 + random.below(40) as u32, 1 + random.below(70) as u32);
    let (x, y) = (random.below(30) as i32 - 3, random.below(30) as i32 - 1);
    Owned::Image { x, y, width, rgba: vec![0; (width * height * 4) as usize] }
}

/// Returns a read of a pixel, each at another position. Positions after the last pixel are outside.
fn pixel(mut asked: impl FnMut() -> u32) -> Owned {
    // Successive reads are far apart, and 0 and 1 are where most calls draw.
    let i = asked();
    let (x, y) = ((i * 7 % SIZE.width) as i32, (i / SIZE.width) as i32);
    Owned::Plain(Request::GetPixel { x, y })
}

/// Returns a read of a rectangle in two bands, each at another position.
pub(crate) fn read(mut asked: impl FnMut() -> u32) -> Owned {
    let i = asked();
    if i >= 40 * 42 {
        return Owned::Plain(Request::Sync {});
    }
    Owned::Plain(Request::GetImage { x: (i % 40) as i32, y: (i / 40) as i32, width: 24, height: 50 })
}
