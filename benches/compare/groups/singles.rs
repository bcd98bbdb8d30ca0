//! The simple loop: one asynchronous call for each pixel, each with its own colour.

use super::{LATE, drawing, stream};
use crate::clients::{Asynchronous, Pipelined};
use crate::drawings::square;
use crate::failure::Result;
use crate::measure::{Load, Unit};
use crate::peers;
use crate::placement::Place;
use crate::raw::{Raw, Work};
use crate::row::Group;
use crate::scene::Scene;
use crate::target::Target;
use crate::wire;

pub(super) fn group(scene: &Scene) -> Result<Group> {
    let count = scene.scale.singles;
    let pixels = square(count);
    let unit = Unit::Calls;
    let messages = wire::draw_pixel(pixels[0], LATE);
    let raw = Raw::start(scene.place, 1)?;
    let load = Load { calls: count, pixels: count };

    let client = Asynchronous::connect(&scene.ours, &scene.single, 1)?;
    let ends = client.ends.clone();
    let ours = drawing(
        "async draw_pixel in a loop, then sync",
        unit,
        (count, 1),
        ends,
        &scene.ours,
        &pixels,
        move |watch, pixels| client.pixels(watch, pixels),
    );
    let millions = if matches!(scene.place, Place::TwoCores(..)) { 25.0 } else { 15.0 };
    let ours = ours
        .target(Target::AtLeast(millions))
        .target(Target::TimesTheRate(10.0, peers::X11_PUT_PIXEL))
        .target(Target::TimesTheRate(40.0, peers::TARPC_LOOP));

    let client = Pipelined::connect(&scene.ours)?;
    let ends = client.ends.clone();
    let pipelined = drawing(
        "blocking::Pipeline draw_pixel in a loop, then sync",
        unit,
        (count, 1),
        ends,
        &scene.ours,
        &pixels,
        move |watch, pixels| client.pixels(watch, pixels),
    );

    let raw = stream("raw stream of such messages", unit, raw, messages, load, Work::Count);
    let mut rows = vec![raw, ours, pipelined];
    rows.extend(scene.peers.singles(&pixels, &square(scene.scale.slow_singles)));
    Ok(Group::new("draw_pixel in a loop, not waited for", rows))
}
