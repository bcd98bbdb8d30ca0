//! The target of a row.

use std::fmt;

/// A bound on a row's figure, absolute or relative to another row of its group.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// In the row's unit.
    AtMost(f64),
    AtLeast(f64),
    /// This many times the other row's time.
    TimesTheTime(f64, &'static str),
    /// The same for the 99th percentiles.
    TimesTheP99(f64, &'static str),
    /// This many times the other row's rate.
    TimesTheRate(f64, &'static str),
    /// This much, in the row's unit, above the other row.
    Above(f64, &'static str),
}

impl Target {
    /// Returns the row that the target refers to.
    pub(crate) fn beside(self) -> Option<&'static str> {
        match self {
            Target::AtMost(_) | Target::AtLeast(_) => None,
            Target::TimesTheTime(_, name)
            | Target::TimesTheP99(_, name)
            | Target::TimesTheRate(_, name)
            | Target::Above(_, name) => Some(name),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtMost(bound) => write!(f, "at most {bound}"),
            Target::AtLeast(bound) => write!(f, "at least {bound}"),
            Target::TimesTheTime(factor, name) => write!(f, "at most {factor} x {name}"),
            Target::TimesTheP99(factor, name) => write!(f, "p99 at most {factor} x {name}"),
            Target::TimesTheRate(factor, name) => write!(f, "at least {factor} x {name}"),
            Target::Above(bound, name) => write!(f, "at most {bound} above {name}"),
        }
    }
}
