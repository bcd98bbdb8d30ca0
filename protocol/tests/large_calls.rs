//! Calls of more data than one message may have, and the credit that bounds what is under way.

mod common;

use common::display::Display;
use common::{SIZE, Told, World, config, uncut};
use draw_protocol::server::Config;
use draw_protocol::{Answer, Code, Color, Pixel, Pixels, Range, Request, Scan, Size, limits};

const RED: Color = Color::RED;

fn pixel(x: i32) -> Request<'static> {
    Request::DrawPixel { x, y: 0, color: RED }
}

/// The messages in `bytes`, which are whole.
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
    assert!(text.starts_with("2 of 65536 pixels are outside 640x480; 3 of 65536"), "{text}");
    assert_eq!(world.client.done(), 2);
    let drawn = world.host.display.pixels.iter().filter(|&&color| color == RED).count();
    assert_eq!(drawn, 200_000 - 7 + 1, "all others are drawn, and pixel (0, 0) by the second call");
}

#[test]
fn a_long_draw_that_is_cut_off_is_named_once() {
    let mut world = World::granted(SIZE, |welcome| welcome.batch = 2);
    let pixels = [Pixel::new(0, 0, RED); 9];
    world.call(&Request::DrawPixels { pixels: Pixels::from(&pixels[..]) });
    world.call(&pixel(0));
    // One part of five was drawn.
    world.hear_from_server(b"\x93\x02\xa8progress\x91\x01");
    assert_eq!(world.client.done(), 0);
    let lost: Vec<_> =
        world.client.give_up().iter().map(|made| (made.number, made.call.to_string())).collect();
    assert_eq!(lost, [(1, "draw_pixels(9 pixels)".into()), (2, "draw_pixel(0, 0, #ff0000ff)".into())]);
}

#[test]
fn a_part_that_was_rejected_whole_is_named_by_its_pixels() {
    let mut world = World::granted(SIZE, |welcome| welcome.batch = 2);
    let pixels = [Pixel::new(0, 0, RED); 5];
    world.call(&Request::DrawPixels { pixels: Pixels::from(&pixels[..]) });
    // Three requests: the first is drawn, the second has no memory, of the third (one pixel) all is outside.
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

/// What a display shows after `put_image`, by a client whose messages are small and by a direct call.
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
fn an_image_is_asked_for_in_bands_that_fit_a_message() {
    let world = World::with(Config { message: limits::FIRST_MESSAGE, ..config(SIZE) }).greeted();
    let client = &world.client;
    assert_eq!(client.bands(10, 10), Ok(vec![(0, 10)]));
    assert_eq!(client.bands(100, 25), Ok(vec![(0, 10), (10, 10), (20, 5)]));
    assert_eq!(client.bands(u32::MAX, 0), Ok(vec![(0, 0)]));
    // Four times 2^31 squared is 2^64, which a 64-bit product takes for nothing.
    for side in [1009, 1 << 31, u32::MAX] {
        assert_eq!(client.bands(side, side).map_err(|fault| fault.code), Err(Code::TooLarge), "{side}");
    }
    assert_eq!(client.bands(1, u32::MAX), Ok(vec![(0, u32::MAX)]), "larger than any display");
}

#[test]
fn an_answer_larger_than_a_message_names_the_remedy() {
    let mut world = World::with(Config { message: limits::FIRST_MESSAGE, ..config(SIZE) }).greeted();
    world.call(&Request::GetImage { x: 0, y: 0, width: 100, height: 25 });
    world.call(&Request::GetImage { x: 0, y: 0, width: u32::MAX, height: u32::MAX });
    world.call(&Request::GetImage { x: 0, y: 0, width: 100, height: 10 });
    world.round();
    let [Told::Fault(1, _, Code::TooLarge, text, _), Told::Fault(2, ..), Told::Answer(3, image)] =
        &world.told[..]
    else {
        panic!("{:?}", world.told)
    };
    assert_eq!(text, "an image of 100x25 has 10000 bytes; the limit is 4032: ask for bands of rows");
    assert!(matches!(image, Answer::Image(bytes) if bytes.len() == 4000));
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
    for x in 0..3 {
        assert!(world.client.has_credit(&pixel(x), 0), "call {x}");
        world.call(&pixel(x));
    }
    assert!(!world.client.has_credit(&pixel(3), 0));
    // Only the first two arrive whole.
    let sent = world.client.swap_transmit(Vec::new());
    world.host.hear(&sent[..sent.len() - 1]);
    world.down(&mut uncut);
    assert!(world.client.has_credit(&pixel(3), 1), "this one and another");
    assert!(!world.client.has_credit(&pixel(3), 2));
    world.host.hear(&sent[sent.len() - 1..]);
    world.down(&mut uncut);
    assert!(world.client.has_credit(&pixel(3), 2));
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
    // A row has 2,400 bytes: a message takes one.
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
