//! What becomes of a greeting, and of what is said in an unusual order: each as SPEC.md's sentences have it.

use super::codes::table;
use super::{INSTANCE, Scene, soon};
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

/// Says these bytes, each on a connection of its own, and then `get_size` with this number. Returns what the display says on
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

fn in_session() -> Hello {
    Hello::new("x").with_session(Id([7; 16]))
}

/// What `change` makes of the greeting of a client that comes back to its session, of which it holds the reply to request 1.
fn again(change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    let mut asked = in_session();
    (asked.instance, asked.attempt, asked.born) = (Some(INSTANCE), 2, 1);
    (asked.ack, asked.next) = (1, 2);
    change(&mut asked);
    hello(&asked)
}

#[tokio::test]
async fn the_connection_goes_on_or_closes_after_each_refused_hello_as_the_table_says() {
    let begun = || [hello(&in_session()), say((0, 1, "clear", (0xff,)))].concat();
    let ahead = again(|asked| (asked.ack, asked.next) = (5, 6));
    let refused = [
        ("invalid_argument", vec![say((0, 0, "hello", (3,)))]),
        ("unsupported_version", vec![say((0, 0, "hello", (BTreeMap::from([("version", 9)]),)))]),
        ("no_journal", vec![hello(&Hello::new("x").with_durability(true))]),
        ("malformed", vec![again(|asked| asked.next = 1)]),
        ("superseded", vec![begun(), again(|asked| (asked.attempt, asked.born) = (1, 0))]),
        ("state_regressed", vec![begun(), ahead]),
        ("corrupted", vec![hello(&Hello::new("x").with_checks(true))]),
    ];
    let table = table("### When `hello` is refused");
    let shown: BTreeMap<_, _> = table.iter().map(|row| (row[0].trim_matches('`'), row[2])).collect();
    let mut seen = BTreeMap::new();
    for (code, connections) in refused {
        let (said, goes_on) = said_to(&Scene::new(false), &connections, 1).await;
        assert!(said.contains(code), "{code}: the display says {said}");
        assert_eq!(said.contains("goodbye"), !goes_on, "{code}: the display says {said}");
        seen.insert(code, if goes_on { "goes on" } else { "closes" });
    }
    assert_eq!(shown, seen);
}

#[tokio::test]
async fn a_greeting_that_is_not_the_first_message_is_a_request_like_any_other() {
    let greeting = |msgid: u32| say((0, msgid, "hello", (Hello::new("x"),)));
    let first = hello(&in_session());
    for (before, msgid, code, goes_on) in [
        (say((0, 1, "get_size", NONE)), 0, "unknown_method", true),
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
async fn standing(again: Vec<u8>) -> String {
    let begun = [hello(&in_session()), say((0, 1, "clear", (0xff,)))].concat();
    said_to(&Scene::new(false), &[begun, again], 2).await.0
}

#[tokio::test]
async fn a_session_is_resumed_only_with_attempt_and_born_and_without_an_instance_nothing_is_known_of_it() {
    assert!(standing(again(|_| ())).await.contains("resumed"));
    let said = standing(again(|asked| asked.attempt = 1)).await;
    assert!(said.contains("malformed"), "no attempt counts as 1, with which it began: {said}");
    let said = standing(again(|asked| (asked.attempt, asked.born) = (1, 0))).await;
    assert!(said.contains("superseded"), "{said}");
    let said = standing(again(|asked| asked.born = 0)).await;
    assert!(said.contains("expired"), "{said}");
    // Where the display has forgotten it.
    for (instance, wanted) in
        [(Some(INSTANCE), "expired"), (Some(Id([9; 16])), "state_lost"), (None, "fresh")]
    {
        let (said, _) = said_to(&Scene::new(false), &[again(|asked| asked.instance = instance)], 2).await;
        assert!(said.contains(wanted), "{said}");
        assert!(said.contains("applied\\x01"), "`next` - 1, where a session begins: {said}");
    }
}

#[tokio::test]
async fn requests_behind_a_hello_whose_answer_is_lost_are_of_a_session_that_the_client_does_not_know() {
    let said = standing(again(|asked| (asked.instance, asked.born, asked.ack) = (None, 0, 0))).await;
    assert!(said.contains("fresh") && said.contains("applied\\x01"), "{said}");
}

#[tokio::test]
async fn end_is_not_answered_and_what_comes_after_it_is_executed() {
    let scene = Scene::new(false);
    let all =
        [hello(&in_session()), say((2, "end", NONE)), say((0, 1, "sync", NONE)), say((0, 2, "clear", (7,)))];
    let mut client = scene.connect();
    client.send(&all.concat()).await;
    let welcome = client.message().await;
    assert!(welcome.windows(5).any(|window| window == b"fresh"));
    assert_eq!(client.rest().await, [say((1, 1, (), ())), say((2, "progress", (2,)))].concat());
    assert_eq!(scene.server.display().framebuffer().get_pixel(0, 0), Some(Color::from_u32(7)));
    let (said, _) = said_to(&scene, &[again(|_| ())], 2).await;
    assert!(said.contains("expired"), "it is forgotten when its connection ends: {said}");
}

#[tokio::test]
async fn an_unknown_notification_is_ignored_and_counts_as_malformed() {
    let unknown = |count: usize| -> Vec<u8> { (0..count).flat_map(|_| say((2, "teapot", NONE))).collect() };
    let said = said_to(&Scene::new(false), &[[hello(&Hello::new("x")), unknown(1_000)].concat()], 1).await;
    assert!(said.1 && !said.0.contains("unknown_method"), "{said:?}");
    let said = said_to(&Scene::new(false), &[[hello(&Hello::new("x")), unknown(2_000)].concat()], 1).await;
    assert!(!said.1 && said.0.contains("too_many_errors"), "{said:?}");
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
