//! What the benchmarks compute and print, apart from what they measure: statistics, a table, a date.

pub mod date;
pub mod stats;
pub mod table;
