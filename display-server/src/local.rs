//! A display in the caller's own process.

use crate::display::Display;
use crate::error::Error;
use crate::listen;
use crate::server::{Server, ServerOptions};
use draw_protocol::limits::PORT;
use draw_protocol::{Color, Size};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use tokio::sync::watch;

/// Threads that execute requests. Two connections that draw at the same time use both; more cores would mostly wait
/// for memory.
const WORKERS: usize = 2;

/// What display [`with_display`] opens.
#[derive(Debug, Clone)]
pub struct Options {
    /// Width and height: 640x480 by default.
    pub size: Size,
    /// The colour of every pixel at the start: black by default.
    pub background: Color,
    /// Where to listen, as [`bind`](crate::bind) takes it: 127.0.0.1:3729 by default.
    pub listen: String,
    /// Whether any free port will do if that one is taken: not by default.
    pub or_any_port: bool,
    /// What clients are allowed.
    pub server: ServerOptions,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            size: Size { width: 640, height: 480 },
            background: Color::BLACK,
            listen: format!("127.0.0.1:{PORT}"),
            or_any_port: false,
            server: ServerOptions::default(),
        }
    }
}

/// A display that [`with_display`] has opened. Clones are the same.
#[derive(Debug, Clone)]
pub struct Handle {
    display: Display,
    address: SocketAddr,
    stop: Arc<watch::Sender<bool>>,
}

impl Handle {
    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its pixels and its pointer.
    pub fn display(&self) -> &Display {
        &self.display
    }

    /// Ends the server: clients are told and go, within two seconds. The body goes on, and so do the pixels.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// Opens a display in this process, runs `body` beside it, closes it, and returns what `body` returned.
///
/// The display serves clients from threads of its own, and `body` has one of its own too, so it may block, or bring a
/// runtime. The calling thread waits. Call this from the main thread: that is where a system wants its windows.
///
/// ```
/// use display_server::{Options, with_display};
/// use std::io::Write;
/// use std::net::TcpStream;
///
/// let options = Options { listen: "127.0.0.1:0".into(), ..Options::default() };
/// let size = with_display(options, |handle| {
///     let client = TcpStream::connect(handle.address()).expect("a display that listens");
///     // [2, "clear", [0xff0000ff]]
///     (&client).write_all(b"\x93\x02\xa5clear\x91\xce\xff\x00\x00\xff").expect("a server that reads");
///     handle.display().size()
/// })?;
/// assert_eq!((size.width, size.height), (640, 480));
/// # Ok::<(), display_server::Error>(())
/// ```
///
/// # Errors
/// Whatever keeps the display from opening; then `body` is not called.
///
/// # Panics
/// If `body` does, with the same payload, when the display is closed.
pub fn with_display<T, F>(options: Options, body: F) -> Result<T, Error>
where
    F: FnOnce(&Handle) -> T + Send,
    T: Send,
{
    let display = Display::new(options.size, options.background)?;
    let listener = listen::bind(&options.listen, options.or_any_port)?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let (stop, stopped) = watch::channel(false);
    let handle = Handle { display: display.clone(), address, stop: Arc::new(stop) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("display")
        .enable_all()
        .build()
        .map_err(Error::Start)?;
    let server = Server::new(display, options.server);

    thread::scope(|scope| {
        // The runtime is entered and dropped on a thread of its own, since the calling one may belong to another.
        let serving = thread::Builder::new()
            .name("display-main".into())
            .spawn_scoped(scope, move || serve(runtime, server, listener, stopped))
            .map_err(Error::Start)?;
        let body = thread::Builder::new().name("body".into()).spawn_scoped(scope, || body(&handle));
        // The calling thread is free here: it is where the events of a window will be handled until the body ends.
        let outcome = body.map(thread::ScopedJoinHandle::join);
        handle.stop();
        let served = serving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match outcome.map_err(Error::Start)? {
            Ok(value) => served.map(|()| value).map_err(Error::Start),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn serve(
    runtime: tokio::runtime::Runtime,
    server: Server,
    listener: TcpListener,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let served = runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        server.run(listener, async { _ = stopped.wait_for(|&is_stopped| is_stopped).await }).await
    });
    // A connection that was cut may still be in the middle of a long request.
    runtime.shutdown_background();
    served
}
