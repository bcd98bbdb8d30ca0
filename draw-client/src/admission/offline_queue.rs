//! The queue of calls that are made during an outage, if the policy is to drop the oldest.

use crate::completion::{ReplyState, Tag};
use draw_protocol::client::{CallSite, IssuedCall, Origin};
use draw_protocol::{Call, Code, Fault, Method, Pixel, Request, Split, limits};
use std::collections::VecDeque;
use std::time::Instant;

/// How many calls that may be dropped can wait, and how many others: as many as requests may be under way. Each takes some 150 bytes
/// besides its data.
const MAX_CALLS: usize = limits::CREDIT_CALLS as usize;
/// Bytes of data of the calls that may be dropped: an image of 1920x1080. A single call may have more, and then waits alone.
const MAX_BYTES: usize = 8 << 20;

/// Calls that have a number and that the machine has not been given. No part of them was sent, so certainly none was executed.
#[derive(Debug, Default)]
pub(crate) struct OfflineQueue {
    /// Calls that may be dropped (`Method::may_be_dropped`), and those that may not. Each queue is in the order of the numbers.
    droppable: VecDeque<Waiting>,
    lasting: VecDeque<Waiting>,
    /// Bytes of data of `droppable`.
    bytes: usize,
    /// The number of the call that came last, also after it has left.
    last_number: u64,
}

/// A call that waits.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) number: u64,
    pub(crate) reply: ReplyState,
    pub(crate) at: Instant,
    pub(crate) place: CallSite,
    pub(crate) tag: Tag,
    call: Call,
    data: Data,
}

/// An owned request.
#[derive(Debug)]
enum Data {
    /// The batch of a `draw_pixels` or `add_pixels`, which may be more than one request can carry.
    Pixels(Box<[Pixel]>),
    /// The parameters as they cross the wire.
    Parameters(Box<[u8]>),
}

impl Data {
    fn new(request: &Request<'_>) -> Data {
        if let (Split::Batch, Some(pixels)) = (request.method().split(), request.pixels()) {
            // (A program's pixels have coordinates of 16 bits.)
            let fit = |n: i32| u16::try_from(n).unwrap_or(u16::MAX);
            return Data::Pixels(
                pixels.iter().map(|(x, y, color)| Pixel::new(fit(x), fit(y), color)).collect(),
            );
        }
        let mut parameters = Vec::new();
        request.encode_parameters(&mut parameters);
        Data::Parameters(parameters.into())
    }

    fn len(&self) -> usize {
        match self {
            Data::Pixels(pixels) => pixels.len() * Pixel::SIZE,
            Data::Parameters(parameters) => parameters.len(),
        }
    }
}

impl Waiting {
    /// Returns the request. One that was checked before it came here can always be read.
    pub(crate) fn request(&self) -> Result<Request<'_>, Fault> {
        match &self.data {
            Data::Pixels(pixels) => Request::of_pixels(self.method(), (&**pixels).into()).ok_or_else(|| {
                Fault::new(Code::InvalidArgument, format!("{} has no batch of pixels", self.method().name()))
            }),
            Data::Parameters(parameters) => Request::from_parameters(self.method(), parameters),
        }
    }

    pub(crate) fn method(&self) -> Method {
        self.call.method()
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin { at: self.at, place: Some(self.place) }
    }

    /// Returns what can be reported of it later.
    pub(crate) fn made(&self) -> IssuedCall {
        IssuedCall::new(self.number, self.call, self.origin())
    }
}

impl OfflineQueue {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.droppable.is_empty() && self.lasting.is_empty()
    }

    /// Returns the number of the call that came last, or zero.
    pub(crate) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Returns whether there is a place for this call without another being dropped. Calls that may not be dropped have places of their
    /// own.
    pub(crate) fn has_place(&self, request: &Request<'_>) -> bool {
        if !request.method().may_be_dropped() {
            return self.lasting.len() < MAX_CALLS;
        }
        self.droppable.len() < MAX_CALLS && self.bytes < MAX_BYTES
    }

    /// Adds a call. Its number is higher than those of all calls before it.
    pub(crate) fn push(
        &mut self,
        number: u64,
        request: &Request<'_>,
        at: Instant,
        place: CallSite,
        tag: Tag,
    ) {
        let (call, data) = (request.call(), Data::new(request));
        self.last_number = number;
        let queue = if call.method().may_be_dropped() {
            self.bytes += data.len();
            &mut self.droppable
        } else {
            &mut self.lasting
        };
        queue.push_back(Waiting { number, reply: ReplyState::Awaited, at, place, tag, call, data });
    }

    /// Takes out the oldest call that may be dropped if there are more than may wait. The newest stays, however large it is.
    pub(crate) fn overflow(&mut self) -> Option<Waiting> {
        let is_over = self.droppable.len() > MAX_CALLS || self.bytes > MAX_BYTES;
        if is_over && self.droppable.len() > 1 { self.pop_drawing() } else { None }
    }

    fn pop_drawing(&mut self) -> Option<Waiting> {
        let oldest = self.droppable.pop_front()?;
        self.bytes -= oldest.data.len();
        if self.droppable.is_empty() {
            // Gives the memory back.
            self.droppable = VecDeque::new();
        }
        Some(oldest)
    }

    fn is_drawing_first(&self) -> bool {
        match (self.droppable.front(), self.lasting.front()) {
            (Some(drawing), Some(question)) => drawing.number < question.number,
            (drawing, _) => drawing.is_some(),
        }
    }

    /// Returns the call that came first.
    pub(crate) fn first(&self) -> Option<&Waiting> {
        if self.is_drawing_first() { self.droppable.front() } else { self.lasting.front() }
    }

    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        if self.is_drawing_first() {
            return self.pop_drawing();
        }
        let first = self.lasting.pop_front();
        if self.lasting.is_empty() {
            self.lasting = VecDeque::new();
        }
        first
    }

    /// Returns the call of this number, if it waits here.
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Waiting> {
        [&mut self.droppable, &mut self.lasting].into_iter().find_map(|queue| {
            let place = queue.binary_search_by_key(&number, |waiting| waiting.number).ok()?;
            queue.get_mut(place)
        })
    }
}

#[cfg(test)]
mod tests;
