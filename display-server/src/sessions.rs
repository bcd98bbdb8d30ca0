//! Which connection has which session.
//!
//! A session is handed over whole: a connection that asks for one that another has tells that one so, and waits until it has
//! given it back. Nothing of it is shared meanwhile, so what still arrives on the older connection cannot be executed.

mod holder;
mod shadow;
#[cfg(test)]
mod tests;

pub(crate) use holder::Holder;
pub(crate) use shadow::Shadow;

use crate::clock::now;
use draw_protocol::session::{self, Claim, Id, Peer, Resume, Session, Stamp};
use draw_protocol::{Answer, Fault};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

/// The sessions of a display.
pub(crate) struct Sessions {
    /// Which display this is, and how often it was started: as it was made, unless a journal says otherwise.
    instance: (Id, u64),
    journaled: OnceLock<Journaled>,
    /// Held only to look up and to move; nothing is called meanwhile.
    table: Mutex<Table>,
}

/// Of a display that has a journal.
struct Journaled {
    instance: (Id, u64),
    shadow: Arc<Shadow>,
}

struct Table {
    sessions: session::Sessions<Arc<Holder>>,
    /// Who waits for a session that another connection has. There are rarely any: all are woken when one is given back.
    waiting: Vec<Waker>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Sessions {
    /// None yet, of this display.
    pub(crate) fn new(instance: (Id, u64)) -> Sessions {
        let table = Table { sessions: session::Sessions::default(), waiting: Vec::new() };
        Sessions { instance, journaled: OnceLock::new(), table: Mutex::new(table) }
    }

    /// Which display this is, and how often it was started.
    pub(crate) fn instance(&self) -> (Id, u64) {
        self.journaled.get().map_or(self.instance, |journaled| journaled.instance)
    }

    /// The display has a journal, which says which it is and brings its sessions back: they wait for their clients.
    pub(crate) fn adopt(&self, instance: (Id, u64), shadow: Arc<Shadow>) {
        for (id, session) in shadow.all() {
            self.lock().sessions.restore(id, session, now());
        }
        _ = self.journaled.set(Journaled { instance, shadow });
    }

    /// A connection that has the log of the journal has written that it has taken a session up. Returns those that are gone: it is
    /// to write that of them, before it gives the log back, so that whoever takes one of them up again comes behind it.
    pub(crate) fn journal_session(&self, id: Id, session: &Session) -> Vec<(Id, Session)> {
        let Some(Journaled { shadow, .. }) = self.journaled.get() else { return Vec::new() };
        let (count, _) = self.lock().sessions.count();
        shadow.taken_up(id, session.clone(), |id| self.lock().sessions.contains(id), count)
    }

    /// A connection that has the log of the journal has drawn what it has written there, and this came of it.
    pub(crate) fn journal_call(&self, stamp: Stamp, result: &Result<Answer, Fault>) {
        if let Some(Journaled { shadow, .. }) = self.journaled.get() {
            shadow.drawn(stamp, result);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when no other connection has the session: it is the caller's then, with what there was of it. An error is the number
    /// of a later `hello` that has come.
    pub(crate) fn poll_claim(
        &self,
        asked: &Resume,
        peer: Peer,
        holder: &Arc<Holder>,
        cx: &Context<'_>,
    ) -> Poll<Result<Option<Session>, u64>> {
        let Table { sessions, waiting } = &mut *self.lock();
        match sessions.claim(asked, peer, Arc::clone(holder), now()) {
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

    /// A connection gives a session back. Without what there is of it, there is none any more.
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
