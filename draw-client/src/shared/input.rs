//! Handles what the display sends: results, and the end of an outage.

use super::{Shared, State};
use crate::clock::now;
use crate::completion::{Failed, ReplyState};
use crate::error::{Error, Lost, Picture, Status};
use draw_protocol::client::Event;
use std::time::Instant;

impl Shared {
    /// Handles bytes that the display has sent.
    pub(crate) fn handle_input(&self, state: &mut State, mut input: &[u8]) -> Result<(), Lost> {
        let now = now();
        let result = loop {
            match state.machine.handle_input(&mut input, now) {
                Ok(Some(event)) => self.handle_event(state, event, now),
                Ok(None) => break Ok(()),
                Err(ended) => break Err(Lost::Protocol(ended)),
            }
        };
        state.settle();
        state.note_done(now);
        self.drain_offline_queue(state);
        self.keep_results(state);
        state.completion.wake_settled();
        state.admission.credit.wake_first();
        result
    }

    fn handle_event(&self, state: &mut State, event: Event, now: Instant) {
        match event {
            Event::Fault(made, fault) => {
                let made = state.completion.numbered(made);
                let (tag, reply) = (state.completion.tag(made.number), state.reply_state(made.number));
                let call = state.failed_call(made, &tag, now);
                let failed = Failed { call, error: Error::Fault(fault), tag };
                state.note_failed(&made, &failed.error);
                match reply {
                    ReplyState::Awaited => state.completion.keep(made.number, Err(failed)),
                    ReplyState::Dropped | ReplyState::TimedOut => self.dispatch(state, failed),
                    ReplyState::Ignored => {}
                }
            }
            Event::Answer(made, answer) => {
                let number = state.completion.number(made.number);
                if state.reply_state(number) == ReplyState::Awaited {
                    state.completion.keep(number, Ok(answer));
                }
            }
            Event::Resumed(standing, lost) => {
                state.handle_connected(now);
                let picture = Picture::of(standing, state.machine.is_restarted());
                state.offline.resumed = Some(Status::reconnected(picture, lost.len()));
                // There is something to send again. A caller that is writing at this moment does not know of it.
                state.wake_driver();
                // A session that is resumed has lost no call.
                let error = Error::SessionLost { picture: picture.unwrap_or(Picture::Kept) };
                let dropped = self.give_up(state, lost, &error, now);
                self.report_lost(state, dropped, &error);
                self.report_dropped(state);
            }
            // `connect` looks for it itself, unless the first `hello` was sent more than once.
            Event::Welcome if state.handle_connected(now) => state.offline.resumed = Some(Status::Resumed),
            _ => {}
        }
    }
}
