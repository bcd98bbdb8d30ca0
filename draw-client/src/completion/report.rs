//! Late errors as `tracing` events, in the span that was current at the call.

use crate::error::{Described, Error, FailedCall, LateError};
use std::sync::Arc;
use tracing::{Level, Span, dispatcher};

/// A late error on its way to a callback, with the span of each of its calls.
#[derive(Debug)]
pub(crate) struct LateReport {
    error: LateError,
    /// Empty if there is none at all.
    spans: Vec<Option<Arc<Span>>>,
}

impl LateReport {
    /// Creates a report. `spans` has the span of each call of the error, in order, or is empty.
    pub(crate) fn new(error: LateError, mut spans: Vec<Option<Arc<Span>>>) -> LateReport {
        if spans.iter().all(Option::is_none) {
            spans = Vec::new();
        }
        LateReport { error, spans }
    }

    pub(crate) fn error(&self) -> &LateError {
        &self.error
    }

    pub(crate) fn into_error(self) -> LateError {
        self.error
    }

    pub(crate) fn has_spans(&self) -> bool {
        !self.spans.is_empty()
    }

    /// Emits an event for each listed call, and one for the others. It runs code of a subscriber: no lock may be held.
    pub(crate) fn report(&self) {
        let mut spans = self.spans.iter();
        for call in self.error.calls() {
            let span = spans.next().and_then(Option::as_deref);
            let done = span.and_then(|span| {
                span.with_subscriber(|(id, subscriber)| {
                    // The subscriber of the program's thread, which may differ from that of this thread.
                    dispatcher::with_default(subscriber, || event(call, self.error.error(), Some(id)));
                })
            });
            if done.is_none() {
                event(call, self.error.error(), None);
            }
        }
        if let more @ 1.. = self.error.unnamed() {
            let outcome = self.error.outcome();
            tracing::warn!(target: "draw_client::late", calls = more, %outcome, "and {more} more: {}", self.error.error());
        }
    }
}

fn event(call: &FailedCall, error: &Error, span: Option<&tracing::Id>) {
    let fault = error.fault();
    tracing::event!(
        target: "draw_client::late",
        parent: span.cloned(),
        Level::WARN,
        location = call.location().map(tracing::field::display),
        method = call.call().method().name(),
        parameters = %call.parameters(),
        call = call.number(),
        age = ?call.age(),
        calls_since = call.calls_since(),
        scope = call.scope(),
        code = fault.map(|fault| fault.code.as_str()),
        fault = fault.map(|fault| &*fault.message),
        outcome = %error.outcome(),
        "{}",
        Described(call, error)
    );
}
