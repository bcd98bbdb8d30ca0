//! The lecture's circle in every mode of both clients: the same picture, and the round trips that each waits for.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

use display_server::{Options, Present, with_display};
use draw_client::{Color, Display, Pixel, blocking};
use draw_examples::{DelayLine, disc};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const SIDE: u32 = 120;

fn circle() -> Vec<Pixel> {
    disc(100, (60, 60)).map(|(x, y)| Pixel::at(x, y, Color::RED)).collect()
}

/// Runs a mode on a new display. Returns the display's picture and the mode's result.
fn shown<T: Send>(mode: impl FnOnce(SocketAddr) -> T + Send) -> (Vec<u8>, T) {
    let size = display_server::Size { width: SIDE, height: SIDE };
    let options =
        Options { size, listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() };
    with_display(options, |own| {
        let answer = mode(own.address());
        let framebuffer = own.display().framebuffer();
        let mut picture = Vec::new();
        framebuffer.read(framebuffer.size().clip(0, 0, SIDE, SIDE), &mut picture);
        (picture, answer)
    })
    .unwrap()
}

/// Draws with one synchronous call per pixel. Every mode returns how often it waited.
fn synchronous(address: SocketAddr) -> u64 {
    let display = blocking::Display::connect(&address.to_string()).unwrap();
    for p in circle() {
        display.draw_pixel(p.x.into(), p.y.into(), p.color).unwrap();
    }
    display.stats().waits
}

fn synchronous_batch(address: SocketAddr) -> u64 {
    let display = blocking::Display::connect(&address.to_string()).unwrap();
    display.draw_pixels(&circle()).unwrap();
    display.stats().waits
}

fn asynchronous(address: SocketAddr) -> u64 {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let display = Display::connect(&address.to_string()).await.unwrap();
        for p in circle() {
            display.draw_pixel(p.x.into(), p.y.into(), p.color).await.unwrap();
        }
        display.sync().await.unwrap();
        display.close().await.unwrap();
        display.stats().waits
    })
}

fn asynchronous_batch(address: SocketAddr) -> u64 {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(
        async {
            let display = Display::connect(&address.to_string()).await.unwrap();
            display.draw_pixels(&circle()).await.unwrap().await.unwrap();
            display.close().await.unwrap();
            display.stats().waits
        },
    )
}

#[test]
fn every_mode_draws_the_same_circle_and_waits_as_often_as_the_lecture_says() {
    // Counted by the definition, independently of `disc`: pixels whose centre is at most 50 from (60, 60).
    let within = |x: u32, y: u32| {
        let (dx, dy) = (f64::from(x) + 0.5 - 60.0, f64::from(y) + 0.5 - 60.0);
        dx.hypot(dy) <= 50.0
    };
    let all = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    let model: Vec<u8> = all
        .flat_map(|(x, y)| if within(x, y) { Color::RED.to_bytes() } else { Color::BLACK.to_bytes() })
        .collect();
    let count = model.chunks(4).filter(|pixel| *pixel == Color::RED.to_bytes()).count();
    assert_eq!(count, 7_860);
    assert_eq!(circle().len(), count);

    // An asynchronous answer may arrive before it is awaited, without any wait.
    for (mode, (picture, waits), least, most) in [
        ("synchronous", shown(synchronous), count as u64, count as u64),
        ("synchronous batch", shown(synchronous_batch), 1, 1),
        ("asynchronous", shown(asynchronous), 0, 1),
        ("asynchronous batch", shown(asynchronous_batch), 0, 1),
    ] {
        assert!(picture == model, "{mode}: another picture");
        assert!((least..=most).contains(&waits), "{mode}: waits for {waits} round trips");
    }
}

/// A distant network costs the round trips that were waited for, and no less: two, one of them for the greeting.
#[test]
fn distance_costs_its_round_trips() {
    const RTT: Duration = Duration::from_millis(50);
    let far = |mode: fn(SocketAddr) -> u64| {
        move |near: SocketAddr| {
            let line = DelayLine::start(near, RTT).unwrap();
            let began = Instant::now();
            assert_eq!(
                mode(line.address()),
                1,
                "over this distance no answer is there before it is asked for"
            );
            began.elapsed()
        }
    };
    for mode in [synchronous_batch as fn(SocketAddr) -> u64, asynchronous, asynchronous_batch] {
        let (picture, time) = shown(far(mode));
        assert_eq!(picture.chunks(4).filter(|pixel| *pixel == Color::RED.to_bytes()).count(), 7_860);
        assert!(time >= 2 * RTT, "{time:?}");
    }
}
