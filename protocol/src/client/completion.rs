//! Completes calls when their requests are answered.

use super::ended::violation;
use super::flight::{InFlight, Load, Part, Run};
use super::image::Image;
use super::{Connection, Ended, Event, IssuedCall};
use crate::codec::reader::{Reader, Unexpected};
use crate::fault::{Code, Fault, Range};
use crate::hello::Welcome;
use crate::limits;
use crate::table::{Answer, Call, Method, Split};
use std::collections::VecDeque;
use std::time::Instant;

/// The calls of the program, and what is reported of them. Every call up to `done` is done, and its event has been handed out or is in
/// `events`.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Number of the last call made.
    pub(super) last: u64,
    pub(super) done: u64,
    /// The fault of the call whose further parts are still in flight.
    pub(super) partial: Option<Fault>,
    /// The image that the first call in flight has asked for.
    pub(super) image: Image,
    pub(super) events: VecDeque<Event>,
}

impl Connection {
    /// Completes every request up to number `applied`, which is in flight.
    pub(super) fn advance(&mut self, applied: u64) -> Result<(), Ended> {
        while self.flight.applied() < applied {
            if let Some(InFlight { load: Load::Part(Part { call, .. }), .. }) = self.flight.first()
                && call.method().has_answer()
            {
                if self.flight.applied() < self.session.resumed_to {
                    self.complete_lost();
                    continue;
                }
                return Err(violation(format!("it passed over {call}, which has an answer")));
            }
            let request = self.flight.pop().expect("the caller has seen that it is in flight");
            self.complete(request, None, Answer::Done(()));
        }
        self.out.reported(self.flight.applied());
        Ok(())
    }

    /// Completes the first request in flight, a question whose answer the server has not kept.
    fn complete_lost(&mut self) {
        let request = self.flight.pop().expect("the caller has seen it");
        let text = match &request.load {
            Load::Part(part) if !part.call.method().may_be_repeated() => {
                "the answer was lost with the connection; the call was executed"
            }
            _ => "the answer was lost with the connection; ask again",
        };
        self.complete(request, Some(Fault::new(Code::AnswerLost, text)), Answer::Done(()));
    }

    /// Completes the first request in flight.
    pub(super) fn complete_first(&mut self, fault: Option<Fault>, answer: Answer) {
        let request = self.flight.pop().expect("the caller has seen it");
        self.complete(request, fault, answer);
        self.out.reported(self.flight.applied());
    }

    /// Completes a request, and its calls if it was their last.
    pub(super) fn complete(&mut self, request: InFlight, fault: Option<Fault>, answer: Answer) {
        let fault = if self.session.refused.is_empty() {
            fault
        } else {
            self.session.take_refused(self.flight.applied()).or(fault)
        };
        let last = request.last_call();
        let is_journaled = match &request.load {
            Load::Joined(_) => true,
            Load::Part(part) => part.call.method().is_journaled(),
        };
        // A request that a display refuses as a whole draws nothing, and is in no journal.
        if is_journaled && fault.as_ref().is_none_or(|fault| fault.code == Code::OutOfBounds) {
            self.session.drew = self.flight.applied();
        }
        if request.is_first() {
            self.flow.answered = Some(request.at);
        }
        match request.load {
            Load::Joined(run) => {
                if let Some(fault) = fault {
                    self.tell_pixels(request.call, request.at, &run, fault);
                }
                self.flight.recycle(run);
                self.calls.done = last;
            }
            Load::Part(part) => {
                if let Some(fault) = fault {
                    self.join_fault(&part, fault);
                }
                if !part.is_last {
                    return;
                }
                self.calls.done = last;
                let made = IssuedCall { number: last, call: part.call, at: request.at, place: part.place };
                let image = self.calls.image.take();
                if let Some(fault) = self.calls.partial.take() {
                    self.calls.events.push_back(Event::Fault(made, fault));
                } else if let Method::GetImage = part.call.method() {
                    self.calls.events.push_back(Event::Answer(made, Answer::Image(image)));
                } else if part.call.method().has_answer() {
                    self.calls.events.push_back(Event::Answer(made, answer));
                }
            }
        }
    }

    /// Joins the fault of a part of a call to those of its other parts.
    fn join_fault(&mut self, part: &Part, mut fault: Fault) {
        let is_cut = part.first_pixel > 0 || !part.is_last;
        match part.call {
            call if call.method().split() == Split::Batch => {
                if is_cut {
                    // A request that was rejected whole is these pixels of the call.
                    fault.reject_all(part.pixels);
                }
                fault.place(part.first_pixel, part.pixels);
            }
            _ => fault.place(0, 0),
        }
        if fault.code == Code::OutOfBounds {
            fault.set_size(self.session.welcome.as_ref().map(Welcome::size));
        }
        let whole = match self.calls.partial.take() {
            Some(mut first) => {
                first.join(fault);
                first
            }
            None => fault,
        };
        let whole = self.calls.partial.insert(whole);
        if is_cut {
            // The display describes the part that it was sent, the program made the whole call.
            whole.restate(&part.call);
        }
    }

    /// Splits the fault of single pixels that travelled together: each call that has failed gets its own.
    fn tell_pixels(&mut self, first: u64, at: Instant, run: &Run, mut fault: Fault) {
        let count = run.len() as u32;
        fault.reject_all(count);
        fault.place(0, count);
        // Each call keeps a copy.
        fault.shorten(limits::STRING / 16);
        let size = self.session.welcome.as_ref().map(Welcome::size);
        let rejected = fault.take_rejected();
        for i in rejected.iter().flat_map(Range::indexes) {
            let call = run.call(i as usize);
            let fault = match (&fault.code, size) {
                // The display describes the batch, the program drew this pixel.
                (Code::OutOfBounds, Some(size)) => Fault::out_of_bounds(&call, size, Vec::new(), Vec::new()),
                _ => fault.clone(),
            };
            let (number, place) = (first + u64::from(i), run.place(i as usize));
            let made = IssuedCall { number, call, at, place };
            self.calls.events.push_back(Event::Fault(made, fault));
        }
    }
}

/// Reads the answer to a request. A band of an image is added to those before it.
pub(super) fn read_answer(part: &Part, rest: &mut Reader<'_>, image: &mut Image) -> Result<Answer, Ended> {
    let method = part.call.method();
    let wrong = |what: Unexpected| violation(format!("it answered {} with {}", method.name(), what.0));
    let Call::GetImage { width, height, .. } = part.call else {
        return method.decode_answer(rest).map_err(wrong);
    };
    let band = rest.bytes().map_err(wrong)?;
    // It must have the requested size: the caller indexes it.
    if band.len() as u64 != u64::from(part.pixels) * 4 {
        return Err(violation(format!("it answered an image of {width}x{height} with {} bytes", band.len())));
    }
    image.append(band, u64::from(width) * u64::from(height) * 4);
    Ok(Answer::Done(()))
}
