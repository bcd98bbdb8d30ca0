//! Rows, and how they take turns.

use crate::measure::{Counted, Ends, Load, Mode, Section, Unit, Watch};
use crate::placement::Place;
use crate::scene::Scene;
use crate::targets::Target;
use crate::{Context, Failure, Result, groups};
use benches::chart::Kind;

/// How much each row does in a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) rounds: u32,
    /// Calls that are waited for one by one.
    pub(crate) calls: usize,
    /// Calls of the loop that does not wait, and of a peer that is a hundred times slower.
    pub(crate) singles: usize,
    pub(crate) slow_singles: usize,
    /// How often the whole display is drawn in batches.
    pub(crate) passes: usize,
    /// The same by clients that share the work: of 512 each sends twice what it may have under way at first, since a short burst
    /// measures how it begins.
    pub(crate) crowd_passes: usize,
    /// Whole frames put or got.
    pub(crate) frames: usize,
    /// Questions of the client that wants its turn beside another.
    pub(crate) questions: usize,
    /// How often the whole display is drawn on the far side of the slow path.
    pub(crate) far_passes: usize,
    /// Rounds between two turns of what takes long.
    pub(crate) pause: u32,
}

impl Scale {
    pub(crate) const FULL: Scale = Scale {
        rounds: 30,
        calls: 1_000,
        singles: 200_000,
        slow_singles: 20_000,
        passes: 10,
        crowd_passes: 128,
        frames: 10,
        questions: 100,
        far_passes: 7,
        pause: 6,
    };
    pub(crate) const QUICK: Scale = Scale {
        rounds: 4,
        calls: 200,
        singles: 50_000,
        slow_singles: 5_000,
        passes: 2,
        crowd_passes: 5,
        frames: 3,
        questions: 30,
        far_passes: 5,
        pause: 4,
    };
}

/// One thing that is measured.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    pub(crate) load: Load,
    pub(crate) targets: Vec<Target>,
    pub(crate) sections: Vec<Section>,
    /// System calls, or why they were not counted.
    pub(crate) counted: Result<Counted, String>,
    ends: Ends,
    run: Result<Run, String>,
}

/// Does the work of a section, and sees to it that the work was really done. The number is another one each time: what
/// is drawn depends on it, so that nobody lives on what was drawn before.
pub(crate) type Run = Box<dyn FnMut(&mut Watch<'_>, u32) -> Result<()>>;

impl Row {
    pub(crate) fn new(
        name: impl Into<String>,
        unit: Unit,
        load: Load,
        ends: Ends,
        run: impl FnMut(&mut Watch<'_>, u32) -> Result<()> + 'static,
    ) -> Row {
        let run: Run = Box::new(run);
        let (targets, sections, counted) = (Vec::new(), Vec::new(), Ok([None; 2]));
        let (name, kind) = (name.into(), Kind::Ours);
        Row { name, kind, unit, load, targets, sections, counted, ends, run: Ok(run) }
    }

    /// One that cannot run here.
    pub(crate) fn missing(name: impl Into<String>, unit: Unit, reason: &str) -> Row {
        let mut row = Row::new(name, unit, Load { calls: 1, pixels: 1 }, Ends::default(), |_, _| Ok(()));
        row.run = Err(reason.into());
        row
    }

    /// Its kind is [`Kind::Ours`] unless it is said to be another.
    pub(crate) fn kind(self, kind: Kind) -> Row {
        Row { kind, ..self }
    }

    pub(crate) fn target(mut self, target: Target) -> Row {
        self.targets.push(target);
        self
    }

    /// Why it was not run, if so.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.run.as_ref().err().map(String::as_str)
    }

    fn turn(&mut self, salt: u32, mode: &Mode) -> Result<()> {
        let Ok(run) = &mut self.run else { return Ok(()) };
        let mut watch = match Watch::new(&self.ends, mode) {
            Ok(watch) => watch,
            Err(reason) => {
                self.counted = Err(reason);
                return Ok(());
            }
        };
        run(&mut watch, salt).context(format_args!("{}, turn {salt}", self.name))?;
        match mode {
            Mode::Time => self.sections.push(watch.section(self.unit, self.load)),
            Mode::SystemCalls => self.counted = Ok(watch.counted(self.load)),
        }
        Ok(())
    }
}

/// Rows that are compared with each other. The first is what the others' ratios refer to.
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    /// It takes part in every so many rounds.
    every: u32,
}

impl Group {
    pub(crate) fn new(title: impl Into<String>, rows: Vec<Row>) -> Group {
        Group { title: title.into(), rows, every: 1 }
    }

    pub(crate) fn every(self, every: u32) -> Group {
        Group { every, ..self }
    }

    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

/// All rows of one placement.
pub(crate) struct Stand {
    pub(crate) place: Place,
    pub(crate) groups: Vec<Group>,
    scene: Scene,
    turns: u32,
}

impl Stand {
    pub(crate) fn new(scene: Scene) -> Result<Stand> {
        scene.place.enter_near()?;
        let groups = groups::all(&scene)?;
        for group in &groups {
            let mut needed =
                group.rows.iter().flat_map(|row| &row.targets).filter_map(|target| target.beside());
            if let Some(name) = needed.find(|name| group.row(name).is_none()) {
                return Err(Failure::new(format!(
                    "a target of {:?} refers to {name:?}, which is no row of it",
                    group.title
                )));
            }
        }
        Ok(Stand { place: scene.place, groups, scene, turns: 0 })
    }

    /// One section of each row, in turn; every other round the other way round, so that none always comes after the
    /// same one.
    pub(crate) fn turn(&mut self, round: u32) -> Result<()> {
        self.place.enter_near()?;
        let groups = self.groups.iter_mut().filter(|group| round.is_multiple_of(group.every));
        let mut rows: Vec<_> = groups.flat_map(|group| &mut group.rows).collect();
        if round % 2 == 1 {
            rows.reverse();
        }
        take_turns(rows, &mut self.turns, &Mode::Time)
    }

    /// One more section of each row, in which system calls are counted and times are not taken.
    pub(crate) fn count_system_calls(&mut self) -> Result<()> {
        self.place.enter_near()?;
        take_turns(
            self.groups.iter_mut().flat_map(|group| &mut group.rows),
            &mut self.turns,
            &Mode::SystemCalls,
        )
    }

    /// That nothing failed.
    pub(crate) fn check(&self) -> Result<()> {
        self.scene.check()
    }

    pub(crate) fn congestion(&self) -> Option<&str> {
        self.scene.congestion.as_deref()
    }
}

fn take_turns<'a>(rows: impl IntoIterator<Item = &'a mut Row>, turns: &mut u32, mode: &Mode) -> Result<()> {
    rows.into_iter().try_for_each(|row| {
        *turns += 1;
        row.turn(*turns, mode)
    })
}
