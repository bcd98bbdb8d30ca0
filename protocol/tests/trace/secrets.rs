//! A trace does not contain session ids.

use super::passed::{ms, trace};
use crate::common::{self, SIZE};
use draw_protocol::session::Id;
use draw_protocol::trace::Direction;
use draw_protocol::{Hello, client, limits, server};
use std::time::Instant;

use Direction::ToDisplay;

/// Returns the printed line of a greeting with this client name, and that of the answer.
pub(crate) fn greeting(client: &str) -> (String, String) {
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
    // The id may be a text, or in a refused message.
    let text = [&b"\x94\0\0\xa5hello\x91\x81\xa7session\xb0"[..], b"very secret, yes"].concat();
    let (_, entries) = trace(&vec![(ToDisplay, ms(0), text)], &mut common::uncut);
    assert_eq!(entries[0].to_string(), "  0.000000 #1 -> 0 hello({session: 16 bytes})");
    let altered = [&plain_hello_with_id()[..20], &[0xc1], &plain_hello_with_id()[20..]].concat();
    let (_, entries) = trace(&vec![(ToDisplay, ms(0), altered)], &mut common::uncut);
    assert!(!entries[0].full().to_string().contains("ab ab ab ab"), "{}", entries[0].full());
}

/// An id of a wrong type or length still contains most of the secret.
#[test]
fn nothing_that_stands_in_the_place_of_an_id_is_printed() {
    let repeated = |head: &[u8], each: &[u8], n: usize| [head, &each.repeat(n)].concat();
    let values: [(Vec<u8>, &str); 14] = [
        (repeated(b"\xc4\x0f", b"\xab", 15), "15 bytes"),
        (repeated(b"\xc4\x11", b"\xab", 17), "17 bytes"),
        (repeated(b"\xc4\x01", b"\xab", 1), "1 byte"),
        (repeated(b"\xc5\x00\x20", b"\xab", 32), "32 bytes"),
        (repeated(b"\xaf", b"z", 15), "15 bytes"),
        (repeated(b"\xd9\x20", b"ab", 16), "32 bytes"),
        (repeated(b"\xdc\x00\x10", b"\xcc\xab", 16), "(35 bytes)"),
        (repeated(b"\x9f", b"\x7a", 15), "(16 bytes)"),
        (repeated(b"\x91\x91\xc4\x10", b"\xab", 16), "(20 bytes)"),
        (repeated(b"\x81\xa2id\xb0", b"z", 16), "(21 bytes)"),
        (repeated(b"\x81\xa7session\xc4\x0f", b"\xab", 15), "(26 bytes)"),
        (repeated(b"\xd8\x01", b"\xab", 16), "(18 bytes)"),
        (repeated(b"\xcf", b"\xab", 8), "(9 bytes)"),
        (b"\x7a".to_vec(), "(1 byte)"),
    ];
    let key = b"\xa7session";
    for (value, shown) in &values {
        let hello = [&b"\x94\0\0\xa5hello\x91\x82"[..], key, value, b"\xa4next\x01"].concat();
        // In a hello, nested in a notification with the key as a str 16, and in a display's answer.
        let nested = [&b"\x93\x02\xa3say\x91\x91\x81\xda\0\x07session"[..], value].concat();
        let answer = [&b"\x94\x01\0\xc0\x81"[..], key, value].concat();
        for (direction, message) in [(ToDisplay, hello), (ToDisplay, nested), (Direction::ToClient, answer)] {
            let (_, entries) = trace(&vec![(direction, ms(0), message)], &mut common::uncut);
            // Joins the bytes to one line.
            let full: Vec<_> = entries[0].full().to_string().split_whitespace().map(String::from).collect();
            let (line, full) = (entries[0].to_string(), full.join(" "));
            assert!(line.contains(&format!("{{session: {shown}")), "{line}");
            let printed = format!("{full} {:?}", entries[0]);
            let is_seen = |bytes: &str| printed.matches(bytes).count() > 3;
            let secrets = [" ab", " 61 62", " 7a", "171, ", "122, ", "zz"];
            assert!(!secrets.into_iter().any(is_seen), "{shown}: {printed}");
            // The fields after it are printed.
            assert_eq!(line.contains("next: 1"), direction == ToDisplay && line.contains("hello"), "{line}");
            assert_eq!(full.contains("a4 6e 65 78 74 01"), line.contains("next: 1"), "{full}");
        }
    }
    // The session's standing is under the same key and is printed.
    let welcome = b"\x94\x01\0\xc0\x81\xa7session\xa7resumed".to_vec();
    let (_, entries) = trace(&vec![(Direction::ToClient, ms(0), welcome)], &mut common::uncut);
    assert!(entries[0].to_string().contains("{session: \"resumed\"}"), "{}", entries[0]);
    assert!(entries[0].full().to_string().ends_with("a7 72 65 73 75 6d 65 64"), "{}", entries[0].full());
    // A text that contains the word is printed.
    let text = b"\x94\0\0\xa3say\x91\xafsession of ours".to_vec();
    let (_, entries) = trace(&vec![(ToDisplay, ms(0), text)], &mut common::uncut);
    assert!(entries[0].full().to_string().ends_with("20 6f 66 20 6f 75 72 73"), "{}", entries[0].full());
}

#[test]
fn the_id_of_a_session_is_not_in_what_debug_prints() {
    let now = Instant::now();
    let hello = Hello::new("me").with_session(Id([0xab; 16]));
    let mut client = client::Connection::new(&hello);
    let greeting = client.poll_transmit().to_vec();
    assert!(greeting.windows(16).any(|part| part == [0xab; 16]));
    let config = server::Config {
        display: draw_protocol::DisplayName::main(),
        server: "a display".into(),
        size: SIZE,
        message: limits::MESSAGE,
        instance: Some((Id([1; 16]), 1)),
        has_journal: false,
        nonce: None,
    };
    let mut server = server::Connection::new(config, now);
    // The last byte has not arrived yet.
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
