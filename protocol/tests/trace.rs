//! The trace of a conversation: literal lines, the same however the bytes are split, and bounded memory.

mod common;

mod trace {
    mod answers;
    mod foreign_protocols;
    pub(crate) mod passed;
    mod secrets;
}

use common::{SIZE, World};
use draw_protocol::session::{Id, Nonce};
use draw_protocol::trace::{Direction, Entry, Tracer};
use draw_protocol::{Color, Pixel, Pixels, Request};
use std::time::Instant;
use trace::passed::{Passed, draw, greeted_conversation, lines, ms, plain_conversation, trace};

use Direction::{ToClient, ToDisplay};

#[test]
fn a_plain_conversation_reads_like_this() {
    assert_eq!(
        lines(&plain_conversation()),
        [
            "  0.000000 #1 -> 1 draw_pixel(1, 2, #ff0000ff)",
            "  0.001000 #1 <- 1 draw_pixel: done (1.000 ms)",
            "  0.010000 #1 -> 1 draw_pixel(700, 10, #ff0000ff)",
            "  0.011000 #1 <- 1 draw_pixel: out_of_bounds: (700, 10) is outside 640x480 (1.000 ms)",
            "  0.020000 #1 -> 1 get_size()",
            "  0.021000 #1 <- 1 get_size: 640x480 (1.000 ms)",
            "  0.030000 #1 -> 2 get_mouse()",
            "  0.031000 #1 <- 2 get_mouse: not seen yet (1.000 ms)",
            "  0.040000 #1 -> 3 get_image(1, 2, 2, 1)",
            "  0.041000 #1 <- 3 get_image: 2x1, 8 bytes (1.000 ms)",
            "  0.050000 #1 -> 4 get_pixel(1, 2)",
            "  0.051000 #1 <- 4 get_pixel: #ff0000ff (1.000 ms)",
            "  0.060000 #1 -> 5 sync()",
            "  0.061000 #1 <- 5 sync: done (1.000 ms)",
            "  0.070000 #1 -> 6 explode(true, 1 byte, {a: [nil]})",
            "  0.071000 #1 <- 6 unknown_method: there is no method \"explode\"; there are draw_pixel, draw_pixels, \
             fill_rect, put_image, clear, add_pixel, add_pixels, get_pixel, get_image, get_digest, get_size, \
             get_mouse, sync, sync_durable (1.000 ms)",
            "  0.080000 #1 -> 7 clear(\"red\")",
            "  0.081000 #1 <- 7 clear: invalid_argument: the parameters of clear(color) are to be an array, not a \
             string of 3 bytes (1.000 ms)",
            "  0.090000 #1 -> notification clear(#00000000)",
            "  0.100000 #1 -> 8 draw_pixels(1 pixel: (-1, 2, #00000003))",
            "  0.101000 #1 <- 8 draw_pixels: out_of_bounds: 1 of 1 pixel is outside 640x480: (-1, 2) (1.000 ms)",
            "  0.110000 #1 -> 9 put_image(0, 0, 1, 2, 8 bytes)",
            "  0.111000 #1 <- 9 put_image: done (1.000 ms)",
        ]
    );
}

#[test]
fn a_greeted_conversation_reads_like_this() {
    assert_eq!(
        lines(&greeted_conversation()),
        [
            "  0.000000 #1 -> 0 hello({version: 1, client: \"demo\"})",
            "  0.002000 #1 <- 0 hello: {version: 1, server: \"demo\", width: 640, height: 480, calls: 65536, \
             bytes: 33554432, message: 16777216, batch: 65536} (2.000 ms)",
            "  0.010000 #1 -> 1 clear(#ffffffff)",
            "  0.010000 #1 -> 2 fill_rect(-1, 0, 2, 2, #0000ffff)",
            "  0.012000 #1 <- 2 fill_rect: out_of_bounds: the rectangle 2x2 at (-1, 0) is not all inside 640x480: \
             only 1x2 at (0, 0) was drawn (2.000 ms, 1 before it done)",
            "  0.020000 #1 -> 3 draw_pixels(4 pixels: (1, 3, #ff0000ff), (2, 3, #ff0000ff), (3, 3, #ff0000ff), ...)",
            "  0.020000 #1 -> 4 clear(#ffffffff)",
            "  0.022000 #1 <- progress 4: 2 done, after 2.000 to 2.000 ms",
            "  0.030000 #1 -> 5 draw_pixels(2 pixels: (1, 3, #ff0000ff), (700, 3, #ff0000ff))",
            "  0.032000 #1 <- 5 draw_pixels: out_of_bounds: 1 of 2 pixels is outside 640x480: (700, 3); \
             not drawn: [1] (2.000 ms)",
            "  0.040000 #1 -> 6 clear(#ffffffff)",
            "  0.040000 #1 -> 7 get_pixel(0, 0)",
            "  0.042000 #1 <- 7 get_pixel: #ffffffff (2.000 ms, 1 before it done)",
            "  0.050000 #1 -> 8 put_image(0, 0, 300, 218, 261600 bytes)",
            "  0.050000 #1 -> 9 put_image(0, 218, 300, 82, 98400 bytes)",
            "  0.052000 #1 <- progress 9: 2 done, after 2.000 to 2.000 ms",
            "  0.060000 #1 -> 10 get_image(0, 0, 300, 100)",
            "  0.062000 #1 <- 10 get_image: 300x100, 120000 bytes (2.000 ms)",
            "  0.065000 #1 -> 11 add_pixel(1, 3, 256)",
            "  0.065000 #1 -> 12 add_pixel(1, 3, 256)",
            "  0.065000 #1 -> 13 add_pixels(2 pixels: (1, 3, 1), (2, 3, 4294967295))",
            "  0.065000 #1 -> 14 get_digest(0, 0, 0, 5)",
            "  0.067000 #1 <- 14 get_digest: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 \
             (2.000 ms, 3 before it done)",
            "  0.070000 #1 <- goodbye shutting_down: the display ends",
        ]
    );
}

#[test]
fn the_lines_are_the_same_wherever_the_bytes_are_cut() {
    let foreign_protocols: Passed = vec![
        (ToDisplay, ms(1), [&draw(1, 1, 2).0[..], &[0x94, 0x00, 0x07, 0xc0, 0x90]].concat()),
        (ToClient, ms(2), [&[0x94, 1, 1, 0xc0, 0xc0][..], &[0x94, 1, 1, 0xdd, 0xff, 0, 0, 0]].concat()),
    ];
    let mut greeted = greeted_conversation();
    // All splits inside an image are equivalent.
    for (_, _, bytes) in &mut greeted {
        bytes.truncate(3_000.min(bytes.len()));
    }
    for passed in [plain_conversation(), greeted, foreign_protocols] {
        let whole = trace(&passed, &mut common::uncut).1;
        let text = |entries: &[Entry]| entries.iter().map(Entry::to_string).collect::<Vec<_>>();
        for step in 1..40 {
            let cut = trace(&passed, &mut || step).1;
            assert_eq!(text(&cut), text(&whole), "in pieces of {step}");
        }
        let longest = passed.iter().map(|(_, _, bytes)| bytes.len()).max().unwrap_or(0);
        for at in 1..longest {
            let mut cuts = 0;
            let mut first = || {
                cuts += 1;
                if cuts % 2 == 1 { at } else { usize::MAX }
            };
            assert_eq!(text(&trace(&passed, &mut first).1), text(&whole), "cut at {at}");
        }
    }
}

#[test]
fn every_cut_keeps_the_same_bytes_of_what_is_understood() {
    let whole = trace(&plain_conversation(), &mut common::uncut).1;
    assert_eq!(trace(&plain_conversation(), &mut || 1).1, whole);
}

#[test]
fn the_end_says_what_was_cut_off() {
    let start = Instant::now();
    let mut tracer = Tracer::new(12, start);
    assert!(tracer.handle_input(ToDisplay, &mut &draw(1, 1, 1).0[..5], start).is_none());
    let end = tracer.handle_end(ToDisplay, start + ms(1_500));
    assert_eq!(end.to_string(), "  1.500000 #12 -> end, 5 bytes into a message");
    assert_eq!(tracer.handle_end(ToClient, start).to_string(), "  0.000000 #12 <- end");
    assert_eq!(tracer.note("from nowhere", start).to_string(), "  0.000000 #12 -- from nowhere");
}

#[test]
fn the_full_form_has_the_bytes_32_on_a_line() {
    let pixels: Vec<_> = (0..100).map(|x| Pixel::new(x, 0, Color::WHITE)).collect();
    let mut world = World::new(SIZE);
    world.to_server = vec![];
    world.call(&Request::DrawPixels { pixels: Pixels::from(&pixels[..]) });
    world.round();
    let passed: Passed = vec![(ToDisplay, ms(0), [draw(3, 1, 2).0, world.to_server].concat())];
    let entries = trace(&passed, &mut common::uncut).1;
    let text = entries.iter().map(|entry| entry.full().to_string()).collect::<Vec<_>>().join("\n");
    let all: Vec<_> = text.lines().collect();
    assert_eq!(
        all[..5],
        [
            "  0.000000 #1 -> 3 draw_pixel(1, 2, #ff0000ff)",
            "           94 00 03 aa 64 72 61 77 5f 70 69 78 65 6c 93 01 02 ce ff 00 00 ff",
            "  0.000000 #1 -> 1 draw_pixels(100 pixels: (0, 0, #ffffffff), (1, 0, #ffffffff), (2, 0, #ffffffff), ...)",
            "           94 00 01 ab 64 72 61 77 5f 70 69 78 65 6c 73 91 c5 03 20 00 00 00 00 ff ff ff ff 00 01 00 00 ff",
            "           ff ff ff 00 02 00 00 ff ff ff ff 00 03 00 00 ff ff ff ff 00 04 00 00 ff ff ff ff 00 05 00 00 ff",
        ]
    );
    assert_eq!((all.len(), all[11]), (12, "           and 563 bytes more"));
}

#[test]
fn a_session_shows_what_it_is_and_how_its_welcome_is_confirmed() {
    let mut config = common::config(SIZE);
    (config.instance, config.nonce) = (Some((Id([2; 16]), 1)), Some(Nonce::new(5)));
    let mut world = World::in_session(config);
    let (hello, welcome) = (std::mem::take(&mut world.to_server), std::mem::take(&mut world.to_client));
    world.up(&mut common::uncut);
    let confirm = std::mem::take(&mut world.to_server);
    let start = Instant::now();
    let mut tracer = Tracer::new(1, start);
    let passed = [(ToDisplay, &hello), (ToClient, &welcome), (ToDisplay, &confirm)];
    let lines = passed.map(|(direction, bytes)| {
        let entry = tracer.handle_input(direction, &mut &bytes[..], start).expect("a message");
        entry.to_string()
    });
    assert_eq!(
        lines,
        [
            "  0.000000 #1 -> 0 hello({version: 1, client: \"demo\", session: 16 bytes, confirms: true})",
            "  0.000000 #1 <- 0 hello: {version: 1, server: \"demo\", width: 640, height: 480, calls: 65536, \
             bytes: 33554432, message: 16777216, batch: 65536, instance: 16 bytes, boot: 1, session: \"fresh\", \
             applied: 0, nonce: 4503599627370501} (0.000 ms)",
            "  0.000000 #1 -> notification confirm(4503599627370501)",
        ]
    );
}
