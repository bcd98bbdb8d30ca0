//! What the examples share: the lecture's circle, a network that is far away, Ctrl-C, how a time is written, a relay
//! that prints what passes, a picture of it, and the files that they read and leave.

pub mod circle;
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

/// README's programs are compiled like this crate's own examples.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
