//! Claims the session that the client asks for, and gives it back.

use super::Connection;
use std::task::{Context, Poll};

impl<S> Connection<'_, S> {
    /// Claims the session that the client asks for, or gives the session back if another connection asks for it.
    /// Returns whether anything has changed.
    pub(super) fn poll_session(&mut self, cx: &Context<'_>) -> bool {
        if let Some(request) = self.session.resuming {
            // The sessions that clients leave behind are limited by address.
            let peer = self.grants.slot.peer();
            let claimed =
                self.target.caller.canvas().sessions().poll_claim(&request, peer, &self.session.holder, cx);
            let Poll::Ready(claimed) = claimed else { return false };
            self.session.resuming = None;
            let mut found = match claimed {
                Ok(found) => found,
                Err(latest) => {
                    self.machine.overtaken(latest);
                    return true;
                }
            };
            self.session.id = Some(request.session);
            self.machine.resume(&mut found);
            self.journal_session();
            if self.machine.session().is_none() {
                // It was refused: the session keeps waiting for its client.
                self.session.id = None;
                self.target.caller.canvas().sessions().give_back(request.session, found);
            }
            return true;
        }
        if self.session.id.is_some() && self.session.holder.is_wanted(cx) {
            self.give_session_back();
            return true;
        }
        false
    }

    /// Records in the journal that the session was begun or resumed: see
    /// [`Caller::record_session`](crate::canvas::Caller::record_session).
    pub(super) fn journal_session(&mut self) {
        let (Some(id), Some(session)) = (self.session.id, self.machine.session_state()) else { return };
        self.target.caller.record_session(id, session, self.machine.standing(), self.machine.is_durable());
    }

    pub(super) fn give_session_back(&mut self) {
        if let Some(id) = self.session.id.take() {
            let session = self.machine.take_session().map(|(_, session)| session);
            self.target.caller.canvas().sessions().give_back(id, session);
        }
    }
}
