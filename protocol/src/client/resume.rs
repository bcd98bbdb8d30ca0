//! Continues a session on another connection.

use super::ended::violation;
use super::flight::IssuedCall;
use super::fragment::Limits;
use super::image::Image;
use super::receive::Receive;
use super::send::write_request;
use super::session::greeting;
use super::window::Flow;
use super::{Connection, Ended, Event};
use crate::codec::checksum;
use crate::codec::envelope;
use crate::codec::scan::Scan;
use crate::fault::{Code, Fault};
use crate::hello::{self, Welcome};
use crate::limits;
use crate::session::Standing;
use crate::table::Pixels;
use crate::table::Request;
use crate::types::DisplayName;

impl Connection {
    /// Returns whether what is in flight can continue on another connection: the server has granted a session.
    pub fn is_resumable(&self) -> bool {
        self.session.welcome.as_ref().is_some_and(|welcome| welcome.session.is_some())
    }

    /// Notes that the connection is lost, and that another may follow. `taken` is what a sender still has of
    /// [`swap_transmit`](Connection::swap_transmit), all of it. Calls can still be made, within the credit; nothing
    /// more is to be sent before [`reconnect`](Connection::reconnect).
    pub fn handle_disconnected(&mut self, taken: Vec<u8>) {
        self.receive = Receive::new(self.session.checksum);
        self.calls.image.disconnect();
        self.out.disconnect(taken);
        self.flow = Flow::new(self.session.hello.durable);
    }

    /// Sends `hello` on a new connection, with the same session. [`Event::Resumed`] follows, or [`Ended::Refused`]: with the code
    /// [`StateRegressed`](crate::Code::StateRegressed), another connection may succeed with `accepts_loss`.
    pub fn reconnect(&mut self, accepts_loss: bool) {
        self.session.hello.instance = self.session.welcome.as_ref().and_then(|welcome| welcome.instance);
        self.session.hello.attempt += 1;
        self.session.hello.ack = self.flight.applied();
        self.session.hello.drew = (self.session.drew < self.session.hello.ack).then_some(self.session.drew);
        self.session.hello.next = self.flight.last_begun() + 1;
        self.session.hello.accepts_loss = accepts_loss;
        self.session.has_accepted_loss |= accepts_loss;
        self.out.greet(greeting(&self.session.hello));
    }

    /// Checks that the display is the one that was asked for.
    pub(super) fn check_display(&self, welcome: &mut Welcome) -> Result<(), Ended> {
        // A server that sends something else names no display.
        welcome.display.take_if(|name| name.parse::<DisplayName>().is_err());
        match (&self.session.hello.display, &welcome.display) {
            (Some(asked), None) => Err(Ended::OneDisplay(asked.clone())),
            (Some(asked), Some(named)) if asked != named => {
                Err(violation(format!("it was asked for the display {asked:?} and answered as {named:?}")))
            }
            _ => Ok(()),
        }
    }

    /// Handles the answer to `hello`.
    pub(super) fn begin(&mut self, welcome: Welcome) -> Result<(), Ended> {
        let applied = welcome.applied;
        // The answer to an earlier `hello` that accepted the loss may have been lost. The session is then resumed as that left it.
        let standing = match welcome.session {
            Some(Standing::Resumed) if self.session.has_accepted_loss => Some(Standing::Regressed),
            standing => standing,
        };
        self.session.has_accepted_loss = false;
        let nonce = welcome.nonce.filter(|_| self.session.hello.confirms && standing.is_some());
        if !matches!(standing, Some(Standing::Resumed | Standing::Regressed)) {
            (self.session.hello.born, self.session.hello.incarnation) = (self.session.hello.attempt, nonce);
        }
        if self.session.welcome.is_none() {
            self.session.welcome = Some(welcome);
            self.out.open(standing.is_some());
            self.confirm(nonce);
            self.calls.events.push_back(Event::Welcome);
            return Ok(());
        }
        let (first, begun) = (self.flight.applied(), self.flight.last_begun());
        let lost = match (standing, applied) {
            (Some(Standing::Resumed), Some(applied)) if (first..=begun).contains(&applied) => {
                self.session.resumed_to = applied;
                self.out.open(true);
                // What is before that is kept: until it is reported, a display that is restarted may lose it.
                self.out.rewind(self.flight.bytes(), self.flight.bytes_after(applied), applied);
                Vec::new()
            }
            (Some(Standing::Regressed), Some(applied)) if applied == first => {
                self.session.resumed_to = applied;
                self.out.open(true);
                self.out.rewind(self.flight.bytes(), self.flight.bytes(), applied);
                if self.flight.first().is_some_and(|request| !request.is_first()) {
                    let text = "the display was restarted, and may have lost the beginning of this call";
                    self.calls.partial = Some(Fault::new(Code::StateRegressed, text));
                }
                Vec::new()
            }
            (Some(Standing::Expired | Standing::StateLost), Some(applied)) if applied == begun => {
                self.out.open(true);
                self.give_up_to(begun)
            }
            (standing, applied) => {
                return Err(violation(format!(
                    "it says that the session stands at {applied:?} and is {standing:?}; {first} is done, and {begun} the \
                     last that was sent"
                )));
            }
        };
        self.confirm(nonce);
        self.session.acked = self.flight.applied();
        self.session.heard = 0;
        let most = [&welcome, self.session.welcome.as_ref().unwrap_or(&welcome)]
            .map(|welcome| Limits::of(welcome).message);
        self.session.is_restarted =
            self.session.welcome.as_ref().is_some_and(|before| before.boot != welcome.boot);
        self.session.welcome = Some(welcome);
        if most[0] < most[1] {
            self.refuse_too_large(most[0]);
        }
        self.calls.events.push_back(Event::Resumed(standing.unwrap_or(Standing::Fresh), lost));
        Ok(())
    }

    /// Confirms the welcome, before anything else is sent. Without that, a display could not recognise a copy of what was sent on an
    /// older connection.
    fn confirm(&mut self, nonce: Option<u64>) {
        let Some(nonce) = nonce else { return };
        let mut bytes = Vec::new();
        checksum::write(&mut bytes, self.session.checksum, |bytes| {
            envelope::write_notification_head(bytes, hello::CONFIRM);
            envelope::write_map(bytes, &(nonce,));
        });
        self.out.lead(bytes);
    }

    /// Replaces each request that is too large for a display which takes less in a message than the one before, by one that draws
    /// nothing: the numbers of the requests behind it may have been used already.
    fn refuse_too_large(&mut self, most: usize) {
        self.seal();
        let (all, checksum) = (std::mem::take(&mut self.out.bytes), self.session.checksum);
        let (mut rest, out, refused) = (&all[..], &mut self.out.bytes, &mut self.session.refused);
        self.flight.change_after(self.session.resumed_to, |number, bytes| {
            let (own, others) = rest.split_at(bytes);
            rest = others;
            let message = if bytes <= most { bytes } else { last_message(own).len() };
            if message <= most {
                out.extend_from_slice(own);
                return bytes;
            }
            let text = format!(
                "it has {message} bytes, made for another display; the limit of a message is now {most}"
            );
            refused.push_back((number, Fault::new(Code::TooLarge, text)));
            write_request(out, number, &Request::DrawPixels { pixels: Pixels::of_run(&[]) }, checksum)
        });
    }

    /// Gives up the requests up to number `last`, whose outcome is unknown. The others were not sent, and continue.
    fn give_up_to(&mut self, last: u64) -> Vec<IssuedCall> {
        let lost = self.flight.give_up(last);
        self.out.rewind(self.flight.bytes(), self.flight.bytes(), last);
        self.calls.done = match self.flight.first() {
            Some(request) => request.call - 1,
            None => self.calls.last - self.joining.run.len() as u64,
        };
        self.calls.partial = None;
        self.calls.image = Image::default();
        lost
    }

    /// Acknowledges to the server what this side holds, when there is enough of it. Returns how many bytes that took: they belong to
    /// the request that follows.
    pub(super) fn write_ack(&mut self) -> usize {
        let applied = self.flight.applied();
        let is_due =
            applied - self.session.acked >= limits::ACK_CALLS || self.session.heard >= limits::ACK_BYTES;
        if !is_due || applied == self.session.acked || !self.is_resumable() {
            return 0;
        }
        (self.session.acked, self.session.heard) = (applied, 0);
        let start = self.out.bytes.len();
        checksum::write(&mut self.out.bytes, self.session.checksum, |out| {
            envelope::write_notification_head(out, hello::ACK);
            envelope::write_map(out, &(applied,));
        });
        self.out.bytes.len() - start
    }

    /// Ends the session for good, when everything is done, so that the server need not keep it. To be sent before the connection ends.
    pub fn end_session(&mut self) {
        if self.is_resumable() && self.out.is_open() {
            self.seal();
            checksum::write(&mut self.out.bytes, self.session.checksum, |out| {
                envelope::write_notification_head(out, hello::END);
                envelope::write_array_header(out, 0);
            });
            if let Some(welcome) = &mut self.session.welcome {
                welcome.session = None;
            }
        }
    }
}

/// Returns the request itself, of bytes that may begin with an acknowledgement and its check.
fn last_message(mut bytes: &[u8]) -> &[u8] {
    while let Ok(Some(end)) = Scan::default().run(bytes, usize::MAX)
        && end < bytes.len()
    {
        bytes = &bytes[end..];
    }
    bytes
}
