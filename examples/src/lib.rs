//! Shared by the examples: the lecture's circle, a distant network, Ctrl-C, durations, the judge of clients, a relay that prints messages, a
//! picture of them, and the files that examples read and write.

pub mod circle;
pub mod conformance;
pub mod delay;
pub mod duration;
pub mod figures;
pub mod interrupt;
pub mod magic;
pub mod picture;
pub mod progress;
pub mod saved;
pub mod timeline;
pub mod wire;

pub use circle::disc;
pub use delay::DelayLine;
pub use duration::parse_duration;
pub use interrupt::{Interrupt, Interrupted};
pub use saved::{finish, parse_output, save, unreachable};

/// Compiles README's programs like this crate's own examples.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
