//! The connection that the clones of a blocking display share, and its lock.

use crate::doctor::{self, Doctor};
use crate::error::{DisconnectReason, Error, Outcome, Result};
use crate::link::blocking::Link;
use crate::link::pipeline_thread::Settings;
use crate::process::{Inside, Mark, Owner, try_lock};
use crate::shared::Stats;
use draw_protocol::client::CallSite;
use draw_protocol::{Answer, Request};
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(super) struct Own {
    pub(super) inner: Mutex<Inner>,
    pub(super) mark: Mark,
    /// The process that has connected.
    pub(super) owner: Owner,
    pub(super) timeout: Duration,
    /// The name of the display on its server.
    pub(super) name: Option<String>,
}

/// The connection, locked for one call. The lock is given back before the thread counts as outside.
pub(super) struct Held<'a> {
    pub(super) inner: MutexGuard<'a, Inner>,
    _inside: Inside,
}

pub(super) struct Inner {
    /// The connection, or why no further call can succeed.
    pub(super) link: Result<Link, DisconnectReason>,
    pub(super) stats: Stats,
    /// Accounts for the waits, if the program or the environment asks for it.
    pub(super) doctor: Option<Box<Doctor>>,
    /// The settings of a pipeline that is made of this display.
    pub(super) settings: Settings,
}

impl Inner {
    /// Makes a call. `owner` is the process that has connected.
    pub(super) fn call(&mut self, request: &Request<'_>, place: CallSite, owner: Owner) -> Result<Answer> {
        let link = self.link.as_mut().map_err(|reason| unsent(reason))?;
        let before = self.stats.calls;
        let result = link.call(request, &mut self.stats, owner);
        if let Some(doctor) = &mut self.doctor {
            // A request that fails the check is not sent.
            if self.stats.calls > before {
                let was_given_up = matches!(result, Err(Error::Timeout { .. } | Error::Disconnected { .. }));
                let ended_at = if was_given_up { Instant::now() } else { link.received_at };
                doctor.called(request, place, link.called_at, ended_at);
            }
            if let Err(error) = &result {
                doctor.failed(request.method(), place, error);
            }
        }
        if let Err(Error::Disconnected { reason, .. }) = &result {
            // The connection stays lost.
            self.link = Err(reason.clone());
        }
        result
    }

    pub(super) fn print_last_diagnosis(&mut self) {
        if let Some(diagnosis) = self.doctor.as_mut().and_then(|doctor| doctor.last_diagnosis(Instant::now()))
        {
            doctor::print(&diagnosis);
        }
    }
}

impl Own {
    /// Locks the connection for one call: clones take turns.
    ///
    /// # Errors
    /// [`Error::WouldDeadlock`] if this thread holds the lock already, [`Error::Disconnected`] in a process that was
    /// forked while another thread held it.
    pub(super) fn lock(&self) -> Result<Held<'_>> {
        let Own { inner, mark, owner, timeout, .. } = self;
        let inside = Inside::enter(*mark);
        let inner = match try_lock(inner) {
            Some(inner) => inner,
            None if owner.is_other() => return Err(owner.refuse(Outcome::Rejected)),
            // The holder may be waiting for an answer.
            None => inside
                .outer()
                .wait_for(inner, *mark, *timeout)
                .ok_or(Error::WouldDeadlock { in_callback: false })?,
        };
        Ok(Held { inner, _inside: inside })
    }

    /// Does the same if this process has connected.
    pub(super) fn lock_here(&self) -> Result<Held<'_>> {
        let owner = self.owner;
        if owner.is_other() { Err(owner.refuse(Outcome::Rejected)) } else { self.lock() }
    }
}

/// Does what `close` does, if it was not called.
impl Drop for Own {
    fn drop(&mut self) {
        // The connection belongs to the other process: nothing is printed or sent here.
        if self.owner.is_other() {
            return;
        }
        let inner = self.inner.get_mut().unwrap_or_else(PoisonError::into_inner);
        inner.print_last_diagnosis();
        if let Ok(link) = &mut inner.link {
            link.finish();
        }
    }
}

/// Returns the error of a call after the end.
pub(super) fn unsent(reason: &DisconnectReason) -> Error {
    Error::Disconnected { reason: reason.clone(), outcome: Outcome::Rejected }
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
