//! The id of a session, which nobody is to read in a trace.

use super::passed::{ms, trace};
use crate::common::{self, SIZE};
use draw_protocol::session::Id;
use draw_protocol::trace::Direction;
use draw_protocol::{Hello, client, limits, server};
use std::time::Instant;

use Direction::ToDisplay;

/// What is printed of a greeting with this name, and of the answer.
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
