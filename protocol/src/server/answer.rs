//! What a server says: answers, faults, progress, and goodbye.

use super::{Executing, Phase, Talk};
use crate::calls::{Answer, Method};
use crate::envelope;
use crate::fault::Fault;
use crate::hello;

impl Talk {
    pub(super) fn answer(&mut self, result: Result<Answer, Fault>) {
        let executing = self.executing.take().expect("handle_input handed a request out");
        self.stats.executed += 1;
        match executing {
            Executing::Request { msgid, method } => {
                if result.is_err() {
                    self.stats.faults += 1;
                }
                if self.phase == Phase::Greeted && !method.is_question() && result.is_ok() {
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
        self.executing = None;
        self.stats.executed += 1;
        self.responded(start, true);
    }

    /// Writes a response.
    pub(super) fn respond(&mut self, msgid: u32, result: Result<Answer, Fault>) {
        let (start, is_answer) = (self.out.bytes.len(), result.is_ok());
        self.write_response(msgid, result);
        self.responded(start, is_answer);
    }

    /// A response was written. After `hello` it stands for progress too: everything before it is done.
    fn responded(&mut self, start: usize, is_answer: bool) {
        if self.phase == Phase::Greeted {
            self.applied += 1;
            self.reported = self.applied;
        }
        if let Some((_, session)) = &mut self.session {
            session.responded(&self.out.bytes[start..], is_answer);
        }
    }

    fn write_response(&mut self, msgid: u32, result: Result<Answer, Fault>) {
        match result {
            Ok(answer) => {
                envelope::write_response_head(&mut self.out.bytes, msgid);
                self.out.bytes.push(0xc0);
                answer.encode(&mut self.out.bytes);
            }
            Err(fault) => self.write_fault(msgid, &fault, self.phase == Phase::Greeted),
        }
    }

    pub(super) fn write_fault(&mut self, msgid: u32, fault: &Fault, is_structured: bool) {
        let out = &mut self.out.bytes;
        envelope::write_response_head(out, msgid);
        if is_structured {
            envelope::write_map(out, fault);
        } else {
            // The first element tells an exception (0) from a failed check (1) to Neovim; others pass it on.
            envelope::write_map(out, &(0, fault.to_string()));
        }
        out.push(0xc0);
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
            let out = &mut self.out.bytes;
            envelope::write_notification_head(out, hello::PROGRESS);
            envelope::write_array_header(out, 1);
            envelope::write_int(out, i64::try_from(self.applied).unwrap_or(i64::MAX));
        }
    }

    /// Ends the connection: says why as far as this peer can be told.
    pub(super) fn end(&mut self, msgid: Option<u32>, fault: Fault) {
        if self.closing.is_some() {
            return;
        }
        self.report();
        match (self.phase, msgid) {
            (Phase::Greeted, _) => {
                envelope::write_notification_head(&mut self.out.bytes, hello::GOODBYE);
                envelope::write_map(&mut self.out.bytes, &(&fault,));
            }
            (_, Some(msgid)) => self.write_fault(msgid, &fault, false),
            (_, None) => {}
        }
        self.closing = Some(fault);
    }
}
