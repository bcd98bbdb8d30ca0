//! Requests that violate the protocol.

use super::two::SESSION;
use crate::common::garbage::garbage;
use crate::common::{Raw, SIZE, config};
use draw_protocol::client;
use draw_protocol::server::{self, Step};
use draw_protocol::session::Id;
use draw_protocol::{Answer, Code, Color, Hello};
use proptest::prelude::*;
use std::time::Instant;

/// A message of a client that violates the protocol.
#[derive(Debug, Clone)]
enum Wild {
    Request(u64),
    Changed(u64),
    Ack(u64),
    End,
    Hello,
    Bytes(Vec<u8>),
}

fn wild() -> impl Strategy<Value = Wild> {
    let number = || prop_oneof![6 => 0..12_u64, 1 => any::<u64>(), 1 => 131_060..131_090_u64];
    prop_oneof![
        20 => number().prop_map(Wild::Request),
        1 => number().prop_map(Wild::Changed),
        4 => number().prop_map(Wild::Ack),
        1 => Just(Wild::End),
        1 => Just(Wild::Hello),
        1 => garbage().prop_map(Wild::Bytes),
    ]
}

impl Wild {
    /// Returns the bytes of the message, with numbers counted from `start`.
    fn bytes(&self, start: u64) -> Vec<u8> {
        let fill = |number: u64, color: u32| {
            let number = start.wrapping_add(number);
            Raw::request(number as u32, "clear").bytes(&[0x91]).uint(color).0
        };
        match self {
            Wild::Request(number) => fill(*number, *number as u32),
            Wild::Changed(number) => fill(*number, !(*number as u32)),
            Wild::Ack(ack) => {
                let mut bytes = Raw::notification("ack").bytes(&[0x91, 0xcf]).0;
                bytes.extend(start.wrapping_add(*ack).to_be_bytes());
                bytes
            }
            Wild::End => Raw::notification("end").bytes(&[0x90]).0,
            Wild::Hello => hello(start, 1),
            Wild::Bytes(bytes) => bytes.clone(),
        }
    }
}

/// Returns the first greeting of a session whose next request follows `start`.
fn hello(start: u64, attempt: u64) -> Vec<u8> {
    let mut hello = Hello::new("wild").with_session(SESSION);
    (hello.next, hello.ack, hello.attempt) = (start + 1, start, attempt);
    client::Connection::new(&hello).poll_transmit().to_vec()
}

proptest! {
    #[test]
    fn nothing_is_executed_twice_whatever_is_sent(
        start in prop_oneof![Just(0), Just((1_u64 << 32) - 3), Just(u64::MAX - 4), any::<u64>()],
        sent in prop::collection::vec(wild(), 1..60),
        step in 1..40_usize,
    ) {
        let start = start.min(u64::MAX - 1);
        let now = Instant::now();
        let mut config = config(SIZE);
        (config.instance, config.has_journal) = (Some((Id([1; 16]), 1)), false);
        let mut server = server::Connection::new(config, now);
        let mut bytes = hello(start, 1);
        sent.iter().for_each(|wild| bytes.extend(wild.bytes(start)));
        let mut executed = Vec::new();
        for piece in bytes.chunks(step) {
            let mut input = piece;
            loop {
                match server.handle_input(&mut input, now) {
                    Step::Execute(request, _) => {
                        executed.push(request.call().to_string());
                        let has_answer = request.method().has_answer();
                        let wrong = draw_protocol::Fault::new(Code::NoMemory, "no");
                        server.answer(if has_answer { Err(wrong) } else { Ok(Answer::Done(())) });
                    }
                    Step::Greet(_) => unreachable!("it has its display"),
                    Step::Resume(_) => server.resume(&mut None),
                    Step::Continue => {}
                    Step::Wait => break,
                }
            }
            let said = server.poll_transmit(now).len();
            server.handle_transmitted(said, now);
            if let Some(state) = server.session_state() {
                prop_assert!(state.filter().ack() <= state.filter().applied());
                prop_assert!(state.memory() < 64 << 10);
            }
        }
        // Numbered requests are executed only in order, each once.
        let numbered = executed.iter().filter(|call| call.starts_with("clear")).count() as u64;
        let state = server.session_state().expect("it began with one");
        prop_assert!(numbered <= state.filter().applied() - start, "{executed:?}");
        if !sent.iter().any(|wild| matches!(wild, Wild::Bytes(_) | Wild::Changed(_))) {
            let wanted: Vec<_> = (1..=numbered).map(|n| format!("clear({})", Color::from_u32(n as u32))).collect();
            prop_assert_eq!(executed, wanted);
        }
        // Without its session the server executes nothing more.
        let taken = server.take_session();
        prop_assert!(taken.is_some() && server.take_session().is_none());
        prop_assert!(matches!(server.handle_input(&mut &Wild::Request(1).bytes(start)[..], now), Step::Wait));
    }
}
