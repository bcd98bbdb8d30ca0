//! What is measured: groups of rows, each beside a raw connection that does the same work.

use crate::measure::Unit;
use crate::ours::{Asynchronous, Blocking, Ours};
use crate::placement::Place;
use crate::raw::Raw;
use crate::rows::{Row, Run, Scale, color};
use crate::wire::{self, Messages, SIZE};
use crate::{Context, Result};
use draw_client::Pixel;
use std::rc::Rc;
use tokio::runtime::{Builder, Runtime};

/// Pixels of a batch.
pub(crate) const BATCH: usize = 1_000;

/// Calls after which the size of a message is taken. All numbers from 256 to 65,535 are as wide as the early one, and that
/// is what a row makes that waits for each call; the others soon go beyond.
const EARLY: u32 = 1_000;
const LATE: u32 = 70_000;

/// Columns and rows of 256 and more, which all have the same width on the wire.
const WIDE: u16 = 256;

/// All groups of one placement. The first row of each is the raw one.
pub(crate) fn all(place: Place, scale: &Scale, ours: &Rc<Ours>) -> Result<Vec<Vec<Row>>> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = Rc::new(runtime.context("starting the client's runtime")?);
    let new = New { place, ours: Rc::clone(ours), runtime };
    let circle = circle();
    Ok(vec![
        new.one_by_one(&square(scale.calls))?,
        new.loops(&square(scale.singles))?,
        new.batches("neighbouring", &display(), scale.passes)?,
        new.batches("random", &scattered(), scale.passes)?,
        new.circle_synchronous(&circle)?,
        new.circle_asynchronous(&circle)?,
        new.circle_as_batch(&circle)?,
    ])
}

struct New {
    place: Place,
    ours: Rc<Ours>,
    runtime: Rc<Runtime>,
}

impl New {
    fn one_by_one(&self, pixels: &Rc<[Pixel]>) -> Result<Vec<Row>> {
        let (blocking, waiting) = (self.blocking()?, self.asynchronous()?);
        let unit = Unit::Latency;
        Ok(vec![
            self.ping("raw ping-pong", unit, pixels, EARLY)?,
            self.row("blocking draw_pixel", unit, pixels, move |pixels| blocking.pixels(pixels)),
            self.row("async draw_pixel, both awaits", unit, pixels, move |pixels| waiting.two_awaits(pixels)),
        ])
    }

    fn loops(&self, pixels: &Rc<[Pixel]>) -> Result<Vec<Row>> {
        let client = self.asynchronous()?;
        Ok(vec![
            self.stream("raw stream", Unit::Calls, pixels)?,
            self.row("async draw_pixel in a loop, sync", Unit::Calls, pixels, move |pixels| {
                client.pixels(pixels)
            }),
        ])
    }

    fn batches(&self, what: &str, pixels: &Rc<[Pixel]>, passes: usize) -> Result<Vec<Row>> {
        let client = self.asynchronous()?;
        let name = format!("async draw_pixels, {BATCH} {what}");
        let run = move |pixels: &[Pixel]| client.batches(pixels, BATCH, passes);
        let ours = Row { passes, ..self.row(&name, Unit::Pixels, pixels, run) };
        Ok(vec![
            self.store(&format!("raw stream + store, {what}"), Unit::Pixels, pixels, BATCH, passes)?,
            ours,
        ])
    }

    fn circle_synchronous(&self, pixels: &Rc<[Pixel]>) -> Result<Vec<Row>> {
        let client = self.blocking()?;
        Ok(vec![
            self.ping("circle: raw ping-pong", Unit::Total, pixels, LATE)?,
            self.row("circle: blocking draw_pixel", Unit::Total, pixels, move |pixels| client.pixels(pixels)),
        ])
    }

    fn circle_asynchronous(&self, pixels: &Rc<[Pixel]>) -> Result<Vec<Row>> {
        let client = self.asynchronous()?;
        Ok(vec![
            self.stream("circle: raw stream", Unit::Total, pixels)?,
            self.row("circle: async draw_pixel, sync", Unit::Total, pixels, move |pixels| {
                client.pixels(pixels)
            }),
        ])
    }

    fn circle_as_batch(&self, pixels: &Rc<[Pixel]>) -> Result<Vec<Row>> {
        let client = self.blocking()?;
        Ok(vec![
            self.store("circle: raw message + store", Unit::Total, pixels, pixels.len(), 1)?,
            self.row("circle: blocking draw_pixels", Unit::Total, pixels, move |pixels| client.batch(pixels)),
        ])
    }

    /// Messages of the size of a `draw_pixel`, each acknowledged before the next.
    fn ping(&self, name: &str, unit: Unit, pixels: &Rc<[Pixel]>, before: u32) -> Result<Row> {
        let messages = wire::draw_pixel(pixels[0], before)?;
        self.raw(name, unit, pixels, messages, |raw, messages, pixels| raw.ping(messages, pixels.len()))
    }

    /// The same messages without a pause, acknowledged together; the far end only counts them.
    fn stream(&self, name: &str, unit: Unit, pixels: &Rc<[Pixel]>) -> Result<Row> {
        let messages = wire::draw_pixel(pixels[0], LATE)?;
        self.raw(name, unit, pixels, messages, |raw, messages, pixels| raw.stream(messages, pixels.len()))
    }

    /// The very messages of batches without a pause; the far end stores their pixels.
    fn store(
        &self,
        name: &str,
        unit: Unit,
        pixels: &Rc<[Pixel]>,
        batch: usize,
        passes: usize,
    ) -> Result<Row> {
        let messages = wire::draw_pixels(pixels, batch)?;
        let row = self.raw(name, unit, pixels, messages, move |raw, messages, pixels| {
            raw.stream(messages, passes * pixels.len() / batch)
        })?;
        Ok(Row { passes, ..row })
    }

    fn raw(
        &self,
        name: &str,
        unit: Unit,
        pixels: &Rc<[Pixel]>,
        messages: Messages,
        run: impl Fn(&mut Raw, &Messages, &[Pixel]) -> Result<crate::measure::Timed> + 'static,
    ) -> Result<Row> {
        let name = format!("{name}, {} B / {} B", messages.size, messages.acknowledgement);
        let mut raw = Raw::start(self.place)?;
        let row = self.row(&name, unit, pixels, move |pixels| run(&mut raw, &messages, pixels));
        Ok(Row { shows: None, ..row })
    }

    fn row(
        &self,
        name: &str,
        unit: Unit,
        pixels: &Rc<[Pixel]>,
        run: impl FnMut(&[Pixel]) -> Result<crate::measure::Timed> + 'static,
    ) -> Row {
        let run: Run = Box::new(run);
        let shows = Some(Rc::clone(&self.ours));
        Row {
            name: name.into(),
            unit,
            sections: Vec::new(),
            pixels: Rc::clone(pixels),
            passes: 1,
            run,
            shows,
        }
    }

    fn blocking(&self) -> Result<Blocking> {
        Blocking::connect(&self.ours)
    }

    fn asynchronous(&self) -> Result<Asynchronous> {
        Asynchronous::connect(&self.ours, &self.runtime)
    }
}

/// `count` pixels, row by row, over and over.
fn square(count: usize) -> Rc<[Pixel]> {
    let (columns, rows) = (256, SIZE.height as usize - usize::from(WIDE));
    let at = |i: usize| (WIDE + (i % columns) as u16, WIDE + (i / columns % rows) as u16);
    (0..count).map(|i| pixel(at(i), i)).collect()
}

/// The whole display, row by row, as far as full batches go.
fn display() -> Rc<[Pixel]> {
    let all = (0..SIZE.height).flat_map(|y| (0..SIZE.width).map(move |x| (x as u16, y as u16)));
    let pixels: Vec<_> = all.enumerate().map(|(i, at)| pixel(at, i)).collect();
    pixels[..pixels.len() / BATCH * BATCH].into()
}

/// As many pixels, anywhere on the display; the same in every run.
fn scattered() -> Rc<[Pixel]> {
    let mut state = 1_u64;
    // An ordinary linear congruential generator (Knuth's MMIX): its high bits are what is random.
    let mut random = move |below: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((state >> 32) * u64::from(below)) >> 32) as u16
    };
    display().iter().enumerate().map(|(i, _)| pixel((random(SIZE.width), random(SIZE.height)), i)).collect()
}

/// The lecture's circle.
fn circle() -> Rc<[Pixel]> {
    let center = (400, 360);
    let inside = |(x, y)| Some((u16::try_from(x).ok()?, u16::try_from(y).ok()?));
    draw_examples::disc(100, center).filter_map(inside).enumerate().map(|(i, at)| pixel(at, i)).collect()
}

fn pixel((x, y): (u16, u16), i: usize) -> Pixel {
    Pixel::new(x, y, color(0, i))
}
