//! When a client connects, reconnects and gives up, as a state machine without I/O.
//!
//! The owner of a [`Reconnect`] dials and waits as the machine says, and reports what happens. Instants and the seed of the jitter are
//! arguments, so a test runs through an outage of a minute in no time.
//!
//! ```text
//!              poll_dial          handle_dialed          handle_connected
//!  Waiting ---------------> Dialing -----------> Greeting ---------------> Connected
//!     ^                        |                    |                          |
//!     +------------------------+--------------------+--------------------------+
//!        handle_failed, handle_lost or handle_timeout, while another attempt may succeed; else Ended
//! ```
//!
//! The same rules hold for every client:
//!
//! - Before `hello` is answered for the first time, the first failure is final, unless `hello` or its answer may have been altered
//!   or overtaken on the way. Everything has to be done by one deadline.
//! - A connection that is lost later is made anew while [`Policy::window`] lasts, if the display granted a session and the
//!   [`Kind`] of the loss says that another attempt may succeed. The pause before each attempt doubles, from 0.1 s to 5 s, and varies
//!   by a fifth.
//! - A connection on which nothing was achieved continues the outage before it.

mod kind;
mod outage;
#[cfg(test)]
mod tests;

pub use kind::{Kind, Reason};

use crate::limits;
use outage::{Jitter, Outage, Previous};
use std::time::{Duration, Instant};

/// What the user of a client has decided about connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long a lost connection is made anew before it is given up. Zero disables reconnecting.
    pub window: Duration,
    /// How long one attempt may take to connect, and then the display to answer `hello`.
    pub attempt: Duration,
    /// Whether to continue with a display that has lost the last of what it had executed.
    pub accepts_loss: bool,
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// There is no connection. The next attempt is due at this time.
    Waiting(Instant),
    /// A connection is being made. It has to be there by this time.
    Dialing(Instant),
    /// There is a connection, on which `hello` has not been answered. The answer has to come by this time.
    Greeting(Instant),
    /// The display has answered `hello`.
    Connected,
    /// There will be no other connection: see [`Reconnect::end`].
    Ended,
}

/// Why a client makes no further attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End<R> {
    /// Another attempt would fail in the same way, or is not wanted.
    Final(R),
    /// The window is over.
    GaveUp {
        /// How long the display was gone.
        after: Duration,
        /// Why the last attempt failed.
        last: R,
    },
    /// The first connection was not made in time.
    NeverConnected,
}

/// What the user may be told: the connection is lost, or an attempt to make another has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry<R> {
    /// Why.
    pub reason: R,
    /// When the next attempt is due.
    pub next: Instant,
    /// Whether an outage begins or continues with it, rather than an attempt has failed.
    pub is_loss: bool,
}

/// What a connection had achieved when it was lost, and what another could do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Number of the last request that the display has reported as executed.
    pub applied: u64,
    /// Whether calls are under way.
    pub is_busy: bool,
    /// Whether the display has granted a session: what is under way can continue on another connection.
    pub is_resumable: bool,
    /// Whether messages have checks.
    pub is_checked: bool,
    /// Whether the user still needs a connection.
    pub is_needed: bool,
}

/// Decides when a client connects, reconnects and gives up. `R` is what the client tells its user about a loss.
#[derive(Debug)]
pub struct Reconnect<R> {
    policy: Policy,
    phase: Phase,
    /// When the first connection has to be there. Unset once `hello` has been answered.
    first: Option<Instant>,
    /// How many connections were lost before `hello` was answered for the first time.
    hellos: u32,
    /// Set from the loss of a connection until the next one is greeted.
    outage: Option<Outage<R>>,
    previous: Previous<R>,
    jitter: Jitter,
    retry: Option<Retry<R>>,
    /// Set exactly in [`Phase::Ended`].
    end: Option<End<R>>,
}

impl<R: Reason> Reconnect<R> {
    /// Creates the state of a client that has not connected and has to by `deadline`. The first attempt is due at once. `seed` should
    /// differ between clients: then those that lose the same display at the same moment come back at different ones.
    pub fn new(policy: Policy, seed: u64, deadline: Instant, now: Instant) -> Reconnect<R> {
        Reconnect {
            policy,
            phase: Phase::Waiting(now),
            first: Some(deadline),
            hellos: 0,
            outage: None,
            previous: Previous::default(),
            jitter: Jitter::new(seed),
            retry: None,
            end: None,
        }
    }

    /// Returns where the client stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns whether there is a connection whose bytes are to be carried, greeted or not.
    pub fn has_connection(&self) -> bool {
        matches!(self.phase, Phase::Greeting(_) | Phase::Connected)
    }

    /// Returns whether the display has answered `hello` on the present connection.
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Returns why there is no greeted connection, if one was lost and there may be another.
    pub fn outage(&self) -> Option<&R> {
        self.outage.as_ref().map(|outage| &outage.reason)
    }

    /// Returns whether a display may be told that its loss is accepted.
    pub fn accepts_loss(&self) -> bool {
        self.policy.accepts_loss
    }

    /// Returns why no further attempt is made.
    pub fn end(&self) -> Option<&End<R>> {
        self.end.as_ref()
    }

    /// Notes that the connection that was dialed is there. Its owner sends `hello`.
    pub fn handle_dialed(&mut self, now: Instant) {
        if let Phase::Dialing(_) = self.phase {
            self.phase = Phase::Greeting(self.first.unwrap_or(now + self.policy.attempt));
        }
    }

    /// Notes that a connection could not be made.
    pub fn handle_failed(&mut self, reason: R, now: Instant) {
        if let Phase::Dialing(_) = self.phase {
            self.fail(reason, now);
        }
    }

    /// Notes that the display has answered `hello`, having executed `applied` requests in all. `is_restarted` means that it was
    /// restarted since it answered the last one. Returns whether that ends an outage.
    pub fn handle_connected(&mut self, applied: u64, is_restarted: bool, now: Instant) -> bool {
        let Phase::Greeting(_) = self.phase else { return false };
        (self.phase, self.first) = (Phase::Connected, None);
        let outage = self.outage.take();
        let is_over = outage.is_some();
        self.previous.set(outage, applied, is_restarted, now);
        is_over
    }

    /// Notes that the connection is lost. The owner closes what is left of it.
    pub fn handle_lost(&mut self, reason: R, progress: Progress, now: Instant) {
        if !self.has_connection() {
            return;
        }
        let kind = reason.kind();
        let may_succeed = match self.first {
            None => progress.is_resumable && kind.may_return(self.policy.accepts_loss),
            Some(_) => {
                self.hellos += 1;
                kind.may_greet_again(progress.is_checked) && self.hellos < limits::GREETINGS
            }
        };
        if self.policy.window.is_zero() || !progress.is_needed || !may_succeed {
            self.finish(End::Final(reason));
        } else if self.outage.is_some() {
            self.fail(reason, now);
        } else {
            let new = Outage::new(reason, now, self.policy.window, &mut self.jitter);
            let outage = self.previous.begin(new, &progress, now, &mut self.jitter);
            self.wait(outage, true);
        }
    }

    /// Applies the deadline of [`Reconnect::poll_timeout`], if it has passed. If a connection was being dialed or greeted and
    /// [`Reconnect::phase`] is another one after this, its owner closes it.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        match self.phase {
            Phase::Waiting(_) | Phase::Dialing(_) if now >= self.limit() => self.expire(now),
            Phase::Greeting(_) if self.first.is_some() => self.expire(now),
            Phase::Dialing(_) | Phase::Greeting(_) => self.fail(R::timed_out(), now),
            Phase::Waiting(_) | Phase::Connected | Phase::Ended => {}
        }
    }

    /// Sets whether to continue with a display that has lost the last of what it had executed.
    pub fn set_accepts_loss(&mut self, accepts_loss: bool) {
        self.policy.accepts_loss = accepts_loss;
    }

    /// Ends it for a reason of this side.
    pub fn give_up(&mut self, reason: R) {
        if self.end.is_none() {
            self.finish(End::Final(reason));
        }
    }

    /// Returns when the next attempt is due or the present one has to be done. Then [`Reconnect::handle_timeout`] is to be called, and
    /// [`Reconnect::poll_dial`].
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(next) => Some(next.min(self.limit())),
            Phase::Dialing(until) | Phase::Greeting(until) => Some(until),
            Phase::Connected | Phase::Ended => None,
        }
    }

    /// Returns by when a connection has to be made, if one is to be dialed now: once for each attempt. The owner reports
    /// [`Reconnect::handle_dialed`] or [`Reconnect::handle_failed`].
    pub fn poll_dial(&mut self, now: Instant) -> Option<Instant> {
        let Phase::Waiting(next) = self.phase else { return None };
        if now < next || now >= self.limit() {
            return None;
        }
        let until = self.limit().min(now + self.policy.attempt);
        self.phase = Phase::Dialing(until);
        Some(until)
    }

    /// Returns what the user may be told, once.
    pub fn poll_retry(&mut self) -> Option<Retry<R>> {
        self.retry.take()
    }

    /// Returns when all attempts have to be over.
    fn limit(&self) -> Instant {
        let ends = [self.first, self.outage.as_ref().map(|outage| outage.until)];
        ends.into_iter().flatten().min().expect("there was no connection before, or one was lost")
    }

    fn fail(&mut self, reason: R, now: Instant) {
        match self.outage.take() {
            Some(mut outage) => {
                outage.fail(reason, now, &mut self.jitter);
                self.wait(outage, false);
            }
            // The very first attempt. What it says of the address is worth more than another attempt.
            None => self.finish(End::Final(reason)),
        }
    }

    fn wait(&mut self, outage: Outage<R>, is_loss: bool) {
        self.phase = Phase::Waiting(outage.next);
        self.retry = Some(Retry { reason: outage.reason.clone(), next: outage.next, is_loss });
        self.outage = Some(outage);
    }

    fn expire(&mut self, now: Instant) {
        let is_first_over = self.first.is_some_and(|first| now >= first);
        let end = match &self.outage {
            Some(outage) if !is_first_over => End::GaveUp {
                after: now.saturating_duration_since(outage.since),
                last: outage.reason.clone(),
            },
            _ => End::NeverConnected,
        };
        self.finish(end);
    }

    fn finish(&mut self, end: End<R>) {
        (self.phase, self.end) = (Phase::Ended, Some(end));
    }
}
