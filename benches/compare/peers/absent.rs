//! Replaces the peers that this program was built without.

use crate::failure::Result;
use crate::measure::Load;
use crate::placement::Place;
use crate::row::Row;
use draw_client::Pixel;
use std::rc::Rc;

/// A peer that cannot be created.
pub(super) enum Absent {}

impl Absent {
    pub(super) fn start(_: Place) -> Result<Absent, String> {
        Err("build with `--features peers`".into())
    }

    pub(super) fn call(&self, _: &str, _: &Rc<[Pixel]>) -> Result<Row> {
        match *self {}
    }

    pub(super) fn singles(&self, _: &str, _: &Rc<[Pixel]>) -> Result<Row> {
        match *self {}
    }

    pub(super) fn put_frames(&self, _: &str, _: Load) -> Result<Row> {
        match *self {}
    }

    pub(super) fn get_frames(&self, _: &str, _: Load) -> Result<Row> {
        match *self {}
    }
}
