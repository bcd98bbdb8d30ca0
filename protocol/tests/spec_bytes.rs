//! Compares the bytes in the specification with those that the state machines send.

mod common;
#[path = "common/spec.rs"]
mod files;

use common::{Host, Raw, SIZE, World};
use draw_protocol::session::{Id, Nonce};
use draw_protocol::{
    Checksum, Code, Color, Fault, Hello, Method, Pixel, Pixels, Position, Request, Scan, client, limits,
    server,
};
use files::first_cells;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// Returns the blocks of bytes, by name.
fn blocks() -> BTreeMap<&'static str, Vec<u8>> {
    files::blocks().into_iter().map(|(name, block)| (name, block.bytes)).collect()
}

#[test]
fn the_tables_of_keys_are_what_is_sent() {
    type Keys = BTreeMap<String, serde::de::IgnoredAny>;
    let sorted = |heading| {
        let mut cells = first_cells("hello.md", heading);
        cells.sort_unstable();
        cells
    };
    // The hello of a reconnect contains every field.
    let (session, instance) = (Id([1; 16]), Id([2; 16]));
    let mut hello = Hello::new("demo").with_session(session);
    (hello.instance, hello.ack, hello.next, hello.accepts_loss) = (Some(instance), 1, 2, true);
    (hello.attempt, hello.born, hello.drew, hello.durable, hello.checks) = (2, 1, Some(0), true, true);
    hello.incarnation = Some(NONCES[0].get());
    hello.display = Some("main".into());
    let hello = client::Connection::new(&hello).poll_transmit().to_vec();
    let hello = bare(&hello);
    let (_, _, _, (keys,)): (u8, u32, String, (Keys,)) = rmp_serde::from_slice(&hello).unwrap();
    assert_eq!(sorted("## What the client sends"), keys.keys().collect::<Vec<_>>());
    let mut config = common::config(SIZE);
    (config.instance, config.nonce) = (Some((instance, 1)), Some(NONCES[0]));
    let welcome = bare(&Host::with(config).ask(&[check(&hello), hello.clone()].concat()));
    let (_, _, _, keys): (u8, u32, Option<()>, Keys) = rmp_serde::from_slice(&welcome).unwrap();
    assert_eq!(sorted("## What the server returns"), keys.keys().collect::<Vec<_>>());
}

#[test]
fn drew_is_the_last_drawing_call_that_succeeded_or_was_out_of_bounds() {
    let mut world = World::in_session(config());
    sent_apart(&mut world, &Request::DrawPixel { x: 1, y: 2, color: RED });
    sent_apart(&mut world, &Request::DrawPixel { x: 700, y: 2, color: RED });
    sent_apart(&mut world, &Request::GetPixel { x: 1, y: 2 });
    world.round();
    sent_apart(&mut world, &Request::Clear { color: RED });
    let refused = Fault::new(Code::NoSpace, "the disk is full").to_response(4);
    world.hear_from_server(&refused);
    assert_eq!(world.client.applied(), 4);
    world.client.handle_disconnected(Vec::new());
    world.client.reconnect(false);
    let (_, _, _, (asked,)): (u8, u32, String, (Hello,)) =
        rmp_serde::from_slice(world.client.poll_transmit()).unwrap();
    assert_eq!((asked.drew, asked.ack, asked.next), (Some(2), 4, 5));
}

const RED: Color = Color::RED;
const AMOUNTS: [Pixel; 2] = [Pixel::adding(1, 2, 1), Pixel::adding(640, 3, 256)];
const PIXELS: [Pixel; 2] = [Pixel::new(1, 2, RED), Pixel::new(640, 3, Color::BLUE)];

/// Returns the bytes of a request, sent first after the greeting.
fn request(request: &Request<'_>) -> Vec<u8> {
    let mut world = World::new(SIZE);
    world.call(request);
    world.client.poll_transmit().to_vec()
}

/// Returns the configuration of the display in bytes.md.
fn config() -> server::Config {
    let instance = Some((Id(*b"\xd1the display\x00\x00\x00\x01"), 1));
    server::Config { instance, has_journal: false, ..common::config(SIZE) }
}

/// Returns a display with one pixel drawn and a pointer position.
fn host() -> Host {
    let mut host = Host::with(config());
    host.display.pixels[2 * 640 + 1] = RED;
    host.display.mouse = Some(Position { x: 320, y: 240 });
    host
}

/// Returns the response of a server of two displays to this `hello`.
fn of_two(hello: &[u8]) -> Vec<u8> {
    let (now, mut input) = (std::time::Instant::now(), hello);
    let mut server = server::Connection::open(limits::MESSAGE, now);
    let server::Step::Greet(greeting) = server.handle_input(&mut input, now) else { panic!("it is a hello") };
    let chosen = match greeting.display {
        Some("plots") => Ok(server::Config {
            display: "plots".parse().expect("a name"),
            size: draw_protocol::Size { width: 64, height: 48 },
            instance: Some((Id(*b"\xd1the display\x00\x00\x00\x02"), 1)),
            ..config()
        }),
        other => Err(Fault::unknown_display(other.unwrap_or_default(), ["main", "plots"])),
    };
    server.choose(chosen);
    assert!(matches!(server.handle_input(&mut input, now), server::Step::Continue));
    server.poll_transmit(now).to_vec()
}

/// Returns every message that a state machine sends, by its name in bytes.md.
fn sent() -> BTreeMap<&'static str, Vec<u8>> {
    let rgba = [255, 0, 0, 255, 0, 0, 255, 255];
    let pixels = Pixels::from(&PIXELS[..]);
    let draw_pixel = request(&Request::DrawPixel { x: 1, y: 2, color: RED });
    let get_pixel = request(&Request::GetPixel { x: 1, y: 2 });
    let get_image = request(&Request::GetImage { x: 1, y: 2, width: 2, height: 1 });
    let get_digest = request(&Request::GetDigest { x: 1, y: 2, width: 2, height: 1 });
    let get_size = request(&Request::GetSize {});
    let get_mouse = request(&Request::GetMouse {});
    let sync = request(&Request::Sync {});
    let sync_durable = request(&Request::SyncDurable {});
    let draw_pixels = request(&Request::DrawPixels { pixels });
    let hello = client::Connection::new(&Hello::new("demo")).poll_transmit().to_vec();
    let durable = Hello::new("demo").with_durability(true);
    let durable = client::Connection::new(&durable).poll_transmit().to_vec();
    let [named, unknown] = ["plots", "chart"].map(|name| {
        client::Connection::new(&Hello::new("demo").with_display(name.parse().ok())).poll_transmit().to_vec()
    });
    let version_9 = Raw::request(0, "hello").bytes(&[0x91, 0x81]).str("version").uint(9).0;
    let fill_rect = request(&Request::FillRect { x: -5, y: 10, width: 300, height: 20, color: RED });
    let outside = request(&Request::DrawPixel { x: 700, y: 10, color: RED });
    let mut ends = Host::new(SIZE).greeted();
    ends.server.close(Fault::new(Code::ShuttingDown, "the display ends"));
    let mut draws = World::new(SIZE);
    (0..3).for_each(|x| sent_apart(&mut draws, &Request::DrawPixel { x, y: 0, color: RED }));
    (draws.to_server, draws.to_client) = (vec![], vec![]);
    draws.round();
    BTreeMap::from([
        ("pixel", PIXELS[0].to_bytes().to_vec()),
        ("fill_rect-request", fill_rect.clone()),
        ("put_image-request", request(&Request::PutImage { x: 1, y: 2, width: 2, height: 1, rgba: &rgba })),
        ("add_pixel-request", request(&Request::AddPixel { x: 1, y: 2, amount: 1 })),
        ("add_pixels-request", request(&Request::AddPixels { pixels: Pixels::from(&AMOUNTS[..]) })),
        ("clear-request", request(&Request::Clear { color: Color::WHITE })),
        ("done-response", host().ask(&draw_pixel)),
        ("get_pixel-response", host().ask(&get_pixel)),
        ("get_image-response", host().ask(&get_image)),
        ("get_digest-response", host().ask(&get_digest)),
        ("get_size-response", host().ask(&get_size)),
        ("get_mouse-response", host().ask(&get_mouse)),
        ("get_mouse-unseen-response", Host::new(SIZE).ask(&get_mouse)),
        ("sync-response", host().ask(&sync)),
        ("plain-fault", host().ask(&outside)),
        ("draw_pixel-outside-request", outside),
        ("fill_rect-fault", host().ask(&fill_rect)),
        ("structured-fault", host().greeted().ask(&draw_pixels)),
        ("hello-request", hello.clone()),
        ("hello-response", host().ask(&hello)),
        ("hello-display-response", of_two(&named)),
        ("hello-display", named),
        ("hello-display-refused", of_two(&unknown)),
        ("hello-display-unknown", unknown),
        ("hello-refused", host().ask(&version_9)),
        ("hello-version-9", version_9),
        ("hello-durable-refused", host().ask(&durable)),
        ("hello-durable", durable),
        ("progress-requests", draws.to_server),
        ("progress", draws.to_client),
        ("goodbye", ends.say()),
        ("draw_pixel-request", draw_pixel),
        ("draw_pixels-request", draw_pixels),
        ("get_pixel-request", get_pixel),
        ("get_image-request", get_image),
        ("get_digest-request", get_digest),
        ("get_size-request", get_size),
        ("get_mouse-request", get_mouse),
        ("sync-request", sync),
        ("sync_durable-request", sync_durable),
    ])
}

/// Makes a call that is not joined with another.
fn sent_apart(world: &mut World, request: &Request<'_>) {
    world.call(request);
    world.client.poll_transmit();
}

/// The nonces of the first and the second connection.
const NONCES: [Nonce; 2] = [Nonce::new(0x0001_2345_6789_abcd), Nonce::new(0x000f_edcb_a987_6543)];

/// Returns the messages of a session that loses its connection after three requests. Only the first was reported done.
fn session() -> BTreeMap<&'static str, Vec<u8>> {
    let [first, second] = NONCES.map(|nonce| server::Config { nonce: Some(nonce), ..config() });
    let hello = Hello::new("demo").with_session(Id(*b"\x5ea session\x00\x00\x00\x00\x00\x01"));
    let mut world = World::with(first);
    world.client = client::Connection::new(&hello);
    let mut world = world.greeted();
    let (hello, welcome) = (world.to_server.clone(), world.to_client.clone());
    world.to_server.clear();
    world.up(&mut common::uncut);
    let confirm = world.to_server.clone();
    sent_apart(&mut world, &Request::DrawPixel { x: 1, y: 2, color: RED });
    world.to_client.clear();
    world.round();
    let (carried, progress) = (world.to_server.clone(), world.to_client.clone());
    sent_apart(&mut world, &Request::GetPixel { x: 1, y: 2 });
    sent_apart(&mut world, &Request::Clear { color: Color::BLACK });
    world.to_server.clear();
    world.up(&mut common::uncut);
    let requests = world.to_server.clone();
    // The display's answer is lost with the connection.
    let (_, session) = world.host.server.take_session().expect("it has one");
    let mut found = Some(session);
    world.client.handle_disconnected(Vec::new());
    world.client.reconnect(false);
    let again = world.client.poll_transmit().to_vec();
    world.host.server = server::Connection::new(second.clone(), world.host.now);
    let step = world.host.server.handle_input(&mut &again[..], world.host.now);
    assert!(matches!(step, server::Step::Resume(_)));
    world.host.server.resume(&mut found);
    world.client.handle_transmitted(again.len());
    let resumed = world.host.say();
    world.hear_from_server(&resumed);
    assert_eq!((world.client.done(), world.host.display.pixel(1, 2)), (3, Some(Color::BLACK)));
    world.to_server.clear();
    world.up(&mut common::uncut);
    let confirm_again = std::mem::take(&mut world.to_server);
    // Long after the session ended, the bytes of the first connection arrive again.
    let mut late = Host::with(second);
    assert!(late.ask(&hello).starts_with(b"\x94\x01\x00\xc0"));
    let unconfirmed = late.ask(&carried);
    assert_eq!(late.server.stats().executed, 0);
    for _ in 0..limits::ACK_CALLS {
        sent_apart(&mut world, &Request::Clear { color: Color::BLACK });
        world.round();
    }
    let (_, ack) =
        world.to_server.split_at(world.to_server.windows(3).position(|w| w == b"ack").expect("one") - 3);
    let ack = ack[..10].to_vec();
    world.to_server.clear();
    world.client.end_session();
    world.round();
    BTreeMap::from([
        ("session-hello", hello),
        ("session-welcome", welcome),
        ("confirm", confirm),
        ("session-progress", progress),
        ("session-requests", requests),
        ("session-hello-again", again),
        ("session-resumed", resumed),
        ("confirm-again", confirm_again),
        ("unconfirmed", unconfirmed),
        ("ack", ack),
        ("end", world.to_server),
    ])
}

/// Returns the messages of the example at the end, turn by turn.
fn example() -> BTreeMap<&'static str, Vec<u8>> {
    let mut world = World::with(config());
    let turns = [
        ("example-1-client", "example-1-display", vec![]),
        (
            "example-2-client",
            "example-2-display",
            vec![
                Request::DrawPixel { x: 1, y: 2, color: RED },
                Request::DrawPixel { x: 700, y: 10, color: RED },
                Request::GetPixel { x: 1, y: 2 },
            ],
        ),
        (
            "example-3-client",
            "example-3-display",
            vec![
                Request::DrawPixels { pixels: Pixels::from(&PIXELS[..1]) },
                Request::Sync {},
                Request::Clear { color: Color::BLACK },
            ],
        ),
    ];
    let mut said = BTreeMap::new();
    for (client, display, requests) in turns {
        (world.to_server, world.to_client) = (vec![], vec![]);
        requests.iter().for_each(|request| sent_apart(&mut world, request));
        world.round();
        said.insert(client, world.to_server.clone());
        said.insert(display, world.to_client.clone());
    }
    assert_eq!(world.client.done(), 6, "the client has understood all of it");
    said
}

/// Returns the check of a message, as checks.md describes it.
fn check_of(message: &[u8], kind: Checksum) -> Vec<u8> {
    let (head, digest) = match kind {
        Checksum::Xxh3 => (b"\x93\x02\xa5check\x91\xcf", xxh3_64(message)),
        Checksum::Crc32 => (b"\x93\x02\xa5crc32\x91\xcf", crc32fast::hash(message).into()),
    };
    [&head[..], &digest.to_be_bytes()].concat()
}

fn check(message: &[u8]) -> Vec<u8> {
    check_of(message, Checksum::Xxh3)
}

/// Returns the end of the first message.
fn end(bytes: &[u8]) -> usize {
    Scan::default().run(bytes, limits::MESSAGE).ok().flatten().expect("a whole message")
}

/// Returns these messages without their checks. Each must have a valid one.
fn bare(bytes: &[u8]) -> Vec<u8> {
    bare_of(bytes, Checksum::Xxh3)
}

fn bare_of(mut bytes: &[u8], kind: Checksum) -> Vec<u8> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (before, after) = bytes.split_at(check(&[]).len());
        let (message, rest) = after.split_at(end(after));
        assert_eq!(before, check_of(message, kind));
        messages.extend_from_slice(message);
        bytes = rest;
    }
    messages
}

/// The blocks of a conversation with checks, in order.
const CHECKED: [&str; 6] = [
    "checks-hello",
    "checks-welcome",
    "checks-requests",
    "checks-answer",
    "checks-altered",
    "checks-goodbye",
];
const CRC_CHECKED: [&str; 4] = ["crc32-hello", "crc32-welcome", "crc32-requests", "crc32-answer"];

/// Returns the messages of a client and a display with checks of this kind, up to a request with a flipped bit.
fn checks(kind: Checksum) -> [Vec<u8>; 6] {
    let mut world = World::with(config());
    world.client = client::Connection::new(&Hello::new("demo").with_checksum(kind));
    let mut world = world.greeted();
    let (hello, welcome) = (std::mem::take(&mut world.to_server), std::mem::take(&mut world.to_client));
    sent_apart(&mut world, &Request::DrawPixel { x: 1, y: 2, color: RED });
    sent_apart(&mut world, &Request::GetPixel { x: 1, y: 2 });
    world.round();
    let (requests, answers) = (std::mem::take(&mut world.to_server), std::mem::take(&mut world.to_client));
    world.call(&Request::Clear { color: Color::BLACK });
    let mut altered = world.client.poll_transmit().to_vec();
    *altered.last_mut().expect("a request") ^= 1;
    let goodbye = world.host.ask(&altered);
    assert_eq!(world.host.display.pixel(1, 2), Some(RED), "it was not executed");
    // Without checks the messages are the same, except for the field that requests checks.
    assert_eq!(
        (bare_of(&welcome, kind), bare_of(&answers, kind)),
        (sent()["hello-response"].clone(), {
            let mut plain = World::new(SIZE);
            sent_apart(&mut plain, &Request::DrawPixel { x: 1, y: 2, color: RED });
            sent_apart(&mut plain, &Request::GetPixel { x: 1, y: 2 });
            plain.to_client.clear();
            plain.round();
            plain.to_client
        })
    );
    [hello, welcome, requests, answers, altered, goodbye]
}

#[test]
fn every_check_that_is_shown_is_that_of_the_message_behind_it() {
    let blocks = blocks();
    for name in CHECKED {
        if name == "checks-altered" {
            let mut sent = blocks[name].clone();
            *sent.last_mut().expect("a message") ^= 1;
            assert!(!bare(&sent).is_empty(), "its check is that of what was sent");
        } else {
            assert!(!bare(&blocks[name]).is_empty());
        }
    }
    for name in CRC_CHECKED {
        assert!(!bare_of(&blocks[name], Checksum::Crc32).is_empty());
    }
    // A display accepts the checks of a client that computes them independently.
    let mut host = host();
    let requests = bare(&blocks["checks-requests"]);
    let (draws, asks) = requests.split_at(end(&requests));
    let all =
        [&bare(&blocks["checks-hello"]), draws, asks].map(|message| [&check(message), message].concat());
    let said = host.ask(&all.concat());
    assert_eq!(said, [&blocks["checks-welcome"][..], &blocks["checks-answer"]].concat());
}

/// Requests with different encodings and the same meaning, and whether they are answered.
const SAME: [(&str, &str, bool); 4] = [
    ("draw_pixels-array-request", "draw_pixels-request", true),
    ("draw_pixels-str-request", "draw_pixels-request", true),
    ("draw_pixel-float-request", "draw_pixel-request", true),
    ("draw_pixel-notification", "draw_pixel-request", false),
];

/// Messages of a client that has made almost 2^32 requests. The display's tests check them.
const LATE: [&str; 5] =
    ["expired-hello", "expired-welcome", "expired-requests", "expired-progress", "expired-ack"];

#[test]
fn every_block_of_bytes_is_what_the_machines_send_or_accept() {
    let mut blocks = blocks();
    for name in LATE {
        assert!(blocks.remove(name).is_some(), "bytes.md does not show {name}");
    }
    for (name, same, is_answered) in SAME {
        let block = blocks.remove(name).unwrap_or_else(|| panic!("bytes.md does not show {name}"));
        let (mut one, mut other) = (Host::new(SIZE), Host::new(SIZE));
        let (answer, wanted) = (one.ask(&block), other.ask(&blocks[same]));
        assert_ne!(block, blocks[same], "{name} is to be written differently");
        assert_eq!(one.server.stats().executed, 1, "{name}");
        assert!(one.display == other.display, "{name} draws something else than {same}");
        assert_eq!(answer, if is_answered { wanted } else { vec![] }, "{name}");
    }
    let mut sent = sent();
    sent.extend(session());
    sent.extend(example());
    sent.extend(CHECKED.into_iter().zip(checks(Checksum::Xxh3)));
    sent.extend(CRC_CHECKED.into_iter().zip(checks(Checksum::Crc32)));
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>();
    let shown = |all: &BTreeMap<&str, Vec<u8>>| -> Vec<String> {
        all.iter().map(|(name, bytes)| format!("{name}: {}", hex(bytes))).collect()
    };
    assert_eq!(shown(&blocks).join("\n"), shown(&sent).join("\n"));
}

#[test]
fn every_method_has_its_request_shown() {
    let blocks = blocks();
    for method in Method::ALL {
        assert!(blocks.contains_key(format!("{}-request", method.name()).as_str()), "{method:?}");
    }
}
