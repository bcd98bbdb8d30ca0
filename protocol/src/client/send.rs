//! Encodes calls as requests, and hands out the bytes to send.

use super::Connection;
use super::flight::{CallSite, InFlight, Load, Origin, Part, single};
use super::fragment::{ENVELOPE, Limits, size};
use super::zero_copy::{Lent, write_request_lending};
use crate::codec::checksum::{self, Checksum};
use crate::codec::envelope;
use crate::fault::{Code, Fault};
use crate::hello::Welcome;
use crate::limits;
use crate::table::Request;
use crate::table::{Pixel, Pixels};

impl Connection {
    /// Returns whether this call may be made now: the server has granted enough for it, and what is under way does not more than fill the
    /// path. `extra` more requests are counted as in flight.
    pub fn has_credit(&self, request: &Request<'_>, extra: usize) -> bool {
        self.has_credit_beyond(request, extra, 0, 0)
    }

    /// Returns the same, as if so many more calls and bytes had been granted.
    pub fn has_credit_beyond(&self, request: &Request<'_>, extra: usize, calls: u32, bytes: u32) -> bool {
        let Some(welcome) = &self.session.welcome else { return false };
        let (more_calls, more_bytes) = (calls as usize, bytes as usize);
        if self.in_flight() == 0 && extra <= more_calls {
            return true;
        }
        let is_single = single(request).is_some();
        let is_joining = is_single && self.joining.has_room();
        let waiting = usize::from(self.joining.run.len() > 0 && !is_joining);
        let (parts, size) = if is_single {
            // With the envelope of the request that it becomes, and the few pixels that may be joined to it unchecked.
            (1, 2 * ENVELOPE)
        } else {
            (Limits::of(welcome).requests(request), size(request))
        };
        let under_way = self.flight.bytes() + self.joining.run.records.len();
        // A display that grants without end does not get all of this side's memory.
        let calls = (welcome.calls as usize).min(limits::CALLS as usize);
        // What is worth having under way may be exceeded by one call: a large image is not cut short by it.
        self.in_flight() + (extra as u64) < limits::CALLS + more_calls as u64
            && self.flight.len() + waiting + extra + parts <= calls + more_calls
            && under_way + size <= granted(welcome) + more_bytes
            && (under_way < self.flow.window.bytes() + more_bytes || !self.out.is_open())
    }

    /// Returns about how many bytes are unsent.
    #[inline]
    pub fn unsent(&self) -> usize {
        let run = if self.out.is_open() { self.joining.run.records.len() } else { 0 };
        self.out.unsent_len() + run
    }

    /// Makes a call if it is a single pixel that can be joined to others which wait to be sent. Returns its number.
    /// It counts as made when the first of them was: the caller has to ensure that this is less than
    /// [`limits::JOIN_TIME`] ago, and to check now and then whether there is credit.
    #[inline]
    pub fn join(&mut self, request: &Request<'_>, place: Option<CallSite>) -> Option<u64> {
        let pixel = single(request)?;
        if !self.joining.has_room() {
            return None;
        }
        self.joining.run.push(pixel, place);
        self.calls.last += 1;
        Some(self.calls.last)
    }

    /// Makes a call and returns its number. The caller checks first whether there is credit for it.
    ///
    /// # Errors
    /// A fault, if certainly no display can execute it: see [`Request::check`]. Nothing is sent then.
    pub fn call(&mut self, request: &Request<'_>, origin: impl Into<Origin>) -> Result<u64, Fault> {
        let origin = origin.into();
        let Some(pixel) = single(request) else { return self.make(request, origin, None) };
        if self.session.welcome.is_none() {
            return Err(not_welcomed());
        }
        let Origin { at: now, place } = origin;
        // A call that is made later gets a request of its own: ages and deadlines are counted from its time.
        let is_late = self.joining.began.is_some_and(|began| now > began + limits::JOIN_TIME);
        if is_late || !self.joining.has_room() {
            self.seal();
            self.joining.began = Some(now);
        }
        self.joining.run.push(pixel, place);
        self.calls.last += 1;
        Ok(self.calls.last)
    }

    /// Makes a call that is not a single pixel. The bytes of an image go to `lent`, if it is given, rather than into the requests.
    pub(super) fn make<'a>(
        &mut self,
        request: &Request<'a>,
        Origin { at: now, place }: Origin,
        mut lent: Option<&mut Lent<'a>>,
    ) -> Result<u64, Fault> {
        let Some(welcome) = &self.session.welcome else { return Err(not_welcomed()) };
        let most = Limits::of(welcome);
        if let Request::GetImage { x, y, width, height } = *request
            && most.requests(request) > 1
        {
            // Of one band the display says so itself; of many, none is requested.
            let size = welcome.size();
            if !size.contains(x, y, width, height) {
                return Err(Fault::out_of_bounds(&request.call(), size, Vec::new(), Vec::new()));
            }
        }
        self.seal();
        let (number, call) = (self.calls.last + 1, request.call());
        let (start, told) = (self.out.bytes.len(), (self.session.acked, self.session.heard));
        let mut ack = self.write_ack();
        let (flight, out, checksum) = (&mut self.flight, &mut self.out, self.session.checksum);
        let cut = most.cut(request, |part, first_pixel, pixels, is_last| {
            let own_number = flight.next_number();
            let bytes = match (part, &mut lent) {
                (&Request::PutImage { rgba, .. }, Some(lent)) => {
                    let head = write_request_lending(&mut out.bytes, own_number, part, rgba, checksum);
                    lent.push(own_number, out.unsent_len(), rgba);
                    head + rgba.len()
                }
                _ => write_request(&mut out.bytes, own_number, part, checksum),
            };
            let bytes = std::mem::take(&mut ack) + bytes;
            let load = Load::Part(Part { call, place, first_pixel, pixels, is_last });
            flight.push(InFlight { call: number, at: now, bytes, load });
            out.wrote(own_number);
        });
        if let Err(fault) = cut {
            // Only the acknowledgement was written: it belongs to the next request.
            self.out.bytes.truncate(start);
            (self.session.acked, self.session.heard) = told;
            return Err(fault);
        }
        self.calls.last = number;
        Ok(number)
    }

    /// Makes a request of the single pixels that wait.
    pub(super) fn seal(&mut self) {
        let Some(at) = self.joining.began.take() else { return };
        let call = self.calls.last + 1 - self.joining.run.len() as u64;
        let number = self.flight.next_number();
        let (ack, checksum) = (self.write_ack(), self.session.checksum);
        let out = &mut self.out.bytes;
        let (bytes, load) = if self.joining.run.len() == 1 {
            let Pixel { x, y, color } = self.joining.run.pixel(0);
            let request = Request::DrawPixel { x: x.into(), y: y.into(), color };
            let place = self.joining.run.place(0);
            self.joining.run.clear();
            let part = Part { call: request.call(), place, first_pixel: 0, pixels: 0, is_last: true };
            (write_request(out, number, &request, checksum), Load::Part(part))
        } else {
            let run = std::mem::replace(&mut self.joining.run, self.flight.spare_run());
            let request = Request::DrawPixels { pixels: Pixels::of_run(&run.records) };
            (write_request(out, number, &request, checksum), Load::Joined(run))
        };
        self.flight.push(InFlight { call, at, bytes: ack + bytes, load });
        self.out.wrote(number);
    }

    /// Returns the bytes to send next, if there are any. They include the single pixels that wait; those that come later travel apart.
    /// What was handed out counts as sent if the connection is lost, since how far a failed write came is unknown.
    pub fn poll_transmit(&mut self) -> &[u8] {
        self.prepare_to_send();
        self.out.unsent()
    }

    /// Notes that `n` bytes of [`Connection::poll_transmit`] have been sent.
    pub fn handle_transmitted(&mut self, n: usize) {
        self.out.advance(n, self.flight.last_number());
    }

    /// Returns the bytes to send next, if there are any, in exchange for those that were handed out before, which have been sent: for a
    /// sender that must not delay calls meanwhile. A sender that has begun with [`Connection::handle_transmitted`] may continue so.
    pub fn swap_transmit(&mut self, gone: Vec<u8>) -> Vec<u8> {
        self.prepare_to_send();
        self.out.swap(gone, self.flight.last_number())
    }

    fn prepare_to_send(&mut self) {
        if self.out.is_open() && !self.out.is_leading() {
            self.seal();
            self.flight.handle_sent(self.out.last_of_unsent(self.flight.last_number()));
        }
    }
}

#[cold]
fn not_welcomed() -> Fault {
    Fault::new(Code::Malformed, "there was no greeting yet")
}

/// Returns how many bytes of requests may be unanswered.
pub(super) fn granted(welcome: &Welcome) -> usize {
    welcome.bytes.min(limits::CREDIT_BYTES_HARDEST) as usize
}

/// Writes a request. Returns its length, including its check. On the wire a number is its low 32 bits.
pub(super) fn write_request(
    out: &mut Vec<u8>,
    number: u64,
    request: &Request<'_>,
    checksum: Option<Checksum>,
) -> usize {
    let start = out.len();
    checksum::write(out, checksum, |out| {
        envelope::write_request_head(out, number as u32, request.method().name());
        request.encode_parameters(out);
    });
    out.len() - start
}
