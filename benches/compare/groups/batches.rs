//! Many pixels in each call, over one connection and over four.

use super::stream;
use crate::clients::Asynchronous;
use crate::drawings::{BATCH, display, painted, scattered};
use crate::failure::Result;
use crate::measure::{Load, Unit};
use crate::peers;
use crate::raw::{Raw, Work};
use crate::row::{Group, Row};
use crate::scene::Scene;
use crate::target::Target;
use crate::wire;
use draw_client::Pixel;
use std::rc::Rc;
use std::sync::Arc;

const RAW: &str = "raw stream, decode and store";

pub(super) fn groups(scene: &Scene) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for (what, pixels) in [("neighbouring", display(BATCH)), ("random", scattered())] {
        for connections in [1, 4] {
            groups.push(group(scene, what, &pixels, connections)?);
        }
    }
    Ok(groups)
}

fn group(scene: &Scene, what: &str, pixels: &Rc<[Pixel]>, connections: usize) -> Result<Group> {
    let passes = scene.scale.passes;
    let load = Load { calls: passes * pixels.len() / BATCH, pixels: passes * pixels.len() };
    let unit = Unit::Pixels;
    let messages = wire::draw_pixels(pixels, BATCH)?;
    let work = Work::Store { head: messages.head()? };
    let raw = Raw::start(scene.place, connections)?;

    let client = Asynchronous::connect(&scene.ours, &scene.single, connections)?;
    let (ends, display, drawn) = (client.ends.clone(), Rc::clone(&scene.ours), Rc::clone(pixels));
    let ours = Row::new("async draw_pixels", unit, load, ends, move |watch, salt| {
        let pixels = painted(&drawn, salt);
        if connections == 1 {
            client.batches(watch, &pixels, BATCH, passes)?;
            return display.check(&pixels);
        }
        let pixels: Arc<[Pixel]> = pixels.into();
        client.shared_batches(watch, &pixels, BATCH, passes, connections)?;
        // Where clients draw the same place at the same time, the colour of any of them remains.
        display.check_any_order(&pixels)
    });
    let ours =
        ours.target(Target::TimesTheRate(0.85, RAW)).target(Target::TimesTheRate(1.3, peers::BREAKWATER));

    let mut rows = vec![stream(RAW, unit, raw, messages, load, work), ours];
    rows.push(scene.peers.batches(pixels, passes, connections));
    let plural = if connections == 1 { "connection" } else { "connections" };
    Ok(Group::new(format!("draw_pixels, {BATCH} {what} pixels a call, {connections} {plural}"), rows))
}
