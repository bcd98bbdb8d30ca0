//! Holds pixels and executes calls. Every door draws through a canvas; nothing else draws.
//!
//! A [`Canvas`] is a display with its sessions and, if it has one, its journal. A [`Caller`] executes its calls in
//! turns. Within a turn each call is journaled, applied to the framebuffer, and recorded in the journal's copy of its
//! session. The end of the turn writes the journal's file, publishes the damage, and determines which answers are held
//! back until the disk has their calls. Uses the journal, the sessions and the round-robin queue of the resources;
//! nothing here knows a door, a window or a socket.

pub(crate) mod apply;
pub(crate) mod damage;
pub(crate) mod display;
pub(crate) mod framebuffer;
pub(crate) mod hasher;
mod recorded;
mod turn;

pub use recorded::{Journal, RecoveredJournal};
pub(crate) use turn::{Caller, Turn};

use crate::sessions::Sessions;
use display::Display;
use std::sync::Arc;

/// A display, its sessions, and its journal, if it has one. Clones are the same canvas.
#[derive(Debug, Clone)]
pub(crate) struct Canvas {
    display: Display,
    sessions: Arc<Sessions>,
    journal: Option<Journal>,
}

impl Canvas {
    /// Returns the canvas of a display without a journal.
    pub(crate) fn new(display: Display) -> Canvas {
        let sessions = Arc::new(Sessions::new((display.instance(), 1)));
        Canvas { display, sessions, journal: None }
    }

    /// Returns the canvas of the display of a journal.
    pub(crate) fn journaled(journal: Journal) -> Canvas {
        let (display, sessions) = (journal.display().clone(), Arc::clone(journal.sessions()));
        Canvas { display, sessions, journal: Some(journal) }
    }

    pub(crate) fn display(&self) -> &Display {
        &self.display
    }

    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }
}
