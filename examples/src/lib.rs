//! Shared by the examples: the lecture's circle, the display to draw on, a distant network, Ctrl-C, durations, a table of
//! costs, the judge of clients, a relay that prints messages, a picture of them, and the files that examples read and write.

pub mod animation;
pub mod circle;
pub mod comparison;
pub mod conformance;
pub mod delay;
pub mod duration;
pub mod figures;
pub mod interrupt;
pub mod magic;
pub mod picture;
pub mod place;
pub mod progress;
pub mod route;
pub mod saved;
pub mod timeline;
pub mod wire;

pub use circle::disc;
pub use delay::DelayLine;
pub use duration::parse_duration;
pub use interrupt::{Interrupt, Interrupted};
pub use saved::{finish, parse_output, save, unreachable};

/// Compiles the programs of README and of the book like this crate's own examples.
#[cfg(doctest)]
mod documents {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/errors.md")]
    struct Errors;
    #[doc = include_str!("../../docs/network-failures.md")]
    struct NetworkFailures;
    #[doc = include_str!("../../docs/quick-start.md")]
    struct QuickStart;
    #[doc = include_str!("../../docs/three-ways.md")]
    struct ThreeWays;
}
