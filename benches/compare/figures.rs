//! The figures of rows, and whether they reach their targets.

use crate::measure::{Section, Unit};
use crate::row::{Group, Row};
use crate::target::Target;
use benches::stats::{median, median_ratio, percentile};
use benches::table::number;
use std::fmt;

/// The result of a target.
pub(crate) struct Verdict {
    pub(crate) reached: Option<f64>,
    pub(crate) is_met: Option<bool>,
}

impl Target {
    /// Returns the result of a target. It is empty if one of the rows did not run.
    pub(crate) fn verdict(self, row: &Row, group: &Group) -> Verdict {
        let beside = self.beside().and_then(|name| group.row(name)).unwrap_or(row);
        let reached = match self {
            Target::AtMost(_) | Target::AtLeast(_) => figure(row),
            Target::TimesTheTime(..) => ratio(row, beside, median),
            Target::TimesTheP99(..) => ratio(row, beside, p99),
            Target::TimesTheRate(..) => ratio(beside, row, median),
            Target::Above(..) => difference(row, beside),
        };
        let is_met = reached.map(|reached| match self {
            Target::AtLeast(bound) | Target::TimesTheRate(bound, _) => reached >= bound,
            Target::AtMost(bound)
            | Target::TimesTheTime(bound, _)
            | Target::TimesTheP99(bound, _)
            | Target::Above(bound, _) => reached <= bound,
        });
        Verdict { reached, is_met }
    }

    /// Returns the bound in the row's unit, if the row that it refers to ran.
    pub(crate) fn bound(self, group: &Group) -> Option<f64> {
        let beside = || figure(group.row(self.beside()?)?);
        match self {
            Target::AtMost(bound) | Target::AtLeast(bound) => Some(bound),
            Target::TimesTheTime(factor, name) if group.row(name)?.unit.is_rate() => Some(beside()? / factor),
            Target::TimesTheTime(factor, _) | Target::TimesTheRate(factor, _) => Some(beside()? * factor),
            Target::Above(bound, _) => Some(beside()? + bound),
            Target::TimesTheP99(..) => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_met {
            None => f.write_str("not run"),
            Some(is_met) => {
                write!(f, "{} {}", number(self.reached), if is_met { "met" } else { "MISSED" })
            }
        }
    }
}

/// Returns the median of all values that a row measured, in its unit.
pub(crate) fn figure(row: &Row) -> Option<f64> {
    median(&all(row))
}

/// Returns all values that a row measured, in its unit.
pub(crate) fn all(row: &Row) -> Vec<f64> {
    row.sections.iter().flat_map(|section| &section.values).map(|&value| row.unit.shown(value)).collect()
}

/// Returns the median ratio of one row's time to another's, within each round.
pub(crate) fn ratio(row: &Row, beside: &Row, of: fn(&[f64]) -> Option<f64>) -> Option<f64> {
    median_ratio(&per_round(row, of), &per_round(beside, of))
}

pub(crate) fn p99(values: &[f64]) -> Option<f64> {
    percentile(values, 99.0)
}

fn difference(row: &Row, beside: &Row) -> Option<f64> {
    let shown = |row: &Row| -> Vec<_> {
        per_round(row, median).into_iter().map(|value| row.unit.shown(value)).collect()
    };
    let pairs = shown(row).into_iter().zip(shown(beside));
    median(&pairs.map(|(value, beside)| value - beside).collect::<Vec<_>>())
}

fn per_round(row: &Row, of: fn(&[f64]) -> Option<f64>) -> Vec<f64> {
    row.sections.iter().filter_map(|Section { values, .. }| of(values)).collect()
}

/// Returns whether a larger ratio is better, as a reader expects of rates.
pub(crate) fn shown_ratio(unit: Unit, ratio: Option<f64>) -> Option<f64> {
    if unit.is_rate() { ratio.map(|ratio| 1.0 / ratio) } else { ratio }
}
