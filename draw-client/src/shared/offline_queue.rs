//! Where calls wait that are made while the display is gone, if the oldest of them are to be dropped.

use super::ReplyState;
use crate::scope::Tag;
use draw_protocol::client::{Made, Origin, Place};
use draw_protocol::{Call, Code, Fault, Method, Pixel, Request, Split, limits};
use std::collections::VecDeque;
use std::time::Instant;

/// Calls that may be dropped, and others, that may wait: as many as requests may be under way. Each takes some 150 bytes beside its
/// data.
const MOST: usize = limits::CREDIT_CALLS as usize;
/// The data of the calls that may wait and be dropped: an image of 1920x1080. One call may have more, and then waits alone.
const MOST_BYTES: usize = 8 << 20;

/// Calls that have a number and have not come as far as the machine. None of them was sent, not even in part, so of any it is
/// certain that it was not executed.
#[derive(Debug, Default)]
pub(super) struct OfflineQueue {
    /// Calls that may be dropped, apart from those that may not: see `Method::may_be_dropped`. Each is in the order of the numbers.
    droppable: VecDeque<Waiting>,
    lasting: VecDeque<Waiting>,
    /// Data of the calls that may be dropped.
    bytes: usize,
    /// Of the call that came last, also after it has left.
    last_number: u64,
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) number: u64,
    pub(super) reply: ReplyState,
    pub(super) at: Instant,
    pub(super) place: Place,
    pub(super) tag: Tag,
    call: Call,
    data: Data,
}

/// A request that borrows from nobody.
#[derive(Debug)]
enum Data {
    /// Of `draw_pixels` and `add_pixels`: as the program has them, for they may be more than one request can carry.
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
    /// The request. That it cannot be read does not happen to one that was checked before it came here.
    pub(super) fn request(&self) -> Result<Request<'_>, Fault> {
        match &self.data {
            Data::Pixels(pixels) => Request::of_pixels(self.method(), (&**pixels).into()).ok_or_else(|| {
                Fault::new(Code::InvalidArgument, format!("{} has no batch of pixels", self.method().name()))
            }),
            Data::Parameters(parameters) => Request::from_parameters(self.method(), parameters),
        }
    }

    pub(super) fn method(&self) -> Method {
        self.call.method()
    }

    pub(super) fn origin(&self) -> Origin {
        Origin { at: self.at, place: Some(self.place) }
    }

    /// What can be told of it later.
    pub(super) fn made(&self) -> Made {
        Made::new(self.number, self.call, self.origin())
    }
}

impl OfflineQueue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.droppable.is_empty() && self.lasting.is_empty()
    }

    /// Number of the call that came last. It is zero if there never was any.
    pub(super) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Whether this call may come in without another being dropped for it. Those that may not be dropped have places of their own.
    pub(super) fn has_place(&self, request: &Request<'_>) -> bool {
        if !request.method().may_be_dropped() {
            return self.lasting.len() < MOST;
        }
        self.droppable.len() < MOST && self.bytes < MOST_BYTES
    }

    /// A call comes in. Its number is higher than those of all before it.
    pub(super) fn push(&mut self, number: u64, request: &Request<'_>, at: Instant, place: Place, tag: Tag) {
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
    pub(super) fn overflow(&mut self) -> Option<Waiting> {
        let is_over = self.droppable.len() > MOST || self.bytes > MOST_BYTES;
        if is_over && self.droppable.len() > 1 { self.pop_drawing() } else { None }
    }

    fn pop_drawing(&mut self) -> Option<Waiting> {
        let oldest = self.droppable.pop_front()?;
        self.bytes -= oldest.data.len();
        if self.droppable.is_empty() {
            // What an outage took is not kept for the next.
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

    /// The call that came first.
    pub(super) fn first(&self) -> Option<&Waiting> {
        if self.is_drawing_first() { self.droppable.front() } else { self.lasting.front() }
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        if self.is_drawing_first() {
            return self.pop_drawing();
        }
        let first = self.lasting.pop_front();
        if self.lasting.is_empty() {
            self.lasting = VecDeque::new();
        }
        first
    }

    /// The call of that number, if it waits here.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Waiting> {
        [&mut self.droppable, &mut self.lasting].into_iter().find_map(|queue| {
            let place = queue.binary_search_by_key(&number, |waiting| waiting.number).ok()?;
            queue.get_mut(place)
        })
    }
}

#[cfg(test)]
mod tests;
