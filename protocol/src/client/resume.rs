//! How a session goes on on another connection.

use super::flight::Made;
use super::image::Image;
use super::parts::Most;
use super::stranger::First;
use super::talk::Talk;
use super::window::Window;
use super::{Connection, Ended, Event, violation, write_request};
use crate::calls::Request;
use crate::check::{self, Arriving};
use crate::display_name::DisplayName;
use crate::envelope;
use crate::fault::{Code, Fault};
use crate::hello::{self, Hello, Welcome};
use crate::inbox::Inbox;
use crate::limits;
use crate::pixels::Pixels;
use crate::scan::Scan;
use crate::session::Standing;

impl Connection {
    /// Whether what is in flight can go on on another connection: the server has granted a session.
    pub fn is_resumable(&self) -> bool {
        self.welcome.as_ref().is_some_and(|welcome| welcome.session.is_some())
    }

    /// The connection is lost, and another may follow. `taken` is what a sender still has of
    /// [`swap_transmit`](Connection::swap_transmit), all of it. Calls can still be made, within the credit; nothing
    /// more is to be sent before [`reconnect`](Connection::reconnect).
    pub fn handle_disconnected(&mut self, taken: Vec<u8>) {
        self.inbox = Inbox::default();
        (self.first, self.talk) = (First::default(), Talk::default());
        self.image.disconnect();
        (self.arriving, self.message_began) = (Arriving::new(self.hello.checks), None);
        self.out.disconnect(taken);
        self.window = Window::new(self.hello.durable);
        self.answered = None;
        self.goodbye = None;
        self.ended = None;
    }

    /// There is a new connection: greets on it, with the same session. [`Event::Resumed`] is what comes of it, or
    /// [`Ended::Refused`]: with the code [`StateRegressed`](crate::Code::StateRegressed) it can be tried once more on yet another
    /// connection, `accepts_loss` being said.
    pub fn reconnect(&mut self, accepts_loss: bool) {
        self.hello.instance = self.welcome.as_ref().and_then(|welcome| welcome.instance);
        self.hello.attempt += 1;
        self.hello.ack = self.flight.applied();
        self.hello.drew = (self.drew < self.hello.ack).then_some(self.drew);
        self.hello.next = self.flight.last_begun() + 1;
        self.hello.accepts_loss = accepts_loss;
        self.has_accepted_loss |= accepts_loss;
        self.out.greet(greeting(&self.hello));
    }

    /// Checks that the display is the one that was asked for.
    pub(super) fn check_display(&self, welcome: &mut Welcome) -> Result<(), Ended> {
        // What is no name is of no use to anyone.
        welcome.display.take_if(|name| name.parse::<DisplayName>().is_err());
        match (&self.hello.display, &welcome.display) {
            (Some(asked), None) => Err(Ended::OneDisplay(asked.clone())),
            (Some(asked), Some(named)) if asked != named => {
                Err(violation(format!("it was asked for the display {asked:?} and answered as {named:?}")))
            }
            _ => Ok(()),
        }
    }

    /// The greeting was answered.
    pub(super) fn begin(&mut self, welcome: Welcome) -> Result<(), Ended> {
        let applied = welcome.applied;
        // The answer to what was accepted may have been lost, and the session be resumed as it was left then.
        let standing = match welcome.session {
            Some(Standing::Resumed) if self.has_accepted_loss => Some(Standing::Regressed),
            standing => standing,
        };
        self.has_accepted_loss = false;
        let nonce = welcome.nonce.filter(|_| self.hello.confirms && standing.is_some());
        if !matches!(standing, Some(Standing::Resumed | Standing::Regressed)) {
            (self.hello.born, self.hello.incarnation) = (self.hello.attempt, nonce);
        }
        if self.welcome.is_none() {
            self.welcome = Some(welcome);
            self.out.open(standing.is_some());
            self.confirm(nonce);
            self.events.push_back(Event::Welcome);
            return Ok(());
        }
        let (first, begun) = (self.flight.applied(), self.flight.last_begun());
        let lost = match (standing, applied) {
            (Some(Standing::Resumed), Some(applied)) if (first..=begun).contains(&applied) => {
                self.resumed_to = applied;
                self.out.open(true);
                // What is before that is kept all the same: until it is reported, a display that is restarted may forget it.
                self.out.rewind(self.flight.bytes(), self.flight.bytes_after(applied), applied);
                Vec::new()
            }
            (Some(Standing::Regressed), Some(applied)) if applied == first => {
                self.resumed_to = applied;
                self.out.open(true);
                self.out.rewind(self.flight.bytes(), self.flight.bytes(), applied);
                if self.flight.first().is_some_and(|request| !request.is_first()) {
                    let text = "the display was restarted, and may have lost the beginning of this call";
                    self.partial = Some(Fault::new(Code::StateRegressed, text));
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
        self.acked = self.flight.applied();
        self.heard = 0;
        let most =
            [&welcome, self.welcome.as_ref().unwrap_or(&welcome)].map(|welcome| Most::of(welcome).message);
        self.is_restarted = self.welcome.as_ref().is_some_and(|before| before.boot != welcome.boot);
        self.welcome = Some(welcome);
        if most[0] < most[1] {
            self.refuse_too_large(most[0]);
        }
        self.events.push_back(Event::Resumed(standing.unwrap_or(Standing::Fresh), lost));
        Ok(())
    }

    /// Says before anything else that the welcome has come. Of what was said on an older connection a display could not tell that it
    /// is a copy.
    fn confirm(&mut self, nonce: Option<u64>) {
        let Some(nonce) = nonce else { return };
        let mut bytes = Vec::new();
        check::write(&mut bytes, self.hello.checks, |bytes| {
            envelope::write_notification_head(bytes, hello::CONFIRM);
            envelope::write_map(bytes, &(nonce,));
        });
        self.out.lead(bytes);
    }

    /// The display takes less in a message than the one before. Something that draws nothing goes in place of each request that is
    /// too large for it: the numbers of those behind it may have been used already.
    fn refuse_too_large(&mut self, most: usize) {
        self.seal();
        let (all, is_checked) = (std::mem::take(&mut self.out.bytes), self.hello.checks);
        let (mut rest, out, refused) = (&all[..], &mut self.out.bytes, &mut self.refused);
        self.flight.change_after(self.resumed_to, |number, bytes| {
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
            write_request(out, number, &Request::DrawPixels { pixels: Pixels::of_run(&[]) }, is_checked)
        });
    }

    /// Why the request that is done now could not be sent as it was made.
    #[cold]
    pub(super) fn take_refused(&mut self) -> Option<Fault> {
        let number = self.flight.applied();
        while self.refused.front().is_some_and(|&(refused, _)| refused < number) {
            self.refused.pop_front();
        }
        let is_this = self.refused.front().is_some_and(|&(refused, _)| refused == number);
        if is_this { self.refused.pop_front().map(|(_, fault)| fault) } else { None }
    }

    /// Nobody knows what became of the requests up to number `last`. The others were not sent, and go on.
    fn give_up_to(&mut self, last: u64) -> Vec<Made> {
        let lost = self.flight.give_up(last);
        self.out.rewind(self.flight.bytes(), self.flight.bytes(), last);
        self.done = match self.flight.first() {
            Some(request) => request.call - 1,
            None => self.last_call - self.run.len() as u64,
        };
        self.partial = None;
        self.image = Image::default();
        lost
    }

    /// Tells the server what this side holds, when there is enough of it. Answers how many bytes that took: they belong to
    /// the request that follows.
    pub(super) fn write_ack(&mut self) -> usize {
        let applied = self.flight.applied();
        let is_due = applied - self.acked >= limits::ACK_CALLS || self.heard >= limits::ACK_BYTES;
        if !is_due || applied == self.acked || !self.is_resumable() {
            return 0;
        }
        (self.acked, self.heard) = (applied, 0);
        let start = self.out.bytes.len();
        check::write(&mut self.out.bytes, self.hello.checks, |out| {
            envelope::write_notification_head(out, hello::ACK);
            envelope::write_map(out, &(applied,));
        });
        self.out.bytes.len() - start
    }

    /// Ends the session for good, when everything is done: the server need not keep it. To be sent before the end.
    pub fn end_session(&mut self) {
        if self.is_resumable() && self.out.is_open() {
            self.seal();
            check::write(&mut self.out.bytes, self.hello.checks, |out| {
                envelope::write_notification_head(out, hello::END);
                envelope::write_array_header(out, 0);
            });
            if let Some(welcome) = &mut self.welcome {
                welcome.session = None;
            }
        }
    }
}

pub(super) fn greeting(hello: &Hello) -> Vec<u8> {
    let mut bytes = Vec::new();
    check::write(&mut bytes, hello.checks, |bytes| {
        // It is numbered apart, so that the first request after it is 1.
        envelope::write_request_head(bytes, 0, hello::HELLO);
        envelope::write_map(bytes, &(hello,));
    });
    bytes
}

/// The request itself, of bytes that may begin with its check, and with an acknowledgement that goes along.
fn last_message(mut bytes: &[u8]) -> &[u8] {
    while let Ok(Some(end)) = Scan::default().run(bytes, usize::MAX)
        && end < bytes.len()
    {
        bytes = &bytes[end..];
    }
    bytes
}
