//! What is told of a conversation: literal lines, the same wherever the bytes are cut; and that nothing is too much.

mod common;

use common::{Host, Raw, SIZE, World, pieces};
use draw_protocol::session::{Id, Nonce};
use draw_protocol::text::is_printable;
use draw_protocol::trace::{Direction, Entry, Outcome, Said, Tracer};
use draw_protocol::{Color, Hello, Pixel, Pixels, Request, Size, client, limits, server};
use proptest::prelude::*;
use std::time::{Duration, Instant};

use Direction::{ToClient, ToDisplay};

/// What passed on a connection: which way, how long after the start, which bytes.
type Passed = Vec<(Direction, Duration, Vec<u8>)>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Traces it, cut into pieces of the lengths that `cut` answers.
fn trace(passed: &Passed, cut: &mut impl FnMut() -> usize) -> (Tracer, Vec<Entry>) {
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

fn lines(passed: &Passed) -> Vec<String> {
    trace(passed, &mut common::uncut).1.iter().map(Entry::to_string).collect()
}

/// What a hand-written client asks one after the other, and what it is answered a millisecond later.
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

fn draw(msgid: u32, x: u32, y: u32) -> Raw {
    Raw::request(msgid, "draw_pixel").bytes(&[0x93]).uint(x).uint(y).uint(0xff00_00ff)
}

fn plain_conversation() -> Passed {
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

fn greeted_conversation() -> Passed {
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
    let strangers: Passed = vec![
        (ToDisplay, ms(1), [&draw(1, 1, 2).0[..], &[0x94, 0x00, 0x07, 0xc0, 0x90]].concat()),
        (ToClient, ms(2), [&[0x94, 1, 1, 0xc0, 0xc0][..], &[0x94, 1, 1, 0xdd, 0xff, 0, 0, 0]].concat()),
    ];
    let mut greeted = greeted_conversation();
    // Inside of an image one cut is like another.
    for (_, _, bytes) in &mut greeted {
        bytes.truncate(3_000.min(bytes.len()));
    }
    for passed in [plain_conversation(), greeted, strangers] {
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
    // Structured, for those who do more than print.
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
    // A plain client may use any numbers, and a foreign display answer in any order.
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
fn what_is_not_understood_is_said_once_and_the_other_direction_goes_on() {
    for (bytes, says) in [
        (
            &b"GET / HTTP/1.1\r\n"[..],
            "the message starts with byte 0x47, not with an array: this is not MessagePack-RPC",
        ),
        (&[0x94, 0x00, 0x01, 0xc1], "byte 0xc1 at offset 3 is no MessagePack"),
        (&[0x94, 0x03, 0xc0, 0xc0, 0xc0], "this is no MessagePack-RPC message"),
        (&[0x90], "this is no MessagePack-RPC message"),
        (
            b"\x94\x00\x05\xa4wipe\x91\xc6\xff\xff\xff\xff",
            "the message has at least 4294967309 bytes; the limit is 67108864",
        ),
    ] {
        let passed: Passed = vec![
            (ToDisplay, ms(0), draw(3, 1, 1).0),
            (ToDisplay, ms(1), bytes.to_vec()),
            (ToDisplay, ms(2), bytes.to_vec()),
            (ToDisplay, ms(3), draw(4, 1, 1).0),
            (ToClient, ms(4), Raw::response(3).bytes(&[0xc0, 0xc0]).0),
        ];
        assert_eq!(
            lines(&passed)[1..],
            [
                format!("  0.001000 #1 -> not understood: {says}; what follows is not traced"),
                "  0.004000 #1 <- 3 draw_pixel: done (4.000 ms)".into()
            ]
        );
    }
}

#[test]
fn foreign_displays_are_shown_as_they_speak() {
    let passed: Passed = vec![
        (ToDisplay, ms(0), Raw::request(1, "get_size").bytes(&[0x90]).0),
        (ToClient, ms(1), Raw::response(1).str("no\x1b[31m\n size").bytes(&[0xc0]).0),
        (ToClient, ms(2), Raw::notification("mouse").bytes(&[0x92, 1, 0xcb, 0x3f, 0xe0, 0, 0, 0, 0, 0, 0]).0),
        (ToClient, ms(3), Raw::request(9, "who\n are you?").bytes(&[0x90]).0),
        (ToClient, ms(4), Raw::notification("progress").bytes(&[0x90]).0),
    ];
    assert_eq!(
        lines(&passed)[1..],
        [
            "  0.001000 #1 <- 1 get_size: \"no\\u{1b}[31m\\n size\" (1.000 ms)",
            "  0.002000 #1 <- notification mouse(1, 0.5)",
            "  0.003000 #1 <- 9 who\\n are you?()",
            "  0.004000 #1 <- notification progress()",
        ]
    );
}

/// What is printed of a greeting with this name, and of the answer.
fn greeting(client: &str) -> (String, String) {
    let head =
        [&b"\x94\0\0\xa5hello\x91\x83\xa7version\x01\xa6client"[..], &[0xd9, client.len() as u8]].concat();
    let hello = [&head, client.as_bytes(), b"\xa7session\xc4\x10", &[0xab; 16]].concat();
    let passed = vec![(ToDisplay, ms(0), hello)];
    let (_, entries) = trace(&passed, &mut common::uncut);
    (entries[0].to_string(), entries[0].full().to_string())
}

#[test]
fn the_id_of_a_session_is_never_printed() {
    let (line, full) = greeting("me");
    assert_eq!(line, "  0.000000 #1 -> 0 hello({version: 1, client: \"me\", session: 16 bytes})");
    assert!(
        full.ends_with("73 65 73 73 69 6f 6e c4 10 ab ab ab .. .. .. .. .. .. .. .. .. .. .. .. .."),
        "{full}"
    );
    let (_, entries) = trace(&vec![(ToDisplay, ms(0), plain_hello_with_id())], &mut || 1);
    assert!(!format!("{entries:?}").contains("171, 171, 171, 171"), "{entries:?}");
    // It may come as a text, and in what is refused.
    let text = [&b"\x94\0\0\xa5hello\x91\x81\xa7session\xb0"[..], b"very secret, yes"].concat();
    let (_, entries) = trace(&vec![(ToDisplay, ms(0), text)], &mut common::uncut);
    assert_eq!(entries[0].to_string(), "  0.000000 #1 -> 0 hello({session: 16 bytes})");
    let altered = [&plain_hello_with_id()[..20], &[0xc1], &plain_hello_with_id()[20..]].concat();
    let (_, entries) = trace(&vec![(ToDisplay, ms(0), altered)], &mut common::uncut);
    assert!(!entries[0].full().to_string().contains("ab ab ab ab"), "{}", entries[0].full());
}

/// Nor is it where a program prints one of the machines.
#[test]
fn the_id_of_a_session_is_not_in_what_debug_prints() {
    let now = Instant::now();
    let hello = Hello::new("me").with_session(Id([0xab; 16]));
    let mut client = client::Connection::new(&hello);
    let greeting = client.poll_transmit().to_vec();
    assert!(greeting.windows(16).any(|part| part == [0xab; 16]));
    let config = server::Config {
        server: "a display".into(),
        size: SIZE,
        message: limits::MESSAGE,
        instance: Some((Id([1; 16]), 1)),
        has_journal: false,
        nonce: None,
    };
    let mut server = server::Connection::new(config, now);
    // The end of it has not come yet.
    let mut input = &greeting[..greeting.len() - 1];
    server.handle_input(&mut input, now);
    let printed = format!("{hello:?} {:?} {client:?} {server:?}", hello.resume());
    for id in ["171, 171, 171, 171", "abababab", "[ab, ab, ab, ab"] {
        assert!(!printed.contains(id), "{printed}");
    }
    assert!(printed.contains("Id(ababab..)"), "{printed}");
}

fn plain_hello_with_id() -> Vec<u8> {
    [&b"\x94\0\0\xa5hello\x91\x82\xa7version\x01\xa7session\xc4\x10"[..], &[0xab; 16]].concat()
}

#[test]
fn what_a_peer_chose_cannot_turn_or_hide_a_line() {
    let (line, _) = greeting("a\u{202e}b\u{200b}c\u{2028}\u{1b}[2J\u{e0041}");
    assert!(
        line.contains("client: \"a\\u{202e}b\\u{200b}c\\u{2028}\\u{1b}[2J\\u{e0041}\", session"),
        "{line}"
    );
    let passed: Passed = vec![
        (ToDisplay, ms(0), Raw::request(1, "dr\u{202e}aw").bytes(&[0x90]).0),
        (ToClient, ms(1), Raw::notification("\u{202e}").bytes(&[0x90]).0),
        (ToClient, ms(2), Raw::response(1).bytes(b"\x92\0").str("no_memory: a\u{202e}b").bytes(&[0xc0]).0),
    ];
    assert_eq!(
        lines(&passed),
        [
            "  0.000000 #1 -> 1 dr\\u{202e}aw()",
            "  0.001000 #1 <- notification \\u{202e}()",
            "  0.002000 #1 <- 1 no_memory: a\\u{202e}b (2.000 ms)",
        ]
    );
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
fn memory_stays_small_whatever_passes() {
    let (start, most) = (Instant::now(), 8 << 20);
    // A peer that never answers.
    let mut tracer = Tracer::new(1, start);
    let requests: Vec<u8> = (0..1_000).flat_map(|n| draw(n, 1, 1).0).collect();
    for _ in 0..200 {
        let mut input = &requests[..];
        while tracer.handle_input(ToDisplay, &mut input, start).is_some() {}
    }
    assert!(tracer.memory() < most, "{} for 200,000 unanswered requests", tracer.memory());

    // Data as long as a message may be, and names, texts and lists that are longer than anybody wants to read.
    let data = vec![0x93; 1 << 16];
    for head in [
        Raw::request(1, "put_image").bytes(b"\x95\0\0\x01\x01\xc6\x03\0\0\0").0,
        Raw::request(1, "x").bytes(b"\xc6\x03\0\0\0").0,
        Raw::response(1).bytes(b"\xda\xff\xff").0,
        b"\x94\x00\x01\xdb\x00\x10\x00\x00".to_vec(),
    ] {
        let mut tracer = Tracer::new(1, start);
        let mut input = &head[..];
        assert!(tracer.handle_input(ToDisplay, &mut input, start).is_none());
        for _ in 0..0x300 {
            let mut input = &data[..];
            while let Some(entry) = tracer.handle_input(ToDisplay, &mut input, start) {
                assert!(entry.to_string().len() < 2_000, "{entry}");
            }
            assert!(tracer.memory() < 16 << 10, "{}", tracer.memory());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_borne(
        passed in prop::collection::vec(
            (any::<bool>(), 0..5u64, common::garbage::garbage()).prop_map(|(is_up, at, bytes)| {
                (if is_up { ToDisplay } else { ToClient }, ms(at), bytes)
            }),
            0..8,
        ),
        step in 1..700usize,
    ) {
        let (tracer, entries) = trace(&passed, &mut common::uncut);
        prop_assert!(tracer.memory() < 64 << 10, "{}", tracer.memory());
        let lines: Vec<_> = entries.iter().map(Entry::to_string).collect();
        for line in &lines {
            prop_assert!(line.chars().all(is_printable) && line.len() < 4_000, "{line:?}");
        }
        let cut: Vec<_> = trace(&passed, &mut || step).1.iter().map(Entry::to_string).collect();
        prop_assert_eq!(lines, cut);
    }

    #[test]
    fn damaged_conversations_are_borne(
        calls in prop::collection::vec(common::calls::call(), 1..8),
        damages in prop::collection::vec(common::garbage::damage(), 0..5),
        is_up: bool,
        step in 1..700usize,
    ) {
        let mut world = World::silent(Size { width: 16, height: 16 });
        world.round();
        for call in &calls {
            world.call(&call.request());
        }
        world.round();
        let harm = |bytes: Vec<u8>, is_harmed| {
            if is_harmed { common::garbage::damaged(bytes, &damages) } else { bytes }
        };
        let passed = vec![
            (ToDisplay, ms(0), harm(world.to_server, is_up)),
            (ToClient, ms(1), harm(world.to_client, !is_up)),
        ];
        let text = |entries: Vec<Entry>| entries.iter().map(Entry::to_string).collect::<Vec<_>>();
        let lines = text(trace(&passed, &mut common::uncut).1);
        prop_assert_eq!(&lines, &text(trace(&passed, &mut || step).1));
        if damages.is_empty() {
            let lost = lines.iter().filter(|line| line.contains("not understood") || line.contains("no request"));
            prop_assert_eq!(lost.count(), 0, "{:#?}", lines);
        }
        prop_assert!(lines.iter().all(|line| line.chars().all(is_printable)));
    }
}

#[test]
fn limits_say_how_much_is_pending() {
    // The table of unanswered requests covers what a display grants.
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
