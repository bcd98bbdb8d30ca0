//! The asynchronous display without a runtime.

use super::thread::{self, Settings};
use super::wait::{wait, wait_until};
use super::{Builder, Display};
use crate::doctor::{self, Client, Diagnosis};
use crate::durability::Durability;
use crate::error::Result;
use crate::late::LateError;
use crate::limits;
use crate::shared::{Shared, Stats, Wait};
use crate::status::Status;
use crate::while_gone::WhileGone;
use draw_protocol::{Color, Digest, Position, Request, Size};
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A display on another machine, drawn on without waiting, by a plain program.
///
/// It is the asynchronous [`Display`](crate::Display) with the same names and the same rules, and without a runtime: a
/// thread of its own carries what the program's threads have called.
///
/// 1. **Drawing calls return when they are accepted; `get_...` calls when they are answered.** A loop of drawing calls
///    waits only while too much is unanswered. [`sync`](Pipeline::sync) is the barrier: everything before it has been
///    drawn or has failed.
/// 2. **An error goes to whoever waits for it; if nobody does, to the error callback; if there is none, to the next
///    `sync` or `close`.** Never to nobody. See [`Reply`].
///
/// Clones share the connection. Calls are executed in the order in which they were accepted. A call that comes alone,
/// with nothing under way, is written to the network before it returns; calls that follow each other at once travel
/// together, some 0.1 ms later at most.
///
/// Dropping the last clone waits until everything that was accepted is done, for at most five seconds, and then until the
/// error callback has heard of what failed, for at most as long again: a program that draws and then returns from `main`
/// has drawn. (Inside the error callback it does not wait.) Errors that nobody was told of by then are printed on standard error.
/// One that leaves by [`std::process::exit`], or by the end of
/// `main` while other threads hold clones, may lose what is under way, unless it calls [`close`](Pipeline::close) or
/// [`sync`](Pipeline::sync) first.
///
/// As all calls that block, these are not for asynchronous code: what else runs on that thread has to wait. It belongs to the
/// process that has connected, and is no matter for signal handlers: see [forks](crate#forks-and-signal-handlers).
///
/// ```no_run
/// use draw_client::{Color, blocking::Display};
///
/// let display = Display::connect("localhost:3729")?.pipelined()?;
/// for x in 0..100 {
///     display.draw_pixel(x, 50, Color::RED)?;                 // does not wait for the display
/// }
/// display.fill_rect(0, 60, 100, 10, Color::BLUE)?.wait()?;    // does
/// println!("the pointer is at {:?}", display.get_mouse()?);   // a question waits for its answer
/// display.sync()?;                                            // says what has failed
/// # Ok::<(), draw_client::Error>(())
/// ```
#[derive(Clone)]
pub struct Pipeline {
    /// Let go of before `last`, whose end waits for it.
    display: crate::Display,
    last: Arc<Last>,
}

/// Gone with the last clone.
struct Last {
    shared: Arc<Shared>,
}

impl Drop for Last {
    fn drop(&mut self) {
        if !self.shared.is_callback() {
            // The driver bounds the wait for the display, and this what the callback takes.
            let deadline = Instant::now() + 2 * limits::FAREWELL;
            if wait_until(poll_fn(|cx| self.shared.poll_closed(cx)), deadline).is_none() {
                self.shared.report_undelivered();
            }
        }
    }
}

/// Sets up a [`Pipeline`] with an error callback: [`Pipeline::builder`].
///
/// ```no_run
/// # fn example() -> draw_client::Result<()> {
/// let display = draw_client::blocking::Pipeline::builder()
///     .on_error(|late| eprintln!("{late}"))
///     .timeout(std::time::Duration::from_secs(10))
///     .connect("localhost:3729")?;
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct PipelineBuilder {
    settings: Settings,
    display: Builder,
}

impl fmt::Debug for PipelineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineBuilder")
            .field("settings", &self.settings)
            .field("display", &self.display)
            .finish()
    }
}

impl PipelineBuilder {
    /// Who hears of failed calls that nobody waits for, by the rules of the asynchronous
    /// [`Builder::on_error`](crate::Builder::on_error). A callback that keeps a clone of the pipeline keeps the connection
    /// open until `close` is called.
    pub fn on_error(mut self, callback: impl FnMut(LateError) + Send + 'static) -> PipelineBuilder {
        self.settings.error = Some(Box::new(callback));
        self
    }

    /// How long a call waits to be accepted, and how long for its answer. 30 seconds unless set.
    pub fn timeout(mut self, timeout: Duration) -> PipelineBuilder {
        self.display = self.display.timeout(timeout);
        self
    }

    /// What it means that a call is done: see [`crate::Builder::durability`]. A display that is handed to
    /// [`over`](PipelineBuilder::over) has decided that already.
    pub fn durability(mut self, durability: Durability) -> PipelineBuilder {
        self.display = self.display.durability(durability);
        self
    }

    /// Whether client and display look at each message for bytes that were altered on their way: see [`crate::Builder::checksums`].
    /// A display that is handed to [`over`](PipelineBuilder::over) has decided that already.
    pub fn checksums(mut self, checksums: bool) -> PipelineBuilder {
        self.display = self.display.checksums(checksums);
        self
    }

    /// For how long a lost connection is tried to be made anew: see [`crate::Builder::reconnect`].
    pub fn reconnect(mut self, within: Duration) -> PipelineBuilder {
        self.display = self.display.reconnect(within);
        self
    }

    /// What happens to calls that are made while the connection is lost: see [`crate::Builder::while_gone`].
    pub fn while_gone(mut self, policy: WhileGone) -> PipelineBuilder {
        self.settings.while_gone = policy;
        self
    }

    /// Whether to go on with a display that has lost the last of what it had executed: see [`crate::Builder::accept_loss`].
    pub fn accept_loss(mut self, accept: bool) -> PipelineBuilder {
        self.settings.accepts_loss = accept;
        self
    }

    /// Who hears what becomes of the connection: see [`crate::Builder::on_status`].
    pub fn on_status(mut self, callback: impl FnMut(Status) + Send + 'static) -> PipelineBuilder {
        self.settings.status = Some(Box::new(callback));
        self
    }

    /// How long connecting may take: see [`Builder::connect_timeout`].
    pub fn connect_timeout(mut self, timeout: Duration) -> PipelineBuilder {
        self.display = self.display.connect_timeout(timeout);
        self
    }

    /// Whether the round-trip doctor says which lines waited for the display: see
    /// [`Builder::doctor`](crate::Builder::doctor).
    pub fn doctor(mut self, doctor: bool) -> PipelineBuilder {
        self.display = self.display.doctor(doctor);
        self
    }

    /// Connects to `host`, `host:port` or `[ipv6]:port`; the port is 3729 unless given.
    ///
    /// # Errors
    /// See [`Builder::connect`] and [`Display::pipelined`].
    pub fn connect(self, address: &str) -> Result<Pipeline> {
        let display = self.display.connect(address)?;
        self.over(display)
    }

    /// Connects to the display that `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// See [`Builder::connect`] and [`Display::pipelined`].
    pub fn open(self) -> Result<Pipeline> {
        let display = self.display.open()?;
        self.over(display)
    }

    /// Takes over the connection of a synchronous display, as [`Display::pipelined`] does; the timeout of calls is this
    /// builder's. A doctor goes on with its account, unless this builder says that there is to be none.
    ///
    /// # Errors
    /// See [`Display::pipelined`].
    pub fn over(self, display: Display) -> Result<Pipeline> {
        let (link, stats, mut doctor) = display.take()?;
        match self.display.doctor {
            Some(false) => doctor = None,
            Some(true) if doctor.is_none() => {
                doctor = doctor::open(Some(true), Client::Pipeline, Instant::now());
            }
            _ => {}
        }
        thread::start(link, stats, doctor, self.display.timeout, self.settings).map(Pipeline::new)
    }
}

/// The reply of a drawing call that was accepted.
///
/// | what you do with it | it worked | it failed |
/// |---|---|---|
/// | drop it, or never name it | nothing | the error callback gets it |
/// | [`reply.wait()?`](Reply::wait) | `Ok` | the error, here and only here |
/// | [`reply.ignore()`](Reply::ignore) | nothing | nothing |
///
/// While it lives, its error waits for it. Dropping it loses nothing: an error that it has not told goes to the error
/// callback, and without one to the next `sync()` or `close()`.
#[derive(Debug)]
pub struct Reply<'d> {
    inner: crate::Reply<'d>,
}

impl Reply<'_> {
    /// Waits until the display has drawn it.
    ///
    /// # Errors
    /// What the display finds wrong with the call, or that no answer came.
    pub fn wait(self) -> Result<()> {
        wait(self.inner)
    }

    /// The number of the call on its connection, which late errors name.
    pub fn number(&self) -> u64 {
        self.inner.number()
    }

    /// A reply that does not borrow the pipeline, to be kept or sent to another thread.
    pub fn into_owned(self) -> Reply<'static> {
        Reply { inner: self.inner.into_owned() }
    }

    /// Nobody wants to know whether it failed, not the error callback either.
    pub fn ignore(self) {
        self.inner.ignore();
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("blocking::Pipeline").field("size", &self.size()).finish_non_exhaustive()
    }
}

impl Pipeline {
    /// Sets up how to connect: an error callback, deadlines.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::default()
    }

    /// Connects to the display at `host`, `host:port` or `[ipv6]:port`, and returns when it has greeted back.
    ///
    /// # Errors
    /// See [`PipelineBuilder::connect`].
    pub fn connect(address: &str) -> Result<Pipeline> {
        Pipeline::builder().connect(address)
    }

    /// Connects to the display that the environment variable `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// See [`PipelineBuilder::connect`].
    pub fn open() -> Result<Pipeline> {
        Pipeline::builder().open()
    }

    pub(super) fn new(display: crate::Display) -> Pipeline {
        let last = Arc::new(Last { shared: Arc::clone(display.shared()) });
        Pipeline { display, last }
    }

    /// Width and height, as the display told them when the connection was made.
    pub fn size(&self) -> Size {
        self.display.size()
    }

    /// Returns the name of the display, if the address had one: `plots` of `localhost:3729/plots`.
    pub fn name(&self) -> Option<&str> {
        self.display.name()
    }

    /// What this connection has done so far.
    pub fn stats(&self) -> Stats {
        self.display.stats()
    }

    /// Which lines have waited for the display so far, and what would cure that: see [`Diagnosis`]. Nothing where the
    /// doctor is not on: [`PipelineBuilder::doctor`].
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        self.display.diagnosis()
    }

    /// What a `Draw` does when it is polled, without the moves from one future and one result into the next, which take a
    /// third of a call's time. This one is never given up half-way.
    #[track_caller]
    #[inline]
    fn draw(&self, request: &Request<'_>) -> Result<Reply<'_>> {
        let (shared, caller) = (self.display.shared(), self.display.caller(Location::caller()));
        let mut turn = Wait::default();
        let number = wait(poll_fn(|cx| shared.poll_call(request, &caller, &mut turn, cx)))?;
        Ok(Reply { inner: crate::Reply::new(shared, number) })
    }

    /// A part of the program whose late errors are told apart: see [`Display::scope`](crate::Display::scope).
    ///
    /// ```no_run
    /// use draw_client::{Color, blocking::Pipeline};
    ///
    /// # fn example(display: &Pipeline) -> draw_client::Result<()> {
    /// let legend = display.scope("legend").on_error(|late| eprintln!("the legend is not whole: {late}"));
    /// legend.draw_pixel(10, 10, Color::RED)?;
    /// # Ok(()) }
    /// ```
    #[must_use = "calls through the handle that this answers belong to the scope"]
    pub fn scope(&self, name: &str) -> Pipeline {
        Pipeline { display: self.display.scope(name), last: Arc::clone(&self.last) }
    }

    /// Who hears of failed calls of this handle's scope, of the pipeline's own for a handle of none, that nobody waits
    /// for: see [`Display::on_error`](crate::Display::on_error).
    pub fn on_error(self, callback: impl FnMut(LateError) + Send + 'static) -> Pipeline {
        Pipeline { display: self.display.on_error(callback), last: self.last }
    }

    /// Ends the connection, for all clones: no further call is accepted, and it returns when everything that was accepted
    /// is done and the error callback has heard of what failed. The thread of the connection then ends by itself.
    ///
    /// Called by the error callback itself, it does not wait for the callback.
    ///
    /// # Errors
    /// [`Error::Late`](crate::Error::Late) with what failed earlier, if there is no error callback;
    /// [`Error::Disconnected`](crate::Error::Disconnected) if the connection was lost before;
    /// [`Error::Timeout`](crate::Error::Timeout) if the display, or the callback, does not come to an end.
    pub fn close(&self) -> Result<()> {
        let shared = &self.last.shared;
        shared.leave_if_forked();
        shared.lock().close(Instant::now());
        let deadline = Instant::now() + shared.longest_close();
        let closed = wait_until(poll_fn(|cx| shared.poll_closed(cx)), deadline);
        closed.unwrap_or_else(|| Err(shared.not_closed()))
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
        /// The calls. Each returns when it is accepted or answered: see the rules above.
        impl Pipeline {
            $(
                $(#[doc = $draw_doc])+
                ///
                /// # Errors
                /// When it could not be accepted: the connection is gone, it had no turn within the timeout because the
                /// display is behind, or no display can execute it. What the display finds wrong with it comes through
                /// the [`Reply`].
                #[track_caller]
                #[inline]
                pub fn $draw(&self, $($dp: argument!($dt)),*) -> Result<Reply<'_>> {
                    self.draw(&Request::$Draw { $($dp: $dp.into()),* })
                }
            )+
            $(
                $(#[doc = $ask_doc])+
                ///
                /// # Errors
                /// What the display finds wrong with it, or that no answer came. `sync` and `sync_durable` also return what failed
                /// earlier, if there is no error callback: [`Error::Late`](crate::Error::Late).
                #[track_caller]
                pub fn $ask(&self, $($ap: $at),*) -> Result<$answer> {
                    wait(self.display.$ask($($ap),*))
                }
            )+
        }
    };
}

draw_protocol::calls!(methods);
