//! The lecture's diagram of a run: a line for the client, a line for the server, and every message between them as an
//! arrow from its sending to its arrival.
//!
//! A [`Recorder`] observes a [`DelayLine`](crate::DelayLine) and makes a [`Recorded`] for each connection; a
//! [`Timeline`] of these becomes a picture. Everything after the recorder is a function of its input.

mod file;
mod labels;
mod layout;
mod message;
mod record;
mod scale;
mod svg;
#[cfg(test)]
mod tests;

pub use file::Target;
pub use message::{Flight, Message, Recorded, Side};
pub use record::Recorder;
pub(crate) use svg::escaped;

use std::time::Duration;

/// The content of the picture.
#[derive(Debug, Clone)]
pub struct Timeline {
    /// The title.
    pub title: String,
    /// The subtitle: the place of the measurement.
    pub place: String,
    /// The round trip of the delay line.
    pub rtt: Duration,
    /// The runs, from the top.
    pub runs: Vec<Run>,
}

/// One way to do the work.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// The calls that the program made.
    pub calls: String,
    /// The number of times that the program waited for an answer.
    pub waits: u64,
    /// The duration of the program, by its own clock.
    pub time: Duration,
    /// The messages.
    pub recorded: Recorded,
}

impl Timeline {
    /// Returns the picture as the text of an SVG file, smaller than 300 kB for any number of messages.
    pub fn svg(&self) -> String {
        svg::document(&layout::picture(self))
    }

    /// Returns the picture in a page that needs no other file, with a slider that magnifies it.
    pub fn html(&self) -> String {
        svg::page(&layout::picture(self))
    }
}
