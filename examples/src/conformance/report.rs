//! What is found of a client, for people and for programs.

use super::Level;
use super::rules::Violation;
use super::script::Scenario;
use std::fmt::{self, Write};
use std::time::Duration;

/// What is found in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The client kept every rule.
    Pass,
    /// The client broke these rules.
    Fail(Vec<Violation>),
    /// The scenario did not take place, for this reason.
    NotTried(String),
}

/// A scenario with its verdict.
#[derive(Debug, Clone)]
pub struct Result {
    /// The scenario.
    pub scenario: Scenario,
    /// The verdict.
    pub verdict: Verdict,
    /// The last lines that the client printed on standard error, if it failed.
    pub errors: String,
    /// How long it took.
    pub took: Duration,
}

/// All results of a client.
#[derive(Debug, Clone)]
pub struct Report {
    /// One for each scenario, in order.
    pub results: Vec<Result>,
}

impl Result {
    /// Returns whether a client of its level may have this result. An optional scenario need not take place.
    pub fn is_accepted(&self) -> bool {
        match &self.verdict {
            Verdict::Pass => true,
            Verdict::Fail(_) => false,
            Verdict::NotTried(_) => self.scenario.first.is_some(),
        }
    }

    fn word(&self) -> &'static str {
        match self.verdict {
            Verdict::Pass => "PASS",
            Verdict::Fail(_) => "FAIL",
            Verdict::NotTried(_) => "NOT TRIED",
        }
    }
}

impl fmt::Display for Result {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { name, level, section, rule, .. } = &self.scenario;
        write!(f, "{:9} {level}/{name} ({section}: {rule})", self.word())?;
        match &self.verdict {
            Verdict::Pass => Ok(()),
            Verdict::NotTried(why) => write!(f, "\n          {why}"),
            Verdict::Fail(violations) => {
                for Violation { section, expected, seen } in violations {
                    write!(f, "\n          specification, {section}\n")?;
                    write!(f, "            expected: {expected}\n            seen:     {seen}")?;
                }
                let mut lines = self.errors.lines();
                lines.try_for_each(|line| write!(f, "\n          standard error: {line}"))
            }
        }
    }
}

impl Report {
    /// Returns the highest level of which, and of those before it, every scenario was tried and accepted.
    pub fn reached(&self) -> Option<Level> {
        let is_reached = |level: &Level| {
            let all = super::all().into_iter().filter(|scenario| scenario.level == *level).count();
            let own = self.results.iter().filter(|result| result.scenario.level == *level);
            own.filter(|result| result.is_accepted()).count() == all
        };
        Level::ALL.into_iter().take_while(is_reached).last()
    }

    /// Returns whether every scenario was accepted.
    pub fn is_accepted(&self) -> bool {
        !self.results.is_empty() && self.results.iter().all(Result::is_accepted)
    }

    /// Returns the report as JSON.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        let reached = self.reached().map_or_else(|| "null".to_owned(), |level| quoted(level.name()));
        _ = write!(out, "{{\"reached\": {reached}, \"scenarios\": [");
        for (i, result) in self.results.iter().enumerate() {
            let Scenario { name, level, section, rule, .. } = &result.scenario;
            let comma = if i > 0 { "," } else { "" };
            _ = write!(
                out,
                "{comma}\n  {{\"name\": {}, \"level\": {}, \"verdict\": {}, \"section\": {}, \"rule\": {}, \"ms\": {}",
                quoted(name),
                quoted(level.name()),
                quoted(result.word()),
                quoted(section),
                quoted(rule),
                result.took.as_millis()
            );
            match &result.verdict {
                Verdict::Pass => {}
                Verdict::NotTried(why) => _ = write!(out, ", \"why\": {}", quoted(why)),
                Verdict::Fail(violations) => {
                    let each = violations.iter().map(|violation| {
                        let Violation { section, expected, seen } = violation;
                        let [section, expected, seen] = [section, &**expected, &**seen].map(quoted);
                        format!("{{\"section\": {section}, \"expected\": {expected}, \"seen\": {seen}}}")
                    });
                    _ = write!(out, ", \"violations\": [{}]", each.collect::<Vec<_>>().join(", "));
                    _ = write!(out, ", \"errors\": {}", quoted(&result.errors));
                }
            }
            out.push('}');
        }
        out.push_str("\n]}\n");
        out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |word| self.results.iter().filter(|result| result.word() == word).count();
        let (passed, failed, not) = (count("PASS"), count("FAIL"), count("NOT TRIED"));
        write!(f, "{passed} passed, {failed} failed, {not} not tried")?;
        match self.reached() {
            Some(level) => write!(f, "; the highest level reached is {level}"),
            // A part of a level that is passed says nothing of the level.
            None if self.is_accepted() => Ok(()),
            None => f.write_str("; no level is reached"),
        }
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if (c as u32) < 0x20 => _ = write!(out, "\\u{:04x}", c as u32),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
