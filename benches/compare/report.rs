//! The table.

use crate::measure::{Section, Unit};
use crate::rows::{Row, Stand};
use benches::stats::{median, median_ratio, min, percentile};
use benches::table::{NOTHING, markdown, number};

const HEADER: [&str; 11] = [
    "placement",
    "what",
    "unit",
    "median",
    "min",
    "p99",
    "ratio",
    "p99 ratio",
    "CPU client",
    "CPU server",
    "samples",
];

/// Every row of every placement.
pub(crate) fn table(stands: &[Stand]) -> String {
    let lines = |stand: &Stand| -> Vec<_> {
        let place = stand.place.to_string();
        stand.groups.iter().flat_map(|rows| rows.iter().map(|row| line(&place, row, &rows[0]))).collect()
    };
    let rows: Vec<_> = stands.iter().flat_map(lines).collect();
    markdown(&HEADER, 3, &rows)
}

fn line(place: &str, row: &Row, raw: &Row) -> Vec<String> {
    let all: Vec<_> =
        row.sections.iter().flat_map(|section| &section.times).map(|&ns| shown(row.unit, ns)).collect();
    let is_latency = row.unit == Unit::Latency;
    let p99 = |row: &Row| per_round(row, |times| percentile(times, 99.0));
    // A circle takes too short a time for the clock of the processor time, and disturbs itself by reading it.
    let cpu = |of: fn(&Section) -> Option<f64>| match row.unit {
        Unit::Total => NOTHING.to_owned(),
        _ => number(median(&row.sections.iter().filter_map(of).collect::<Vec<_>>())),
    };
    vec![
        place.to_owned(),
        row.name.clone(),
        unit(row.unit).to_owned(),
        number(median(&all)),
        number(min(&all)),
        if is_latency { number(percentile(&all, 99.0)) } else { NOTHING.to_owned() },
        number(median_ratio(&per_round(row, median), &per_round(raw, median))),
        if is_latency { number(median_ratio(&p99(row), &p99(raw))) } else { NOTHING.to_owned() },
        cpu(|section| section.near),
        cpu(|section| section.far),
        all.len().to_string(),
    ]
}

fn per_round(row: &Row, of: fn(&[f64]) -> Option<f64>) -> Vec<f64> {
    row.sections.iter().filter_map(|section| of(&section.times)).collect()
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Latency => "us",
        Unit::Calls => "Mcalls/s",
        Unit::Pixels => "Mpixel/s",
        Unit::Total => "ms",
    }
}

/// Nanoseconds in the unit that is shown.
fn shown(unit: Unit, ns: f64) -> f64 {
    match unit {
        Unit::Latency => ns / 1e3,
        Unit::Calls | Unit::Pixels => 1e3 / ns,
        Unit::Total => ns / 1e6,
    }
}
