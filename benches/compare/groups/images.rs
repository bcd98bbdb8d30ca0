//! Whole frames, put and got.

use super::stream;
use crate::clients::{Asynchronous, Blocking};
use crate::drawings::{PIXELS, color, image, in_turn, same, two_images};
use crate::failure::{Context, Result};
use crate::measure::{Ends, Load, Unit, Watch, Wire};
use crate::ours::Ours;
use crate::peers;
use crate::raw::{Raw, Work};
use crate::row::{Group, Row};
use crate::scene::Scene;
use crate::target::Target;
use crate::wire::{self, FRAME};

use benches::chart::Kind;
use std::rc::Rc;

const RAW_PUT: &str = "raw stream, copied once";
const RAW_GET: &str = "raw stream the other way";

pub(super) fn groups(scene: &Scene) -> Result<Vec<Group>> {
    let calls = scene.scale.frames;
    let load = Load { calls, pixels: calls * PIXELS };
    Ok(vec![put(scene, load)?, get(scene, load)?])
}

fn put(scene: &Scene, load: Load) -> Result<Group> {
    let messages = wire::put_image(&image(PIXELS, 0));
    let work = Work::Copy { head: messages.head()? };
    let raw = Raw::start(scene.place, 1)?;

    let client = Asynchronous::connect(&scene.frame, &scene.single, 1)?;
    let ends = client.ends.clone();
    let asynchronous = putting("async put_image", load, ends, &scene.frame, move |watch, frames| {
        client.frames(watch, frames)
    });
    let client = Blocking::connect(&scene.frame)?;
    let ends = client.ends.clone();
    let put = move |frame: &&[u8]| {
        client.display.put_image(0, 0, FRAME.width, FRAME.height, frame).context("put_image")
    };
    let blocking = putting("blocking put_image", load, ends, &scene.frame, move |watch, frames| {
        put(&frames[0])?;
        watch.whole(|| frames.iter().try_for_each(&put))
    });
    let mut rows = vec![stream(RAW_PUT, Unit::Pixels, raw, messages, load, work)];
    rows.extend([asynchronous, blocking].map(|row| {
        row.target(Target::TimesTheRate(0.8, RAW_PUT)).target(Target::TimesTheRate(1.0, peers::X11_PUT_FRAME))
    }));
    rows.push(scene.peers.put_frames(load));
    Ok(Group::new("put_image, 1280x720", rows))
}

/// Returns a row that alternates two images; the display has to show the last.
fn putting(
    name: &str,
    load: Load,
    ends: Ends,
    ours: &Rc<Ours>,
    mut run: impl FnMut(&mut Watch<'_>, &[&[u8]]) -> Result<()> + 'static,
) -> Row {
    let ours = Rc::clone(ours);
    Row::new(name, Unit::Pixels, load, ends, move |watch, salt| {
        let images = two_images(salt);
        let frames = in_turn(&images, load.calls);
        run(watch, &frames)?;
        same(frames[load.calls - 1], &ours.image())
    })
}

fn get(scene: &Scene, load: Load) -> Result<Group> {
    let mut raw = Raw::start(scene.place, 1)?;
    let messages = wire::put_image(&image(PIXELS, 0));
    let (ends, mut answer) = (raw.ends(Wire::Each(4.0)), vec![0; 4 * PIXELS]);
    let raw = Row::new(RAW_GET, Unit::Pixels, load, ends, move |watch, _| {
        raw.fetch(watch, &messages, load.calls, &mut answer)
    });

    let client = Blocking::connect(&scene.frame)?;
    let ends = client.ends.clone();
    let blocking = getting("blocking get_image", load, ends, &scene.frame, move |watch, got| {
        watch.whole(|| {
            (0..load.calls).try_for_each(|_| {
                *got = client.display.get_image(0, 0, FRAME.width, FRAME.height).context("get_image")?;
                Ok(())
            })
        })
    });
    let client = Asynchronous::connect(&scene.frame, &scene.single, 1)?;
    let ends = client.ends.clone();
    let asynchronous = getting("async get_image", load, ends, &scene.frame, move |watch, got| {
        client.whole(watch, async |display| {
            for _ in 0..load.calls {
                *got = display.get_image(0, 0, FRAME.width, FRAME.height).await?;
            }
            Ok(())
        })
    });
    let mut rows = vec![raw.kind(Kind::Raw)];
    rows.extend([blocking, asynchronous].map(|row| {
        row.target(Target::TimesTheRate(0.8, RAW_GET)).target(Target::TimesTheRate(2.0, peers::X11_GET_FRAME))
    }));
    rows.push(scene.peers.get_frames(load));
    Ok(Group::new("get_image, 1280x720", rows))
}

/// Returns a row that gets images: some pixels change in each turn, and the last image has to contain the change.
fn getting(
    name: &str,
    load: Load,
    ends: Ends,
    ours: &Rc<Ours>,
    mut run: impl FnMut(&mut Watch<'_>, &mut Vec<u8>) -> Result<()> + 'static,
) -> Row {
    let ours = Rc::clone(ours);
    Row::new(name, Unit::Pixels, load, ends, move |watch, salt| {
        let framebuffer = ours.display.framebuffer();
        let mut damage = framebuffer.no_damage();
        for (i, y) in (0..FRAME.height).enumerate() {
            framebuffer.draw_pixel(y as i32, y as i32, color(salt, i), &mut damage);
        }
        let mut got = Vec::new();
        run(watch, &mut got)?;
        same(&ours.image(), &got)
    })
}
