//! Opens a display in the caller's process.

use crate::canvas::display::Display;
use crate::error::Error;
use crate::server::{Server, ServerOptions};
use crate::transport::listen;
use crate::window::{End, Event, PATIENCE, Present, Windows};
use draw_protocol::limits::PORT;
use draw_protocol::{Color, DisplayName, Size};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;
use tokio::sync::watch;

/// Threads that execute requests. Two connections that draw at the same time use both; more threads would mostly wait
/// for memory.
const WORKERS: usize = 2;

/// The options of [`with_display`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Width and height: 640x480 by default.
    pub size: Size,
    /// Further displays, which clients select by name: none by default. The first display is named `main`.
    pub displays: Vec<(DisplayName, Size)>,
    /// The colour of every pixel at the start: black by default.
    pub background: Color,
    /// The address to listen on, in the format of [`bind`](crate::bind): 127.0.0.1:3729 by default.
    pub listen: String,
    /// Whether to use any free port if that one is taken: false by default.
    pub or_any_port: bool,
    /// How the display is shown: in a window if there is a screen, by default.
    pub present: Present,
    /// The limits for clients.
    pub server: ServerOptions,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            size: Size { width: 640, height: 480 },
            displays: Vec::new(),
            background: Color::BLACK,
            listen: format!("127.0.0.1:{PORT}"),
            or_any_port: false,
            present: Present::default(),
            server: ServerOptions::default(),
        }
    }
}

/// A display that [`with_display`] has opened. Clones are the same display.
#[derive(Debug, Clone)]
pub struct Handle {
    display: Display,
    server: Server,
    address: SocketAddr,
    stop: Arc<watch::Sender<bool>>,
    watched: Arc<Watched>,
    window: Option<Windows>,
}

/// The state of the window, for threads that wait for it.
#[derive(Debug)]
struct Watched {
    /// Locked only to read and to set the state.
    state: Mutex<State>,
    changed: Condvar,
    /// When waiting for a window that is still opening ends.
    hopeless: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is not known yet whether there will be a window.
    Opening,
    Open,
    Closed,
    /// There is no window, or it has failed.
    Missing,
}

impl Watched {
    fn new(state: State) -> Watched {
        Watched { state: Mutex::new(state), changed: Condvar::new(), hopeless: Instant::now() + PATIENCE }
    }

    /// Sets the state, unless the window was closed.
    fn set(&self, state: State) {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != State::Closed {
            *now = state;
        }
        drop(now);
        self.changed.notify_all();
    }

    /// Records that the window was closed, if there is one.
    fn close(&self) {
        if *self.state.lock().unwrap_or_else(PoisonError::into_inner) != State::Missing {
            self.set(State::Closed);
        }
    }

    /// Waits while `is_so` returns true for the state of the window, and returns the state. Stops waiting for a window
    /// that takes too long to open.
    fn wait_while(&self, is_so: impl Fn(State) -> bool) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while is_so(*state) {
            let left = self.hopeless.saturating_duration_since(Instant::now());
            state = match *state {
                State::Opening if left.is_zero() => break,
                State::Opening => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
                _ => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        *state
    }
}

impl Handle {
    /// Returns the address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the display.
    pub fn display(&self) -> &Display {
        &self.display
    }

    /// Returns the display of this name: see [`Options::displays`].
    pub fn display_named(&self, name: &str) -> Option<&Display> {
        self.server.displays().find(|(known, _)| known.as_str() == name).map(|(_, display)| display)
    }

    /// Stops the server and closes the window. Clients are told that the display ends, and are disconnected within two
    /// seconds. The body continues, and the pixels remain.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(window) = &self.window {
            window.close();
            // Set without waiting for the window to close, since the screen may not answer.
            self.watched.close();
        }
    }

    /// Returns whether the display is shown in a window. Waits until that is known, by the first frame or by an error.
    /// Returns `false` if the screen has not answered for five seconds; if it answers later, the window appears then.
    pub fn has_window(&self) -> bool {
        self.watched.wait_while(|state| state == State::Opening) == State::Open
    }

    /// Returns whether the window was closed, without waiting.
    pub fn is_closed(&self) -> bool {
        self.watched.wait_while(|_| false) == State::Closed
    }

    /// Waits while there is a window, and returns whether it was closed: by its user, by another program, or by
    /// [`Handle::stop`]. Returns `false` at once if there is no window or it fails, and after five seconds if the
    /// screen does not answer.
    ///
    /// Closing the window stops the server; the body continues.
    pub fn wait_closed(&self) -> bool {
        let is_there = |state| matches!(state, State::Opening | State::Open);
        self.watched.wait_while(is_there) == State::Closed
    }
}

/// Opens a display in this process, runs `body`, closes the display, and returns the result of `body`.
///
/// The display serves clients on threads of its own. The window (see [`window`](crate::window)) and `body` have a
/// thread each, so `body` may block, or use a runtime. The calling thread waits for `body`. A process can open a window
/// only once; a second display of the same process has none.
///
/// Nothing waits for the screen: `body` starts at once, while the window opens. After `body` has returned, clients are
/// told that the display ends, and this function returns within two seconds. If the screen does not answer then, the
/// window's thread is left behind until the screen answers or the process ends.
///
/// ```
/// use display_server::{Options, Present, with_display};
/// use std::io::Write;
/// use std::net::TcpStream;
///
/// let options = Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
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
/// If the display cannot be opened, in which case `body` is not called.
///
/// # Panics
/// If `body` panics, with the same payload, after the display is closed.
pub fn with_display<T, F>(options: Options, body: F) -> Result<T, Error>
where
    F: FnOnce(&Handle) -> T + Send,
    T: Send,
{
    let display = Display::new(options.size, options.background)?;
    let mut server = Server::new(display.clone(), options.server);
    for (name, size) in options.displays {
        let added = Display::new(size, options.background)
            .map_err(|source| Error::Of { name: name.to_string(), source: Box::new(source) })?;
        server = server.with_display(name, added)?;
    }
    let listener = listen::bind(&options.listen, options.or_any_port)?;
    let address = listener.local_addr().map_err(Error::Start)?;
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    let watched = Arc::new(Watched::new(State::Opening));
    let (told, ending) = (Arc::clone(&watched), Arc::clone(&stop));
    let window = server.show(1, options.present, address, move |event| match event {
        Event::Opened => told.set(State::Open),
        Event::Ended(End::Closed) => {
            told.set(State::Closed);
            ending.send_replace(true);
        }
        Event::Ended(_) => told.set(State::Missing),
    });
    if window.is_none() {
        watched.set(State::Missing);
    }
    let handle = Handle { display, server: server.clone(), address, stop, watched, window };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("display")
        .enable_all()
        .build()
        .map_err(Error::Start)?;

    thread::scope(|scope| {
        // The runtime is entered and dropped on a thread of its own, since the calling thread may belong to another
        // runtime.
        let serving = thread::Builder::new()
            .name("display-main".into())
            .spawn_scoped(scope, move || serve(runtime, server, listener, stopped))
            .map_err(Error::Start)?;
        let body = thread::Builder::new().name("body".into()).spawn_scoped(scope, || {
            // The window ends with the body, even if the body panics.
            let _stopped_at_the_end = StopOnDrop(&handle);
            body(&handle)
        });
        let outcome = body.map(thread::ScopedJoinHandle::join);
        handle.stop();
        let served = serving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        if let Some(window) = &handle.window {
            window.finish();
        }
        match outcome.map_err(Error::Start)? {
            Ok(value) => served.map(|()| value).map_err(Error::Start),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

struct StopOnDrop<'a>(&'a Handle);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
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
    // An aborted connection may still be executing a long request.
    runtime.shutdown_background();
    served
}
