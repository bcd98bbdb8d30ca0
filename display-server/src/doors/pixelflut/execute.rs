//! Executes the lines that were read, up to the work of one turn.

use super::Connection;
use super::batch::{Batch, shown};
use super::parser::Command;
use crate::doors::TurnEnd;
use crate::resources::buffers::ReadBuffer;
use crate::resources::fairness::CALL;
use draw_protocol::text::count;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use tracing::debug;

impl<S> Connection<'_, S> {
    /// Executes received lines, up to the work of one turn and while the replies have room, and publishes the damage.
    pub(super) fn execute(&mut self, now: Instant) -> TurnEnd {
        let most = self.work.allowance(now);
        if most == 0 {
            return TurnEnd::Queue;
        }
        let Connection { caller, parser, offset, input, replies, peer, .. } = self;
        let display = caller.canvas().display();
        let size = display.size();
        let inside = |x: i32, y: i32, offset: (i32, i32)| {
            let x =
                u16::try_from(i64::from(x) + i64::from(offset.0)).ok().filter(|&x| u32::from(x) < size.width);
            let y = u16::try_from(i64::from(y) + i64::from(offset.1))
                .ok()
                .filter(|&y| u32::from(y) < size.height);
            x.zip(y)
        };
        let mut rest = input.as_ref().map_or(&[][..], ReadBuffer::unread);
        // Work is counted in bytes: a byte of a line costs about as much as filling a pixel.
        let (mut done, mut executed, mut failed) = (0, 0, 0);
        let mut drawing = caller.turn();
        let mut batch = Batch::new(rest.len());
        let turn = loop {
            if done >= most {
                break TurnEnd::Yield;
            }
            if replies.is_full() {
                break TurnEnd::Idle;
            }
            let before = rest.len();
            let command = parser.next(&mut rest);
            done += (before - rest.len()) as u64;
            let Some(command) = command else { break TurnEnd::Idle };
            executed += 1;
            match command {
                Command::Draw { x, y, color } => match (inside(x, y, *offset), color.to_bytes()[3]) {
                    (Some((x, y)), 0xff) => batch.store(&mut drawing, x, y, color),
                    (Some(_), 0) => {}
                    (Some((x, y)), _) => {
                        batch.blend(&mut drawing, x, y, color);
                        done += CALL;
                    }
                    (None, _) => failed += 1,
                },
                Command::Read { x, y } => {
                    done += CALL;
                    match inside(x, y, *offset) {
                        Some((column, row)) => {
                            if let Some([r, g, b]) = batch.get(&mut drawing, column, row).map(shown) {
                                replies.push(format_args!("PX {x} {y} {r:02x}{g:02x}{b:02x}\n"));
                            }
                        }
                        None => failed += 1,
                    }
                }
                Command::Size => {
                    done += CALL;
                    replies.push(format_args!("SIZE {} {}\n", size.width, size.height));
                }
                Command::Offset { x, y } => *offset = (x, y),
                Command::Help => {
                    done += CALL;
                    replies.push_help();
                }
                Command::Unknown => {
                    executed -= 1;
                    failed += 1;
                }
            }
        };
        batch.draw(&mut drawing);
        // The receipt is about sessions, which Pixelflut does not have.
        _ = drawing.end();
        if let Some(fault) = &batch.fault {
            debug!(peer, "not drawn: {}: {fault}", count(batch.refused, "pixel"));
        }
        match (rest.len(), &mut *input) {
            (0, input) => *input = None,
            (left, Some(input)) => input.keep_last(left),
            (_, None) => {}
        }
        let failed = failed + batch.refused;
        self.executed += executed;
        self.failed += failed;
        let counters = display.counters();
        if executed > 0 {
            counters.executed.fetch_add(executed, Relaxed);
        }
        if failed > 0 {
            counters.unheard_faults.fetch_add(failed, Relaxed);
        }
        self.settle();
        if self.work.charge(done) && turn == TurnEnd::Idle { TurnEnd::Yield } else { turn }
    }
}
