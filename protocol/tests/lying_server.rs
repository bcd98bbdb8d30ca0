//! A server that violates the protocol or speaks another one: the client ends with a reason, reports every call once,
//! and ignores further input.

mod common;

use common::{Raw, SIZE, Told, World, welcome};
use draw_protocol::client::{Connection, Ended, Event};
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Answer, Code, Color, Hello, Pixel, Pixels, Range, Request, Size, limits};
use std::time::Instant;

/// Returns a client whose calls 1 to 5 are in flight, each as a request of its own: draw, draw, read, draw, read.
fn five() -> World {
    let mut world = World::new(SIZE);
    let draw = Request::FillRect { x: 1, y: 2, width: 1, height: 1, color: Color::RED };
    for request in
        [draw, draw, Request::GetImage { x: 0, y: 0, width: 2, height: 1 }, draw, Request::GetSize {}]
    {
        world.call(&request);
    }
    world.client.poll_transmit();
    world
}

/// Feeds `lie` to the client. Returns the events before it ended, the reason, and the numbers of the lost calls.
fn lie_to(world: &mut World, lie: &[u8]) -> (Vec<Told>, Ended, Vec<u64>) {
    // The server answers requests that were sent.
    world.client.poll_transmit();
    let mut input = lie;
    let mut told = Vec::new();
    let before = world.client.memory();
    let ended = loop {
        match world.client.handle_input(&mut input, world.host.now) {
            Ok(Some(event)) => told.push(event.into()),
            Ok(None) => panic!("this was believed: {lie:02x?}"),
            Err(ended) => break ended,
        }
    };
    let done = world.client.done();
    for more in [&b"\x93\x02\xa8progress\x91\x01"[..], b"\x94\x01\x01\xc0\xc0", b"HTTP", b""] {
        assert_eq!(
            world.client.handle_input(&mut &more[..], world.host.now).err(),
            Some(ended.clone()),
            "it stays ended"
        );
    }
    assert!(world.client.body().is_none());
    assert!(world.client.memory() < before + 4096, "{} bytes, {before} before", world.client.memory());
    assert_eq!(world.client.done(), done, "nothing more is believed");
    let lost = world.client.give_up().begun.iter().map(|made| made.number).collect();
    (told, ended, lost)
}

/// Checks that `lie` ends a client with five calls in flight, of which `done` are done and the others are lost. Returns
/// the reason.
fn violates(lie: &[u8], done: u64) -> String {
    let (told, ended, lost) = lie_to(&mut five(), lie);
    assert_eq!(told, [], "{lie:02x?}");
    assert_eq!(lost, (done + 1..=5).collect::<Vec<_>>(), "each call that is not done is named: {lie:02x?}");
    for at in 0..lie.len().min(100) {
        let mut world = five();
        let mut rest = &lie[..at];
        match world.client.handle_input(&mut rest, world.host.now) {
            Ok(None) => assert_eq!(lie_to(&mut world, &lie[at..]).1, ended, "cut at {at}"),
            other => assert_eq!(other.map(|_| ()), Err(ended.clone()), "cut at {at}"),
        }
    }
    let text = ended.to_string();
    text.strip_prefix("the other side does not speak this protocol: ").expect("a violation").to_owned()
}

fn progress(number: &[u8]) -> Vec<u8> {
    [b"\x93\x02\xa8progress\x91", number].concat()
}

fn answer(msgid: u32, result: &[u8]) -> Vec<u8> {
    Raw::response(msgid).bytes(&[0xc0]).bytes(result).0
}

#[test]
fn answers_to_calls_that_were_never_made() {
    for msgid in [0, 6, 7, u32::MAX] {
        let text = violates(&answer(msgid, &[0xc0]), 0);
        assert_eq!(text, format!("it answered request {msgid}, which is not in flight"));
    }
}

#[test]
fn an_answer_that_was_given_before() {
    let lie = [answer(1, &[0xc0]), answer(1, &[0xc0])].concat();
    assert_eq!(violates(&lie, 1), "it answered request 1, which is not in flight");
}

#[test]
fn progress_that_runs_ahead_or_back_or_is_no_number() {
    let range = "; 1 to 5 are in flight";
    assert_eq!(violates(&progress(&[6]), 0), format!("it reported request 6 as done{range}"));
    for number in [
        &[0xff][..],
        &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255],
        &[0xc0],
        &[0xa1, b'1'],
        &[0x91, 1],
        &[0xca, 0x7f, 0xc0, 0, 0],
    ] {
        assert!(violates(&progress(number), 0).ends_with(range), "{number:02x?}");
    }
    let back = [progress(&[2]), progress(&[1])].concat();
    assert_eq!(violates(&back, 2), "it reported request 1 as done; 3 to 5 are in flight");
    for params in [&[0x90][..], &[0xc0], &[0x01], &[0x80]] {
        let lie = Raw::notification("progress").bytes(params).0;
        assert_eq!(violates(&lie, 0), "its progress names no number");
    }
}

#[test]
fn the_same_progress_twice_is_no_lie() {
    let mut world = five();
    world.hear_from_server(&[progress(&[2]), progress(&[2])].concat());
    assert_eq!(world.client.done(), 2);
}

#[test]
fn a_question_is_passed_over() {
    let says = "it passed over get_image(0, 0, 2, 1), which has an answer";
    assert_eq!(violates(&progress(&[3]), 2), says);
    assert_eq!(violates(&progress(&[5]), 2), says);
    assert_eq!(violates(&answer(4, &[0xc0]), 2), says);
    assert_eq!(violates(&answer(5, &[0x92, 1, 1]), 2), says);
}

#[test]
fn an_image_whose_size_lies() {
    for length in [0, 7, 9, 200] {
        let image = Raw(vec![]).bin(&vec![0; length]).0;
        let text = violates(&answer(3, &image), 2);
        assert_eq!(text, format!("it answered an image of 2x1 with {length} bytes"));
    }
    assert_eq!(violates(&answer(3, &[0xc0]), 2), "it answered get_image with nil");
}

#[test]
fn an_answer_of_another_kind() {
    let image = Raw(vec![]).bin(&[0; 8]).0;
    for (size, what) in [
        (&[0xc0][..], "nil"),
        (&[0x90], "an array of 0"),
        (&[0x91, 1], "an array of 1"),
        (&[0x92, 0xff, 1], "-1"),
        (&[0x92, 1, 0xcf, 0, 0, 0, 1, 0, 0, 0, 0], "4294967296"),
        (&[0x92, 0xa1, b'1', 1], "a string of 1 bytes"),
    ] {
        let lie = [answer(3, &image), answer(5, size)].concat();
        let (told, ended, lost) = lie_to(&mut five(), &lie);
        assert_eq!(told, [Told::Answer(3, Answer::Image(vec![0; 8]))], "what came before it counts");
        // The answer to call 5 implies that call 4 is done.
        assert_eq!(lost, [5]);
        let says = format!("the other side does not speak this protocol: it answered get_size with {what}");
        assert_eq!(ended.to_string(), says);
    }
}

#[test]
fn a_fault_that_cannot_be_read() {
    for error in [
        &b"\xa4oops"[..],
        b"\x92\x00\xa4oops",
        b"\x01",
        b"\x80",
        b"\x81\xa4code\xa1x",
        b"\x82\xa4code\x01\xa7message\xa1x",
        b"\xc3",
        b"\x82\xa4code\xa1x\xa7message\xa1\xff",
    ] {
        let lie = Raw::response(1).bytes(error).bytes(&[0xc0]).0;
        assert!(violates(&lie, 0).starts_with("its error cannot be read: "), "{error:02x?}");
    }
}

#[test]
fn a_fault_whose_ranges_lie_names_only_pixels_of_the_call() {
    let mut world = World::new(SIZE);
    world.call(&Request::DrawPixels { pixels: Pixels::from(&[Pixel::default(); 10][..]) });
    let fault = Raw::response(1)
        .bytes(&[0x83])
        .str("code")
        .str("out_of_bounds")
        .str("message")
        .str("no")
        .str("rejected");
    // [3, 2] is valid; [9, 2], [5, 0], [2^32 - 1, 2] and [0, 2^32 - 1] are not.
    let ranges = b"\x95\x92\x03\x02\x92\x09\x02\x92\x05\x00\x92\xce\xff\xff\xff\xff\x02\x92\x00\xce\xff\xff\xff\xff\xc0";
    world.hear_from_server(&fault.bytes(ranges).0);
    let [Told::Fault(1, _, Code::OutOfBounds, _, rejected)] = &world.told[..] else {
        panic!("{:?}", world.told)
    };
    assert_eq!(rejected, &[Range { first: 3, count: 2 }]);
}

/// A client keeps the text for each call that it concerns, so the length of a text must be limited.
#[test]
fn a_reason_is_cut_to_the_length_of_a_text() {
    let long = "\u{20ac}".repeat(1_000_000);
    let reason = |map: Raw| map.bytes(&[0x82]).str("code").str(&long).str("message").str(&long);
    let mut world = five();
    world.hear_from_server(&reason(Raw::response(1)).bytes(&[0xc0]).0);
    let [Told::Fault(1, _, code, message, _)] = &world.told[..] else { panic!("one call has failed") };
    let kept = limits::STRING / 3 * 3;
    assert_eq!((code.as_str(), &message[..]), (&long[..kept], &long[..kept]));
    world.hear_from_server(&reason(Raw::notification("goodbye").bytes(&[0x91])).0);
    let goodbye = world.client.goodbye().expect("it was said");
    assert_eq!((goodbye.code.as_str(), &goodbye.message[..]), (&long[..kept], &long[..kept]));
}

#[test]
fn a_fault_that_was_known_before_the_lie_is_still_told() {
    let mut world = World::granted(SIZE, |welcome| welcome.batch = 2);
    world.call(&Request::DrawPixels { pixels: Pixels::from(&[Pixel::default(); 3][..]) });
    world.call(&Request::GetSize {});
    // The first part fails. The answer to request 3 ends the call and is invalid.
    let fault = b"\x94\x01\x01\x82\xa4code\xa9no_memory\xa7message\xa4full\xc0";
    let (told, _, lost) = lie_to(&mut world, &[&fault[..], &answer(3, &[0xc0])].concat());
    assert!(
        matches!(&told[..], [Told::Fault(1, _, Code::NoMemory, _, ranges)] if *ranges == [Range { first: 0, count: 2 }])
    );
    assert_eq!(lost, [2]);
}

#[test]
fn a_message_larger_than_agreed() {
    let header = b"\x94\x01\x03\xc0\xc6\xff\xff\xff\xff";
    assert_eq!(violates(header, 0), "the message has at least 4294967304 bytes; the limit is 16777216");
    let mut world = World::granted(SIZE, |welcome| welcome.message = 5000);
    world.call(&Request::GetImage { x: 0, y: 0, width: 50, height: 50 });
    let (_, ended, lost) = lie_to(&mut world, &answer(1, &Raw(vec![]).bin(&[0; 10_000]).0));
    assert!(
        ended.to_string().ends_with("the message has at least 10007 bytes; the limit is 5000"),
        "{ended}"
    );
    assert_eq!(lost, [1]);
}

#[test]
fn a_large_message_that_is_only_announced_costs_nothing() {
    let mut world = five();
    world.hear_from_server(b"\x94\x01\x03\xc0\xc6\x00\xf0\x00\x00");
    assert!(world.client.memory() < 4096, "{} bytes", world.client.memory());
    assert_eq!(world.client.give_up().begun.len(), 5);
}

#[test]
fn garbage() {
    assert_eq!(violates(b"\x94\x01\xc1\xc0\xc0", 0), "byte 0xc1 at offset 2 is no MessagePack");
    assert_eq!(violates(b"\x94\x05\x01\xc0\xc0", 0), "its bytes are no message");
    assert_eq!(violates(&[0x90; 1000], 0), "its bytes are no message");
    assert_eq!(violates(b"\x92\x02\xa8progress", 0), "its bytes are no message");
    assert!(violates(b"\x94\x01\x01\xc0\xdd\x00\x10\x00\x00", 0).starts_with("the message has more than"));
    let deep = [&answer(3, &[])[..], &[0x91; 1000]].concat();
    assert_eq!(violates(&deep, 0), "the message nests deeper than 16 levels");
}

#[test]
fn a_request_where_an_answer_was_due() {
    let lie = Raw::request(1, "draw_pixel").bytes(&[0x90]).0;
    assert_eq!(violates(&lie, 0), "it sent a request; a display only answers");
}

/// Returns the reason with which `bytes` end a client that has only sent `hello`.
fn at_hello(bytes: &[u8]) -> Ended {
    let mut world = World::silent(SIZE);
    let (told, ended, lost) = lie_to(&mut world, bytes);
    assert_eq!((told, lost), (vec![], vec![]));
    assert!(world.client.welcome().is_none() && !world.client.has_credit(&Request::Sync {}, 0));
    ended
}

#[test]
fn a_server_of_another_protocol() {
    for (bytes, first) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP, \"HTTP/1.1 400 Bad Request\""),
        (b"SSH-2.0-x\r\n", "SSH, \"SSH-2.0-x\""),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS (an alert); a display speaks without it"),
        (b"RFB 003.008\n", "VNC, \"RFB 003.008\""),
    ] {
        assert_eq!(at_hello(bytes).to_string(), format!("not a display: it answered {first}"));
    }
    let text = at_hello(b"\x05\x00").to_string();
    let begins = "the other side does not speak this protocol: the message starts with byte 0x05";
    assert!(text.starts_with(begins), "{text}");
}

#[test]
fn a_messagepack_rpc_server_that_is_no_display() {
    let unknown = Raw::response(0).bytes(&[0x92, 0]).str("unknown method: hello").bytes(&[0xc0]).0;
    assert!(at_hello(&unknown).to_string().contains("its error cannot be read"));
    assert!(at_hello(&answer(0, &[0xc0])).to_string().contains("its answer to hello cannot be read"));
    assert!(
        at_hello(&answer(1, &[0xc0])).to_string().contains("it answered request 1, which was never made")
    );
    let large = answer(0, &Raw(vec![]).bin(&[0; 5000]).0);
    assert!(
        at_hello(&large).to_string().contains("the limit is 4096"),
        "before hello is answered, little is read"
    );
    assert!(at_hello(&progress(&[1])).to_string().contains("it reported request 1 as done"));
}

#[test]
fn a_refused_greeting_is_shown_as_the_server_put_it() {
    let refusal = b"\x94\x01\x00\x82\xa4code\xb3unsupported_version\xa7message\xa7only 2!\xc0";
    let ended = at_hello(refusal);
    assert!(matches!(&ended, Ended::Refused(fault) if fault.code == Code::UnsupportedVersion));
    assert_eq!(ended.to_string(), "the display refused the greeting: unsupported_version: only 2!");
}

#[test]
fn a_welcome_of_another_version() {
    let text = at_hello(&welcome(SIZE, |welcome| welcome.version = 2)).to_string();
    assert!(text.ends_with("it chose version 2; this side speaks 1"), "{text}");
}

#[test]
fn a_welcome_without_what_it_must_grant() {
    let mut map = Raw(vec![0x94, 1, 0, 0xc0, 0x87]).str("version").uint(1).str("server").str("x");
    for key in ["width", "height", "calls", "bytes", "message"] {
        map = map.str(key).uint(1);
    }
    assert!(at_hello(&map.0).to_string().contains("missing field `batch`"));
    let negative = answer(0, b"\x81\xa7version\xff");
    assert!(at_hello(&negative).to_string().contains("its answer to hello cannot be read"));
}

#[test]
fn a_second_welcome() {
    assert_eq!(violates(&welcome(SIZE, |_| {}), 0), "it answered request 0, which is not in flight");
}

#[test]
fn a_welcome_that_grants_nothing_still_allows_one_call_at_a_time() {
    let mut world = World::granted(SIZE, |welcome| {
        (welcome.calls, welcome.bytes, welcome.message, welcome.batch) = (0, 0, 0, 0);
    });
    let pixels = [Pixel::new(1, 1, Color::RED), Pixel::new(2, 1, Color::RED)];
    for number in 1..=3 {
        let draw = Request::DrawPixels { pixels: Pixels::from(&pixels[..]) };
        assert!(world.client.has_credit(&draw, 0));
        assert_eq!(world.call(&draw), number);
        assert!(!world.client.has_credit(&draw, 0));
        world.round();
        assert_eq!(world.client.done(), number);
    }
    assert_eq!(world.host.display.pixel(2, 1), Some(Color::RED));
}

#[test]
fn a_welcome_that_grants_absurdly_much_is_believed_within_our_own_limits() {
    let huge = Size { width: u32::MAX, height: u32::MAX };
    let mut world = World::granted(huge_display(), |welcome| {
        (welcome.width, welcome.height) = (huge.width, huge.height);
        (welcome.calls, welcome.bytes, welcome.message, welcome.batch) =
            (u32::MAX, u32::MAX, u32::MAX, u32::MAX);
    });
    assert_eq!(world.client.welcome().map(|welcome| welcome.size()), Some(huge));
    let pixels = vec![Pixel::default(); limits::BATCH + 1];
    world.call(&Request::DrawPixels { pixels: Pixels::from(&pixels[..]) });
    world.round();
    assert_eq!((world.told.len(), world.client.done()), (0, 1), "an honest server took both parts");
    let (_, ended, _) = lie_to(&mut world, &[0x94, 0x01, 0x01, 0xc0, 0xc6, 0x05, 0, 0, 0]);
    assert!(ended.to_string().ends_with(&format!("the limit is {}", limits::MESSAGE_HARDEST)), "{ended}");
}

#[test]
fn a_server_that_grants_without_end_and_reads_nothing_does_not_fill_the_memory() {
    let endless =
        |welcome: &mut draw_protocol::Welcome| (welcome.calls, welcome.bytes) = (u32::MAX, u32::MAX);
    let accept = |world: &mut World, request: &Request<'_>| {
        while world.client.has_credit(request, 0) {
            world.call(request);
        }
        world.client.memory()
    };
    // Small requests, single pixels and images. The first call accepted may be larger than the window.
    let image = vec![0; 1 << 20];
    let put = Request::PutImage { x: 0, y: 0, width: 512, height: 512, rgba: &image };
    for (request, most) in
        [(Request::Sync {}, 0), (Request::DrawPixel { x: 1, y: 1, color: Color::RED }, 0), (put, image.len())]
    {
        let memory = accept(&mut World::granted(SIZE, endless), &request);
        // A growing buffer doubles its capacity.
        assert!(memory <= 2 * (limits::WINDOW_FIRST + most + 4096), "{request:?}: {memory} bytes");
    }
    // Each call may become an error that must be kept, however few bytes it sends.
    let mut world = World::granted(SIZE, endless);
    let pixel = Request::DrawPixel { x: 1, y: 1, color: Color::RED };
    (0..limits::CALLS).for_each(|_| _ = world.call(&pixel));
    assert!(!world.client.has_credit_beyond(&pixel, 0, 0, u32::MAX));
}

/// Returns the size of a display that fits in the test's memory.
fn huge_display() -> Size {
    Size { width: 10, height: 10 }
}

#[test]
fn goodbye_and_then_the_end() {
    let mut world = five();
    world.hear_from_server(&progress(&[1]));
    world.hear_from_server(b"\x93\x02\xa7goodbye\x91\x82\xa4code\xadshutting_down\xa7message\xa3bye");
    assert_eq!(world.client.goodbye().map(|fault| fault.to_string()), Some("shutting_down: bye".into()));
    assert_eq!((world.told, world.client.done()), (vec![], 1), "goodbye alone answers no call");
    assert_eq!(world.client.give_up().begun.iter().map(|made| made.number).collect::<Vec<_>>(), [2, 3, 4, 5]);
}

#[test]
fn goodbye_without_a_reason() {
    for params in [&[0x90][..], &[0xc0], &[0x91, 0xc0], &[0x91, 0x80]] {
        assert_eq!(violates(&Raw::notification("goodbye").bytes(params).0, 0), "its goodbye has no reason");
    }
}

#[test]
fn a_server_may_say_more_than_this_version_knows() {
    let mut client = Connection::new(&Hello::new("test"));
    let mut more = Raw(vec![0x94, 1, 0, 0xc0, 0x89]).str("version").uint(1).str("weather").str("fair");
    for key in ["width", "height", "calls", "bytes", "message", "batch"] {
        more = more.str(key).uint(100);
    }
    more = more.str("server").str("later");
    let (mut input, mut told) = (&more.0[..], Vec::new());
    while let Some(event) = client.handle_input(&mut input, Instant::now()).expect("unknown keys are ignored")
    {
        told.push(Told::from(event));
    }
    assert_eq!(told, [Told::Welcome]);
    let mut world = five();
    world.hear_from_server(b"\x93\x02\xa8progress\x92\x02\xa5extra");
    world.hear_from_server(&answer(3, &Raw(vec![]).bin(&[0; 8]).0));
    world.hear_from_server(&answer(5, b"\x93\x01\x01\xa5extra"));
    assert_eq!(world.client.done(), 5);
}

/// Returns a client that received this nonce, and the first bytes that it sends. `hello` may have a session.
fn first_after(hello: &Hello, nonce: Option<u64>) -> (Connection, Vec<u8>) {
    let mut client = Connection::new(hello);
    let sent = client.poll_transmit().len();
    client.handle_transmitted(sent);
    let said = welcome(SIZE, |welcome| {
        welcome.nonce = nonce;
        welcome.session = hello.session.map(|_| Standing::Fresh);
        welcome.applied = hello.session.map(|_| 0);
    });
    let event = client.handle_input(&mut &said[..], Instant::now());
    assert!(matches!(event, Ok(Some(Event::Welcome))), "{event:?}");
    client.call(&Request::Sync {}, Instant::now()).expect("a call");
    let first = client.poll_transmit().to_vec();
    (client, first)
}

#[test]
fn whatever_nonce_a_server_gives_is_sent_back_and_a_number_too_large_is_no_welcome() {
    let session = Hello::new("test").with_session(Id([3; 16]));
    for nonce in [0, 1, 127, 1 << 52, u64::MAX] {
        let (mut client, first) = first_after(&session, Some(nonce));
        let (two, method, [said]): (u8, String, [u64; 1]) =
            rmp_serde::from_slice(&first).expect("a confirmation");
        assert_eq!((two, &*method, said), (2, "confirm", nonce));
        // The request follows the confirmation, and the next greeting sends the nonce as `incarnation`.
        client.handle_transmitted(first.len());
        assert!(client.poll_transmit().starts_with(&[0x94, 0, 1]));
        client.handle_disconnected(Vec::new());
        client.reconnect(false);
        let key = [&b"\xabincarnation"[..], &rmp_serde::to_vec(&nonce).expect("a number")].concat();
        assert!(client.poll_transmit().windows(key.len()).any(|window| window == key));
    }
    for nonce in [&b"\xff"[..], b"\xa1x", b"\xcb\x40\x00\x00\x00\x00\x00\x00\x00"] {
        let mut said = welcome(SIZE, |welcome| welcome.nonce = Some(0));
        said.truncate(said.len() - 1);
        said.extend(nonce);
        assert!(matches!(at_hello(&said), Ended::Violation(_)), "{nonce:02x?}");
    }
}

#[test]
fn a_nonce_that_was_not_asked_for_is_passed_over() {
    let old = Hello::new("test").with_session(Id([3; 16])).with_confirmation(false);
    for hello in [Hello::new("test"), Hello::new("test").with_confirmation(true), old] {
        let (mut client, first) = first_after(&hello, Some(7));
        assert!(first.starts_with(&[0x94, 0, 1]), "{first:02x?}");
        client.handle_disconnected(Vec::new());
        client.reconnect(false);
        let again = client.poll_transmit();
        assert!(!again.windows(11).any(|window| window == b"incarnation"));
    }
}

/// A second welcome is a violation, with the same nonce or another.
#[test]
fn a_nonce_comes_once() {
    for second in [7, 8] {
        let (mut client, _) = first_after(&Hello::new("test").with_session(Id([3; 16])), Some(7));
        let said = welcome(SIZE, |welcome| welcome.nonce = Some(second));
        let ended = client.handle_input(&mut &said[..], Instant::now());
        assert!(matches!(ended, Err(Ended::Violation(_))), "{ended:?}");
    }
}

/// A server may resume with the nonce of the previous connection. The client sends it back as any other.
#[test]
fn a_nonce_that_was_there_before_is_sent_back() {
    let (mut client, first) = first_after(&Hello::new("test").with_session(Id([3; 16])), Some(7));
    client.handle_disconnected(Vec::new());
    client.reconnect(false);
    let greeting = client.poll_transmit().len();
    client.handle_transmitted(greeting);
    let said = welcome(SIZE, |welcome| {
        (welcome.nonce, welcome.session, welcome.applied) = (Some(7), Some(Standing::Resumed), Some(0));
    });
    let event = client.handle_input(&mut &said[..], Instant::now());
    assert!(matches!(event, Ok(Some(Event::Resumed(Standing::Resumed, _)))), "{event:?}");
    assert_eq!(client.poll_transmit(), first);
}
