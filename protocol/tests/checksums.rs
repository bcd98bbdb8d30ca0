//! Checksums, one case at a time: a corrupted message is neither executed nor used, and an intact one is handled as
//! without checksums.

mod common;

use common::{Host, Raw, SIZE, Told, World, config, uncut};
use draw_protocol::client::{Connection, Ended};
use draw_protocol::{Answer, CHECK, Code, Color, Fault, Hello, Pixel, Request, Size, limits};
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

const SECOND: Duration = Duration::from_secs(1);
const FILL: Request<'static> = Request::FillRect { x: 0, y: 0, width: 1, height: 1, color: Color::RED };
const ASK: Request<'static> = Request::GetPixel { x: 0, y: 0 };
/// The length of a check in bytes.
const LENGTH: usize = 18;

fn check(message: &[u8]) -> Vec<u8> {
    Raw::notification(CHECK).bytes(&[0x91, 0xcf]).bytes(&xxh3_64(message).to_be_bytes()).0
}

fn checked(message: &[u8]) -> Vec<u8> {
    [&check(message), message].concat()
}

fn hello() -> Hello {
    Hello::new("demo").with_checks(true)
}

/// Returns a client and a server that have greeted each other with checks.
fn world() -> World {
    let mut world = World::silent(SIZE);
    world.client = Connection::new(&hello());
    world.greeted()
}

/// Sends `bytes` to a display that must end the connection without executing anything. Returns the code and the text
/// of the fault.
fn ends_with(host: &mut Host, bytes: &[u8]) -> (Code, String) {
    let executed = host.server.stats().executed;
    let said = host.ask(bytes);
    let fault = host.server.closing().expect("it ends").clone();
    assert_eq!(host.server.stats().executed, executed, "nothing of it was executed");
    if fault.code == Code::Corrupted {
        let mut client = World::silent(SIZE).client;
        let mut input = &said[..];
        while client.handle_input(&mut input, host.now).expect("its own check is right").is_some() {}
        assert_eq!(client.goodbye(), Some(&fault), "and it says so");
    }
    (fault.code, fault.message)
}

fn ended(client: &mut World, bytes: &[u8]) -> Ended {
    let mut input = bytes;
    loop {
        match client.client.handle_input(&mut input, client.host.now) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("this was believed: {bytes:02x?}"),
            Err(ended) => return ended,
        }
    }
}

#[test]
fn a_conversation_is_the_same_with_checks() {
    let pixels = [Pixel::new(1, 2, Color::RED), Pixel::new(640, 3, Color::BLUE)];
    let rgba = [9; 24];
    let talk = |is_checked: bool| {
        let mut world = World::silent(SIZE);
        world.client = Connection::new(&Hello::new("demo").with_checks(is_checked));
        let mut world = world.greeted();
        (world.to_server, world.to_client) = (vec![], vec![]);
        for call in [
            Request::DrawPixel { x: 1, y: 1, color: Color::RED },
            Request::DrawPixel { x: 2, y: 1, color: Color::RED },
            Request::DrawPixel { x: -2, y: 1, color: Color::RED },
            Request::DrawPixels { pixels: (&pixels[..]).into() },
            Request::PutImage { x: 638, y: 9, width: 3, height: 2, rgba: &rgba },
            Request::GetImage { x: 0, y: 0, width: 4, height: 4 },
            Request::SyncDurable {},
            FILL,
        ] {
            world.call(&call);
        }
        // The result does not depend on how the bytes are split.
        let mut n = 0;
        let mut cut = || {
            n = (n + 7) % 23;
            n
        };
        world.up(&mut cut);
        world.down(&mut cut);
        (world.told, world.host.display, world.to_server.len(), world.to_client.len(), world.client.done())
    };
    let (plain, with_checks) = (talk(false), talk(true));
    assert_eq!((&with_checks.0, &with_checks.1), (&plain.0, &plain.1));
    assert_eq!((with_checks.4, plain.4), (8, 8));
    // The client sends seven requests, since two pixels are joined; the display sends three faults, two answers and
    // the progress.
    assert_eq!(with_checks.2 - plain.2, 7 * LENGTH);
    assert_eq!(with_checks.3 - plain.3, 6 * LENGTH);
}

#[test]
fn what_was_executed_before_the_altered_message_is_reported() {
    let mut world = world();
    world.call(&FILL);
    let mut sent = world.client.poll_transmit().to_vec();
    world.call(&ASK);
    let whole = world.client.poll_transmit().to_vec();
    sent.clone_from(&whole);
    *sent.last_mut().unwrap() ^= 0x40;
    world.client.handle_transmitted(whole.len());
    let said = world.host.ask(&sent);
    assert_eq!(world.host.server.closing().map(|fault| &fault.code), Some(&Code::Corrupted));
    world.hear_from_server(&said);
    assert_eq!((world.client.done(), world.client.in_flight()), (1, 1));
    assert_eq!(world.client.goodbye().map(|fault| &fault.code), Some(&Code::Corrupted));
}

#[test]
fn a_message_needs_its_own_check_where_they_are_agreed() {
    let fill = Raw::request(1, "clear").bytes(&[0x91, 0]).0;
    let greeted = || {
        let mut world = world();
        world.round();
        world.host
    };
    let length = fill.len();
    for (bytes, says) in [
        (fill.clone(), format!("a message of {length} bytes came without a check")),
        ([check(&fill), check(&fill), fill.clone()].concat(), "a check came where".into()),
        ([check(b"other"), fill.clone()].concat(), format!("a message of {length} bytes is not what")),
        ([&checked(&fill)[..], &fill].concat(), "came without a check".into()),
        (Raw::notification(CHECK).bytes(&[0x91, 7]).0, "came without a check".into()),
        (checked(&Raw::notification(CHECK).bytes(&[0x91, 7]).0), "a check is not as checks are".into()),
        (b"HTTP/1.1".to_vec(), "not with an array".into()),
        ([&check(&fill)[..], &[0x94, 0x03]].concat(), "this is no MessagePack-RPC message".into()),
        ([&check(&fill)[..], &[0x94, 0, 1, 0xc6, 0xff, 0xff, 0xff, 0xff]].concat(), "the limit is".into()),
    ] {
        let mut host = greeted();
        let first = host.server.stats().executed;
        let said = host.ask(&bytes);
        let fault = host.server.closing().expect("it ends").clone();
        assert_eq!(fault.code, Code::Corrupted, "{bytes:02x?}: {fault}");
        assert!(fault.message.contains(&says), "{fault}");
        // Intact messages before the corrupted one are executed.
        assert_eq!(host.server.stats().executed - first, u64::from(bytes.starts_with(&checked(&fill))));
        assert!(said.windows(9).any(|bytes| bytes == b"corrupted"));
    }
}

#[test]
fn a_check_is_compared_where_none_was_promised() {
    let fill = Raw::request(7, "clear").bytes(&[0x91, 0]).0;
    let mut host = Host::new(SIZE);
    // The answers are the same as without checks.
    assert_eq!(host.ask(&[checked(&fill), fill.clone()].concat()), b"\x94\x01\x07\xc0\xc0".repeat(2));
    let (code, _) = ends_with(&mut host, &[check(b"other"), fill.clone()].concat());
    assert_eq!(code, Code::Corrupted);
    // A hello that does not ask for checks does not get any.
    let plain = Connection::new(&Hello::new("demo")).poll_transmit().to_vec();
    let mut host = Host::new(SIZE);
    assert_eq!(host.ask(&checked(&plain)), Host::new(SIZE).ask(&plain));
}

#[test]
fn a_hello_that_asks_for_checks_has_one() {
    let bare = hello();
    let message = Connection::new(&bare).poll_transmit()[LENGTH..].to_vec();
    let (code, text) = ends_with(&mut Host::new(SIZE), &message);
    assert_eq!(code, Code::Corrupted);
    assert!(text.ends_with("a hello that promises checks came without one"), "{text}");
    // Only a check precedes the response.
    let mut host = Host::new(SIZE);
    let said = host.ask(&checked(&message));
    assert_eq!(said[LENGTH..][..4], [0x94, 1, 0, 0xc0]);
    assert_eq!(said[..LENGTH], check(&said[LENGTH..]));
}

#[test]
fn a_refusal_is_believed_if_its_check_is_right() {
    let mut without = config(SIZE);
    without.has_journal = false;
    let mut world = World::with(without);
    world.client = Connection::new(&hello().with_durability(true));
    world.up(&mut uncut);
    let said = world.host.say();
    assert!(matches!(ended(&mut world, &said), Ended::Refused(fault) if fault.code == Code::NoJournal));
    // The hello could not be parsed but arrived with a check, so the refusal carries one too.
    for map in [&b"\x91\x81\xa7version\x09"[..], b"\x91\x81\xa7version\xa3two", b"\xc0"] {
        let message = Raw::request(0, "hello").bytes(map).0;
        let mut host = Host::new(SIZE);
        let said = host.ask(&checked(&message));
        let is_checked = said.starts_with(b"\x93\x02\xa5check");
        // Version 9 may not have checks.
        assert_eq!(is_checked, map != b"\x91\x81\xa7version\x09", "{map:02x?}");
        assert!(host.server.closing().is_none());
    }
}

#[test]
fn what_is_wrong_with_a_right_check_was_sent_so() {
    // A skipped call number.
    let gap = checked(&Raw::request(9, "clear").bytes(&[0x91, 0]).0);
    let mut world = world();
    let (code, _) = ends_with(&mut world.host, &gap);
    assert_eq!(code, Code::Malformed);
    // An answer to a request that was not sent.
    let lie = checked(b"\x94\x01\x09\xc0\xc0");
    assert!(matches!(ended(&mut self::world(), &lie), Ended::Violation(_)));
    // A request that cannot be executed gets an error, and the connection continues.
    let mut world = self::world();
    let said = world.host.ask(&checked(&Raw::request(1, "undraw").bytes(&[0x90]).0));
    assert!(world.host.server.closing().is_none());
    assert!(said.windows(14).any(|bytes| bytes == b"unknown_method"));
}

#[test]
fn what_is_no_message_was_altered_whether_it_comes_whole_or_in_parts() {
    // Found by the fuzz targets `server` and `client`: such a message counted as malformed when it arrived whole, and
    // as corrupted when it arrived in parts.
    for message in [&b"\x93\x02\x01\x90"[..], &[0x91; 16], b"\x94\x04\x01\x02\x03"] {
        let bytes = checked(message);
        for step in [1, bytes.len()] {
            for mut host in [Host::new(SIZE), world().host] {
                bytes.chunks(step).for_each(|piece| _ = host.hear(piece));
                let code = host.server.closing().map(|fault| fault.code.clone());
                assert_eq!(code, Some(Code::Corrupted), "{message:02x?} in parts of {step}");
            }
            let mut client = world().client;
            let heard = bytes.chunks(step).try_for_each(|mut piece| {
                client.handle_input(&mut piece, std::time::Instant::now()).map(|_| ())
            });
            assert!(
                matches!(heard, Err(Ended::Corrupted(_))),
                "{message:02x?} in parts of {step}: {heard:?}"
            );
        }
    }
}

#[test]
fn a_client_believes_nothing_without_a_right_check() {
    let refusal = b"\x94\x01\x00\x92\x00\xb2unknown_method: no\xc0";
    let first = "what the display answered was altered on its way, or the display does not know checksums";
    let later = "what the display said was altered on its way: ";
    for (bytes, says) in [
        (&refusal[..], "a message of 25 bytes came without a check"),
        (b"\x13\x01\x00\xc0", "not with an array"),
        (b"\x93\x02\xa7goodbye\x91\x82\xa4code\xa5stale\xa7message\xa0", "came without a check"),
        (&[check(b"other"), refusal.to_vec()].concat(), "is not what its check says"),
        (&[check(refusal), vec![0x94, 0x04]].concat(), "its bytes are no message"),
        (&[check(refusal), check(refusal)].concat(), "a check came where"),
    ] {
        let mut silent = World::silent(SIZE);
        silent.client = Connection::new(&hello());
        let mut greeted = world();
        for (world, begins) in [(&mut silent, first), (&mut greeted, later)] {
            let Ended::Corrupted(text) = ended(world, bytes) else { panic!("{bytes:02x?}") };
            assert!(text.starts_with(begins) && text.contains(says), "{text}");
            assert!(world.client.goodbye().is_none() && world.client.is_checked());
        }
    }
    // Text in place of the greeting comes from a foreign protocol. After the greeting it counts as corruption.
    let text = b"HTTP/1.1 400 Bad Request";
    let mut silent = World::silent(SIZE);
    silent.client = Connection::new(&hello());
    let stranger = Ended::Stranger("HTTP, \"HTTP/1.1 400 Bad Request\"".into());
    assert_eq!(ended(&mut silent, text), stranger);
    assert!(matches!(ended(&mut world(), text), Ended::Corrupted(_)));
    // Without checks it is a protocol violation, and no deadline is set.
    let mut plain = World::new(SIZE);
    assert!(matches!(ended(&mut plain, &[0x94, 0x04]), Ended::Violation(_)));
    let mut plain = World::new(SIZE);
    assert!(plain.client.handle_input(&mut &[0x94][..], plain.host.now).unwrap().is_none());
    assert_eq!(plain.client.poll_timeout(), None);
}

#[test]
fn a_message_that_does_not_come_to_its_end_was_altered() {
    // The display waits as long as for any message.
    let fill = checked(&Raw::request(1, "clear").bytes(&[0x91, 0]).0);
    for cut in [3, LENGTH + 3, fill.len() - 1] {
        let mut host = world().host;
        assert_eq!(host.ask(&fill[..cut]), b"");
        host.pass(limits::MESSAGE_GRACE - SECOND);
        assert!(host.server.closing().is_none());
        host.pass(2 * SECOND);
        let fault = host.server.closing().expect("it ends").clone();
        assert_eq!(fault.code, Code::Corrupted, "cut at {cut}");
        assert!(fault.message.contains("begun and not finished"), "{fault}");
    }
    // No message has begun between a check and its message, so no deadline applies.
    let mut host = world().host;
    host.ask(&fill[..LENGTH]);
    host.pass(1_000 * SECOND);
    assert!(host.server.closing().is_none() && !host.ask(&fill[LENGTH..]).is_empty());

    // The client waits as long as for a dead network, plus time for the bytes that have arrived.
    let mut world = world();
    world.call(&Request::GetImage { x: 0, y: 0, width: 512, height: 128 });
    world.up(&mut uncut);
    let said = world.host.say();
    let (begun, start) = (128 << 10, world.host.now);
    world.hear_from_server(&said[..10]);
    assert_eq!(world.client.poll_timeout(), Some(start + limits::DEAD_NETWORK));
    world.host.now += SECOND;
    world.hear_from_server(&said[10..LENGTH]);
    assert_eq!(world.client.poll_timeout(), None);
    world.hear_from_server(&said[LENGTH..][..begun]);
    let until = start + SECOND + limits::DEAD_NETWORK + 2 * SECOND;
    assert_eq!(world.client.poll_timeout(), Some(until));
    world.client.handle_timeout(until - SECOND);
    assert!(world.client.handle_input(&mut &[][..], until).unwrap().is_none());
    world.client.handle_timeout(until);
    let Ended::Corrupted(text) = ended(&mut world, &[]) else { panic!() };
    assert!(text.ends_with("131072 bytes came within 20 s and a second per 64 KiB"), "{text}");
    world.client.handle_disconnected(Vec::new());
    assert_eq!(world.client.poll_timeout(), None);
}

#[test]
fn an_image_that_was_sent_from_where_it_lies_is_what_its_check_says() {
    let rgba: Vec<u8> = (0..20 * 30 * 4u32).map(|i| i as u8).collect();
    for is_kept in [false, true] {
        let mut world = world();
        world.call(&FILL);
        let image = Request::PutImage { x: 3, y: 3, width: 20, height: 30, rgba: &rgba };
        let (_, mut lent) = world.client.call_lending(&image, world.host.now).unwrap();
        world.call(&FILL);
        if is_kept {
            world.client.keep(lent);
        } else {
            let slices = world.client.poll_transmit_lent(&lent);
            let bytes = slices.iter().map(|slice| &slice[..]).collect::<Vec<_>>().concat();
            world.client.handle_transmitted_lent(&mut lent, bytes.len());
            assert!(lent.is_empty());
            assert_eq!(world.host.hear(&bytes), bytes.len());
        }
        world.round();
        assert_eq!((world.client.done(), world.told.len()), (3, 0), "{:?}", world.host.server.closing());
        assert_eq!(world.host.display.pixel(4, 3), Some(Color::rgba(4, 5, 6, 7)));
    }
}

#[test]
fn what_is_held_back_and_what_is_forgotten_leave_whole_messages() {
    let mut world = World::silent(SIZE);
    world.client = Connection::new(&hello().with_durability(true));
    let mut world = world.greeted();
    world.call(&ASK);
    world.call(&FILL);
    world.up(&mut uncut);
    assert!(world.host.say_released().is_empty() && world.host.server.mark());
    world.call(&ASK);
    world.up(&mut uncut);
    world.host.server.release();
    let said = world.host.say_released();
    world.hear_from_server(&said);
    assert_eq!((world.client.done(), world.told.len()), (2, 1));
    // The disk fails: the output held back is discarded, and the goodbye is sent.
    world.host.server.forget_held();
    world.host.server.close(Fault::new(Code::ShuttingDown, "no disk"));
    let said = world.host.say_released();
    world.hear_from_server(&said);
    assert_eq!(
        (world.client.done(), world.client.goodbye().map(|fault| &fault.code)),
        (2, Some(&Code::ShuttingDown))
    );
}

#[test]
fn an_image_that_cannot_be_answered_leaves_no_check_behind() {
    let mut world = world();
    world.call(&Request::GetImage { x: 0, y: 0, width: 2, height: 1 });
    world.call(&ASK);
    let sent = world.client.poll_transmit().to_vec();
    world.client.handle_transmitted(sent.len());
    let mut input = &sent[..];
    let step = world.host.server.handle_input(&mut input, world.host.now);
    assert!(matches!(step, draw_protocol::server::Step::Execute(Request::GetImage { .. }, _)));
    world.host.server.answer_image(8, |out| {
        out.extend_from_slice(&[7; 5]);
        Err(Fault::new(Code::NoMemory, "not now"))
    });
    world.host.hear(input);
    let said = world.host.say();
    world.hear_from_server(&said);
    assert!(
        matches!(&world.told[..], [Told::Fault(1, _, Code::NoMemory, ..), Told::Answer(2, Answer::Pixel(_))]),
        "{:?}",
        world.told
    );
}

#[test]
fn a_first_message_stays_short_with_a_check_in_front() {
    let mut host = Host::new(Size { width: 4, height: 4 });
    let stranger = Raw::request(1, "no such method").bytes(&[0x91]).bin(&[0; 5_000]).0;
    let (code, text) = ends_with(&mut host, &checked(&stranger));
    assert_eq!(code, Code::Corrupted);
    assert!(text.contains("the limit is 4096"), "{text}");
}
