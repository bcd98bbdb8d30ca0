//! The two futures of a drawing call: one until the call is accepted, one until it is done.

use crate::completion::{Caller, ReplyState};
use crate::error::{Error, Result};
use crate::shared::{Shared, Wait};
use draw_protocol::{Answer, Request};
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// The future of a drawing call. It is ready when the call is accepted.
///
/// It is ready at once, unless the display is behind or other tasks have to run first, above all the one that sends. Nothing is
/// sent before it is ready: dropping it earlier draws nothing.
#[must_use = "a drawing call does nothing until it is awaited"]
#[derive(Debug)]
pub struct Draw<'d, 'p> {
    shared: &'d Arc<Shared>,
    request: Request<'p>,
    caller: Caller<'d>,
    wait: Wait,
}

impl<'d, 'p> Draw<'d, 'p> {
    pub(crate) fn new(shared: &'d Arc<Shared>, request: Request<'p>, caller: Caller<'d>) -> Draw<'d, 'p> {
        Draw { shared, request, caller, wait: Wait::default() }
    }
}

impl<'d> Future for Draw<'d, '_> {
    type Output = Result<Reply<'d>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let call = ready!(this.shared.poll_call(&this.request, &this.caller, &mut this.wait, cx));
        Poll::Ready(call.map(|number| Reply::new(this.shared, number)))
    }
}

impl Drop for Draw<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        if let Some((id, _)) = self.wait.turn {
            self.shared.lock().leave_queue(id);
        }
    }
}

/// The reply of a drawing call that was accepted: a future, ready when the call is drawn.
///
/// | what you do with it | it worked | it failed |
/// |---|---|---|
/// | drop it, or never name it | nothing | the error callback gets it |
/// | `reply.await?` | `Ok` | the error, here and only here |
/// | [`reply.ignore()`](Reply::ignore) | nothing | nothing |
///
/// While it lives, it keeps the error of its call. Dropping it at any point loses nothing: an error that it has not returned goes
/// to the error callback, and without one to the next `sync()` or `close()`.
///
/// After [`Error::Timeout`] it may be awaited again, if it was awaited by reference: it waits for as long once
/// more. If it is dropped then, a later fault of the call goes to the error callback; a lost connection does not, since the
/// timeout has said already that the outcome is unknown.
#[derive(Debug)]
pub struct Reply<'d> {
    pending: Option<Pending<'d>>,
}

impl<'d> Reply<'d> {
    #[inline]
    pub(crate) fn new(shared: &'d Arc<Shared>, number: u64) -> Reply<'d> {
        let shared = Handle::Borrowed(shared);
        Reply { pending: Some(Pending { shared, number, deadline: None, is_again: false, is_over: false }) }
    }

    /// Returns the number of the call on its connection, which late errors name.
    pub fn number(&self) -> u64 {
        self.pending.as_ref().map_or(0, |pending| pending.number)
    }

    /// Converts to a reply that does not borrow the display, to keep it or send it to another task.
    pub fn into_owned(mut self) -> Reply<'static> {
        let pending = self.pending.take();
        Reply { pending: pending.map(Pending::into_owned) }
    }

    /// Discards the result. An error goes nowhere, not to the error callback either.
    pub fn ignore(mut self) {
        if let Some(pending) = self.pending.take() {
            pending.end(ReplyState::Ignored);
        }
    }

    /// Converts to the future of an answer.
    pub(crate) fn into_pending(mut self) -> Option<Pending<'d>> {
        self.pending.take()
    }
}

impl Future for Reply<'_> {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(pending) = &mut self.pending else {
            return Poll::Ready(Ok(()));
        };
        pending.poll_answer(cx).map_ok(|_| ())
    }
}

/// A call that was accepted. It gives up its claim to the result when it is dropped.
#[derive(Debug)]
pub(crate) struct Pending<'d> {
    shared: Handle<'d>,
    number: u64,
    /// The deadline, once it has to wait, and whether a timeout has passed already. (Nearly all are created and dropped
    /// at once: each byte more is moved for every call.)
    deadline: Option<Instant>,
    is_again: bool,
    /// The result was returned, or the claim to it has moved elsewhere.
    is_over: bool,
}

impl Pending<'_> {
    pub(crate) fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer>> {
        let result = ready!(self.shared.poll_result(self.number, &mut self.deadline, &mut self.is_again, cx));
        // The true result may still come after a timeout, and is not lost then.
        self.is_over = !matches!(result, Err(Error::Timeout { .. }));
        Poll::Ready(result)
    }

    fn into_owned(mut self) -> Pending<'static> {
        let shared = Handle::Owned(Arc::clone(&self.shared));
        let Pending { number, deadline, is_again, is_over, .. } = self;
        self.is_over = true;
        Pending { shared, number, deadline, is_again, is_over }
    }

    fn end(mut self, reply: ReplyState) {
        self.give_up(reply);
    }

    #[inline]
    fn give_up(&mut self, reply: ReplyState) {
        if !std::mem::replace(&mut self.is_over, true) {
            match reply {
                ReplyState::Dropped if self.is_again => self.shared.forget(self.number, ReplyState::TimedOut),
                // The list of waiters has to be updated for a reply that has waited.
                ReplyState::Dropped if self.deadline.is_none() => self.shared.drop_reply(self.number),
                reply => self.shared.forget(self.number, reply),
            }
        }
    }
}

impl Drop for Pending<'_> {
    #[inline]
    fn drop(&mut self) {
        self.give_up(ReplyState::Dropped);
    }
}

/// The connection, borrowed from the display (a call then costs no reference count) or held.
enum Handle<'d> {
    Borrowed(&'d Arc<Shared>),
    Owned(Arc<Shared>),
}

impl Deref for Handle<'_> {
    type Target = Arc<Shared>;

    fn deref(&self) -> &Arc<Shared> {
        match self {
            Handle::Borrowed(shared) => shared,
            Handle::Owned(shared) => shared,
        }
    }
}

impl fmt::Debug for Handle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Display")
    }
}
