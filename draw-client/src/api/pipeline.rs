//! The pipeline: the asynchronous display without a runtime.

use super::ConnectOptions;
use crate::block_on::{block_on, block_on_until};
use crate::doctor::Diagnosis;
use crate::error::{LateError, Result};
use crate::limits;
use crate::shared::{Shared, Stats, Wait};
use crate::transport::address;
use draw_protocol::{Color, Digest, Position, Request, Size};
use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::time::Instant;

/// A display on another machine, drawn on without waiting, by a program without a runtime.
///
/// ```no_run
/// use draw_client::{Color, ConnectOptions};
///
/// let display = ConnectOptions::new().on_error(|late| eprintln!("{late}")).connect_pipeline("localhost:3729")?;
/// for x in 0..100 {
///     display.draw_pixel(x, 50, Color::RED)?;                 // does not wait for the display
/// }
/// display.fill_rect(0, 60, 100, 10, Color::BLUE)?.wait()?;    // does
/// println!("the pointer is at {:?}", display.get_mouse()?);   // a question waits for its answer
/// display.sync()?;                                            // everything before it is drawn, or has failed
/// # Ok::<(), draw_client::Error>(())
/// ```
///
/// It is the asynchronous [`Display`](crate::Display) with a thread of its own in place of a runtime.
///
/// Drawing calls return when they are accepted, `get_...` calls when they are answered. A loop of drawing calls waits only
/// while too many are unanswered. [`sync`](Pipeline::sync) is a barrier: everything before it has been drawn or has failed.
///
/// The error of a drawing call goes to its [`Reply`]; if that was dropped, to the error callback; without one, to the next
/// `sync` or `close`.
///
/// Clones share the connection. Calls are executed in the order in which they were accepted. A call that comes alone, with
/// nothing under way, is written to the network before it returns. Calls that follow each other at once travel together, at most
/// some 0.1 ms later.
///
/// Dropping the last clone waits until everything that was accepted is done, for at most five seconds, and then for the error
/// callback, for at most as long again: a program that draws and then returns from `main` has drawn. Inside the error callback it
/// does not wait. Errors that were not delivered by then are printed on standard error. A program that ends by
/// [`std::process::exit`], or returns from `main` while other threads hold clones, may lose calls, unless it calls
/// [`close`](Pipeline::close) or [`sync`](Pipeline::sync) first.
///
/// These calls block: do not make them in asynchronous code. A pipeline belongs to the process that has connected, and must not be
/// used in signal handlers: see [forks](crate#forks-and-signal-handlers).
#[derive(Clone)]
pub struct Pipeline {
    /// Dropped before `last`, which waits for its end.
    display: crate::Display,
    last: Arc<Last>,
}

/// Dropped with the last clone.
struct Last {
    shared: Arc<Shared>,
}

impl Drop for Last {
    fn drop(&mut self) {
        if !self.shared.is_callback() {
            // The driver bounds the wait for the display; this deadline also bounds the wait for the callback.
            let deadline = Instant::now() + 2 * limits::FAREWELL;
            if block_on_until(poll_fn(|cx| self.shared.poll_closed(cx)), deadline).is_none() {
                self.shared.report_undelivered();
            }
        }
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
/// While it lives, it keeps the error of its call. Dropping it loses nothing: an error that it has not returned goes to
/// the error callback, and without one to the next `sync()` or `close()`.
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
        block_on(self.inner)
    }

    /// Returns the number of the call on its connection, which late errors name.
    pub fn number(&self) -> u64 {
        self.inner.number()
    }

    /// Converts to a reply that does not borrow the pipeline, to keep it or send it to another thread.
    pub fn into_owned(self) -> Reply<'static> {
        Reply { inner: self.inner.into_owned() }
    }

    /// Discards the result. An error goes nowhere, not to the error callback either.
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
    /// Connects with the default options to the display at `host`, `host:port`, `[ipv6]:port` or a port of this
    /// machine.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::connect_pipeline`].
    pub fn connect(address: &str) -> Result<Pipeline> {
        ConnectOptions::new().connect_pipeline(address)
    }

    /// Connects to the display that the environment variable `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::connect_pipeline`].
    pub fn open() -> Result<Pipeline> {
        Pipeline::connect(&address::default_address())
    }

    pub(super) fn new(display: crate::Display) -> Pipeline {
        let last = Arc::new(Last { shared: Arc::clone(display.shared()) });
        Pipeline { display, last }
    }

    /// Returns the width and height of the display.
    pub fn size(&self) -> Size {
        self.display.size()
    }

    /// Returns the name of the display, if the address had one: `plots` of `localhost:3729/plots`.
    pub fn name(&self) -> Option<&str> {
        self.display.name()
    }

    /// Returns counters of this connection.
    pub fn stats(&self) -> Stats {
        self.display.stats()
    }

    /// Returns which lines have waited for the display so far, and what would avoid that: see [`Diagnosis`]. Returns
    /// `None` if the doctor is off: [`ConnectOptions::doctor`].
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        self.display.diagnosis()
    }

    /// Does what a polled `Draw` does, without moving one future and one result into the next, which takes a third of a
    /// call's time. This call is never given up half-way.
    #[track_caller]
    #[inline]
    fn draw(&self, request: &Request<'_>) -> Result<Reply<'_>> {
        let (shared, caller) = (self.display.shared(), self.display.caller(Location::caller()));
        let mut turn = Wait::default();
        let number = block_on(poll_fn(|cx| shared.poll_call(request, &caller, &mut turn, cx)))?;
        Ok(Reply { inner: crate::Reply::new(shared, number) })
    }

    /// Returns a handle of the same connection for a part of the program, whose late errors name it: see
    /// [`Display::scope`](crate::Display::scope).
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

    /// Sets the error callback of this handle's scope; for a handle outside of scopes, that of the pipeline: see
    /// [`Display::on_error`](crate::Display::on_error).
    pub fn on_error(self, callback: impl FnMut(LateError) + Send + 'static) -> Pipeline {
        Pipeline { display: self.display.on_error(callback), last: self.last }
    }

    /// Closes the connection, for all clones. No further call is accepted. It returns when everything that was accepted
    /// is done and the error callbacks have run. The thread of the connection then ends by itself.
    ///
    /// Called by the error callback itself, it does not wait for the callback.
    ///
    /// # Errors
    /// [`Error::Late`](crate::Error::Late) with what failed earlier, if there is no error callback;
    /// [`Error::Disconnected`](crate::Error::Disconnected) if the connection was lost before;
    /// [`Error::Timeout`](crate::Error::Timeout) if the display, or the callback, does not come to an end.
    pub fn close(&self) -> Result<()> {
        let shared = &self.last.shared;
        shared.detach_if_forked();
        shared.lock().close(Instant::now());
        let deadline = Instant::now() + shared.longest_close();
        let closed = block_on_until(poll_fn(|cx| shared.poll_closed(cx)), deadline);
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
                    block_on(self.display.$ask($($ap),*))
                }
            )+
        }
    };
}

draw_protocol::calls!(methods);
