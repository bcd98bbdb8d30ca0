//! Our server, and our clients as programs use them.

use crate::measure::{Clock, Timed, Used, each};
use crate::placement::{Place, processor_time};
use crate::{Context, Failure, Result};
use benches::pictures::SIZE;
use display_server::{Server, ServerOptions};
use draw_client::{Color, Display, Pixel, blocking};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Calls that are waited for one by one before the time is taken.
const WARM: usize = 20;

/// How long the server has to say how much processor time it took.
const TIMEOUT: Duration = Duration::from_secs(10);

type Query = mpsc::Sender<Option<Duration>>;

/// A display with a server of its own thread, which is a current-thread runtime.
pub(crate) struct Ours {
    display: display_server::Display,
    address: SocketAddr,
    queries: UnboundedSender<Query>,
}

impl Ours {
    pub(crate) fn start(place: Place) -> Result<Ours> {
        let display = display_server::Display::new(SIZE, Color::BLACK).context("opening a display")?;
        let server = Server::new(display.clone(), ServerOptions::default());
        let listener = display_server::bind("127.0.0.1:0", false).context("opening a display")?;
        let address = listener.local_addr().context("opening a display")?;
        let (queries, inbox) = unbounded_channel();
        let (outbox, entered) = mpsc::channel();
        thread::Builder::new()
            .name("display".into())
            .spawn(move || {
                let is_entered = outbox.send(place.enter_far());
                if is_entered.is_ok()
                    && let Err(error) = serve(&server, listener, inbox)
                {
                    eprintln!("compare: the display has ended: {error}");
                }
            })
            .context("starting the thread of a display")?;
        entered.recv().context("the display has ended")??;
        Ok(Ours { display, address, queries })
    }

    /// The processor time that the server's thread has taken so far.
    fn processor_time(&self) -> Result<Option<Duration>> {
        let (query, answer) = mpsc::channel();
        self.queries.send(query).map_err(|_| Failure::new("the display has ended"))?;
        answer.recv_timeout(TIMEOUT).context("the display does not answer")
    }

    /// That the display shows all of `pixels`.
    pub(crate) fn check(&self, pixels: &[Pixel]) -> Result<()> {
        let framebuffer = self.display.framebuffer();
        let shown = |pixel: &Pixel| framebuffer.get_pixel(pixel.x.into(), pixel.y.into());
        match pixels.iter().find(|pixel| shown(pixel) != Some(pixel.color)) {
            None => Ok(()),
            Some(&pixel) => Err(missing(pixel, shown(&pixel))),
        }
    }

    /// That nothing it was asked for failed.
    pub(crate) fn check_faults(&self) -> Result<()> {
        let stats = self.display.stats();
        match stats.faults + stats.unheard_faults + stats.closed_for_fault {
            0 => Ok(()),
            count => {
                Err(Failure::new(format!("the display found fault with {count} calls that are in order")))
            }
        }
    }
}

fn missing(pixel: Pixel, shown: Option<Color>) -> Failure {
    let Pixel { x, y, color } = pixel;
    Failure::new(format!("({x}, {y}) was drawn {color} and is {shown:?}, so no figure is worth printing"))
}

/// Until nobody asks any more.
fn serve(
    server: &Server,
    listener: std::net::TcpListener,
    mut inbox: UnboundedReceiver<Query>,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let asked = async {
            while let Some(query) = inbox.recv().await {
                // Whoever asked may have given up.
                _ = query.send(processor_time());
            }
        };
        server.run(listener, asked).await
    })
}

/// The synchronous client.
pub(crate) struct Blocking {
    ours: Rc<Ours>,
    display: blocking::Display,
}

impl Blocking {
    pub(crate) fn connect(ours: &Rc<Ours>) -> Result<Blocking> {
        let display = blocking::Display::connect(&ours.address.to_string()).context("connecting")?;
        Ok(Blocking { ours: Rc::clone(ours), display })
    }

    /// Pixel by pixel, each drawn before the next.
    pub(crate) fn pixels(&self, pixels: &[Pixel]) -> Result<Timed> {
        self.timed(pixels, |display| each(pixels.iter(), |pixel| draw(display, pixel)))
    }

    /// All in one call.
    pub(crate) fn batch(&self, pixels: &[Pixel]) -> Result<Timed> {
        self.timed(pixels, |display| {
            each([pixels].iter(), |pixels| display.draw_pixels(pixels).context("draw_pixels"))
        })
    }

    fn timed(
        &self,
        pixels: &[Pixel],
        run: impl FnOnce(&blocking::Display) -> Result<(Vec<f64>, Option<Duration>)>,
    ) -> Result<Timed> {
        for pixel in pixels.iter().cycle().take(WARM) {
            draw(&self.display, pixel)?;
        }
        let before = self.ours.processor_time()?;
        // The question has disturbed the server; this brings both ends back to where they wait for each other.
        self.display.get_size().context("get_size")?;
        let (laps, near) = run(&self.display)?;
        let far = difference(self.ours.processor_time()?, before);
        if let Some(&last) = pixels.last() {
            let shown = self.display.get_pixel(last.x.into(), last.y.into()).context("get_pixel")?;
            if shown != last.color {
                return Err(missing(last, Some(shown)));
            }
        }
        Ok((laps, Used { near, far }))
    }
}

fn draw(display: &blocking::Display, pixel: &Pixel) -> Result<()> {
    display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).context("draw_pixel")
}

/// The asynchronous client, on a current-thread runtime in the thread that draws.
pub(crate) struct Asynchronous {
    ours: Rc<Ours>,
    runtime: Rc<Runtime>,
    display: Display,
}

impl Asynchronous {
    pub(crate) fn connect(ours: &Rc<Ours>, runtime: &Rc<Runtime>) -> Result<Asynchronous> {
        let address = ours.address.to_string();
        let display = runtime.block_on(Display::connect(&address)).context("connecting")?;
        Ok(Asynchronous { ours: Rc::clone(ours), runtime: Rc::clone(runtime), display })
    }

    /// Pixel by pixel, each drawn before the next.
    pub(crate) fn two_awaits(&self, pixels: &[Pixel]) -> Result<Timed> {
        self.timed(pixels, pixels.len(), async |clock| {
            for pixel in pixels {
                self.display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).await?.await?;
                clock.lap();
            }
            Ok(())
        })
    }

    /// The simple loop.
    pub(crate) fn pixels(&self, pixels: &[Pixel]) -> Result<Timed> {
        self.timed(pixels, 1, async |clock| {
            for pixel in pixels {
                self.display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).await?;
            }
            self.display.sync().await?;
            clock.lap();
            Ok(())
        })
    }

    /// The same with batches, all of them as often as `passes` says.
    pub(crate) fn batches(&self, pixels: &[Pixel], batch: usize, passes: usize) -> Result<Timed> {
        self.timed(pixels, 1, async |clock| {
            for _ in 0..passes {
                for pixels in pixels.chunks(batch) {
                    self.display.draw_pixels(pixels).await?;
                }
            }
            self.display.sync().await?;
            clock.lap();
            Ok(())
        })
    }

    fn timed(
        &self,
        pixels: &[Pixel],
        laps: usize,
        run: impl AsyncFnOnce(&mut Clock) -> draw_client::Result<()>,
    ) -> Result<Timed> {
        self.block_on(async {
            for pixel in pixels.iter().cycle().take(WARM) {
                self.display.draw_pixel(pixel.x.into(), pixel.y.into(), pixel.color).await?.await?;
            }
            Ok(())
        })?;
        let before = self.ours.processor_time()?;
        let (laps, near) = self.block_on(async {
            // The question has disturbed the server; this brings both ends back to where they wait for each other.
            self.display.get_size().await?;
            let mut clock = Clock::start(laps);
            run(&mut clock).await?;
            Ok(clock.stop())
        })?;
        let far = difference(self.ours.processor_time()?, before);
        if let Some(&last) = pixels.last() {
            let shown = self.block_on(self.display.get_pixel(last.x.into(), last.y.into()))?;
            if shown != last.color {
                return Err(missing(last, Some(shown)));
            }
        }
        Ok((laps, Used { near, far }))
    }

    fn block_on<T>(&self, future: impl Future<Output = draw_client::Result<T>>) -> Result<T> {
        self.runtime.block_on(future).context("drawing asynchronously")
    }
}

fn difference(after: Option<Duration>, before: Option<Duration>) -> Option<Duration> {
    Some(after?.saturating_sub(before?))
}
