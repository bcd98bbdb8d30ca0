//! Code shared by the benchmarks: statistics, a table, a chart, a date, drawings, and the two state machines of the
//! protocol without a network between them.

pub mod chart;
pub mod conversation;
pub mod date;
pub mod pictures;
pub mod screen;
pub mod stats;
pub mod table;
