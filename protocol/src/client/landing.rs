//! What becomes of calls when their requests are answered.

use super::flight::{InFlight, Load, Part, Run};
use super::image::Image;
use super::{Connection, Ended, Event, Made, violation};
use crate::calls::{Answer, Call, Method, Split};
use crate::fault::{Code, Fault, Range};
use crate::hello::Welcome;
use crate::limits;
use crate::reader::{Reader, Unexpected};
use std::time::Instant;

impl Connection {
    /// Every request up to number `applied`, which is in flight, is done.
    pub(super) fn advance(&mut self, applied: u64) -> Result<(), Ended> {
        while self.flight.applied() < applied {
            if let Some(InFlight { load: Load::Part(Part { call, .. }), .. }) = self.flight.first()
                && call.method().has_answer()
            {
                if self.flight.applied() < self.resumed_to {
                    self.land_lost();
                    continue;
                }
                return Err(violation(format!("it passed over {call}, which has an answer")));
            }
            let request = self.flight.pop().expect("the caller has seen that it is in flight");
            self.land(request, None, Answer::Done(()));
        }
        self.out.reported(self.flight.applied());
        Ok(())
    }

    /// The first request in flight is a question whose answer the server has not kept.
    fn land_lost(&mut self) {
        let request = self.flight.pop().expect("the caller has seen it");
        let text = "the answer was lost with the connection; ask again";
        self.land(request, Some(Fault::new(Code::AnswerLost, text)), Answer::Done(()));
    }

    /// The first request in flight is done.
    pub(super) fn land_first(&mut self, fault: Option<Fault>, answer: Answer) {
        let request = self.flight.pop().expect("the caller has seen it");
        self.land(request, fault, answer);
        self.out.reported(self.flight.applied());
    }

    /// A request is done. If it was the last of its call, or calls, so are they.
    pub(super) fn land(&mut self, request: InFlight, fault: Option<Fault>, answer: Answer) {
        let fault = if self.refused.is_empty() { fault } else { self.take_refused().or(fault) };
        let last = request.last_call();
        let is_journaled = match &request.load {
            Load::Joined(_) => true,
            Load::Part(part) => part.call.method().is_journaled(),
        };
        // What a display refuses as a whole draws nothing, and is in no journal.
        if is_journaled && fault.as_ref().is_none_or(|fault| fault.code == Code::OutOfBounds) {
            self.drew = self.flight.applied();
        }
        if request.is_first() {
            self.answered = Some(request.at);
        }
        match request.load {
            Load::Joined(run) => {
                if let Some(fault) = fault {
                    self.tell_pixels(request.call, request.at, &run, fault);
                }
                self.flight.recycle(run);
                self.done = last;
            }
            Load::Part(part) => {
                if let Some(fault) = fault {
                    self.join_fault(&part, fault);
                }
                if !part.is_last {
                    return;
                }
                self.done = last;
                let made = Made { number: last, call: part.call, at: request.at, place: part.place };
                let image = self.image.take();
                if let Some(fault) = self.partial.take() {
                    self.events.push_back(Event::Fault(made, fault));
                } else if let Method::GetImage = part.call.method() {
                    self.events.push_back(Event::Answer(made, Answer::Image(image)));
                } else if part.call.method().has_answer() {
                    self.events.push_back(Event::Answer(made, answer));
                }
            }
        }
    }

    /// A part of a call has failed; the others may not have.
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
            fault.set_size(self.welcome.as_ref().map(Welcome::size));
        }
        let whole = match self.partial.take() {
            Some(mut first) => {
                first.join(fault);
                first
            }
            None => fault,
        };
        let whole = self.partial.insert(whole);
        if is_cut {
            // The display describes the part that it was sent, the program made the whole call.
            whole.restate(&part.call);
        }
    }

    /// Single pixels travelled together, and some of them have failed: each call is told of its own.
    fn tell_pixels(&mut self, first: u64, at: Instant, run: &Run, mut fault: Fault) {
        let count = run.len() as u32;
        fault.reject_all(count);
        fault.place(0, count);
        // Each call keeps it.
        fault.shorten(limits::STRING / 16);
        let size = self.welcome.as_ref().map(Welcome::size);
        let rejected = fault.take_rejected();
        for i in rejected.iter().flat_map(Range::indexes) {
            let call = run.call(i as usize);
            let fault = match (&fault.code, size) {
                // The display describes the batch, the program drew this pixel.
                (Code::OutOfBounds, Some(size)) => Fault::out_of_bounds(&call, size, Vec::new(), Vec::new()),
                _ => fault.clone(),
            };
            let (number, place) = (first + u64::from(i), run.place(i as usize));
            let made = Made { number, call, at, place };
            self.events.push_back(Event::Fault(made, fault));
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
    // It must have the size that was asked for: the caller indexes it.
    if band.len() as u64 != u64::from(part.pixels) * 4 {
        return Err(violation(format!("it answered an image of {width}x{height} with {} bytes", band.len())));
    }
    image.append(band, u64::from(width) * u64::from(height) * 4);
    Ok(Answer::Done(()))
}
