//! Programs, a display and the network between them, in one thread, and in the order that a seed decides.

use super::host::{Host, Late, Wrong};
use super::ledger::Ledger;
use super::link::{Kind, Link};
use super::program::{Next, Program};
use super::random::Random;
use super::workload;
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Request, limits};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// What happened, for the trace.
#[derive(Debug, Hash)]
enum Happening {
    Call { session: usize, number: u64, call: String },
    Connect { session: usize, link: usize },
    Send { link: usize, bytes: usize },
    Arrive { link: usize, bytes: usize },
    Answer { link: usize, bytes: usize },
    Hear { link: usize, bytes: usize, done: u64 },
    Resumed { session: usize, standing: &'static str },
    ClientLeaves { link: usize, session: usize },
    ServerLeaves { link: usize },
    Cut { link: usize, up: bool, down: bool },
    Altered { link: usize, up: bool, bit: usize },
    ClientRestarts { before: usize, after: usize },
    ServerRestarts { has_journal: bool },
    Synced { executions: usize },
    LossAccepted { session: usize, is_accepted: bool },
    SessionEnds { session: usize },
    Time { ms: u64 },
    Frozen { steps: usize },
    Thawed { hellos: usize },
    Copied { link: usize, copy: usize, bytes: usize },
    Robbed { link: usize },
}

/// How a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Run {
    /// The same for the same seed.
    pub(crate) trace: u64,
    pub(crate) executions: usize,
    /// How often a session was taken up again, by standing: resumed, regressed, expired, state lost.
    pub(crate) standings: [u32; 4],
    /// How often a client was told that everything is on disk, and what was lost of which a durable client had not been told.
    pub(crate) durable: [usize; 2],
    /// How many calls were given up before anything of them was sent.
    pub(crate) unsent: usize,
    /// How many bits were altered, and how many connections a client has left because it found out.
    pub(crate) altered: [usize; 2],
    /// What came late: see [`Late`].
    pub(crate) late: Late,
    /// How often the display thawed with several hellos of one session before it; how many connections were copied, of clients that
    /// confirm and of those that do not; how often a client was overtaken by its own hello, and robbed of its session.
    pub(crate) doubled: [usize; 5],
}

pub(crate) struct World {
    random: Random,
    /// Decides what is altered on its way, and of whose.
    spoiler: Random,
    /// In how many of 1,000 steps that is; in none, if nobody wants checks.
    spoils: usize,
    now: Instant,
    programs: Vec<Program>,
    links: Vec<Link>,
    /// Those of `links` that anything can still happen on.
    live: Vec<usize>,
    host: Host,
    ledger: Ledger,
    /// How many of 1,000 steps are faults.
    faults: usize,
    /// For how many more steps the display does nothing, though the system takes what arrives.
    frozen: usize,
    /// Whether there are many calls.
    is_busy: bool,
    trace: DefaultHasher,
    is_shown: bool,
    run: Run,
}

/// The most that a client holds here. What is in flight is bounded by credit, and each byte of it is kept once, or twice while it is
/// copied.
const CLIENT_MEMORY: usize = 80 << 20;

impl World {
    pub(crate) fn new(seed: u64, wrong: Option<Wrong>, is_shown: bool) -> World {
        let mut random = Random::new(seed);
        // Another's chance: where nothing is altered, seeds do what they did before anything was.
        let mut spoiler = Random::new(!seed);
        let spoils = [0, 0, 10, 40][spoiler.below(4)];
        let has_journal = match wrong {
            Some(Wrong::RestoresAnOldPicture | Wrong::RestoresAnOldSession) => true,
            Some(Wrong::TellsBeforeTheSync | Wrong::VouchesBeforeTheSync) => true,
            Some(Wrong::ReleasesMoreThanWasMarked) => true,
            Some(Wrong::HidesThatItIsNew) => false,
            _ => random.happens(1, 2),
        };
        let host = Host::new(id(&mut random), has_journal, wrong);
        let mut world = World {
            now: Instant::now(),
            programs: Vec::new(),
            links: Vec::new(),
            live: Vec::new(),
            host,
            ledger: Ledger::new(has_journal),
            faults: [5, 20, 60][random.below(3)],
            frozen: 0,
            is_busy: random.happens(1, 12),
            trace: DefaultHasher::new(),
            is_shown,
            run: Run::default(),
            random,
            spoiler,
            spoils,
        };
        for _ in 0..=world.random.below(3) {
            let program = world.program();
            world.programs.push(program);
        }
        world
    }

    /// Lets everything happen, then heals everything, and waits until all is done.
    ///
    /// # Errors
    /// What was wrong.
    pub(crate) fn run(mut self) -> Result<Run, String> {
        for _ in 0..200 + self.random.below(400) {
            if self.random.happens(self.faults, 1000) {
                self.fault();
            } else {
                self.step();
            }
            if self.spoils > 0 && self.spoiler.happens(self.spoils, 1000) {
                self.alter();
            }
            self.verdict()?;
        }
        self.settle()?;
        let sessions: Vec<_> = self.programs.iter().map(|program| program.session).collect();
        self.ledger.check_end(&self.host.display.pixels, |session| sessions.contains(&session));
        self.verdict()?;
        self.end()?;
        self.run.late = self.host.late;
        self.run.doubled[3] += self.programs.iter().map(|program| program.overtaken).sum::<usize>();
        self.run.executions = self.ledger.executions();
        self.run.durable = self.ledger.durable();
        self.run.unsent = self.ledger.unsent();
        self.run.altered[1] += self.programs.iter().map(|program| program.altered).sum::<usize>();
        self.run.trace = self.trace.finish();
        Ok(self.run)
    }

    /// A program that is about to begin; two of three want checks where anything is altered.
    fn program(&mut self) -> Program {
        let id = id(&mut self.random);
        let is_checked = self.spoils > 0 && self.spoiler.happens(2, 3);
        // One of three is older.
        let confirms = self.random.happens(2, 3);
        Program::new(id, Kind { is_checked, confirms }, &mut self.ledger)
    }

    /// A bit is altered, on some way where there is any and somebody looks.
    fn alter(&mut self) {
        let is_looked_at = |link: &&usize| self.links[**link].kind.is_checked;
        let links: Vec<_> = self.live.iter().filter(is_looked_at).copied().collect();
        if links.is_empty() {
            return;
        }
        let (link, up) = (links[self.spoiler.below(links.len())], self.spoiler.happens(1, 2));
        let way = if up { &mut self.links[link].up } else { &mut self.links[link].down };
        if let Some(bit) = way.alter(&mut self.spoiler) {
            self.run.altered[0] += 1;
            self.note(Happening::Altered { link, up, bit });
        }
    }

    /// One of those that are in use, of which there is at least one.
    fn any_link(&mut self) -> usize {
        let at = self.random.below(self.live.len());
        self.live[at]
    }

    fn verdict(&self) -> Result<(), String> {
        self.ledger.wrong().map_or(Ok(()), |wrong| Err(wrong.to_owned()))
    }

    fn note(&mut self, happening: Happening) {
        happening.hash(&mut self.trace);
        if self.is_shown {
            println!("{happening:?}");
        }
    }

    /// Nothing that is wrong: somebody goes on with what is to be done.
    fn step(&mut self) {
        if self.frozen > 0 {
            self.frozen -= 1;
            if self.frozen == 0 {
                self.thaw();
            }
        }
        let at = self.random.below(self.programs.len());
        match self.random.below(100) {
            0..25 => self.call(at),
            25..45 => self.send(at),
            45..50 if self.programs[at].link.is_none() => self.connect(at),
            50..52 => {
                let time = Duration::from_micros(self.random.next() % 3000);
                self.pass(time);
            }
            52..54 => {
                self.host.sync(&self.ledger);
                self.note(Happening::Synced { executions: self.ledger.executions() });
            }
            _ => {
                if !self.live.is_empty() {
                    let link = self.any_link();
                    match self.random.below(3) {
                        0 => self.arrive(link),
                        1 => self.answer(link),
                        _ => self.hear(link),
                    }
                }
            }
        }
    }

    fn call(&mut self, at: usize) {
        let session = self.programs[at].session;
        if self.programs[at].has_ended {
            return;
        }
        let count = if self.is_busy && self.random.happens(1, 12) { 260 } else { 1 };
        let kind = self.random.below(3);
        for _ in 0..count {
            let (random, ledger, program) = (&mut self.random, &mut self.ledger, &mut self.programs[at]);
            let asked = || ledger.next_question(session);
            let mut call = match (count, kind) {
                (1, _) => workload::call(random, asked),
                (_, 0) => workload::rectangle(random),
                (_, 1) => workload::call(random, asked),
                _ => workload::read(asked),
            };
            if program.machine.welcome().is_none() || !program.machine.has_credit(&call.request(), 0) {
                return;
            }
            if count == 1 && random.happens(1, 20) {
                // A call that no display can execute is refused at once, and leaves nothing behind.
                let wrong = Request::PutImage { x: 0, y: 0, width: 2, height: 2, rgba: &[0] };
                let is_refused = program.machine.call(&wrong, self.now).is_err();
                ledger.check(is_refused, || "a call that cannot be was made".into());
            }
            ledger.call(session, &mut call);
            let number = program.machine.call(&call.request(), self.now).expect("a valid call");
            let calls = ledger.calls(session);
            ledger.check(number == calls, || format!("call {calls} has number {number}"));
            let memory = program.machine.memory();
            ledger.check(memory < CLIENT_MEMORY, || format!("a client has {memory} bytes"));
            let call = call.request().call().to_string();
            self.note(Happening::Call { session, number, call });
        }
    }

    fn connect(&mut self, at: usize) {
        let link = self.links.len();
        self.links.push(Link::new(at, self.ledger.process(), self.programs[at].kind, self.now));
        self.live.push(link);
        self.host.accept(link, self.random.next(), self.now);
        self.programs[at].connect(link, &mut self.random, self.now);
        self.note(Happening::Connect { session: self.programs[at].session, link });
    }

    fn send(&mut self, at: usize) {
        let Some(link) = self.programs[at].link else { return };
        let before = self.links[link].up.len();
        self.programs[at].send(&mut self.links[link], &mut self.random);
        let bytes = self.links[link].up.len() - before;
        self.note(Happening::Send { link, bytes });
    }

    fn arrive(&mut self, link: usize) {
        if self.frozen > 0 {
            return;
        }
        if !self.may_arrive(link) {
            let way = &mut self.links[link];
            let n = way.up.len();
            way.up.drop_first(n);
        }
        let way = &mut self.links[link];
        if !way.has_server {
            let n = way.up.len();
            way.up.drop_first(n);
            return self.bury(link);
        }
        if way.up.has_ended() {
            self.host.leave(link, way, self.now);
            self.note(Happening::ServerLeaves { link });
            return self.bury(link);
        }
        let bytes = self.random.portion(way.up.len());
        self.host.take(link, way, bytes, self.now, &mut self.ledger);
        self.note(Happening::Arrive { link, bytes });
    }

    /// Whether a network may still deliver a copy. Of what a client sends that confirms it may do so at any time; of others as long as
    /// a display knows the session, or that it was there.
    fn may_arrive(&self, link: usize) -> bool {
        let link = &self.links[link];
        let is_fresh =
            self.now - link.began < limits::SESSION_TOMBSTONE && link.process == self.ledger.process();
        !link.is_copy || link.kind.confirms || is_fresh
    }

    fn answer(&mut self, link: usize) {
        let way = &mut self.links[link];
        if way.has_server && self.frozen == 0 {
            let before = way.down.len();
            self.host.send(link, way, &mut self.random, self.now);
            let bytes = way.down.len() - before;
            self.note(Happening::Answer { link, bytes });
        }
    }

    fn hear(&mut self, link: usize) {
        let way = &mut self.links[link];
        let at = way.client;
        if !way.has_client {
            let n = way.down.len();
            way.down.drop_first(n);
            return self.bury(link);
        }
        if way.down.has_ended() {
            return self.leave(at);
        }
        let bytes = self.random.portion(way.down.len());
        let program = &mut self.programs[at];
        let (by, may_lose) = (way.process, way.is_copied || way.is_robbed);
        let next = program.take(way.down.first(bytes), by, may_lose, self.now, &mut self.ledger);
        way.down.drop_first(bytes);
        let (session, done, resumed) = (program.session, program.machine.done(), program.resumed.take());
        self.note(Happening::Hear { link, bytes, done });
        if let Some(standing) = resumed {
            let kinds = [Standing::Resumed, Standing::Regressed, Standing::Expired, Standing::StateLost];
            if let Some(at) = kinds.iter().position(|kind| *kind == standing) {
                self.run.standings[at] += 1;
            }
            self.note(Happening::Resumed { session, standing: standing.as_str() });
        }
        match next {
            Next::GoOn => {}
            Next::Leave => self.leave(at),
            Next::Decide => {
                self.leave(at);
                let is_accepted = self.random.happens(2, 3);
                self.note(Happening::LossAccepted { session, is_accepted });
                if is_accepted {
                    self.programs[at].accept_loss();
                    self.ledger.forgive(session);
                } else {
                    self.restart_client(at);
                }
            }
        }
    }

    /// The client finds out that its connection is gone, or does not want it any more.
    fn leave(&mut self, at: usize) {
        if let Some(link) = self.programs[at].link {
            self.programs[at].disconnect(&mut self.links[link], &mut self.random);
            self.note(Happening::ClientLeaves { link, session: self.programs[at].session });
            self.bury(link);
        }
    }

    fn bury(&mut self, link: usize) {
        let way = &self.links[link];
        if !way.has_client && !way.has_server {
            self.live.retain(|&live| live != link);
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.frozen == 0 {
            self.host.time_passes(self.now);
        }
        for at in 0..self.programs.len() {
            self.programs[at].machine.handle_timeout(self.now);
            if self.programs[at].is_impatient(self.now) {
                self.leave(at);
            }
        }
        self.note(Happening::Time { ms: time.as_millis() as u64 });
    }

    fn fault(&mut self) {
        let at = self.random.below(self.programs.len());
        match self.random.below(26) {
            20 | 21 => self.freeze(),
            22 | 23 => self.copy(),
            24 => self.rob(),
            0..8 => {
                if !self.live.is_empty() {
                    let link = self.any_link();
                    let (up, down) = [(true, true), (true, false), (false, true)][self.random.below(3)];
                    if up {
                        self.links[link].up.cut(&mut self.random);
                    }
                    if down {
                        self.links[link].down.cut(&mut self.random);
                    }
                    self.note(Happening::Cut { link, up, down });
                }
            }
            // It comes back although nothing is wrong that it knows of, once or very often.
            8..13 => {
                for _ in 0..[1, 1, 2, 7][self.random.below(4)] {
                    self.leave(at);
                    self.connect(at);
                    if self.random.happens(1, 2) {
                        self.send(at);
                    }
                }
            }
            13..15 => self.restart_client(at),
            15 | 16 | 25 => {
                let instance = id(&mut self.random);
                self.frozen = 0;
                self.host.restart(&mut self.links, instance, self.now, &mut self.ledger);
                self.note(Happening::ServerRestarts { has_journal: self.host.has_journal() });
                self.live.clone().into_iter().for_each(|link| self.bury(link));
            }
            17 | 18 => {
                let (least, more) = [(100, 100), (0, 20)][self.random.below(2)];
                let time = Duration::from_secs(least + self.random.next() % more);
                self.pass(time);
            }
            _ => self.end_session(at),
        }
    }

    /// The display's process is stopped. Its system goes on taking connections, and clients lose patience and greet once more.
    fn freeze(&mut self) {
        self.frozen = 10 + self.random.below(60);
        self.note(Happening::Frozen { steps: self.frozen });
        for _ in 0..self.random.below(5) {
            self.pass(limits::CONNECT_TIMEOUT);
            for at in 0..self.programs.len() {
                if self.random.happens(1, 2) {
                    self.leave(at);
                    self.connect(at);
                    self.send(at);
                }
            }
        }
    }

    /// It goes on, and all that has queued up is there at once, of any connection first.
    fn thaw(&mut self) {
        self.frozen = 0;
        let hellos = self.host.waiting(&self.links);
        self.run.doubled[0] += usize::from(hellos > 1);
        self.note(Happening::Thawed { hellos });
        let mut links = self.live.clone();
        while !links.is_empty() {
            let link = links.swap_remove(self.random.below(links.len()));
            self.arrive(link);
            if self.random.happens(1, 2) {
                self.answer(link);
            }
        }
        self.host.time_passes(self.now);
    }

    /// What some connection has carried arrives once more, on another: of one that there is, or of any that there ever was.
    fn copy(&mut self) {
        if self.links.is_empty() {
            return;
        }
        let unanswered = self.programs.iter().filter(|program| !program.is_greeted);
        let unanswered: Vec<_> = unanswered.filter_map(|program| program.link).collect();
        let link = match self.random.below(2) {
            0 if !unanswered.is_empty() => unanswered[self.random.below(unanswered.len())],
            _ => self.random.below(self.links.len()),
        };
        if !self.links[link].is_copy {
            let copy = self.copy_of(link);
            // It may even be faster than what it is a copy of.
            if self.random.happens(1, 2) {
                self.arrive(copy);
            }
        }
    }

    fn copy_of(&mut self, link: usize) -> usize {
        let copied = self.links[link].copy(&mut self.random);
        let (copy, bytes) = (self.links.len(), copied.up.len());
        self.run.doubled[if copied.kind.confirms { 1 } else { 2 }] += 1;
        self.links.push(copied);
        self.live.push(copy);
        self.host.accept(copy, self.random.next(), self.now);
        self.note(Happening::Copied { link, copy, bytes });
        copy
    }

    /// The display takes a session for another's.
    fn rob(&mut self) {
        if !self.live.is_empty() {
            let link = self.any_link();
            if self.host.rob(link, self.now) {
                self.links[link].is_robbed = true;
                self.run.doubled[4] += 1;
                self.note(Happening::Robbed { link });
            }
        }
    }

    /// The program ends without a word to the display, and is started again.
    fn restart_client(&mut self, at: usize) {
        self.leave(at);
        self.programs[at].give_up(&mut self.ledger);
        let before = self.programs[at].session;
        self.run.altered[1] += self.programs[at].altered;
        self.run.doubled[3] += self.programs[at].overtaken;
        self.programs[at] = self.program();
        self.note(Happening::ClientRestarts { before, after: self.programs[at].session });
    }

    /// A program that has nothing to wait for says that it will not come back.
    fn end_session(&mut self, at: usize) {
        let program = &mut self.programs[at];
        if program.machine.in_flight() == 0 && program.machine.is_resumable() && program.link.is_some() {
            program.machine.end_session();
            program.has_ended = true;
            let session = program.session;
            self.note(Happening::SessionEnds { session });
            self.send(at);
            self.restart_client(at);
        }
    }

    /// Everything works from now on. All that was called has to be done within so many rounds.
    fn settle(&mut self) -> Result<(), String> {
        if self.frozen > 0 {
            self.thaw();
        }
        for round in 0..4_000 {
            if round % 4 == 0 {
                self.host.sync(&self.ledger);
            }
            for at in 0..self.programs.len() {
                if self.programs[at].link.is_none() {
                    self.connect(at);
                }
                self.send(at);
            }
            if self.spoils > 0 && round % 32 == 31 {
                // What was altered to seem longer than it is waits for what never comes.
                self.pass(Duration::from_secs(25));
            }
            for link in self.live.clone() {
                self.arrive(link);
                self.answer(link);
                self.hear(link);
                self.verdict()?;
            }
            let is_done = self.programs.iter().all(|it| it.is_greeted && it.machine.in_flight() == 0);
            let are_greeted = self.links.iter().all(|link| link.has_client == link.has_server);
            if is_done && are_greeted {
                return Ok(());
            }
        }
        let waiting: Vec<_> = self.programs.iter().map(|program| program.machine.in_flight()).collect();
        Err(format!("it does not come to an end: {waiting:?} calls in flight"))
    }

    /// Sessions that are ended take nothing, and what is left is forgotten after its lease. Copies that arrive even then are of no
    /// effect.
    fn end(&mut self) -> Result<(), String> {
        for at in 0..self.programs.len() {
            self.leave(at);
        }
        for link in self.live.clone() {
            self.arrive_all(link)?;
        }
        self.pass(Duration::from_secs(200));
        for _ in 0..self.links.len().min(8) {
            let link = self.random.below(self.links.len());
            if !self.links[link].is_copy {
                let copy = self.copy_of(link);
                self.arrive_all(copy)?;
            }
        }
        self.pass(Duration::from_secs(200));
        let (all, parked) = self.host.sessions();
        self.ledger.check(parked == 0, || format!("{parked} of {all} sessions wait for ever"));
        self.verdict()
    }
}

impl World {
    /// All that is on its way arrives, and the display finds that there will be nothing more.
    fn arrive_all(&mut self, link: usize) -> Result<(), String> {
        for _ in 0..10_000 {
            if !self.links[link].has_server {
                return self.verdict();
            }
            self.arrive(link);
            self.answer(link);
            self.verdict()?;
        }
        Err(format!("connection {link} does not come to an end"))
    }
}

fn id(random: &mut Random) -> Id {
    let (a, b) = (random.next().to_be_bytes(), random.next().to_be_bytes());
    let mut id = [0; 16];
    id[..8].copy_from_slice(&a);
    id[8..].copy_from_slice(&b);
    Id(id)
}
