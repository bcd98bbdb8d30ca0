//! Rows, and groups of rows that are compared with each other.

use crate::failure::{Context, Result};
use crate::measure::{Counted, Ends, Load, Mode, Section, Unit, Watch};
use crate::target::Target;
use benches::chart::Kind;

/// One measurement.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) unit: Unit,
    pub(crate) load: Load,
    pub(crate) targets: Vec<Target>,
    pub(crate) sections: Vec<Section>,
    /// System calls, or the reason why they were not counted.
    pub(crate) counted: Result<Counted, String>,
    ends: Ends,
    run: Result<Run, String>,
}

/// Does the work of a section, and checks that it was done. The number differs each time and determines what is drawn,
/// so that no result relies on earlier drawing.
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

    /// Returns a row that cannot run here.
    pub(crate) fn missing(name: impl Into<String>, unit: Unit, reason: &str) -> Row {
        let mut row = Row::new(name, unit, Load { calls: 1, pixels: 1 }, Ends::default(), |_, _| Ok(()));
        row.run = Err(reason.into());
        row
    }

    /// Sets the kind, which is [`Kind::Ours`] by default.
    pub(crate) fn kind(self, kind: Kind) -> Row {
        Row { kind, ..self }
    }

    pub(crate) fn target(mut self, target: Target) -> Row {
        self.targets.push(target);
        self
    }

    /// Returns why it was not run, if so.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.run.as_ref().err().map(String::as_str)
    }

    /// Runs one section, or counts the system calls of one.
    pub(crate) fn turn(&mut self, salt: u32, mode: &Mode) -> Result<()> {
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

/// Rows that are compared with each other. The ratios of the others refer to the first.
pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
    /// The group runs in every round that is a multiple of this.
    pub(crate) every: u32,
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
