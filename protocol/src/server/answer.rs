//! Writes responses, progress and goodbye.

use super::{ConnectionState, Phase};
use crate::codec::checksum;
use crate::codec::envelope;
use crate::fault::{Code, Fault};
use crate::hello;
use crate::table::{Answer, Method};

/// How far requests are executed and reported.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The request that `handle_input` returned last and that `answer` has to answer.
    pub(super) executing: Option<Executing>,
    /// After `hello`: the number of the last request that was executed.
    pub(super) applied: u64,
    /// The number of the last request that the client knows to be executed, at most `applied`.
    pub(super) reported: u64,
    /// Progress is reported again even if `reported` is `applied`.
    pub(super) must_report: bool,
}

/// A request or a notification that is being executed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Executing {
    Request { msgid: u32, method: Method },
    Notification,
}

impl ConnectionState {
    pub(super) fn answer(&mut self, result: Result<Answer, Fault>) {
        let executing = self.progress.executing.take().expect("handle_input handed a request out");
        self.stats.executed += 1;
        match executing {
            Executing::Request { msgid, method } => {
                if result.is_err() {
                    self.stats.faults += 1;
                }
                let may_be_repeated = result.is_ok() && method.may_be_repeated();
                if self.handshake.phase == Phase::Greeted && !method.has_answer() && result.is_ok() {
                    self.progress.applied += 1;
                    if let Some((_, session)) = &mut self.session {
                        session.executed();
                    }
                } else if method == Method::SyncDurable && result.is_ok() {
                    self.close_gate();
                    self.respond(msgid, result, may_be_repeated);
                    if let Some((_, session)) = &mut self.session {
                        session.note_sync_durable();
                    }
                } else {
                    self.respond(msgid, result, may_be_repeated);
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
        let Some(Executing::Request { msgid, method: Method::GetImage }) = self.progress.executing else {
            return self
                .answer(Err(Fault::invalid("only a question can be answered with an image".to_owned())));
        };
        let start = self.sending.out.bytes.len();
        let open = checksum::begin(&mut self.sending.out.bytes, self.receiving.verifier.agreed());
        envelope::write_response_head(&mut self.sending.out.bytes, msgid);
        self.sending.out.bytes.push(0xc0);
        envelope::write_bin_header(&mut self.sending.out.bytes, bytes);
        let body = self.sending.out.bytes.len();
        if let Err(fault) = write(&mut self.sending.out.bytes) {
            self.sending.out.bytes.truncate(start);
            return self.answer(Err(fault));
        }
        // The next message has to start behind exactly the announced number of bytes, whatever `write` has written.
        self.sending.out.bytes.resize(body + bytes, 0);
        let message = checksum::finish(&mut self.sending.out.bytes, open);
        self.progress.executing = None;
        self.stats.executed += 1;
        self.responded(message, true);
    }

    pub(super) fn begin_image(&mut self, bytes: usize) -> bool {
        let Some(Executing::Request { msgid, method: Method::GetImage }) = self.progress.executing else {
            return false;
        };
        if self.handshake.phase != Phase::Plain
            || self.receiving.verifier.agreed().is_some()
            || self.sending.gate.is_some()
            || bytes == 0
        {
            return false;
        }
        envelope::write_response_head(&mut self.sending.out.bytes, msgid);
        self.sending.out.bytes.push(0xc0);
        envelope::write_bin_header(&mut self.sending.out.bytes, bytes);
        self.sending.owed = bytes;
        self.progress.executing = None;
        self.stats.executed += 1;
        true
    }

    pub(super) fn answer_piece(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let body = self.sending.out.bytes.len();
        write(&mut self.sending.out.bytes);
        // The next message has to start behind exactly the announced number of bytes, whatever `write` has written.
        self.sending.out.bytes.truncate(body + self.sending.owed);
        self.sending.owed -= self.sending.out.bytes.len() - body;
    }

    /// Writes a response: to a request that is executed again if its response is not kept, or to one that never is.
    pub(super) fn respond(&mut self, msgid: u32, result: Result<Answer, Fault>, may_be_repeated: bool) {
        let message = match result {
            Ok(answer) => self.say(|out| {
                envelope::write_response_head(out, msgid);
                out.push(0xc0);
                answer.encode(out);
            }),
            Err(fault) => self.write_fault(msgid, &fault, self.handshake.phase == Phase::Greeted),
        };
        self.responded(message, may_be_repeated);
    }

    /// Writes a message, with a check in front if checks are agreed. Returns where the message begins, behind its check.
    pub(super) fn say(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        checksum::write(&mut self.sending.out.bytes, self.receiving.verifier.agreed(), write)
    }

    /// Records that a response was written. After `hello` a response is also progress: everything before it is done.
    fn responded(&mut self, message: usize, may_be_repeated: bool) {
        if self.handshake.phase == Phase::Greeted {
            self.progress.applied += 1;
            self.progress.reported = self.progress.applied;
        }
        if let Some((_, session)) = &mut self.session {
            session.responded(&self.sending.out.bytes[message..], may_be_repeated);
        }
    }

    /// Writes a fault as a response. Returns where the message begins.
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

    #[inline]
    pub(super) fn has_to_report(&self) -> bool {
        self.progress.applied > self.progress.reported || self.progress.must_report
    }

    /// Sends progress to a client that sent `hello`.
    pub(super) fn report(&mut self) {
        if self.has_to_report() {
            self.progress.must_report = false;
            self.progress.reported = self.progress.applied;
            if let Some((_, session)) = &mut self.session {
                session.tell();
            }
            let applied = i64::try_from(self.progress.applied).unwrap_or(i64::MAX);
            self.say(|out| {
                envelope::write_notification_head(out, hello::PROGRESS);
                envelope::write_array_header(out, 1);
                envelope::write_int(out, applied);
            });
        }
    }

    /// Ends the connection, and sends the reason if the client understands it.
    pub(super) fn end(&mut self, msgid: Option<u32>, fault: Fault) {
        if self.closing.is_some() {
            return;
        }
        self.report();
        match (self.handshake.phase, msgid) {
            // The client would read it as pixels.
            _ if self.sending.owed > 0 => {}
            // A client that sends checks understands this notification, too.
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

    /// Ends the connection since a message was corrupted. It is not executed. A client with a session reconnects and sends it
    /// again.
    #[cold]
    pub(super) fn end_corrupted(&mut self, what: impl std::fmt::Display) {
        self.receiving.verifier.agree();
        self.end(None, Fault::new(Code::Corrupted, format!("what came was altered on its way: {what}")));
    }

    /// Ends the connection since the bytes are not a complete message. With checks this counts as corruption in transit;
    /// without, the client gets the fault.
    #[cold]
    pub(super) fn end_unreadable(&mut self, msgid: Option<u32>, fault: Fault) {
        match self.receiving.verifier.is_known() {
            true => self.end_corrupted(fault.message),
            false => self.end(msgid, fault),
        }
    }
}
