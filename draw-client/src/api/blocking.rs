//! The clients for programs without an asynchronous runtime.
//!
//! ```no_run
//! use draw_client::{Color, Pixel, blocking::Display};
//!
//! fn main() -> draw_client::Result<()> {
//!     let display = Display::connect("localhost:3729")?;
//!     display.draw_pixel(10, 20, Color::RED)?;                     // returns when it is drawn: one round trip
//!     let row: Vec<_> = (0..100).map(|x| Pixel::at(x, 30, Color::BLUE)).collect();
//!     display.draw_pixels(&row)?;                                  // one round trip for all of them
//!
//!     let pipeline = display.pipelined()?;
//!     for x in 0..100 {
//!         pipeline.draw_pixel(x, 40, Color::GREEN)?;               // does not wait for the display
//!     }
//!     pipeline.close()                                             // waits, and returns what failed
//! }
//! ```
//!
//! | | [`Display`] | [`Pipeline`] |
//! |---|---|---|
//! | a drawing call returns | when it is drawn | when it is accepted; its [`Reply`] waits for the rest |
//! | `get_...` and `sync` return | when they are answered | when they are answered |
//! | errors are returned by | the call itself | the [`Reply`], the error callback, or the next `sync` or `close` |
//! | threads | none | one for each connection, and one for callbacks |

mod connection;

pub use super::pipeline::{Pipeline, Reply};

use super::ConnectOptions;
use crate::doctor::{self, Client, Diagnosis, Doctor};
use crate::error::{DisconnectReason, Error, Outcome, Result};
use crate::link::blocking::{Link, Peer};
use crate::link::debug;
use crate::link::pipeline_thread::{self, Settings};
use crate::process::{Mark, Owner};
use crate::shared::Stats;
use crate::transport::address::{self, Address};
use connection::{Inner, Own, unsent};
use draw_protocol::client::CallSite;
use draw_protocol::{Answer, Color, Digest, Position, Request, Size};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A display on another machine, drawn on by synchronous remote procedure calls.
///
/// ```no_run
/// use draw_client::{Color, Pixel, blocking::Display};
///
/// let display = Display::connect("localhost:3729")?;
/// display.draw_pixel(10, 20, Color::RED)?;                                  // one round trip
/// let row: Vec<Pixel> = (0..100).map(|x| Pixel::at(x, 30, Color::BLUE)).collect();
/// display.draw_pixels(&row)?;                                               // one round trip for all of them
/// # Ok::<(), draw_client::Error>(())
/// ```
///
/// Each call returns when the display has answered, after one round trip, and returns its own error: there are no late errors.
/// [`ConnectOptions::connect_blocking`](crate::ConnectOptions::connect_blocking) connects with other options than the defaults.
///
/// Clones share the connection and take turns. [`pipelined`](Display::pipelined) converts it to a [`Pipeline`].
///
/// A display belongs to the process that has connected, and must not be used in signal handlers: see
/// [forks](crate#forks-and-signal-handlers).
#[derive(Clone)]
pub struct Display {
    own: Arc<Own>,
    size: Size,
}

impl ConnectOptions {
    /// Connects a [`blocking::Display`](Display). See [`connect`](ConnectOptions::connect) for the form of an address.
    ///
    /// # Errors
    /// Those of [`connect`](ConnectOptions::connect).
    pub fn connect_blocking(self, address: &str) -> Result<Display> {
        let parsed = address::parse(address)?;
        let shown = parsed.to_string();
        let Address { host, port, display } = parsed;
        // The system takes a timeout of zero for none.
        let (timeout, connect_timeout) = (self.timeout.max(SHORTEST), self.connect_timeout.max(SHORTEST));
        let deadline = Instant::now() + connect_timeout;
        let trace = debug::open(&format!("to {shown}"));
        let ConnectOptions { reconnect, durability, checksums, doctor, .. } = self;
        let is_durable = durability.is_durable();
        let peer = Peer { host, port, display, connect_timeout, reconnect, is_durable, checksums };
        let owner = Owner::here();
        let link = Link::connect(peer, timeout, trace, deadline)?;
        let size = link.size();
        let name = link.machine.welcome().and_then(|welcome| welcome.display.clone());
        let doctor = doctor::open(doctor, Client::Blocking, Instant::now());
        let settings = Settings::from(self);
        let inner = Mutex::new(Inner { link: Ok(link), stats: Stats::default(), doctor, settings });
        let own = Own { inner, mark: Mark::new(), owner, timeout, name };
        Ok(Display { own: Arc::new(own), size })
    }

    /// Connects a [`blocking::Pipeline`](Pipeline). See [`connect`](ConnectOptions::connect) for the form of an address.
    ///
    /// # Errors
    /// Those of [`connect`](ConnectOptions::connect), and [`Error::Disconnected`] if the system has no thread to spare.
    pub fn connect_pipeline(self, address: &str) -> Result<Pipeline> {
        self.connect_blocking(address)?.pipelined()
    }
}

impl From<ConnectOptions> for Settings {
    fn from(options: ConnectOptions) -> Settings {
        let ConnectOptions { on_error, on_status, while_offline, accepts_loss, .. } = options;
        Settings { error: on_error, status: on_status, while_offline, accepts_loss }
    }
}

/// The shortest time that a call waits.
const SHORTEST: Duration = Duration::from_millis(1);

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("blocking::Display").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Display {
    /// Connects with the default options to the display at `host`, `host:port`, `[ipv6]:port` or a port of this machine.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::connect`].
    pub fn connect(address: &str) -> Result<Display> {
        ConnectOptions::new().connect_blocking(address)
    }

    /// Connects to the display that the environment variable `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::connect`].
    pub fn open() -> Result<Display> {
        Display::connect(&address::default_address())
    }

    /// Returns the width and height of the display.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns the name of the display, if the address had one: `plots` of `localhost:3729/plots`.
    pub fn name(&self) -> Option<&str> {
        self.own.name.as_deref()
    }

    /// Returns counters of this connection.
    pub fn stats(&self) -> Stats {
        self.own.lock().map_or(Stats::default(), |inner| inner.stats)
    }

    /// Returns which lines have waited for the display so far, and what would avoid that: see [`Diagnosis`]. Returns `None` if the
    /// doctor is off ([`ConnectOptions::doctor`]), or a [`Pipeline`] has the connection.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        self.own.lock().ok()?.doctor.as_ref().map(|doctor| doctor.diagnosis(0, Instant::now()))
    }

    /// Closes the connection, for all clones. Every call has been answered or given up, so there is nothing to wait for.
    ///
    /// # Errors
    /// [`Error::Disconnected`] if the connection was lost before, or belongs to the process that this one was forked from.
    pub fn close(&self) -> Result<()> {
        let mut inner = self.own.lock_here()?;
        inner.print_last_diagnosis();
        match std::mem::replace(&mut inner.link, Err(DisconnectReason::Closed { unanswered_for: None })) {
            Ok(mut link) => {
                link.finish();
                Ok(())
            }
            Err(DisconnectReason::Closed { .. }) => Ok(()),
            Err(reason) => Err(Error::Disconnected { reason, outcome: Outcome::Unknown }),
        }
    }

    /// Converts to the client whose drawing calls do not wait, over this same connection. The options with which this display
    /// has connected apply, among them the callbacks.
    ///
    /// Further calls of clones of this display fail with [`DisconnectReason::Pipelined`]. A call that a clone is making is
    /// finished first. Calls that were given up after their timeout stay under way; if they fail after all, that is a late
    /// error. Calls are numbered and counted ([`stats`](Pipeline::stats)) from where this display stopped.
    ///
    /// # Errors
    /// [`Error::Disconnected`] if the connection has ended before, or the system has no thread to spare.
    pub fn pipelined(self) -> Result<Pipeline> {
        let (link, stats, doctor, settings) = self.take()?;
        let timeout = link.timeout;
        let (shared, size) = pipeline_thread::start(link, stats, doctor, timeout, settings)?;
        Ok(Pipeline::new(super::Display::new(shared, size)))
    }

    /// Takes the connection out, for a pipeline.
    fn take(&self) -> Result<(Link, Stats, Option<Box<Doctor>>, Settings)> {
        let mut inner = self.own.lock_here()?;
        let inner = &mut *inner.inner;
        match std::mem::replace(&mut inner.link, Err(DisconnectReason::Pipelined)) {
            Ok(link) => {
                let mut doctor = inner.doctor.take();
                doctor.iter_mut().for_each(|doctor| doctor.handed_to(Client::Pipeline));
                Ok((link, inner.stats, doctor, std::mem::take(&mut inner.settings)))
            }
            Err(reason) => {
                let error = unsent(&reason);
                inner.link = Err(reason);
                Err(error)
            }
        }
    }

    fn ask(&self, request: Request<'_>, place: CallSite) -> Result<Answer> {
        self.own.lock()?.inner.call(&request, place, self.own.owner)
    }
}

macro_rules! methods {
    (
        acknowledged { $(
            $(#[doc = $draw_doc:literal])+
            $Draw:ident: $draw:ident($($dp:ident: $dt:ident),*) { $($draw_column:tt)* };
        )+ }
        answered { $(
            $(#[doc = $ask_doc:literal])+
            $Ask:ident: $ask:ident($($ap:ident: $at:ident),*) -> $Answer:ident($answer:ty) { $($ask_column:tt)* };
        )+ }
    ) => {
        /// The calls. Each returns when the display has answered.
        impl Display {
            $(
                $(#[doc = $draw_doc])+
                ///
                /// # Errors
                /// What the display finds wrong with it, or that no answer came.
                #[track_caller]
                pub fn $draw(&self, $($dp: argument!($dt)),*) -> Result<()> {
                    self.ask(Request::$Draw { $($dp: $dp.into()),* }, Location::caller()).map(|_| ())
                }
            )+
            $(
                $(#[doc = $ask_doc])+
                ///
                /// # Errors
                /// What the display finds wrong with it, or that no answer came.
                #[track_caller]
                pub fn $ask(&self, $($ap: $at),*) -> Result<$answer> {
                    match self.ask(Request::$Ask { $($ap),* }, Location::caller())? {
                        Answer::$Answer(value) => Ok(value),
                        other => unreachable!("{} is decoded as its own answer, not {other:?}", stringify!($ask)),
                    }
                }
            )+
        }
    };
}

draw_protocol::calls!(methods);
