//! An account for each line of the program that makes calls.

use crate::doctor::diagnosis::Site;
use crate::doctor::span::Span;
use crate::error::{Error, Outcome};
use draw_protocol::client::CallSite;
use draw_protocol::{Color, Method};
use std::collections::HashMap;
use std::ops::{Index, IndexMut};
use std::time::{Duration, Instant};

/// How many sites have an account of their own. A program with more lines that draw was generated, and a list of that
/// many is not read; the others share one account.
pub(super) const MAX_SITES: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SiteId(u32);

/// A line and a method, identified by the address of the line's description.
type Address = (usize, Method);
/// The same, identified by its text.
type Line = (&'static str, u32, u32, Method);

/// One line may have several addresses, one for each codegen unit. So the text decides, and the address, which costs
/// less to look up, is cached. The usual call comes from the same line as the one before.
#[derive(Debug)]
pub(super) struct Sites {
    /// How many have an account of their own; the account after them is that of all others.
    most: usize,
    accounts: Vec<Account>,
    last: Option<(Address, SiteId)>,
    by_address: HashMap<Address, SiteId>,
    by_line: HashMap<Line, SiteId>,
}

impl Sites {
    pub(super) fn new(most: usize) -> Sites {
        Sites { most, accounts: Vec::new(), last: None, by_address: HashMap::new(), by_line: HashMap::new() }
    }

    /// Counts a call.
    #[inline]
    pub(super) fn called(&mut self, place: CallSite, method: Method, weight: u64) -> SiteId {
        let site = self.find(place, method);
        let account = &mut self[site];
        account.calls += 1;
        account.bytes = account.bytes.saturating_add(weight);
        site
    }

    #[inline]
    pub(super) fn find(&mut self, place: CallSite, method: Method) -> SiteId {
        let address = (std::ptr::from_ref(place).addr(), method);
        match self.last {
            Some((last, site)) if last == address => site,
            _ => self.look_up(address, place),
        }
    }

    fn look_up(&mut self, address: Address, place: CallSite) -> SiteId {
        let site = match self.by_address.get(&address) {
            Some(site) => *site,
            None => self.enter(address, place),
        };
        self.last = Some((address, site));
        site
    }

    fn enter(&mut self, address: Address, place: CallSite) -> SiteId {
        let method = address.1;
        let line = (place.file(), place.line(), place.column(), method);
        let site = match self.by_line.get(&line) {
            Some(site) => *site,
            None if self.accounts.len() < self.most => {
                let site = self.open(Account::new(Some((place, method))));
                self.by_line.insert(line, site);
                site
            }
            None if self.accounts.len() == self.most => self.open(Account::new(None)),
            None => SiteId(self.most as u32),
        };
        // Addresses are bounded too; without an entry the text is looked up each time.
        if self.by_address.len() < 4 * self.most {
            self.by_address.insert(address, site);
        }
        site
    }

    fn open(&mut self, account: Account) -> SiteId {
        self.accounts.push(account);
        SiteId(self.accounts.len() as u32 - 1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Account> {
        self.accounts.iter()
    }
}

impl Index<SiteId> for Sites {
    type Output = Account;

    #[inline]
    fn index(&self, SiteId(site): SiteId) -> &Account {
        &self.accounts[site as usize]
    }
}

impl IndexMut<SiteId> for Sites {
    #[inline]
    fn index_mut(&mut self, SiteId(site): SiteId) -> &mut Account {
        &mut self.accounts[site as usize]
    }
}

/// The counters of one site: see [`Site`].
#[derive(Debug)]
pub(super) struct Account {
    /// `None` for the account that the sites beyond [`MAX_SITES`] share.
    of: Option<(CallSite, Method)>,
    calls: u64,
    bytes: u64,
    waits: u64,
    waited: Duration,
    held: Span,
    shortest: Option<Duration>,
    rows: u64,
    credit_waits: u64,
    credit_waited: Duration,
    rejected: u64,
    dropped: u64,
    unknown: u64,
    /// How many calls drew invisible pixels, and the colour that the first of them may have meant.
    invisible: u64,
    meant: Option<Color>,
}

impl Account {
    fn new(of: Option<(CallSite, Method)>) -> Account {
        Account {
            of,
            calls: 0,
            bytes: 0,
            waits: 0,
            waited: Duration::ZERO,
            held: Span::default(),
            shortest: None,
            rows: 0,
            credit_waits: 0,
            credit_waited: Duration::ZERO,
            rejected: 0,
            dropped: 0,
            unknown: 0,
            invisible: 0,
            meant: None,
        }
    }

    /// Notes that a call drew with alpha 0, and the colour that was probably meant.
    #[cold]
    pub(super) fn drew_invisibly(&mut self, meant: Color) {
        self.invisible += 1;
        self.meant.get_or_insert(meant);
    }

    /// Notes that a call waits for its answer, and whether that directly follows another wait of this site.
    #[inline]
    pub(super) fn wait_began(&mut self, follows: bool, now: Instant) {
        self.rows += u64::from(!follows);
        self.waits += 1;
        self.held.begin(now);
    }

    #[inline]
    pub(super) fn wait_ended(&mut self, took: Duration, now: Instant) {
        self.held.end(now);
        self.waited = self.waited.saturating_add(took);
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
    }

    /// Notes that a call has waited for credit.
    pub(super) fn had_no_credit(&mut self, took: Duration) {
        self.credit_waits += 1;
        self.credit_waited = self.credit_waited.saturating_add(took);
    }

    /// Notes that a call has failed.
    pub(super) fn failed(&mut self, error: &Error) {
        match error.outcome() {
            Outcome::Unknown => self.unknown += 1,
            Outcome::Rejected => self.rejected += 1,
        }
        self.dropped += u64::from(matches!(error, Error::Dropped));
    }

    pub(super) fn site(&self, now: Instant) -> Site {
        Site {
            location: self.of.map(|(place, _)| place),
            method: self.of.map(|(_, method)| method),
            calls: self.calls,
            bytes: self.bytes,
            waits: self.waits,
            waited: self.waited,
            held: self.held.total(now),
            shortest: self.shortest,
            rows: self.rows,
            credit_waits: self.credit_waits,
            credit_waited: self.credit_waited,
            rejected: self.rejected,
            dropped: self.dropped,
            unknown: self.unknown,
            invisible: self.invisible,
            meant: self.meant,
        }
    }
}
