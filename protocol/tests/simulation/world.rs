//! Programs, a display and the network between them, in one thread, in an order that a seed determines.

mod end;
mod fault;
mod step;

use super::host::{Host, Late, Wrong};
use super::ledger::Ledger;
use super::link::{Kind, Link};
use super::program::Program;
use super::random::Random;
use draw_protocol::session::Id;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// An entry of the trace.
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

/// The statistics of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Run {
    /// The hash of the trace, equal for equal seeds.
    pub(crate) trace: u64,
    pub(crate) executions: usize,
    /// The number of reconnects by standing: resumed, regressed, expired, state lost.
    pub(crate) standings: [u32; 4],
    /// The number of `sync_durable` answers, and the number of lost units that were not reported to a durable client.
    pub(crate) durable: [usize; 2],
    /// The number of calls given up before any of their bytes were sent.
    pub(crate) unsent: usize,
    /// The number of flipped bits, and of connections that a client left because it detected one.
    pub(crate) altered: [usize; 2],
    /// The counts of late events: see [`Late`].
    pub(crate) late: Late,
    /// The number of thaws with several waiting hellos of one session; of copied connections of clients that confirm,
    /// and of those that do not; of clients overtaken by their own hello; of sessions taken from a connection.
    pub(crate) doubled: [usize; 5],
}

pub(crate) struct World {
    random: Random,
    /// The random source of bit flips.
    spoiler: Random,
    /// The number of flips in 1,000 steps. 0 if no client uses checks.
    spoils: usize,
    now: Instant,
    programs: Vec<Program>,
    links: Vec<Link>,
    /// The members of `links` that at least one end still uses.
    live: Vec<usize>,
    host: Host,
    ledger: Ledger,
    /// The number of faults in 1,000 steps.
    faults: usize,
    /// The number of steps for which the display is still frozen, while the system accepts arriving bytes.
    frozen: usize,
    /// Whether programs make many calls.
    is_busy: bool,
    trace: DefaultHasher,
    is_shown: bool,
    run: Run,
}

/// The limit on a client's memory in these runs. Credit bounds the data in flight, and each byte of it is kept once, or
/// twice while it is copied.
const CLIENT_MEMORY: usize = 80 << 20;

impl World {
    pub(crate) fn new(seed: u64, wrong: Option<Wrong>, is_shown: bool) -> World {
        let mut random = Random::new(seed);
        // A separate random source: without flips, seeds behave as before flips were added.
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

    /// Runs random steps and faults, then stops the faults and waits until all calls are done.
    ///
    /// # Errors
    /// Returns the first error found.
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

    /// Returns a new program. If bits are flipped, two of three use checks.
    fn program(&mut self) -> Program {
        let id = id(&mut self.random);
        let is_checked = self.spoils > 0 && self.spoiler.happens(2, 3);
        // One of three is an older client.
        let confirms = self.random.happens(2, 3);
        Program::new(id, Kind { is_checked, confirms }, &mut self.ledger)
    }

    /// Returns one of the links in use. There must be at least one.
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
}

fn id(random: &mut Random) -> Id {
    let (a, b) = (random.next().to_be_bytes(), random.next().to_be_bytes());
    let mut id = [0; 16];
    id[..8].copy_from_slice(&a);
    id[8..].copy_from_slice(&b);
    Id(id)
}
