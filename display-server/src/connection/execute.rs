//! Executes what was read, up to a turn's worth, and what was asked and had to wait.

use super::Connection;
use super::ahead::Ahead;
use super::converse::Turn;
use super::memory::step;
use crate::apply::{answer_bytes, no_memory, work};
use crate::budget::growth;
use crate::buffers::ReadBuffer;
use crate::canvas::Caller;
use crate::fairness::CALL;
use crate::question::{Question, no_digest};
use draw_protocol::server::Step;
use draw_protocol::{Answer, Request, limits};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tracing::debug;

/// The most that a step of a connection takes on which nothing is under way.
const IDLE: usize = growth(2 * limits::IDLE_BUFFER);

impl<S> Connection<'_, S> {
    /// Executes what has arrived, up to a turn's worth, and publishes what was drawn.
    pub(super) fn execute(&mut self, now: Instant) -> Turn {
        let most = self.work.may_do(now);
        if most == 0 {
            return Turn::Queue;
        }
        let Connection {
            asked,
            hasher,
            seat,
            caller,
            machine,
            share,
            input,
            is_streaming,
            peer,
            resuming,
            reception,
            named,
            buffered,
            ..
        } = self;
        let mut display = named.display();
        let mut size = display.size();
        let mut rest = input.as_ref().map_or(&[][..], ReadBuffer::unread);
        let is_streaming = std::mem::take(is_streaming);
        let mut done = 0;
        let mut drawing = caller.turn();
        let turn = loop {
            if done >= most {
                break Turn::Yield;
            }
            let step = step(machine, input.as_ref());
            if !share.try_cover(step) {
                break Turn::Over;
            }
            if let Some((question, stamp)) = asked {
                drawing.ask(*stamp, &question.request());
                match question {
                    Question::Image { area, bytes, until } => {
                        if share.try_cover(step.saturating_add(*bytes)) {
                            machine.answer_image(*bytes, |out| drawing.read(*area, out));
                            done += CALL;
                        } else if machine.begin_image(*bytes) {
                            *question = Question::Rest { area: *area };
                            continue;
                        } else if *until <= now {
                            machine.answer(Err(no_memory(*bytes)));
                        } else {
                            break Turn::Over;
                        }
                    }
                    Question::Rest { .. } if machine.unsent() > 0 => break Turn::Over,
                    Question::Rest { area } => {
                        let mut bytes = limits::BAND.max(Question::piece(area));
                        if !share.try_cover(step + bytes) {
                            bytes = Question::piece(area);
                            if !share.try_cover(step + bytes) {
                                break Turn::Over;
                            }
                        }
                        let piece = Question::take_rows(area, bytes);
                        machine.answer_piece(|out| drawing.read_into(piece, out));
                        done += CALL;
                        if area.height > 0 {
                            continue;
                        }
                    }
                    Question::Digest { digest: Some(digest), .. } => {
                        machine.answer(digest.clone().map(Answer::Digest));
                        done += CALL;
                    }
                    Question::Digest { digest: None, .. } => break Turn::Over,
                }
                *asked = None;
                if machine.unsent() >= limits::BAND {
                    break Turn::Over;
                }
                continue;
            }
            match machine.handle_input(&mut rest, now) {
                Step::Execute(request, stamp) => {
                    done += CALL + work(&request, size);
                    let question = Question::of(&request, (display, hasher, seat.peer()), now);
                    let question = question.filter(|question| match question {
                        // What is unsent now goes before it is answered.
                        Question::Image { bytes, .. } => share.can_cover(IDLE.saturating_add(*bytes)),
                        _ => true,
                    });
                    if let Some(question) = question {
                        *asked = Some((question, stamp));
                        continue;
                    }
                    let answer = answer_bytes(&request);
                    let is_granted = answer == 0 || share.try_cover_all(step.saturating_add(answer));
                    let result =
                        if is_granted { drawing.call(stamp, &request) } else { Err(no_memory(answer)) };
                    if let Err(fault) = &result {
                        debug!(peer, "{}: {fault}", request.call());
                    }
                    if let Request::PutImage { rgba, .. } = request {
                        share.brought(rgba.len());
                    }
                    machine.answer(result);
                }
                Step::Greet(greeting) => {
                    let chosen = reception.choose(greeting.display);
                    if let Ok((other, _)) = &chosen
                        && !std::ptr::eq(*other, *named)
                    {
                        // Nothing was drawn yet.
                        drawing.end();
                        display.hand_connection(other.display(), *buffered);
                        *named = other;
                        *caller = Caller::new(other.canvas());
                        drawing = caller.turn();
                        display = named.display();
                        size = display.size();
                    }
                    done += CALL;
                    machine.choose(chosen.map(|(_, config)| config));
                }
                Step::Resume(asked) => *resuming = Some(asked),
                Step::Continue => done += CALL,
                Step::Wait if is_streaming => break Turn::Yield,
                Step::Wait => break Turn::Over,
            }
        };
        let receipt = drawing.end();
        match (rest.len(), &mut *input) {
            (0, input) => *input = None,
            (left, Some(input)) => input.keep_last(left),
            (_, None) => {}
        }
        if receipt.has_room {
            // There is room now, and what was drawn is to be there after a restart with the session that it belongs to.
            self.journal_session();
        }
        self.settle();
        if self.work.did(done) && turn == Turn::Over { Turn::Yield } else { turn }
    }

    /// Whether the question that is kept can be gone on with.
    ///
    /// # Errors
    /// The client is gone, while its answer waits for memory.
    pub(super) fn poll_question(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let Some((question, _)) = &mut self.asked else { return Ok(false) };
        let (bytes, is_late) = match question {
            Question::Image { bytes, until, .. } => (*bytes, *until <= now),
            Question::Rest { .. } if self.machine.unsent() > 0 => return Ok(false),
            Question::Rest { area } => (Question::piece(area), false),
            Question::Digest { digest: Some(_), .. } => (0, false),
            Question::Digest { digest, coming } => match Pin::new(coming).poll(cx) {
                Poll::Ready(found) => {
                    *digest = Some(found.map_err(|_| no_digest()));
                    (0, false)
                }
                Poll::Pending => return Ok(false),
            },
        };
        let wanted = step(&self.machine, self.input.as_ref()).saturating_add(bytes);
        if self.share.poll_cover(cx, wanted).is_ready() || is_late {
            return Ok(true);
        }
        if self.share.is_waiting() && matches!((self.ahead)(&self.stream), Ahead::Gone(_)) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(false)
    }
}
