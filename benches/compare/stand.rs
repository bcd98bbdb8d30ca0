//! All rows of one placement, and the order of their turns.

use crate::failure::{Failure, Result};
use crate::groups;
use crate::measure::Mode;
use crate::placement::Place;
use crate::row::{Group, Row};
use crate::scene::Scene;

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

    /// Runs one section of each row. Every other round runs in reverse order, so that no row always follows the same
    /// one.
    pub(crate) fn turn(&mut self, round: u32) -> Result<()> {
        self.place.enter_near()?;
        let groups = self.groups.iter_mut().filter(|group| round.is_multiple_of(group.every));
        let mut rows: Vec<_> = groups.flat_map(|group| &mut group.rows).collect();
        if round % 2 == 1 {
            rows.reverse();
        }
        take_turns(rows, &mut self.turns, &Mode::Time)
    }

    /// Runs one more section of each row, in which system calls are counted and times are not measured.
    pub(crate) fn count_system_calls(&mut self) -> Result<()> {
        self.place.enter_near()?;
        take_turns(
            self.groups.iter_mut().flat_map(|group| &mut group.rows),
            &mut self.turns,
            &Mode::SystemCalls,
        )
    }

    /// Checks that no request failed.
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
