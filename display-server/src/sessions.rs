//! Tracks which connection has which session. Uses the protocol only.
//!
//! A session moves as a whole: a connection that claims a session of another connection notifies that one, and waits
//! until it has given the session back. The session is never shared, so input that still arrives on the older
//! connection is not executed.

mod holder;
mod session_mirror;
#[cfg(test)]
mod tests;

pub(crate) use holder::Holder;
pub(crate) use session_mirror::SessionMirror;

use crate::clock::now;
use draw_protocol::session::{self, Claim, Id, Peer, Resume, Session};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The sessions of a display.
pub(crate) struct Sessions {
    /// The instance of the display, and how often it was started.
    instance: (Id, u64),
    /// Held only to look up and to move sessions; nothing is called meanwhile.
    table: Mutex<Table>,
}

struct Table {
    sessions: session::Sessions<Arc<Holder>>,
    /// Connections that wait for a session of another connection. They are rare, so all are woken when a session is
    /// given back.
    waiting: Vec<Waker>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Creates an empty table for an instance of a display, and the number of its starts.
    pub(crate) fn new(instance: (Id, u64)) -> Sessions {
        let table = Table { sessions: session::Sessions::default(), waiting: Vec::new() };
        Sessions { instance, table: Mutex::new(table) }
    }

    /// Creates a table with the sessions of a journal, which wait for their clients.
    pub(crate) fn restored(instance: (Id, u64), mirror: &SessionMirror) -> Sessions {
        let sessions = Sessions::new(instance);
        for (id, session) in mirror.all() {
            sessions.lock().sessions.restore(id, session, now());
        }
        sessions
    }

    /// Returns the instance of the display, and how often it was started.
    pub(crate) fn instance(&self) -> (Id, u64) {
        self.instance
    }

    /// Returns whether there is a session with this id.
    pub(crate) fn contains(&self, id: Id) -> bool {
        self.lock().sessions.contains(id)
    }

    /// Returns how many sessions there are.
    pub(crate) fn count(&self) -> usize {
        let (count, _) = self.lock().sessions.count();
        count
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is ready when no other connection has the session, which the caller then has, with its state if it exists.
    /// Returns the number of a later `hello` as an error, if one was received.
    pub(crate) fn poll_claim(
        &self,
        request: &Resume,
        peer: Peer,
        holder: &Arc<Holder>,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Session>, u64>> {
        let Table { sessions, waiting } = &mut *self.lock();
        match sessions.claim(request, peer, Arc::clone(holder), now()) {
            Claim::Granted(found) => Poll::Ready(Ok(found)),
            Claim::Overtaken(latest) => Poll::Ready(Err(latest)),
            Claim::Held(other) => {
                other.want();
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Gives a session back. `None` removes it.
    pub(crate) fn give_back(&self, id: Id, session: Option<Session>) {
        let waiting = {
            let Table { sessions, waiting } = &mut *self.lock();
            match session {
                Some(session) => sessions.park(id, session, now()),
                None => sessions.forget(id),
            }
            std::mem::take(waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}
