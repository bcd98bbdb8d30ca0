//! The progress of the drawing, shared by the clients and the killer of their display.
//!
//! The drawing has one part more than there are kills. Kill k happens during part k (counted from 0), and no client
//! leaves that part before it, so every kill happens before the drawing is done. A client may be ahead of the display
//! by the number of calls that may be unanswered.

use crate::Result;
use draw_client::Status;
use draw_examples::Interrupt;
use draw_examples::figures::seconds;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The longest wait for progress. It is longer than the longest pause between two attempts to connect.
const PATIENCE: Duration = Duration::from_secs(60);
/// The interval at which Ctrl-C is checked.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// Returns the message after a signal: nothing is left of the display.
pub(crate) fn nothing_left() -> String {
    "nothing is left of the display".into()
}

pub(crate) struct Course {
    calls: u64,
    kills: u64,
    clients: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The number of calls that the clients have made.
    made: u64,
    killed: u64,
    clients: Vec<Link>,
    /// The number of connections made after one was lost.
    resumed: u64,
    last_resumed: Option<Instant>,
    failure: Option<String>,
}

/// The state of one client's connection.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// Whether it has no connection yet, or none since the display was killed.
    is_gone: bool,
    has_noticed: bool,
    has_ended: bool,
}

impl Course {
    pub(crate) fn new(calls: u64, kills: u64, clients: usize) -> Arc<Course> {
        let state = State {
            clients: vec![Link { is_gone: true, has_noticed: false, has_ended: false }; clients],
            ..State::default()
        };
        Arc::new(Course {
            calls,
            kills,
            clients: clients as u64,
            state: Mutex::new(state),
            changed: Condvar::new(),
        })
    }

    /// The number of parts.
    pub(crate) fn parts(&self) -> u64 {
        self.kills + 1
    }

    /// Returns the number of calls of this client in this part.
    pub(crate) fn share(&self, client: usize, part: u64) -> u64 {
        let clients = self.clients;
        let all = self.calls / clients + u64::from((client as u64) < self.calls % clients);
        all * (part + 1) / self.parts() - all * part / self.parts()
    }

    // Reports of the clients -----------------------------------------------------------------------------------------

    /// Records that a client has made some more calls.
    pub(crate) fn advance(&self, calls: u64) {
        self.change(|state| state.made += calls);
    }

    /// Waits until the display has been killed in this part.
    pub(crate) fn wait_for_kill(&self, part: u64) {
        let state = self.locked();
        drop(self.changed.wait_while(state, |state| state.killed < part));
    }

    /// Records that a client has its first connection.
    pub(crate) fn connect(&self, client: usize) {
        self.change(|state| state.clients[client].is_gone = false);
    }

    /// Records that a connection has changed.
    pub(crate) fn hear(&self, client: usize, status: &Status) {
        self.change(|state| match status {
            Status::Reconnecting { .. } => state.clients[client].has_noticed = true,
            Status::Resumed => {
                state.clients[client].is_gone = false;
                state.resumed += 1;
                state.last_resumed = Some(Instant::now());
            }
            other => state.fail(format!("client {client}: {other}")),
        });
    }

    /// Records that a client is done.
    pub(crate) fn end(&self, client: usize, outcome: draw_client::Result<()>) {
        self.change(|state| match outcome {
            Ok(()) => state.clients[client].has_ended = true,
            Err(error) => state.fail(format!("client {client}: {error}")),
        });
    }

    /// Records a failure, which ends the demonstration.
    pub(crate) fn fail(&self, failure: String) {
        self.change(|state| state.fail(failure));
    }

    // Operations of the killer ---------------------------------------------------------------------------------------

    /// Waits for the moment of this kill, pseudo-random within its part.
    pub(crate) fn wait_for_moment(&self, kill: u64, interrupt: &Interrupt) -> Result<()> {
        // Knuth's multiplicative hash: the same in each run. It spreads the kills over half of the part.
        let chance = (kill.wrapping_mul(2_654_435_761) >> 8) % 500;
        let moment = self.calls * (1_000 * kill + chance) / (1_000 * self.parts());
        self.wait("the clients to draw on", interrupt, |state| state.made >= moment).map(drop)
    }

    /// Records that clients lose their connections from now on. Returns the number of calls that they have made.
    pub(crate) fn expect_loss(&self) -> u64 {
        let mut state = self.locked();
        for link in &mut state.clients {
            *link = Link { is_gone: true, has_noticed: false, ..*link };
        }
        state.made
    }

    pub(crate) fn killed(&self, kill: u64) {
        self.change(|state| state.killed = kill);
    }

    /// Waits until all clients are connected. Returns the number of clients that had lost their connection, and the
    /// time when the last one returned.
    pub(crate) fn wait_for_clients(&self, interrupt: &Interrupt) -> Result<(usize, Instant)> {
        let are_back = |state: &State| state.clients.iter().all(|link| !link.is_gone || link.has_ended);
        let state = self.wait("the clients to come back", interrupt, are_back)?;
        let lost = state.clients.iter().filter(|link| link.has_noticed).count();
        Ok((lost, state.last_resumed.unwrap_or_else(Instant::now)))
    }

    /// Waits until everything is drawn. Returns the number of connections that the clients have made.
    pub(crate) fn wait_for_end(&self, interrupt: &Interrupt) -> Result<u64> {
        let have_ended = |state: &State| state.clients.iter().all(|link| link.has_ended);
        let state = self.wait("the clients to end", interrupt, have_ended)?;
        Ok(state.resumed + self.clients)
    }

    /// Waits until `is_so`. Slow progress is not a failure as long as the clients draw.
    fn wait(
        &self,
        what: &str,
        interrupt: &Interrupt,
        is_so: impl Fn(&State) -> bool,
    ) -> Result<MutexGuard<'_, State>> {
        let mut state = self.locked();
        let mut made = state.made;
        let mut until = Instant::now() + PATIENCE;
        loop {
            if let Some(failure) = state.failure.take() {
                return Err(failure.into());
            }
            interrupt.check(nothing_left)?;
            if is_so(&state) {
                return Ok(state);
            }
            if state.made > made {
                made = state.made;
                until = Instant::now() + PATIENCE;
            } else if Instant::now() > until {
                return Err(format!("waited {} for {what} without success", seconds(PATIENCE)).into());
            }
            state = self.changed.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        how(&mut self.locked());
        self.changed.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        // A panic leaves the state consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Records the first failure; the others follow from it.
    fn fail(&mut self, failure: String) {
        self.failure.get_or_insert(failure);
    }
}
