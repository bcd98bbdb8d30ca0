//! The vectors: bytes of the client's and the server's encoders, other encodings of the same values, and bytes that are
//! refused.

use super::common::{Host, Raw, SIZE, World, config};
use super::files;
use draw_protocol::session::Id;
use draw_protocol::{Code, Color, Fault, Hello, Pixel, Pixels, Request, Scan, client, limits, server};

/// The purpose of a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Use {
    /// The sender's encoder produces these bytes.
    Exact,
    /// A receiver accepts these bytes, which have the same meaning as the named vector, if any.
    Accept(Option<&'static str>),
    /// The server refuses these bytes with this code.
    Refuse(&'static str),
}

#[derive(Debug, Clone)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) sender: &'static str,
    pub(crate) level: &'static str,
    pub(crate) usage: Use,
    pub(crate) bytes: Vec<u8>,
}

const CLIENT: &str = "client";
const SERVER: &str = "server";

fn vector(name: impl Into<String>, sender: &'static str, level: &'static str, bytes: Vec<u8>) -> Vector {
    Vector { name: name.into(), sender, level, usage: Use::Exact, bytes }
}

/// Returns every vector, in the order of the file.
pub(crate) fn all() -> Vec<Vector> {
    let mut all = of_blocks();
    all.extend(requests());
    all.extend(other_requests());
    all.extend(hellos());
    all.extend(progresses());
    all.extend(faults());
    all.extend(other_answers().into_iter().map(|(vector, _)| vector));
    all.extend(refused());
    all
}

/// Splits bytes into messages, each with its check.
fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let end = |bytes: &[u8]| Scan::default().run(bytes, limits::MESSAGE).ok().flatten().expect("a message");
    while !bytes.is_empty() {
        let mut length = end(bytes);
        if is_check(&bytes[..length]) {
            length += end(&bytes[length..]);
        }
        let (message, rest) = bytes.split_at(length);
        messages.push(message.to_vec());
        bytes = rest;
    }
    messages
}

/// Returns whether a message begins with a check.
pub(crate) fn is_check(message: &[u8]) -> bool {
    message.starts_with(b"\x93\x02\xa5check\x91\xcf") || message.starts_with(b"\x93\x02\xa5crc32\x91\xcf")
}

/// Returns the messages of the blocks in `bytes.md`.
fn of_blocks() -> Vec<Vector> {
    let mut all = Vec::new();
    for (name, block) in files::blocks() {
        let sender = match block.side {
            "client" => CLIENT,
            "display" => SERVER,
            _ => continue,
        };
        let usage = match name {
            "draw_pixels-array-request" | "draw_pixels-str-request" => {
                Use::Accept(Some("draw_pixels-request"))
            }
            "draw_pixel-float-request" => Use::Accept(Some("draw_pixel-request")),
            "checks-altered" => Use::Refuse("corrupted"),
            _ => Use::Exact,
        };
        // Kinds and levels have the same names. The requests themselves need no `hello`.
        let level = if name.ends_with("-request") && block.kind == "hello" && name != "hello-request" {
            "plain"
        } else {
            block.kind
        };
        let parts = messages(&block.bytes);
        let count = parts.len();
        for (i, bytes) in parts.into_iter().enumerate() {
            let name = if count == 1 { name.to_owned() } else { format!("{name}-{}", i + 1) };
            all.push(Vector { usage: usage.clone(), ..vector(name, sender, level, bytes) });
        }
    }
    all
}

/// Returns the bytes of a request, as the client makes it.
fn request(request: &Request<'_>) -> Vec<u8> {
    let mut world = World::new(SIZE);
    world.call(request);
    world.client.poll_transmit().to_vec()
}

/// Integers of every encoded width.
const INTEGERS: [i32; 16] =
    [0, 127, 128, 255, 256, 65_535, 65_536, i32::MAX, -1, -32, -33, -128, -129, -32_768, -32_769, i32::MIN];

fn requests() -> Vec<Vector> {
    let mut all = Vec::new();
    let mut add = |name: String, call: &Request<'_>| all.push(vector(name, CLIENT, "plain", request(call)));
    for x in INTEGERS {
        add(format!("draw_pixel-x-{x}"), &Request::DrawPixel { x, y: 0, color: Color::RED });
        add(format!("get_pixel-y-{x}"), &Request::GetPixel { x: 0, y: x });
    }
    for n in [0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, u32::MAX] {
        add(format!("clear-{n}"), &Request::Clear { color: Color::from_u32(n) });
        add(format!("add_pixel-amount-{n}"), &Request::AddPixel { x: 1, y: 1, amount: n });
        add(
            format!("fill_rect-width-{n}"),
            &Request::FillRect { x: -1, y: -1, width: n, height: 1, color: Color::BLUE },
        );
    }
    let pixels: Vec<_> = (0..40).map(|i| Pixel::new(i, 65_535 - i, Color::from_u32(u32::from(i)))).collect();
    for count in [0, 1, 31, 32, 40] {
        let pixels = Pixels::from(&pixels[..count]);
        add(format!("draw_pixels-of-{count}"), &Request::DrawPixels { pixels });
        add(format!("add_pixels-of-{count}"), &Request::AddPixels { pixels });
    }
    let rgba: Vec<u8> = (0..=255).cycle().take(4 * 80).collect();
    for (width, height) in [(0, 7), (1, 1), (63, 1), (8, 8), (5, 16)] {
        let image = &rgba[..4 * (width * height) as usize];
        add(
            format!("put_image-{width}x{height}"),
            &Request::PutImage { x: -2, y: 300, width, height, rgba: image },
        );
    }
    for (width, height) in [(0, 0), (200, 300), (70_000, 1)] {
        add(format!("get_image-{width}x{height}"), &Request::GetImage { x: 0, y: 0, width, height });
        add(format!("get_digest-{width}x{height}"), &Request::GetDigest { x: 0, y: 0, width, height });
    }
    for msgid in [0_u32, 127, 128, 255, 256, 65_535, 65_536, u32::MAX] {
        let tail = &request(&Request::Sync {})[3..];
        let bytes = Raw(vec![0x94, 0x00]).uint(msgid).bytes(tail).0;
        all.push(vector(format!("sync-msgid-{msgid}"), CLIENT, "plain", bytes));
    }
    all
}

/// Returns the encodings of a value other than the shortest, with the names of their forms.
fn forms(n: i64) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = n.to_be_bytes();
    let signed = [("int8", 0xd0, 1), ("int16", 0xd1, 2), ("int32", 0xd2, 4), ("int64", 0xd3, 8)];
    let unsigned = [("uint8", 0xcc, 1), ("uint16", 0xcd, 2), ("uint32", 0xce, 4), ("uint64", 0xcf, 8)];
    let mut forms = Vec::new();
    for (name, tag, size) in signed.into_iter().chain(unsigned) {
        let bits = 8 * size as u32;
        let fits = match tag {
            0xd0.. => bits == 64 || (-(1_i64 << (bits - 1))..1 << (bits - 1)).contains(&n),
            _ => n >= 0 && (bits == 64 || n < 1 << bits),
        };
        if fits {
            forms.push((name, [&[tag][..], &bytes[8 - size..]].concat()));
        }
    }
    if (n as f32) as i64 == n {
        forms.push(("float32", [&[0xca][..], &(n as f32).to_be_bytes()].concat()));
    }
    forms.push(("float64", [&[0xcb][..], &(n as f64).to_be_bytes()].concat()));
    forms
}

/// Returns a header of each width for `length` bytes or values. `tags` are those for 8 bits (or 0), 16 and 32.
fn headers(tags: [u8; 3], length: u8) -> Vec<Vec<u8>> {
    let widths = [vec![tags[0], length], vec![tags[1], 0, length], vec![tags[2], 0, 0, 0, length]];
    widths.into_iter().filter(|header| header[0] > 0).collect()
}

const STR: [u8; 3] = [0xd9, 0xda, 0xdb];
const BIN: [u8; 3] = [0xc4, 0xc5, 0xc6];
const ARRAY: [u8; 3] = [0, 0xdc, 0xdd];
const MAP: [u8; 3] = [0, 0xde, 0xdf];

/// Returns requests in other forms than the encoder's.
fn other_requests() -> Vec<Vector> {
    let mut all = Vec::new();
    let mut add = |name: String, same: &'static str, parts: &[&[u8]]| {
        let usage = Use::Accept(Some(same));
        all.push(Vector { usage, ..vector(name, CLIENT, "plain", parts.concat()) });
    };
    let (head, red) = (&b"\x94\x00\x01\xaadraw_pixel\x93"[..], &b"\xce\xff\x00\x00\xff"[..]);
    for (form, x) in forms(1) {
        add(format!("draw_pixel-x-as-{form}"), "draw_pixel-request", &[head, &x, &[2], red]);
    }
    for (form, color) in forms(0xff00_00ff) {
        if form != "uint32" {
            add(format!("draw_pixel-color-as-{form}"), "draw_pixel-request", &[head, &[1, 2], &color]);
        }
    }
    for (form, x) in forms(-5) {
        let rest = b"\x0a\xcd\x01\x2c\x14\xce\xff\x00\x00\xff";
        add(
            format!("fill_rect-x-as-{form}"),
            "fill_rect-request",
            &[b"\x94\x00\x01\xa9fill_rect\x95", &x, rest],
        );
    }
    for (form, msgid) in forms(1).into_iter().filter(|(form, _)| !form.starts_with("float")) {
        let rest = &head[3..];
        add(
            format!("draw_pixel-msgid-as-{form}"),
            "draw_pixel-request",
            &[&[0x94, 0], &msgid, rest, &[1, 2], red],
        );
    }
    for (name, tags) in [("str", STR), ("bin", BIN)] {
        for header in headers(tags, 10) {
            let bits = 8 * (header.len() - 1);
            add(
                format!("draw_pixel-method-as-{name}{bits}"),
                "draw_pixel-request",
                &[&head[..3], &header, &head[4..], &[1, 2], red],
            );
        }
        for header in headers(tags, 16) {
            let bits = 8 * (header.len() - 1);
            if (name, bits) != ("bin", 8) {
                add(
                    format!("draw_pixels-as-{name}{bits}"),
                    "draw_pixels-request",
                    &[
                        b"\x94\x00\x01\xabdraw_pixels\x91",
                        &header,
                        b"\x00\x01\x00\x02\xff\x00\x00\xff\x02\x80\x00\x03\x00\x00\xff\xff",
                    ],
                );
            }
        }
    }
    for header in headers(ARRAY, 3) {
        let bits = 8 * (header.len() - 1);
        let (head, rest) = head.split_at(head.len() - 1);
        assert_eq!(rest, [0x93]);
        add(
            format!("draw_pixel-params-as-array{bits}"),
            "draw_pixel-request",
            &[head, &header, &[1, 2], red],
        );
    }
    for header in headers(ARRAY, 4) {
        let bits = 8 * (header.len() - 1);
        add(
            format!("draw_pixel-message-as-array{bits}"),
            "draw_pixel-request",
            &[&header, &head[1..], &[1, 2], red],
        );
    }
    all
}

/// Returns `hello` in other forms, and with unknown keys.
fn hellos() -> Vec<Vector> {
    let head = &b"\x94\x00\x00\xa5hello\x91"[..];
    let (version, client) = (&b"\xa7version\x01"[..], &b"\xa6client\xa4demo"[..]);
    let mut all = Vec::new();
    let mut add = |name: &str, parts: &[&[u8]]| {
        let usage = Use::Accept(Some("hello-request"));
        all.push(Vector { usage, ..vector(name, CLIENT, "hello", [&[head][..], parts].concat().concat()) });
    };
    add("hello-other-order", &[&[0x82], client, version]);
    for header in headers(MAP, 2) {
        add(&format!("hello-as-map{}", 8 * (header.len() - 1)), &[&header, version, client]);
    }
    add("hello-version-as-uint64", &[&[0x82], b"\xa7version\xcf\0\0\0\0\0\0\0\x01", client]);
    add("hello-key-as-str8", &[&[0x82], b"\xd9\x07version\x01", client]);
    add("hello-unknown-key", &[&[0x83], version, client, b"\xa5novel\x07"]);
    add("hello-unknown-key-first", &[&[0x83], b"\xa5novel\xa3yes", version, client]);
    add(
        "hello-unknown-nested",
        &[&[0x83], version, b"\xa5novel\x82\xa1a\x93\x01\xc0\xc3\xa1b\xc4\x02\x00\xff", client],
    );
    let full = {
        let mut hello = Hello::new("demo").with_session(Id([7; 16])).with_durability(true);
        (hello.instance, hello.attempt, hello.born) = (Some(Id([8; 16])), u64::from(u32::MAX), 128);
        (hello.incarnation, hello.ack) = (Some((1 << 53) - 1), (1 << 62) - 1);
        (hello.drew, hello.next, hello.accepts_loss) = (Some(1 << 32), 1 << 62, true);
        hello.display = Some("main".into());
        client::Connection::new(&hello).poll_transmit().to_vec()
    };
    all.push(vector("hello-every-key", CLIENT, "session", full));
    all
}

/// Returns progress with numbers of every width, as the server sends it in a session that began at such a number.
fn progresses() -> Vec<Vector> {
    let numbers = [
        1,
        127,
        128,
        255,
        256,
        65_535,
        65_536,
        (1 << 32) - 1,
        1 << 32,
        (1 << 53) - 1,
        1 << 53,
        i64::MAX as u64,
    ];
    numbers
        .into_iter()
        .map(|number| {
            let config = server::Config { instance: Some((Id([1; 16]), 1)), ..config(SIZE) };
            let mut host = Host::with(config);
            let mut hello = Hello::new("demo").with_session(Id([7; 16])).with_confirmation(false);
            (hello.instance, hello.attempt) = (Some(Id([1; 16])), 2);
            (hello.ack, hello.next) = (number - 1, number);
            let welcome = host.ask(client::Connection::new(&hello).poll_transmit());
            assert!(welcome.starts_with(b"\x94\x01\x00\xc0"), "{number}: {}", welcome.escape_ascii());
            let said = host.ask(&Raw::request(number as u32, "clear").bytes(&[0x91, 0]).0);
            assert!(said.starts_with(b"\x93\x02\xa8progress"), "{number}: {}", said.escape_ascii());
            vector(
                format!("progress-{number}"),
                SERVER,
                if number >> 32 == 0 { "hello" } else { "session" },
                said,
            )
        })
        .collect()
}

/// Returns a fault of every code as a response, and as a goodbye if the connection closes.
fn faults() -> Vec<Vector> {
    let mut all = Vec::new();
    for (code, meaning) in Code::ALL {
        let fault = Fault::new(code.clone(), format!("this is {code:?}"));
        all.push(vector(format!("fault-{code}"), SERVER, "hello", fault.to_response(7)));
        if meaning.contains(" closes") {
            let mut host = Host::new(SIZE).greeted();
            host.server.close(fault);
            all.push(vector(format!("goodbye-{code}"), SERVER, "hello", host.say()));
        }
    }
    let text = "\u{e9}t\u{e9} \u{1f600}".repeat(3);
    all.push(vector(
        "fault-text-in-utf-8",
        SERVER,
        "hello",
        Fault::new(Code::NoSpace, text).to_response(u32::MAX.into()),
    ));
    all
}

/// Returns messages of the server in other forms or with unknown parts, each with the request that it answers, which is
/// none for the response to `hello`.
pub(crate) fn other_answers() -> Vec<(Vector, Option<Request<'static>>)> {
    const SIZE_OF: Request<'static> = Request::GetSize {};
    const PIXEL: Request<'static> = Request::GetPixel { x: 1, y: 2 };
    const CLEAR: Request<'static> = Request::Clear { color: Color::RED };
    let mut all = Vec::new();
    let mut add = |name: &str, same, request: Option<Request<'static>>, parts: &[&[u8]]| {
        let usage = Use::Accept(same);
        all.push((Vector { usage, ..vector(name, SERVER, "hello", parts.concat()) }, request));
    };
    let size = Some("get_size-response");
    add(
        "get_size-response-longer",
        size,
        Some(SIZE_OF),
        &[b"\x94\x01\x01\xc0\x93\xcd\x02\x80\xcd\x01\xe0\x07"],
    );
    add(
        "get_size-response-as-uint32",
        size,
        Some(SIZE_OF),
        &[b"\x94\x01\x01\xc0\x92\xce\0\0\x02\x80\xce\0\0\x01\xe0"],
    );
    add(
        "get_size-response-msgid-as-uint32",
        size,
        Some(SIZE_OF),
        &[b"\x94\x01\xce\0\0\0\x01\xc0\x92\xcd\x02\x80\xcd\x01\xe0"],
    );
    add(
        "get_size-response-as-array16",
        size,
        Some(SIZE_OF),
        &[b"\xdc\0\x04\x01\x01\xc0\xdc\0\x02\xcd\x02\x80\xcd\x01\xe0"],
    );
    let pixel = Some("get_pixel-response");
    add("get_pixel-response-as-uint64", pixel, Some(PIXEL), &[b"\x94\x01\x01\xc0\xcf\0\0\0\0\xff\0\0\xff"]);
    let progress = Some("progress-1");
    for (form, one) in forms(1).into_iter().filter(|(form, _)| !form.starts_with("float")) {
        add(&format!("progress-as-{form}"), progress, Some(CLEAR), &[b"\x93\x02\xa8progress\x91", &one]);
    }
    add("progress-longer", progress, Some(CLEAR), &[b"\x93\x02\xa8progress\x92\x01\xa4more"]);
    let fault = &b"\xa4code\xa8no_space\xa7message\xa4full"[..];
    add("fault-unknown-key", None, Some(CLEAR), &[b"\x94\x01\x01\x83", fault, b"\xa5novel\x92\x01\xc0\xc0"]);
    let code = &b"\x82\xa4code\xa5novel\xa7message\xa9something"[..];
    add("fault-unknown-code", None, Some(CLEAR), &[b"\x94\x01\x01", code, b"\xc0"]);
    add("notification-unknown", None, Some(CLEAR), &[b"\x93\x02\xa5novel\x92\x01\xc0"]);
    let response = files::blocks().remove("hello-response").expect("a block").bytes;
    let (head, keys) = response.split_at(5);
    assert_eq!(head[4], 0x8a);
    let welcome = Some("hello-response");
    add("hello-response-unknown-key", welcome, None, &[&head[..4], &[0x8b], keys, b"\xa5novel\x81\xa1a\x01"]);
    add("hello-response-as-map16", welcome, None, &[&head[..4], &[0xde, 0, 10], keys]);
    all
}

/// Returns bytes that the server refuses as the first message on a plain connection.
fn refused() -> Vec<Vector> {
    let mut all = Vec::new();
    let mut add = |name: &str, code, bytes: &[u8]| {
        all.push(Vector { usage: Use::Refuse(code), ..vector(name, CLIENT, "plain", bytes.to_vec()) });
    };
    let malformed = "malformed";
    add("refused-reserved-byte", malformed, b"\x94\x00\x01\xa4sync\x91\xc1");
    add("refused-array-of-5", malformed, b"\x95\x00\x01\xa4sync\x90\xc0");
    add("refused-kind-3", malformed, b"\x94\x03\x01\xa4sync\x90");
    add("refused-negative-msgid", malformed, b"\x94\x00\xff\xa4sync\x90");
    add("refused-msgid-of-33-bits", malformed, b"\x94\x00\xcf\0\0\0\x01\0\0\0\0\xa4sync\x90");
    add(
        "refused-late-hello",
        malformed,
        b"\x94\x00\x01\xa4sync\x90\x94\x00\x02\xa5hello\x91\x81\xa7version\x01",
    );
    add("refused-unknown-method", "unknown_method", b"\x94\x00\x01\xa4song\x90");
    let invalid = "invalid_argument";
    add("refused-too-few-parameters", invalid, b"\x94\x00\x01\xa9get_pixel\x91\x01");
    add("refused-too-many-parameters", invalid, b"\x94\x00\x01\xa9get_pixel\x93\x01\x02\x03");
    add("refused-fraction", invalid, b"\x94\x00\x01\xa9get_pixel\x92\x01\xca\x3f\x00\x00\x00");
    add("refused-text-as-number", invalid, b"\x94\x00\x01\xa9get_pixel\x92\x01\xa11");
    add("refused-x-of-33-bits", invalid, b"\x94\x00\x01\xa9get_pixel\x92\xce\x80\0\0\0\x01");
    add("refused-negative-color", invalid, b"\x94\x00\x01\xa5clear\x91\xff");
    add("refused-half-a-record", invalid, b"\x94\x00\x01\xabdraw_pixels\x91\xc4\x07\0\x01\0\x02\xff\0\0");
    add("refused-short-image", invalid, b"\x94\x00\x01\xa9put_image\x95\0\0\x02\x02\xc4\x04\xff\0\0\xff");
    add(
        "refused-long-message",
        "too_large",
        b"\x94\x00\x01\xa9put_image\x95\0\0\x01\x01\xc6\xff\xff\xff\xff",
    );
    add(
        "refused-large-digest",
        "too_large",
        b"\x94\x00\x01\xaaget_digest\x94\0\0\xce\0\x01\0\0\xce\0\x01\0\0",
    );
    all
}
