//! Calls under way, with what happens to the result of each.
//!
//! The program numbers all calls that were accepted, the machine those that it was given; see [`CallNumbering`]. A call is **settled**
//! when it is done and its event has been handled. It then has no [`ReplyState`]: either its reply was dropped, or it returns `Ok`, or
//! what it returns is among `results`.

use super::{Failed, ReplyState, Scope, Tag, Waiters, tags};
use crate::completion::call_numbering::CallNumbering;
use crate::error::Result;
use draw_protocol::Answer;
use draw_protocol::client::{Connection, IssuedCall};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use tracing::Span;

/// No call has a number as high as this.
const UNUSED: u64 = 1 << 63;

/// The invariants: `states` has one entry for each call after `settled` that the machine was given, in order. `first` is the
/// program's number of the first of them if the others follow one by one, else [`UNUSED`]. Every key of `results` is a call that is
/// settled or was dropped, and whose reply lives.
pub(crate) struct Completion {
    states: VecDeque<ReplyState>,
    /// The last call that is settled, as the machine numbers it. Outside of `Shared::handle_input` that is `machine.done()`.
    settled: u64,
    first: u64,
    numbering: CallNumbering,
    results: HashMap<u64, Result<Answer, Failed>>,
    /// The scope and the span of each call that is not settled.
    tags: tags::Tags,
    pub(crate) waiters: Waiters,
}

impl Completion {
    /// Creates the state for a machine whose calls in flight have no replies.
    pub(crate) fn new(machine: &Connection, outermost: &Arc<Scope>) -> Completion {
        Completion {
            states: (0..machine.in_flight()).map(|_| ReplyState::Dropped).collect(),
            settled: machine.done(),
            first: machine.done() + 1,
            numbering: CallNumbering::default(),
            results: HashMap::new(),
            tags: tags::Tags::new(outermost),
            waiters: Waiters::default(),
        }
    }

    /// Returns the program's number of a call that is not settled or was settled last.
    #[inline]
    pub(crate) fn number(&self, made: u64) -> u64 {
        self.numbering.number(made)
    }

    /// Returns the program's number of the call that the machine made last, or is about to make.
    #[inline]
    pub(crate) fn newest(&self, made: u64) -> u64 {
        self.numbering.newest(made)
    }

    /// Returns the program's number of the last call that is settled.
    pub(crate) fn last_settled(&self) -> u64 {
        self.numbering.number(self.settled)
    }

    /// Returns whether this call and all before it are settled.
    pub(crate) fn is_settled(&self, number: u64) -> bool {
        number <= self.last_settled()
    }

    /// Returns a call that the machine speaks of with the program's number.
    pub(crate) fn numbered(&self, made: IssuedCall) -> IssuedCall {
        let mut numbered = made;
        numbered.number = self.numbering.number(made.number);
        numbered
    }

    /// Returns the tag of a call that is not settled.
    pub(crate) fn tag(&self, number: u64) -> Tag {
        self.tags.of(number)
    }

    /// Returns the state of the reply of a call that is under way, if that takes no search.
    #[inline]
    pub(crate) fn quick_reply(&mut self, number: u64) -> Option<&mut ReplyState> {
        self.states.get_mut(number.wrapping_sub(self.first) as usize)
    }

    /// Returns the state of the reply of a call that the machine was given and that is not settled.
    pub(crate) fn reply(&mut self, number: u64) -> Option<&mut ReplyState> {
        let made = self.numbering.made(number)?;
        self.states.get_mut(made.wrapping_sub(self.settled + 1) as usize)
    }

    /// Returns the machine's number of a call. `None` if it was dropped between two that were made.
    pub(crate) fn made(&self, number: u64) -> Option<u64> {
        self.numbering.made(number)
    }

    /// Adds a call that the machine has made. Its number is [`Completion::newest`].
    #[inline]
    pub(crate) fn accept(&mut self, number: u64, scope: &Arc<Scope>, span: Option<&Arc<Span>>) {
        self.accept_in(ReplyState::Awaited, number, scope, span);
    }

    #[inline]
    fn accept_in(&mut self, reply: ReplyState, number: u64, scope: &Arc<Scope>, span: Option<&Arc<Span>>) {
        self.states.push_back(reply);
        self.tags.note(number, scope, span);
    }

    /// Adds the call that the machine has made last and the program has numbered before: calls in between were dropped.
    pub(crate) fn accept_numbered(
        &mut self,
        made: u64,
        number: u64,
        reply: ReplyState,
        scope: &Arc<Scope>,
        span: Option<&Arc<Span>>,
    ) {
        self.numbering.begin(made, number);
        self.accept_in(reply, number, scope, span);
        self.find_first();
    }

    /// Sets that the call which the machine makes next, `made`, gets this number.
    pub(crate) fn continue_at(&mut self, made: u64, number: u64) {
        self.numbering.begin(made, number);
        self.find_first();
    }

    /// Settles the calls that the machine has done. Their events have been handled. Tags that only they had go to `freed`.
    pub(crate) fn settle(&mut self, machine: &Connection, freed: impl FnMut(Tag)) {
        let done = machine.done();
        self.states.drain(..(done - self.settled) as usize);
        self.settled = done;
        self.numbering.settle(done);
        self.find_first();
        let last = self.numbering.number(machine.last_call());
        self.tags.settle(self.numbering.number(done), last, freed);
    }

    #[inline]
    fn find_first(&mut self) {
        self.first = self.numbering.only().map_or(UNUSED, |difference| self.settled + difference + 1);
    }

    /// Keeps what the reply of a call is to return.
    pub(crate) fn keep(&mut self, number: u64, result: Result<Answer, Failed>) {
        self.results.insert(number, result);
    }

    pub(crate) fn has_results(&self) -> bool {
        !self.results.is_empty()
    }

    /// Returns whether this call has a result already, or never will have one but `Ok`.
    pub(crate) fn is_done(&self, number: u64) -> bool {
        self.is_settled(number) || self.results.contains_key(&number)
    }

    /// Takes the result of a call that is done. `None` means that it succeeded.
    pub(crate) fn take(&mut self, number: u64) -> Option<Result<Answer, Failed>> {
        self.results.remove(&number)
    }

    /// Moves the wakers of settled calls to those that are woken when the lock is free.
    pub(crate) fn wake_settled(&mut self) {
        self.waiters.wake_up_to(self.numbering.number(self.settled));
    }
}
