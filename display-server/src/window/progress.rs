//! The state of the windows, for threads that wait for them.

use super::{End, Event};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The state of the windows, with a condition variable for waiting.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Locked only to read and to set.
    step: Mutex<Step>,
    changed: Condvar,
    /// When [`Progress::close`] was first called.
    closed: OnceLock<Instant>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    #[default]
    Opening,
    Open,
    Closing,
    Ended,
}

impl Progress {
    /// Advances to `step`. Earlier steps are ignored.
    pub(super) fn set(&self, step: Step) {
        let mut now = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        *now = step.max(*now);
        drop(now);
        self.changed.notify_all();
    }

    /// Advances to [`Step::Closing`]. Returns when that was first done.
    pub(super) fn close(&self) -> Instant {
        let since = *self.closed.get_or_init(Instant::now);
        self.set(Step::Closing);
        since
    }

    /// Waits for a step, for at most `limit`. Returns whether it was reached.
    pub(super) fn wait(&self, limit: Duration, is_it: impl Fn(Step) -> bool) -> bool {
        let step = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(step, limit, |step| !is_it(*step));
        is_it(*waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

/// Reports events of the windows. When dropped, it reports that the windows have ended, unless it did so before.
pub(super) struct Teller<F: FnMut(Event)> {
    told: F,
    progress: Arc<Progress>,
}

impl<F: FnMut(Event)> Teller<F> {
    pub(super) fn new(told: F, progress: Arc<Progress>) -> Teller<F> {
        Teller { told, progress }
    }

    pub(super) fn tell(&mut self, event: Event) {
        let step = if event == Event::Opened { Step::Open } else { Step::Ended };
        if *self.progress.step.lock().unwrap_or_else(PoisonError::into_inner) < Step::Ended {
            (self.told)(event);
            self.progress.set(step);
        }
    }
}

impl<F: FnMut(Event)> Drop for Teller<F> {
    fn drop(&mut self) {
        self.tell(Event::Ended(End::Failed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_told_once_and_to_those_who_wait() {
        let seen = Arc::<Mutex<Vec<Event>>>::default();
        let teller = |progress: &Arc<Progress>| {
            let seen = Arc::clone(&seen);
            Teller::new(move |event| seen.lock().unwrap().push(event), Arc::clone(progress))
        };
        let has_ended = |progress: &Progress| progress.wait(Duration::ZERO, |step| step == Step::Ended);
        let closed = Arc::<Progress>::default();
        let mut told = teller(&closed);
        told.tell(Event::Opened);
        assert_eq!(closed.close(), closed.close());
        assert!(!has_ended(&closed));
        told.tell(Event::Ended(End::Closed));
        drop(told);
        assert!(has_ended(&closed));
        assert_eq!(*seen.lock().unwrap(), [Event::Opened, Event::Ended(End::Closed)]);
        // A panic drops it before any event was reported.
        let failed = Arc::<Progress>::default();
        drop(teller(&failed));
        assert!(has_ended(&failed));
        assert_eq!(seen.lock().unwrap().last(), Some(&Event::Ended(End::Failed)));
    }
}
