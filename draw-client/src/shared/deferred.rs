//! Work that is deferred until the lock of the state is free.

use super::{Guard, State};
use crate::completion::{LateReport, Tag, is_traced};
use crate::error::Late;

/// Work that runs code of the program or of a `tracing` subscriber, which may call the display. Usually there is none. Code that may have
/// added some gives the lock back with [`State::release`].
#[derive(Default)]
pub(crate) struct Deferred(Option<Box<Work>>);

#[derive(Default)]
struct Work {
    /// Tags to drop: they may be the last to hold a span or a scope.
    tags: Vec<Tag>,
    /// Late errors that were kept, to be reported as events.
    reports: Vec<LateReport>,
    /// Late errors that the program can no longer take.
    unclaimed: Option<Late>,
}

impl Deferred {
    fn work(&mut self) -> &mut Work {
        self.0.get_or_insert_default()
    }

    pub(super) fn drop(&mut self, tag: Tag) {
        if !tag.is_plain() {
            self.work().tags.push(tag);
        }
    }

    pub(super) fn report(&mut self, report: LateReport) {
        if is_traced() || report.has_spans() {
            self.work().reports.push(report);
        }
    }

    pub(super) fn report_unclaimed(&mut self, late: Late) {
        self.work().unclaimed = Some(late);
    }
}

impl State {
    /// Gives the lock back, and does the deferred work.
    #[inline]
    pub(crate) fn release(mut state: Guard<'_>) {
        let work = state.errors.deferred.0.take();
        drop(state);
        if let Some(work) = work {
            do_it(*work);
        }
    }
}

#[cold]
fn do_it(work: Work) {
    work.reports.iter().for_each(LateReport::report);
    if let Some(late) = work.unclaimed {
        tracing::warn!(calls = late.total(), "late errors that were not reported: {late}");
    }
}
