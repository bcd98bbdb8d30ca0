//! Takes up the session that the client asks for, and gives it back.

use super::Connection;
use crate::journal::Turn as Journaling;
use draw_protocol::session::Standing;
use std::task::{Context, Poll};

impl<S> Connection<'_, S> {
    /// Gets the session that the client asks for, or gives back the one that another connection asks for. Answers whether
    /// anything has changed.
    pub(super) fn poll_session(&mut self, cx: &Context<'_>) -> bool {
        if let Some(asked) = self.resuming {
            // What clients leave behind counts by address.
            let peer = self.seat.peer();
            let Poll::Ready(claimed) = self.display.sessions().poll_claim(&asked, peer, &self.holder, cx)
            else {
                return false;
            };
            self.resuming = None;
            let mut found = match claimed {
                Ok(found) => found,
                Err(latest) => {
                    self.machine.overtaken(latest);
                    return true;
                }
            };
            self.session = Some(asked.session);
            self.machine.resume(&mut found);
            self.journal_session();
            if self.machine.session().is_none() {
                // It was refused: what there is of it waits on.
                self.session = None;
                self.display.sessions().give_back(asked.session, found);
            }
            return true;
        }
        if self.session.is_some() && self.holder.is_wanted(cx) {
            self.give_session_back();
            return true;
        }
        false
    }

    /// Has a session that was taken up in the journal before anything is said of it. Where the journal cannot be written that
    /// is not so for one that begins: after a restart the client is told that the session is not known, and nothing else is
    /// promised. It is tried again when there was room for a call, before that is answered.
    pub(super) fn journal_session(&mut self) {
        let (Some(journal), Some(id)) = (self.journal, self.session) else { return };
        let Some(session) = self.machine.session_state() else { return };
        let mut turn = Journaling::new(Some(journal));
        let is_taken = turn.take_up(id, session).is_ok();
        if is_taken {
            for (id, gone) in self.display.sessions().journal_session(id, session) {
                // Without room it comes back once more after a restart, for as long as a session waits.
                _ = turn.take_up(id, &gone);
            }
        }
        self.is_unkept = !is_taken;
        let is_resumed = self.machine.standing() == Some(Standing::Resumed);
        if is_taken || self.machine.is_durable() || is_resumed {
            self.recorded = turn.last().unwrap_or(self.recorded);
        }
        // Of a session that is resumed everything is in the file already, or will be. One that begins waits for the disk anyhow.
        if let Some(number) = turn.end()
            && is_resumed
        {
            self.hold_back(number);
        }
    }

    pub(super) fn give_session_back(&mut self) {
        if let Some(id) = self.session.take() {
            let session = self.machine.take_session().map(|(_, session)| session);
            self.display.sessions().give_back(id, session);
        }
    }
}
