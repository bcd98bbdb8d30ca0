//! What the benchmarks share: what they compute and print (statistics, a table, a date), what they draw, and the two
//! state machines of the protocol without a network in between.

pub mod conversation;
pub mod date;
pub mod pictures;
pub mod screen;
pub mod stats;
pub mod table;
