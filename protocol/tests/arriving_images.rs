//! Received images are written directly into the program's buffer, however their bytes are split and also after a
//! reconnect.

mod common;

use common::{Raw, Told, World, config, pieces, uncut};
use draw_protocol::client::{Ended, Event};
use draw_protocol::server;
use draw_protocol::session::Id;
use draw_protocol::{Answer, Color, Fault, Hello, Request, Size};

/// The display size. Small, because the tests send an image for each position at which its bytes may be split.
const SIZE: Size = Size { width: 20, height: 254 };

const IMAGE: Request<'static> = Request::GetImage { x: 3, y: 4, width: 10, height: 250 };
const PIXEL: Request<'static> = Request::DrawPixel { x: 3, y: 4, color: Color::RED };

/// Returns the configuration of a display with sessions. Messages hold at most 4 KiB, so an image of 10 KB arrives in
/// three bands.
fn keeping() -> server::Config {
    server::Config { message: 4096, instance: Some((Id([7; 16]), 1)), ..config(SIZE) }
}

/// Returns a client that has called for a pixel, the image and another pixel, and the display's answer. Adjacent bytes
/// of the image differ.
fn asked() -> (World, Vec<u8>) {
    let mut world = World::in_session(keeping());
    for (color, i) in world.host.display.pixels.iter_mut().zip(1..) {
        *color = Color::from_u32(0x0107_1f3d_u32.wrapping_mul(i));
    }
    for request in [PIXEL, IMAGE, PIXEL] {
        world.call(&request);
    }
    world.up(&mut uncut);
    let said = world.host.say();
    (world, said)
}

fn answer(world: &World) -> Told {
    Told::Answer(2, world.host.display.clone().apply(&IMAGE).expect("it lies inside"))
}

/// Returns the positions at which the bytes are split: all near the beginning of a band, and some of the others.
fn cuts() -> impl Iterator<Item = usize> {
    let length = asked().1.len();
    assert!(length > 10_000 + 3 * 8);
    (0..length).filter(|i| i % 4000 < 70 || i % 13 == 0)
}

#[test]
fn an_image_is_the_same_wherever_its_bytes_are_cut() {
    for cut in cuts() {
        let (mut world, said) = asked();
        world.hear_from_server(&said[..cut]);
        world.hear_from_server(&said[cut..]);
        assert!(world.told == [answer(&world)], "cut at {cut}");
        assert_eq!((world.client.done(), world.client.in_flight()), (3, 0), "cut at {cut}");
    }
    for most in (1..70).chain([999, 4031, 4032, 4033, 4096, 8100]) {
        let (mut world, said) = asked();
        pieces(&said, &mut || most).into_iter().for_each(|piece| world.hear_from_server(piece));
        assert!(world.told == [answer(&world)], "in pieces of {most}");
    }
}

#[test]
fn a_connection_may_be_lost_after_any_byte_of_an_image_and_the_image_is_whole() {
    for end in cuts() {
        let (mut world, said) = asked();
        world.hear_from_server(&said[..end]);
        world.come_back(keeping());
        world.round();
        // `Told::Welcome` also stands for a resumed session. The image may have been complete before the loss.
        world.told.retain(|told| *told != Told::Welcome);
        assert!(world.told == [answer(&world)], "lost after {end} bytes");
        assert_eq!((world.client.done(), world.client.in_flight()), (3, 0), "lost after {end} bytes");
    }
}

#[test]
fn a_connection_that_is_given_up_after_any_byte_of_an_image_names_the_image() {
    for end in cuts() {
        let (mut world, said) = asked();
        world.hear_from_server(&said[..end]);
        let given_up = world.client.give_up();
        let calls: Vec<_> = given_up.begun.iter().map(|made| made.number).collect();
        let is_whole = !world.told.is_empty();
        assert!(
            calls.ends_with(if is_whole { &[3] } else { &[2, 3] }),
            "{calls:?} given up after {end} bytes"
        );
        assert!(given_up.unsent.is_empty() && world.client.done() == 3, "given up after {end} bytes");
    }
}

/// Returns a client that has requested an image of 1,000 bytes.
fn asked_for_less() -> World {
    let mut world = World::new(SIZE);
    world.call(&Request::GetImage { x: 0, y: 0, width: 10, height: 25 });
    world
}

/// Returns the events of a client that receives an answer in two halves.
fn halved(world: &mut World, bytes: &[u8]) -> Result<Vec<Told>, Ended> {
    let now = world.host.now;
    world.client.poll_transmit();
    let mut told = Vec::new();
    let (first, second) = bytes.split_at(bytes.len() / 2);
    for mut part in [first, second] {
        while let Some(event) = world.client.handle_input(&mut part, now)? {
            told.push(Told::from(event));
        }
    }
    Ok(told)
}

#[test]
fn an_answer_that_is_not_what_was_asked_for_is_judged_as_a_whole_one_is() {
    let answered = |msgid, error: &[u8], length| Raw::response(msgid).bytes(error).bin(&vec![7; length]).0;
    let mut world = asked_for_less();
    let told = halved(&mut world, &answered(1, &[0xc0], 1000)).expect("what was asked for");
    assert_eq!(told, [Told::Answer(1, Answer::Image(vec![7; 1000]))]);
    // Some displays send the image as a str.
    let text = Raw::response(1).bytes(&[0xc0, 0xda, 0x03, 0xe8]).bytes(&[7; 1000]).0;
    let told = halved(&mut asked_for_less(), &text).expect("a str is bytes too");
    assert_eq!(told, [Told::Answer(1, Answer::Image(vec![7; 1000]))]);
    for (wrong, says) in [
        (answered(1, &[0xc0], 999), "it answered an image of 10x25 with 999 bytes"),
        (answered(1, &[0xc0], 1001), "it answered an image of 10x25 with 1001 bytes"),
        (answered(2, &[0xc0], 1000), "it answered request 2, which is not in flight"),
        (answered(0, &[0xc0], 1000), "it answered request 0, which is not in flight"),
        (answered(1, &[0xc2], 1000), "its error cannot be read"),
        (Raw::response(1).bin(&[7; 1000]).bytes(&[0xc0]).0, "its error cannot be read"),
    ] {
        let ended = halved(&mut asked_for_less(), &wrong).expect_err(says);
        assert!(ended.to_string().contains(says), "{ended}");
    }
    let fault = Fault::new(draw_protocol::Code::NoMemory, "x".repeat(600));
    let error = rmp_serde::to_vec_named(&fault).expect("a map");
    let told = halved(&mut asked_for_less(), &Raw::response(1).bytes(&error).bytes(&[0xc0]).0);
    assert!(matches!(&told.expect("a fault")[..], [Told::Fault(1, ..)]));
}

#[test]
fn where_there_are_checks_an_altered_image_is_never_shown() {
    let mut hello = Hello::new("demo");
    hello.checks = true;
    let mut world = World::with(config(SIZE));
    world.client = draw_protocol::client::Connection::new(&hello);
    let mut world = world.greeted();
    world.call(&Request::GetImage { x: 0, y: 0, width: 10, height: 25 });
    world.up(&mut uncut);
    let mut said = world.host.say();
    let last = said.len() - 1;
    said[last] ^= 1;
    let ended = halved(&mut world, &said).expect_err("altered");
    assert!(matches!(ended, Ended::Corrupted(_)), "{ended}");
}

#[test]
fn what_arrives_of_an_image_is_in_memory_once() {
    const BAND: usize = 256 << 10;
    let size = Size { width: 512, height: 512 };
    let instance = Some((Id([7; 16]), 1));
    let mut world = World::in_session(server::Config { instance, ..config(size) });
    world.call(&Request::GetImage { x: 0, y: 0, width: size.width, height: size.height });
    world.up(&mut uncut);
    let said = world.host.say();
    let (mut rest, mut direct, mut most) = (&said[..], 0, 0);
    let now = world.host.now;
    let mut image = None;
    while !rest.is_empty() {
        let n;
        if let Some((body, room)) = world.client.body() {
            n = room.min(10_000);
            body.extend_from_slice(&rest[..n]);
            direct += n;
            image = world.client.handle_input(&mut &[][..], now).expect("an honest display");
        } else {
            n = rest.len().min(world.client.read_length());
            image = world.client.handle_input(&mut &rest[..n], now).expect("an honest display");
        }
        rest = &rest[n..];
        most = most.max(world.client.memory());
    }
    assert!(matches!(image, Some(Event::Answer(_, Answer::Image(image))) if image.len() == 4 * BAND));
    assert!(direct > 4 * (BAND - 64), "{direct} bytes went straight to it");
    assert!(most < 4 * BAND + 64_000, "{most} bytes at most");
    world.call(&PIXEL);
    let next = world.client.poll_transmit();
    assert!(next.windows(4).any(|bytes| bytes == b"\xa3ack"), "the display need not keep it any longer");
}
