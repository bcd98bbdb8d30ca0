//! For plain programs, with no runtime: the synchronous [`Display`], whose calls wait for their answer in the caller's
//! own thread, and the [`Pipeline`], whose drawing calls do not wait.

mod dial;
mod exchange;
mod link;
mod pipeline;
mod thread;
pub(crate) mod wait;

use dial::Peer;
use link::Link;
pub use pipeline::{Pipeline, PipelineBuilder, Reply};

use crate::address::{self, Address};
use crate::builder::LONGEST;
use crate::debug;
use crate::doctor::{self, Client, Diagnosis, Doctor};
use crate::durability::Durability;
use crate::error::{Error, Lost, Outcome, Result};
use crate::limits;
use crate::process::{Inside, Mark, Owner, try_lock};
use crate::shared::Stats;
use draw_protocol::client::Place;
use draw_protocol::{Answer, Color, Digest, Position, Request, Size};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A display on another machine, drawn on by real synchronous remote procedure calls: each returns when the display has
/// answered, which costs a round trip. It has no late errors.
///
/// The names are those of the asynchronous [`Display`](crate::Display). Clones share the connection and take turns.
/// [`pipelined`](Display::pipelined) makes a [`Pipeline`] of it. It belongs to the process that has connected, and is no matter for
/// signal handlers: see [forks](crate#forks-and-signal-handlers).
///
/// ```no_run
/// use draw_client::{Color, Pixel, blocking::Display};
///
/// let display = Display::connect("localhost:3729")?;
/// display.draw_pixel(10, 20, Color::RED)?;                                  // one round trip
/// let row: Vec<Pixel> = (0..100).map(|x| Pixel::new(x, 30, Color::BLUE)).collect();
/// display.draw_pixels(&row)?;                                               // one round trip for all of them
/// # Ok::<(), draw_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Display {
    own: Arc<Own>,
    size: Size,
}

struct Own {
    inner: Mutex<Inner>,
    mark: Mark,
    /// The process that has connected.
    owner: Owner,
    timeout: Duration,
    /// What the server calls the display.
    name: Option<String>,
}

/// The connection, for one call. It is given back before the thread counts as outside.
struct Held<'a> {
    inner: MutexGuard<'a, Inner>,
    _inside: Inside,
}

struct Inner {
    /// The connection, or why no further call can succeed.
    link: Result<Link, Lost>,
    stats: Stats,
    /// Who accounts for the waits, if somebody asked for it.
    doctor: Option<Box<Doctor>>,
}

/// Sets up a [`Display`].
#[derive(Debug, Clone)]
pub struct Builder {
    timeout: Duration,
    connect_timeout: Duration,
    reconnect: Duration,
    durability: Durability,
    checksums: Option<bool>,
    doctor: Option<bool>,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            timeout: limits::ANSWER_TIMEOUT,
            connect_timeout: limits::CONNECT_TIMEOUT,
            reconnect: limits::RECONNECT,
            durability: Durability::default(),
            checksums: None,
            doctor: None,
        }
    }
}

impl Builder {
    /// How long a call waits for its answer. 30 seconds unless set.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        // The system takes a timeout of zero for none.
        self.timeout = timeout.clamp(Duration::from_millis(1), LONGEST);
        self
    }

    /// How long connecting may take, with all addresses of the name and the greeting. 5 seconds unless set. Looking the
    /// name up counts, but only the system can cut that short.
    pub fn connect_timeout(mut self, timeout: Duration) -> Builder {
        self.connect_timeout = timeout.clamp(Duration::from_millis(1), LONGEST);
        self
    }

    /// What it means that a call returns: see [`Builder::durability`](crate::Builder::durability). A [`Pipeline`] that is made
    /// of the display keeps to it.
    pub fn durability(mut self, durability: Durability) -> Builder {
        self.durability = durability;
        self
    }

    /// Whether client and display look at each message for bytes that were altered on their way: see
    /// [`Builder::checksums`](crate::Builder::checksums). Unless set they do, except on a connection to this very machine. A
    /// [`Pipeline`] that is made of the display keeps to it.
    pub fn checksums(mut self, checksums: bool) -> Builder {
        self.checksums = Some(checksums);
        self
    }

    /// For how long a lost connection is tried to be made anew; 30 seconds unless set, zero for not at all. The call that
    /// is being made waits meanwhile, within its own timeout: it is executed once, whatever the network does. If the
    /// display has lost its state, or has forgotten this client, the call fails with [`Error::Forgotten`], and the next
    /// one draws on what there is.
    pub fn reconnect(mut self, within: Duration) -> Builder {
        self.reconnect = within.min(LONGEST);
        self
    }

    /// Whether the round-trip doctor says, when the connection ends, which lines of the program waited for the display
    /// and what would cure that: see [`Diagnosis`]. It is printed on standard error, once. Unless set, the environment
    /// variable [`DRAW_DOCTOR`](crate::DRAW_DOCTOR) decides. It costs some nanoseconds a call, beside microseconds.
    pub fn doctor(mut self, doctor: bool) -> Builder {
        self.doctor = Some(doctor);
        self
    }

    /// Connects to `host`, `host:port`, `[ipv6]:port` or a port of this machine; the port is 3729 unless given. Every address of the name is
    /// tried. With `/NAME` behind it, it is the display of that name of a server that has several; without, the server's first.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Connect`] when nothing listens there, [`Error::Timeout`] when it does not greet
    /// back in time, [`Error::Disconnected`] when it is no display, or refuses to be durable because it keeps no journal
    /// ([`Code::NoJournal`](crate::Code::NoJournal)), or the server has no display of the name
    /// ([`Code::UnknownDisplay`](crate::Code::UnknownDisplay)) or is too old to have names.
    pub fn connect(&self, address: &str) -> Result<Display> {
        let parsed = address::parse(address)?;
        let shown = parsed.to_string();
        let Address { host, port, display } = parsed;
        let deadline = Instant::now() + self.connect_timeout;
        let trace = debug::open(&format!("to {shown}"));
        let Builder { timeout, connect_timeout, reconnect, durability, checksums, doctor } = *self;
        let peer = Peer { host, port, display, connect_timeout, reconnect, durability, checksums };
        let owner = Owner::here();
        let link = Link::connect(peer, timeout, trace, deadline)?;
        let size = link.size();
        let name = link.machine.welcome().and_then(|welcome| welcome.display.clone());
        let doctor = doctor::open(doctor, Client::Blocking, Instant::now());
        let inner = Mutex::new(Inner { link: Ok(link), stats: Stats::default(), doctor });
        let own = Own { inner, mark: Mark::new(), owner, timeout, name };
        Ok(Display { own: Arc::new(own), size })
    }

    /// Connects to the display that `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// See [`Builder::connect`].
    pub fn open(&self) -> Result<Display> {
        self.connect(&address::default_address())
    }
}

impl Inner {
    /// `owner` is the process that has connected.
    fn call(&mut self, request: &Request<'_>, place: Place, owner: Owner) -> Result<Answer> {
        let link = self.link.as_mut().map_err(|reason| unsent(reason))?;
        let before = self.stats.calls;
        let result = link.call(request, &mut self.stats, owner);
        if let Some(doctor) = &mut self.doctor {
            // What no display could execute was not sent.
            if self.stats.calls > before {
                let was_given_up = matches!(result, Err(Error::Timeout { .. } | Error::Disconnected { .. }));
                let ended_at = if was_given_up { Instant::now() } else { link.heard_at };
                doctor.called(request, place, link.called_at, ended_at);
            }
            if let Err(error) = &result {
                doctor.failed(request.method(), place, error);
            }
        }
        if let Err(Error::Disconnected { reason, .. }) = &result {
            // It stays lost.
            self.link = Err(reason.clone());
        }
        result
    }

    fn say_last_words(&mut self) {
        if let Some(diagnosis) = self.doctor.as_mut().and_then(|doctor| doctor.last_words(Instant::now())) {
            doctor::print(&diagnosis);
        }
    }
}

/// What `close` does, where it was not called.
impl Drop for Own {
    fn drop(&mut self) {
        // In a process that was forked the connection is closed here and goes on there: nothing is said.
        if self.owner.is_other() {
            return;
        }
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        inner.say_last_words();
        if let Ok(link) = &mut inner.link {
            link.finish();
        }
    }
}

/// What a call is told that comes after the end.
fn unsent(reason: &Lost) -> Error {
    match reason {
        Lost::Closed => Error::Closed,
        reason => Error::Disconnected { reason: reason.clone(), outcome: Outcome::Rejected },
    }
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("blocking::Display").field("size", &self.size).finish_non_exhaustive()
    }
}

impl Display {
    /// Sets up how to connect: deadlines.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Connects to the display at `host`, `host:port`, `[ipv6]:port` or a port of this machine, and returns when it has greeted back.
    ///
    /// # Errors
    /// See [`Builder::connect`].
    pub fn connect(address: &str) -> Result<Display> {
        Builder::default().connect(address)
    }

    /// Connects to the display that the environment variable `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// See [`Builder::connect`].
    pub fn open() -> Result<Display> {
        Builder::default().open()
    }

    /// Width and height, as the display told them when the connection was made.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Returns the name of the display, if the address had one: `plots` of `localhost:3729/plots`.
    pub fn name(&self) -> Option<&str> {
        self.own.name.as_deref()
    }

    /// What this connection has done so far.
    pub fn stats(&self) -> Stats {
        self.lock().map_or(Stats::default(), |inner| inner.stats)
    }

    /// Which lines have waited for the display so far, and what would cure that: see [`Diagnosis`]. Nothing where the
    /// doctor is not on ([`Builder::doctor`]), or a [`Pipeline`] has the connection.
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        self.lock().ok()?.doctor.as_ref().map(|doctor| doctor.diagnosis(0, Instant::now()))
    }

    /// Ends the connection, for all clones. Every call has been answered or given up, so there is nothing to wait for.
    ///
    /// # Errors
    /// [`Error::Disconnected`] if the connection was lost before, or belongs to the process that this one was forked from.
    pub fn close(&self) -> Result<()> {
        let mut inner = self.lock_here()?;
        inner.say_last_words();
        match std::mem::replace(&mut inner.link, Err(Lost::Closed)) {
            Ok(mut link) => {
                link.finish();
                Ok(())
            }
            Err(Lost::Closed) => Ok(()),
            Err(reason) => Err(Error::Disconnected { reason, outcome: Outcome::Unknown }),
        }
    }

    /// The asynchronous form: drawing calls that do not wait, over this same connection. [`Pipeline::builder`] does it
    /// with an error callback.
    ///
    /// Clones of this display can make no further call: they get [`Lost::Pipelined`]. A call of theirs that is being made
    /// is waited for. Calls that were given up after their deadline stay under way; should they fail after all, that is a
    /// late error. The numbers of calls and what [`stats`](Pipeline::stats) counts go on.
    ///
    /// # Errors
    /// [`Error::Closed`] and [`Error::Disconnected`] when the connection has ended before, or no thread can be had for it.
    pub fn pipelined(self) -> Result<Pipeline> {
        let (link, stats, doctor) = self.take()?;
        let timeout = link.timeout;
        thread::start(link, stats, doctor, timeout, thread::Settings::default()).map(Pipeline::new)
    }

    /// Takes the connection out, for a pipeline.
    fn take(&self) -> Result<(Link, Stats, Option<Box<Doctor>>)> {
        let mut inner = self.lock_here()?;
        let inner = &mut *inner.inner;
        match std::mem::replace(&mut inner.link, Err(Lost::Pipelined)) {
            Ok(link) => {
                let mut doctor = inner.doctor.take();
                doctor.iter_mut().for_each(|doctor| doctor.handed_to(Client::Pipeline));
                Ok((link, inner.stats, doctor))
            }
            Err(reason) => {
                let error = unsent(&reason);
                inner.link = Err(reason);
                Err(error)
            }
        }
    }

    /// Held for one call: clones take turns.
    ///
    /// # Errors
    /// A thread that has it already does not wait for itself, nor a process that was forked for a thread that is not there.
    fn lock(&self) -> Result<Held<'_>> {
        let Own { inner, mark, owner, timeout, .. } = &*self.own;
        let inside = Inside::enter(*mark);
        let inner = match try_lock(inner) {
            Some(inner) => inner,
            None if owner.is_other() => return Err(owner.refuse(Outcome::Rejected)),
            // Whoever has it may be waiting for an answer.
            None => inside.outer().wait_for(inner, *mark, *timeout).ok_or(Error::Reentrant)?,
        };
        Ok(Held { inner, _inside: inside })
    }

    /// The same, if this process has connected.
    fn lock_here(&self) -> Result<Held<'_>> {
        let owner = self.own.owner;
        if owner.is_other() { Err(owner.refuse(Outcome::Rejected)) } else { self.lock() }
    }

    fn ask(&self, request: Request<'_>, place: Place) -> Result<Answer> {
        self.lock()?.inner.call(&request, place, self.own.owner)
    }
}

impl Deref for Held<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.inner
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
