//! A display in the caller's own process.

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

/// Threads that execute requests. Two connections that draw at the same time use both; more cores would mostly wait
/// for memory.
const WORKERS: usize = 2;

/// What display [`with_display`] opens.
#[derive(Debug, Clone)]
pub struct Options {
    /// Width and height: 640x480 by default.
    pub size: Size,
    /// Further displays, which clients ask for by their names: none by default. The first is named `main`.
    pub displays: Vec<(DisplayName, Size)>,
    /// The colour of every pixel at the start: black by default.
    pub background: Color,
    /// Where to listen, as [`bind`](crate::bind) takes it: 127.0.0.1:3729 by default.
    pub listen: String,
    /// Whether any free port will do if that one is taken: not by default.
    pub or_any_port: bool,
    /// Whether it is to be seen: in a window if there is a screen, by default.
    pub present: Present,
    /// What clients are allowed.
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

/// A display that [`with_display`] has opened. Clones are the same.
#[derive(Debug, Clone)]
pub struct Handle {
    display: Display,
    server: Server,
    address: SocketAddr,
    stop: Arc<watch::Sender<bool>>,
    watched: Arc<Watched>,
    window: Option<Windows>,
}

/// What has become of the window, for those who wait for it.
#[derive(Debug)]
struct Watched {
    /// Held only to look and to set.
    state: Mutex<State>,
    changed: Condvar,
    /// When those who ask about a window that is still opening are told that there is none.
    hopeless: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It is not known yet whether there will be one.
    Opening,
    Open,
    Closed,
    /// There is none, or there is none any more because it failed.
    Missing,
}

impl Watched {
    fn new(state: State) -> Watched {
        Watched { state: Mutex::new(state), changed: Condvar::new(), hopeless: Instant::now() + PATIENCE }
    }

    /// What was closed stays closed.
    fn set(&self, state: State) {
        let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *now != State::Closed {
            *now = state;
        }
        drop(now);
        self.changed.notify_all();
    }

    /// It is closed, unless there is none.
    fn close(&self) {
        if *self.state.lock().unwrap_or_else(PoisonError::into_inner) != State::Missing {
            self.set(State::Closed);
        }
    }

    /// Waits until the window is in no such state, and answers in which it is. A window that has been opening for too long
    /// is not waited for.
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
    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its pixels and its pointer.
    pub fn display(&self) -> &Display {
        &self.display
    }

    /// Returns the display of this name: see [`Options::displays`].
    pub fn display_named(&self, name: &str) -> Option<&Display> {
        self.server.displays().find(|(known, _)| known.as_str() == name).map(|(_, display)| display)
    }

    /// Ends the server and closes the window: clients are told and go, within two seconds. The body goes on, and so do
    /// the pixels.
    pub fn stop(&self) {
        self.stop.send_replace(true);
        if let Some(window) = &self.window {
            window.close();
            // Not when it is closed: a screen that stands still would keep those who wait.
            self.watched.close();
        }
    }

    /// Whether the display is seen in a window. Waits until that is known: for the first frame, or for what keeps it
    /// from being shown. It is not so of a screen that has not answered for five seconds; should it answer later, the window
    /// appears then.
    pub fn has_window(&self) -> bool {
        self.watched.wait_while(|state| state == State::Opening) == State::Open
    }

    /// Whether the window was closed, without waiting.
    pub fn is_closed(&self) -> bool {
        self.watched.wait_while(|_| false) == State::Closed
    }

    /// Waits as long as there is a window, and answers whether it was closed: by its user, by another program, or by
    /// [`Handle::stop`]. Without a window, or when it fails, that is not so, and the answer comes at once; where the screen
    /// does not answer, after five seconds.
    ///
    /// Closing the window ends the server, and the body goes on.
    pub fn wait_closed(&self) -> bool {
        let is_there = |state| matches!(state, State::Opening | State::Open);
        self.watched.wait_while(is_there) == State::Closed
    }
}

/// Opens a display in this process, runs `body` beside it, closes it, and returns what `body` returned.
///
/// The display serves clients from threads of its own, the window (see [`window`](crate::window)) has one, and `body` has
/// one too, so it may block, or bring a runtime. The calling thread waits for `body`. A process can have one window, once;
/// a second display of the same process has none.
///
/// Nothing waits for the screen: `body` runs at once, and the window opens beside it. When `body` has returned, clients are
/// told and this returns, within two seconds. If the screen stands still then, the window's thread is left behind, waiting
/// for the screen, until that answers or the process ends.
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
        // The runtime is entered and dropped on a thread of its own, since the calling one may belong to another.
        let serving = thread::Builder::new()
            .name("display-main".into())
            .spawn_scoped(scope, move || serve(runtime, server, listener, stopped))
            .map_err(Error::Start)?;
        let body = thread::Builder::new().name("body".into()).spawn_scoped(scope, || {
            // The window, too, ends with the body, even if that panics.
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
    // A connection that was cut may still be in the middle of a long request.
    runtime.shutdown_background();
    served
}
