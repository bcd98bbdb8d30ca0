//! Calls that were dropped while the display was offline or behind, and whose late error is not reported yet.

use super::{LateReport, Scope};
use crate::error::{Error, FailedCall, LateError};
use std::collections::HashMap;
use std::sync::Arc;
use tracing::Span;

/// How many calls of one outage are listed; the others are counted. Millions may be dropped in a second, each would
/// take some 200 bytes, and a person reads the first few.
const NAMED: u64 = 100;

/// The dropped calls of one outage. Each callback is called once, when the outage is over.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    reports: Vec<(Option<Arc<Scope>>, Calls)>,
    /// The index in `reports` by the address of the callback's scope; `None` for the next `sync` or `close`.
    places: HashMap<Option<usize>, usize>,
    named: u64,
}

#[derive(Debug, Default)]
struct Calls {
    named: Vec<FailedCall>,
    spans: Vec<Option<Arc<Span>>>,
    more: u64,
}

impl Dropped {
    /// Adds a call whose error is for the callback of `listener`. `call` is evaluated only if the call is listed.
    pub(crate) fn add(
        &mut self,
        listener: Option<&Arc<Scope>>,
        span: Option<&Arc<Span>>,
        call: impl FnOnce() -> FailedCall,
    ) {
        let place =
            *self.places.entry(listener.map(|scope| Arc::as_ptr(scope).addr())).or_insert_with(|| {
                self.reports.push((listener.cloned(), Calls::default()));
                self.reports.len() - 1
            });
        let calls = &mut self.reports[place].1;
        // Every callback receives at least one call.
        if self.named < NAMED || calls.named.is_empty() {
            self.named += 1;
            calls.named.push(call());
            calls.spans.push(span.cloned());
        } else {
            calls.more += 1;
        }
    }

    /// Takes all of them, each report with the scope whose callback receives it.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (Option<Arc<Scope>>, LateReport)> + use<> {
        let Dropped { reports, .. } = std::mem::take(self);
        reports.into_iter().map(|(listener, Calls { named, spans, more })| {
            (listener, LateReport::new(LateError::dropped(named, more, Error::Dropped), spans))
        })
    }
}
