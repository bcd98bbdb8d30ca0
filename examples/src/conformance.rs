//! Judges a client in any language by protocol/spec: plays a display from a script, and compares what the client sends, prints
//! and draws with what the specification demands.
//!
//! Each [`Scenario`] is a conversation in which something happens: nothing, a cut at some byte, a corrupted message. The client
//! performs the same [task](task::TEXT) in each. Behind the judge is a real display, so what was executed, and how often, is read
//! from its pixels.

mod client;
mod host;
mod judge;
mod report;
mod rules;
mod run;
mod scenarios;
pub mod script;
pub mod task;
pub mod value;

pub use client::{Client, Ending, Setup};
pub use host::Host;
pub use report::{Report, Result, Verdict};
pub use rules::Violation;
pub use run::{judge, judge_all};
pub use scenarios::all;
pub use script::Scenario;

use std::fmt;

/// How much of the specification a client implements. Each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Level {
    /// MessagePack-RPC: requests and responses
    Plain,
    /// `hello`: credit, progress, structured faults
    Hello,
    /// Sessions: each request is executed exactly once, whatever happens to connections
    Session,
    /// Checksums: corrupted messages are detected
    Checks,
}

impl Level {
    /// All levels, in order.
    pub const ALL: [Level; 4] = [Level::Plain, Level::Hello, Level::Session, Level::Checks];

    /// Returns the name, as in DRAW_LEVEL.
    pub fn name(self) -> &'static str {
        match self {
            Level::Plain => "plain",
            Level::Hello => "hello",
            Level::Session => "session",
            Level::Checks => "checks",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
