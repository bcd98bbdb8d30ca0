//! The bytes of a connection and their trace entries.

use crate::common::{self, Host, Raw, SIZE, World, pieces};
use draw_protocol::trace::{Direction, Entry, Tracer};
use draw_protocol::{Color, Pixel, Pixels, Request};
use std::time::{Duration, Instant};

use Direction::{ToClient, ToDisplay};

/// The bytes passed on a connection: direction, time since the start, bytes.
pub(crate) type Passed = Vec<(Direction, Duration, Vec<u8>)>;

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Traces the bytes, split into pieces of the lengths that `cut` returns.
pub(crate) fn trace(passed: &Passed, cut: &mut impl FnMut() -> usize) -> (Tracer, Vec<Entry>) {
    let start = Instant::now();
    let (mut tracer, mut entries) = (Tracer::new(1, start), Vec::new());
    for (direction, at, bytes) in passed {
        for mut piece in pieces(bytes, cut) {
            while let Some(entry) = tracer.handle_input(*direction, &mut piece, start + *at) {
                entries.push(entry);
            }
            assert!(piece.is_empty(), "all is taken");
        }
    }
    (tracer, entries)
}

pub(crate) fn lines(passed: &Passed) -> Vec<String> {
    trace(passed, &mut common::uncut).1.iter().map(Entry::to_string).collect()
}

/// Returns the bytes of a hand-written client's requests, each with its answer a millisecond later.
fn plain(requests: &[Vec<u8>]) -> Passed {
    let mut host = Host::new(SIZE);
    let mut passed = Passed::new();
    for (i, request) in requests.iter().enumerate() {
        let at = ms(10 * i as u64);
        passed.push((ToDisplay, at, request.clone()));
        passed.push((ToClient, at + ms(1), host.ask(request)));
    }
    passed
}

pub(crate) fn draw(msgid: u32, x: u32, y: u32) -> Raw {
    Raw::request(msgid, "draw_pixel").bytes(&[0x93]).uint(x).uint(y).uint(0xff00_00ff)
}

pub(crate) fn plain_conversation() -> Passed {
    plain(&[
        draw(1, 1, 2).0,
        draw(1, 700, 10).0,
        Raw::request(1, "get_size").bytes(&[0x90]).0,
        Raw::request(2, "get_mouse").bytes(&[0x90]).0,
        Raw::request(3, "get_image").bytes(&[0x94, 1, 2, 2, 1]).0,
        Raw::request(4, "get_pixel").bytes(&[0x92, 1, 2]).0,
        Raw::request(5, "sync").bytes(&[0x90]).0,
        Raw::request(6, "explode").bytes(&[0x93, 0xc3, 0xc4, 1, 9, 0x81, 0xa1, b'a', 0x91, 0xc0]).0,
        Raw::request(7, "clear").str("red").0,
        Raw::notification("clear").bytes(&[0x91, 0x00]).0,
        Raw::request(8, "draw_pixels").bytes(&[0x91, 0x91, 0x93, 0xff, 2, 3]).0,
        Raw::request(9, "put_image").bytes(&[0x95, 0, 0, 1, 2]).bin(&[7; 8]).0,
    ])
}

pub(crate) fn greeted_conversation() -> Passed {
    let mut world = World::silent(SIZE);
    let mut passed = Passed::new();
    let mut step = |world: &mut World, at: u64, requests: &[Request<'_>]| {
        (world.to_server, world.to_client) = (vec![], vec![]);
        for request in requests {
            world.call(request);
        }
        world.round();
        passed.push((ToDisplay, ms(at), world.to_server.clone()));
        passed.push((ToClient, ms(at + 2), world.to_client.clone()));
    };
    let pixel = |x: i32| Request::DrawPixel { x, y: 3, color: Color::RED };
    let clear = Request::Clear { color: Color::WHITE };
    let image = vec![9; 300 * 300 * 4];
    step(&mut world, 0, &[]);
    step(
        &mut world,
        10,
        &[clear, Request::FillRect { x: -1, y: 0, width: 2, height: 2, color: Color::BLUE }],
    );
    step(&mut world, 20, &[pixel(1), pixel(2), pixel(3), pixel(4), clear]);
    step(&mut world, 30, &[pixel(1), pixel(700)]);
    step(&mut world, 40, &[clear, Request::GetPixel { x: 0, y: 0 }]);
    step(&mut world, 50, &[Request::PutImage { x: 0, y: 0, width: 300, height: 300, rgba: &image }]);
    step(&mut world, 60, &[Request::GetImage { x: 0, y: 0, width: 300, height: 100 }]);
    let amounts = [Pixel::adding(1, 3, 1), Pixel::adding(2, 3, u32::MAX)];
    let add = Request::AddPixel { x: 1, y: 3, amount: 256 };
    let digest = Request::GetDigest { x: 0, y: 0, width: 0, height: 5 };
    step(&mut world, 65, &[add, add, Request::AddPixels { pixels: Pixels::from(&amounts[..]) }, digest]);
    world.host.server.close(draw_protocol::Fault::new(draw_protocol::Code::ShuttingDown, "the display ends"));
    passed.push((ToClient, ms(70), world.host.say()));
    passed
}
