//! Messages with their times, in bounded memory for any number of messages.

use std::time::Duration;

/// Messages of a side that are kept with their text: more than can be told apart in a picture.
pub(super) const FIRST: usize = 512;

/// Flights of a side that are kept for the overview: several for each place where one can be drawn.
const SPREAD: usize = 4_096;

/// One message, and its times since the program began.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The times of its sending and its arrival.
    pub flight: Flight,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its text.
    pub text: String,
    /// Its text in a word or two.
    pub name: String,
    /// Whether it reports a failure.
    pub is_fault: bool,
}

/// The times of a message's sending and its arrival.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Flight {
    /// The time when the line took its last byte from the sender.
    pub sent: Duration,
    /// The time when the line handed its last byte to the receiver.
    pub arrived: Duration,
}

/// The messages of one side of a conversation. They take a few hundred kilobytes at most.
#[derive(Debug, Clone)]
pub struct Side {
    /// The number of messages that arrived.
    pub count: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// The first messages: all of them if their number is `count`.
    pub first: Vec<Message>,
    /// Flights evenly chosen among all, oldest first.
    pub spread: Vec<Flight>,
    /// The last flight.
    pub last: Option<Flight>,
    /// One of this many messages is in `spread`.
    step: u64,
}

impl Default for Side {
    fn default() -> Side {
        Side { count: 0, bytes: 0, first: Vec::new(), spread: Vec::new(), last: None, step: 1 }
    }
}

impl Side {
    /// Adds the message that arrived next.
    pub fn add(&mut self, message: Message) {
        let Message { flight, bytes, .. } = message;
        if self.first.len() < FIRST {
            self.first.push(message);
        }
        if self.count.is_multiple_of(self.step) {
            if self.spread.len() == SPREAD {
                let mut keep = [true, false].into_iter().cycle();
                self.spread.retain(|_| keep.next() == Some(true));
                self.step *= 2;
            }
            // As `SPREAD` is even, the first flight that does not fit is also the next of the wider step.
            self.spread.push(flight);
        }
        self.count += 1;
        self.bytes += bytes;
        self.last = Some(flight);
    }

    fn flights(&mut self) -> impl Iterator<Item = &mut Flight> {
        let first = self.first.iter_mut().map(|message| &mut message.flight);
        first.chain(&mut self.spread).chain(&mut self.last)
    }

    /// Returns whether `first` contains all messages.
    pub fn is_complete(&self) -> bool {
        self.first.len() as u64 == self.count
    }
}

/// A conversation from its first request on, without the greeting.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// Messages to the display.
    pub requests: Side,
    /// Messages to the client.
    pub answers: Side,
}

impl Recorded {
    /// Returns the recording with times relative to `zero`. Earlier times become zero.
    pub(super) fn since(mut self, zero: Duration) -> Recorded {
        for flight in self.requests.flights().chain(self.answers.flights()) {
            flight.sent = flight.sent.saturating_sub(zero);
            flight.arrived = flight.arrived.saturating_sub(zero);
        }
        self
    }

    /// Returns when the last message arrived.
    pub fn end(&self) -> Duration {
        let last = [&self.requests, &self.answers].into_iter().filter_map(|side| side.last);
        last.map(|flight| flight.arrived).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_messages_there_are_few_are_kept_and_evenly() {
        let mut side = Side::default();
        for n in 0..1_000_000 {
            let flight = Flight { sent: Duration::from_micros(n), arrived: Duration::from_micros(n + 1) };
            side.add(Message { flight, bytes: 17, ..Message::default() });
        }
        assert_eq!((side.count, side.bytes, side.is_complete()), (1_000_000, 17_000_000, false));
        assert_eq!(side.first.len(), FIRST);
        assert!((SPREAD / 2..=SPREAD).contains(&side.spread.len()), "{}", side.spread.len());
        let step = side.spread[1].sent;
        assert!(side.spread.windows(2).all(|pair| pair[1].sent - pair[0].sent == step));
        assert_eq!(side.spread[0].sent, Duration::ZERO);
        assert_eq!(side.last.unwrap().sent, Duration::from_micros(999_999));
    }
}
