//! Fills without a socket: the framebuffer compared with plain loops over the same number of pixels.

use crate::drawings::color;
use crate::failure::{Failure, Result};
use crate::measure::{Ends, Load, Unit, Watch};
use crate::row::{Group, Row};
use crate::scene::Scene;
use crate::target::Target;
use crate::threads::{self, Side};
use crate::wire::SIZE;
use benches::chart::Kind;
use display_server::Framebuffer;
use draw_client::Color;
use std::hint::black_box;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// Columns and rows that `fill_rect` fills, and their position: most of the display, but no whole row.
const PART: (usize, usize) = (500, 400);
const AT: (usize, usize) = (50, 30);

/// Number of fills in a section for each pass of the batch rows over the display.
const FILLS: usize = 20;

const WIDTH: usize = SIZE.width as usize;
const HEIGHT: usize = SIZE.height as usize;

pub(super) fn groups(scene: &Scene) -> Vec<Group> {
    // These rows do not depend on where the far end is.
    if scene.memory.is_none() {
        return Vec::new();
    }
    let fills = FILLS * scene.scale.passes;
    vec![
        group(
            "fill_rect, 500x400, no socket",
            "Framebuffer::fill_rect",
            fills,
            (AT, PART),
            |framebuffer, color| {
                let mut damage = framebuffer.no_damage();
                framebuffer.fill_rect(
                    (AT.0 as i32, AT.1 as i32),
                    (PART.0 as u32, PART.1 as u32),
                    color,
                    &mut damage,
                );
            },
        ),
        group(
            "clear, 640x480, no socket",
            "Framebuffer::clear",
            fills,
            ((0, 0), (WIDTH, HEIGHT)),
            |framebuffer, color| {
                framebuffer.clear(color, &mut framebuffer.no_damage());
            },
        ),
    ]
}

const LOOP: &str = "loop of relaxed stores";

fn group(
    title: &str,
    name: &str,
    fills: usize,
    ((x, y), (width, height)): ((usize, usize), (usize, usize)),
    fill: fn(&Framebuffer, Color),
) -> Group {
    let load = Load { calls: fills, pixels: fills * width * height };
    let rows = move || (y..y + height).map(move |y| y * WIDTH + x..y * WIDTH + x + width);
    let atomics: Vec<_> = (0..WIDTH * HEIGHT).map(|_| AtomicU32::new(0)).collect();
    let plain_loop = filling(LOOP, load, move |value| {
        for row in rows() {
            for pixel in &black_box(&atomics[..])[row] {
                pixel.store(value, Relaxed);
            }
        }
        atomics[(y + height - 1) * WIDTH + x + width - 1].load(Relaxed)
    });
    let mut words = vec![0; WIDTH * HEIGHT];
    let slice = filling("slice::fill", load, move |value| {
        for row in rows() {
            black_box(&mut words[..])[row].fill(value);
        }
        words[(y + height - 1) * WIDTH + x + width - 1]
    });
    let framebuffer = Framebuffer::new(SIZE, Color::BLACK);
    let ours = filling(name, load, move |value| {
        let Ok(framebuffer) = &framebuffer else { return !value };
        fill(black_box(framebuffer), Color::from_u32(value));
        let last = framebuffer.get_pixel((x + width - 1) as i32, (y + height - 1) as i32);
        last.map_or(!value, Color::to_u32)
    });
    Group::new(
        title,
        vec![
            plain_loop.kind(Kind::Raw),
            ours.target(Target::TimesTheTime(1.15, LOOP)),
            slice.kind(Kind::Raw),
        ],
    )
}

/// Returns a row that fills with one value after the other. The work returns the last pixel.
fn filling(name: &str, load: Load, mut fill: impl FnMut(u32) -> u32 + 'static) -> Row {
    let ends = Ends { near: Side::of_threads(threads::current()), ..Ends::default() };
    Row::new(name, Unit::Pixels, load, ends, move |watch: &mut Watch<'_>, salt| -> Result<()> {
        fill(0);
        watch.whole(|| {
            (0..load.calls).try_for_each(|i| {
                let value = color(salt, i).to_u32();
                let is_filled = fill(value) == value;
                is_filled.then_some(()).ok_or_else(|| Failure::new("a fill has not reached its end"))
            })
        })
    })
}
