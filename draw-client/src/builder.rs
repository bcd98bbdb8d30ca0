//! How a connection is set up.

use crate::address;
use crate::debug;
use crate::display::Display;
use crate::doctor::{self, Client};
use crate::driver::{Callers, Driver};
use crate::error::{Error, Lost, Outcome, Result};
use crate::late::{Callback, LateError};
use crate::shared::{Shared, now};
use crate::writer::Writer;
use draw_protocol::client::Connection;
use draw_protocol::trace::Printer;
use draw_protocol::{Hello, Size, limits};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Sets up an asynchronous [`Display`]: [`Display::builder`].
///
/// ```no_run
/// # async fn example() -> draw_client::Result<()> {
/// let display = draw_client::Display::builder()
///     .on_error(|late| eprintln!("{late}"))
///     .timeout(std::time::Duration::from_secs(10))
///     .connect("localhost:3729")
///     .await?;
/// # Ok(()) }
/// ```
pub struct Builder {
    callback: Option<Callback>,
    timeout: Duration,
    connect_timeout: Duration,
    doctor: Option<bool>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            callback: None,
            timeout: limits::ANSWER_TIMEOUT,
            connect_timeout: limits::CONNECT_TIMEOUT,
            doctor: None,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("has_callback", &self.callback.is_some())
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("doctor", &self.doctor)
            .finish()
    }
}

/// What this client calls itself.
pub(crate) fn hello() -> Hello {
    Hello::new(concat!("draw-client ", env!("CARGO_PKG_VERSION")))
}

impl Builder {
    /// Who hears of failed calls that nobody waits for.
    ///
    /// It runs on a thread of its own, for one error at a time, in the order of the calls; never inside a call or a
    /// drop. It may call the display, except that up to 1,024 calls and 8 MiB beyond the credit go ahead and more fail
    /// with [`Error::Busy`], since waiting there could wait for itself. If it panics, that is reported as a `tracing` event
    /// and the next error still arrives. Errors it has not heard yet count as calls under way: a slow callback slows
    /// the program down, and memory stays bounded. A lost connection is one call of it, naming every call left
    /// unanswered. A callback that keeps a clone of the display keeps the connection open until `close` is called.
    pub fn on_error(mut self, callback: impl FnMut(LateError) + Send + 'static) -> Builder {
        self.callback = Some(Box::new(callback));
        self
    }

    /// How long a call waits to be accepted, and how long for its answer. 30 seconds unless set.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.timeout = timeout.min(LONGEST);
        self
    }

    /// How long connecting may take, with all addresses of the name and the greeting. 5 seconds unless set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Builder {
        self.connect_timeout = timeout.min(LONGEST);
        self
    }

    /// Whether the round-trip doctor says, when the connection ends, which lines of the program waited for the display
    /// and what would cure that: see [`Diagnosis`](crate::Diagnosis). It is printed on standard error, once. Unless set,
    /// the environment variable [`DRAW_DOCTOR`](crate::DRAW_DOCTOR) decides. It costs some nanoseconds a call.
    pub fn doctor(mut self, doctor: bool) -> Builder {
        self.doctor = Some(doctor);
        self
    }

    /// Connects to `host`, `host:port` or `[ipv6]:port`; the port is 3729 unless given. Every address of the name is
    /// tried. The connection is driven by a task of the current tokio runtime.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Connect`] when nothing listens there, [`Error::Timeout`] when it does not greet
    /// back in time, [`Error::Disconnected`] when it is no display.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub async fn connect(self, address: &str) -> Result<Display> {
        let deadline = now() + self.connect_timeout;
        let stream = self.dial(address, deadline).await?;
        let (reader, writer) = stream.into_split();
        let trace = debug::open(&format!("to {address}"));
        let (display, driver) = self.greet(Box::new(reader), Box::new(writer), trace, deadline).await?;
        tokio::spawn(driver);
        Ok(display)
    }

    /// Connects to the display that `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// See [`Builder::connect`].
    pub async fn open(self) -> Result<Display> {
        self.connect(&address::default_address()).await
    }

    /// Talks over a stream that is connected already: TLS, a Unix socket, a simulated network.
    ///
    /// # Errors
    /// [`Error::Timeout`] when nobody greets back in time, [`Error::Disconnected`] when it is no display.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub async fn over<S>(self, stream: S) -> Result<Display>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (display, driver) = self.over_with_driver(stream).await?;
        tokio::spawn(driver);
        Ok(display)
    }

    /// The same, and the driver is the caller's to poll: the connection stands still meanwhile.
    ///
    /// # Errors
    /// See [`Builder::over`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub async fn over_with_driver<S>(self, stream: S) -> Result<(Display, Driver)>
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let deadline = now() + self.connect_timeout;
        let (reader, writer) = tokio::io::split(stream);
        self.greet(Box::new(reader), Box::new(writer), debug::open("over a stream"), deadline).await
    }

    async fn dial(&self, address: &str, deadline: Instant) -> Result<TcpStream> {
        let (host, port) = address::parse(address)?;
        let shown = address::show(&host, port);
        let found = tokio::time::timeout(self.connect_timeout, tokio::net::lookup_host((host, port))).await;
        let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
        let found: Vec<_> = match found.unwrap_or_else(|_| Err(late())) {
            Ok(found) => found.collect(),
            Err(error) => return Err(address::unreachable(&shown, Some(error))),
        };
        let mut last = None;
        for (i, one) in found.iter().enumerate() {
            let share = address::share(deadline, now(), found.len() - i);
            match tokio::time::timeout(share, TcpStream::connect(one)).await.unwrap_or_else(|_| Err(late())) {
                Ok(stream) => {
                    // A call is a few bytes, and its answer is waited for: never hold it back to fill a packet.
                    stream.set_nodelay(true).map_err(|error| address::unreachable(&shown, Some(error)))?;
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(address::unreachable(&shown, last))
    }

    async fn greet(
        self,
        reader: Box<dyn AsyncRead + Send + Unpin>,
        writer: Box<dyn AsyncWrite + Send + Unpin>,
        trace: Printer,
        deadline: Instant,
    ) -> Result<(Display, Driver)> {
        let machine = Connection::new(&hello());
        let shared = Arc::new(Shared::new(
            machine,
            Writer::new(writer, trace.clone()),
            self.timeout,
            self.callback.is_some(),
        ));
        let mut driver = Driver::new(Arc::clone(&shared), reader, Callers::Tasks, trace);
        let mut deadline = std::pin::pin!(tokio::time::sleep_until(deadline.into()));
        let size = std::future::poll_fn(|cx| {
            let ended = std::pin::Pin::new(&mut driver).poll(cx).is_ready();
            let state = shared.lock();
            if let Some(welcome) = state.machine.welcome() {
                return Poll::Ready(Ok(welcome.size()));
            }
            if ended {
                let reason = state.ended.clone().unwrap_or(Lost::Eof);
                return Poll::Ready(Err(Error::Disconnected { reason, outcome: Outcome::Rejected }));
            }
            drop(state);
            let late = Error::Timeout { after: self.connect_timeout, outcome: Outcome::Rejected };
            deadline.as_mut().poll(cx).map(|()| Err::<Size, _>(late))
        })
        .await?;
        shared.lock().doctor = doctor::open(self.doctor, Client::Asynchronous, now());
        shared.start_callback(self.callback).map_err(|error| Error::Disconnected {
            reason: Lost::Io(Arc::new(error)),
            outcome: Outcome::Rejected,
        })?;
        Ok((Display::new(shared, size), driver))
    }
}

/// A year: a deadline that lies too far ahead for the clock would make its arithmetic overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
