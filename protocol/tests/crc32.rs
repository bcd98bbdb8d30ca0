//! Connections with CRC-32 checks: they behave as those with XXH3-64, in both directions and across reconnects.

mod common;

use common::{Host, Raw, SIZE, World};
use draw_protocol::client::{Connection, Ended};
use draw_protocol::session::Id;
use draw_protocol::{CHECK, CRC32, Checksum, Code, Color, Hello, Request, Scan, limits, server};
use xxhash_rust::xxh3::xxh3_64;

/// Returns the CRC-32 of a message, computed bit by bit from its definition, so no library is compared with itself.
fn crc32(message: &[u8]) -> u32 {
    !message.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn check(name: &str, digest: u64) -> Vec<u8> {
    Raw::notification(name).bytes(&[0x91, 0xcf]).bytes(&digest.to_be_bytes()).0
}

fn checked(message: &[u8]) -> Vec<u8> {
    [&check(CRC32, crc32(message).into()), message].concat()
}

/// Splits bytes into messages that each follow a CRC-32 check, and returns the messages.
fn bare(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let (before, after) = bytes.split_at(18);
        let end = Scan::default().run(after, limits::MESSAGE).ok().flatten().expect("a message");
        let (message, rest) = after.split_at(end);
        assert_eq!(before, check(CRC32, crc32(message).into()));
        messages.push(message.to_vec());
        bytes = rest;
    }
    messages
}

fn hello() -> Hello {
    Hello::new("demo").with_checksum(Checksum::Crc32)
}

fn world(hello: &Hello) -> World {
    let mut world = World::silent(SIZE);
    world.client = Connection::new(hello);
    world.greeted()
}

#[test]
fn every_message_of_either_side_has_a_crc_32_and_says_what_it_says_without() {
    let rgba = [9; 24];
    let talk = |hello: &Hello| {
        let mut world = world(hello);
        for call in [
            Request::DrawPixel { x: 1, y: 1, color: Color::RED },
            Request::PutImage { x: 638, y: 9, width: 3, height: 2, rgba: &rgba },
            Request::GetImage { x: 0, y: 0, width: 4, height: 4 },
            Request::GetDigest { x: 0, y: 0, width: 0, height: 0 },
        ] {
            world.call(&call);
        }
        let image = Request::PutImage { x: 3, y: 3, width: 3, height: 2, rgba: &rgba };
        let (_, lent) = world.client.call_lending(&image, world.host.now).expect("it is sent");
        world.client.keep(lent);
        world.round();
        assert_eq!(world.client.done(), 5, "{:?}", world.host.server.closing());
        (world.to_server, world.to_client, world.host.display)
    };
    let (with, without) = (talk(&hello()), talk(&Hello::new("demo")));
    assert_eq!(bare(&with.1).concat(), without.1);
    let requests = bare(&with.0);
    assert_eq!(requests[1..].concat(), without.0[without.0.len() - requests[1..].concat().len()..]);
    assert!(with.2 == without.2);
}

#[test]
fn a_client_that_sends_lent_images_has_the_crc_32_of_all_their_bytes() {
    let (mut world, rgba) = (world(&hello()), [7; 40 * 30 * 4]);
    let image = Request::PutImage { x: 3, y: 3, width: 40, height: 30, rgba: &rgba };
    let (_, mut lent) = world.client.call_lending(&image, world.host.now).expect("it is sent");
    let slices = world.client.poll_transmit_lent(&lent);
    let bytes = slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
    world.client.handle_transmitted_lent(&mut lent, bytes.len());
    assert_eq!((bare(&bytes).len(), world.host.hear(&bytes)), (1, bytes.len()));
    world.round();
    assert_eq!(world.client.done(), 1, "{:?}", world.host.server.closing());
}

#[test]
fn no_bit_that_is_altered_changes_what_is_drawn() {
    let mut draws = world(&hello());
    draws.to_server.clear();
    draws.call(&Request::Clear { color: Color::RED });
    let sent = draws.client.poll_transmit().to_vec();
    for bit in 0..sent.len() * 8 {
        let mut altered = sent.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let mut world = world(&hello());
        let before = world.host.display.pixel(0, 0);
        let said = world.host.ask(&altered);
        // A corrupted length makes the display wait for more bytes.
        let Some(fault) = world.host.server.closing() else {
            world.host.pass(limits::MESSAGE_GRACE * 2);
            assert_eq!(world.host.server.closing().map(|fault| &fault.code), Some(&Code::Corrupted), "{bit}");
            continue;
        };
        assert_eq!(fault.code, Code::Corrupted, "bit {bit}: {fault}");
        assert!(bare(&said)[0].windows(9).any(|window| window == b"corrupted"), "bit {bit}");
        assert_eq!(world.host.display.pixel(0, 0), before);
    }
    // The same in the other direction.
    let said = checked(b"\x93\x02\xa8progress\x91\x01");
    for bit in 0..said.len() * 8 {
        let mut world = world(&hello());
        world.call(&Request::Clear { color: Color::RED });
        let mut altered = said.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let heard = world.client.handle_input(&mut &altered[..], world.host.now);
        assert!(matches!(heard, Err(Ended::Corrupted(_)) | Ok(None)), "bit {bit}: {heard:?}");
        assert_eq!(world.client.done(), 0, "bit {bit}");
    }
}

#[test]
fn a_check_of_the_other_kind_is_corrupted_once_hello_has_chosen_one() {
    let clear = Raw::request(1, "clear").bytes(&[0x91, 0]).0;
    for (hello, name, digest) in [
        (hello(), CHECK, xxh3_64(&clear)),
        (Hello::new("demo").with_checks(true), CRC32, crc32(&clear).into()),
    ] {
        let mut world = world(&hello);
        world.host.ask(&[check(name, digest), clear.clone()].concat());
        let fault = world.host.server.closing().expect("it ends");
        assert_eq!(fault.code, Code::Corrupted);
        assert!(fault.message.contains("another kind"), "{fault}");
        let mut world = self::world(&hello);
        let heard = world.client.handle_input(&mut &check(name, digest)[..], world.host.now);
        assert!(matches!(heard, Err(Ended::Corrupted(_))), "{heard:?}");
    }
}

#[test]
fn a_refused_hello_and_one_that_is_not_understood_are_answered_with_a_crc_32() {
    for (map, code) in
        [(&b"\x91\x81\xa7version\xa3two"[..], "invalid_argument"), (b"\xc0", "invalid_argument")]
    {
        let mut host = Host::new(SIZE);
        let said = host.ask(&checked(&Raw::request(0, "hello").bytes(map).0));
        assert!(bare(&said)[0].escape_ascii().to_string().contains(code));
    }
    // The upper half of the number must be zero.
    let mut high = checked(&Raw::request(0, "hello").bytes(b"\x91\x81\xa7version\x01").0);
    high[10] = 1;
    let mut host = Host::new(SIZE);
    host.ask(&high);
    assert_eq!(host.server.closing().map(|fault| &fault.code), Some(&Code::Corrupted));
}

#[test]
fn the_checks_of_a_session_that_is_resumed_are_crc_32s_too() {
    let config = server::Config { instance: Some((Id([1; 16]), 1)), ..common::config(SIZE) };
    let mut world = World::with(config.clone());
    world.client = Connection::new(&hello().with_session(Id([3; 16])));
    let mut world = world.greeted();
    world.call(&Request::GetSize {});
    world.up(&mut common::uncut);
    world.host.say();
    let mut session = world.host.server.take_session().map(|(_, session)| session);
    world.client.handle_disconnected(Vec::new());
    world.client.reconnect(false);
    let sent = world.client.poll_transmit().to_vec();
    world.client.handle_transmitted(sent.len());
    world.host.server = server::Connection::new(config, world.host.now);
    let step = world.host.server.handle_input(&mut &sent[..], world.host.now);
    assert!(matches!(step, server::Step::Resume(_)));
    world.host.server.resume(&mut session);
    let said = world.host.say();
    assert!(bare(&said).len() >= 2, "the welcome and the response that was lost");
    world.hear_from_server(&said);
    assert_eq!(world.client.done(), 1);
}

#[test]
fn a_display_that_knows_only_xxh3_is_recognised_as_one_without_checks() {
    // Such a display treats the check as an unknown notification and refuses the late `hello` without a check.
    let mut world = World::silent(SIZE);
    world.client = Connection::new(&hello());
    let refusal = Raw(b"\x94\x01\x00\x92\x00\xa9malformed\xc0".to_vec()).0;
    let heard = world.client.handle_input(&mut &refusal[..], world.host.now);
    let Err(Ended::Corrupted(text)) = heard else { panic!("{heard:?}") };
    assert!(text.contains("does not know checksums"), "{text}");
}
