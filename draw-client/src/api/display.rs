//! The asynchronous display.

use super::ConnectOptions;
use super::Draw;
use crate::clock::now;
use crate::completion::{Caller, Scope};
use crate::doctor::Diagnosis;
use crate::error::{Error, LateError, Result};
use crate::shared::{Shared, State, Stats};
use crate::transport::address;
use draw_protocol::client::CallSite;
use draw_protocol::{Answer, Color, Digest, Position, Request, Size};
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;

/// A display on another machine, drawn on without waiting, on a tokio runtime.
///
/// ```no_run
/// use draw_client::{Color, ConnectOptions};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> draw_client::Result<()> {
///     let display = ConnectOptions::new().on_error(|late| eprintln!("{late}")).connect("localhost:3729").await?;
///     for x in 0..100 {
///         display.draw_pixel(x, 50, Color::RED).await?;                  // does not wait for the display
///     }
///     display.fill_rect(0, 60, 100, 10, Color::BLUE).await?.await?;      // the second await does
///     println!("the pointer is at {:?}", display.get_mouse().await?);    // a question waits for its answer
///     display.close().await
/// }
/// ```
///
/// Drawing calls are ready when they are accepted, `get_...` calls when they are answered. A loop of drawing calls waits only
/// while too many are unanswered. [`sync`](Display::sync) is a barrier: everything before it has been drawn or has failed.
///
/// The error of a drawing call goes to its [`Reply`](crate::Reply); if that was dropped, to the error callback; without one, to
/// the next `sync` or `close`.
///
/// Clones share the connection. Calls are executed in the order in which they were accepted. Dropping a future at any point
/// loses nothing that was accepted.
///
/// Dropping the last clone still sends what was accepted, for at most five seconds, and calls the error callback. A runtime that
/// ends drops the connection, so end a program with [`close`](Display::close). Errors that were not delivered are printed on
/// standard error.
///
/// A display belongs to the process that has connected, and must not be used in signal handlers: see
/// [forks](crate#forks-and-signal-handlers).
#[derive(Clone)]
pub struct Display {
    handle: Arc<Handle>,
    /// The scope of the calls that this handle makes.
    scope: Arc<Scope>,
}

/// Dropped with the last clone of the display.
struct Handle {
    shared: Arc<Shared>,
    size: Size,
    /// The name of the display on its server.
    name: Option<String>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(unseen @ 1..) = self.shared.detach_if_forked() {
            self.shared.report_unseen_calls(unseen);
        }
        let mut state = self.shared.lock();
        state.abandon(now());
        State::release(state);
    }
}

impl fmt::Debug for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Display").field("size", &self.handle.size).finish_non_exhaustive()
    }
}

impl Display {
    /// Connects with the default options to the display at `host`, `host:port`, `[ipv6]:port` or a port of this machine.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::connect`].
    pub async fn connect(address: &str) -> Result<Display> {
        ConnectOptions::new().connect(address).await
    }

    /// Connects to the display that the environment variable `DRAW_DISPLAY` names, else to `localhost:3729`.
    ///
    /// # Errors
    /// Those of [`ConnectOptions::connect`].
    pub async fn open() -> Result<Display> {
        Display::connect(&address::default_address()).await
    }

    pub(crate) fn new(shared: Arc<Shared>, size: Size) -> Display {
        let scope = Arc::clone(&shared.outermost);
        let name = shared.lock().machine.welcome().and_then(|welcome| welcome.display.clone());
        Display { handle: Arc::new(Handle { shared, size, name }), scope }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    /// Returns the caller at `place`, with the scope of this handle.
    #[inline]
    pub(crate) fn caller(&self, place: CallSite) -> Caller<'_> {
        Caller { place, scope: &self.scope }
    }

    /// Returns the width and height of the display.
    pub fn size(&self) -> Size {
        self.handle.size
    }

    /// Returns the name of the display, if the address had one: `plots` of `localhost:3729/plots`.
    pub fn name(&self) -> Option<&str> {
        self.handle.name.as_deref()
    }

    /// Returns counters of this connection.
    pub fn stats(&self) -> Stats {
        self.handle.shared.lock().account.stats
    }

    /// Returns a handle of the same connection for a part of the program. Calls of the handle, and of its clones, belong to the
    /// scope, and their late errors name it. [`Display::on_error`] gives it a callback of its own.
    ///
    /// ```no_run
    /// # async fn example(display: draw_client::Display) -> draw_client::Result<()> {
    /// use draw_client::Color;
    ///
    /// let legend = display.scope("legend").on_error(|late| eprintln!("the legend is not whole: {late}"));
    /// legend.draw_pixel(10, 10, Color::RED).await?;
    /// display.draw_pixel(10, 10, Color::RED).await?;      // this one's error goes to the display's callback
    /// # Ok(()) }
    /// ```
    ///
    /// [`FailedCall::scope`](crate::FailedCall::scope) returns the scope, and the text has it: `draw_pixel(700, 10, #ff0000ff) in
    /// legend`. Scopes nest: `display.scope("chart").scope("legend")` is `chart/legend`, and without a callback its errors go to
    /// that of `chart`, then to the display's, then to the next `sync` or `close`. Two scopes of the same name are two scopes.
    ///
    /// A scope ends with its last handle and its last call. Calls that are under way then are still executed, and their errors
    /// delivered.
    #[must_use = "calls through the handle that this answers belong to the scope"]
    pub fn scope(&self, name: &str) -> Display {
        Display { handle: Arc::clone(&self.handle), scope: Arc::new(Scope::within(&self.scope, name)) }
    }

    /// Sets the error callback of this handle's scope; for a handle outside of scopes, that of the display, which also receives
    /// the errors of scopes without a callback. It replaces an earlier one. Errors that were kept before, because there was no
    /// callback, are still returned by the next `sync` or `close`.
    ///
    /// [`ConnectOptions::on_error`] has the rules. All callbacks of a connection run on one thread, one at a time, in the order of
    /// the errors. That thread drops them too, when their scope or the connection has ended. If the system has no thread to
    /// spare, a `tracing` event reports it, and errors go where they went before.
    pub fn on_error(self, callback: impl FnMut(LateError) + Send + 'static) -> Display {
        if let Err(error) = self.handle.shared.set_callback(&self.scope, Box::new(callback)) {
            tracing::error!("cannot start the thread of an error callback: {error}");
        }
        self
    }

    /// Returns which lines have waited for the display so far, and what would avoid that: see [`Diagnosis`]. Returns `None` if the
    /// doctor is off: [`ConnectOptions::doctor`].
    pub fn diagnosis(&self) -> Option<Diagnosis> {
        self.handle.shared.diagnosis()
    }

    /// Closes the connection, for all clones. No further call is accepted. It is ready when everything that was accepted is done
    /// and the error callbacks have run.
    ///
    /// Called by the error callback itself, it does not wait for the callback.
    ///
    /// # Errors
    /// [`Error::Late`] with what failed earlier, if there is no error callback; [`Error::Disconnected`] if the
    /// connection was lost before, or belongs to the process that this one was forked from; [`Error::Timeout`] if the display, or the callback, does not come to an end.
    pub async fn close(&self) -> Result<()> {
        let shared = &self.handle.shared;
        shared.detach_if_forked();
        shared.lock().close(now());
        // The driver bounds the wait for the display. This bounds the wait for the callback, where there is a clock:
        // elsewhere than on a runtime the caller has chosen to wait. The callback does not wait for itself.
        let clock = !shared.is_callback() && tokio::runtime::Handle::try_current().is_ok();
        let mut deadline = clock.then(|| Box::pin(tokio::time::sleep(shared.longest_close())));
        std::future::poll_fn(|cx| match (shared.poll_closed(cx), &mut deadline) {
            (Poll::Pending, Some(deadline)) => deadline.as_mut().poll(cx).map(|()| Err(shared.not_closed())),
            (closed, _) => closed,
        })
        .await
    }

    /// Makes a question and waits for its answer.
    async fn ask(&self, request: Request<'_>, caller: Caller<'_>) -> Result<Answer> {
        let answer = async {
            let reply = Draw::new(&self.handle.shared, request, caller).await?;
            let Some(mut pending) = reply.into_pending() else { return Ok(Answer::Done(())) };
            std::future::poll_fn(|cx| pending.poll_answer(cx)).await
        }
        .await;
        if request.method().is_barrier() {
            let mut state = self.handle.shared.lock();
            state.errors.is_loss_reported |= matches!(answer, Err(Error::Disconnected { .. }));
            if answer.is_ok()
                && let Some(late) = state.errors.late.take_kept()
            {
                return Err(Error::Late(late));
            }
        }
        answer
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
        /// The calls. Each is ready when it is accepted or answered: see the rules above.
        impl Display {
            $(
                $(#[doc = $draw_doc])+
                ///
                /// # Errors
                /// When it could not be accepted: the connection is gone, it had no turn within the timeout because the
                /// display is behind, or no display can execute it. What the display finds wrong with it comes through
                /// the [`Reply`](crate::Reply).
                #[track_caller]
                #[inline]
                pub fn $draw<'d, 'p>(&'d self, $($dp: argument!($dt, 'p)),*) -> Draw<'d, 'p> {
                    let caller = self.caller(Location::caller());
                    Draw::new(&self.handle.shared, Request::$Draw { $($dp: $dp.into()),* }, caller)
                }
            )+
            $(
                $(#[doc = $ask_doc])+
                ///
                /// # Errors
                /// What the display finds wrong with it, or that no answer came. `sync` and `sync_durable` also return what failed
                /// earlier, if there is no error callback: [`Error::Late`].
                #[track_caller]
                pub fn $ask(&self, $($ap: $at),*) -> impl Future<Output = Result<$answer>> + Send + use<'_> {
                    let caller = self.caller(Location::caller());
                    async move {
                        match self.ask(Request::$Ask { $($ap),* }, caller).await? {
                            Answer::$Answer(value) => Ok(value),
                            other => unreachable!("{} is decoded as its own answer, not {other:?}", stringify!($ask)),
                        }
                    }
                }
            )+
        }
    };
}

draw_protocol::calls!(methods);
