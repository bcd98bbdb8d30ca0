//! Random bytes, and valid conversations that were damaged: neither side panics, or holds more than it was sent.

mod common;

use common::calls::{Owned, call};
use common::{Host, Told, World};
use draw_protocol::{Size, limits};
use proptest::prelude::*;

const SMALL: Size = Size { width: 16, height: 16 };

/// Pieces of MessagePack-RPC, right and wrong, that make random input go deeper than its first byte.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "draw_pixel",
        "draw_pixels",
        "fill_rect",
        "put_image",
        "clear",
        "get_pixel",
        "get_image",
        "get_size",
        "get_mouse",
        "sync",
        "hello",
        "progress",
        "goodbye",
        "version",
        "code",
        "message",
        "rejected",
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        (0..3u8, 0..8u8).prop_map(|(kind, msgid)| vec![0x94, kind, msgid]),
        Just(vec![0x93, 2]),
        prop::sample::select(words.to_vec()).prop_map(|word| [
            &[0xa0 | word.len() as u8][..],
            word.as_bytes()
        ]
        .concat()),
        (0..6u8).prop_map(|n| vec![0x90 | n]),
        (0..3u8).prop_map(|n| vec![0x80 | n]),
        Just(vec![0xc0]),
        (0..20u8).prop_map(|n| [&[0xc4, n][..], &vec![n; n.into()]].concat()),
        (0xc4..=0xdfu8, any::<u32>()).prop_map(|(marker, n)| [&[marker][..], &n.to_be_bytes()].concat()),
    ]
}

fn garbage() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..600),
        4 => prop::collection::vec(fragment(), 0..60).prop_map(|fragments| fragments.concat()),
    ]
}

#[derive(Debug, Clone)]
enum Damage {
    Set(usize, u8),
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<usize>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at(), fragment()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), 1..30usize).prop_map(|(at, n)| Damage::Remove(at, n)),
        (at(), 1..60usize).prop_map(|(at, n)| Damage::Repeat(at, n)),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let length = bytes.len();
        let place = |at: usize, n: usize| {
            let from = at % (length + 1);
            from..(from + n).min(length)
        };
        match damage {
            Damage::Set(at, byte) => bytes[place(*at, 1)].fill(*byte),
            Damage::Insert(at, more) => _ = bytes.splice(place(*at, 0), more.iter().copied()),
            Damage::Remove(at, n) => _ = bytes.drain(place(*at, *n)),
            Damage::Repeat(at, n) => {
                let again = bytes[place(*at, *n)].to_vec();
                bytes.splice(place(*at, 0), again);
            }
        }
    }
    bytes
}

/// A conversation that went well: what the client sent after its greeting, and what the server answered.
fn conversation(calls: &[Owned]) -> (Vec<u8>, Vec<u8>) {
    let mut world = asking(calls);
    (world.to_server, world.to_client) = (vec![], vec![]);
    world.round();
    (world.to_server, world.to_client)
}

/// A client with these calls in flight.
fn asking(calls: &[Owned]) -> World {
    let mut world = World::new(SMALL);
    for call in calls {
        world.call(&call.request());
    }
    world
}

/// The server bears these bytes, cut into pieces of `step`.
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

/// The client bears these bytes, and every call is told of once.
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
    let lost: Vec<_> = world.client.give_up().iter().map(|made| made.number).collect();
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
