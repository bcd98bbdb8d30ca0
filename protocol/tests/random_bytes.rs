//! Random bytes and damaged valid conversations: neither side panics or holds more memory than it received bytes.

mod common;

use common::calls::{Owned, call};
use common::garbage::{damage, damaged, garbage};
use common::{Host, Told, World};
use draw_protocol::client::Connection;
use draw_protocol::{Hello, Size, limits};
use proptest::prelude::*;

const SMALL: Size = Size { width: 16, height: 16 };

/// Returns the bytes of a valid conversation: those that the client sends after its greeting, and the server's answer.
fn conversation(calls: &[Owned]) -> (Vec<u8>, Vec<u8>) {
    let mut world = asking(calls);
    (world.to_server, world.to_client) = (vec![], vec![]);
    world.round();
    (world.to_server, world.to_client)
}

/// Returns a client with these calls in flight.
fn asking(calls: &[Owned]) -> World {
    let mut world = World::new(SMALL);
    for call in calls {
        world.call(&call.request());
    }
    world
}

/// Returns a client and a server that have greeted each other with checks.
fn checked() -> World {
    let mut world = World::silent(SMALL);
    world.client = Connection::new(&Hello::new("demo").with_checks(true));
    world.greeted()
}

/// Checks that the server withstands these bytes, split into pieces of `step` bytes.
fn check_server(mut host: Host, bytes: &[u8], step: usize) {
    let (mut arrived, mut said) = (0, 0);
    for piece in bytes.chunks(step) {
        arrived += host.hear(piece);
        let memory = host.server.memory();
        said += host.say().len();
        assert!(memory <= limits::IDLE_BUFFER + 4 * (arrived + said), "{memory} for {arrived} and {said}");
        if host.server.closing().is_some() {
            assert_eq!((host.hear(bytes), host.say().len()), (0, 0), "it stays closed");
        }
    }
}

/// Checks that the client withstands these bytes, and reports every call once.
fn check_client(mut world: World, bytes: &[u8], step: usize) {
    let mut told: Vec<Told> = Vec::new();
    let sent = world.client.memory();
    'all: for piece in bytes.chunks(step) {
        let mut input = piece;
        loop {
            match world.client.handle_input(&mut input, world.host.now) {
                Ok(Some(event)) => told.push(event.into()),
                Ok(None) => break,
                Err(ended) => {
                    assert_eq!(world.client.handle_input(&mut &bytes[..], world.host.now).err(), Some(ended));
                    break 'all;
                }
            }
        }
        assert!(world.client.memory() <= sent + limits::IDLE_BUFFER + 4 * bytes.len());
    }
    let done = world.client.done();
    let numbers: Vec<u64> = told
        .iter()
        .map(|told| match told {
            Told::Fault(n, ..) | Told::Answer(n, _) => *n,
            Told::Welcome => 0,
        })
        .collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "in order, each once: {numbers:?}");
    assert!(numbers.last().is_none_or(|n| *n <= done), "what was told is done");
    let lost = world.client.give_up();
    let lost: Vec<_> = lost.begun.iter().chain(&lost.unsent).map(|made| made.number).collect();
    assert_eq!(lost, (done + 1..=world.client.last_call()).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_server_bears_random_bytes(bytes in garbage(), step in 1..700usize, greeted: bool) {
        let host = Host::new(SMALL);
        check_server(if greeted { host.greeted() } else { host }, &bytes, step);
    }

    #[test]
    fn a_client_bears_random_bytes(
        calls in prop::collection::vec(call(), 0..8),
        bytes in garbage(),
        step in 1..700usize,
        greeted: bool,
    ) {
        check_client(if greeted { asking(&calls) } else { World::silent(SMALL) }, &bytes, step);
    }

    #[test]
    fn both_bear_random_bytes_and_damage_where_there_are_checks(
        calls in prop::collection::vec(call(), 1..8),
        damages in prop::collection::vec(damage(), 1..5),
        bytes in garbage(),
        step in 1..700usize,
    ) {
        check_server(checked().host, &bytes, step);
        check_client(checked(), &bytes, step);
        let mut world = checked();
        calls.iter().for_each(|call| _ = world.call(&call.request()));
        let sent = world.client.poll_transmit().to_vec();
        let said = world.host.ask(&sent);
        check_server(checked().host, &damaged(sent, &damages), step);
        check_client(world, &damaged(said, &damages), step);
    }

    #[test]
    fn a_server_bears_a_damaged_conversation(
        calls in prop::collection::vec(call(), 1..8),
        damages in prop::collection::vec(damage(), 1..5),
        step in 1..700usize,
        greeted: bool,
    ) {
        let bytes = damaged(conversation(&calls).0, &damages);
        let host = Host::new(SMALL);
        check_server(if greeted { host.greeted() } else { host }, &bytes, step);
    }

    #[test]
    fn a_client_bears_a_damaged_conversation(
        calls in prop::collection::vec(call(), 1..8),
        damages in prop::collection::vec(damage(), 1..5),
        step in 1..700usize,
    ) {
        let bytes = damaged(conversation(&calls).1, &damages);
        check_client(asking(&calls), &bytes, step);
    }
}
