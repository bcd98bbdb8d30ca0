//! The display: state machines, sessions, a picture and optionally a journal. It can have a defect.

use super::ledger::{Ledger, MESSAGE, SIZE};
use super::link::Link;
use super::random::Random;
use crate::common::display::Display;
use draw_protocol::Answer;
use draw_protocol::server::{self, Connection, Step};
use draw_protocol::session::{Claim, Id, Nonce, Peer, Resume, Session, Sessions, Standing};
use draw_protocol::{Code, limits};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// A defect of a display. The simulation must detect each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The display forgets executed requests with the connection.
    ForgetsWhatWasExecuted,
    /// The display resumes a session in the state in which its last connection began.
    TakesUpAnOldState,
    /// A reconnect gets a copy of the session, and the older connection continues.
    GrantsTwice,
    /// The display does not keep answers and faults.
    DropsResponses,
    /// One request too many counts as executed.
    CountsOneMore,
    /// The display resumes a session that no longer exists.
    PretendsToRemember,
    /// A display that has lost everything keeps its instance id.
    HidesThatItIsNew,
    /// The picture survives a restart, and the session is restored from an older state.
    RestoresAnOldSession,
    /// The session survives a restart, and the picture is restored from an older state.
    RestoresAnOldPicture,
    /// The display reports a request without executing it.
    SkipsARequest,
    /// The display executes a request of a superseded connection again.
    ExecutesForTheDead,
    /// The display reports to a durable client before the state is on disk.
    TellsBeforeTheSync,
    /// The display answers `sync_durable` like `sync`.
    VouchesBeforeTheSync,
    /// The display also releases output that was made after the write began.
    ReleasesMoreThanWasMarked,
    /// The display executes requests before the welcome is confirmed.
    AsksForNoConfirmation,
    /// All welcomes have the same nonce.
    RepeatsItsNonce,
    /// The display identifies the beginning of a session by its hello alone.
    KnowsABeginningByItsHello,
    /// A late hello ends the connection that has its session.
    IsDisturbedByAnOlderHello,
    /// Forgotten sessions leave no tombstone.
    ForgetsWhoWasThere,
    /// The display drops a session whose beginning was not confirmed when the connection ends.
    DropsWhatIsNotConfirmed,
}

impl Wrong {
    pub(crate) const ALL: [Wrong; 20] = [
        Wrong::ForgetsWhatWasExecuted,
        Wrong::TakesUpAnOldState,
        Wrong::GrantsTwice,
        Wrong::DropsResponses,
        Wrong::CountsOneMore,
        Wrong::PretendsToRemember,
        Wrong::HidesThatItIsNew,
        Wrong::RestoresAnOldSession,
        Wrong::RestoresAnOldPicture,
        Wrong::SkipsARequest,
        Wrong::ExecutesForTheDead,
        Wrong::TellsBeforeTheSync,
        Wrong::VouchesBeforeTheSync,
        Wrong::ReleasesMoreThanWasMarked,
        Wrong::AsksForNoConfirmation,
        Wrong::RepeatsItsNonce,
        Wrong::KnowsABeginningByItsHello,
        Wrong::IsDisturbedByAnOlderHello,
        Wrong::ForgetsWhoWasThere,
        Wrong::DropsWhatIsNotConfirmed,
    ];
}

/// The content of the disk: the state at the last write, and the sessions that have begun.
#[derive(Debug)]
struct Journal {
    display: Display,
    executions: usize,
    records: usize,
    sessions: BTreeMap<Id, Vec<u8>>,
}

#[derive(Debug)]
struct Served {
    machine: Connection,
    nonce: Nonce,
    /// The session at the beginning of this connection.
    began: Option<Session>,
    /// The number of records when the waiting output was marked.
    marked: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Host {
    config: server::Config,
    pub(crate) display: Display,
    sessions: Sessions<usize>,
    served: BTreeMap<usize, Served>,
    journal: Option<Journal>,
    /// The number of journaled requests, whether written or not. Reads are not journaled.
    records: usize,
    /// The hello with which each session began.
    beginnings: BTreeMap<Id, u64>,
    /// Sessions whose connection ended before their beginning was confirmed.
    unconfirmed: BTreeSet<Id>,
    /// The time when each session was last given back.
    parted: BTreeMap<Id, Instant>,
    pub(crate) late: Late,
    wrong: Option<Wrong>,
}

/// Counts of late events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Late {
    /// Late hellos while a connection had the session (`held`), while it was parked, and after it was gone.
    pub(crate) held: usize,
    pub(crate) parked: usize,
    pub(crate) gone: usize,
    /// Connections whose first message after the welcome was not its confirmation.
    pub(crate) unconfirmed: usize,
    /// Resumed sessions whose beginning had not been confirmed.
    pub(crate) begun: usize,
}

impl Late {
    pub(crate) fn add(&mut self, other: Late) {
        self.held += other.held;
        self.parked += other.parked;
        self.gone += other.gone;
        self.unconfirmed += other.unconfirmed;
        self.begun += other.begun;
    }
}

/// The limit on the memory of one session in these runs: the window, the answers and the faults.
const MEMORY: usize = 8 << 20;

impl Host {
    pub(crate) fn new(instance: Id, has_journal: bool, wrong: Option<Wrong>) -> Host {
        let config = server::Config {
            display: draw_protocol::DisplayName::main(),
            server: String::new(),
            size: SIZE,
            message: MESSAGE,
            instance: Some((instance, 1)),
            has_journal,
            nonce: None,
        };
        let display = Display::new(SIZE);
        let journal =
            Journal { display: display.clone(), executions: 0, records: 0, sessions: BTreeMap::new() };
        Host {
            config,
            display,
            sessions: Sessions::default(),
            served: BTreeMap::new(),
            journal: has_journal.then_some(journal),
            records: 0,
            beginnings: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            parted: BTreeMap::new(),
            late: Late::default(),
            wrong,
        }
    }

    pub(crate) fn has_journal(&self) -> bool {
        self.journal.is_some()
    }

    pub(crate) fn sessions(&self) -> (usize, usize) {
        self.sessions.count()
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    /// Accepts a connection. `random` is the system's random number for its nonce.
    pub(crate) fn accept(&mut self, link: usize, random: u64, now: Instant) {
        let nonce = Nonce::new(if self.is(Wrong::RepeatsItsNonce) { 0 } else { random });
        let machine = Connection::open(self.config.message, now);
        self.served.insert(link, Served { machine, nonce, began: None, marked: None });
    }

    /// Takes the session away from a connection without a reason. Returns whether it had one.
    pub(crate) fn rob(&mut self, link: usize, now: Instant) -> bool {
        let has_one = self.served.get(&link).is_some_and(|served| served.machine.session().is_some());
        self.part(link, now);
        has_one
    }

    /// Returns the largest number of unread hellos of one client.
    pub(crate) fn waiting(&self, links: &[Link]) -> usize {
        let mut counts = BTreeMap::<usize, usize>::new();
        for (number, served) in &self.served {
            if served.machine.standing().is_none() && links[*number].up.len() > 0 {
                *counts.entry(links[*number].client).or_default() += 1;
            }
        }
        counts.into_values().max().unwrap_or(0)
    }

    /// Receives `most` arriving bytes, and executes the requests in them.
    pub(crate) fn take(
        &mut self,
        number: usize,
        link: &mut Link,
        most: usize,
        now: Instant,
        ledger: &mut Ledger,
    ) {
        let Some(mut served) = self.served.remove(&number) else { return };
        let is_copy = link.is_copy;
        let bytes = link.up.first(most);
        let mut input = bytes;
        loop {
            let (id, is_skipping) = (served.machine.session(), self.is(Wrong::SkipsARequest));
            if self.is(Wrong::AsksForNoConfirmation)
                && served.machine.is_unconfirmed()
                && !link.kind.is_checked
            {
                _ = served.machine.handle_input(&mut &confirmation(served.nonce)[..], now);
            }
            match served.machine.handle_input(&mut input, now) {
                Step::Execute(request, _) => {
                    ledger.check(!is_copy, || format!("a copy of {} is executed", request.call()));
                    self.records += usize::from(request.method().is_journaled());
                    let is_skipped =
                        is_skipping && request.method().draws() && ledger.executions() % 50 == 49;
                    let result = match is_skipped {
                        true => Ok(Answer::Done(())),
                        false => {
                            let result = self.display.apply(&request);
                            if let Some(id) = id {
                                ledger.executed(id, &request, &result);
                            }
                            result
                        }
                    };
                    served.machine.answer(result);
                }
                Step::Greet(_) => {
                    let config = server::Config { nonce: Some(served.nonce), ..self.config.clone() };
                    served.machine.choose(Ok(config));
                }
                Step::Resume(asked) => self.resume(&mut served, number, asked, now, ledger),
                Step::Continue => {}
                Step::Wait => break,
            }
        }
        let taken = most - input.len();
        // Bytes after the end of the connection are discarded.
        let is_over = served.machine.closing().is_some();
        let was_unconfirmed = |fault: &draw_protocol::Fault| fault.code == Code::Unconfirmed;
        self.late.unconfirmed += usize::from(served.machine.closing().is_some_and(was_unconfirmed));
        let memory = served.machine.session_state().map_or(0, Session::memory);
        ledger.check(memory < MEMORY, || format!("a session has {memory} bytes"));
        link.up.drop_first(if is_over { most } else { taken });
        self.served.insert(number, served);
    }

    fn resume(
        &mut self,
        served: &mut Served,
        number: usize,
        asked: Resume,
        now: Instant,
        ledger: &mut Ledger,
    ) {
        let (id, peer) = (asked.session, Peer::default());
        let (grants_twice, forgets) = (self.is(Wrong::GrantsTwice), self.is(Wrong::ForgetsWhoWasThere));
        let was_there = (self.sessions.contains(id), self.sessions.parked().any(|(parked, _)| parked == id));
        let mut found = match self.sessions.claim(&asked, peer, number, now) {
            Claim::Granted(found) => found,
            Claim::Held(&other) if grants_twice => self.served[&other].machine.session_state().cloned(),
            Claim::Held(&other) => {
                self.part(other, now);
                match self.sessions.claim(&asked, peer, number, now) {
                    Claim::Granted(found) => found,
                    other => panic!("it was parked: {other:?}"),
                }
            }
            Claim::Overtaken(_) if forgets && !was_there.0 => None,
            Claim::Overtaken(latest) => {
                match was_there {
                    (_, true) => self.late.parked += 1,
                    (true, false) => self.late.held += 1,
                    (false, _) => self.late.gone += 1,
                }
                if self.is(Wrong::IsDisturbedByAnOlderHello) {
                    let holder = self.served.iter().find(|(_, served)| served.machine.session() == Some(id));
                    let holder = holder.map(|(number, _)| *number);
                    holder.into_iter().for_each(|number| self.part(number, now));
                }
                return served.machine.overtaken(latest);
            }
        };
        if self.is(Wrong::KnowsABeginningByItsHello)
            && let (Some(session), Some(incarnation)) = (&found, asked.incarnation)
            && self.beginnings.get(&id) == Some(&asked.born)
        {
            found = Some(born(session, incarnation));
        }
        if self.is(Wrong::PretendsToRemember) && found.is_none() && asked.instance.is_some() {
            let mut new = None;
            let asked = Resume { attempt: asked.born, born: 0, ..asked };
            found = Session::enter(&mut new, &asked, id, None).ok().map(|(session, _)| session);
            found = found.map(|session| born(&session, asked.incarnation.unwrap_or(asked.born)));
        }
        if self.is(Wrong::CountsOneMore)
            && let Some(session) = found.take_if(|session| asked.next > session.filter().applied() + 1)
        {
            let applied = session.filter().applied() + 1;
            found = Some(moved(&session, applied, applied));
        }
        served.machine.resume(&mut found);
        served.began = served.machine.session_state().cloned();
        let waits = self.parted.get(&id).is_some_and(|at| now - *at < limits::SESSION_LEASE);
        let is_expired = served.machine.standing() == Some(Standing::Expired);
        ledger.check(was_there.0 || !waits || !is_expired, || format!("{id} is expired before its time"));
        match served.machine.standing() {
            Some(Standing::Resumed) => self.late.begun += usize::from(self.unconfirmed.remove(&id)),
            Some(Standing::Regressed) | None => {}
            Some(_) => {
                self.beginnings.insert(id, asked.attempt);
                self.unconfirmed.remove(&id);
            }
        }
        match (&served.began, found) {
            // The beginning of the session is on disk before it is reported, with everything before it.
            (Some(session), _) if served.machine.standing() != Some(Standing::Resumed) => {
                let session = encode(session);
                self.sync(ledger);
                if let Some(journal) = &mut self.journal {
                    journal.sessions.insert(id, session);
                }
            }
            (Some(_), _) => {}
            (None, Some(session)) => self.sessions.park(id, session, now),
            (None, None) => self.sessions.forget(id),
        }
    }

    /// Takes the session back from a connection.
    fn part(&mut self, number: usize, now: Instant) {
        let Some(served) = self.served.get_mut(&number) else { return };
        let wrong = self.wrong;
        let is_begun = served.machine.standing().is_some_and(|standing| standing != Standing::Resumed);
        let is_unconfirmed = is_begun && served.machine.is_unconfirmed();
        if wrong == Some(Wrong::ExecutesForTheDead)
            && let Some(id) = served.machine.session()
            && let Some(state) = served.machine.session_state().cloned()
        {
            return self.sessions.park(id, state, now);
        }
        let Some((id, session)) = served.machine.take_session() else { return };
        self.parted.insert(id, now);
        if is_unconfirmed {
            self.unconfirmed.insert(id);
            if wrong == Some(Wrong::DropsWhatIsNotConfirmed) {
                return self.sessions.forget(id);
            }
        }
        let session = match wrong {
            Some(Wrong::ForgetsWhatWasExecuted) => {
                let ack = session.filter().ack();
                moved(&session, ack, ack)
            }
            Some(Wrong::TakesUpAnOldState) => served.began.clone().unwrap_or(session),
            Some(Wrong::DropsResponses) => {
                let filter = session.filter();
                moved(&session, filter.ack(), filter.applied())
            }
            _ => session,
        };
        self.sessions.park(id, session, now);
    }

    /// Passes some of the output to the link.
    pub(crate) fn send(&mut self, number: usize, link: &mut Link, random: &mut Random, now: Instant) {
        let kept = self.journal.as_ref().map_or(0, |journal| journal.records);
        let Some(served) = self.served.get_mut(&number) else { return };
        served.release(kept, self.records, self.wrong);
        let bytes = served.machine.poll_transmit(now);
        let n = random.portion(bytes.len());
        link.down.push(&bytes[..n]);
        served.machine.handle_transmitted(n, now);
        let is_over = served.machine.closing().is_some()
            && served.machine.poll_transmit(now).is_empty()
            && !served.machine.is_held();
        if is_over {
            self.leave(number, link, now);
        }
    }

    /// Ends the display's side of a connection.
    pub(crate) fn leave(&mut self, number: usize, link: &mut Link, now: Instant) {
        self.part(number, now);
        self.served.remove(&number);
        link.leave_server();
    }

    pub(crate) fn time_passes(&mut self, now: Instant) {
        self.sessions.expire(now);
        self.served.values_mut().for_each(|served| served.machine.handle_timeout(now));
    }

    /// Writes everything to disk.
    pub(crate) fn sync(&mut self, ledger: &Ledger) {
        let Some(journal) = &mut self.journal else { return };
        let held = self
            .served
            .values()
            .filter_map(|served| Some((served.machine.session()?, served.machine.session_state()?)));
        journal.sessions =
            self.sessions.parked().chain(held).map(|(id, session)| (id, encode(session))).collect();
        (journal.display, journal.executions) = (self.display.clone(), ledger.executions());
        journal.records = self.records;
    }

    /// Ends the process and starts another. `instance` is the id of the new display if there is no journal.
    pub(crate) fn restart(&mut self, links: &mut [Link], instance: Id, now: Instant, ledger: &mut Ledger) {
        let states: Vec<_> = self
            .served
            .values()
            .filter_map(|served| Some((served.machine.session()?, served.machine.session_state()?.clone())))
            .collect();
        for (number, _) in std::mem::take(&mut self.served) {
            links[number].leave_server();
        }
        let (before, boot) = self.config.instance.expect("it always has one");
        self.sessions = Sessions::default();
        self.parted.clear();
        self.beginnings.clear();
        let Some(journal) = &self.journal else {
            let instance = if self.is(Wrong::HidesThatItIsNew) { before } else { instance };
            self.config.instance = Some((instance, 1));
            self.display = Display::new(SIZE);
            return ledger.start_over();
        };
        self.config.instance = Some((before, boot + 1));
        self.records = journal.records;
        for (id, bytes) in &journal.sessions {
            let session = Session::decode(bytes).expect("what was encoded");
            self.sessions.restore(*id, session, now);
        }
        if self.is(Wrong::RestoresAnOldPicture) {
            states.into_iter().for_each(|(id, session)| self.sessions.park(id, session, now));
        }
        if !self.is(Wrong::RestoresAnOldSession) {
            self.display = journal.display.clone();
            ledger.roll_back(journal.executions);
        }
    }
}

impl Served {
    /// Releases the output that depends on at most `kept` records, the number on disk. `records` is the total number.
    fn release(&mut self, kept: usize, records: usize, wrong: Option<Wrong>) {
        let is_careless = match self.machine.is_durable() {
            true => wrong == Some(Wrong::TellsBeforeTheSync),
            false => wrong == Some(Wrong::VouchesBeforeTheSync),
        };
        loop {
            if let Some(marked) = self.marked {
                if kept < marked && !is_careless {
                    return;
                }
                self.machine.release();
                self.marked = None;
                if wrong == Some(Wrong::ReleasesMoreThanWasMarked) && self.machine.mark() {
                    self.machine.release();
                }
            }
            if !self.machine.mark() {
                return;
            }
            self.marked = Some(records);
        }
    }
}

/// Returns the message that confirms this nonce.
fn confirmation(nonce: Nonce) -> Vec<u8> {
    let mut bytes = b"\x93\x02\xa7confirm\x91\xcf".to_vec();
    bytes.extend(nonce.get().to_be_bytes());
    bytes
}

/// Returns the same session with another beginning.
fn born(session: &Session, born: u64) -> Session {
    let mut bytes = encode(session);
    bytes[2..10].copy_from_slice(&born.to_be_bytes());
    Session::decode(&bytes).expect("a session")
}

fn encode(session: &Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    session.encode(&mut bytes);
    assert_eq!(
        Session::decode(&bytes).map(|session| {
            let mut again = Vec::new();
            session.encode(&mut again);
            again
        }),
        Ok(bytes.clone())
    );
    bytes
}

/// Returns the same session with other numbers, and without responses.
fn moved(session: &Session, ack: u64, applied: u64) -> Session {
    const ACK: usize = 18;
    let (mut bytes, digests) = (encode(session), (applied - ack) as usize * 8);
    // Zeros stand for the digests of unknown requests.
    bytes.resize(ACK + 24 + digests, 0);
    bytes[ACK..ACK + 8].copy_from_slice(&ack.to_be_bytes());
    bytes[ACK + 8..ACK + 16].copy_from_slice(&applied.to_be_bytes());
    // The last request that drew, then no responses and no unanswered reads.
    bytes[ACK + 16..ACK + 24].copy_from_slice(&applied.to_be_bytes());
    bytes.extend([0; 8]);
    Session::decode(&bytes).expect("a session")
}
