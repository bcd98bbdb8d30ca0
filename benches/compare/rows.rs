//! Rows, and how they take turns.

use crate::groups;
use crate::measure::{Section, Timed, Unit};
use crate::ours::Ours;
use crate::placement::Place;
use crate::raw::Raw;
use crate::{Context, Result};
use benches::pictures::{BATCH, color};
use draw_client::Pixel;
use std::fmt;
use std::rc::Rc;

/// How much each row does in a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) rounds: u32,
    /// Calls that are waited for one by one.
    pub(crate) calls: usize,
    /// Calls of the loop that does not wait.
    pub(crate) singles: usize,
    /// How often the whole display is drawn in batches.
    pub(crate) passes: usize,
}

impl Scale {
    pub(crate) const FULL: Scale = Scale { rounds: 30, calls: 1_000, singles: 200_000, passes: 10 };
    pub(crate) const QUICK: Scale = Scale { rounds: 6, calls: 300, singles: 50_000, passes: 2 };
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scale { calls, singles, passes, .. } = self;
        write!(
            f,
            "{calls} calls one by one, {singles} in the loop, {passes} x the display in batches of {BATCH}"
        )
    }
}

/// One thing that is measured.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) sections: Vec<Section>,
    /// What it draws in a section, and how often.
    pub(crate) pixels: Rc<[Pixel]>,
    pub(crate) passes: usize,
    pub(crate) run: Run,
    /// The display to look at, unless it is a raw connection, which looks for itself.
    pub(crate) shows: Option<Rc<Ours>>,
}

pub(crate) type Run = Box<dyn FnMut(&[Pixel]) -> Result<Timed>>;

impl Row {
    fn turn(&mut self, round: u32) -> Result<()> {
        let paint = |(i, pixel): (usize, &Pixel)| Pixel { color: color(round, i), ..*pixel };
        let pixels: Vec<_> = self.pixels.iter().enumerate().map(paint).collect();
        let timed = (self.run)(&pixels).context(format_args!("{}, round {}", self.name, round + 1))?;
        if let (Some(ours), Unit::Total) = (&self.shows, self.unit) {
            ours.check(&pixels)?;
        }
        self.sections.push(Section::new(self.unit, timed, self.passes * pixels.len()));
        Ok(())
    }
}

/// All rows of one placement.
pub(crate) struct Stand {
    pub(crate) place: Place,
    /// The first row of each is the raw connection that the others are compared with.
    pub(crate) groups: Vec<Vec<Row>>,
    pub(crate) congestion: Option<String>,
    ours: Rc<Ours>,
}

impl Stand {
    pub(crate) fn new(place: Place, scale: &Scale) -> Result<Stand> {
        place.enter_near()?;
        let ours = Rc::new(Ours::start(place)?);
        let congestion = Raw::start(place)?.congestion();
        let groups = groups::all(place, scale, &ours)?;
        Ok(Stand { place, groups, congestion, ours })
    }

    /// One section of each row, in turn; every other round the other way round, so that none always comes after the
    /// same one.
    pub(crate) fn turn(&mut self, round: u32) -> Result<()> {
        self.place.enter_near()?;
        let mut rows: Vec<_> = self.groups.iter_mut().flatten().collect();
        if round % 2 == 1 {
            rows.reverse();
        }
        rows.into_iter().try_for_each(|row| row.turn(round))
    }

    /// That nothing failed.
    pub(crate) fn check(&self) -> Result<()> {
        self.ours.check_faults()
    }
}
