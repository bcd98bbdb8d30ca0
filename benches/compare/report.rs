//! The table.

use crate::figures::{all, p99, ratio, shown_ratio};
use crate::measure::{Section, Unit};
use crate::row::{Group, Row};
use crate::stand::Stand;
use benches::stats::{median, min};
use benches::table::{NOTHING, markdown, number};

const HEADER: [&str; 17] = [
    "placement",
    "work",
    "done by",
    "unit",
    "target: reached",
    "median",
    "min",
    "p99",
    "ratio",
    "p99 ratio",
    "B/pixel",
    "syscalls client",
    "syscalls server",
    "CPU client",
    "CPU server",
    "sections",
    "samples",
];

/// The meaning of the columns.
pub(crate) const LEGEND: [&str; 5] = [
    "median, min, p99: in the unit; min of a rate is that of the slowest section",
    "ratio: to the first row of the group, the median of the ratios within each round; of times for us, ms and round \
     trips, of rates for the others. Targets are taken within each round too",
    "B/pixel: bytes on the connection for each pixel drawn or read, of the direction that carries more",
    "syscalls client, server: system calls of each end for a thousand calls of the program (a batch, a frame is one), \
     counted in a section of its own",
    "CPU client, server: nanoseconds of processor time of each end for each call or pixel, as the unit says",
];

/// Returns the table with every row of every placement.
pub(crate) fn table(stands: &[Stand]) -> String {
    let lines = |stand: &Stand| -> Vec<_> {
        let place = stand.place.to_string();
        let of =
            |group: &Group| -> Vec<_> { group.rows.iter().map(|row| line(&place, row, group)).collect() };
        stand.groups.iter().flat_map(of).collect()
    };
    let rows: Vec<_> = stands.iter().flat_map(lines).collect();
    markdown(&HEADER, 5, &rows)
}

/// Returns why system calls were not counted, if so.
pub(crate) fn not_counted(stands: &[Stand]) -> Option<&str> {
    let mut rows = stands.iter().flat_map(|stand| &stand.groups).flat_map(|group| &group.rows);
    rows.find_map(|row| row.counted.as_ref().err()).map(String::as_str)
}

fn line(place: &str, row: &Row, group: &Group) -> Vec<String> {
    let head = [place, &group.title, &row.name, row.unit.name()].map(str::to_owned);
    if let Some(reason) = row.reason() {
        return head.into_iter().chain([format!("not run: {reason}")]).collect();
    }
    let (all, first) = (all(row), &group.rows[0]);
    let is_latency = row.unit == Unit::Latency;
    let of_latency = |text: &dyn Fn() -> Option<f64>| {
        if is_latency { number(text()) } else { NOTHING.to_owned() }
    };
    let middle =
        |of: fn(&Section) -> Option<f64>| median(&row.sections.iter().filter_map(of).collect::<Vec<_>>());
    // A circle takes less time than the resolution of the processor-time clock, and reading that clock disturbs it.
    let cpu = |of| if row.unit == Unit::Total { NOTHING.to_owned() } else { number(middle(of)) };
    let [near, far] = row.counted.as_ref().copied().unwrap_or_default();
    let targets: Vec<_> =
        row.targets.iter().map(|target| format!("{target}: {}", target.verdict(row, group))).collect();
    let figures = [
        targets.join("; "),
        number(median(&all)),
        number(min(&all)),
        of_latency(&|| p99(&all)),
        number(shown_ratio(row.unit, ratio(row, first, median))),
        of_latency(&|| ratio(row, first, p99)),
        number(middle(|section| section.bytes)),
        number(near),
        number(far),
        cpu(|section| section.near),
        cpu(|section| section.far),
        row.sections.len().to_string(),
        all.len().to_string(),
    ];
    head.into_iter().chain(figures).collect()
}
