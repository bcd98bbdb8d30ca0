//! Whole conversations of a client and a server: the program gets the same events however the bytes are split.

mod common;

use common::calls::{Owned, call};
use common::display::Display;
use common::{SIZE, Told, World, uncut};
use draw_protocol::{Color, Pixel, Pixels, Request, Size};
use proptest::prelude::*;

const SMALL: Size = Size { width: 16, height: 16 };

/// Returns the events that the program must get for these calls, and the resulting picture.
fn expected(calls: &[Owned]) -> (Vec<Told>, Display) {
    let mut display = Display::new(SMALL);
    let mut told = Vec::new();
    for (number, call) in (1..).zip(calls) {
        let request = call.request();
        match display.apply(&request) {
            Err(fault) => {
                let call = request.call().to_string();
                told.push(Told::Fault(
                    number,
                    call,
                    fault.code.clone(),
                    fault.message.clone(),
                    fault.rejected().to_vec(),
                ));
            }
            Ok(answer) if request.method().has_answer() => told.push(Told::Answer(number, answer)),
            Ok(_) => {}
        }
    }
    (told, display)
}

/// Makes the calls and carries the bytes. `turn` returns the number of calls and the number of bytes in each direction.
fn play(calls: &[Owned], mut turn: impl FnMut() -> [usize; 3]) -> World {
    let mut world = World::silent(SMALL);
    let (mut up, mut down, mut made) = (Vec::new(), Vec::new(), 0);
    // Every turn moves at least one byte, and every conversation here is shorter than this.
    for _ in 0..1_000_000 {
        let [n_calls, n_up, n_down] = turn();
        if world.client.welcome().is_some() {
            for call in calls.iter().skip(made).take(n_calls.max(1)) {
                made += 1;
                assert_eq!(world.call(&call.request()), made as u64);
            }
        }
        up.extend(world.client.swap_transmit(Vec::new()));
        let n = n_up.max(1).min(up.len());
        assert_eq!(world.host.hear(&up[..n]), n);
        up.drain(..n);
        down.extend(world.host.say());
        let n = n_down.max(1).min(down.len());
        world.hear_from_server(&down[..n]);
        down.drain(..n);
        if made == calls.len() && up.is_empty() && down.is_empty() && world.client.welcome().is_some() {
            return world;
        }
    }
    panic!("the conversation does not end");
}

fn check(calls: &[Owned], world: &World) {
    let (told, display) = expected(calls);
    assert_eq!(world.told[0], Told::Welcome);
    assert_eq!(world.told[1..], told);
    assert!(world.host.display == display, "the picture differs");
    assert_eq!((world.client.done(), world.client.in_flight()), (calls.len() as u64, 0));
    assert!(world.host.server.stats().executed <= calls.len() as u64, "single pixels may travel together");
}

proptest! {
    #[test]
    fn a_program_is_told_the_same_however_the_bytes_are_cut(
        calls in prop::collection::vec(call(), 1..40),
        turns in prop::collection::vec([0..8usize, 0..300usize, 0..300usize], 1..20),
    ) {
        let mut turns = turns.into_iter().cycle();
        check(&calls, &play(&calls, || turns.next().expect("endless")));
    }

    #[test]
    fn and_when_every_byte_comes_alone(calls in prop::collection::vec(call(), 1..20)) {
        check(&calls, &play(&calls, || [2, 1, 1]));
    }
}

/// Returns calls of every kind, valid and invalid.
fn script() -> Vec<Owned> {
    let pixels = [(1, 1), (20, 1), (21, 1), (3, 3), (0, 16)];
    let color = Color::RED;
    vec![
        Owned::Plain(Request::DrawPixel { x: 1, y: 2, color }),
        Owned::Plain(Request::DrawPixel { x: -1, y: 2, color }),
        Owned::Pixels(pixels.map(|(x, y)| Pixel::new(x, y, Color::BLUE)).to_vec()),
        Owned::Plain(Request::GetPixel { x: 3, y: 3 }),
        Owned::Image { x: 14, y: 14, width: 2, rgba: (0..24).collect() },
        Owned::Plain(Request::GetImage { x: 14, y: 14, width: 2, height: 2 }),
        Owned::Plain(Request::AddPixel { x: 1, y: 2, amount: 1 }),
        Owned::Plain(Request::AddPixel { x: 16, y: 2, amount: 1 }),
        Owned::Additions(pixels.map(|(x, y)| Pixel::adding(x, y, 0x0100)).to_vec()),
        Owned::Plain(Request::GetDigest { x: 0, y: 0, width: 4, height: 4 }),
        Owned::Plain(Request::GetPixel { x: 99, y: 0 }),
        Owned::Plain(Request::FillRect { x: 0, y: 0, width: 3, height: 1, color }),
        Owned::Plain(Request::GetMouse {}),
        Owned::Plain(Request::Clear { color }),
        Owned::Plain(Request::GetSize {}),
        Owned::Plain(Request::Sync {}),
        Owned::Plain(Request::DrawPixel { x: 5, y: 5, color }),
    ]
}

#[test]
fn one_cut_anywhere_changes_nothing() {
    let calls = script();
    let made = || {
        let mut world = World::new(SMALL);
        (world.to_server, world.to_client) = (vec![], vec![]);
        calls.iter().for_each(|call| _ = world.call(&call.request()));
        world
    };
    let mut whole = made();
    whole.round();
    for at in 0..whole.to_server.len().max(whole.to_client.len()) {
        let mut cuts = [at].into_iter();
        let mut once = move || cuts.next().unwrap_or(usize::MAX);
        let mut world = made();
        world.up(&mut once.clone());
        world.down(&mut once);
        world.told.insert(0, Told::Welcome);
        check(&calls, &world);
    }
}

/// Checks that every call is reported exactly once: as an event, by
/// [`done`](draw_protocol::client::Connection::done), or as lost.
fn check_lost(calls: &[Owned], world: &mut World) {
    let done = world.client.done();
    let all = expected(calls).0;
    let known: Vec<_> = all
        .into_iter()
        .filter(|told| matches!(told, Told::Fault(n, ..) | Told::Answer(n, _) if *n <= done))
        .collect();
    assert_eq!(world.told, known, "what is done, and nothing else");
    let lost: Vec<_> = world.client.give_up().begun.iter().map(|made| made.number).collect();
    assert_eq!(lost, (done + 1..=calls.len() as u64).collect::<Vec<_>>());
    assert_eq!((world.client.done(), world.client.in_flight()), (calls.len() as u64, 0));
    let again = world.client.give_up();
    assert!(again.begun.is_empty() && again.unsent.is_empty(), "named once");
}

#[test]
fn a_cut_connection_names_each_unfinished_call_once() {
    let calls = script();
    let made = || {
        let mut world = World::new(SMALL);
        calls.iter().for_each(|call| _ = world.call(&call.request()));
        world
    };
    // The server receives only the first bytes, and answers them.
    let sent = made().client.poll_transmit().to_vec();
    for at in 0..sent.len() {
        let mut world = made();
        assert_eq!(world.client.poll_transmit(), sent);
        world.host.hear(&sent[..at]);
        world.down(&mut uncut);
        check_lost(&calls, &mut world);
    }
    // The server receives all bytes, and only the first bytes of its answers arrive.
    let mut world = made();
    world.up(&mut uncut);
    let said = world.host.say();
    for at in 0..=said.len() {
        let mut world = made();
        world.hear_from_server(&said[..at]);
        check_lost(&calls, &mut world);
    }
}

#[test]
fn thousands_of_draws_are_acknowledged_by_one_message() {
    let mut world = World::new(SMALL);
    for i in 0..5000 {
        // A pixel between two other calls is not joined.
        world.call(&Request::DrawPixel { x: i % 16, y: i / 16 % 16, color: Color::RED });
        world.call(&Request::FillRect { x: i % 16, y: 0, width: 1, height: 1, color: Color::RED });
    }
    world.to_client.clear();
    world.round();
    assert_eq!(world.to_client, *b"\x93\x02\xa8progress\x91\xcd\x27\x10", "[2, \"progress\", [10000]]");
    assert_eq!(world.client.done(), 10_000);
    world.round();
    assert_eq!(world.to_client.len(), 15, "nothing is reported twice");
}

#[test]
fn a_fault_comes_before_the_progress_behind_it_and_stands_for_all_before() {
    let mut world = World::new(SMALL);
    for x in [1, 2, 99, 3] {
        world.call(&Request::FillRect { x, y: 0, width: 1, height: 1, color: Color::RED });
    }
    world.to_client.clear();
    world.round();
    assert!(world.to_client.starts_with(&[0x94, 0x01, 0x03]), "first the response to request 3");
    assert!(world.to_client.ends_with(b"\x93\x02\xa8progress\x91\x04"), "then progress to 4");
    assert!(matches!(&world.told[..], [Told::Fault(3, ..)]));
    assert_eq!(world.client.done(), 4);
}

#[test]
fn questions_are_ordered_with_the_draws_before_them() {
    let mut world = World::new(SIZE);
    for color in [Color::RED, Color::BLUE, Color::GREEN] {
        world.call(&Request::Clear { color });
        world.call(&Request::GetPixel { x: 639, y: 479 });
    }
    world.round();
    let seen = [(2, Color::RED), (4, Color::BLUE), (6, Color::GREEN)];
    assert_eq!(world.told, seen.map(|(n, color)| Told::Answer(n, draw_protocol::Answer::Pixel(color))));
}

#[test]
fn a_notification_that_nobody_knows_is_ignored() {
    let mut world = World::new(SMALL);
    world.hear_from_server(b"\x93\x02\xa5rumba\x93\x01\xc0\x81\xa1x\x01");
    world.call(&Request::DrawPixels { pixels: Pixels::from(&[Pixel::new(3, 4, Color::RED)][..]) });
    world.round();
    assert_eq!((world.client.done(), world.host.display.pixel(3, 4)), (1, Some(Color::RED)));
}
