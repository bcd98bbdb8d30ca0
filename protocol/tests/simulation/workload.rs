//! The calls of clients.

use super::ledger::{SIZE, uncolored};
use super::random::Random;
use crate::common::calls::Owned;
use draw_protocol::{Color, Request};

/// A call of any kind. `asked` is a number of its own for a question.
pub(crate) fn call(random: &mut Random, asked: impl FnMut() -> u32) -> Owned {
    match random.below(100) {
        0..45 => {
            // A few of them lie outside.
            let (x, y) = (random.below(66) as i32, random.below(97) as i32);
            Owned::Plain(Request::DrawPixel { x, y, color: Color::BLACK })
        }
        45..55 => pixels(random, 20),
        // More than fit into one request.
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

/// A rectangle, never joined to anything: each takes a request.
pub(crate) fn rectangle(random: &mut Random) -> Owned {
    let (x, y) = (random.below(62) as i32, random.below(90) as i32);
    let (width, height) = (1 + random.below(3) as u32, 1 + random.below(4) as u32);
    Owned::Plain(Request::FillRect { x, y, width, height, color: Color::BLACK })
}

/// An image, of one band or a few.
fn image(random: &mut Random) -> Owned {
    let (width, height) = (8 + random.below(40) as u32, 1 + random.below(70) as u32);
    let (x, y) = (random.below(30) as i32 - 3, random.below(30) as i32 - 1);
    Owned::Image { x, y, width, rgba: vec![0; (width * height * 4) as usize] }
}

/// The colour of a pixel: each at another place, and beyond the last one outside.
fn pixel(mut asked: impl FnMut() -> u32) -> Owned {
    // Neighbours in time are far from each other, and 0 and 1 are where everybody draws.
    let i = asked();
    let (x, y) = ((i * 7 % SIZE.width) as i32, (i / SIZE.width) as i32);
    Owned::Plain(Request::GetPixel { x, y })
}

/// A rectangle that is answered in two bands, at another place each.
pub(crate) fn read(mut asked: impl FnMut() -> u32) -> Owned {
    let i = asked();
    if i >= 40 * 42 {
        return Owned::Plain(Request::Sync {});
    }
    Owned::Plain(Request::GetImage { x: (i % 40) as i32, y: (i / 40) as i32, width: 24, height: 50 })
}
