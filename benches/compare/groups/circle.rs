//! The lecture's circle, drawn by each kind of client.

use super::{EARLY, LATE, drawing, ping, stream};
use crate::clients::{Asynchronous, Blocking};
use crate::failure::Result;
use crate::measure::{Load, Unit};
use crate::raw::{Raw, Work};
use crate::row::Group;
use crate::scene::Scene;
use crate::wire;
use benches::pictures::pixel;
use draw_client::Pixel;
use std::rc::Rc;

pub(super) fn groups(scene: &Scene) -> Result<Vec<Group>> {
    let (unit, pixels) = (Unit::Total, circle());
    let count = pixels.len();
    let raw = || Raw::start(scene.place, 1);
    let message = wire::draw_pixel(pixels[0], LATE);

    let client = Blocking::connect(&scene.ours)?;
    let ends = client.ends.clone();
    let synchronous = vec![
        ping("circle: raw ping-pong", unit, raw()?, wire::draw_pixel(pixels[0], EARLY), count),
        drawing(
            "circle: blocking draw_pixel",
            unit,
            (count, 1),
            ends,
            &scene.ours,
            &pixels,
            move |watch, pixels| client.pixels(watch, pixels),
        ),
    ];

    let client = Asynchronous::connect(&scene.ours, &scene.single, 1)?;
    let ends = client.ends.clone();
    let load = Load { calls: count, pixels: count };
    let asynchronous = vec![
        stream("circle: raw stream", unit, raw()?, message, load, Work::Count),
        drawing(
            "circle: async draw_pixel, sync",
            unit,
            (count, 1),
            ends,
            &scene.ours,
            &pixels,
            move |watch, pixels| client.pixels(watch, pixels),
        ),
    ];

    let client = Blocking::connect(&scene.ours)?;
    let ends = client.ends.clone();
    let message = wire::draw_pixels(&pixels, count)?;
    let work = Work::Store { head: message.head()? };
    let load = Load { calls: 1, pixels: count };
    let batch = vec![
        stream("circle: raw message, decode and store", unit, raw()?, message, load, work),
        drawing(
            "circle: blocking draw_pixels",
            unit,
            (1, 1),
            ends,
            &scene.ours,
            &pixels,
            move |watch, pixels| client.batch(watch, pixels),
        ),
    ];

    let pause = scene.scale.pause;
    Ok(vec![
        Group::new("The lecture's circle, each pixel waited for", synchronous).every(pause),
        Group::new("The lecture's circle, not waited for", asynchronous),
        Group::new("The lecture's circle, in one call", batch),
    ])
}

fn circle() -> Rc<[Pixel]> {
    let center = (400, 360);
    let inside = |(x, y)| Some((u16::try_from(x).ok()?, u16::try_from(y).ok()?));
    draw_examples::disc(100, center).filter_map(inside).enumerate().map(|(i, at)| pixel(at, i)).collect()
}
