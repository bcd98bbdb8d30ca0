//! Executes the requests that were read, up to the work of one turn, and continues a pending answer.

use super::memory::step;
use super::pending::{PendingAnswer, no_digest};
use super::{Connection, Grants, Input, Target};
use crate::canvas::Caller;
use crate::canvas::apply::{answer_bytes, no_memory, work};
use crate::doors::TurnEnd;
use crate::resources::budget::growth;
use crate::resources::buffers::ReadBuffer;
use crate::resources::fairness::CALL;
use crate::transport::peer_state::PeerState;
use draw_protocol::server::Step;
use draw_protocol::{Answer, Request, limits};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tracing::debug;

/// The memory that one step of an idle connection takes at most.
const IDLE: usize = growth(2 * limits::IDLE_BUFFER);

impl<S> Connection<'_, S> {
    /// Executes received requests, up to the work of one turn, and publishes the damage.
    pub(super) fn execute(&mut self, now: Instant) -> TurnEnd {
        let most = self.grants.work.allowance(now);
        if most == 0 {
            return TurnEnd::Queue;
        }
        let Connection { link, input, target, machine, grants, pending, session, reported } = self;
        let Target { selector, display: named, caller } = target;
        let Grants { share, hasher, slot, .. } = grants;
        let Input { buffer: input, is_streaming, .. } = input;
        let mut display = named.display();
        let mut size = display.size();
        let mut rest = input.as_ref().map_or(&[][..], ReadBuffer::unread);
        let is_streaming = std::mem::take(is_streaming);
        let mut done = 0;
        let mut drawing = caller.turn();
        let turn = loop {
            if done >= most {
                break TurnEnd::Yield;
            }
            let step = step(machine, input.as_ref());
            if !share.try_cover(step) {
                break TurnEnd::Idle;
            }
            if let Some((answer, stamp)) = pending {
                drawing.order_read(*stamp, &answer.request());
                match answer {
                    PendingAnswer::Image { area, bytes, until } => {
                        if share.try_cover(step.saturating_add(*bytes)) {
                            machine.answer_image(*bytes, |out| drawing.read(*area, out));
                            done += CALL;
                        } else if machine.begin_image(*bytes) {
                            *answer = PendingAnswer::Rows { area: *area };
                            continue;
                        } else if *until <= now {
                            machine.answer(Err(no_memory(*bytes)));
                        } else {
                            break TurnEnd::Idle;
                        }
                    }
                    PendingAnswer::Rows { .. } if machine.unsent() > 0 => break TurnEnd::Idle,
                    PendingAnswer::Rows { area } => {
                        let mut bytes = limits::BAND.max(PendingAnswer::piece(area));
                        if !share.try_cover(step + bytes) {
                            bytes = PendingAnswer::piece(area);
                            if !share.try_cover(step + bytes) {
                                break TurnEnd::Idle;
                            }
                        }
                        let piece = PendingAnswer::take_rows(area, bytes);
                        machine.answer_piece(|out| drawing.read_into(piece, out));
                        done += CALL;
                        if area.height > 0 {
                            continue;
                        }
                    }
                    PendingAnswer::Digest { digest: Some(digest), .. } => {
                        machine.answer(digest.clone().map(Answer::Digest));
                        done += CALL;
                    }
                    PendingAnswer::Digest { digest: None, .. } => break TurnEnd::Idle,
                }
                *pending = None;
                if machine.unsent() >= limits::BAND {
                    break TurnEnd::Idle;
                }
                continue;
            }
            match machine.handle_input(&mut rest, now) {
                Step::Execute(request, stamp) => {
                    done += CALL + work(&request, size);
                    let waiting = PendingAnswer::of(&request, (display, hasher, slot.peer()), now);
                    let waiting = waiting.filter(|answer| match answer {
                        // Unsent bytes are sent before it is answered.
                        PendingAnswer::Image { bytes, .. } => share.can_cover(IDLE.saturating_add(*bytes)),
                        _ => true,
                    });
                    if let Some(answer) = waiting {
                        *pending = Some((answer, stamp));
                        continue;
                    }
                    let bytes = answer_bytes(&request);
                    let is_granted = bytes == 0 || share.try_cover_all(step.saturating_add(bytes));
                    let result =
                        if is_granted { drawing.call(stamp, &request) } else { Err(no_memory(bytes)) };
                    if let Err(fault) = &result {
                        debug!(peer = link.peer, "{}: {fault}", request.call());
                    }
                    if let Request::PutImage { rgba, .. } = request {
                        share.received_image(rgba.len());
                    }
                    machine.answer(result);
                }
                Step::Greet(greeting) => {
                    let chosen = selector.select(greeting.display);
                    if let Ok((other, _)) = &chosen
                        && !std::ptr::eq(*other, *named)
                    {
                        // Nothing was drawn in this turn.
                        drawing.end();
                        display.hand_connection(other.display(), reported.buffered);
                        *named = other;
                        *caller = Caller::new(other.canvas());
                        drawing = caller.turn();
                        display = named.display();
                        size = display.size();
                    }
                    done += CALL;
                    machine.choose(chosen.map(|(_, config)| config));
                }
                Step::Resume(request) => session.resuming = Some(request),
                Step::Continue => done += CALL,
                Step::Wait if is_streaming => break TurnEnd::Yield,
                Step::Wait => break TurnEnd::Idle,
            }
        };
        let receipt = drawing.end();
        match (rest.len(), &mut *input) {
            (0, input) => *input = None,
            (left, Some(input)) => input.keep_last(left),
            (_, None) => {}
        }
        if receipt.has_room {
            // Now the journal has room for the session, without which a restart would not know whose the calls of this
            // turn are.
            self.journal_session();
        }
        self.settle();
        if self.grants.work.charge(done) && turn == TurnEnd::Idle { TurnEnd::Yield } else { turn }
    }

    /// Returns whether the pending answer can be continued.
    ///
    /// # Errors
    /// If the client has disconnected while its answer waits for memory.
    pub(super) fn poll_pending(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let Some((answer, _)) = &mut self.pending else { return Ok(false) };
        let (bytes, is_late) = match answer {
            PendingAnswer::Image { bytes, until, .. } => (*bytes, *until <= now),
            PendingAnswer::Rows { .. } if self.machine.unsent() > 0 => return Ok(false),
            PendingAnswer::Rows { area } => (PendingAnswer::piece(area), false),
            PendingAnswer::Digest { digest: Some(_), .. } => (0, false),
            PendingAnswer::Digest { digest, receiver } => match Pin::new(receiver).poll(cx) {
                Poll::Ready(found) => {
                    *digest = Some(found.map_err(|_| no_digest()));
                    (0, false)
                }
                Poll::Pending => return Ok(false),
            },
        };
        let wanted = step(&self.machine, self.input.buffer.as_ref()).saturating_add(bytes);
        if self.grants.share.poll_cover(cx, wanted).is_ready() || is_late {
            return Ok(true);
        }
        if self.grants.share.is_waiting()
            && matches!((self.link.probe)(&self.link.stream), PeerState::Closed(_))
        {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(false)
    }
}
