//! The project's clients, as programs use them.

use crate::failure::{Context, Result};
use crate::measure::{Ends, Watch};
use crate::ours::Ours;
use crate::placement::Place;
use crate::threads::{self, Side};
use draw_client::{Display, Pixel, blocking};
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// Number of calls made one by one before the measurement.
const WARM: usize = 20;

/// Worker threads of the multi-thread runtime, besides the thread that draws.
pub(crate) const WORKERS: usize = 2;

/// The time that the workers have to start.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The synchronous client.
pub(crate) struct Blocking {
    pub(crate) display: blocking::Display,
    pub(crate) ends: Ends,
}

impl Blocking {
    pub(crate) fn connect(ours: &Ours) -> Result<Blocking> {
        let display = blocking::Display::connect(&ours.address.to_string()).context("connecting")?;
        Ok(Blocking { display, ends: ours.ends(Side::of_threads(threads::current())) })
    }

    /// Draws pixel by pixel, each drawn before the next.
    pub(crate) fn pixels(&self, watch: &mut Watch<'_>, pixels: &[Pixel]) -> Result<()> {
        pixels.iter().take(WARM).try_for_each(|pixel| self.draw(pixel))?;
        watch.each(pixels.iter(), |pixel| self.draw(pixel))
    }

    /// Draws all pixels in one call.
    pub(crate) fn batch(&self, watch: &mut Watch<'_>, pixels: &[Pixel]) -> Result<()> {
        pixels.iter().take(WARM).try_for_each(|pixel| self.draw(pixel))?;
        watch.whole(|| self.display.draw_pixels(pixels).context("draw_pixels"))
    }

    fn draw(&self, pixel: &Pixel) -> Result<()> {
        self.display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).context("draw_pixel")
    }
}

/// The asynchronous client of a program without a runtime.
pub(crate) struct Pipelined {
    display: blocking::Pipeline,
    pub(crate) ends: Ends,
}

impl Pipelined {
    pub(crate) fn connect(ours: &Ours) -> Result<Pipelined> {
        let connect = || blocking::Pipeline::connect(&ours.address.to_string());
        let (display, started) = threads::started_by(connect);
        let near = Side::of_threads(started.into_iter().chain(threads::current()));
        Ok(Pipelined { display: display.context("connecting")?, ends: ours.ends(near) })
    }

    /// Draws pixel by pixel without waiting: the simple loop.
    pub(crate) fn pixels(&self, watch: &mut Watch<'_>, pixels: &[Pixel]) -> Result<()> {
        self.display.sync().context("sync")?;
        watch.whole(|| {
            for pixel in pixels {
                let accepted = self.display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color);
                accepted.context("draw_pixel")?;
            }
            self.display.sync().context("sync")
        })
    }
}

/// A runtime, and all threads that run its tasks or block on it.
pub(crate) struct Client {
    pub(crate) runtime: Runtime,
    pub(crate) side: Side,
}

impl Client {
    /// Creates a runtime that runs in the thread that draws.
    pub(crate) fn current_thread() -> Result<Client> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("starting the client's runtime")?;
        Ok(Client { runtime, side: Side::of_threads(threads::current()) })
    }

    /// Creates a runtime as `#[tokio::main]` does, with its workers placed at the near end.
    pub(crate) fn multi_thread(place: Place) -> Result<Client> {
        let (outbox, started) = channel();
        let enter = move || {
            // The receiver may have given up.
            _ = outbox.send(place.enter_near().map(|()| threads::current()));
        };
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(WORKERS).on_thread_start(enter).enable_all().build();
        let runtime = runtime.context("starting the client's runtime")?;
        let mut ids = Vec::from_iter(threads::current());
        for _ in 0..WORKERS {
            ids.extend(started.recv_timeout(TIMEOUT).context("starting the runtime's workers")??);
        }
        Ok(Client { runtime, side: Side::of_threads(ids) })
    }

    /// Blocks on the work of an asynchronous client.
    pub(crate) fn draw<T>(&self, work: impl Future<Output = draw_client::Result<T>>) -> Result<T> {
        self.runtime.block_on(work).context("drawing asynchronously")
    }
}

/// The asynchronous client, with one or more connections.
pub(crate) struct Asynchronous {
    pub(crate) displays: Vec<Display>,
    pub(crate) ends: Ends,
    client: Rc<Client>,
}

impl Asynchronous {
    pub(crate) fn connect(ours: &Ours, client: &Rc<Client>, connections: usize) -> Result<Asynchronous> {
        Asynchronous::connect_through(ours, ours.address, client, connections)
    }

    /// Connects through a relay to the display.
    pub(crate) fn connect_through(
        ours: &Ours,
        address: SocketAddr,
        client: &Rc<Client>,
        connections: usize,
    ) -> Result<Asynchronous> {
        let connect = |_| client.draw(Display::connect(&address.to_string()));
        let displays = (0..connections).map(connect).collect::<Result<_>>()?;
        Ok(Asynchronous { displays, ends: ours.ends(client.side.clone()), client: Rc::clone(client) })
    }

    /// Draws pixel by pixel, each drawn before the next.
    pub(crate) fn two_awaits(&self, watch: &mut Watch<'_>, pixels: &[Pixel]) -> Result<()> {
        let draw = async |pixel: &Pixel| {
            let display = &self.displays[0];
            display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).await?.await
        };
        self.client.draw(async {
            for pixel in pixels.iter().take(WARM) {
                draw(pixel).await?;
            }
            watch.start(pixels.len());
            for pixel in pixels {
                draw(pixel).await?;
                watch.lap();
            }
            watch.stop();
            Ok(())
        })
    }

    /// Draws pixel by pixel without waiting: the simple loop.
    pub(crate) fn pixels(&self, watch: &mut Watch<'_>, pixels: &[Pixel]) -> Result<()> {
        self.whole(watch, async |display: &Display| {
            for pixel in pixels {
                display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).await?;
            }
            display.sync().await
        })
    }

    /// Draws all pixels in batches, `passes` times.
    pub(crate) fn batches(
        &self,
        watch: &mut Watch<'_>,
        pixels: &[Pixel],
        batch: usize,
        passes: usize,
    ) -> Result<()> {
        self.whole(watch, async |display: &Display| draw_batches(display, pixels, batch, passes).await)
    }

    /// Draws images that cover the display, one after the other.
    pub(crate) fn frames(&self, watch: &mut Watch<'_>, frames: &[&[u8]]) -> Result<()> {
        self.whole(watch, async |display: &Display| {
            let size = display.size();
            for frame in frames {
                display.put_image(0, 0, size.width, size.height, frame).await?;
            }
            display.sync().await
        })
    }

    /// Measures the work of the first connection.
    pub(crate) fn whole(
        &self,
        watch: &mut Watch<'_>,
        work: impl AsyncFnOnce(&Display) -> draw_client::Result<()>,
    ) -> Result<()> {
        let display = &self.displays[0];
        self.client.draw(async {
            display.sync().await?;
            watch.start(1);
            work(display).await?;
            watch.lap();
            watch.stop();
            Ok(())
        })
    }

    /// Shares the batches among the first `clients` connections, each with its own task.
    pub(crate) fn shared_batches(
        &self,
        watch: &mut Watch<'_>,
        pixels: &Arc<[Pixel]>,
        batch: usize,
        passes: usize,
        clients: usize,
    ) -> Result<()> {
        let share = (pixels.len() / batch).div_ceil(clients) * batch;
        self.client.draw(async {
            for display in &self.displays[..clients] {
                display.sync().await?;
            }
            watch.start(1);
            let mut tasks = JoinSet::new();
            for (i, display) in self.displays[..clients].iter().enumerate() {
                let (display, pixels) = (display.clone(), Arc::clone(pixels));
                tasks.spawn(async move {
                    let (first, end) = (i * share, (i + 1) * share);
                    let mine = &pixels[first.min(pixels.len())..end.min(pixels.len())];
                    draw_batches(&display, mine, batch, passes).await
                });
            }
            while let Some(done) = tasks.join_next().await {
                // A task that panicked has printed the panic; the check below finds its pixels missing.
                if let Ok(done) = done {
                    done?;
                }
            }
            watch.lap();
            watch.stop();
            Ok(())
        })
    }
}

async fn draw_batches(
    display: &Display,
    pixels: &[Pixel],
    batch: usize,
    passes: usize,
) -> draw_client::Result<()> {
    for _ in 0..passes {
        for pixels in pixels.chunks(batch) {
            display.draw_pixels(pixels).await?;
        }
    }
    display.sync().await
}
