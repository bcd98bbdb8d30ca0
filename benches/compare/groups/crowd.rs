//! The same work, shared by few and by many clients.

use crate::clients::Asynchronous;
use crate::drawings::{display, painted};
use crate::failure::Result;
use crate::measure::{Load, Unit, Watch};
use crate::raw::crowd::Crowd;
use crate::row::{Group, Row};
use crate::scene::Scene;
use crate::target::Target;
use crate::{descriptors, wire};
use benches::chart::Kind;
use draw_client::Pixel;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// The largest number of clients, and the pixels of a call: each of 512 clients makes one call in a pass.
const MANY: usize = 512;
const BATCH: usize = 600;

const EIGHT: &str = "8 clients";

pub(super) fn group(scene: &Scene) -> Result<Group> {
    let title = format!("draw_pixels, {BATCH} pixels a call, shared by clients");
    if let Err(reason) = descriptors::allow() {
        return Ok(Group::new(title, vec![Row::missing("512 clients", Unit::Pixels, &reason)]));
    }
    // All rows use the same connections, some of which may be idle.
    let clients = Rc::new(Asynchronous::connect(&scene.crowd, &scene.single, MANY)?);
    let passes = scene.scale.crowd_passes;
    let pixels: Rc<[Pixel]> = display(BATCH);
    let load = Load { calls: passes * MANY, pixels: passes * pixels.len() };
    let row = |name: &str, count: usize| {
        let (clients, pixels, ours) = (Rc::clone(&clients), Rc::clone(&pixels), Rc::clone(&scene.crowd));
        Row::new(name, Unit::Pixels, load, clients.ends.clone(), move |watch, salt| {
            let pixels: Arc<[Pixel]> = painted(&pixels, salt).into();
            clients.shared_batches(watch, &pixels, BATCH, passes, count)?;
            ours.check(&pixels)
        })
    };
    let all = row("512 clients", MANY).target(Target::TimesTheRate(0.8, EIGHT));
    let mut rows = vec![row("1 client", 1), row(EIGHT, 8), row("64 clients", 64), all];

    let messages = wire::draw_pixels(&pixels, BATCH)?;
    let crowd = Rc::new(RefCell::new(Crowd::start(scene.place, &scene.single, MANY, messages)?));
    for (name, count) in [("raw, tokio, 8 connections", 8), ("raw, tokio, 512 connections", MANY)] {
        let (crowd, pixels) = (Rc::clone(&crowd), Rc::clone(&pixels));
        let ends = crowd.borrow().ends(pixels.len());
        let run = move |watch: &mut Watch<'_>, _| crowd.borrow_mut().stream(watch, count, passes, &pixels);
        rows.push(Row::new(name, Unit::Pixels, load, ends, run).kind(Kind::Raw));
    }
    Ok(Group::new(title, rows).every(scene.scale.pause))
}
