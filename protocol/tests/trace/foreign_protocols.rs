//! Peers of another protocol, or with texts that could mislead the reader of a trace. Memory stays bounded.

use super::passed::{Passed, draw, lines, ms, trace};
use super::secrets::greeting;
use crate::common::{self, Raw, World};
use draw_protocol::Size;
use draw_protocol::text::is_printable;
use draw_protocol::trace::{Direction, Entry, Tracer};
use proptest::prelude::*;
use std::time::Instant;

use Direction::{ToClient, ToDisplay};

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

    // Data of the maximum length, and names, texts and lists that are too long to print.
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
