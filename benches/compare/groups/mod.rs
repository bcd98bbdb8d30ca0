//! The groups of rows, each beside a raw connection that does the same work.

mod batches;
mod circle;
mod crowd;
mod fairness;
mod idle;
mod images;
mod latency;
mod local;
mod path;
mod singles;

use crate::drawings::painted;
use crate::failure::Result;
use crate::measure::{Ends, Load, Unit, Watch, Wire};
use crate::ours::Ours;
use crate::raw::{Raw, Work};
use crate::row::{Group, Row};
use crate::scene::Scene;
use crate::wire::Messages;
use benches::chart::Kind;
use draw_client::Pixel;
use std::rc::Rc;

/// Numbers of calls made before the measured ones, which set the width of a call's number on the wire. A row that waits
/// for each call stays between 256 and 65,535; the others soon exceed that.
const EARLY: u32 = 1_000;
const LATE: u32 = 70_000;

/// Returns all groups of one placement.
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

/// Returns a row that draws pixels on one of our displays, in different colours each time, and checks that they are
/// there.
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

/// Returns a row that streams messages over raw connections; the far end treats each as `work` says.
fn stream(name: &str, unit: Unit, mut raw: Raw, messages: Messages, load: Load, work: Work) -> Row {
    let bytes = messages.size as f64 * load.calls as f64 / load.pixels as f64;
    let ends = raw.ends(Wire::Each(bytes));
    let run = move |watch: &mut Watch<'_>, _: u32| raw.stream(watch, &messages, load.calls, &work);
    Row::new(name, unit, load, ends, run).kind(Kind::Raw)
}

/// Returns a row of raw messages, each acknowledged before the next.
fn ping(name: &str, unit: Unit, mut raw: Raw, messages: Messages, count: usize) -> Row {
    let ends = raw.ends(Wire::Each(messages.size as f64));
    let run = move |watch: &mut Watch<'_>, _: u32| raw.ping(watch, &messages, count);
    Row::new(name, unit, Load { calls: count, pixels: count }, ends, run).kind(Kind::Raw)
}
