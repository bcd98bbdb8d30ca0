//! What the benchmarks compute and print, apart from what they measure: statistics, a table, a chart, a date.

pub mod chart;
pub mod date;
pub mod stats;
pub mod table;
