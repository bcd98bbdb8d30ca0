//! Tests refused and unusual sequences of messages, as the specification describes them.

use super::codes::table;
use super::{INSTANCE, Scene, nonce, soon};
use draw_protocol::session::Id;
use draw_protocol::{Color, Hello};
use serde::Serialize;
use std::collections::BTreeMap;
use tokio::io::AsyncReadExt;

pub(super) const NONE: [u8; 0] = [];

/// Writes a message with an encoder that is not the server's.
pub(super) fn say(message: impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(&message).expect("a message")
}

pub(super) fn hello(hello: &Hello) -> Vec<u8> {
    say((0, 0, "hello", (hello,)))
}

/// Returns the `confirm` of a client that received the answer to `hello`, on the connection of this number.
pub(super) fn confirm(connection: u64) -> Vec<u8> {
    say((2, "confirm", (nonce(connection).get(),)))
}

/// Sends each of `connections` on a connection of its own, then `get_size` with this number. Returns what the display sends on
/// the last connection, and whether it answers that.
///
/// What is said on a connection is executed, and its first answer read, before that breaks.
pub(super) async fn said_to(scene: &Scene, connections: &[Vec<u8>], next: u32) -> (String, bool) {
    let mut client = scene.connect();
    for (i, bytes) in connections.iter().enumerate() {
        if i > 0 {
            let executed = client.requests;
            client.message().await;
            soon("it to be executed", async {
                while scene.server.display().stats().executed < executed {
                    tokio::task::yield_now().await;
                }
            })
            .await;
            client = scene.connect();
        }
        client.send(bytes).await;
    }
    client.send(&say((0, next, "get_size", NONE))).await;
    let said = client.rest().await;
    let answer = say((1, next, (), (640, 480)));
    let goes_on = said.windows(answer.len()).any(|window| window == answer);
    (said.escape_ascii().to_string(), goes_on)
}

/// Clients that confirm the answer to `hello`, and older ones that do not.
const KINDS: [bool; 2] = [true, false];

fn in_session(confirms: bool) -> Hello {
    Hello::new("x").with_session(Id([7; 16])).with_confirmation(confirms)
}

/// Returns the bytes of a session that begins on its first connection and draws.
fn begun(confirms: bool) -> Vec<u8> {
    let confirmation = if confirms { confirm(0) } else { Vec::new() };
    [hello(&in_session(confirms)), confirmation, say((0, 1, "clear", (0xff,)))].concat()
}

/// Returns the `hello` of a client that resumes its session and holds the reply to request 1, after `change`.
fn again(confirms: bool, change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    let mut asked = in_session(confirms);
    (asked.instance, asked.attempt, asked.born) = (Some(INSTANCE), 2, 1);
    asked.incarnation = confirms.then_some(nonce(0).get());
    (asked.ack, asked.next) = (1, 2);
    change(&mut asked);
    hello(&asked)
}

#[tokio::test]
async fn the_connection_goes_on_or_closes_after_each_refused_hello_as_the_table_says() {
    let of_session = |confirms| {
        let early = again(confirms, |asked| (asked.attempt, asked.born, asked.incarnation) = (1, 0, None));
        let ahead = again(confirms, |asked| (asked.ack, asked.next) = (5, 6));
        [
            ("malformed", vec![again(confirms, |asked| asked.next = 1)]),
            ("superseded", vec![begun(confirms), early]),
            ("state_regressed", vec![begun(confirms), ahead]),
        ]
    };
    let refused = [
        ("invalid_argument", vec![say((0, 0, "hello", (3,)))]),
        ("unsupported_version", vec![say((0, 0, "hello", (BTreeMap::from([("version", 9)]),)))]),
        ("no_journal", vec![hello(&Hello::new("x").with_durability(true))]),
        ("unknown_display", vec![hello(&Hello::new("x").with_display("chart".parse().ok()))]),
        ("corrupted", vec![hello(&Hello::new("x").with_checks(true))]),
    ];
    let table = table("## When `hello` is refused");
    let shown: BTreeMap<_, _> = table.iter().map(|row| (row[0].trim_matches('`'), row[2])).collect();
    let mut seen = BTreeMap::new();
    for (code, connections) in refused.into_iter().chain(KINDS.into_iter().flat_map(of_session)) {
        let (said, goes_on) = said_to(&Scene::new(false), &connections, 1).await;
        assert!(said.contains(code), "{code}: the display says {said}");
        assert_eq!(said.contains("goodbye"), !goes_on, "{code}: the display says {said}");
        seen.insert(code, if goes_on { "goes on" } else { "closes" });
    }
    assert_eq!(shown, seen);
}

#[tokio::test]
async fn a_greeting_that_is_not_the_first_message_is_refused() {
    let greeting = |msgid: u32| say((0, msgid, "hello", (Hello::new("x"),)));
    let first = [hello(&in_session(true)), confirm(0)].concat();
    for (before, msgid, code, goes_on) in [
        (say((0, 5, "get_size", NONE)), 0, "malformed", false),
        (say((2, "teapot", NONE)), 0, "malformed", false),
        (hello(&Hello::new("x")), 0, "malformed", false),
        (hello(&Hello::new("x")), 1, "unknown_method", true),
        (first.clone(), 0, "stale", true),
        (first, 1, "unknown_method", true),
    ] {
        let said = said_to(&Scene::new(false), &[[before, greeting(msgid)].concat()], msgid + 1).await;
        assert!(said.0.contains(code), "msgid {msgid}: {said:?}");
        assert_eq!(said.1, goes_on, "msgid {msgid}: {said:?}");
    }
}

/// A client begins a session, draws, and comes back.
async fn standing(confirms: bool, change: impl FnOnce(&mut Hello)) -> String {
    let confirmation = if confirms { confirm(1) } else { Vec::new() };
    let again = [again(confirms, change), confirmation].concat();
    said_to(&Scene::new(false), &[begun(confirms), again], 2).await.0
}

#[tokio::test]
async fn a_session_is_resumed_only_with_attempt_and_born_and_without_an_instance_nothing_is_known_of_it() {
    for confirms in KINDS {
        assert!(standing(confirms, |_| ()).await.contains("resumed"));
        let said = standing(confirms, |asked| asked.attempt = 1).await;
        assert!(said.contains("superseded"), "no attempt counts as 1, with which it began: {said}");
        let said = standing(confirms, |asked| (asked.attempt, asked.born) = (1, 0)).await;
        assert!(said.contains("superseded"), "{said}");
        // Where the display has forgotten it.
        for (instance, wanted) in
            [(Some(INSTANCE), "expired"), (Some(Id([9; 16])), "state_lost"), (None, "fresh")]
        {
            let again = again(confirms, |asked| asked.instance = instance);
            let (said, _) = said_to(&Scene::new(false), &[again], 2).await;
            assert!(said.contains(wanted), "{said}");
            assert!(said.contains("applied\\x01"), "`next` - 1, where a session begins: {said}");
        }
    }
    let said = standing(false, |asked| asked.born = 0).await;
    assert!(said.contains("expired"), "{said}");
    for other in [None, Some(1), Some(nonce(1).get())] {
        let said = standing(true, |asked| asked.incarnation = other).await;
        assert!(said.contains("expired"), "it began with {}, not {other:?}: {said}", nonce(0).get());
    }
    let said = standing(true, |asked| asked.born = 0).await;
    assert!(said.contains("resumed"), "`incarnation` counts in its place: {said}");
}

#[tokio::test]
async fn requests_behind_a_hello_whose_answer_is_lost_are_of_a_session_that_the_client_does_not_know() {
    let forgets = |asked: &mut Hello| {
        (asked.instance, asked.born, asked.incarnation, asked.ack) = (None, 0, None, 0);
    };
    for confirms in KINDS {
        let said = standing(confirms, forgets).await;
        assert!(said.contains("fresh") && said.contains("applied\\x01"), "{said}");
    }
}

#[tokio::test]
async fn what_comes_in_place_of_confirm_ends_the_connection_and_the_session_waits_for_its_client() {
    for message in [
        say((0, 1, "clear", (7,))),
        say((2, "clear", (7,))),
        say((0, 1, "get_size", NONE)),
        say((2, "ack", (0,))),
        say((2, "end", NONE)),
        say((2, "teapot", NONE)),
        say((0, 0, "hello", (in_session(true),))),
        say((2, "confirm", NONE)),
        say((2, "confirm", ("it",))),
        confirm(1),
    ] {
        let scene = Scene::new(false);
        let shown = message.escape_ascii().to_string();
        // Behind it comes what would have been right.
        let first = [hello(&in_session(true)), message, confirm(0)].concat();
        let (said, goes_on) = said_to(&scene, &[first], 1).await;
        assert!(!goes_on && said.contains("goodbye") && said.contains("unconfirmed"), "{shown}: {said}");
        assert_eq!(scene.server.display().framebuffer().get_pixel(0, 0), Some(Color::BLACK), "{shown}");
        let next = [again(true, |asked| (asked.ack, asked.next) = (0, 1)), confirm(1)].concat();
        let (said, goes_on) = said_to(&scene, &[next], 1).await;
        assert!(goes_on && said.contains("resumed") && said.contains("applied\\x00"), "{shown}: {said}");
        assert_eq!(scene.server.display().stats().executed, 1, "{shown}: only `get_size`, at the end");
    }
}

#[tokio::test]
async fn end_is_not_answered_and_what_comes_after_it_is_executed() {
    for confirms in KINDS {
        let scene = Scene::new(false);
        let ends = [say((2, "end", NONE)), say((0, 2, "sync", NONE)), say((0, 3, "clear", (7,)))].concat();
        let mut client = scene.connect();
        client.send(&[begun(confirms), ends].concat()).await;
        let welcome = client.message().await;
        assert!(welcome.windows(5).any(|window| window == b"fresh"));
        // A large call may be reported before the display goes on.
        let rest = client.rest().await;
        let end = [say((1, 2, (), ())), say((2, "progress", (3,)))].concat();
        assert!(rest == end || rest == [say((2, "progress", (1,))), end].concat(), "{rest:x?}");
        assert_eq!(scene.server.display().framebuffer().get_pixel(0, 0), Some(Color::from_u32(7)));
        let (said, _) = said_to(&scene, &[again(confirms, |_| ())], 2).await;
        assert!(said.contains("expired"), "it is forgotten when its connection ends: {said}");
    }
}

#[tokio::test]
async fn an_unknown_notification_is_ignored_and_counts_as_malformed() {
    let many = |unknown: &[u8], count| [hello(&Hello::new("x")), unknown.repeat(count)].concat();
    // Without a session the server expects no `confirm`.
    for unknown in [say((2, "teapot", NONE)), confirm(0)] {
        let said = said_to(&Scene::new(false), &[many(&unknown, 1_000)], 1).await;
        assert!(said.1 && !said.0.contains("unknown_method"), "{said:?}");
        let said = said_to(&Scene::new(false), &[many(&unknown, 2_000)], 1).await;
        assert!(!said.1 && said.0.contains("too_many_errors"), "{said:?}");
    }
}

#[tokio::test]
async fn a_rectangle_without_pixels_lies_nowhere_and_is_drawn() {
    for method in ["fill_rect", "get_image", "get_digest"] {
        let scene = Scene::new(false);
        let mut client = scene.connect();
        let message = match method {
            "fill_rect" => say((0, 1, method, (9_999, -5, 0, 7, 1))),
            _ => say((0, 1, method, (9_999, -5, 0, 7))),
        };
        client.send(&message).await;
        let mut said = vec![0; 4];
        soon("an answer", client.stream.read_exact(&mut said)).await.expect("an answer");
        assert_eq!(said, b"\x94\x01\x01\xc0", "{method}");
    }
}
