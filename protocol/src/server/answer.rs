//! What a server says: answers, faults, progress, and goodbye.

use super::{Executing, Phase, Talk};
use crate::codec::checksum;
use crate::codec::envelope;
use crate::fault::{Code, Fault};
use crate::hello;
use crate::table::{Answer, Method};

impl Talk {
    pub(super) fn answer(&mut self, result: Result<Answer, Fault>) {
        let executing = self.executing.take().expect("handle_input handed a request out");
        self.stats.executed += 1;
        match executing {
            Executing::Request { msgid, method } => {
                if result.is_err() {
                    self.stats.faults += 1;
                }
                if self.phase == Phase::Greeted && !method.has_answer() && result.is_ok() {
                    self.applied += 1;
                    if let Some((_, session)) = &mut self.session {
                        session.executed();
                    }
                } else if method == Method::SyncDurable && result.is_ok() {
                    self.hold_back();
                    self.respond(msgid, result);
                    if let Some((_, session)) = &mut self.session {
                        session.vouched();
                    }
                } else {
                    self.respond(msgid, result);
                }
            }
            Executing::Notification => self.stats.unheard_faults += u64::from(result.is_err()),
        }
    }

    pub(super) fn answer_image(
        &mut self,
        bytes: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>,
    ) {
        let Some(Executing::Request { msgid, method: Method::GetImage }) = self.executing else {
            return self
                .answer(Err(Fault::invalid("only a question can be answered with an image".to_owned())));
        };
        let start = self.out.bytes.len();
        let open = checksum::begin(&mut self.out.bytes, self.arriving.is_agreed());
        envelope::write_response_head(&mut self.out.bytes, msgid);
        self.out.bytes.push(0xc0);
        envelope::write_bin_header(&mut self.out.bytes, bytes);
        let body = self.out.bytes.len();
        if let Err(fault) = write(&mut self.out.bytes) {
            self.out.bytes.truncate(start);
            return self.answer(Err(fault));
        }
        // Whatever was written: what follows is to be found behind as many bytes as are announced.
        self.out.bytes.resize(body + bytes, 0);
        let message = checksum::finish(&mut self.out.bytes, open);
        self.executing = None;
        self.stats.executed += 1;
        self.responded(message, true);
    }

    pub(super) fn begin_image(&mut self, bytes: usize) -> bool {
        let Some(Executing::Request { msgid, method: Method::GetImage }) = self.executing else {
            return false;
        };
        if self.phase != Phase::Plain || self.arriving.is_agreed() || self.hold.is_some() || bytes == 0 {
            return false;
        }
        envelope::write_response_head(&mut self.out.bytes, msgid);
        self.out.bytes.push(0xc0);
        envelope::write_bin_header(&mut self.out.bytes, bytes);
        self.owed = bytes;
        self.executing = None;
        self.stats.executed += 1;
        true
    }

    pub(super) fn answer_piece(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let body = self.out.bytes.len();
        write(&mut self.out.bytes);
        // Whatever was written: what follows is to be found behind as many bytes as were announced.
        self.out.bytes.truncate(body + self.owed);
        self.owed -= self.out.bytes.len() - body;
    }

    /// Writes a response.
    pub(super) fn respond(&mut self, msgid: u32, result: Result<Answer, Fault>) {
        let is_answer = result.is_ok();
        let message = match result {
            Ok(answer) => self.say(|out| {
                envelope::write_response_head(out, msgid);
                out.push(0xc0);
                answer.encode(out);
            }),
            Err(fault) => self.write_fault(msgid, &fault, self.phase == Phase::Greeted),
        };
        self.responded(message, is_answer);
    }

    /// Writes a message, with its check where one is to be before each. Answers where it begins, behind that.
    pub(super) fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        checksum::write(&mut self.out.bytes, self.arriving.is_agreed(), write)
    }

    /// A response was written. After `hello` it stands for progress too: everything before it is done.
    fn responded(&mut self, message: usize, is_answer: bool) {
        if self.phase == Phase::Greeted {
            self.applied += 1;
            self.reported = self.applied;
        }
        if let Some((_, session)) = &mut self.session {
            session.responded(&self.out.bytes[message..], is_answer);
        }
    }

    /// Answers where the message begins.
    pub(super) fn write_fault(&mut self, msgid: u32, fault: &Fault, is_structured: bool) -> usize {
        self.say(|out| {
            envelope::write_response_head(out, msgid);
            if is_structured {
                envelope::write_map(out, fault);
            } else {
                // The first element tells an exception (0) from a failed check (1) to Neovim; others pass it on.
                envelope::write_map(out, &(0, fault.to_string()));
            }
            out.push(0xc0);
        })
    }

    pub(super) fn has_to_report(&self) -> bool {
        self.applied > self.reported || self.must_report
    }

    /// Tells a greeted client how far its requests have been executed.
    pub(super) fn report(&mut self) {
        if self.has_to_report() {
            self.must_report = false;
            self.reported = self.applied;
            if let Some((_, session)) = &mut self.session {
                session.tell();
            }
            let applied = i64::try_from(self.applied).unwrap_or(i64::MAX);
            self.say(|out| {
                envelope::write_notification_head(out, hello::PROGRESS);
                envelope::write_array_header(out, 1);
                envelope::write_int(out, applied);
            });
        }
    }

    /// Ends the connection: says why as far as this peer can be told.
    pub(super) fn end(&mut self, msgid: Option<u32>, fault: Fault) {
        if self.closing.is_some() {
            return;
        }
        self.report();
        match (self.phase, msgid) {
            // It would be taken for pixels.
            _ if self.owed > 0 => {}
            // Whoever sends checks understands this one, too.
            (phase, _) if phase == Phase::Greeted || fault.code == Code::Corrupted => {
                self.say(|out| {
                    envelope::write_notification_head(out, hello::GOODBYE);
                    envelope::write_map(out, &(&fault,));
                });
            }
            (_, Some(msgid)) => _ = self.write_fault(msgid, &fault, false),
            (_, None) => {}
        }
        self.closing = Some(fault);
    }

    /// A message is not what was sent: nothing of it is executed, and the connection ends. A client that has a session comes back,
    /// and sends it once more.
    #[cold]
    pub(super) fn end_altered(&mut self, what: impl std::fmt::Display) {
        self.arriving.agree();
        self.end(None, Fault::new(Code::Corrupted, format!("what came was altered on its way: {what}")));
    }

    /// The bytes are no message, or none that ends. Where there are checks that is another's doing; the sender would have been
    /// told what is wrong with what it has sent.
    #[cold]
    pub(super) fn end_unreadable(&mut self, msgid: Option<u32>, fault: Fault) {
        match self.arriving.is_known() {
            true => self.end_altered(fault.message),
            false => self.end(msgid, fault),
        }
    }
}
