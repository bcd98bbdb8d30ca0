//! The project's server, in its own thread with a current-thread runtime.

use crate::failure::{Context, Failure, Result};
use crate::measure::{Ends, Traffic, Wire};
use crate::placement::Place;
use crate::socket;
use crate::threads::{self, Side};
use display_server::{Server, ServerOptions};
use draw_client::{Color, Pixel, Size};
use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context as TaskContext, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

/// A display and its server.
pub(crate) struct Ours {
    pub(crate) display: display_server::Display,
    pub(crate) address: SocketAddr,
    thread: Side,
    traffic: Arc<Traffic>,
}

impl Ours {
    pub(crate) fn start(place: Place, size: Size) -> Result<Ours> {
        let display = display_server::Display::new(size, Color::BLACK).context("opening a display")?;
        let server = Server::new(display.clone(), ServerOptions::default());
        let listener = display_server::bind("127.0.0.1:0", false).context("opening a display")?;
        socket::unpaced(&listener).context("opening a display")?;
        let address = listener.local_addr().context("opening a display")?;
        let traffic = Arc::new(Traffic::default());
        let counted = Arc::clone(&traffic);
        let thread = threads::start(
            "display",
            move || place.enter_far(),
            move || {
                if let Err(error) = serve(&server, listener, &counted) {
                    eprintln!("compare: the display has ended: {error}");
                }
            },
        )?;
        Ok(Ours { display, address, thread: Side::of_threads(thread), traffic })
    }

    /// Returns the server and these clients as the ends of a row.
    pub(crate) fn ends(&self, near: Side) -> Ends {
        Ends { near, far: self.thread.clone(), wire: Wire::Counted(Arc::clone(&self.traffic)) }
    }

    /// Checks that the display shows `pixels`, drawn in this order.
    pub(crate) fn check(&self, pixels: &[Pixel]) -> Result<()> {
        let framebuffer = self.display.framebuffer();
        check(self.display.size(), pixels, |x, y| framebuffer.get_pixel(x.into(), y.into()))
    }

    /// Checks that the display shows `pixels`, drawn in any order.
    pub(crate) fn check_any_order(&self, pixels: &[Pixel]) -> Result<()> {
        let (framebuffer, drawn) = (self.display.framebuffer(), Drawn::new(pixels));
        let is_there = |pixel: &&Pixel| {
            let shown = framebuffer.get_pixel(pixel.x.into(), pixel.y.into());
            shown.is_some_and(|shown| drawn.has(pixel.x, pixel.y, shown))
        };
        pixels.iter().find(|pixel| !is_there(pixel)).map_or(Ok(()), |Pixel { x, y, .. }| {
            Err(Failure::new(format!("none of the colours drawn at ({x}, {y}) is there")))
        })
    }

    /// Returns the whole image that the display shows.
    pub(crate) fn image(&self) -> Vec<u8> {
        let framebuffer = self.display.framebuffer();
        let Size { width, height } = self.display.size();
        let mut bytes = Vec::new();
        framebuffer.read(framebuffer.size().clip(0, 0, width, height), &mut bytes);
        bytes
    }

    /// Checks that no request failed.
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

/// Checks that `shown` is the result of drawing `pixels` in this order.
pub(crate) fn check(size: Size, pixels: &[Pixel], shown: impl Fn(u16, u16) -> Option<Color>) -> Result<()> {
    let place = |pixel: &Pixel| usize::from(pixel.y) * size.width as usize + usize::from(pixel.x);
    let mut expected = vec![None; size.width as usize * size.height as usize];
    for pixel in pixels {
        expected[place(pixel)] = Some(pixel.color);
    }
    let wrong = pixels.iter().find(|pixel| shown(pixel.x, pixel.y) != expected[place(pixel)]);
    wrong.map_or(Ok(()), |pixel| {
        let (wanted, shown) = (expected[place(pixel)], shown(pixel.x, pixel.y));
        let Pixel { x, y, .. } = pixel;
        let says =
            format!("({x}, {y}) was drawn {wanted:?} and is {shown:?}, so no figure is worth printing");
        Err(Failure::new(says))
    })
}

/// Drawn pixels for lookup: where several clients draw the same place, any of its colours may be last.
pub(crate) struct Drawn(Vec<(u16, u16, u32)>);

impl Drawn {
    pub(crate) fn new(pixels: &[Pixel]) -> Drawn {
        let mut drawn: Vec<_> = pixels.iter().map(|pixel| (pixel.x, pixel.y, pixel.color.to_u32())).collect();
        drawn.sort_unstable();
        Drawn(drawn)
    }

    pub(crate) fn has(&self, x: u16, y: u16, color: Color) -> bool {
        self.0.binary_search(&(x, y, color.to_u32())).is_ok()
    }
}

/// Serves as [`Server::run`] does, and counts the bytes.
fn serve(server: &Server, listener: TcpListener, traffic: &Arc<Traffic>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let (server, traffic) = (server.clone(), Arc::clone(traffic));
            tokio::spawn(async move {
                server.serve(Tapped { stream, traffic }, &peer.to_string(), std::future::pending()).await;
            });
        }
    })
}

/// A connection whose bytes are counted.
pub(crate) struct Tapped {
    pub(crate) stream: TcpStream,
    pub(crate) traffic: Arc<Traffic>,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        self.traffic.read.fetch_add((buffer.filled().len() - before) as u64, Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl Tapped {
    fn written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let written = ready!(written)?;
        self.traffic.written.fetch_add(written as u64, Relaxed);
        Poll::Ready(Ok(written))
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
