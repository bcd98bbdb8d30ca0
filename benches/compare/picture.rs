//! The table as a picture: each group once, with the bars of all placements side by side.

use crate::figures::figure;
use crate::row::{Group, Row};
use crate::stand::Stand;
use benches::chart::{Bars, Chart, Panel};

/// Draws the chart, with `circumstances` below the title.
pub(crate) fn chart(stands: &[Stand], circumstances: Vec<String>) -> Chart {
    // Some groups are missing in some placements; the order is kept.
    let mut titles: Vec<&str> = Vec::new();
    for group in stands.iter().flat_map(|stand| &stand.groups) {
        if !titles.contains(&&*group.title) {
            titles.push(&group.title);
        }
    }
    Chart {
        title: "What calls cost, in the median".into(),
        notes: circumstances,
        series: stands.iter().map(|stand| stand.place.to_string()).collect(),
        panels: titles.into_iter().filter_map(|title| panel(stands, title)).collect(),
    }
}

fn panel(stands: &[Stand], title: &str) -> Option<Panel> {
    let of = |stand: &Stand| stand.groups.iter().position(|group| group.title == title);
    let groups: Vec<Option<&Group>> =
        stands.iter().map(|stand| of(stand).map(|at| &stand.groups[at])).collect();
    let first = groups.iter().flatten().next()?;
    let bars = |row: &Row| Bars {
        name: row.name.clone(),
        kind: row.kind,
        values: groups.iter().map(|group| figure((*group)?.row(&row.name)?)).collect(),
        bounds: groups.iter().map(|group| (*group).and_then(|group| bound(group, &row.name))).collect(),
    };
    let unit = first.rows.first()?.unit;
    Some(Panel {
        title: title.to_owned(),
        unit: unit.name().to_owned(),
        is_more_better: unit.is_rate(),
        rows: first.rows.iter().map(bars).collect(),
    })
}

/// Returns the strictest of a row's targets.
fn bound(group: &Group, name: &str) -> Option<f64> {
    let row = group.row(name)?;
    let bounds = row.targets.iter().filter_map(|target| target.bound(group));
    bounds.reduce(if row.unit.is_rate() { f64::max } else { f64::min })
}
