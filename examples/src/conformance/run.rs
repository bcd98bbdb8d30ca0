//! Runs scenarios, and decides each.

use super::Level;
use super::client::{Client, Ending, Setup};
use super::host::{self, Host};
use super::judge::Judge;
use super::report::{Report, Result as Outcome, Verdict};
use super::rules::Rules;
use super::script::{Ends, Scenario};
use super::task;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client that was started by hand may be without a connection before its scenario is over. Longer than the pause before
/// a first attempt to reconnect.
const WITHOUT: Duration = Duration::from_secs(3);

/// How many lines of a failed client's standard error are reported.
const ERRORS: usize = 5;

/// Judges `client` in `scenario`. A client that has not ended within `timeout` is killed. `tell` is called with the address.
pub fn judge(
    client: &Client,
    scenario: &Scenario,
    host: &Host,
    timeout: Duration,
    tell: impl FnOnce(SocketAddr),
) -> Outcome {
    let began = Instant::now();
    let (verdict, errors) = play(client, scenario, host, timeout, tell)
        .unwrap_or_else(|why| (Verdict::NotTried(why), String::new()));
    Outcome { scenario: scenario.clone(), verdict, errors, took: began.elapsed() }
}

/// Judges `client` in all `scenarios`, several at a time, and calls `tell` with each result, in order.
pub fn judge_all(
    client: &Client,
    scenarios: &[Scenario],
    jobs: usize,
    timeout: Duration,
    tell: impl Fn(&Outcome) + Sync,
) -> Result<Report, String> {
    let host = Host::new()?;
    let next = AtomicUsize::new(0);
    let done = Mutex::new((0, vec![None; scenarios.len()]));
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, scenarios.len().max(1)) {
            scope.spawn(|| {
                while let Some((index, scenario)) = {
                    let index = next.fetch_add(1, Relaxed);
                    scenarios.get(index).map(|scenario| (index, scenario))
                } {
                    let result = judge(client, scenario, &host, timeout, |_| ());
                    let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    let (told, results) = &mut *done;
                    results[index] = Some(result);
                    while let Some(Some(result)) = results.get(*told) {
                        tell(result);
                        *told += 1;
                    }
                }
            });
        }
    });
    let (_, results) = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Report { results: results.into_iter().flatten().collect() })
}

fn play(
    client: &Client,
    scenario: &Scenario,
    host: &Host,
    timeout: Duration,
    tell: impl FnOnce(SocketAddr),
) -> Result<(Verdict, String), String> {
    let display = host::display()?;
    let mut judge = Judge::new(scenario, host, &display)?;
    let address = judge.address()?;
    tell(address);
    let setup = Setup { address, level: scenario.level, first: scenario.first };
    let mut running = client.start(setup)?;
    let began = Instant::now();
    let mut last_open = Instant::now();
    let mut errors = String::new();
    let ending = loop {
        judge.turn();
        if let Some(ending) = running.ended() {
            errors.clone_from(&ending.errors);
            break Some(ending);
        }
        if !judge.is_idle() {
            last_open = Instant::now();
        } else if matches!(client, Client::Anyone) && last_open.elapsed() > WITHOUT {
            break None;
        }
        if began.elapsed() > timeout {
            let last = judge.rules.last_message().to_owned();
            let expected = format!("the client ends within {timeout:?}");
            judge.rules.broken(
                scenario.section,
                expected,
                format!("it was killed; its last message: {last}"),
            );
            errors = running.kill();
            break None;
        }
    };
    judge.finish();
    if !judge.has_connected() {
        let how = match (&ending, client) {
            (Some(ending), _) => format!("; it ended with {}", ending.status),
            (None, Client::Anyone) => String::new(),
            (None, _) => "; it was killed".to_owned(),
        };
        judge.rules.violations.clear();
        let expected = "the client connects to the address in DRAW_DISPLAY";
        judge.rules.broken("calls.md#transport", expected, format!("it never connected{how}"));
    } else if let Some(ending) = &ending {
        check_ending(&mut judge.rules, scenario, ending);
    }
    // Only where no connection is lost: retransmitted messages that a client has not read when it closes make TCP reset the
    // connection, which may destroy `end` on its way.
    let is_calm = scenario.level >= Level::Session && scenario.hooks.is_empty();
    if is_calm && judge.rules.violations.is_empty() {
        judge.rules.check_end();
    }
    let is_done = ending.as_ref().is_none_or(|ending| ending.is_success) && scenario.ends != Ends::GivesUp;
    if is_done
        && judge.rules.violations.is_empty()
        && let Some((expected, seen)) = task::difference(&display)
    {
        judge.rules.broken(scenario.section, expected, seen);
    }
    let violations = std::mem::take(&mut judge.rules.violations);
    if !violations.is_empty() {
        return Ok((Verdict::Fail(violations), last_lines(&errors)));
    }
    if scenario.first.is_some() && judge.began_at != scenario.first.map(i128::from) {
        return Err("the client does not begin its session at DRAW_FIRST_NUMBER".to_owned());
    }
    let missed = scenario.hooks.iter().zip(&judge.acted).find(|&(_, &acted)| acted == 0);
    match missed {
        Some((hook, _)) => Err(format!("the message {:?} did not occur", hook.at)),
        None => Ok((Verdict::Pass, String::new())),
    }
}

/// Returns the last lines of what a client printed on standard error.
fn last_lines(errors: &str) -> String {
    let lines: Vec<_> = errors.trim_end().lines().collect();
    lines[lines.len().saturating_sub(ERRORS)..].join("\n")
}

/// Checks the status of the client, and what it printed.
fn check_ending(rules: &mut Rules, scenario: &Scenario, ending: &Ending) {
    let status = &ending.status;
    match (scenario.ends, ending.is_success) {
        (Ends::Done, false) => {
            return rules.broken(scenario.section, "the client does the task: status 0", &**status);
        }
        (Ends::GivesUp, true) => {
            return rules.broken(scenario.section, "the client ends with another status than 0", &**status);
        }
        (_, false) => return,
        _ => {}
    }
    let words = ["size ", "pixel ", "image ", "done"];
    let is_step = |line: &&str| words.iter().any(|word| line.starts_with(word));
    let printed: Vec<_> = ending.output.lines().map(str::trim_end).filter(is_step).collect();
    if printed != task::lines() {
        let or =
            if scenario.ends == Ends::DoneOrGivesUp { ", or ends with another status than 0" } else { "" };
        rules.broken(
            scenario.section,
            format!("the client prints {:?}{or}", task::lines()),
            format!("it printed {printed:?} and ended with {status}"),
        );
    }
    let errors: Vec<_> =
        ending.output.lines().filter_map(|line| line.strip_prefix("error ")).map(str::trim).collect();
    if errors != [scenario.error] {
        let expected = format!("the client prints one error, `error {}`", scenario.error);
        rules.broken("codes.md#faults-and-codes", expected, format!("it printed the errors {errors:?}"));
    }
}
