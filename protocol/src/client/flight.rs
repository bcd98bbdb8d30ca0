//! Requests that the server has not reported, and the calls that they carry.

use crate::table::Pixel;
use crate::table::{Call, Join, Request};
use std::collections::VecDeque;
use std::panic::Location;
use std::time::Instant;

/// The line of the program that makes a call.
pub type CallSite = &'static Location<'static>;

/// When a call is made, and by which line of the program, if that is known.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// When.
    pub at: Instant,
    /// Where.
    pub place: Option<CallSite>,
}

impl From<Instant> for Origin {
    fn from(at: Instant) -> Origin {
        Origin { at, place: None }
    }
}

/// A call that was made, with what is reported of it later.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct IssuedCall {
    /// Its number on this connection, from 1.
    pub number: u64,
    /// What was called.
    pub call: Call,
    /// When. Single pixels that travel together share the time of the first, by less than
    /// [`JOIN_TIME`](crate::limits::JOIN_TIME).
    pub at: Instant,
    /// The line of the program that made it, if that is known. It never crosses the wire.
    pub place: Option<CallSite>,
}

impl IssuedCall {
    /// Creates what a client reports of a call that it has held back itself.
    pub fn new(number: u64, call: Call, Origin { at, place }: Origin) -> IssuedCall {
        IssuedCall { number, call, at, place }
    }
}

/// The calls that are not done when a connection is lost for good, each in one of the two, in order.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct GivenUp {
    /// At least a part of each was handed out to be sent: they may have been executed, or the beginning of them.
    pub begun: Vec<IssuedCall>,
    /// Nothing of them was ever handed out: they have certainly not been executed.
    pub unsent: Vec<IssuedCall>,
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct InFlight {
    /// Number of the call that it carries, or of the first of several.
    pub(super) call: u64,
    pub(super) at: Instant,
    /// Its bytes on the wire.
    pub(super) bytes: usize,
    pub(super) load: Load,
}

/// What a request carries.
#[derive(Debug)]
pub(super) enum Load {
    /// A call, or a part of one.
    Part(Part),
    /// Calls of `draw_pixel` that travel as one `draw_pixels`: a record each.
    Joined(Run),
}

/// A call, or a part of one.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) call: Call,
    pub(super) place: Option<CallSite>,
    /// Which pixels of the call it has.
    pub(super) first_pixel: u32,
    pub(super) pixels: u32,
    /// The call ends with this request.
    pub(super) is_last: bool,
}

/// Calls of single pixels that travel together.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// A record of [`Pixel::SIZE`] bytes each, as they cross the wire.
    pub(super) records: Vec<u8>,
    /// The first pixel that each line of the program has called for, until the next: mostly there is one.
    places: Vec<(u32, Option<CallSite>)>,
}

impl Run {
    #[inline]
    pub(super) fn push(&mut self, pixel: Pixel, place: Option<CallSite>) {
        // One line is one object in memory, or few: what is not the same object counts as another line.
        let address = |place: Option<CallSite>| place.map_or(std::ptr::null(), std::ptr::from_ref);
        if self.places.last().is_none_or(|&(_, last)| address(last) != address(place)) {
            self.places.push((self.len() as u32, place));
        }
        self.records.extend_from_slice(&pixel.to_bytes());
    }

    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.places.clear();
    }

    /// Returns the number of calls.
    pub(super) fn len(&self) -> usize {
        self.records.len() / Pixel::SIZE
    }

    /// Returns the line that has called for pixel `i`.
    pub(super) fn place(&self, i: usize) -> Option<CallSite> {
        let behind = self.places.partition_point(|&(first, _)| first as usize <= i);
        self.places.get(behind.checked_sub(1)?)?.1
    }

    pub(super) fn pixel(&self, i: usize) -> Pixel {
        Pixel::from_bytes(self.records.as_chunks().0[i])
    }

    pub(super) fn call(&self, i: usize) -> Call {
        let Pixel { x, y, color } = self.pixel(i);
        Call::DrawPixel { x: x.into(), y: y.into(), color }
    }
}

impl InFlight {
    /// Returns the number of the last call that it carries.
    pub(super) fn last_call(&self) -> u64 {
        match &self.load {
            Load::Part(_) => self.call,
            Load::Joined(run) => self.call + run.len() as u64 - 1,
        }
    }

    /// Returns whether its call begins with it.
    pub(super) fn is_first(&self) -> bool {
        matches!(&self.load, Load::Joined(_) | Load::Part(Part { first_pixel: 0, .. }))
    }

    /// Returns every call that it carries.
    fn calls(&self) -> impl Iterator<Item = IssuedCall> + '_ {
        let count = self.last_call() - self.call + 1;
        (0..count).map(|i| IssuedCall {
            number: self.call + i,
            call: match &self.load {
                Load::Part(part) => part.call,
                Load::Joined(run) => run.call(i as usize),
            },
            at: self.at,
            place: match &self.load {
                Load::Part(part) => part.place,
                Load::Joined(run) => run.place(i as usize),
            },
        })
    }
}

/// The requests in flight, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Flight {
    requests: VecDeque<InFlight>,
    /// Number of the last request that is done.
    applied: u64,
    /// Number of the last request that may have been sent, or a part of it.
    sent: u64,
    /// Bytes of all of them.
    bytes: usize,
    /// Memory of runs that are done, for those to come.
    spare: Vec<Run>,
}

/// How many runs are kept for their memory. A few are filled while others are in flight; more are rare.
const SPARE: usize = 16;

impl Flight {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn applied(&self) -> u64 {
        self.applied
    }

    /// Returns the number of the request that is pushed next.
    pub(super) fn next_number(&self) -> u64 {
        self.last_number() + 1
    }

    /// Returns the number of the request that was pushed last.
    pub(super) fn last_number(&self) -> u64 {
        self.applied + self.requests.len() as u64
    }

    /// Notes that the requests up to this number may have been sent.
    pub(super) fn handle_sent(&mut self, number: u64) {
        self.sent = self.sent.max(number);
    }

    /// Returns the number of the last request of the calls of which any request may have been sent.
    pub(super) fn last_begun(&self) -> u64 {
        let number = self.sent.max(self.applied);
        // Also of a call whose first requests are done and whose others have not been sent.
        let behind = self.requests.iter().skip((number - self.applied) as usize);
        number + behind.take_while(|request| !request.is_first()).count() as u64
    }

    /// Returns how many bytes the requests after number `applied` have.
    pub(super) fn bytes_after(&self, applied: u64) -> usize {
        let done = applied.saturating_sub(self.applied) as usize;
        self.requests.iter().skip(done).map(|request| request.bytes).sum()
    }

    /// Passes the requests after number `applied` to `change`, which may replace the bytes of each and returns how many there are.
    pub(super) fn change_after(&mut self, applied: u64, mut change: impl FnMut(u64, usize) -> usize) {
        let done = applied.saturating_sub(self.applied) as usize;
        for (number, request) in (self.applied + 1..).zip(&mut self.requests).skip(done) {
            self.bytes -= request.bytes;
            request.bytes = change(number, request.bytes);
            self.bytes += request.bytes;
        }
    }

    pub(super) fn first(&self) -> Option<&InFlight> {
        self.requests.front()
    }

    /// Returns when a call was made that is in flight.
    pub(super) fn made_at(&self, call: u64) -> Option<Instant> {
        let behind = self.requests.partition_point(|request| request.call <= call);
        let request = self.requests.get(behind.checked_sub(1)?)?;
        (call <= request.last_call()).then_some(request.at)
    }

    pub(super) fn push(&mut self, request: InFlight) {
        self.bytes += request.bytes;
        self.requests.push_back(request);
    }

    /// Takes the first request out, which is done.
    pub(super) fn pop(&mut self) -> Option<InFlight> {
        let request = self.requests.pop_front()?;
        self.applied += 1;
        self.bytes -= request.bytes;
        Some(request)
    }

    /// Returns an empty run, with memory that served another.
    pub(super) fn spare_run(&mut self) -> Run {
        self.spare.pop().unwrap_or_default()
    }

    pub(super) fn recycle(&mut self, mut run: Run) {
        if self.spare.len() < SPARE {
            run.clear();
            self.spare.push(run);
        }
    }

    /// Takes the requests up to number `last` out. Returns every call that was in them, once each.
    pub(super) fn give_up(&mut self, last: u64) -> Vec<IssuedCall> {
        let gone = self.requests.drain(..(last - self.applied) as usize);
        let mut lost = Vec::new();
        for request in gone {
            self.bytes -= request.bytes;
            lost.extend(request.calls());
        }
        self.applied = last;
        lost.dedup_by_key(|made| made.number);
        lost
    }
}

/// Returns the pixel of a call that may travel with others like it.
#[inline]
pub(super) fn single(request: &Request<'_>) -> Option<Pixel> {
    match *request {
        Request::DrawPixel { x, y, color } if request.method().join() == Join::Run => {
            Some(Pixel { x: u16::try_from(x).ok()?, y: u16::try_from(y).ok()?, color })
        }
        _ => None,
    }
}
