//! Calls with more data than one message may have, and the credit that bounds the data in flight.

mod common;

use common::display::Display;
use common::{SIZE, Told, World, config, uncut};
use draw_protocol::server::Config;
use draw_protocol::{Answer, Code, Color, Pixel, Pixels, Range, Request, Scan, Size, limits};

const RED: Color = Color::RED;

fn pixel(x: i32) -> Request<'static> {
    Request::DrawPixel { x, y: 0, color: RED }
}

/// Returns the messages in `bytes`, which holds only whole messages.
fn messages(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let end = Scan::default().run(bytes, limits::MESSAGE).expect("a message").expect("all of it");
        let (message, rest) = bytes.split_at(end);
        found.push(message);
        bytes = rest;
    }
    found
}

#[test]
fn a_long_draw_is_one_call_and_several_requests() {
    let mut pixels: Vec<_> =
        (0..200_000u32).map(|i| Pixel::new((i % 640) as u16, (i / 640) as u16, RED)).collect();
    for i in [0, 65_535, 65_536, 70_000, 70_001, 131_072, 199_999] {
        pixels[i].x = 640;
    }
    let mut world = World::new(SIZE);
    assert_eq!(world.call(&Request::DrawPixels { pixels: Pixels::from(&pixels[..]) }), 1);
    assert_eq!(world.call(&pixel(0)), 2);
    assert_eq!(world.client.in_flight(), 2, "two calls");
    assert_eq!(messages(world.client.poll_transmit()).len(), 5, "five requests");
    world.round();
    let ranges = [(0, 1), (65_535, 2), (70_000, 2), (131_072, 1), (199_999, 1)];
    let [Told::Fault(1, call, Code::OutOfBounds, text, rejected)] = &world.told[..] else {
        panic!("{:?}", world.told)
    };
    assert_eq!(call, "draw_pixels(200000 pixels)");
    assert_eq!(rejected, &ranges.map(Range::from));
    let named = [0, 102, 102, 109, 109, 204, 312].map(|y| format!("(640, {y})")).join(", ");
    assert_eq!(*text, format!("7 of 200000 pixels are outside 640x480: {named}"), "as of one request");
    assert_eq!(world.client.done(), 2);
    let drawn = world.host.display.pixels.iter().filter(|&&color| color == RED).count();
    assert_eq!(drawn, 200_000 - 7 + 1, "all others are drawn, and pixel (0, 0) by the second call");
}

#[test]
fn a_long_addition_is_cut_like_a_long_draw_and_adds_everything_once() {
    let mut world = World::granted(SIZE, |welcome| welcome.batch = 1_000);
    let mut pixels = vec![Pixel::adding(5, 6, 3); 2_500];
    for i in [999, 1_000, 2_499] {
        pixels[i].x = 640;
    }
    let before = world.host.display.pixel(5, 6).unwrap().to_u32();
    assert_eq!(world.call(&Request::AddPixels { pixels: Pixels::from(&pixels[..]) }), 1);
    assert_eq!(messages(world.client.poll_transmit()).len(), 3);
    world.round();
    let [Told::Fault(1, call, Code::OutOfBounds, _, rejected)] = &world.told[..] else {
        panic!("{:?}", world.told)
    };
    assert_eq!(call, "add_pixels(2500 pixels)");
    assert_eq!(rejected, &[(999, 2), (2_499, 1)].map(Range::from));
    assert_eq!(world.host.display.pixel(5, 6), Some(Color::from_u32(before + 3 * 2_497)));
}

#[test]
fn a_long_draw_that_is_cut_off_is_named_once() {
    let mut world = World::granted(SIZE, |welcome| welcome.batch = 2);
    let pixels = [Pixel::new(0, 0, RED); 9];
    world.call(&Request::DrawPixels { pixels: Pixels::from(&pixels[..]) });
    world.call(&pixel(0));
    // One of five parts is drawn.
    world.hear_from_server(b"\x93\x02\xa8progress\x91\x01");
    assert_eq!(world.client.done(), 0);
    let lost: Vec<_> =
        world.client.give_up().begun.iter().map(|made| (made.number, made.call.to_string())).collect();
    assert_eq!(lost, [(1, "draw_pixels(9 pixels)".into()), (2, "draw_pixel(0, 0, #ff0000ff)".into())]);
}

#[test]
fn a_part_that_was_rejected_whole_is_named_by_its_pixels() {
    let mut world = World::granted(SIZE, |welcome| welcome.batch = 2);
    let pixels = [Pixel::new(0, 0, RED); 5];
    world.call(&Request::DrawPixels { pixels: Pixels::from(&pixels[..]) });
    // The call is three requests: the first is drawn, the second fails with `no_memory`, and the one pixel of the
    // third is outside.
    world.hear_from_server(b"\x94\x01\x02\x82\xa4code\xa9no_memory\xa7message\xa4full\xc0");
    assert_eq!((world.told.len(), world.client.done()), (0, 0), "the call is not done");
    world.hear_from_server(
        b"\x94\x01\x03\x83\xa4code\xadout_of_bounds\xa7message\xa3out\xa8rejected\x91\x92\x00\x01\xc0",
    );
    let ranges = vec![Range::from((2, 3))];
    let call = "draw_pixels(5 pixels)".to_owned();
    assert_eq!(world.told, [Told::Fault(1, call, Code::NoMemory, "full; out".into(), ranges)]);
    assert_eq!(world.client.done(), 1);
}

#[test]
fn a_small_message_limit_cuts_batches_too() {
    let mut world = World::with(Config { message: limits::FIRST_MESSAGE, ..config(SIZE) }).greeted();
    let pixels: Vec<_> = (0..2000u16).map(|i| Pixel::new(i % 640, i / 640, RED)).collect();
    world.call(&Request::DrawPixels { pixels: Pixels::from(&pixels[..]) });
    world.round();
    assert_eq!((world.told, world.client.done()), (vec![], 1));
    assert_eq!(world.host.display.pixels.iter().filter(|&&color| color == RED).count(), 2000);
}

/// Draws an image with a client that has small messages and with a direct call, and compares the displays.
fn put_both_ways(x: i32, y: i32, width: u32, height: u32) -> World {
    let rgba: Vec<u8> = (0..width * height * 4).map(|i| (i % 251) as u8).collect();
    let request = Request::PutImage { x, y, width, height, rgba: &rgba };
    let mut world = World::with(Config { message: limits::FIRST_MESSAGE, ..config(SIZE) }).greeted();
    world.call(&request);
    let sent = messages(world.client.poll_transmit());
    assert!(sent.len() > 2 && sent.iter().all(|message| message.len() <= limits::FIRST_MESSAGE));
    world.round();
    let mut whole = Display::new(SIZE);
    assert_eq!(whole.apply(&request).is_err(), !world.told.is_empty());
    assert!(world.host.display == whole, "the picture differs");
    assert_eq!((world.client.done(), world.client.in_flight()), (1, 0));
    world
}

#[test]
fn a_large_image_goes_as_bands_of_rows() {
    assert_eq!(put_both_ways(10, 20, 100, 101).told, []);
    assert_eq!(put_both_ways(0, 0, 640, 5).told, []);
    let world = put_both_ways(-20, -30, 60, 90);
    let [Told::Fault(1, call, Code::OutOfBounds, _, ranges)] = &world.told[..] else {
        panic!("one call has one event: {:?}", world.told)
    };
    assert_eq!((&call[..], &ranges[..]), ("put_image(-20, -30, 60, 90, 21600 bytes)", &[][..]));
}

#[test]
fn what_can_never_be_sent_is_refused_at_once() {
    let mut world = World::with(Config { message: limits::FIRST_MESSAGE, ..config(SIZE) }).greeted();
    let rgba = vec![0; 2000 * 4 * 2];
    for (width, height, says) in [
        (2000, 2, "too_large: a row of 2000 pixels has 8000 bytes; the limit of a message is 4032"),
        (3, 3, "invalid_argument: rgba has 16000 bytes; an image of 3x3 has 36"),
        (u32::MAX, u32::MAX, "invalid_argument: rgba has 16000 bytes; an image of 4294967295x4294967295 has"),
    ] {
        let request = Request::PutImage { x: 0, y: 0, width, height, rgba: &rgba };
        let fault = world.client.call(&request, world.host.now).expect_err(says);
        assert!(fault.to_string().starts_with(says), "{fault}");
    }
    assert_eq!((world.client.last_call(), world.client.poll_transmit()), (0, &[][..]), "nothing was sent");
}

#[test]
fn a_large_image_is_asked_for_in_bands_and_is_one_answer() {
    let mut world = World::with(Config { message: limits::FIRST_MESSAGE, ..config(SIZE) }).greeted();
    for (i, color) in world.host.display.pixels.iter_mut().enumerate() {
        *color = Color::from_u32(i as u32);
    }
    for (x, y, width, height, requests) in
        [(0, 0, 10, 10, 1), (17, 3, 100, 25, 3), (0, 479, 640, 1, 1), (5, 5, 0, 9, 1)]
    {
        let request = Request::GetImage { x, y, width, height };
        let number = world.call(&request);
        assert_eq!(messages(world.client.poll_transmit()).len(), requests, "{width}x{height}");
        world.round();
        let expected = world.host.display.apply(&request).unwrap();
        assert!(std::mem::take(&mut world.told) == [Told::Answer(number, expected)], "{width}x{height}");
    }
}

#[test]
fn a_band_of_an_image_that_fails_fails_the_image() {
    let mut world = World::granted(SIZE, |welcome| welcome.message = 4096);
    world.call(&Request::GetImage { x: 0, y: 0, width: 100, height: 25 });
    let sent = world.client.poll_transmit().len();
    world.client.handle_transmitted(sent);
    let band =
        |msgid: u32, rows: usize| common::Raw::response(msgid).bytes(&[0xc0]).bin(&vec![7; rows * 400]).0;
    world.hear_from_server(&band(1, 10));
    world.hear_from_server(b"\x94\x01\x02\x82\xa4code\xa9no_memory\xa7message\xa4full\xc0");
    assert_eq!((world.told.len(), world.client.done()), (0, 0), "the call is not done");
    world.hear_from_server(&band(3, 5));
    let call = "get_image(0, 0, 100, 25)".to_owned();
    assert_eq!(world.told, [Told::Fault(1, call, Code::NoMemory, "full".into(), vec![])]);
    // The failed call leaves nothing behind for the next.
    world.told.clear();
    world.call(&Request::GetImage { x: 0, y: 0, width: 1, height: 1 });
    world.hear_from_server(&common::Raw::response(4).bytes(&[0xc0]).bin(&[1, 2, 3, 4]).0);
    assert_eq!(world.told, [Told::Answer(2, Answer::Image(vec![1, 2, 3, 4]))]);
}

#[test]
fn an_image_that_no_display_can_answer_is_refused_at_once() {
    let mut world = World::with(Config { message: limits::FIRST_MESSAGE, ..config(SIZE) }).greeted();
    for (width, height, says) in [
        (641, 480, "out_of_bounds: the rectangle 641x480 at (0, 0) is not all inside 640x480"),
        (1009, 1009, "too_large: a row of 1009 pixels has 4036 bytes; the limit of a message is 4032"),
        (1 << 31, 1 << 31, "too_large: a row of 2147483648 pixels"),
        (1, u32::MAX, "out_of_bounds: the rectangle 1x4294967295 at (0, 0) is not all inside 640x480"),
    ] {
        let request = Request::GetImage { x: 0, y: 0, width, height };
        let fault = world.client.call(&request, world.host.now).expect_err(says);
        assert!(fault.to_string().starts_with(says), "{fault}");
    }
    assert_eq!((world.client.last_call(), world.client.poll_transmit()), (0, &[][..]), "nothing was sent");
}

#[test]
fn an_answer_larger_than_a_message_names_the_remedy() {
    let mut host = common::Host::with(Config { message: limits::FIRST_MESSAGE, ..config(SIZE) });
    let ask = |msgid, width, height| {
        let request = common::Raw::request(msgid, "get_image").bytes(&[0x94, 0, 0]);
        request.uint(width).uint(height).0
    };
    let answer = host.ask(&[ask(1, 100, 25), ask(2, u32::MAX, u32::MAX)].concat());
    let faults = common::plain_faults(&answer);
    let text = "too_large: an image of 100x25 has 10000 bytes; the limit is 4032: ask for bands of rows";
    assert_eq!(faults[0], (1, text.to_owned()));
    assert!(faults[1].1.starts_with("too_large: "), "{faults:?}");
    assert!(host.ask(&ask(3, 100, 10)).len() > 4000);
}

#[test]
fn nothing_is_granted_before_the_greeting() {
    let mut world = World::silent(SIZE);
    assert!(!world.client.has_credit(&pixel(0), 0));
    let fault = world.client.call(&pixel(0), world.host.now).expect_err("no greeting yet");
    assert!(fault.to_string().contains("greeting"), "{fault}");
    world.round();
    assert!(world.client.has_credit(&pixel(0), 0));
}

#[test]
fn credit_in_calls_runs_out_and_comes_back_with_progress() {
    let mut world = World::granted(SIZE, |welcome| welcome.calls = 3);
    let clear = Request::Clear { color: RED };
    for i in 0..3 {
        assert!(world.client.has_credit(&clear, 0), "call {i}");
        world.call(&clear);
    }
    assert!(!world.client.has_credit(&clear, 0));
    // Only the first two arrive whole.
    let sent = world.client.swap_transmit(Vec::new());
    world.host.hear(&sent[..sent.len() - 1]);
    world.down(&mut uncut);
    assert!(world.client.has_credit(&clear, 1), "this one and another");
    assert!(!world.client.has_credit(&clear, 2));
    world.host.hear(&sent[sent.len() - 1..]);
    world.down(&mut uncut);
    assert!(world.client.has_credit(&clear, 2));
}

#[test]
fn single_pixels_that_travel_together_take_the_credit_of_one_request() {
    let mut world = World::granted(SIZE, |welcome| welcome.calls = 2);
    world.call(&Request::Clear { color: RED });
    for x in 0..100 {
        assert!(world.client.has_credit(&pixel(x), 0), "call {x}");
        world.call(&pixel(x));
    }
    assert!(!world.client.has_credit(&Request::Clear { color: RED }, 0));
    world.client.poll_transmit();
    assert!(!world.client.has_credit(&pixel(0), 0), "those that were sent are joined no more");
    world.round();
    assert_eq!((world.client.done(), world.host.server.stats().executed), (101, 2));
}

#[test]
fn credit_counts_every_request_of_a_call() {
    let mut world =
        World::granted(SIZE, |welcome| (welcome.calls, welcome.batch, welcome.message) = (4, 10, 4096));
    world.call(&pixel(0));
    let pixels = [Pixel::new(0, 0, RED); 31];
    let draw = |n: usize| Request::DrawPixels { pixels: Pixels::from(&pixels[..n]) };
    assert!(world.client.has_credit(&draw(30), 0), "three requests");
    assert!(!world.client.has_credit(&draw(31), 0), "four requests");
    // A row has 2,400 bytes, so a message holds one row.
    let rgba = vec![0; 600 * 4 * 4];
    let image = |height: u32| Request::PutImage {
        x: 0,
        y: 0,
        width: 600,
        height,
        rgba: &rgba[..2400 * height as usize],
    };
    assert!(world.client.has_credit(&image(3), 0));
    assert!(!world.client.has_credit(&image(4), 0));
}

#[test]
fn credit_in_bytes_lets_one_large_call_go_alone() {
    let mut world = World::granted(SIZE, |welcome| welcome.bytes = 1000);
    let pixels = [Pixel::new(0, 0, RED); 200];
    let draw = |n: usize| Request::DrawPixels { pixels: Pixels::from(&pixels[..n]) };
    assert!(world.client.has_credit(&draw(200), 0), "1,600 bytes, but nothing else is under way");
    world.call(&draw(100));
    assert!(!world.client.has_credit(&draw(100), 0));
    assert!(world.client.has_credit(&draw(5), 0));
    world.round();
    assert!(world.client.has_credit(&draw(200), 0));
}

#[test]
fn a_long_message_is_read_into_place() {
    let size = Size { width: 400, height: 300 };
    let rgba: Vec<u8> = (0..400 * 300 * 4u32).map(|i| (i % 253) as u8).collect();
    let mut world = World::new(size);
    world.call(&Request::PutImage { x: 0, y: 0, width: 400, height: 300, rgba: &rgba });
    world.call(&Request::GetImage { x: 0, y: 0, width: 400, height: 300 });
    let sent = world.client.swap_transmit(Vec::new());
    let mut rest = &sent[..];
    let mut direct = 0;
    while !rest.is_empty() {
        if let Some((body, room)) = world.host.server.body() {
            direct += room;
            body.extend_from_slice(&rest[..room]);
            rest = &rest[room..];
            world.host.hear(&[]);
        } else {
            let n = rest.len().min(1000);
            world.host.hear(&rest[..n]);
            rest = &rest[n..];
        }
    }
    assert!(direct > 400_000, "{direct} bytes took no detour");
    let said = world.host.say();
    let mut rest = &said[..];
    while !rest.is_empty() {
        if let Some((body, room)) = world.client.body() {
            body.extend_from_slice(&rest[..room]);
            rest = &rest[room..];
            world.hear_from_server(&[]);
        } else {
            let n = rest.len().min(1000);
            world.hear_from_server(&rest[..n]);
            rest = &rest[n..];
        }
    }
    assert!(world.told == [Told::Answer(2, Answer::Image(rgba))], "the image comes back as it went");
    assert!(world.client.memory() <= 2 * limits::READ, "the buffer is given back");
}
