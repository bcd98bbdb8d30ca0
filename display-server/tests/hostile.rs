//! Tests hostile and broken clients, and connections that do not speak the protocol. After each of them, a new client
//! draws as before.

mod common;

use common::*;
use display_server::{Color, Display, ServerOptions, Size};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

#[tokio::test]
async fn strangers_are_shown_out_and_nobody_notices() {
    let running = start(ServerOptions::default()).await;
    for (who, greeting) in [
        ("HTTP", &b"GET / HTTP/1.1\r\nHost: localhost:3729\r\n\r\n"[..]),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        ("X11, little end first", b"l\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
        ("X11, big end first", b"B\x00\x00\x0b\x00\x00\x00\x00\x00\x00\x00\x00"),
        ("RFB", b"RFB 003.008\n"),
        ("Pixelflut", b"PX 10 10 ff0000\n"),
        ("a map", b"\x81\xa1a\x01"),
        ("an array of something else", b"\x93\x01\x02\x03"),
        ("a byte that MessagePack has not", b"\x94\x00\xc1"),
    ] {
        let mut stranger = running.connect().await;
        stranger.send(greeting).await;
        assert_eq!(
            printable(&stranger.rest().await),
            "",
            "{who} is not answered in a language it does not speak"
        );
        running.check_that_a_new_client_draws().await;
    }
    assert_eq!(running.display.stats().closed_for_fault, 9);
    running.stop().await;
}

#[tokio::test]
async fn hostile_messages_get_one_error_and_the_end() {
    let running = start(ServerOptions::default()).await;
    let head = |params: &[u8]| [&b"\x94\x00\x07\xaadraw_pixel"[..], params].concat();
    for (what, message, says) in [
        ("a huge bin", head(b"\x91\xc6\xff\xff\xff\xff"), "too_large: the message has at least"),
        ("a huge array", head(b"\xdd\xff\xff\xff\xff"), "too_large: the message has at least"),
        ("a huge map", head(b"\xdf\xff\xff\xff\xff"), "too_large: the message has at least"),
        ("deep nesting", head(&[0x91; 100_000]), "malformed: the message nests deeper than 16 levels"),
        (
            "a million empty arrays",
            head(&[&b"\xdd\x00\x0f\x42\x40"[..], &[0x90; 1_000_000]].concat()),
            "too_large: the message has more than 262208 values",
        ),
        (
            "more than 16 MiB",
            [&b"\x94\x00\x07\xa9put_image\x95\x00\x00\x01\x01\xc6\x01\x00\x00\x00"[..], &[0; 1 << 20]]
                .concat(),
            "too_large: the message has at least 16777239 bytes; the limit is 16777216",
        ),
        ("the reserved byte", head(b"\x91\xc1"), "malformed: byte 0xc1"),
    ] {
        let mut client = running.connect().await;
        // What follows the bad message is never read; the error still arrives whole.
        let behind = request(8, "clear", (0xffff_ffffu32,));
        let sending = async {
            _ = client.stream.write_all(&[message, behind.repeat(10_000)].concat()).await;
        };
        within(what, sending).await;
        let rest = client.rest().await;
        let text = printable(&rest);
        assert!(rest.starts_with(b"\x94\x01\x07\x92\x00") && text.contains(says), "{what}: {text}");
        running.check_that_a_new_client_draws().await;
    }
    let pixel = running.display.framebuffer().get_pixel(0, 0);
    assert_eq!(pixel, Some(display_server::Color::BLACK), "nothing behind a bad message was executed");
    running.stop().await;
}

#[tokio::test]
async fn clients_that_vanish_leave_nothing_behind() {
    let running = start(ServerOptions::default()).await;
    let image = request(1, "get_image", (0, 0, 64, 48)).repeat(100);
    let half = request(1, "put_image", (0, 0, 64, 48, Bin(vec![0; 64 * 48 * 4])));
    for (what, sent) in [("a message", &half[..half.len() / 2]), ("an answer", &image)] {
        for is_reset in [false, true] {
            let mut client = running.connect().await;
            client.send(sent).await;
            if what == "an answer" {
                client.stream.read_u8().await.unwrap();
            } else {
                until("the half to be there", || running.display.stats().buffered > 1000).await;
            }
            if is_reset {
                client.stream.set_zero_linger().unwrap();
            }
            drop(client);
            until(what, || running.display.stats().connections == 0).await;
            assert_eq!(running.display.stats().buffered, 0);
            running.check_that_a_new_client_draws().await;
            until("the new client to be gone", || running.display.stats().connections == 0).await;
        }
    }
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_reads_is_stopped_at_a_bound_and_told_at_the_end() {
    let running = start(ServerOptions::default()).await;
    let (mut client, served) = running.pipe(64 << 10);
    client.send(&hello()).await;
    // Each request is answered with an error, so answers pile up.
    let mut sent = 0u32;
    let outside = |n: u32| request(n, "draw_pixel", (-1, -1, 0));
    while timeout(Duration::from_secs(1), client.stream.write_all(&outside(sent + 1))).await.is_ok() {
        sent += 1;
    }
    let stats = running.display.stats();
    assert!(stats.buffered < 3 << 20, "{} bytes", stats.buffered);
    let executed = stats.executed;
    assert!(executed > 5_000 && executed < u64::from(sent), "{executed} of {sent}");

    sleep(Duration::from_secs(28)).await;
    assert_eq!(running.display.stats().executed, executed, "nothing more is executed");
    assert_eq!(running.display.stats().closed_for_fault, 0);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(running.display.stats().closed_for_fault, 1);
    let rest = client.rest().await;
    let last = printable(&rest[rest.len() - 120..]);
    assert!(last.contains("goodbye") && last.contains("has not read its answers for 30 s"), "{last}");
    within("the end", served).await.unwrap();
    assert_eq!(running.display.stats().buffered, 0);
}

#[tokio::test(start_paused = true)]
async fn a_byte_a_second_is_too_slow() {
    let running = start(ServerOptions::default()).await;
    let (client, _served) = running.pipe(64 << 10);
    let (mut reader, mut writer) = tokio::io::split(client.stream);
    let began = Instant::now();
    tokio::spawn(async move {
        for byte in request(7, "draw_pixel", (1, 1, 0xffff_ffffu32)) {
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
    });
    let mut kind_of_answer = [0; 5];
    within("the error", reader.read_exact(&mut kind_of_answer)).await.unwrap();
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(6), "{took:?}");
    assert_eq!(kind_of_answer, *b"\x94\x01\x07\x92\x00", "an error for request 7");
    let rest = Client { stream: tokio::io::join(reader, tokio::io::sink()) }.rest().await;
    let text = printable(&rest);
    assert!(text.contains("too_slow: a message was begun and not finished: "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_says_nothing_may_stay() {
    let running = start(ServerOptions::default()).await;
    let (mut client, _served) = running.pipe(1 << 10);
    sleep(Duration::from_secs(100_000)).await;
    client.send(&request(1, "sync", NONE)).await;
    client.expect(&done(1)).await;
    sleep(Duration::from_secs(100_000)).await;
    client.send(&request(2, "sync", NONE)).await;
    client.expect(&done(2)).await;
}

#[tokio::test]
async fn one_client_too_many_waits_until_another_goes() {
    let running = start(ServerOptions { connections: 2, ..ServerOptions::default() }).await;
    let sync = request(1, "sync", NONE);
    let mut inside = [running.connect().await, running.connect().await];
    for client in &mut inside {
        client.send(&sync).await;
        client.expect(&done(1)).await;
    }
    let mut third = running.connect().await;
    third.send(&sync).await;
    for client in &mut inside {
        client.send(&sync).await;
        client.expect(&done(1)).await;
    }
    assert_eq!(running.display.stats().accepted, 2);
    drop(inside);
    third.expect(&done(1)).await;
    running.stop().await;
}

#[tokio::test]
async fn a_stream_leaves_its_memory_to_others_when_it_pauses() {
    // The memory that two connections have reserved, and a shared part: none, or as much as one of them can use for a
    // larger read buffer.
    for shared in [0, 600 << 10] {
        let memory = 2 * ((64 + 16 + 64) << 10) + shared;
        let running = start(ServerOptions { connections: 2, memory, ..ServerOptions::default() }).await;
        let (mut first, mut second) = (running.connect().await, running.connect().await);
        for round in 1..=3 {
            let stream: Vec<_> = (0..1500)
                .flat_map(|id| request(id, "draw_pixels", (Bin([0, 1, 0, 1, 9, 9, 9, round].repeat(100)),)))
                .collect();
            // The answers are read meanwhile; otherwise the display would stop reading.
            let (mut reading, mut writing) = first.stream.split();
            let mut answers = vec![0; 1500 * done(1500).len()];
            let short: usize = (0..1500).map(|id| done(1500).len() - done(id).len()).sum();
            let length = answers.len() - short;
            let both = async {
                tokio::join!(writing.write_all(&stream), reading.read_exact(&mut answers[..length]))
            };
            let (sent, read) = within("the stream to be drawn", both).await;
            assert!(sent.is_ok() && read.is_ok() && answers[..length].ends_with(&done(1499)));
            assert!(running.display.stats().buffered <= memory as u64);

            // This request takes more than the shared memory, so it waits until no other connection holds any of it.
            second
                .send(&request(
                    round.into(),
                    "draw_pixels",
                    (Bin([0, 2, 0, 2, 9, 9, 9, round].repeat(65_536)),),
                ))
                .await;
            second.expect(&done(round.into())).await;
            let shown = [1, 2].map(|at| running.display.framebuffer().get_pixel(at, at));
            assert_eq!(shown, [Some(Color::rgba(9, 9, 9, round)); 2]);
        }
        running.stop().await;
    }
}

#[tokio::test]
async fn when_memory_is_used_up_the_large_wait_and_the_small_go_on() {
    // The memory that three connections have reserved, and 1 MiB shared by all.
    let own = 3 * ((64 + 16 + 64) << 10);
    let options = ServerOptions { connections: 3, memory: own + (1 << 20), ..ServerOptions::default() };
    let running = start(options.clone()).await;
    let large = |id| request(id, "draw_pixels", (Bin([0, 1, 0, 1, 9, 9, 9, id as u8].repeat(65_536)),));
    let (mut first, mut second) = (running.connect().await, running.connect().await);
    let (message, other) = (large(1), large(2));
    // The message has 512 KiB. Half of it makes the first connection ask for more than what is left for a second.
    first.send(&message[..300 << 10]).await;
    until("the first to be there", || running.display.stats().buffered > 290 << 10).await;
    let mut sending = std::pin::pin!(second.stream.write_all(&other));
    let mut small = running.connect().await;
    for id in 0..200 {
        small.send(&request(id, "draw_pixel", (2, 2, id))).await;
        small.expect(&done(id)).await;
        _ = timeout(Duration::ZERO, sending.as_mut()).await;
        let buffered = running.display.stats().buffered;
        assert!(buffered < options.memory as u64, "{buffered}");
    }
    assert_eq!(running.display.stats().executed, 200, "the second waits");
    drop(first);
    within("the second to be read", sending).await.unwrap();
    second.expect(&done(2)).await;
    drop(second);
    running.stop().await;

    let large = Display::new(Size { width: 640, height: 48 }, Color::BLACK).unwrap();
    let running = start_with(large, ServerOptions { memory: 0, ..ServerOptions::default() }).await;
    let mut client = running.connect().await;
    client.send(&request(1, "get_image", (0, 0, 640, 40))).await;
    client
        .expect(&fault(
            1,
            "no_memory: the display has no memory to spare for 102400 bytes now: ask later, or for fewer rows",
        ))
        .await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_ends_in_time_whatever_clients_do() {
    let running = start(ServerOptions::default()).await;
    let mut greeted = running.connect().await;
    greeted.send(&hello()).await;
    greeted.stream.read_u8().await.unwrap();
    let mut halfway = running.connect().await;
    halfway.send(&request(1, "clear", (1,))[..4]).await;
    let mut deaf = running.connect().await;
    let outside = request(1, "draw_pixel", (-1, -1, 0)).repeat(1000);
    while timeout(Duration::from_millis(300), deaf.stream.write_all(&outside)).await.is_ok() {}
    let mut silent = running.connect().await;
    until("all to be in", || running.display.stats().connections == 4).await;

    let (display, began) = (running.display.clone(), Instant::now());
    running.stop().await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    until("all to be gone", || display.stats().connections == 0).await;
    let farewell = printable(&greeted.rest().await);
    assert!(farewell.ends_with(r"shutting_down\xa7message\xb0the display ends"), "{farewell}");
    assert_eq!(silent.rest().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_waits_for_nobody_who_goes_by_himself() {
    let running = start(ServerOptions::default()).await;
    running.check_that_a_new_client_draws().await;
    let mut client = running.connect().await;
    client.send(&request(1, "sync", NONE)).await;
    client.expect(&done(1)).await;
    let leaving = tokio::spawn(async move { client.rest().await });
    let began = Instant::now();
    running.stop().await;
    assert_eq!(leaving.await.unwrap(), []);
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());
}
