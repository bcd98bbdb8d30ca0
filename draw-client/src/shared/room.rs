//! Where calls wait that are made while the display is gone, if the oldest of them are to be dropped.

use super::Fate;
use crate::scope::Tag;
use draw_protocol::client::{Made, Origin, Place};
use draw_protocol::{Call, Fault, Method, Pixel, Request, limits};
use std::collections::VecDeque;
use std::time::Instant;

/// Drawing calls that may wait, and questions: as many as requests may be under way. Each takes some 150 bytes beside its
/// data.
const MOST: usize = limits::CREDIT_CALLS as usize;
/// The data of the drawing calls that may wait: an image of 1920x1080. One call may have more, and then waits alone.
const MOST_BYTES: usize = 8 << 20;

/// Calls that have a number and have not come as far as the machine. None of them was sent, not even in part, so of any it is
/// certain that it was not executed.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Apart, because drawing calls may be dropped and questions may not. Each is in the order of the numbers.
    drawings: VecDeque<Waiting>,
    questions: VecDeque<Waiting>,
    /// Data of the drawing calls.
    bytes: usize,
    /// Of the call that came last, also after it has left.
    last_number: u64,
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) number: u64,
    pub(super) fate: Fate,
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
        if let Request::DrawPixels { pixels } | Request::AddPixels { pixels } = request {
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
            Data::Pixels(pixels) if self.method() == Method::AddPixels => {
                Ok(Request::AddPixels { pixels: (&**pixels).into() })
            }
            Data::Pixels(pixels) => Ok(Request::DrawPixels { pixels: (&**pixels).into() }),
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

impl Room {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.drawings.is_empty() && self.questions.is_empty()
    }

    /// Number of the call that came last. It is zero if there never was any.
    pub(super) fn last_number(&self) -> u64 {
        self.last_number
    }

    /// Whether this call may come in without another being dropped for it. Questions have places of their own.
    pub(super) fn has_place(&self, request: &Request<'_>) -> bool {
        if request.method().is_question() {
            return self.questions.len() < MOST;
        }
        self.drawings.len() < MOST && self.bytes < MOST_BYTES
    }

    /// A call comes in. Its number is higher than those of all before it.
    pub(super) fn push(&mut self, number: u64, request: &Request<'_>, at: Instant, place: Place, tag: Tag) {
        let (call, data) = (request.call(), Data::new(request));
        self.last_number = number;
        let queue = if call.method().is_question() {
            &mut self.questions
        } else {
            self.bytes += data.len();
            &mut self.drawings
        };
        queue.push_back(Waiting { number, fate: Fate::Awaited, at, place, tag, call, data });
    }

    /// Takes out the oldest drawing call if there are more than may wait. The newest stays, however large it is.
    pub(super) fn overflow(&mut self) -> Option<Waiting> {
        let is_over = self.drawings.len() > MOST || self.bytes > MOST_BYTES;
        if is_over && self.drawings.len() > 1 { self.pop_drawing() } else { None }
    }

    fn pop_drawing(&mut self) -> Option<Waiting> {
        let oldest = self.drawings.pop_front()?;
        self.bytes -= oldest.data.len();
        if self.drawings.is_empty() {
            // What an outage took is not kept for the next.
            self.drawings = VecDeque::new();
        }
        Some(oldest)
    }

    fn is_drawing_first(&self) -> bool {
        match (self.drawings.front(), self.questions.front()) {
            (Some(drawing), Some(question)) => drawing.number < question.number,
            (drawing, _) => drawing.is_some(),
        }
    }

    /// The call that came first.
    pub(super) fn first(&self) -> Option<&Waiting> {
        if self.is_drawing_first() { self.drawings.front() } else { self.questions.front() }
    }

    pub(super) fn pop(&mut self) -> Option<Waiting> {
        if self.is_drawing_first() {
            return self.pop_drawing();
        }
        let first = self.questions.pop_front();
        if self.questions.is_empty() {
            self.questions = VecDeque::new();
        }
        first
    }

    /// The call of that number, if it waits here.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Waiting> {
        [&mut self.drawings, &mut self.questions].into_iter().find_map(|queue| {
            let place = queue.binary_search_by_key(&number, |waiting| waiting.number).ok()?;
            queue.get_mut(place)
        })
    }
}

#[cfg(test)]
mod tests;
