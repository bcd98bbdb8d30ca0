//! Bytes that are not messages, or exceed every limit, are refused early and cheaply.

mod common;

use common::{Host, Raw, SIZE, plain_faults};
use draw_protocol::{Code, Color, limits};

const DRAW: &[u8] = b"\x94\x00\x01\xaadraw_pixel\x93\x01\x02\xce\xff\x00\x00\xff";

/// Sends `bytes`. Returns the server's output and the reason for closing. Later input is ignored.
fn cut_off(host: &mut Host, bytes: &[u8]) -> (Vec<u8>, String) {
    host.hear(bytes);
    let why = host.server.closing().expect("it closes").to_string();
    let said = host.say();
    let executed = host.server.stats().executed;
    for more in [DRAW, &[0xc1], &[], b"GET / HTTP/1.1\r\n", &[0x94]] {
        assert_eq!(host.hear(more), 0, "nothing more is taken");
        assert!(!host.server.wants_input() && host.server.body().is_none());
    }
    assert_eq!((host.say(), host.server.stats().executed), (vec![], executed));
    assert_eq!(
        (host.server.poll_timeout(), host.server.closing().map(|f| f.to_string())),
        (None, Some(why.clone()))
    );
    assert!(host.server.memory() <= 2 * limits::IDLE_BUFFER, "{} bytes are kept", host.server.memory());
    (said, why)
}

/// Sends `bytes` of a foreign protocol, and returns the reason for closing. The server sends nothing.
fn stranger(bytes: &[u8]) -> String {
    let (said, why) = cut_off(&mut Host::new(SIZE), bytes);
    assert_eq!(said, []);
    for at in 0..bytes.len().min(100) {
        let mut host = Host::new(SIZE);
        host.hear(&bytes[..at]);
        if host.server.closing().is_none() {
            host.hear(&bytes[at..]);
        }
        assert_eq!(host.server.closing().map(|fault| fault.to_string()), Some(why.clone()), "cut at {at}");
        assert_eq!((host.say(), host.server.stats().executed), (vec![], 0));
    }
    why
}

fn not_an_array(first: u8) -> String {
    format!(
        "malformed: the message starts with byte {first:#04x}, not with an array: this is not MessagePack-RPC"
    )
}

#[test]
fn an_http_request() {
    assert_eq!(stranger(b"GET / HTTP/1.1\r\nHost: localhost:3729\r\n\r\n"), not_an_array(b'G'));
}

#[test]
fn a_tls_hello() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09";
    assert_eq!(stranger(hello), not_an_array(0x16));
}

#[test]
fn an_x11_greeting_in_either_byte_order() {
    assert_eq!(stranger(b"l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00"), not_an_array(b'l'));
    assert_eq!(stranger(b"B\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00"), not_an_array(b'B'));
}

#[test]
fn an_rfb_greeting() {
    assert_eq!(stranger(b"RFB 003.008\n"), not_an_array(b'R'));
}

#[test]
fn pixelflut() {
    assert_eq!(stranger(b"PX 10 10 ff0000\n"), not_an_array(b'P'));
    assert_eq!(stranger(b"SIZE\n"), not_an_array(b'S'));
}

#[test]
fn other_messagepack_that_is_no_rpc() {
    let not_rpc =
        "malformed: this is no MessagePack-RPC message: [0, msgid, method, params] or [2, method, params]";
    for bytes in [
        &[0x90][..],
        &[0x93, 1, 2, 3],
        &[0x94, 3, 1, 0xa1, b'x', 0x90],
        &[0x95, 0, 1, 0xa1, b'x', 0x90, 0x90],
        &[0x93, 2, 0xc0, 0x90],
        &[0x94, 0xa1, b'0', 1, 0xa1, b'x', 0x90],
        &[0x94, 0, 0xff, 0xa1, b'x', 0x90],
        &[0x94, 0, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0, 0xa1, b'x', 0x90],
        &[0x91, 0x91, 0x91, 0x90],
    ] {
        assert_eq!(stranger(bytes), not_rpc, "{bytes:02x?}");
    }
    assert_eq!(stranger(&[0x81, 0xa1, b'x', 1]), not_an_array(0x81));
    assert_eq!(stranger(&[0x94, 0xc1]), "malformed: byte 0xc1 at offset 1 is no MessagePack");
}

#[test]
fn what_is_no_message_is_that_whatever_else_is_wrong_with_it() {
    // Found by the fuzz target `server`: these were too large when sent at once, and malformed when sent byte by byte.
    let late = [&[0x94, 0x00, 0xc7, 200, 0][..], &[0; 200], &[0xc6, 0xff, 0xff, 0xff, 0xff]].concat();
    for bytes in [
        &[0x91, 0x91, 0x91, 0xc8, 0x91, 0x91][..],
        &[0x94, 0x90, 0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0x91; 100],
        &[0x93, 0xc0, 0xc1],
        &late,
    ] {
        assert!(stranger(bytes).starts_with("malformed: this is no MessagePack-RPC message"), "{bytes:02x?}");
    }
}

#[test]
fn a_message_that_breaks_behind_its_msgid_is_answered_once() {
    let (said, why) = cut_off(&mut Host::new(SIZE), &[0x94, 0, 7, 0xc0, 0x90]);
    assert_eq!(plain_faults(&said), [(7, why)]);
    let (said, why) = cut_off(&mut Host::new(SIZE), &[0x94, 0, 7, 0xa4, b's', b'y', b'n', b'c', 0x91, 0xc1]);
    assert_eq!(plain_faults(&said), [(7, why)]);
}

#[test]
fn a_greeted_client_is_told_goodbye() {
    let mut host = Host::new(SIZE).greeted();
    let (said, why) = cut_off(&mut host, &[DRAW, b"\xc1"].concat());
    let text = why.strip_prefix("malformed: ").expect("its code");
    let goodbye = Raw::notification("goodbye")
        .bytes(&[0x91, 0x82])
        .str("code")
        .str("malformed")
        .str("message")
        .str(text);
    assert_eq!(
        said,
        [b"\x93\x02\xa8progress\x91\x01", &goodbye.0[..]].concat(),
        "the draw before it is acknowledged"
    );
}

#[test]
fn requests_behind_a_broken_one_are_not_executed() {
    let mut host = Host::new(SIZE);
    let (said, _) = cut_off(&mut host, &[DRAW, b"\x94\x00\x02\xc0\x90", DRAW].concat());
    assert!(said.starts_with(&[0x94, 1, 1, 0xc0, 0xc0, 0x94, 1, 2, 0x92]), "the one before it is answered");
    assert_eq!((host.server.stats().executed, host.display.pixel(1, 2)), (1, Some(Color::RED)));
}

#[test]
fn a_million_empty_arrays() {
    assert!(stranger(&vec![0x90; 1_000_000]).starts_with("malformed: this is no MessagePack-RPC"));
    // In one message they exceed the limit on values.
    let head = Raw::request(7, "draw_pixels").bytes(&[0x91, 0xdd, 0x00, 0x0f, 0x42, 0x40]).0;
    let (said, why) = cut_off(&mut Host::new(SIZE), &[&head[..], &[0x90; 1_000_000]].concat());
    assert_eq!(why, "too_large: the message has more than 262208 values");
    assert_eq!(plain_faults(&said), [(7, why)]);
}

#[test]
fn a_hundred_thousand_levels() {
    let levels = vec![0x91; 100_000];
    assert!(stranger(&levels).starts_with("malformed: this is no MessagePack-RPC"));
    let head = Raw::request(7, "sync").0;
    let (said, why) = cut_off(&mut Host::new(SIZE), &[head, levels].concat());
    assert_eq!(why, "malformed: the message nests deeper than 16 levels");
    assert_eq!(plain_faults(&said), [(7, why)]);
}

#[test]
fn a_length_above_the_limit_is_refused_by_its_header() {
    let limit = limits::MESSAGE;
    for (header, body) in [
        (&[0xc6, 0x80, 0, 0, 0][..], 1u64 << 31),
        (&[0xc6, 255, 255, 255, 255], (1 << 32) - 1),
        (&[0xdb, 255, 255, 255, 255], (1 << 32) - 1),
        (&[0xdd, 255, 255, 255, 255], (1 << 32) - 1),
        (&[0xdf, 255, 255, 255, 255], (1 << 33) - 2),
        (&[0xc9, 255, 255, 255, 255], 1 << 32),
        (&[0xc6, 1, 0, 0, 0], 1 << 24),
    ] {
        let request = Raw::request(7, "draw_pixels").bytes(&[0x91]).bytes(header).0;
        let (said, why) = cut_off(&mut Host::new(SIZE), &request);
        let needs = request.len() as u64 + body;
        assert_eq!(why, format!("too_large: the message has at least {needs} bytes; the limit is {limit}"));
        assert_eq!(plain_faults(&said), [(7, why.clone())]);
        for at in 0..request.len() {
            let mut host = Host::new(SIZE);
            host.hear(&request[..at]);
            assert!(host.server.closing().is_none(), "cut at {at}");
            assert_eq!(host.ask(&request[at..]), said, "cut at {at}");
        }
    }
}

#[test]
fn a_length_within_the_limit_costs_no_memory_before_its_bytes_arrive() {
    let mut host = Host::new(SIZE);
    let request = Raw::request(7, "draw_pixels").bytes(&[0x91, 0xc6, 0, 0xf0, 0, 0]).0;
    assert_eq!(host.hear(&request), request.len());
    assert!(host.server.closing().is_none() && host.server.is_mid_message());
    assert!(host.server.memory() < 256, "{} bytes for {}", host.server.memory(), request.len());
    for _ in 0..100 {
        host.hear(&[0; 1000]);
    }
    assert!(host.server.memory() < 4 * 100_000, "{} bytes for 100,000", host.server.memory());
    // The bytes of an unfinished message are freed when the connection ends.
    host.server.close(draw_protocol::Fault::new(Code::ShuttingDown, "the display ends"));
    host.say();
    assert_eq!(host.server.memory(), 0);
}

#[test]
fn a_first_message_is_small_until_it_names_a_method() {
    let large = |method: &str| Raw::request(7, method).bytes(&[0x91]).bin(&[0; 5000]).0;
    let (said, why) = cut_off(&mut Host::new(SIZE), &large("draw_circle"));
    assert_eq!(why, "too_large: the message has at least 5019 bytes; the limit is 4096");
    assert_eq!(plain_faults(&said), [(7, why)]);
    let mut host = Host::new(SIZE);
    assert_eq!(host.ask(&large("draw_pixels")), [0x94, 1, 7, 0xc0, 0xc0], "5,000 bytes are 625 pixels");
    // The second message may be large and unknown, because the client has sent a valid first message.
    let said = host.ask(&large("draw_circle"));
    assert!(plain_faults(&said)[0].1.starts_with("unknown_method"));
    // A method name that is too long ends the connection.
    let mut host = Host::new(SIZE);
    let name = [&[0x94, 0, 7, 0xda, 0xff, 0xff][..], &[b'x'; 70_000]].concat();
    assert_eq!(
        cut_off(&mut host, &name).1,
        "too_large: the message has at least 65541 bytes; the limit is 4096"
    );
}

#[test]
fn a_method_name_has_a_limit_of_its_own() {
    let mut host = Host::new(SIZE);
    host.ask(DRAW);
    let request = [&[0x94, 0, 7, 0xda, 0x10, 0x01][..], &[b'x'; 4097], &[0x90]].concat();
    let (said, why) = cut_off(&mut host, &request);
    assert!(why.starts_with("malformed: this is no MessagePack-RPC message"), "{why}");
    assert_eq!(plain_faults(&said), [(7, why)]);
}
