//! What the benchmarks share: what they compute and print (statistics, a table, a chart, a date), what they draw, and the
//! two state machines of the protocol without a network in between.

pub mod chart;
pub mod conversation;
pub mod date;
pub mod pictures;
pub mod screen;
pub mod stats;
pub mod table;
