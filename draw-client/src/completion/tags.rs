//! The scope and the span of each call, as runs of calls that have the same.

use super::{Scope, Tag};
use std::collections::VecDeque;
use std::sync::Arc;
use tracing::Span;

/// The tags of calls that are not settled. Calls before the first run have none.
#[derive(Debug)]
pub(crate) struct Tags {
    /// The first call of each run, and the tag of the run. Neighbours differ, and the first is not plain.
    runs: VecDeque<(u64, Tag)>,
    /// The address of the last run's scope, which lives as long as the run, if the run has no span; else [`NO_SCOPE`].
    last: usize,
    /// The address of the display's own scope, which outlives all.
    outermost: usize,
}

/// No scope has this address.
const NO_SCOPE: usize = 0;

fn address(scope: &Arc<Scope>) -> usize {
    Arc::as_ptr(scope).addr()
}

impl Tags {
    pub(crate) fn new(outermost: &Arc<Scope>) -> Tags {
        Tags { runs: VecDeque::new(), last: address(outermost), outermost: address(outermost) }
    }

    /// Adds a call. Usually it has the tag of the call before, which costs one comparison.
    #[inline]
    pub(crate) fn note(&mut self, call: u64, scope: &Arc<Scope>, span: Option<&Arc<Span>>) {
        if address(scope) != self.last || span.is_some() {
            self.begin(call, scope, span);
        }
    }

    #[cold]
    fn begin(&mut self, call: u64, scope: &Arc<Scope>, span: Option<&Arc<Span>>) {
        let inner = (!scope.is_outermost()).then(|| Arc::clone(scope));
        let tag = Tag { scope: inner, span: span.cloned() };
        if self.runs.back().is_none_or(|(_, last)| *last != tag) {
            self.runs.push_back((call, tag));
            self.last = if span.is_some() { NO_SCOPE } else { address(scope) };
        }
    }

    /// Returns the tag of a call that is not settled.
    pub(crate) fn of(&self, call: u64) -> Tag {
        let behind = self.runs.partition_point(|&(first, _)| first <= call);
        let run = behind.checked_sub(1).and_then(|i| self.runs.get(i));
        run.map(|(_, tag)| tag.clone()).unwrap_or_default()
    }

    /// Settles every call up to `done`, of all that were made, up to `last`. Tags that only they had go to `freed`.
    #[inline]
    pub(crate) fn settle(&mut self, done: u64, last: u64, freed: impl FnMut(Tag)) {
        if !self.runs.is_empty() {
            self.trim(done, last, freed);
        }
    }

    #[cold]
    fn trim(&mut self, done: u64, last: u64, mut freed: impl FnMut(Tag)) {
        while let Some((_, tag)) = self.runs.front() {
            // A run ends before the next.
            let end = self.runs.get(1).map_or(last, |&(next, _)| next - 1);
            if end > done && !tag.is_plain() {
                break;
            }
            if let Some((_, tag)) = self.runs.pop_front() {
                freed(tag);
            }
        }
        if self.runs.is_empty() {
            self.last = self.outermost;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_the_scope_it_came_from_until_it_is_settled() {
        let outermost = Arc::new(Scope::outermost());
        let scopes = [Arc::clone(&outermost), Arc::new(Scope::within(&outermost, "a"))];
        let mut tags = Tags::new(&outermost);
        let calls = [0, 0, 1, 1, 0, 1, 1, 0];
        let path = |tag: &Tag| tag.scope.as_ref().map(|scope| scope.path().to_string());
        for (call, &scope) in (1..).zip(&calls) {
            tags.note(call, &scopes[scope], None);
        }
        assert_eq!(tags.runs.len(), 4, "plain ones at the beginning need none");
        for settled in 0..=8u64 {
            let mut freed = Vec::new();
            tags.settle(settled, 8, |tag| freed.push(tag));
            for call in settled + 1..=8 {
                let want = (calls[call as usize - 1] == 1).then(|| "a".to_owned());
                assert_eq!(path(&tags.of(call)), want, "call {call}, {settled} are settled");
            }
            let want = match settled {
                4 | 7 => 2,
                _ => 0,
            };
            assert_eq!(freed.len(), want, "{settled} are settled");
        }
        assert_eq!(Arc::strong_count(&scopes[1]), 1, "nothing holds it any more");
        // The state equals the initial one.
        tags.note(9, &outermost, None);
        assert!(tags.runs.is_empty());
    }
}
