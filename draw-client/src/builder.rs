//! How a connection is set up.

#[cfg(test)]
mod tests;

use crate::address::{self, Address};
use crate::checksums;
use crate::debug;
use crate::display::Display;
use crate::doctor::{self, Client};
use crate::driver::{Callers, Driver};
use crate::durability::Durability;
use crate::error::{Error, Lost, Outcome, Result};
use crate::late::{Callback, LateError};
use crate::limits;
use crate::reconnect::{self, Dialer, Halves, NEVER, hello};
use crate::shared::{Shared, now};
use crate::socket;
use crate::status::{Status, StatusCallback};
use crate::while_gone::WhileGone;
use crate::writer::Writer;
use draw_printer::Printer;
use draw_protocol::client::Connection;
use draw_protocol::reconnect::{End, Policy};
use draw_protocol::{DisplayName, Size};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};

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
    reconnect: Duration,
    while_gone: WhileGone,
    accepts_loss: bool,
    durability: Durability,
    checksums: Option<bool>,
    watcher: Option<StatusCallback>,
    doctor: Option<bool>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            callback: None,
            timeout: limits::ANSWER_TIMEOUT,
            connect_timeout: limits::CONNECT_TIMEOUT,
            reconnect: limits::RECONNECT,
            while_gone: WhileGone::default(),
            accepts_loss: false,
            durability: Durability::default(),
            checksums: None,
            watcher: None,
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
            .field("reconnect", &self.reconnect)
            .field("while_gone", &self.while_gone)
            .field("accepts_loss", &self.accepts_loss)
            .field("durability", &self.durability)
            .field("checksums", &self.checksums)
            .field("has_status_callback", &self.watcher.is_some())
            .field("doctor", &self.doctor)
            .finish()
    }
}

impl Builder {
    /// Who hears of failed calls that nobody waits for.
    ///
    /// It runs on a thread of its own, for one error at a time, in the order of the calls; never inside a call or a
    /// drop. It may call the display, except that up to 1,024 calls and 8 MiB beyond the credit go ahead and more fail
    /// with [`Error::Busy`], since waiting there could wait for itself. If it panics, that is reported as a `tracing` event
    /// and the next error still arrives. Errors it has not heard yet count as calls under way: a slow callback slows
    /// the program down, and memory stays bounded. A connection that is lost for good is one call of it, naming every
    /// call that was sent and not answered, and one that names those that were never sent; either only if there are any. A
    /// callback that keeps a clone of the display keeps the connection open until `close` is called.
    ///
    /// [`Display::scope`] gives a part of the program a callback of its own. [`LateError`] says what a program gets, and
    /// how `tracing` gets the same.
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

    /// What it means that a call is done: that the display has drawn it, unless this is set, or that it is on the display's
    /// disk.
    pub fn durability(mut self, durability: Durability) -> Builder {
        self.durability = durability;
        self
    }

    /// Whether client and display look at each message for bytes that were altered on their way. One that was is neither executed nor
    /// believed: the connection is lost, and what was under way goes on on another, once and in its order, as after any
    /// loss ([`Builder::reconnect`]). If that happens over and over and nothing is done in between, it is given up like a display that is
    /// gone.
    ///
    /// TCP has a checksum of 16 bits of its own, which boxes on the way write anew: now and then it lets bytes pass that are not what was
    /// sent. So checksums are on, unless this is set, for TCP to another machine. They are off to this one, as the bytes never leave its
    /// memory, or go on through a tunnel such as `ssh`, which sees to it itself; and for streams that are handed in
    /// ([`Builder::over`], [`Builder::through`]), as TLS does the same. It is decided when the first connection is made. Each message has 18 bytes
    /// more then, and each side reads it once more, at several gigabytes a second.
    ///
    /// A display that does not know checksums is not connected to: [`Error::Disconnected`], after a few tries.
    pub fn checksums(mut self, checksums: bool) -> Builder {
        self.checksums = Some(checksums);
        self
    }

    /// For how long a lost connection is tried to be made anew; 30 seconds unless set, zero for not at all. What was
    /// accepted goes on then as if nothing had happened: every call is executed once, in its order. If the display has lost its
    /// state, or has forgotten this client, the calls that were under way fail with [`Error::Forgotten`], and those that
    /// follow draw on what there is.
    ///
    /// A network that dies without a word is a lost connection after 20 seconds
    /// ([`DEAD_NETWORK`](draw_protocol::limits::DEAD_NETWORK)), where the system can tell; so is a display that takes nothing for
    /// as long while there is more to send than its system has room for.
    ///
    /// Nothing can be made anew of a stream that was handed in ([`Builder::over`]): see [`Builder::through`].
    pub fn reconnect(mut self, within: Duration) -> Builder {
        self.reconnect = within.min(LONGEST);
        self
    }

    /// Who hears what becomes of the connection: that it is lost and tried to be made anew, that it is resumed, and what was
    /// lost with it. Deferred [`Status::StateLost`] it is the place to draw again what is to be there.
    ///
    /// It runs on the thread of the error callbacks, with their rules: one at a time, in order; it may call the display.
    pub fn on_status(mut self, callback: impl FnMut(Status) + Send + 'static) -> Builder {
        self.watcher = Some(Box::new(callback));
        self
    }

    /// Whether to go on with a display that was restarted from its journal and has lost the last of what it had executed.
    /// Unless set the connection is lost then, since the program believes what is not so. [`Status::Regressed`] tells of it.
    pub fn accept_loss(mut self, accept: bool) -> Builder {
        self.accepts_loss = accept;
        self
    }

    /// What happens to calls that are made while the connection is lost. They wait, unless this is set.
    pub fn while_gone(mut self, policy: WhileGone) -> Builder {
        self.while_gone = policy;
        self
    }

    /// Whether the round-trip doctor says, when the connection ends, which lines of the program waited for the display
    /// and what would cure that: see [`Diagnosis`](crate::Diagnosis). It is printed on standard error, once. Unless set,
    /// the environment variable [`DRAW_DOCTOR`](crate::DRAW_DOCTOR) decides. It costs some nanoseconds a call.
    pub fn doctor(mut self, doctor: bool) -> Builder {
        self.doctor = Some(doctor);
        self
    }

    /// Connects to `host`, `host:port`, `[ipv6]:port` or a port of this machine; the port is 3729 unless given. Every address of the name is
    /// tried. With `/NAME` behind it, it is the display of that name of a server that has several; without, the server's first. The connection is driven by a task of the current tokio runtime.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Connect`] when nothing listens there, [`Error::Timeout`] when it does not greet
    /// back in time, [`Error::Disconnected`] when it is no display, or refuses to be durable because it keeps no journal
    /// ([`Code::NoJournal`](crate::Code::NoJournal)), or the server has no display of the name
    /// ([`Code::UnknownDisplay`](crate::Code::UnknownDisplay)) or is too old to have names.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O enabled.
    pub async fn connect(self, address: &str) -> Result<Display> {
        let deadline = now() + self.connect_timeout;
        let parsed = address::parse(address)?;
        let shown = parsed.to_string();
        let Address { host, port, display } = parsed;
        let stream =
            dial(&host, port, deadline).await.map_err(|error| address::unreachable(&shown, error))?;
        let checks = checksums::are_wanted(self.checksums, stream.peer_addr());
        let trace = debug::open(&format!("to {address}"));
        let dialer = dialer(host, port, self.connect_timeout);
        let greeting = (checks, display);
        let (display, driver) = self.greet(stream.into(), Some(dialer), greeting, trace, deadline).await?;
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
        let (trace, checks) = (debug::open("over a stream"), self.checksums.unwrap_or(false));
        self.greet(Halves::split(stream), None, (checks, None), trace, deadline).await
    }

    /// Talks over streams that `connect` makes: the first, and another when one is lost. For a stream that is not TCP, and
    /// still to be resumed: TLS, a Unix socket, a simulated network.
    ///
    /// # Errors
    /// [`Error::Connect`] with what `connect` says, and those of [`Builder::over`].
    ///
    /// # Panics
    /// Outside of a tokio runtime with time enabled.
    pub async fn through<C, F, S>(self, mut connect: C) -> Result<Display>
    where
        C: FnMut() -> F + Send + 'static,
        F: Future<Output = std::io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let deadline = now() + self.connect_timeout;
        let first = tokio::time::timeout_at(deadline.into(), connect()).await;
        let first = first.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let stream =
            first.map_err(|error| address::unreachable("the other end of the stream", Some(error)))?;
        let trace = debug::open("over a stream");
        let again = move || {
            let dialing = connect();
            async { dialing.await.map(Halves::split) }
        };
        let checks = self.checksums.unwrap_or(false);
        let (display, driver) = self
            .greet(Halves::split(stream), Some(Dialer::new(again)), (checks, None), trace, deadline)
            .await?;
        tokio::spawn(driver);
        Ok(display)
    }

    async fn greet(
        self,
        stream: Halves,
        dialer: Option<Dialer>,
        (checks, name): (bool, Option<DisplayName>),
        trace: Printer,
        deadline: Instant,
    ) -> Result<(Display, Driver)> {
        let machine = Connection::new(&hello(self.durability, checks).with_display(name));
        let writer = Writer::new(stream.writer, trace.clone());
        let Builder { reconnect: window, connect_timeout: attempt, accepts_loss, .. } = self;
        let policy = if dialer.is_some() { Policy { window, attempt, accepts_loss } } else { NEVER };
        let reconnect = reconnect::dialed(policy, deadline, now());
        let shared = Arc::new(Shared::new(machine, writer, self.timeout, reconnect));
        shared.lock().offline.policy = self.while_gone;
        let mut driver = Driver::new(Arc::clone(&shared), stream.reader, Callers::Tasks, dialer, trace);
        let size = std::future::poll_fn(|cx| {
            let ended = std::pin::Pin::new(&mut driver).poll(cx).is_ready();
            let state = shared.lock();
            if let Some(welcome) = state.machine.welcome() {
                return Poll::Ready(Ok(welcome.size()));
            }
            if !ended {
                return Poll::Pending;
            }
            if let Some(End::NeverConnected) = state.reconnect.end() {
                let late = Error::Timeout { after: self.connect_timeout, outcome: Outcome::Rejected };
                return Poll::Ready(Err::<Size, _>(late));
            }
            let reason = state.lifetime.ended.clone().unwrap_or(Lost::Eof);
            Poll::Ready(Err(Error::Disconnected { reason, outcome: Outcome::Rejected }))
        })
        .await?;
        shared.lock().account.doctor = doctor::open(self.doctor, Client::Asynchronous, now());
        shared.set_callbacks(self.callback, self.watcher).map_err(|error| Error::Disconnected {
            reason: Lost::Io(Arc::new(error)),
            outcome: Outcome::Rejected,
        })?;
        Ok((Display::new(shared, size), driver))
    }
}

/// Returns what makes TCP connections to one address anew.
pub(crate) fn dialer(host: String, port: u16, attempt: Duration) -> Dialer {
    let connect = move || {
        let host = host.clone();
        async move {
            let dialed = dial(&host, port, now() + attempt).await;
            let stream = dialed
                .map_err(|error| error.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into()))?;
            Ok(stream.into())
        }
    };
    Dialer::new(connect)
}

async fn dial(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, Option<std::io::Error>> {
    let found = tokio::time::timeout_at(deadline.into(), tokio::net::lookup_host((host, port))).await;
    let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    let found: Vec<_> = found.unwrap_or_else(|_| Err(late())).map_err(Some)?.collect();
    let mut last = None;
    for (i, one) in found.iter().enumerate() {
        let share = address::share(deadline, now(), found.len() - i);
        let connecting = async {
            let socket = socket::open(one)?;
            socket.set_nonblocking(true)?;
            TcpSocket::from_std_stream(socket.into()).connect(*one).await
        };
        match tokio::time::timeout(share, connecting).await.unwrap_or_else(|_| Err(late())) {
            Ok(stream) => {
                socket::set_up((&stream).into())?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}

/// A year: a deadline that lies too far ahead for the clock would make its arithmetic overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
