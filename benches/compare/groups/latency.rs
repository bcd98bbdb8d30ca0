//! The cost of a synchronous call: each pixel is drawn before the next.

use super::{EARLY, drawing, ping};
use crate::clients::{Asynchronous, Blocking, Client};
use crate::drawings::square;
use crate::failure::Result;
use crate::measure::{Load, Unit, Wire};
use crate::raw::Raw;
use crate::raw::runtime::TokioPing;
use crate::row::{Group, Row};
use crate::scene::Scene;
use crate::target::Target;
use crate::wire;
use benches::chart::Kind;
use std::rc::Rc;

const RAW: &str = "raw ping-pong";

/// The name of the row, the name of the row to compare it with, and the largest allowed ratio of times.
type OnRuntime = (&'static str, &'static str, f64);
const CURRENT_THREAD: OnRuntime =
    ("async draw_pixel, two awaits, current-thread", "tokio ping-pong, current-thread", 1.35);
const MULTI_THREAD: OnRuntime =
    ("async draw_pixel, two awaits, multi-thread", "tokio ping-pong, multi-thread", 1.6);

pub(super) fn group(scene: &Scene) -> Result<Group> {
    let count = scene.scale.calls;
    let pixels = square(count);
    let messages = wire::draw_pixel(pixels[0], EARLY);
    let unit = Unit::Latency;

    let blocking = Blocking::connect(&scene.ours)?;
    let ends = blocking.ends.clone();
    let blocking =
        drawing("blocking draw_pixel", unit, (count, 1), ends, &scene.ours, &pixels, move |watch, pixels| {
            blocking.pixels(watch, pixels)
        });
    let mut rows = vec![
        ping(RAW, unit, Raw::start(scene.place, 1)?, messages.clone(), count),
        blocking.target(Target::TimesTheTime(1.2, RAW)).target(Target::TimesTheP99(1.5, RAW)),
    ];

    let mut on_runtime = |client: &Rc<Client>, (name, beside, factor): OnRuntime| -> Result<()> {
        let mut raw = TokioPing::start(scene.place, client, messages.clone())?;
        let ends = raw.ends(Wire::Each(messages.size as f64));
        let load = Load { calls: count, pixels: count };
        let row = Row::new(beside, unit, load, ends, move |watch, _| raw.ping(watch, count));
        rows.push(row.kind(Kind::Raw));

        let ours = Asynchronous::connect(&scene.ours, client, 1)?;
        let ends = ours.ends.clone();
        let row = drawing(name, unit, (count, 1), ends, &scene.ours, &pixels, move |watch, pixels| {
            ours.two_awaits(watch, pixels)
        });
        rows.push(row.target(Target::TimesTheTime(factor, beside)));
        Ok(())
    };
    on_runtime(&scene.single, CURRENT_THREAD)?;
    on_runtime(&scene.multi, MULTI_THREAD)?;

    rows.extend(scene.peers.calls(&pixels));
    Ok(Group::new("One draw_pixel, waited for", rows))
}
