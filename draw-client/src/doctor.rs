//! The round-trip doctor: which lines of a program wait for the display, and what would cure that.
//!
//! This is pure accounting. It has no clock: every instant is an argument, so that each text can be tested with times
//! that were made up. [`sites`] keeps an account for each line that makes calls, [`diagnosis`] is what is handed out,
//! [`advice`] what it concludes from its numbers, [`text`] how it reads.

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
use draw_protocol::client::Place;
use draw_protocol::{Color, Method, Request};
use std::collections::VecDeque;
use std::time::Instant;

/// Whose calls are accounted for: the advice speaks of what that client can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    Blocking,
    Asynchronous,
    Pipeline,
}

/// What a call may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Wait {
    /// For its answer: the number of the call.
    Answer(u64),
    /// For credit: its place in the queue.
    Credit(u64),
}

/// The account of one connection.
#[derive(Debug)]
pub(crate) struct Doctor {
    client: Client,
    began: Instant,
    sites: Sites,
    /// Number of the last call made.
    last_made: u64,
    /// Who made the calls that are not done: the first number of each row of calls of one site. Not longer than what is
    /// under way, and a loop is one entry.
    under_way: VecDeque<(u64, SiteId)>,
    /// Who waits at the moment.
    waits: Waiting,
    /// The call that was waited for last, if nothing was called since it was made: one that follows it could have been
    /// called together with it.
    previous: Option<(u64, SiteId)>,
    /// When anybody waited, when anybody waited for credit, and when any call was under way.
    waited: Span,
    short_of_credit: Span,
    busy: Span,
    /// When anything was heard last.
    heard: Option<Instant>,
    /// Failed calls that nobody was told of, when there was nobody left to tell.
    untold: u64,
    /// The last diagnosis was printed.
    is_over: bool,
}

/// Bytes of a request beside its data, about.
const HEAD: u64 = 32;

/// How many bytes a call takes on the wire, with the data of its answer, about. A single pixel counts as one of a batch,
/// since it is asked what a batch would take.
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

/// Pixels of a batch that are looked at: a program that has its colours wrong has the first of them wrong.
const LOOKED_AT: usize = 8;

/// What may have been meant, where a call draws what nobody sees.
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

    /// The connection goes on with another client.
    pub(crate) fn handed_to(&mut self, client: Client) {
        self.client = client;
    }

    /// A call was made; at what time need not be said while others are under way.
    #[inline]
    pub(crate) fn made(&mut self, number: u64, request: &Request<'_>, place: Place, at: Option<Instant>) {
        let site = self.count(place, request);
        self.sent(number, site, at);
    }

    #[inline]
    fn count(&mut self, place: Place, request: &Request<'_>) -> SiteId {
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

    /// A call was accepted that is not made yet: it may [go on](Doctor::dequeued), or be dropped.
    pub(crate) fn accepted(&mut self, request: &Request<'_>, place: Place) {
        self.count(place, request);
    }

    /// A call that was accepted before is made.
    pub(crate) fn dequeued(&mut self, number: u64, method: Method, place: Place, now: Instant) {
        let site = self.sites.find(place, method);
        self.sent(number, site, Some(now));
    }

    /// Every call up to this number is done.
    pub(crate) fn done(&mut self, number: u64, now: Instant) {
        self.heard = Some(now);
        if number >= self.last_made {
            self.under_way.clear();
            self.busy.end(now);
            return;
        }
        // A row goes on to where the next begins.
        while self.under_way.get(1).is_some_and(|&(first, _)| first <= number + 1) {
            self.under_way.pop_front();
        }
    }

    /// The whole of a synchronous call: made at one time, answered at another.
    #[inline]
    pub(crate) fn called(&mut self, request: &Request<'_>, place: Place, at: Instant, now: Instant) {
        let site = self.count(place, request);
        self.last_made += 1;
        self.begin(site, Some(self.last_made), at);
        self.busy.begin(at);
        self.end(Wait::Answer(self.last_made), site, at, now);
        self.busy.end(now);
    }

    /// A call that was made has to wait for its answer.
    pub(crate) fn answer_awaited(&mut self, number: u64, now: Instant) {
        // It is not known if it was made before there was a doctor.
        let row = self.under_way.partition_point(|&(first, _)| first <= number);
        if let Some(&(_, site)) = row.checked_sub(1).and_then(|row| self.under_way.get(row)) {
            self.wait_for_answer(number, site, now);
        }
    }

    /// The same of a call that was accepted and is not made yet.
    pub(crate) fn queued_answer_awaited(&mut self, number: u64, method: Method, place: Place, now: Instant) {
        let site = self.sites.find(place, method);
        self.wait_for_answer(number, site, now);
    }

    fn wait_for_answer(&mut self, number: u64, site: SiteId, now: Instant) {
        self.begin(site, Some(number), now);
        self.waits.insert(Wait::Answer(number), (site, now));
    }

    /// A call has to wait for credit before it can be made.
    pub(crate) fn credit_awaited(&mut self, turn: u64, method: Method, place: Place, now: Instant) {
        let site = self.sites.find(place, method);
        self.begin(site, None, now);
        self.short_of_credit.begin(now);
        self.waits.insert(Wait::Credit(turn), (site, now));
    }

    /// Whoever waited for this answer has it, if anybody did. The wait was over when it was heard: no clock is read for that.
    #[inline]
    pub(crate) fn answered(&mut self, number: u64) {
        if let Some((site, since)) = self.waits.remove(Wait::Answer(number)) {
            let heard = self.heard.map_or(since, |heard| heard.max(since));
            self.end(Wait::Answer(number), site, since, heard);
        }
    }

    /// That wait is over, if there was one.
    pub(crate) fn wait_ended(&mut self, wait: Wait, now: impl FnOnce() -> Instant) {
        // Most answers are there before they are asked for: the clock is not read for them.
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

    /// The connection has ended: everything is done, up to this number, and nobody waits any more.
    pub(crate) fn ended(&mut self, number: u64, now: Instant) {
        for (wait, (site, since)) in self.waits.take() {
            self.end(wait, site, since, now);
        }
        self.done(number, now);
    }

    /// A call has failed, or could not be made.
    pub(crate) fn failed(&mut self, method: Method, place: Place, error: &Error) {
        let site = self.sites.find(place, method);
        self.sites[site].failed(error);
    }

    /// So many calls failed, nobody was told, and nobody is left.
    pub(crate) fn unclaimed(&mut self, calls: u64) {
        self.untold += calls;
    }

    /// What is known by now. `untold` failed calls are kept for somebody to ask.
    pub(crate) fn diagnosis(&self, untold: u64, now: Instant) -> Diagnosis {
        let mut sites: Vec<_> = self.sites.iter().map(|account| account.site(now)).collect();
        // The sort is stable: those that are equal stay in the order in which they were first met.
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

    /// The last one, once: for whoever prints it.
    pub(crate) fn last_diagnosis(&mut self, now: Instant) -> Option<Diagnosis> {
        (!std::mem::replace(&mut self.is_over, true)).then(|| self.diagnosis(0, now))
    }
}
