//! Latency of a client while another streams at full rate.

use crate::clients::{Blocking, Client};
use crate::drawings::{BATCH, display, painted};
use crate::failure::{Context, Failure, Result};
use crate::measure::{Ends, Load, Unit, Watch, Wire};
use crate::ours::Ours;
use crate::placement::Place;
use crate::row::{Group, Row};
use crate::scene::Scene;
use crate::target::Target;
use crate::threads;
use draw_client::{Display, Pixel, Position};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

const IDLE: &str = "get_mouse, nothing else";

/// The largest latency in microseconds that the other client may add.
const MOST: f64 = 1_000.0;

/// Pause between two questions, so that the other client streams again before the next: schedulers favour two ends that
/// only wait for each other.
const PAUSE: Duration = Duration::from_millis(1);

/// The time that the other client has to start streaming, or to end.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Number of batches that it has drawn before the first question.
const UNDER_WAY: usize = 100;

pub(super) fn group(scene: &Scene) -> Result<Group> {
    let questions = scene.scale.questions;
    let load = Load { calls: questions, pixels: questions };
    let row = |name, streams: bool| -> Result<Row> {
        let client = Blocking::connect(&scene.ours)?;
        let (place, ours, pixels) = (scene.place, Rc::clone(&scene.ours), display(BATCH));
        // The bytes that the other client sends do not belong to the questions.
        let ends = Ends { wire: Wire::Unknown, ..client.ends.clone() };
        Ok(Row::new(name, Unit::Latency, load, ends, move |watch, salt| {
            let streamer = streams.then(|| Streamer::start(place, &ours, painted(&pixels, salt)));
            let streamer = streamer.transpose()?;
            ask(watch, &client, &ours, questions, salt)?;
            streamer.map_or(Ok(()), |streamer| streamer.stop(&ours))
        }))
    };
    let busy = row("get_mouse beside a stream of batches", true)?.target(Target::Above(MOST, IDLE));
    Ok(Group::new("get_mouse, blocking", vec![row(IDLE, false)?, busy]).every(2))
}

/// Asks for the pointer's position, which differs each time.
fn ask(watch: &mut Watch<'_>, client: &Blocking, ours: &Ours, questions: usize, salt: u32) -> Result<()> {
    watch.start(questions);
    for i in 0..questions {
        let there = Some(Position { x: salt as i32, y: i as i32 });
        ours.display.set_mouse(there);
        watch.pause(PAUSE);
        let answer = client.display.get_mouse().context("get_mouse")?;
        watch.lap();
        if answer != there {
            return Err(Failure::new(format!("the pointer is at {there:?}, not {answer:?}")));
        }
    }
    watch.stop();
    Ok(())
}

/// The other client: a thread at the near end with its own runtime.
struct Streamer {
    stop: Arc<AtomicBool>,
    ended: Receiver<Result<()>>,
    pixels: Arc<[Pixel]>,
    executed: u64,
}

impl Streamer {
    /// Starts the client. Returns when it is streaming.
    fn start(place: Place, ours: &Ours, pixels: Vec<Pixel>) -> Result<Streamer> {
        let (stop, pixels) = (Arc::new(AtomicBool::new(false)), Arc::<[Pixel]>::from(pixels));
        let (outbox, ended) = channel();
        let (is_stopped, drawn, address) = (Arc::clone(&stop), Arc::clone(&pixels), ours.address);
        let body = move || {
            // The receiver may have given up.
            _ = outbox.send(stream(&address.to_string(), &drawn, &is_stopped));
        };
        let executed = ours.display.stats().executed;
        threads::start("streamer", move || place.enter_near(), body)?;
        let streamer = Streamer { stop, ended, pixels, executed };
        streamer.wait(ours, UNDER_WAY)?;
        Ok(streamer)
    }

    /// Waits until the display has executed this many more calls than before.
    fn wait(&self, ours: &Ours, calls: usize) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        while ours.display.stats().executed < self.executed + calls as u64 {
            if Instant::now() > deadline {
                return Err(Failure::new("the client that is to stream does not get under way"));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Stops the client. Fails if it did not stream all the time, or did not cover the whole display at least once.
    fn stop(self, ours: &Ours) -> Result<()> {
        if let Ok(ended) = self.ended.try_recv() {
            ended?;
            return Err(Failure::new("the client that streams has ended too early"));
        }
        self.stop.store(true, Relaxed);
        self.ended.recv_timeout(TIMEOUT).context("the client that streams does not end")??;
        ours.check(&self.pixels)
    }
}

fn stream(address: &str, pixels: &[Pixel], is_stopped: &AtomicBool) -> Result<()> {
    let client = Client::current_thread()?;
    client.draw(async {
        let display = Display::connect(address).await?;
        while !is_stopped.load(Relaxed) {
            for batch in pixels.chunks(BATCH) {
                display.draw_pixels(batch).await?;
            }
        }
        display.close().await
    })
}
