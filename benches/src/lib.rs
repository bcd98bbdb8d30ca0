//! Shared by the benchmarks: what they compute and print (statistics, a table, a chart, a date), their drawings, and
//! the two state machines of the protocol without a network between them.

pub mod chart;
pub mod conversation;
pub mod date;
pub mod pictures;
pub mod screen;
pub mod stats;
pub mod table;
