//! Tests which clients get a place when all places are taken, and which are refused as busy.

mod common;

use common::*;
use display_server::limits;
use display_server::{Color, Display, ServerOptions, Size};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn sync() -> Vec<u8> {
    request(1, "sync", NONE)
}

async fn full(places: usize) -> Running {
    start(ServerOptions { connections: places, ..ServerOptions::default() }).await
}

/// Connects a client that has sent a request, so that it is not silent.
async fn speaker(running: &Running) -> Client<tokio::net::TcpStream> {
    let mut client = running.connect().await;
    client.send(&sync()).await;
    client.expect(&done(1)).await;
    client
}

#[tokio::test]
async fn the_oldest_silent_connection_gives_its_place_to_one_that_comes() {
    let running = full(3).await;
    let mut speaker = speaker(&running).await;
    let mut first = running.connect().await;
    until("the first to be in", || running.display.stats().connections == 2).await;
    let mut second = running.connect().await;
    until("the second to be in", || running.display.stats().connections == 3).await;
    let mut newcomer = running.connect().await;
    newcomer.send(&sync()).await;
    newcomer.expect(&done(1)).await;
    assert_eq!(first.rest().await, [], "who says nothing is told nothing");
    // The clients that have sent a request stay, and so does the silent one whose place was not needed.
    for client in [&mut speaker, &mut second, &mut newcomer] {
        client.send(&sync()).await;
        client.expect(&done(1)).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn silent_connections_in_any_number_do_not_keep_one_that_speaks_out() {
    let running = full(4).await;
    let silent: Vec<_> = futures::future::join_all((0..200).map(|_| running.connect())).await;
    running.check_that_a_new_client_draws().await;
    drop(silent);
    running.stop().await;
}

#[tokio::test]
async fn a_plain_client_that_finds_no_place_is_told_why() {
    let running = full(1).await;
    let mut inside = speaker(&running).await;
    let mut newcomer = running.connect().await;
    newcomer.send(&request(7, "sync", NONE)).await;
    let rest = newcomer.rest().await;
    let text = printable(&rest);
    assert!(rest.starts_with(b"\x94\x01\x07\x92\x00"), "{text}");
    assert!(text.contains("busy: this display takes at most 1 connection, and none ended within"), "{text}");
    inside.send(&sync()).await;
    inside.expect(&done(1)).await;
    drop(inside);
    running.check_that_a_new_client_draws().await;
    running.stop().await;
}

/// The crowd is larger than the number of clients that are refused at a time. No client disconnects before all are
/// refused, and each sends more than the display reads of it.
#[tokio::test]
async fn a_crowd_that_finds_no_place_is_told_why_and_nobody_is_reset() {
    let running = full(1).await;
    let inside = speaker(&running).await;
    let mut crowd = Vec::new();
    for _ in 0..4 * limits::WAITING {
        let mut newcomer = running.connect().await;
        newcomer.send(&request(7, "sync", NONE).repeat(1_000)).await;
        crowd.push(newcomer);
    }
    let told = futures::future::join_all(crowd.iter_mut().map(Client::rest)).await;
    for (number, rest) in told.iter().enumerate() {
        let text = printable(rest);
        assert!(text.contains("busy: this display takes at most 1 connection, "), "{number}: {text}");
    }
    drop((crowd, inside));
    running.check_that_a_new_client_draws().await;
    running.stop().await;
}

#[tokio::test]
async fn whoever_waits_for_a_place_when_the_display_ends_is_told() {
    let running = full(1).await;
    let _inside = speaker(&running).await;
    let mut crowd = Vec::new();
    for _ in 0..limits::WAITING {
        let mut newcomer = running.connect().await;
        newcomer.send(&request(7, "sync", NONE).repeat(1_000)).await;
        crowd.push(newcomer);
    }
    // By the time the first is refused, all of them have connected.
    assert!(printable(&crowd[0].rest().await).contains("busy"));
    running.stop().await;
    for newcomer in &mut crowd[1..] {
        let text = printable(&newcomer.rest().await);
        assert!(text.contains("shutting_down: the display ends"), "{text}");
    }
}

#[tokio::test]
async fn a_greeting_that_finds_no_place_is_refused_and_one_that_comes_back_only_ends() {
    #[derive(Serialize)]
    struct Resuming {
        version: u32,
        session: Bin,
        attempt: u64,
    }
    let running = full(1).await;
    let inside = speaker(&running).await;
    let mut newcomer = running.connect().await;
    newcomer.send(&hello()).await;
    let text = printable(&newcomer.rest().await);
    assert!(text.contains("code") && text.contains("busy") && text.contains("try again later"), "{text}");

    // Clients of an older version treat a refusal as final, so a client that resumes is not refused.
    let mut returning = running.connect().await;
    let mut bytes = b"\x94\x00\x00\xa5hello\x91".to_vec();
    let resuming = Resuming { version: 1, session: Bin(vec![3; 16]), attempt: 2 };
    bytes.extend(rmp_serde::to_vec_named(&resuming).unwrap());
    returning.send(&bytes).await;
    assert_eq!(printable(&returning.rest().await), "");
    drop(inside);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_draws_without_a_pause_keeps_its_place() {
    let large = Display::new(Size { width: 1_000, height: 1_000 }, Color::BLACK).unwrap();
    let running = start_with(large, ServerOptions { connections: 2, ..ServerOptions::default() }).await;
    let _idle = speaker(&running).await;
    let drawing = running.connect().await;
    let (mut answers, mut requests) = tokio::io::split(drawing.stream);
    let fill = request(1, "fill_rect", (0, 0, 1_000, 1_000, 7)).repeat(100);
    let draw = tokio::spawn(async move { while requests.write_all(&fill).await.is_ok() {} });
    let counted = tokio::spawn(async move {
        let (mut count, mut buffer) = (0, vec![0; 1 << 16]);
        while let Ok(read @ 1..) = answers.read(&mut buffer).await {
            count += read;
        }
        count
    });
    // The newcomer waits for longer than a connection may be silent.
    const { assert!(limits::WAITING_TIME.as_millis() > limits::SILENT.as_millis()) }
    let mut newcomer = running.connect().await;
    newcomer.send(&sync()).await;
    assert!(printable(&newcomer.rest().await).contains("busy"), "nobody gives up a place");
    assert!(!draw.is_finished() && !counted.is_finished(), "the client that draws is still connected");
    draw.abort();
    running.stop().await;
    assert!(counted.await.unwrap() > 0);
}
