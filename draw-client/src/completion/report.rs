//! Late errors as `tracing` events, inside the span that was current at the call.

use crate::error::{Described, Error, FailedCall, LateError};
use std::sync::Arc;
use tracing::{Level, Span, dispatcher};

/// A late error on its way, with the span of each of its calls.
#[derive(Debug)]
pub(crate) struct LateReport {
    error: LateError,
    /// Empty if there is none at all.
    spans: Vec<Option<Arc<Span>>>,
}

impl LateReport {
    /// `spans` are those of the error's calls, in order, or nothing.
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

    /// An event for each call that is named, and one for the others. Runs code of a subscriber: never under a lock.
    pub(crate) fn report(&self) {
        let mut spans = self.spans.iter();
        for call in self.error.calls() {
            let span = spans.next().and_then(Option::as_deref);
            let done = span.and_then(|span| {
                span.with_subscriber(|(id, subscriber)| {
                    // That of the program's thread, which need not be that of this one.
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
