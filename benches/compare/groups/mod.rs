//! What is measured: groups of rows, each beside a raw connection that does the same work.

mod batches;
mod circle;
mod crowd;
mod fairness;
mod idle;
pub(crate) mod images;
mod latency;
mod local;
mod path;
mod singles;

use crate::measure::{Ends, Load, Unit, Watch, Wire};
use crate::ours::Ours;
use crate::raw::{Raw, Work};
use crate::rows::{Group, Row};
use crate::scene::Scene;
use crate::wire::{Messages, SIZE};
use crate::{Failure, Result};
use benches::chart::Kind;
use draw_client::{Color, Pixel};
use std::rc::Rc;

/// Pixels of a batch.
pub(crate) const BATCH: usize = 1_000;

/// Columns and rows of 256 and more, which all have the same width on the wire.
const WIDE: u16 = 256;

/// Numbers of calls from 256 to 65,535 are as wide as that of the call after so many, which a row makes that waits for
/// each; the others soon go beyond.
const EARLY: u32 = 1_000;
const LATE: u32 = 70_000;

/// All groups of one placement.
pub(crate) fn all(scene: &Scene) -> Result<Vec<Group>> {
    let mut groups = vec![latency::group(scene)?, singles::group(scene)?];
    groups.extend(batches::groups(scene)?);
    groups.extend(images::groups(scene)?);
    groups.extend(local::groups(scene));
    groups.push(fairness::group(scene)?);
    groups.push(crowd::group(scene)?);
    groups.extend(circle::groups(scene)?);
    groups.extend(path::groups(scene)?);
    groups.extend(idle::groups(scene));
    Ok(groups)
}

/// A row that draws pixels on one of our displays, in other colours each time, and finds them there.
fn drawing(
    name: &str,
    unit: Unit,
    (calls, passes): (usize, usize),
    ends: Ends,
    ours: &Rc<Ours>,
    pixels: &Rc<[Pixel]>,
    mut run: impl FnMut(&mut Watch<'_>, &[Pixel]) -> Result<()> + 'static,
) -> Row {
    let load = Load { calls, pixels: passes * pixels.len() };
    let (ours, pixels) = (Rc::clone(ours), Rc::clone(pixels));
    Row::new(name, unit, load, ends, move |watch, salt| {
        let pixels = painted(&pixels, salt);
        run(watch, &pixels)?;
        ours.check(&pixels)
    })
}

/// Messages without a pause over raw connections, each of which the far end treats as `work` says.
fn stream(name: &str, unit: Unit, mut raw: Raw, messages: Messages, load: Load, work: Work) -> Row {
    let bytes = messages.size as f64 * load.calls as f64 / load.pixels as f64;
    let ends = raw.ends(Wire::Each(bytes));
    let run = move |watch: &mut Watch<'_>, _: u32| raw.stream(watch, &messages, load.calls, &work);
    Row::new(name, unit, load, ends, run).kind(Kind::Raw)
}

/// Raw messages, each acknowledged before the next.
fn ping(name: &str, unit: Unit, mut raw: Raw, messages: Messages, count: usize) -> Row {
    let ends = raw.ends(Wire::Each(messages.size as f64));
    let run = move |watch: &mut Watch<'_>, _: u32| raw.ping(watch, &messages, count);
    Row::new(name, unit, Load { calls: count, pixels: count }, ends, run).kind(Kind::Raw)
}

/// Where the pixels of these messages begin.
fn head(messages: &Messages) -> Result<usize> {
    messages.head.ok_or_else(|| Failure::new("a message for many pixels has none"))
}

/// `count` pixels, row by row, over and over.
fn square(count: usize) -> Rc<[Pixel]> {
    let (columns, rows) = (256, SIZE.height as usize - usize::from(WIDE));
    let at = |i: usize| (WIDE + (i % columns) as u16, WIDE + (i / columns % rows) as u16);
    (0..count).map(|i| pixel(at(i), i)).collect()
}

/// The whole display, row by row, as far as full batches of so many pixels go.
fn display(batch: usize) -> Rc<[Pixel]> {
    let all = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x as u16, y as u16)));
    let pixels: Vec<_> = all.enumerate().map(|(i, at)| pixel(at, i)).collect();
    pixels[..pixels.len() / batch * batch].into()
}

/// As many pixels, anywhere on the display; the same in every run.
fn scattered() -> Rc<[Pixel]> {
    let mut state = 1_u64;
    // An ordinary linear congruential generator (Knuth's MMIX): its high bits are what is random.
    let mut random = move |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((state >> 32) * u64::from(below)) >> 32) as u16
    };
    display(BATCH)
        .iter()
        .enumerate()
        .map(|(i, _)| pixel((random(SIZE.width), random(SIZE.height)), i))
        .collect()
}

fn pixel((x, y): (u16, u16), i: usize) -> Pixel {
    Pixel::new(x, y, color(0, i))
}

/// The same pixels in the colours of this turn.
pub(crate) fn painted(pixels: &[Pixel], salt: u32) -> Vec<Pixel> {
    let paint = |(i, pixel): (usize, &Pixel)| Pixel { color: color(salt, i), ..*pixel };
    pixels.iter().enumerate().map(paint).collect()
}

/// A whole image in the colours of this turn.
fn image(pixels: usize, salt: u32) -> Vec<u8> {
    (0..pixels).flat_map(|i| color(salt, i).to_bytes()).collect()
}

/// A colour of its own for each pixel of each turn, and none that is shorter on the wire than others.
pub(crate) fn color(salt: u32, i: usize) -> Color {
    // An odd factor maps different numbers to different ones.
    let mixed = (i as u32 + 1).wrapping_add(salt << 20).wrapping_mul(0x9e37_79b1);
    Color::from_u32(0x8000_0000 | mixed)
}
