//! A path of 50 ms round-trip time and 100 Mbit/s.

use super::{drawing, stream};
use crate::clients::Asynchronous;
use crate::drawings::{BATCH, display, square};
use crate::failure::{Context, Failure, Result};
use crate::measure::{LINE_BITS, Load, ROUND_TRIP, Unit};
use crate::placement::Place;
use crate::raw::{Raw, Work};
use crate::row::Group;
use crate::scene::Scene;
use crate::target::Target;
use crate::threads;
use crate::wire;
use draw_examples::DelayLine;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc::channel;

/// Number of single pixels that the loop draws over this path.
const SINGLES: usize = 7_500;

/// The largest number of round trips that they may take.
const ROUND_TRIPS: f64 = 2.2;

/// The share of the line that batches have to fill.
const FILLED: f64 = 0.9 * LINE_BITS as f64 / 1e6;

pub(super) fn groups(scene: &Scene) -> Result<Vec<Group>> {
    // The delay of the path outweighs the placement of the ends.
    if !scene.is_last {
        return Ok(Vec::new());
    }
    let place = scene.place;
    let (pixels, passes) = (display(BATCH), scene.scale.far_passes);
    let messages = wire::draw_pixels(&pixels, BATCH)?;
    let work = Work::Store { head: messages.head()? };
    let load = Load { calls: passes * pixels.len() / BATCH, pixels: passes * pixels.len() };
    let raw = Raw::start_far_away(place, |address| line(place, address))?;

    // The line has to exist as long as the rows that use it.
    let between = Rc::new(line(place, scene.ours.address)?);
    let kept = Rc::clone(&between);
    let connect = || Asynchronous::connect_through(&scene.ours, between.address(), &scene.single, 1);
    let (batches, loops) = (connect()?, connect()?);
    let ends = batches.ends.clone();
    let streamed = drawing(
        "async draw_pixels, far away",
        Unit::Line,
        (load.calls, passes),
        ends,
        &scene.ours,
        &pixels,
        move |watch, pixels| {
            let _ = &kept;
            batches.batches(watch, pixels, BATCH, passes)
        },
    );
    let (ends, single) = (loops.ends.clone(), square(SINGLES));
    let name = "7,500 async draw_pixel, then sync, far away";
    let singles =
        drawing(name, Unit::RoundTrips, (SINGLES, 1), ends, &scene.ours, &single, move |watch, pixels| {
            let _ = &between;
            loops.pixels(watch, pixels)
        });
    let pause = scene.scale.pause;
    Ok(vec![
        Group::new(
            "Batches over 50 ms and 100 Mbit/s",
            vec![
                stream("raw stream, far away", Unit::Line, raw, messages, load, work),
                streamed.target(Target::AtLeast(FILLED)),
            ],
        )
        .every(pause),
        Group::new(
            "Single pixels over 50 ms and 100 Mbit/s",
            vec![singles.target(Target::AtMost(ROUND_TRIPS))],
        )
        .every(pause),
    ])
}

/// Starts the path to `target`. Its thread is placed at the far end.
fn line(place: Place, target: SocketAddr) -> Result<DelayLine> {
    let (outbox, line) = channel();
    let start = move || {
        // The receiver may have given up.
        _ = outbox.send(DelayLine::start_limited(target, ROUND_TRIP, LINE_BITS));
    };
    threads::start("line", move || place.enter_far(), start)?;
    line.recv().map_err(|_| Failure::new("the line was not started"))?.context("starting the line")
}
