//! Provokes each error code, and checks whether the connection continues, against the table of `codes.md`.

use super::refusals::{confirm, hello, said_to, say};
use super::{INSTANCE, Scene, nonce, soon};
use crate::{Display, Server, ServerOptions};
use draw_protocol::{Code, Color, Hello, limits};
use std::collections::{BTreeMap, BTreeSet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// The cells of a row of a table.
pub(super) fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split(" | ").map(str::trim).collect()
}

const CODES: &str = include_str!("../../../../protocol/spec/codes.md");

/// The rows of the table below this heading of `codes.md`, without its head.
pub(super) fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, text) =
        CODES.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("codes.md: {heading}"));
    let rows =
        text.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    rows.skip(2).map(cells).collect()
}

/// What the display does after it has said a code.
const GOES_ON: &str = "goes on";
const CLOSES: &str = "closes";

#[tokio::test]
async fn the_connection_goes_on_or_closes_after_each_code_as_the_table_says() {
    let [mut first, mut second] = [1, 2].map(|attempt| session_hello(attempt, 0, 0, 1_u32));
    first.instance = None;
    second.instance = Some(INSTANCE);
    let ahead = session_hello(2, 1, 5, 6_u32);
    let draw = || say((0, 1, "draw_pixel", (1, 2, 7)));
    let greeted = |more: Vec<u8>| vec![[hello(&Hello::new("x")), more].concat()];
    let too_many: Vec<u8> = (0..2_000).flat_map(|_| say((0, 1, "draw_teapot", ()))).collect();
    let acknowledged = [hello(&first), confirm(0), draw()].concat();
    // What is said on each connection, one after the other, and the number of the request that follows on the last.
    let said = [
        ("out_of_bounds", vec![say((0, 1, "draw_pixel", (700, 2, 7)))], 2),
        ("invalid_argument", vec![say((0, 1, "draw_pixel", ("one", 2, 7)))], 2),
        ("unknown_method", vec![say((0, 1, "draw_teapot", ()))], 2),
        ("too_large", vec![say((0, 1, "get_digest", (0, 0, 65_000, 65_000)))], 2),
        ("too_large", greeted(b"\x94\x00\x01\xabdraw_pixels\x91\xc6\x7f\xff\xff\xff".to_vec()), 2),
        ("unsupported_version", vec![say((0, 0, "hello", (BTreeMap::from([("version", 9)]),)))], 1),
        ("unknown_display", vec![hello(&Hello::new("x").with_display("chart".parse().ok()))], 1),
        ("malformed", greeted(say((0, 7, "draw_pixel", (1, 2, 7)))), 2),
        ("too_many_errors", vec![too_many], 2),
        ("corrupted", greeted([b"\x93\x02\xa5check\x91\xcf12345678".to_vec(), draw()].concat()), 2),
        ("no_journal", vec![hello(&Hello::new("x").with_durability(true))], 1),
        ("no_journal", vec![say((0, 1, "sync_durable", [0; 0]))], 2),
        ("stale", vec![[acknowledged.clone(), say((0, 0, "get_size", [0; 0]))].concat()], 2),
        ("state_regressed", vec![acknowledged, hello(&ahead)], 1),
        ("superseded", vec![hello(&second), hello(&first)], 1),
        ("unconfirmed", vec![[hello(&first), draw()].concat()], 2),
    ];
    let mut seen: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (code, connections, next) in said {
        let scene = Scene::new(false);
        let (said, goes_on) = said_to(&scene, &connections, next).await;
        assert!(said.contains(code), "{code}: the display says {said}");
        seen.entry(code).or_default().insert(if goes_on { GOES_ON } else { CLOSES });
    }
    for (code, is_closed) in [("shutting_down", false), ("window_closed", true)] {
        let scene = Scene::new(false);
        let mut client = scene.connect();
        client.send(&hello(&Hello::new("x"))).await;
        client.message().await;
        if is_closed {
            scene.server.display().window_closed();
        }
        scene.stop.send(true).expect("it is served");
        let mut said = Vec::new();
        soon("the end", client.stream.read_to_end(&mut said)).await.expect("no reset");
        assert!(String::from_utf8_lossy(&said).contains(code), "{code}");
        seen.insert(code, BTreeSet::from([CLOSES]));
    }
    seen.insert("no_memory", BTreeSet::from([no_memory().await]));
    // The others take time, more faults than are kept, a disk without room or a crowd: see below, `journal/tests/no_room_served.rs`
    // and `tests/admission.rs`.
    for (code, how) in
        [("too_slow", CLOSES), ("no_space", GOES_ON), ("answer_lost", GOES_ON), ("busy", CLOSES)]
    {
        seen.insert(code, BTreeSet::from([how]));
    }

    let ways = |text: &str| [GOES_ON, CLOSES].into_iter().filter(|way| text.contains(way)).collect();
    let table = table("## Codes");
    let shown: BTreeMap<&str, BTreeSet<&str>> =
        table.iter().map(|row| (row[0].trim_matches('`'), ways(row[2]))).collect();
    assert_eq!(shown, seen);
    assert_eq!(shown.len(), Code::ALL.len());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_finished_in_time_closes_the_connection() {
    let scene = Scene::new(false);
    let mut client = scene.connect();
    client.send(&[hello(&Hello::new("x")), b"\x94\x00".to_vec()].concat()).await;
    client.message().await;
    assert!(String::from_utf8_lossy(&client.message().await).contains("too_slow"));
    assert_eq!(client.rest().await, b"");
}

/// Reads until the last bytes that came contain these.
async fn read_to(stream: &mut (impl AsyncRead + Unpin), bytes: &[u8]) -> Vec<u8> {
    let mut came = Vec::new();
    loop {
        let before = came.len();
        let read = soon("the display to say more", stream.read_buf(&mut came)).await.expect("no reset");
        assert!(read > 0, "the display ended the connection");
        let tail = &came[before.saturating_sub(bytes.len())..];
        if tail.windows(bytes.len()).any(|window| window == bytes) {
            return came;
        }
    }
}

#[tokio::test]
async fn why_too_many_calls_failed_is_lost_with_their_connection_and_the_next_goes_on() {
    const CALLS: u32 = 90_000;
    let scene = Scene::new(false);
    let mut client = scene.connect();
    client.send(&[hello(&session_hello(1, 0, 0, 1_u32)), confirm(0)].concat()).await;
    client.message().await;
    let call = |number| say((0, number, "draw_pixel", (i32::MIN, i32::MIN, 7)));
    let calls: Vec<u8> = (1..=CALLS).flat_map(call).collect();
    let (mut reader, mut writer) = tokio::io::split(client.stream);
    let last = [&b"\x94\x01\xce"[..], &CALLS.to_be_bytes()].concat();
    let (written, _) = tokio::join!(writer.write_all(&calls), read_to(&mut reader, &last));
    written.expect("it reads");
    drop((reader, writer));

    let mut client = scene.connect();
    client.send(&[hello(&session_hello(2, 1, 0, CALLS + 1)), confirm(1)].concat()).await;
    client.send(&say((0, CALLS + 1, "get_size", [0; 0]))).await;
    let said = read_to(&mut client.stream, &say((1, CALLS + 1, (), (640, 480)))).await;
    assert!(said.windows(11).any(|window| window == b"answer_lost"));
}

/// Returns the `hello` of a client that confirms. Its session began on its first connection.
fn session_hello(attempt: u64, born: u64, ack: u64, next: impl Into<u64>) -> Hello {
    let mut hello = Hello::new("x").with_session(draw_protocol::session::Id([7; 16]));
    (hello.instance, hello.attempt, hello.born) = (Some(INSTANCE), attempt, born);
    (hello.ack, hello.next) = (ack, next.into());
    hello.incarnation = (born > 0).then_some(nonce(0).get());
    hello
}

async fn no_memory() -> &'static str {
    let mut scene = Scene::new(false);
    let size = draw_protocol::Size { width: 1_000, height: 1_000 };
    let display = Display::new(size, Color::BLACK).expect("memory");
    let options = ServerOptions { memory: limits::READ, ..ServerOptions::default() };
    scene.server = Server::new(display, options);
    let mut client = scene.connect();
    client.send(&say((0, 1, "get_image", (0, 0, 1_000, 1_000)))).await;
    assert!(String::from_utf8_lossy(&client.message().await).contains("no_memory"));
    client.send(&say((0, 2, "get_size", [0; 0]))).await;
    assert!(client.message().await.starts_with(b"\x94\x01\x02\xc0"));
    GOES_ON
}
