//! What the handles of one asynchronous connection share with its driver: one lock, and who may hold it.
//!
//! [`State`] is behind one mutex, held for short and never across an await or a callback. The [`Writer`] has a mutex
//! of its own, because the driver holds it during system calls. The order is writer, then state; a caller that holds
//! the state may only *try* to get the writer.

mod after;
mod deadlines;
mod end;
mod fates;
mod gone;
mod guard;
mod last_dropped;
mod nap;
mod numbers;
mod results;
mod room;
mod tags;
mod tell;
mod turns;
mod waits;

use crate::doctor::Doctor;
use crate::error::{Error, Lost, Outcome, Result};
use crate::late::{Dropped, Failed, LateQueue};
use crate::options::WhileOffline;
use crate::pace::Pace;
use crate::process::{Inside, Mark, Owner};
use crate::scope::{Caller, Scope, current_span, is_traced};
use crate::status::{Picture, Status};
use crate::writer::Writer;
use deadlines::Again;
use draw_protocol::client::{Connection, Event, Origin};
use draw_protocol::{Answer, Hello, Request, limits};
use gone::Way;
pub(crate) use guard::Guard;
use guard::StandIns;
use last_dropped::{LastDropped, Left};
use numbers::Numbers;
use room::Room;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tracing::Span;
use turns::Turn;

/// What happens to the error of a call that is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its reply lives, and has a right to it.
    Awaited,
    /// Its reply was dropped: it is a late error.
    Dropped,
    /// The same, after the reply has told that no answer came in time, so that what became of the call is unknown. That the
    /// connection is lost says no more than that.
    TimedOut,
    /// Nobody wants to know.
    Ignored,
}

pub(crate) struct Shared {
    state: Mutex<State>,
    stand_ins: StandIns,
    mark: Mark,
    /// The process that has connected.
    owner: Owner,
    last_dropped: LastDropped,
    pub(crate) writer: Mutex<Writer>,
    /// The display's own scope, around all others.
    pub(crate) outermost: Arc<Scope>,
    pub(crate) timeout: Duration,
}

/// Everything that calls, replies, the driver and the thread for callbacks change.
pub(crate) struct State {
    pub(crate) machine: Connection,
    /// The fate of each call after `settled`, both as the machine numbers them. Outside of [`Shared::handle_input`] that is
    /// `machine.done()`.
    fates: VecDeque<Fate>,
    settled: u64,
    /// The number of the call whose fate is the first, if the others follow one by one; else nobody's, nor near it.
    first: u64,
    /// How the machine's numbers are those that everybody else knows calls by.
    numbers: Numbers,
    /// Calls that the machine has not been given yet.
    room: Room,
    /// Of calls that are done, or dropped, and whose reply still lives: what it will say, unless that is simply `Ok`.
    results: HashMap<u64, Result<Answer, Failed>>,
    /// Who waits for a call to be done, by its number, and until when. The timeout being the same for all, deadlines
    /// rise with the numbers.
    waiting: BTreeMap<u64, (Waker, Instant)>,
    /// The same of those whose timeout is over, and who wait again.
    again: Again,
    /// Those whose call is done, to be woken when the lock is free: they come for it at once.
    pub(crate) woken: Vec<Waker>,
    /// Calls that wait for credit, in the order in which they came; only the first may go on.
    turns: VecDeque<Turn>,
    last_turn: u64,
    pub(crate) late: LateQueue,
    /// Which scope and span the calls after number `settled` came from.
    tags: tags::Tags,
    /// What is done when the lock is free again. Whatever adds to it is followed by a [`State::release`]: that of the
    /// driver, or that of whoever dropped a reply.
    after: after::After,
    /// Who waits in `close` for the end, and for the callbacks to have heard everything.
    pub(crate) bystanders: Vec<Waker>,
    /// Why no call can be made any more.
    pub(crate) ended: Option<Lost>,
    /// A `sync` has said so.
    pub(crate) is_loss_told: bool,
    /// The connection is lost, and the next is not greeted on: why. What calls are to do meanwhile.
    pub(crate) away: Option<Lost>,
    pub(crate) while_gone: WhileOffline,
    /// There is another connection, and nobody has been told. So many requests were done when it was greeted on.
    pub(crate) resumed: Option<(Status, u64)>,
    /// What was dropped since the connection was lost: how many calls, and those that are to be told as late errors.
    dropped_calls: u64,
    dropped: Dropped,
    /// A display that was behind has caught up, and nobody has been told what was dropped meanwhile.
    pub(crate) has_caught_up: bool,
    /// Since when `close` has been called: no new calls, the driver ends when all is done.
    closing: Option<Instant>,
    /// Since when the last handle is gone.
    abandoned: Option<Instant>,
    /// The driver's task, and whether it was told that there is something to do.
    driver: Option<Waker>,
    pub(crate) is_driver_woken: bool,
    /// The driver's thread, while it lets callers go on before it writes. Whoever then waits ends that.
    pub(crate) nap: Option<Thread>,
    /// When the driver will look for passed deadlines.
    pub(crate) alarm: Option<Instant>,
    pub(crate) pace: Pace,
    pub(crate) stats: Stats,
    /// How many of those calls were certainly made by the process that has connected.
    known_calls: u64,
    /// Who accounts for the waits, if somebody asked for it.
    pub(crate) doctor: Option<Box<Doctor>>,
}

/// What a call that is not accepted yet has behind it.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    /// Its place in the queue for credit, and how long it will wait there.
    pub(crate) turn: Option<(u64, Instant)>,
    /// It has let others run.
    has_yielded: bool,
}

/// What a connection has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls made.
    pub calls: u64,
    /// How often the program had to wait: for an answer, or for credit. Each wait costs about a round trip.
    pub waits: u64,
}

/// The clock of the runtime, which a test may stop; elsewhere the system's.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    /// Nobody waits any more for calls that the machine has in flight already.
    pub(crate) fn new(machine: Connection, writer: Writer, timeout: Duration) -> Shared {
        let outermost = Arc::new(Scope::outermost());
        Shared {
            state: Mutex::new(State::new(machine, &outermost)),
            stand_ins: StandIns::default(),
            mark: Mark::new(),
            owner: Owner::here(),
            last_dropped: LastDropped::new(),
            writer: Mutex::new(writer),
            outermost,
            timeout,
        }
    }

    /// What the thread of callbacks knows this connection by.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Writes down which reply was dropped.
    #[inline]
    fn hear_dropped(&self, state: &mut State) {
        let number = self.last_dropped.take();
        if number != 0 {
            match state.fates.get_mut(number.wrapping_sub(state.first) as usize) {
                Some(fate) => *fate = Fate::Dropped,
                None => self.hear_dropped_elsewhere(state, number),
            }
        }
    }

    #[cold]
    fn hear_dropped_elsewhere(&self, state: &mut State, number: u64) {
        match state.fate(number) {
            Some(fate) => *fate = Fate::Dropped,
            None => self.forget_result(state, number, Fate::Dropped),
        }
    }

    /// The reply of a call was dropped, which is what happens to nearly all.
    #[inline]
    pub(crate) fn drop_reply(&self, number: u64) {
        match self.last_dropped.leave(number) {
            Left::Nothing => {}
            Left::Lock => self.hear_dropped_now(),
            Left::All => self.forget(number, Fate::Dropped),
        }
    }

    #[cold]
    fn hear_dropped_now(&self) {
        State::release(self.lock());
    }

    /// Makes a call if it may go now, and answers its number.
    pub(crate) fn poll_call(
        &self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        wait: &mut Wait,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64>> {
        if is_traced() {
            return self.poll_call_traced(request, caller, wait, cx);
        }
        self.poll_call_within(None, request, caller, wait, cx)
    }

    #[cold]
    fn poll_call_traced(
        &self,
        request: &Request<'_>,
        caller: &Caller<'_>,
        wait: &mut Wait,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64>> {
        // Found, and let go of, outside of the lock.
        let span = current_span();
        self.poll_call_within(span.as_ref(), request, caller, wait, cx)
    }

    // Made twice, with all that it calls once: the usual call, of which there are millions, knows that it has no span.
    #[inline(always)]
    fn poll_call_within(
        &self,
        span: Option<&Arc<Span>>,
        request: &Request<'_>,
        caller: &Caller<'_>,
        wait: &mut Wait,
        cx: &mut Context<'_>,
    ) -> Poll<Result<u64>> {
        let (inside, mut state) = self.lock_in_parts();
        if let Some(number) = state.join(span, request, caller, wait) {
            return Poll::Ready(Ok(number));
        }
        let Wait { turn, has_yielded } = wait;
        // Read under the lock, so that deadlines rise with the numbers of calls and of turns.
        let at = state.pace.clock(turn.is_some());
        if self.owner.is_other() {
            self.leave(Guard::of(inside, state));
            return Poll::Ready(Err(self.owner.refuse(Outcome::Rejected)));
        }
        if !*has_yielded && state.must_yield(at) {
            *has_yielded = true;
            state.end_nap();
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let may_go = state.may_call(request, *turn, self.address());
        let result = match may_go {
            Ok(Way::On) => state.call(request, at, caller, span),
            Ok(Way::Aside) => {
                if let Some((id, _)) = turn.take() {
                    state.leave_queue(id);
                }
                return Poll::Ready(self.set_aside(Guard::of(inside, state), request, at, caller, span));
            }
            Ok(Way::Later) => {
                let now = now();
                let (id, deadline) = match *turn {
                    Some(turn) => turn,
                    None => {
                        let turn = state.queue(now + self.timeout, cx.waker());
                        state.note_turn(turn.0, request, caller.place, now);
                        turn
                    }
                };
                *turn = Some((id, deadline));
                if deadline > now {
                    state.refresh_turn(id, cx.waker());
                    state.set_alarm(deadline);
                    state.end_nap();
                    return Poll::Pending;
                }
                Err(Error::Timeout { after: self.timeout, outcome: Outcome::Rejected })
            }
            Err(error) => Err(error),
        };
        if let Some((id, _)) = turn.take() {
            state.leave_queue(id);
        }
        if let Err(error) = &result {
            state.note_refused(request, caller.place, error);
        } else {
            // While others wait for credit each has to take its turn.
            if state.turns.is_empty() {
                state.pace.accepted();
            }
            self.send(inside, state);
        }
        Poll::Ready(result)
    }

    /// Sends what was just queued: at once if it comes alone, else through the driver, who will find more. (On one
    /// processor an answer may be there before the next call of a loop: that alone makes no call a lone one.)
    #[inline(always)]
    fn send(&self, inside: Inside, mut state: MutexGuard<'_, State>) {
        if state.machine.in_flight() == 1
            && !state.pace.is_fast()
            && let Ok(mut writer) = self.writer.try_lock()
            && writer.is_empty()
        {
            writer.refill(&mut state.machine);
            drop(state);
            drop(inside);
            // Should it not all go, the driver comes back with a waker of its own; a broken stream shows itself to it.
            let written = writer.poll_write(&mut Context::from_waker(Waker::noop()));
            drop(writer);
            let mut state = self.lock();
            state.pace.caller_wrote();
            // What goes before it on a new connection was taken alone.
            if !matches!(written, Poll::Ready(Ok(()))) || state.machine.unsent() > 0 {
                state.wake_driver();
            }
            return;
        }
        state.wake_driver();
        drop(state);
        drop(inside);
    }

    /// Takes in what the other side sent.
    pub(crate) fn handle_input(&self, state: &mut State, mut input: &[u8]) -> Result<(), Lost> {
        let now = now();
        let result = loop {
            match state.machine.handle_input(&mut input, now) {
                Ok(Some(event)) => self.handle_event(state, event, now),
                Ok(None) => break Ok(()),
                Err(ended) => break Err(Lost::Protocol(ended)),
            }
        };
        state.settle();
        state.note_done(now);
        self.go_on(state);
        self.keep_results(state);
        state.wake_waiting();
        state.wake_turn();
        result
    }

    fn handle_event(&self, state: &mut State, event: Event, now: Instant) {
        match event {
            Event::Fault(made, fault) => {
                let made = state.numbered(made);
                let (tag, fate) = (state.tags.of(made.number), state.fate_of(made.number));
                let call = state.failed_call(made, &tag, now);
                let failed = Failed { call, error: Error::Fault(fault), tag };
                state.note_failed(&made, &failed.error);
                match fate {
                    Fate::Awaited => _ = state.results.insert(made.number, Err(failed)),
                    Fate::Dropped | Fate::TimedOut => self.tell(state, failed),
                    Fate::Ignored => {}
                }
            }
            Event::Answer(made, answer) => {
                let number = state.numbered(made).number;
                if state.fate_of(number) == Fate::Awaited {
                    state.results.insert(number, Ok(answer));
                }
            }
            Event::Resumed(standing, lost) => {
                state.away = None;
                let picture = Picture::of(standing, state.machine.is_restarted());
                let status = Status::reconnected(picture, lost.len());
                state.resumed = Some((status, state.machine.applied()));
                // There is something to send again. A caller that is writing at this moment does not know of it.
                state.wake_driver();
                // A session that is resumed has lost no call.
                let error = Error::SessionLost { picture: picture.unwrap_or(Picture::Kept) };
                let dropped = self.give_up(state, lost, &error, now);
                self.tell_lost(state, dropped, &error);
                self.tell_dropped(state);
            }
            // The first greeting was tried more than once.
            Event::Welcome if state.away.take().is_some() => state.resumed = Some((Status::Resumed, 0)),
            // `connect` looks for it itself.
            _ => {}
        }
    }
}

impl State {
    fn new(machine: Connection, outermost: &Arc<Scope>) -> State {
        State {
            fates: (0..machine.in_flight()).map(|_| Fate::Dropped).collect(),
            settled: machine.done(),
            first: machine.done() + 1,
            machine,
            numbers: Numbers::default(),
            room: Room::default(),
            results: HashMap::new(),
            waiting: BTreeMap::new(),
            again: Again::default(),
            woken: Vec::new(),
            turns: VecDeque::new(),
            last_turn: 0,
            late: LateQueue::default(),
            tags: tags::Tags::new(outermost),
            after: after::After::default(),
            bystanders: Vec::new(),
            ended: None,
            is_loss_told: false,
            away: None,
            while_gone: WhileOffline::default(),
            resumed: None,
            dropped_calls: 0,
            dropped: Dropped::default(),
            has_caught_up: false,
            closing: None,
            abandoned: None,
            driver: None,
            is_driver_woken: false,
            nap: None,
            alarm: None,
            pace: Pace::new(now()),
            stats: Stats::default(),
            known_calls: 0,
            doctor: None,
        }
    }

    /// That of a connection that has ended before it began.
    fn ended(reason: Lost) -> State {
        let machine = Connection::new(&Hello::new("no client"));
        let mut state = State::new(machine, &Arc::new(Scope::outermost()));
        state.late.finish();
        state.ended = Some(reason);
        state
    }

    /// Makes a call as the last one was made, if it may: unchecked, and at the same time. The driver knows already that there is
    /// something to send.
    #[inline(always)]
    fn join(
        &mut self,
        span: Option<&Arc<Span>>,
        request: &Request<'_>,
        caller: &Caller<'_>,
        wait: &Wait,
    ) -> Option<u64> {
        // (One that has a turn takes that, or those behind it would wait for it.)
        if wait.turn.is_some() || !self.pace.is_same() {
            return None;
        }
        let made = self.machine.join(request, Some(caller.place))?;
        let number = self.numbers.newest(made);
        self.pace.take_same();
        self.accepted(number, caller.scope, span);
        self.note_call(number, request, Some(caller.place), None);
        Some(number)
    }

    /// Whether this call may be made now, or is to wait.
    #[inline(always)]
    fn may_call(
        &mut self,
        request: &Request<'_>,
        turn: Option<(u64, Instant)>,
        shared: usize,
    ) -> Result<Way> {
        if let Some(reason) = &self.ended {
            return Err(match reason {
                Lost::Closed => Error::closed(),
                Lost::Reentrant => Error::WouldDeadlock { in_callback: false },
                reason => Error::Disconnected { reason: reason.clone().into(), outcome: Outcome::Rejected },
            });
        }
        if self.closing.is_some() {
            return Err(Error::closed());
        }
        if self.while_gone != WhileOffline::Wait
            && let Some(way) = self.way_while_gone(request, shared)?
        {
            return Ok(way);
        }
        let undelivered = self.undelivered();
        let is_its_turn = self.turns.front().is_none_or(|first| turn.is_some_and(|(id, _)| id == first.id));
        if is_its_turn && self.machine.has_credit(request, undelivered) {
            return Ok(Way::On);
        }
        if self.while_gone == WhileOffline::DropOldest && request.method().may_be_dropped() {
            return Ok(Way::Aside);
        }
        if crate::late::is_callback_of(shared) {
            // Waiting for credit here could wait for ever: it is this callback that gives it back.
            let (calls, bytes) = (limits::CALLBACK_CALLS, limits::CALLBACK_BYTES);
            let is_within = self.machine.has_credit_beyond(request, undelivered, calls, bytes);
            return if is_within { Ok(Way::On) } else { Err(Error::WouldDeadlock { in_callback: true }) };
        }
        Ok(Way::Later)
    }

    /// Errors that callbacks have not heard yet, which count as calls under way.
    fn undelivered(&self) -> usize {
        usize::try_from(self.late.undelivered()).unwrap_or(usize::MAX)
    }

    /// Whether a caller is to let others run before it goes on: the driver has something to write, and a write full
    /// of it, or has waited for long. A loop of calls that are always ready would never stop otherwise. (To write in the caller's own
    /// time instead, while the bytes are in the cache, was no faster with few connections and a quarter slower with 512.)
    fn must_yield(&mut self, now: Instant) -> bool {
        self.is_driver_woken && self.pace.must_yield(self.machine.unsent(), now)
    }

    /// Whether nothing is gained by waiting for more to send.
    pub(crate) fn has_full_write(&self) -> bool {
        Pace::is_full(self.machine.unsent())
    }

    #[inline(always)]
    fn call(
        &mut self,
        request: &Request<'_>,
        at: Instant,
        caller: &Caller<'_>,
        span: Option<&Arc<Span>>,
    ) -> Result<u64> {
        let made = self.machine.call(request, Origin { at, place: Some(caller.place) })?;
        let number = self.numbers.newest(made);
        self.accepted(number, caller.scope, span);
        self.known_calls = self.stats.calls;
        self.note_call(number, request, Some(caller.place), Some(at));
        Ok(number)
    }

    #[inline]
    fn accepted(&mut self, number: u64, scope: &Arc<Scope>, span: Option<&Arc<Span>>) {
        self.fates.push_back(Fate::Awaited);
        self.tags.note(number, scope, span);
        self.stats.calls += 1;
    }

    /// The driver is about to take all that is unsent. It is in the process that has connected.
    pub(crate) fn driver_ran(&mut self) {
        self.known_calls = self.stats.calls;
        self.pace.driver_ran();
    }

    pub(crate) fn wake_driver(&mut self) {
        if !std::mem::replace(&mut self.is_driver_woken, true) {
            self.pace.driver_woken();
            if let Some(driver) = &self.driver {
                driver.wake_by_ref();
            }
        }
    }

    pub(crate) fn register_driver(&mut self, waker: &Waker) {
        match &mut self.driver {
            Some(driver) => driver.clone_from(waker),
            None => self.driver = Some(waker.clone()),
        }
    }
}
