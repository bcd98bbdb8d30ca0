//! Converts the bytes that pass a line to messages with their times.

use super::message::{FIRST, Flight, Message, Recorded, Side};
use crate::delay::{Point, Tap};
use crate::figures::thousands;
use draw_protocol::limits;
use draw_protocol::trace::{Direction, Entry, Outcome, Said, Tracer};
use draw_protocol::{ACK, CONFIRM, Call, END, HELLO};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Number of characters of a message's text that are kept. A call's own parameters fit.
const TEXT: usize = 100;

/// Observes a line, one connection after the other.
#[derive(Debug, Default)]
pub struct Recorder {
    /// A leaf lock: no other lock is taken while it is held.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Connections before this one belong to earlier recordings.
    next: u64,
    open: Option<Conversation>,
}

impl Recorder {
    /// Creates a recorder that records nothing until [`begin`](Recorder::begin).
    pub fn new() -> Arc<Recorder> {
        Arc::default()
    }

    /// Records the next connection. If the program `draws_pixels` one by one, a request for several pixels counts as
    /// that many of its calls.
    pub fn begin(&self, draws_pixels: bool) {
        self.lock().open = Some(Conversation::new(draws_pixels, Instant::now()));
    }

    /// Returns the messages recorded since [`Recorder::begin`], with times relative to `zero`, when the program began
    /// its calls. Messages that are still in transit are not included.
    pub fn take(&self, zero: Instant) -> Recorded {
        let mut state = self.lock();
        let Some(open) = state.open.take() else { return Recorded::default() };
        if let Some(connection) = open.connection {
            state.next = connection + 1;
        }
        open.recorded(zero)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tap for Recorder {
    fn pass(&self, connection: u64, direction: Direction, point: Point, bytes: &[u8]) {
        let mut state = self.lock();
        let next = state.next;
        let Some(open) = &mut state.open else { return };
        if connection < next || *open.connection.get_or_insert(connection) != connection {
            return;
        }
        // Read under the lock, so that times are monotonic.
        let now = Instant::now();
        match point {
            Point::Sent => open.sent(direction, bytes, now),
            Point::Arrived => open.arrived(direction, bytes.len() as u64, now),
        }
    }
}

#[derive(Debug)]
struct Conversation {
    connection: Option<u64>,
    draws_pixels: bool,
    tracer: Tracer,
    /// The origin of times until the start of the program is known.
    opened: Instant,
    to_display: Lane,
    to_client: Lane,
    /// The number of calls in each unanswered request.
    unanswered: VecDeque<u64>,
}

/// One direction.
#[derive(Debug, Default)]
struct Lane {
    /// The offset of the end of the last message sent, and the number of bytes arrived.
    sent: u64,
    arrived: u64,
    /// Sent messages by the offset of their end; for those that are not drawn only the offset.
    under_way: VecDeque<(u64, Option<Message>)>,
    /// Number of sent messages that are to be drawn.
    count: usize,
    side: Side,
}

impl Conversation {
    fn new(draws_pixels: bool, now: Instant) -> Conversation {
        Conversation {
            connection: None,
            draws_pixels,
            tracer: Tracer::new(0, now),
            opened: now,
            to_display: Lane::default(),
            to_client: Lane::default(),
            unanswered: VecDeque::new(),
        }
    }

    fn recorded(self, zero: Instant) -> Recorded {
        let recorded = Recorded { requests: self.to_display.side, answers: self.to_client.side };
        recorded.since(zero.saturating_duration_since(self.opened))
    }

    fn lane(&mut self, direction: Direction) -> &mut Lane {
        match direction {
            Direction::ToDisplay => &mut self.to_display,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn sent(&mut self, direction: Direction, mut bytes: &[u8], now: Instant) {
        while let Some(entry) = self.tracer.handle_input(direction, &mut bytes, now) {
            let calls = self.calls(&entry);
            let message = (!is_housekeeping(&entry.said)).then(|| {
                let sent = now.saturating_duration_since(self.opened);
                let flight = Flight { sent, arrived: sent };
                let lane = self.lane(direction);
                lane.count += 1;
                // The text of the other messages is not shown.
                match lane.count <= FIRST {
                    true => Message { flight, bytes: entry.length, ..self.read(&entry.said, calls) },
                    false => Message { flight, bytes: entry.length, ..Message::default() },
                }
            });
            let lane = self.lane(direction);
            lane.sent += entry.length;
            lane.under_way.push_back((lane.sent, message));
        }
    }

    fn arrived(&mut self, direction: Direction, bytes: u64, now: Instant) {
        let arrived = now.saturating_duration_since(self.opened);
        let lane = self.lane(direction);
        lane.arrived += bytes;
        while lane.under_way.front().is_some_and(|(end, _)| *end <= lane.arrived) {
            if let Some((_, Some(mut message))) = lane.under_way.pop_front() {
                message.flight.arrived = arrived;
                lane.side.add(message);
            }
        }
    }

    /// Returns the number of the program's calls that this message makes or completes.
    fn calls(&mut self, entry: &Entry) -> u64 {
        match &entry.said {
            Said::Request { asked, .. } => {
                let calls = match asked.call {
                    Some(Call::DrawPixels { pixels }) if self.draws_pixels => u64::from(pixels.0),
                    _ => 1,
                };
                // The same limit as the tracer's, so that both agree about the oldest request.
                if self.unanswered.len() == limits::CREDIT_CALLS as usize {
                    self.unanswered.pop_front();
                }
                self.unanswered.push_back(calls);
                calls
            }
            Said::Response { before, took, .. } => self.answered(before + usize::from(took.is_some())),
            Said::Progress { done, .. } => self.answered(*done),
            _ => 0,
        }
    }

    fn answered(&mut self, requests: usize) -> u64 {
        self.unanswered.drain(..requests.min(self.unanswered.len())).sum()
    }

    fn read(&self, said: &Said, calls: u64) -> Message {
        // A batch that is too long for one request is still one call.
        let noun = if self.draws_pixels { "call" } else { "request" };
        let (text, name, is_fault) = match said {
            Said::Request { asked, .. } => match asked.call {
                Some(Call::DrawPixels { .. }) if self.draws_pixels => {
                    let name = format!("{} draw_pixel", thousands(calls));
                    (format!("{name} as one draw_pixels"), name, false)
                }
                Some(Call::DrawPixels { pixels }) => {
                    let text = format!("draw_pixels({} pixels)", thousands(u64::from(pixels.0)));
                    (text, asked.method.clone(), false)
                }
                _ => (asked.to_string(), asked.method.clone(), false),
            },
            Said::Progress { upto, .. } if calls == 1 => {
                (format!("progress {upto}: done"), "done".into(), false)
            }
            Said::Progress { upto, .. } => {
                let done = format!("{} {noun}s done", thousands(calls));
                (format!("progress {upto}: {done}"), done, false)
            }
            Said::Response { method, outcome, .. } => {
                let name = method.unwrap_or("response").to_owned();
                let before = match calls.saturating_sub(1) {
                    0 => String::new(),
                    1 => format!(", and the {noun} before it"),
                    calls => format!(", and {} {noun}s before it", thousands(calls)),
                };
                let is_fault = matches!(outcome, Outcome::Fault(_) | Outcome::Error(_));
                (format!("{name}: {outcome}{before}"), format!("{name}: {outcome}"), is_fault)
            }
            Said::Goodbye(_) | Said::NotUnderstood(_) | Said::Corrupted(_) => {
                (said.to_string(), "end".into(), true)
            }
            _ => (said.to_string(), "notification".into(), false),
        };
        Message { text: cut(text), name: cut(name), is_fault, ..Message::default() }
    }
}

/// Returns whether a message only serves the connection and is not a call.
fn is_housekeeping(said: &Said) -> bool {
    match said {
        Said::Notification { asked } => [ACK, CONFIRM, END].contains(&&*asked.method),
        Said::Request { asked, .. } => asked.method == HELLO,
        Said::Response { method, .. } => *method == Some(HELLO),
        _ => false,
    }
}

fn cut(text: String) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HELLO: &[u8] = b"\x94\x00\x00\xa5hello\x91\x80";
    const WELCOME: &[u8] = b"\x94\x01\x00\xc0\x80";
    const PIXEL: &[u8] = b"\x94\x00\x01\xaadraw_pixel\x93\x01\x02\xce\xff\0\0\xff";
    const PIXELS: &[u8] =
        b"\x94\x00\x02\xabdraw_pixels\x91\xc4\x10\0\x01\0\x02\xff\0\0\xff\0\x03\0\x04\xff\0\0\xff";
    const SYNC: &[u8] = b"\x94\x00\x03\xa4sync\x90";
    const PROGRESS: &[u8] = b"\x93\x02\xa8progress\x91\x01";
    const SYNCED: &[u8] = b"\x94\x01\x03\xc0\xc0";

    /// Returns a conversation at a round trip of 10 ms, of a program that begins at 20 ms.
    fn conversation(draws_pixels: bool) -> Recorded {
        let (begin, mut open) = (Instant::now(), Conversation::new(draws_pixels, Instant::now()));
        let at = |ms| begin + Duration::from_millis(ms);
        let requests = [PIXEL, PIXELS, SYNC].concat();
        open.sent(Direction::ToDisplay, HELLO, at(0));
        open.arrived(Direction::ToDisplay, HELLO.len() as u64, at(5));
        open.sent(Direction::ToClient, WELCOME, at(5));
        open.arrived(Direction::ToClient, WELCOME.len() as u64, at(10));
        open.sent(Direction::ToDisplay, &requests, at(20));
        // The last byte of the second request arrives later than the others.
        let most = (PIXEL.len() + PIXELS.len() - 1) as u64;
        open.arrived(Direction::ToDisplay, most, at(25));
        open.sent(Direction::ToClient, PROGRESS, at(26));
        open.arrived(Direction::ToDisplay, requests.len() as u64 - most, at(27));
        open.sent(Direction::ToClient, &SYNCED[..2], at(28));
        open.sent(Direction::ToClient, &SYNCED[2..], at(29));
        open.arrived(Direction::ToClient, (PROGRESS.len() + SYNCED.len()) as u64, at(34));
        // This one never arrives.
        open.sent(Direction::ToDisplay, SYNC, at(35));
        open.recorded(at(20))
    }

    fn told(side: &Side) -> Vec<(u128, u128, &str)> {
        let times = |flight: Flight| (flight.sent.as_millis(), flight.arrived.as_millis());
        side.first.iter().map(|one| (times(one.flight).0, times(one.flight).1, &one.text[..])).collect()
    }

    #[test]
    fn messages_have_the_times_of_their_last_bytes_since_the_program_began() {
        let recorded = conversation(true);
        assert_eq!(
            told(&recorded.requests),
            [
                (0, 5, "draw_pixel(1, 2, #ff0000ff)"),
                (0, 7, "2 draw_pixel as one draw_pixels"),
                (0, 7, "sync()"),
            ]
        );
        assert_eq!(
            told(&recorded.answers),
            [(6, 14, "progress 1: done"), (9, 14, "sync: done, and 2 calls before it"),]
        );
        assert_eq!(recorded.requests.bytes, (PIXEL.len() + PIXELS.len() + SYNC.len()) as u64);
        assert_eq!((recorded.requests.count, recorded.answers.count), (3, 2));
        assert_eq!(recorded.end(), Duration::from_millis(14));
    }

    #[test]
    fn a_batch_that_the_program_made_is_no_calls_of_one_pixel() {
        let recorded = conversation(false);
        assert_eq!(told(&recorded.requests)[1].2, "draw_pixels(2 pixels)");
        assert_eq!(told(&recorded.answers)[1].2, "sync: done, and the request before it");
    }

    #[test]
    fn a_failure_is_known_and_bytes_without_sense_are_no_more_than_one_message() {
        let now = Instant::now();
        let mut open = Conversation::new(true, now);
        open.sent(Direction::ToDisplay, PIXEL, now);
        let fault = b"\x94\x01\x01\x92\x00\xb7out_of_bounds: outside.\xc0";
        open.sent(Direction::ToClient, fault, now);
        open.arrived(Direction::ToClient, fault.len() as u64, now);
        open.sent(Direction::ToClient, &[0xc1; 100_000], now);
        open.arrived(Direction::ToClient, 100_000, now);
        let said: Vec<_> =
            open.to_client.side.first.iter().map(|one| (&one.text[..], one.is_fault)).collect();
        assert_eq!(said[0], ("draw_pixel: out_of_bounds: outside.", true));
        assert!(said.len() == 2 && said[1].0.starts_with("not understood: ") && said[1].1, "{said:?}");
    }

    #[test]
    fn each_recording_is_of_one_connection() {
        let recorder = Recorder::new();
        let hear = |connection| {
            for point in [Point::Sent, Point::Arrived] {
                recorder.pass(connection, Direction::ToDisplay, point, SYNC);
            }
        };
        hear(0);
        assert_eq!(recorder.take(Instant::now()).requests.count, 0, "nobody had asked");
        recorder.begin(true);
        [1, 1, 2].into_iter().for_each(hear);
        assert_eq!(recorder.take(Instant::now()).requests.count, 2);
        recorder.begin(true);
        // Later messages of the earlier connection are not part of this one.
        [1, 3, 1].into_iter().for_each(hear);
        assert_eq!(recorder.take(Instant::now()).requests.count, 1);
    }
}
