//! The request, the duration and the contents of an answer.

use super::passed::{Passed, draw, lines, ms, trace};
use crate::common::{self, Host, Raw, SIZE, World};
use draw_protocol::trace::{Direction, Outcome, Said};
use draw_protocol::{Color, Pixel, Pixels, Request, limits};

use Direction::{ToClient, ToDisplay};

#[test]
fn of_rejected_pixels_the_first_are_named() {
    let mut world = World::new(SIZE);
    world.to_client = vec![];
    let pixels: Vec<_> =
        (0..60_000).map(|i| Pixel::new(if i % 3 == 0 { 1 } else { 700 }, 0, Color::RED)).collect();
    world.call(&Request::DrawPixels { pixels: Pixels::from(&pixels[..]) });
    world.round();
    assert!(world.to_client.len() > 50_000, "longer than what is kept of it");
    let [line] = &lines(&vec![(ToClient, ms(0), world.to_client)])[..] else { panic!("one line") };
    assert_eq!(
        line,
        "  0.000000 #1 <- 1 out_of_bounds: 40000 of 60000 pixels are outside 640x480: (700, 0), (700, 0), (700, 0), \
         (700, 0), (700, 0), (700, 0), (700, 0), (700, 0), (700, 0), (700, 0) and 39990 more; not drawn: [1..=2], [4..=5], \
         [7..=8], [10..=11], [13..=14], [16..=17], [19..=20], [22..=23], ... (of no request that was seen)"
    );
}

#[test]
fn durations_are_those_of_each_request() {
    let mut passed: Passed = vec![(ToDisplay, ms(0), Raw::request(0, "hello").bytes(&[0x91, 0x80]).0)];
    for n in 1..=5 {
        passed.push((ToDisplay, ms(u64::from(n) * 10), draw(n, n, n).0));
    }
    let progress = |n| Raw::notification("progress").bytes(&[0x91]).uint(n).0;
    passed.push((ToClient, ms(1), Raw::response(0).bytes(&[0xc0, 0x80]).0));
    passed.push((ToClient, ms(60), progress(1)));
    passed.push((ToClient, ms(61), progress(4)));
    passed.push((ToClient, ms(62), progress(4)));
    passed.push((ToClient, ms(63), Raw::response(9).bytes(&[0xc0, 0xc0]).0));
    passed.push((ToClient, ms(64), Raw::response(5).bytes(&[0xc0, 0xc0]).0));
    let (_, entries) = trace(&passed, &mut common::uncut);
    let back: Vec<_> = entries[6..].iter().map(|entry| entry.said.to_string()).collect();
    assert_eq!(
        back,
        [
            "0 hello: {} (1.000 ms)",
            "progress 1: 1 done, after 50.000 ms",
            "progress 4: 3 done, after 21.000 to 41.000 ms",
            "progress 4: 0 done",
            "9 done (of no request that was seen)",
            "5 draw_pixel: done (14.000 ms)",
        ]
    );
    // The same values are available as fields.
    assert!(matches!(
        &entries[11].said,
        Said::Response { msgid: 5, method: Some("draw_pixel"), outcome: Outcome::Done, took: Some(took), before: 0 }
            if *took == ms(14)
    ));
}

#[test]
fn one_number_for_every_request_means_the_oldest() {
    let passed: Passed = vec![
        (ToDisplay, ms(0), draw(7, 1, 1).0),
        (ToDisplay, ms(10), Raw::request(7, "get_size").bytes(&[0x90]).0),
        (ToClient, ms(11), Raw::response(7).bytes(&[0xc0, 0xc0]).0),
        (ToClient, ms(12), Raw::response(7).bytes(&[0xc0, 0x92, 3, 4]).0),
    ];
    assert_eq!(
        lines(&passed)[2..],
        ["  0.011000 #1 <- 7 draw_pixel: done (11.000 ms)", "  0.012000 #1 <- 7 get_size: 3x4 (2.000 ms)"]
    );
}

#[test]
fn answers_are_found_however_many_wait() {
    let hello = Raw::request(9, "hello").bytes(&[0x91, 0x80]).0;
    let welcome = Raw::response(9).bytes(&[0xc0, 0x80]).0;
    let many: Vec<u8> = (1..=20_000).flat_map(|n| draw(n, 1, 1).0).collect();
    let done = |n| Raw::response(n).bytes(&[0xc0, 0xc0]).0;
    let greeted: Passed = vec![
        (ToDisplay, ms(0), hello),
        (ToClient, ms(1), welcome),
        (ToDisplay, ms(2), many.clone()),
        (ToClient, ms(3), [done(15_000), done(15_000), done(20_000)].concat()),
    ];
    let said: Vec<_> = lines(&greeted).into_iter().filter(|line| line.contains(" <- ")).collect();
    assert_eq!(
        said,
        [
            "  0.001000 #1 <- 9 hello: {} (1.000 ms)",
            "  0.003000 #1 <- 15000 draw_pixel: done (1.000 ms, 14999 before it done)",
            "  0.003000 #1 <- 15000 done (of no request that was seen)",
            "  0.003000 #1 <- 20000 draw_pixel: done (1.000 ms, 4999 before it done)",
        ]
    );
    // A plain client may use any msgids, and a foreign display may answer in any order.
    let plain: Passed =
        vec![(ToDisplay, ms(2), many), (ToClient, ms(3), [done(3), done(2), done(20_000), done(1)].concat())];
    let said = lines(&plain)[20_000..].join("\n");
    assert_eq!(said.matches("draw_pixel: done (1.000 ms)").count(), 3, "{said}");
}

#[test]
fn a_refused_greeting_leaves_a_plain_connection() {
    let mut host = Host::new(SIZE);
    let hello = Raw::request(0, "hello").bytes(&[0x91, 0x81, 0xa7]).bytes(b"version\x09").0;
    let answer = host.ask(&hello);
    let pixels = [draw(1, 1, 1).0, draw(2, 1, 1).0].concat();
    let answers = host.ask(&pixels);
    let passed: Passed = vec![
        (ToDisplay, ms(0), hello),
        (ToClient, ms(1), answer),
        (ToDisplay, ms(2), pixels),
        (ToClient, ms(3), answers),
    ];
    let lines = lines(&passed);
    assert_eq!(
        lines[1],
        "  0.001000 #1 <- 0 hello: unsupported_version: this display speaks version 1 to 1, not 9 (1.000 ms)"
    );
    assert_eq!(lines[5], "  0.003000 #1 <- 2 draw_pixel: done (1.000 ms)");
}

#[test]
fn limits_say_how_much_is_pending() {
    // The table of unanswered requests holds as many as a display grants.
    let (_, entries) = trace(
        &vec![
            (ToDisplay, ms(0), (0..limits::CREDIT_CALLS).flat_map(|n| draw(n, 1, 1).0).collect()),
            (ToClient, ms(1), Raw::response(0).bytes(&[0xc0, 0xc0]).0),
        ],
        &mut common::uncut,
    );
    assert_eq!(
        entries.last().map(|last| last.said.to_string()),
        Some("0 draw_pixel: done (1.000 ms)".into())
    );
}
