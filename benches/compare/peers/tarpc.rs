//! tarpc, with bincode over TCP.

use crate::clients::Client;
use crate::drawings::painted;
use crate::failure::{Context, Result};
use crate::measure::{Ends, Load, Traffic, Unit, Watch, Wire};
use crate::ours::{Tapped, check};
use crate::placement::Place;
use crate::row::Row;
use crate::socket::prepared;
use crate::threads::{self, Side};
use crate::wire::SIZE;
use draw_client::{Color, Pixel};
use futures::{StreamExt, TryStreamExt, stream};
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use tarpc::client::{self, RpcError};
use tarpc::context;
use tarpc::server::{BaseChannel, Channel};
use tarpc::tokio_serde::formats::Bincode;
use tarpc::tokio_util::codec::{Framed, LengthDelimitedCodec};

/// Calls in flight at a time in the loop, which is also tarpc's own limit.
const IN_FLIGHT: usize = 1_000;

/// Number of calls before the measurement.
const WARM: usize = 20;

#[tarpc::service]
trait Drawing {
    /// Stores one pixel. Returns whether it lies inside.
    async fn draw_pixel(x: i32, y: i32, color: u32) -> bool;
}

/// The far end: the pixels that `draw_pixel` stores.
#[derive(Clone)]
struct Screen {
    pixels: Arc<[AtomicU32]>,
}

impl Screen {
    fn at(&self, x: i32, y: i32) -> Option<&AtomicU32> {
        let (x, y) = (u32::try_from(x).ok()?, u32::try_from(y).ok()?);
        let is_inside = x < SIZE.width && y < SIZE.height;
        is_inside.then(|| &self.pixels[(y * SIZE.width + x) as usize])
    }
}

impl Drawing for Screen {
    async fn draw_pixel(self, _: context::Context, x: i32, y: i32, color: u32) -> bool {
        self.at(x, y).map(|pixel| pixel.store(color, Relaxed)).is_some()
    }
}

/// A server in its own thread with a current-thread runtime, as ours.
pub(crate) struct Tarpc {
    address: SocketAddr,
    screen: Screen,
    thread: Side,
    traffic: Arc<Traffic>,
    client: Rc<Client>,
}

impl Tarpc {
    pub(super) fn start(place: Place) -> Result<Tarpc, String> {
        Tarpc::try_start(place).map_err(|failure| failure.to_string())
    }

    fn try_start(place: Place) -> Result<Tarpc> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listening for tarpc")?;
        let address = listener.local_addr().context("listening for tarpc")?;
        let pixels = (0..SIZE.width * SIZE.height).map(|_| AtomicU32::new(0)).collect();
        let (screen, traffic) = (Screen { pixels }, Arc::new(Traffic::default()));
        let (served, counted) = (screen.clone(), Arc::clone(&traffic));
        let thread = threads::start(
            "tarpc",
            move || place.enter_far(),
            move || {
                if let Err(error) = serve(listener, &served, &counted) {
                    eprintln!("compare: tarpc's server has ended: {error}");
                }
            },
        )?;
        let client = Rc::new(Client::current_thread()?);
        Ok(Tarpc { address, screen, thread: Side::of_threads(thread), traffic, client })
    }

    pub(super) fn call(&self, name: &str, pixels: &Rc<[Pixel]>) -> Result<Row> {
        self.row(name, Unit::Latency, pixels, async |client, watch, pixels| {
            for pixel in pixels.iter().take(WARM) {
                draw(client, pixel).await?;
            }
            watch.start(pixels.len());
            for pixel in pixels {
                draw(client, pixel).await?;
                watch.lap();
            }
            watch.stop();
            Ok(())
        })
    }

    pub(super) fn singles(&self, name: &str, pixels: &Rc<[Pixel]>) -> Result<Row> {
        self.row(name, Unit::Calls, pixels, async |client, watch, pixels| {
            for pixel in pixels.iter().take(WARM) {
                draw(client, pixel).await?;
            }
            watch.start(1);
            let calls = stream::iter(pixels).map(|pixel| draw(client, pixel)).buffer_unordered(IN_FLIGHT);
            calls.try_for_each(|_| std::future::ready(Ok(()))).await?;
            watch.lap();
            watch.stop();
            Ok(())
        })
    }

    fn row(
        &self,
        name: &str,
        unit: Unit,
        pixels: &Rc<[Pixel]>,
        run: impl AsyncFn(&DrawingClient, &mut Watch<'_>, &[Pixel]) -> Result<(), RpcError> + 'static,
    ) -> Result<Row> {
        let client = self.connect()?;
        let ends = Ends {
            near: self.client.side.clone(),
            far: self.thread.clone(),
            wire: Wire::Counted(Arc::clone(&self.traffic)),
        };
        let (runtime, screen, pixels) = (Rc::clone(&self.client), self.screen.clone(), Rc::clone(pixels));
        let load = Load { calls: pixels.len(), pixels: pixels.len() };
        Ok(Row::new(name, unit, load, ends, move |watch, salt| {
            let pixels = painted(&pixels, salt);
            runtime.runtime.block_on(run(&client, watch, &pixels)).context("calling by tarpc")?;
            check(SIZE, &pixels, |x, y| {
                screen.at(x.into(), y.into()).map(|pixel| Color::from_u32(pixel.load(Relaxed)))
            })
        }))
    }

    fn connect(&self) -> Result<DrawingClient> {
        let stream = prepared(std::net::TcpStream::connect(self.address))?;
        stream.set_nonblocking(true).context("connecting to tarpc")?;
        let _entered = self.client.runtime.enter();
        let stream = tokio::net::TcpStream::from_std(stream).context("connecting to tarpc")?;
        let framed = Framed::new(stream, LengthDelimitedCodec::new());
        let transport = tarpc::serde_transport::new(framed, Bincode::default());
        let mut config = client::Config::default();
        config.max_in_flight_requests = IN_FLIGHT;
        config.pending_request_buffer = IN_FLIGHT;
        Ok(DrawingClient::new(config, transport).spawn())
    }
}

fn draw(client: &DrawingClient, pixel: &Pixel) -> impl Future<Output = Result<bool, RpcError>> {
    client.draw_pixel(context::current(), pixel.x.into(), pixel.y.into(), pixel.color.to_u32())
}

fn serve(listener: TcpListener, screen: &Screen, traffic: &Arc<Traffic>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let framed =
                Framed::new(Tapped { stream, traffic: Arc::clone(traffic) }, LengthDelimitedCodec::new());
            let transport = tarpc::serde_transport::new(framed, Bincode::default());
            let calls = BaseChannel::with_defaults(transport).execute(screen.clone().serve());
            tokio::spawn(calls.for_each(async |call| drop(tokio::spawn(call))));
        }
    })
}
