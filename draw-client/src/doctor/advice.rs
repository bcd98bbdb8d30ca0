//! Conclusions from the numbers of a diagnosis.

use super::Client;
use crate::doctor::diagnosis::{Cure, Diagnosis, Finding, Site};
use crate::doctor::text::{about, seconds, thousands};
use draw_protocol::Method;
use std::time::Duration;

/// Waits of less than this share of the program's time are not reported: without them the program would be 5 % faster,
/// which is not noticeable, and one run differs from the next by as much.
const SHARE: f64 = 0.05;
/// Fewer waits than this get no advice. A program has a few as it begins and ends, and one slow answer among them (a
/// busy machine) is more than all the round trips that could be saved.
const FEW: u64 = 10;
/// So few are not reported at all unless they are longer than this, which a person notices.
const NOTICED: Duration = Duration::from_millis(100);
/// Advice is given for what is at least this many times faster: an estimate from the shortest wait may be wrong by
/// half.
const FASTER: f64 = 2.0;
/// How many sites are reported at most, worst first: a longer list is not read to its end.
const TOLD: usize = 5;
/// A connection is idle if nothing was under way for this share of its time. That is reported if it lasted long enough
/// for a person to wonder.
const IDLE: f64 = 0.9;
const LONG: Duration = Duration::from_secs(1);
/// The assumed rate of a path in bytes a second: 100 Mbit/s. Its real rate is unknown from calls that wait for each
/// other, which never fill it. Most paths are faster, and then the estimate is too long.
const RATE: f64 = 12.5e6;

pub(super) fn findings(diagnosis: &Diagnosis, client: Client) -> Vec<Finding> {
    let of = diagnosis.lasted;
    let matters = |time: Duration| !time.is_zero() && time.as_secs_f64() >= SHARE * of.as_secs_f64();
    let waiting: Vec<_> = diagnosis.sites.iter().filter(|site| site.waits > 0).collect();
    let counts = |waits: u64, held: Duration| matters(held) && (waits >= FEW || held >= NOTICED);
    // Many short waits may be long together: then the worst of them are reported.
    let is_spread = !waiting.iter().any(|site| counts(site.waits, site.held))
        && counts(diagnosis.waits, diagnosis.held.saturating_sub(diagnosis.held_by_credit));
    let (told, others): (Vec<_>, Vec<_>) = waiting
        .into_iter()
        .enumerate()
        .partition(|(place, site)| *place < TOLD && (is_spread || counts(site.waits, site.held)));
    let mut findings: Vec<_> = told
        .into_iter()
        .map(|(_, site)| Finding::Waits { cure: cure(site, diagnosis, client), site: site.clone(), of })
        .collect();
    let is_held_by_credit = matters(diagnosis.held_by_credit);
    let has_failed = diagnosis.rejected + diagnosis.unknown > 0;
    let mut invisible: Vec<_> = diagnosis.sites.iter().filter(|site| site.invisible > 0).collect();
    let is_well = !is_held_by_credit && diagnosis.untold == 0 && !has_failed && invisible.is_empty();
    if findings.is_empty() && is_well {
        let Diagnosis { calls, waits, held, .. } = *diagnosis;
        findings.push(Finding::Healthy { calls, waits, held, of });
    } else if !others.is_empty() {
        findings.push(Finding::Elsewhere {
            places: others.len() as u64,
            waits: others.iter().map(|(_, site)| site.waits).sum(),
            waited: others.iter().map(|(_, site)| site.waited).fold(Duration::ZERO, Duration::saturating_add),
        });
    }
    if is_held_by_credit {
        let waits = diagnosis.sites.iter().map(|site| site.credit_waits).sum();
        findings.push(Finding::Credit { waits, held: diagnosis.held_by_credit, of });
    }
    if has_failed {
        failed(diagnosis, &mut findings);
    }
    invisible.sort_by_key(|site| std::cmp::Reverse(site.invisible));
    invisible.truncate(TOLD);
    findings.extend(invisible.into_iter().map(|site| Finding::Invisible { site: site.clone() }));
    if diagnosis.untold > 0 {
        findings.push(Finding::Untold { calls: diagnosis.untold });
    }
    if diagnosis.idle.as_secs_f64() >= IDLE * of.as_secs_f64() && of >= LONG {
        findings.push(Finding::Idle { idle: diagnosis.idle, of });
    }
    findings
}

/// Adds the sites whose calls have failed, those with most failures first.
fn failed(diagnosis: &Diagnosis, findings: &mut Vec<Finding>) {
    let mut sites: Vec<_> = diagnosis.sites.iter().filter(|site| site.failed() > 0).collect();
    sites.sort_by_key(|site| std::cmp::Reverse((site.failed(), site.unknown)));
    let (told, others) = sites.split_at(sites.len().min(TOLD));
    findings.extend(told.iter().map(|&site| Finding::Failed { site: site.clone() }));
    if !others.is_empty() {
        findings.push(Finding::FailedElsewhere {
            places: others.len() as u64,
            rejected: others.iter().map(|site| site.rejected).sum(),
            unknown: others.iter().map(|site| site.unknown).sum(),
        });
    }
}

/// Estimates how long this many calls of a site would take one after the other, each with its share of all bytes: a
/// round trip each, for which the site's shortest wait stands, and the time of all bytes.
fn estimate(site: &Site, calls: u64) -> Duration {
    let round_trip = site.shortest.unwrap_or_default().as_secs_f64();
    seconds(calls as f64 * round_trip + site.bytes_waited_for() / RATE)
}

impl Site {
    /// Returns the bytes of the calls that waited, if all calls carried the same.
    fn bytes_waited_for(&self) -> f64 {
        self.bytes as f64 * (self.waits as f64 / self.calls.max(1) as f64).min(1.0)
    }

    /// Returns how many waits make up a row, on average.
    fn in_a_row(&self) -> u64 {
        (self.waits as f64 / self.rows.max(1) as f64).round() as u64
    }
}

/// Returns the advice for one site, if its numbers support any.
fn cure(site: &Site, diagnosis: &Diagnosis, client: Client) -> Option<Cure> {
    let method = site.method?;
    if site.waits < FEW {
        return None;
    }
    let pays =
        |estimate: Duration| (estimate.as_secs_f64() * FASTER <= site.held.as_secs_f64()).then_some(estimate);
    // Each row as one call. There is nothing to gain where rows have one call.
    let in_rows = pays(estimate(site, site.rows.max(1)));
    let cure = match method {
        method if method.is_barrier() => sync(site, diagnosis, pays(estimate(site, 1))?),
        Method::GetSize => Cure {
            text: "The size does not change: size() knows it without asking.".into(),
            about: Some(Duration::ZERO),
        },
        method if method.has_answer() => question(site, method, client, in_rows),
        method => drawing(site, method, client, in_rows, pays(estimate(site, 1)))?,
    };
    Some(cure)
}

/// Advises on drawing calls: they need not wait, and those of a row could be one call.
fn drawing(
    site: &Site,
    method: Method,
    client: Client,
    in_rows: Option<Duration>,
    apart: Option<Duration>,
) -> Option<Cure> {
    let apart = apart?;
    let does_not_wait = match client {
        Client::Blocking => "the asynchronous Display",
        Client::Asynchronous | Client::Pipeline => "one sync at the end instead of a wait for each reply",
    };
    let batch = in_rows.filter(|_| matches!(method, Method::DrawPixel | Method::DrawPixels));
    let text = match batch {
        Some(_) if site.rows <= 1 => {
            format!("One draw_pixels, or {does_not_wait}, would take about {}.", about(apart))
        }
        Some(batch) => format!(
            "One draw_pixels for each {} in a row would take about {}, {does_not_wait} about {}.",
            thousands(site.in_a_row()),
            about(batch),
            about(apart)
        ),
        None => format!("{} would take about {}.", capital(does_not_wait), about(apart)),
    };
    Some(Cure { text, about: Some(apart) })
}

/// Advises on questions: they have to wait, but those of a row could wait together.
fn question(site: &Site, method: Method, client: Client, in_rows: Option<Duration>) -> Cure {
    let together = match (method, client) {
        (Method::GetPixel, Client::Asynchronous) => {
            "by futures::join!, or by one get_image of their rectangle"
        }
        (Method::GetPixel, _) => "by one get_image of their rectangle",
        (Method::GetImage, Client::Asynchronous) => "by futures::join!",
        (Method::GetImage, _) => "by the asynchronous Display and futures::join!",
        // The pointer's position is the present one: asking for it several times at once gains nothing.
        _ => "",
    };
    let Some(estimate) = in_rows.filter(|_| !together.is_empty()) else {
        return Cure { text: "These return something, so they have to wait.".into(), about: None };
    };
    let text = format!(
        "These have to wait, but {} in a row could be asked together if none needs the answer before it: {together}, in \
         about {}.",
        thousands(site.in_a_row()),
        about(estimate)
    );
    Cure { text, about: Some(estimate) }
}

/// Advises on barriers: often a program makes more of them than it needs.
fn sync(site: &Site, diagnosis: &Diagnosis, once: Duration) -> Cure {
    let others = (diagnosis.calls - site.calls) as f64 / site.calls.max(1) as f64;
    let every = match others.round() as u64 {
        0 => "fewer calls than syncs".into(),
        1 => "one for every call".into(),
        n => format!("one for every {} calls", thousands(n)),
    };
    let text = format!(
        "That is {every}. A single one at the end, if nothing before needs to know, would take about {}.",
        about(once)
    );
    Cure { text, about: Some(once) }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}
