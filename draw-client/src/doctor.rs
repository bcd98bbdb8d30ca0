//! The round-trip doctor: finds the lines of a program that wait for the display, and what would avoid that.
//!
//! This folder contains pure accounting. It has no clock: every instant is an argument, so that each text can be tested
//! with made-up times. [`sites`] keeps an account for each line that makes calls, [`diagnosis`] is the result,
//! [`advice`] its conclusions, [`text`] its words. It may use `error` and `stderr`.

mod advice;
mod choice;
mod diagnosis;
mod sites;
mod span;
#[cfg(test)]
mod tests;
mod text;
mod waiting;

pub use choice::DRAW_DOCTOR;
pub(crate) use choice::open;
pub use diagnosis::{Cure, Diagnosis, Finding, Site};
pub(crate) use text::print;

use crate::doctor::sites::{SiteId, Sites};
use crate::doctor::span::Span;
use crate::doctor::waiting::Waiting;
use crate::error::Error;
use draw_protocol::client::CallSite;
use draw_protocol::{Color, Method, Request};
use std::collections::VecDeque;
use std::time::Instant;

/// The client whose calls are counted: the advice names what that client can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Blocking,
    Asynchronous,
    Pipeline,
}

/// What a call may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wait {
    /// Its answer: the number of the call.
    Answer(u64),
    /// Credit: its place in the queue.
    Credit(u64),
}

/// The account of one connection.
#[derive(Debug)]
pub(crate) struct Doctor {
    client: Client,
    began: Instant,
    sites: Sites,
    /// The number of the last call made.
    last_made: u64,
    /// The sites of the calls that are not done: the first number of each run of calls of one site. It is not longer
    /// than what is under way, and a loop is one entry.
    under_way: VecDeque<(u64, SiteId)>,
    /// The waits that have not ended.
    waits: Waiting,
    /// The call that was waited for last, if no other was made since: a call that follows it could have been made
    /// together with it.
    previous: Option<(u64, SiteId)>,
    /// When any call waited, when any waited for credit, and when any was under way.
    waited: Span,
    short_of_credit: Span,
    busy: Span,
    /// When anything was received last.
    heard: Option<Instant>,
    /// Failed calls whose errors the program can no longer take.
    untold: u64,
    /// Whether the last diagnosis was printed.
    is_over: bool,
}

/// Approximate bytes of a request besides its data.
const HEAD: u64 = 32;

/// Returns the approximate bytes of a call on the wire, with the data of its answer. A single pixel counts as one of a
/// batch, since the question is what a batch would take.
fn weight(request: &Request<'_>) -> u64 {
    let pixel = draw_protocol::Pixel::SIZE as u64;
    match *request {
        Request::DrawPixel { .. } => pixel,
        Request::DrawPixels { pixels } => HEAD + pixel * pixels.len() as u64,
        Request::PutImage { rgba, .. } => HEAD + rgba.len() as u64,
        Request::GetImage { width, height, .. } => {
            HEAD.saturating_add((u64::from(width) * u64::from(height)).saturating_mul(4))
        }
        _ => HEAD,
    }
}

/// Pixels of a batch that are checked: if the colours of a program are wrong, the first are.
const LOOKED_AT: usize = 8;

/// Returns the colour that was probably meant, if a call draws invisible pixels.
fn invisible(request: &Request<'_>) -> Option<Color> {
    match *request {
        Request::DrawPixel { color, .. } | Request::FillRect { color, .. } | Request::Clear { color } => {
            color.invisible()
        }
        Request::DrawPixels { pixels } => {
            pixels.iter().take(LOOKED_AT).find_map(|(_, _, color)| color.invisible())
        }
        _ => None,
    }
}

impl Doctor {
    pub(crate) fn new(client: Client, now: Instant) -> Doctor {
        Doctor {
            client,
            began: now,
            sites: Sites::new(sites::MAX_SITES),
            last_made: 0,
            under_way: VecDeque::new(),
            waits: Waiting::default(),
            previous: None,
            waited: Span::default(),
            short_of_credit: Span::default(),
            busy: Span::default(),
            heard: None,
            untold: 0,
            is_over: false,
        }
    }

    /// Notes that another client continues the connection.
    pub(crate) fn handed_to(&mut self, client: Client) {
        self.client = client;
    }

    /// Notes that a call was made. Its time may be missing while others are under way.
    #[inline]
    pub(crate) fn made(&mut self, number: u64, request: &Request<'_>, place: CallSite, at: Option<Instant>) {
        let site = self.count(place, request);
        self.sent(number, site, at);
    }

    #[inline]
    fn count(&mut self, place: CallSite, request: &Request<'_>) -> SiteId {
        let site = self.sites.called(place, request.method(), weight(request));
        if let Some(meant) = invisible(request) {
            self.sites[site].drew_invisibly(meant);
        }
        site
    }

    #[inline]
    fn sent(&mut self, number: u64, site: SiteId, at: Option<Instant>) {
        if self.under_way.back().is_none_or(|&(_, last)| last != site) {
            self.under_way.push_back((number, site));
        }
        self.last_made = number;
        if let Some(at) = at
            && !self.busy.is_open()
        {
            self.busy.begin(at);
        }
    }

    /// Notes that a call was accepted and is not made yet: it may be [made later](Doctor::dequeued), or dropped.
    pub(crate) fn accepted(&mut self, request: &Request<'_>, place: CallSite) {
        self.count(place, request);
    }

    /// Notes that a call that was accepted before is made.
    pub(crate) fn dequeued(&mut self, number: u64, method: Method, place: CallSite, now: Instant) {
        let site = self.sites.find(place, method);
        self.sent(number, site, Some(now));
    }

    /// Notes that every call up to this number is done.
    pub(crate) fn done(&mut self, number: u64, now: Instant) {
        self.heard = Some(now);
        if number >= self.last_made {
            self.under_way.clear();
            self.busy.end(now);
            return;
        }
        // A run ends where the next begins.
        while self.under_way.get(1).is_some_and(|&(first, _)| first <= number + 1) {
            self.under_way.pop_front();
        }
    }

    /// Notes a whole blocking call: made at one time, answered at another.
    #[inline]
    pub(crate) fn called(&mut self, request: &Request<'_>, place: CallSite, at: Instant, now: Instant) {
        let site = self.count(place, request);
        self.last_made += 1;
        self.begin(site, Some(self.last_made), at);
        self.busy.begin(at);
        self.end(Wait::Answer(self.last_made), site, at, now);
        self.busy.end(now);
    }

    /// Notes that a call waits for its answer.
    pub(crate) fn answer_awaited(&mut self, number: u64, now: Instant) {
        // The call is unknown if it was made before there was a doctor.
        let row = self.under_way.partition_point(|&(first, _)| first <= number);
        if let Some(&(_, site)) = row.checked_sub(1).and_then(|row| self.under_way.get(row)) {
            self.wait_for_answer(number, site, now);
        }
    }

    /// Notes that a call waits for its answer that was accepted and is not made yet.
    pub(crate) fn queued_answer_awaited(
        &mut self,
        number: u64,
        method: Method,
        place: CallSite,
        now: Instant,
    ) {
        let site = self.sites.find(place, method);
        self.wait_for_answer(number, site, now);
    }

    fn wait_for_answer(&mut self, number: u64, site: SiteId, now: Instant) {
        self.begin(site, Some(number), now);
        self.waits.insert(Wait::Answer(number), (site, now));
    }

    /// Notes that a call waits for credit.
    pub(crate) fn credit_awaited(&mut self, turn: u64, method: Method, place: CallSite, now: Instant) {
        let site = self.sites.find(place, method);
        self.begin(site, None, now);
        self.short_of_credit.begin(now);
        self.waits.insert(Wait::Credit(turn), (site, now));
    }

    /// Notes that this answer was taken, and ends the wait for it, if there was one. The wait ended when the answer was
    /// received: the clock is not read for that.
    #[inline]
    pub(crate) fn answered(&mut self, number: u64) {
        if let Some((site, since)) = self.waits.remove(Wait::Answer(number)) {
            let heard = self.heard.map_or(since, |heard| heard.max(since));
            self.end(Wait::Answer(number), site, since, heard);
        }
    }

    /// Ends a wait, if there was one.
    pub(crate) fn wait_ended(&mut self, wait: Wait, now: impl FnOnce() -> Instant) {
        // Most answers arrive before they are awaited: the clock is not read for them.
        if let Some((site, since)) = self.waits.remove(wait) {
            self.end(wait, site, since, now());
        }
    }

    #[inline]
    fn begin(&mut self, site: SiteId, answer_of: Option<u64>, now: Instant) {
        self.waited.begin(now);
        if let Some(number) = answer_of {
            let follows = self.previous.is_some_and(|(last, of)| last + 1 == number && of == site);
            self.sites[site].wait_began(follows, now);
        }
    }

    #[inline]
    fn end(&mut self, wait: Wait, site: SiteId, since: Instant, now: Instant) {
        self.waited.end(now);
        let took = now.saturating_duration_since(since);
        match wait {
            Wait::Answer(number) => {
                self.sites[site].wait_ended(took, now);
                self.previous = (number == self.last_made).then_some((number, site));
            }
            Wait::Credit(_) => {
                self.short_of_credit.end(now);
                self.sites[site].had_no_credit(took);
            }
        }
    }

    /// Notes that the connection has ended: everything up to this number is done, and nothing waits any more.
    pub(crate) fn ended(&mut self, number: u64, now: Instant) {
        for (wait, (site, since)) in self.waits.take() {
            self.end(wait, site, since, now);
        }
        self.done(number, now);
    }

    /// Notes that a call has failed, or could not be made.
    pub(crate) fn failed(&mut self, method: Method, place: CallSite, error: &Error) {
        let site = self.sites.find(place, method);
        self.sites[site].failed(error);
    }

    /// Notes that calls have failed and the program can no longer take their errors.
    pub(crate) fn unclaimed(&mut self, calls: u64) {
        self.untold += calls;
    }

    /// Returns the diagnosis so far. The errors of `untold` failed calls are kept for a `sync` or `close`.
    pub(crate) fn diagnosis(&self, untold: u64, now: Instant) -> Diagnosis {
        let mut sites: Vec<_> = self.sites.iter().map(|account| account.site(now)).collect();
        // The sort is stable: equal sites stay in the order of their first calls.
        sites.sort_by_key(|site| std::cmp::Reverse((site.held, site.credit_waited)));
        let lasted = now.saturating_duration_since(self.began);
        let mut diagnosis = Diagnosis {
            lasted,
            calls: sites.iter().map(|site| site.calls).sum(),
            waits: sites.iter().map(|site| site.waits).sum(),
            bytes: sites.iter().fold(0, |sum, site| site.bytes.saturating_add(sum)),
            held: self.waited.total(now),
            held_by_credit: self.short_of_credit.total(now),
            idle: lasted.saturating_sub(self.busy.total(now)),
            untold: self.untold + untold,
            rejected: sites.iter().map(|site| site.rejected).sum(),
            dropped: sites.iter().map(|site| site.dropped).sum(),
            unknown: sites.iter().map(|site| site.unknown).sum(),
            sites,
            findings: Vec::new(),
        };
        diagnosis.findings = advice::findings(&diagnosis, self.client);
        diagnosis
    }

    /// Returns the last diagnosis, once, to print it.
    pub(crate) fn last_diagnosis(&mut self, now: Instant) -> Option<Diagnosis> {
        (!std::mem::replace(&mut self.is_over, true)).then(|| self.diagnosis(0, now))
    }
}
