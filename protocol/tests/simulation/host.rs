//! The display: machines, sessions, a picture and, perhaps, a journal. It can be made to do wrong.

use super::ledger::{Ledger, MESSAGE, SIZE};
use super::link::Link;
use super::random::Random;
use crate::common::display::Display;
use draw_protocol::Answer;
use draw_protocol::server::{self, Connection, Step};
use draw_protocol::session::{Claim, Id, Resume, Session, Sessions, Standing};
use std::collections::BTreeMap;
use std::time::Instant;

/// What a display might do wrong. Each of these has to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// What has been executed is forgotten with the connection.
    ForgetsWhatWasExecuted,
    /// A session is taken up as it was when its last connection began.
    TakesUpAnOldState,
    /// A connection that comes back gets a copy, and the older one goes on.
    GrantsTwice,
    /// Answers and faults are not kept.
    DropsResponses,
    /// One request more counts as executed than was.
    CountsOneMore,
    /// A session that is not there any more is resumed as if it were.
    PretendsToRemember,
    /// A display that has lost everything says that it is the same.
    HidesThatItIsNew,
    /// The picture survives a restart, and the session is older than it.
    RestoresAnOldSession,
    /// The session survives a restart, and the picture is older than it.
    RestoresAnOldPicture,
    /// A request is reported and not executed.
    SkipsARequest,
    /// A late connection's request is executed once more.
    ExecutesForTheDead,
    /// A durable client is told of what is not on disk yet.
    TellsBeforeTheSync,
    /// `sync_durable` is answered like `sync`.
    VouchesBeforeTheSync,
    /// With what is on disk goes what was said since it began to be written.
    ReleasesMoreThanWasMarked,
}

impl Wrong {
    pub(crate) const ALL: [Wrong; 14] = [
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
    ];
}

/// What is on disk: the state as of the last time that it was written, and of which sessions it is known that they began.
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
    /// The session as it was when this connection took it up.
    began: Option<Session>,
    /// How many records there were when what waits was marked.
    marked: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct Host {
    config: server::Config,
    pub(crate) display: Display,
    sessions: Sessions<usize>,
    served: BTreeMap<usize, Served>,
    journal: Option<Journal>,
    /// How many requests the journal has a record of, written or not: all but those that only ask.
    records: usize,
    wrong: Option<Wrong>,
}

/// The most that a display keeps for one session here: the window, the answers, and as many faults as these runs have.
const MEMORY: usize = 8 << 20;

impl Host {
    pub(crate) fn new(instance: Id, has_journal: bool, wrong: Option<Wrong>) -> Host {
        let config = server::Config {
            server: String::new(),
            size: SIZE,
            message: MESSAGE,
            instance: Some((instance, 1)),
            has_journal,
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

    pub(crate) fn accept(&mut self, link: usize, now: Instant) {
        let machine = Connection::new(self.config.clone(), now);
        self.served.insert(link, Served { machine, began: None, marked: None });
    }

    /// Takes in up to `most` bytes that arrive, and executes what there is in them.
    pub(crate) fn take(
        &mut self,
        number: usize,
        link: &mut Link,
        most: usize,
        now: Instant,
        ledger: &mut Ledger,
    ) {
        let Some(mut served) = self.served.remove(&number) else { return };
        let bytes = link.up.first(most);
        let mut input = bytes;
        loop {
            let (id, is_skipping) = (served.machine.session(), self.is(Wrong::SkipsARequest));
            match served.machine.handle_input(&mut input, now) {
                Step::Execute(request, _) => {
                    self.records += usize::from(!request.method().is_question());
                    let is_skipped =
                        is_skipping && !request.method().is_question() && ledger.executions() % 50 == 49;
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
                Step::Resume(asked) => self.resume(&mut served, number, asked, now, ledger),
                Step::Continue => {}
                Step::Wait => break,
            }
        }
        let taken = most - input.len();
        // What comes after the end is of no use to anybody.
        let is_over = served.machine.closing().is_some();
        let memory = served.machine.session_state().map_or(0, Session::memory);
        ledger.check(memory < MEMORY, || format!("a session has {memory} bytes"));
        link.up.drop_first(if is_over { most } else { taken });
        self.served.insert(number, served);
    }

    fn resume(&mut self, served: &mut Served, number: usize, asked: Resume, now: Instant, ledger: &Ledger) {
        let id = asked.session;
        let grants_twice = self.is(Wrong::GrantsTwice);
        let mut found = match self.sessions.claim(id, number, now) {
            Claim::Granted(found) => found,
            Claim::Held(&other) if grants_twice => self.served[&other].machine.session_state().cloned(),
            Claim::Held(&other) => {
                self.part(other, now);
                match self.sessions.claim(id, number, now) {
                    Claim::Granted(found) => found,
                    Claim::Held(_) => panic!("it was parked"),
                }
            }
        };
        if self.is(Wrong::PretendsToRemember) && found.is_none() && asked.instance.is_some() {
            let mut new = None;
            let asked = Resume { attempt: asked.born, born: 0, ..asked };
            found = Session::enter(&mut new, &asked, id).ok().map(|(session, _)| session);
        }
        if self.is(Wrong::CountsOneMore)
            && let Some(session) = found.take_if(|session| asked.next > session.filter().applied() + 1)
        {
            let applied = session.filter().applied() + 1;
            found = Some(moved(&session, applied, applied));
        }
        served.machine.resume(&mut found);
        served.began = served.machine.session_state().cloned();
        match (&served.began, found) {
            // That it begins is on disk before it is said, and with it everything before.
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

    /// A connection gives its session back.
    fn part(&mut self, number: usize, now: Instant) {
        let Some(served) = self.served.get_mut(&number) else { return };
        let wrong = self.wrong;
        if wrong == Some(Wrong::ExecutesForTheDead)
            && let Some(id) = served.machine.session()
            && let Some(state) = served.machine.session_state().cloned()
        {
            return self.sessions.park(id, state, now);
        }
        let Some((id, session)) = served.machine.take_session() else { return };
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

    /// Hands some of what is to be sent to the link.
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

    /// The connection has ended, or the display has found out that it has.
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

    /// The process dies, and another one begins. `instance` is the new display's, where nothing was written to disk.
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
            self.sessions.park(*id, session, now);
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
    /// Lets go what `kept` records on disk allow to be said, of so many that there are.
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

/// The same at another place, with nothing to say of what it has executed.
fn moved(session: &Session, ack: u64, applied: u64) -> Session {
    const ACK: usize = 18;
    let (mut bytes, digests) = (encode(session), (applied - ack) as usize * 8);
    // Missing digests are those of requests that are not known.
    bytes.resize(ACK + 24 + digests, 0);
    bytes[ACK..ACK + 8].copy_from_slice(&ack.to_be_bytes());
    bytes[ACK + 8..ACK + 16].copy_from_slice(&applied.to_be_bytes());
    // The last that has drawn; then neither responses nor questions without an answer.
    bytes[ACK + 16..ACK + 24].copy_from_slice(&applied.to_be_bytes());
    bytes.extend([0; 8]);
    Session::decode(&bytes).expect("a session")
}
