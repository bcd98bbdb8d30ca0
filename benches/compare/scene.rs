//! The state shared by all rows of one placement.

use crate::clients::Client;
use crate::failure::Result;
use crate::memory::Memory;
use crate::ours::Ours;
use crate::peers::Peers;
use crate::placement::Place;
use crate::raw::Raw;
use crate::scale::Scale;
use crate::wire::{FRAME, SIZE};
use std::rc::Rc;

/// The displays, the peers and the runtimes of one placement.
pub(crate) struct Scene {
    pub(crate) place: Place,
    pub(crate) scale: Scale,
    pub(crate) ours: Rc<Ours>,
    /// A display as large as a whole frame.
    pub(crate) frame: Rc<Ours>,
    /// A display with many clients.
    pub(crate) crowd: Rc<Ours>,
    pub(crate) single: Rc<Client>,
    pub(crate) multi: Rc<Client>,
    pub(crate) peers: Peers,
    pub(crate) congestion: Option<String>,
    /// The cost of idle connections: measured once, and shown with the first placement.
    pub(crate) memory: Option<Memory>,
    /// Whether the rows that do not depend on the placement are measured here: those of the far path.
    pub(crate) is_last: bool,
}

impl Scene {
    pub(crate) fn new(place: Place, scale: Scale, memory: Option<Memory>, is_last: bool) -> Result<Scene> {
        place.enter_near()?;
        let display = |size| Ours::start(place, size).map(Rc::new);
        Ok(Scene {
            place,
            scale,
            ours: display(SIZE)?,
            frame: display(FRAME)?,
            crowd: display(SIZE)?,
            single: Rc::new(Client::current_thread()?),
            multi: Rc::new(Client::multi_thread(place)?),
            peers: Peers::start(place),
            congestion: Raw::start(place, 1)?.congestion(),
            memory,
            is_last,
        })
    }

    /// Checks that no request failed on any display.
    pub(crate) fn check(&self) -> Result<()> {
        [&self.ours, &self.frame, &self.crowd].into_iter().try_for_each(|ours| ours.check_faults())
    }
}
