//! Several clients that draw at once, and one that asks questions meanwhile.

use super::{BATCH, BATCHES, Outcome, end, micros, open, remove, serve};
use benches::pictures;
use draw_client::blocking;
use draw_protocol::Pixel;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Instant;
use tokio::runtime::Runtime;

/// Draws the batches of a run, divided among the clients, each of which waits for all of its own. Returns the MiB/s of
/// pixels, and the microseconds of each `get_mouse` of a client that asks meanwhile: such a call does not need the
/// journal.
pub(crate) fn draw(runtime: &Runtime, directory: Option<&Path>, clients: usize) -> Outcome<(f64, Vec<f64>)> {
    let journal = directory.map(open).transpose()?;
    let (address, task) = serve(runtime, journal.as_ref())?;
    let pixels = pictures::square(BATCH);
    let asking = blocking::Display::connect(&address)?;
    let is_done = AtomicBool::new(false);
    let began = Instant::now();
    let (rate, waits) = thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let mut waits = Vec::new();
            while !is_done.load(Relaxed) {
                let asked = Instant::now();
                asking.get_mouse()?;
                waits.push(micros(asked.elapsed()));
            }
            Ok::<_, draw_client::Error>(waits)
        });
        let drawing: Vec<_> =
            (0..clients).map(|_| scope.spawn(|| one(&address, &pixels, BATCHES / clients))).collect();
        let drawn = drawing.into_iter().map(|drawing| drawing.join().expect("no panic"));
        let drawn: Result<Vec<()>, String> = drawn.collect();
        let bytes = BATCHES / clients * clients * BATCH * Pixel::SIZE;
        let rate = bytes as f64 / f64::from(1 << 20) / began.elapsed().as_secs_f64();
        is_done.store(true, Relaxed);
        let waits = waits.join().expect("no panic").map_err(|error| error.to_string());
        drawn.and_then(|_| Ok((rate, waits?)))
    })?;
    end(runtime, task)?;
    if let (Some(journal), Some(directory)) = (journal, directory) {
        remove(&journal, directory)?;
    }
    Ok((rate, waits))
}

fn one(address: &str, pixels: &[Pixel], batches: usize) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(async {
        let display = draw_client::Display::connect(address).await.map_err(|error| error.to_string())?;
        for _ in 0..batches {
            display.draw_pixels(pixels).await.map_err(|error| error.to_string())?;
        }
        display.sync().await.map_err(|error| error.to_string())?;
        display.close().await.map_err(|error| error.to_string())
    })
}
