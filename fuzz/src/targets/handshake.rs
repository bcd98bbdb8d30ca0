use crate::common::{SMALL, config, messages};
use draw_protocol::client::{Connection, Ended, Event};
use draw_protocol::server::{self, Step};
use draw_protocol::{Color, Fault, Hello, Pixel, Request, Welcome, limits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::time::Instant;

/// A map that can be read as a greeting, as the answer to one, or as a fault is unchanged after it is written and read
/// again. A server answers any `hello` once, and accepts exactly those that can be read; a client accepts exactly such
/// answers, and can call whatever it is granted. The first byte chooses which of these the rest is.
pub fn handshake(data: &[u8]) {
    let Some((&first, map)) = data.split_first() else { return };
    if messages(&[&[0x91], map].concat()).0.first().is_none_or(|message| message.len() != map.len() + 1) {
        // The map is not a single value.
        return;
    }
    match first % 3 {
        0 => hello(map, read_again(map)),
        1 => welcome(map, read_again(map)),
        _ => fault(map, read_again(map)),
    }
}

fn read_again<T: DeserializeOwned + Serialize + PartialEq + Debug>(map: &[u8]) -> Option<T> {
    let read: T = rmp_serde::from_slice(map).ok()?;
    let written = rmp_serde::to_vec_named(&read).expect("it has a form on the wire");
    assert_eq!(rmp_serde::from_slice::<T>(&written).expect("what was written can be read"), read);
    Some(read)
}

fn hello(map: &[u8], read: Option<Hello>) {
    let now = Instant::now();
    let mut server = server::Connection::open(limits::MESSAGE, now);
    let message = [&b"\x94\x00\x00\xa5hello\x91"[..], map].concat();
    let mut input = &message[..];
    let asked = match server.handle_input(&mut input, now) {
        Step::Greet(greeting) => Some(greeting.display.map(str::to_owned)),
        _ => None,
    };
    // There is one display. A request for another one is refused.
    let is_there = |name: &Option<String>| name.as_deref().is_none_or(|name| name == "main");
    if let Some(name) = &asked {
        let refused = || Fault::unknown_display(name.as_deref().unwrap_or_default(), ["main"]);
        server.choose(is_there(name).then(|| config(SMALL)).ok_or_else(refused));
    }
    let step = server.handle_input(&mut input, now);
    // A client that requires a disk, or requests checks without sending them, is refused.
    let is_right = |hello: &Hello| {
        hello.version == limits::VERSION && !hello.durable && !hello.checks && is_there(&hello.display)
    };
    let is_welcome = match (step, read.filter(is_right)) {
        (Step::Resume(asked), Some(hello)) => {
            assert_eq!(Some(asked), hello.resume());
            server.resume(&mut None);
            // A new session begins, unless the request contradicts itself.
            let is_possible = asked.next > asked.ack && asked.attempt > asked.born;
            assert_eq!((server.session().is_some(), server.closing().is_none()), (is_possible, is_possible));
            let applied = server.session_state().map(|session| session.filter().applied());
            assert_eq!(applied, is_possible.then(|| asked.next - 1));
            is_possible
        }
        (Step::Continue, Some(hello)) => {
            assert!(hello.session.is_none());
            true
        }
        (Step::Continue | Step::Wait, None) => false,
        (step, hello) => panic!("{step:?} of {hello:?}"),
    };
    let said = server.poll_transmit(now).to_vec();
    let (said, rest) = messages(&said);
    assert!(rest.is_empty() && said.len() <= 3, "an answer, and perhaps a goodbye with a check");
    assert_eq!(said.first().is_some_and(|message| message.starts_with(b"\x94\x01\x00\xc0")), is_welcome);
    // A client that receives this name accepts it.
    if is_welcome && let Some(client) = server.client() {
        assert!(client.chars().count() <= 100);
    }
}

fn welcome(map: &[u8], read: Option<Welcome>) {
    let now = Instant::now();
    let mut client = Connection::new(&Hello::new("fuzz"));
    client.poll_transmit();
    let message = [&b"\x94\x01\x00\xc0"[..], map].concat();
    if message.len() > limits::FIRST_MESSAGE {
        return;
    }
    let heard = client.handle_input(&mut &message[..], now);
    match (heard, read.filter(|welcome| welcome.version == limits::VERSION)) {
        (Ok(Some(Event::Welcome)), Some(welcome)) => assert_eq!(client.welcome(), Some(&welcome)),
        (Err(Ended::Violation(_) | Ended::Flooded(_)), None) => return,
        (heard, welcome) => panic!("{heard:?} of {welcome:?}"),
    }
    // Whatever is granted, calls can be made, and each is sent in messages that this side can read.
    let pixels = [Pixel::new(1, 2, Color::RED); 300];
    let rgba = [0; 30 * 20 * 4];
    let mut made = 0;
    for request in [
        Request::DrawPixel { x: 1, y: 2, color: Color::RED },
        Request::DrawPixel { x: 2, y: 2, color: Color::RED },
        Request::DrawPixels { pixels: pixels[..].into() },
        Request::PutImage { x: 0, y: 0, width: 30, height: 20, rgba: &rgba },
        Request::GetImage { x: 0, y: 0, width: 30, height: 20 },
    ] {
        let has_credit = client.has_credit(&request, 0);
        // Nothing is in flight before the first call, so it always has credit.
        assert!(has_credit || client.in_flight() > 0);
        made += u64::from(client.call(&request, now).is_ok());
    }
    assert_eq!((client.last_call(), client.in_flight()), (made, made));
    let sent = client.swap_transmit(Vec::new());
    assert!(sent.len() < 64 << 10, "{} bytes are sent", sent.len());
    assert!(messages(&sent).1.is_empty());
    let given_up = client.give_up();
    assert_eq!((given_up.begun.len() as u64, given_up.unsent.len()), (made, 0));
}

fn fault(map: &[u8], read: Option<Fault>) {
    let now = Instant::now();
    let mut client = Connection::new(&Hello::new("fuzz"));
    client.poll_transmit();
    let message = [&b"\x94\x01\x00"[..], map, &[0xc0]].concat();
    if message.len() > limits::FIRST_MESSAGE || map == [0xc0] {
        return;
    }
    match (client.handle_input(&mut &message[..], now), read) {
        (Err(Ended::Refused(told)), Some(fault)) => {
            assert!(told.message.len() <= limits::STRING && told.code.as_str().len() <= limits::STRING);
            assert!(fault.message.starts_with(told.message.trim_end_matches("...")), "{told} of {fault}");
            let _pixels = fault.rejected_pixels();
        }
        // In the form for clients that do not send a hello: `[0, "code: message"]`.
        (Err(Ended::Refused(_) | Ended::Violation(_)), _) => {}
        (heard, fault) => panic!("{heard:?} of {fault:?}"),
    }
}
