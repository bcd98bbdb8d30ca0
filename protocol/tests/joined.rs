//! Single pixels that are joined into one request, while each remains a call of its own.

mod common;

use common::{Raw, SIZE, Told, World};
use draw_protocol::{Code, Color, Request, client, limits};
use std::time::Duration;

const RED: Color = Color::RED;

fn pixel(x: i32, y: i32) -> Request<'static> {
    Request::DrawPixel { x, y, color: RED }
}

/// Returns the number of requests that the server has executed.
fn executed(world: &World) -> u64 {
    world.host.server.stats().executed
}

#[test]
fn consecutive_pixels_are_one_request_in_the_standard_form() {
    let mut world = World::new(SIZE);
    world.call(&pixel(1, 2));
    world.call(&pixel(640, 3));
    let expected =
        b"\x94\x00\x01\xabdraw_pixels\x91\xc4\x10\0\x01\0\x02\xff\0\0\xff\x02\x80\0\x03\xff\0\0\xff";
    assert_eq!(world.client.poll_transmit(), expected);
    world.round();
    let call = "draw_pixel(640, 3, #ff0000ff)".to_owned();
    let text = "(640, 3) is outside 640x480".to_owned();
    assert_eq!(world.told, [Told::Fault(2, call, Code::OutOfBounds, text, vec![])]);
    assert_eq!((world.client.done(), executed(&world)), (2, 1));
    // Nothing is joined to a request that has been sent, and a single pixel is sent as `draw_pixel`.
    world.call(&pixel(1, 2));
    assert_eq!(world.client.poll_transmit(), b"\x94\x00\x02\xaadraw_pixel\x93\x01\x02\xce\xff\0\0\xff");
}

#[test]
fn what_adds_ends_a_run_and_is_never_joined() {
    let mut world = World::new(SIZE);
    let add = Request::AddPixel { x: 1, y: 2, amount: 1 };
    for request in [pixel(1, 2), pixel(2, 2), add, add, pixel(3, 2), pixel(4, 2)] {
        world.call(&request);
    }
    world.round();
    assert_eq!(executed(&world), 4, "1 2 | add | add | 3 4");
    assert_eq!(world.host.display.pixel(1, 2), Some(Color::from_u32(RED.to_u32() + 2)), "in order");
    assert_eq!((world.client.done(), world.told.len()), (6, 0));
}

#[test]
fn every_pixel_that_fails_is_told_of_in_order() {
    let mut world = World::new(SIZE);
    for x in 0..5_000 {
        // Every third pixel is outside.
        world.call(&pixel(if x % 3 == 0 { 700 } else { x % 600 }, x / 600));
    }
    world.round();
    assert_eq!(executed(&world), 2, "no more than {} travel together", limits::JOINED);
    let numbers = world.told.iter().map(|told| match told {
        Told::Fault(number, call, Code::OutOfBounds, text, ranges) if ranges.is_empty() => {
            let y = (number - 1) / 600;
            assert_eq!(call, &format!("draw_pixel(700, {y}, #ff0000ff)"));
            assert_eq!(text, &format!("(700, {y}) is outside 640x480"));
            *number
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(numbers.collect::<Vec<_>>(), (0..5_000).step_by(3).map(|x| x + 1).collect::<Vec<_>>());
}

#[test]
fn what_ends_a_run() {
    let mut world = World::new(SIZE);
    // A run ends at a coordinate that does not fit a record, at another call, and after `JOIN_TIME`.
    for request in [pixel(1, 1), pixel(-1, 1), pixel(2, 1), pixel(3, 1), Request::Sync {}, pixel(4, 1)] {
        world.call(&request);
    }
    world.host.now += limits::JOIN_TIME;
    world.call(&pixel(5, 1));
    world.host.now += Duration::from_nanos(1);
    world.call(&pixel(6, 1));
    world.round();
    assert_eq!(executed(&world), 6, "1 | -1 | 2 3 | sync | 4 5 | 6");
    assert_eq!(world.client.done(), 8);
    assert!(matches!(&world.told[..], [Told::Fault(2, ..), Told::Answer(5, _)]), "{:?}", world.told);
}

#[test]
fn a_caller_may_join_without_asking_the_time() {
    let mut world = World::new(SIZE);
    assert_eq!(world.client.join(&pixel(1, 1), None), None, "there is nothing to join");
    world.call(&pixel(1, 1));
    assert_eq!(world.client.join(&pixel(2, 1), None), Some(2));
    assert_eq!(world.client.join(&pixel(-2, 1), None), None);
    assert_eq!(world.client.join(&Request::Sync {}, None), None);
    for number in 3..=limits::JOINED as u64 {
        assert_eq!(world.client.join(&pixel(3, 1), None), Some(number));
    }
    assert_eq!(world.client.join(&pixel(4, 1), None), None, "it is full");
    world.round();
    assert_eq!((world.client.done(), executed(&world)), (limits::JOINED as u64, 1));
}

#[test]
fn a_run_that_was_rejected_whole_fails_each_of_its_calls() {
    let mut world = World::new(SIZE);
    (0..3).for_each(|x| _ = world.call(&pixel(x, 0)));
    let long = "\u{20ac}".repeat(1_000);
    let fault = Raw::response(1).bytes(&[0x82]).str("code").str("no_memory").str("message").str(&long);
    world.hear_from_server(&fault.bytes(&[0xc0]).0);
    let numbers = world.told.iter().map(|told| match told {
        // Each call keeps the reason, so it is cut to less than the limit of a text.
        Told::Fault(number, _, Code::NoMemory, text, _) if text.len() <= 256 && long.starts_with(text) => {
            *number
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(world.client.done(), 3);
}

#[test]
fn a_lost_connection_names_each_of_them() {
    let mut world = World::new(SIZE);
    (0..3).for_each(|x| _ = world.call(&pixel(x, 0)));
    world.client.poll_transmit();
    (3..5).for_each(|x| _ = world.call(&pixel(x, 0)));
    let lost = world.client.give_up();
    let [begun, unsent] = [lost.begun, lost.unsent]
        .map(|calls| calls.iter().map(|made| (made.number, made.call.to_string())).collect::<Vec<_>>());
    let expected = |x: u64| (x + 1, format!("draw_pixel({x}, 0, #ff0000ff)"));
    assert_eq!(begun, (0..3).map(expected).collect::<Vec<_>>());
    assert_eq!(unsent, (3..5).map(expected).collect::<Vec<_>>(), "they had not become a request");
}

#[test]
fn each_knows_when_it_was_made() {
    let mut world = World::new(SIZE);
    let start = world.host.now;
    (0..3).for_each(|x| _ = world.call(&pixel(x, 0)));
    world.client.poll_transmit();
    world.host.now += Duration::from_secs(1);
    (0..2).for_each(|x| _ = world.call(&pixel(x, 0)));
    let times: Vec<_> = (0..=6).map(|n| world.client.made_at(n).map(|at| (at - start).as_secs())).collect();
    assert_eq!(times, [None, Some(0), Some(0), Some(0), Some(1), Some(1), None]);
}

#[test]
fn each_knows_the_line_that_made_it() {
    #[track_caller]
    fn here() -> Option<client::CallSite> {
        Some(std::panic::Location::caller())
    }
    let mut world = World::new(SIZE);
    let at = world.host.now;
    let (first, second) = (here(), here());
    for (x, place) in [(700, first), (701, first), (702, second), (703, None), (704, second)] {
        world.client.call(&pixel(x, 1), client::Origin { at, place }).unwrap();
    }
    world.client.call(&Request::Sync {}, client::Origin { at, place: first }).unwrap();
    let mut lost = world.client.give_up().unsent.into_iter().map(|made| made.place);
    assert!(lost.by_ref().eq([first, first, second, None, second, first]));

    let mut world = World::new(SIZE);
    for (x, place) in [(1, first), (701, second), (702, first)] {
        world.client.call(&pixel(x, 1), client::Origin { at, place }).unwrap();
    }
    let sent = world.client.poll_transmit().to_vec();
    let said = world.host.ask(&sent);
    let (mut input, mut places) = (&said[..], Vec::new());
    while let Some(event) = world.client.handle_input(&mut input, at).unwrap() {
        let client::Event::Fault(made, _) = event else { panic!("{event:?}") };
        places.push((made.number, made.place));
    }
    assert_eq!(places, [(2, second), (3, first)]);
}
