//! Tests plain MessagePack-RPC over sockets, as clients in other languages use it.

mod common;

use common::*;
use display_server::{Color, Display, Position, ServerOptions, Size};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::io::AsyncWriteExt;

/// Returns the bytes of one conversation with many kinds of messages, and the expected answers.
fn conversation() -> (Vec<u8>, Vec<u8>) {
    let run = Bin([[0, 3, 0, 4, 1, 2, 3, 4], [0, 64, 0, 0, 9, 9, 9, 9]].concat());
    let twice =
        Bin([[0, 20, 0, 20, 0, 0, 1, 1], [0, 0, 0, 48, 0, 0, 0, 1], [0, 20, 0, 20, 0, 0, 1, 1]].concat());
    let image = Bin([[1, 1, 1, 255], [2, 2, 2, 255]].concat());
    let sent = [
        request(1, "draw_pixel", (1, 2, 0xff00_00ffu32)),
        request(2, "draw_pixel", (700, 10, 0)),
        request(u32::MAX, "draw_pixels", (run,)),
        notification("fill_rect", (10, 10, 2, 1, 0x00ff_00ff)),
        notification("get_pixel", (1, 2)),
        request(4, "put_image", (62, 47, 2, 1, image)),
        request(5, "get_pixel", (1, 2)),
        request(6, "get_image", (9, 10, 3, 1)),
        request(7, "get_size", NONE),
        request(8, "get_mouse", NONE),
        request(9, "erase", (1,)),
        request(10, "clear", ("red",)),
        request(11, "sync", NONE),
        request(18, "draw_pixel", (20, 20, 0xff)),
        request(12, "add_pixel", (20, 20, 0x0001_0000)),
        request(13, "add_pixel", (64, 20, 1)),
        request(14, "add_pixels", (twice,)),
        request(15, "get_pixel", (20, 20)),
        request(16, "get_digest", (1, 2, 2, 1)),
        request(17, "get_digest", (0, 0, 65_536, 65_536)),
    ];
    let (black, green) = ([0, 0, 0, 255], [0, 255, 0, 255]);
    let answers = [
        done(1),
        fault(2, "out_of_bounds: (700, 10) is outside 64x48"),
        fault(u32::MAX, "out_of_bounds: 1 of 2 pixels is outside 64x48: (64, 0)"),
        done(4),
        answer(5, 0xff00_00ffu32),
        answer(6, Bin([black, green, green].concat())),
        answer(7, (64, 48)),
        answer(8, (5, 6)),
        fault(9, &format!("unknown_method: there is no method \"erase\"; there are {METHODS}")),
        fault(
            10,
            "invalid_argument: color is to be a number 0xRRGGBBAA, from 0 to 4294967295, not a string of 3 bytes",
        ),
        done(11),
        done(18),
        done(12),
        fault(13, "out_of_bounds: (64, 20) is outside 64x48"),
        fault(14, "out_of_bounds: 1 of 3 pixels is outside 64x48: (0, 48)"),
        answer(15, 0x0001_0301u32),
        answer(16, Bin(DIGEST.to_vec())),
        fault(
            17,
            "too_large: a rectangle of 65536x65536 has 4294967296 pixels; the limit of a digest is 8388608: ask for \
             bands of rows",
        ),
    ];
    (sent.concat(), answers.concat())
}

/// The SHA-256 of a red pixel and a black one. The specification has the same picture and the same bytes.
const DIGEST: [u8; 32] = *b"\x21\x83\xb4\x74\x1d\xa9\x2e\x26\xb9\x22\x30\x11\xcb\xb8\x72\x6e\
    \xe0\xde\xac\x7f\x78\x30\x25\x75\x75\xf8\x77\x93\xab\x33\x32\x1b";

const METHODS: &str = "draw_pixel, draw_pixels, fill_rect, put_image, clear, add_pixel, add_pixels, get_pixel, get_image, get_digest, get_size, get_mouse, sync, sync_durable";

fn check_picture(display: &Display) {
    let at = |x, y| display.framebuffer().get_pixel(x, y).expect("inside");
    assert_eq!(at(1, 2), Color::RED);
    assert_eq!(at(3, 4), Color::from_u32(0x0102_0304));
    assert_eq!([at(10, 10), at(11, 10), at(12, 10)], [Color::GREEN, Color::GREEN, Color::BLACK]);
    assert_eq!([at(62, 47), at(63, 47)], [Color::rgb(1, 1, 1), Color::rgb(2, 2, 2)]);
}

#[tokio::test]
async fn a_client_of_any_language_draws_asks_and_gets_errors() {
    let running = start(ServerOptions::default()).await;
    running.display.set_mouse(Some(Position { x: 5, y: 6 }));
    let (sent, answers) = conversation();
    let mut client = running.connect().await;
    client.send(&sent).await;
    client.expect(&answers).await;
    check_picture(&running.display);
    let stats = running.display.stats();
    assert_eq!((stats.connections, stats.faults, stats.unheard_faults), (1, 4, 0));
    running.stop().await;
    assert_eq!(client.rest().await, [], "a plain client is told nothing that it did not ask for");
}

#[tokio::test]
async fn bytes_may_be_cut_anywhere() {
    let (sent, answers) = conversation();
    for buffer in [1, 2, 3, 7, 64] {
        let running = start(ServerOptions::default()).await;
        running.display.set_mouse(Some(Position { x: 5, y: 6 }));
        // A pipe of one byte splits the data at every byte, in both directions.
        let (client, served) = running.pipe(buffer);
        let (reader, mut writer) = tokio::io::split(client.stream);
        let mut client = Client { stream: tokio::io::join(reader, tokio::io::sink()) };
        let sending = async {
            within("the server to read", writer.write_all(&sent)).await.unwrap();
            writer.shutdown().await.unwrap();
        };
        tokio::join!(sending, client.expect(&answers));
        within("the end", served).await.unwrap();
        check_picture(&running.display);
    }

    let running = start(ServerOptions::default()).await;
    running.display.set_mouse(Some(Position { x: 5, y: 6 }));
    for cut in 1..sent.len() {
        let mut client = running.connect().await;
        client.send(&sent[..cut]).await;
        client.send(&sent[cut..]).await;
        client.expect(&answers).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_client_that_only_ends_its_sending_gets_all_its_answers() {
    let running = start(ServerOptions::default()).await;
    let mut client = running.connect().await;
    let many: Vec<u8> = (0..10_000).flat_map(|i| request(i, "draw_pixel", (i % 64, i % 48, i))).collect();
    // The client also stops in the middle of a message.
    let (sending, cut_off) = ([&many[..], &request(7, "sync", NONE)[..5]].concat(), many.len());
    let (reader, mut writer) = client.stream.split();
    let mut reader = Client { stream: tokio::io::join(reader, tokio::io::sink()) };
    let send = async {
        writer.write_all(&sending).await.unwrap();
        writer.shutdown().await.unwrap();
    };
    let ((), answers) = tokio::join!(send, reader.rest());
    assert!(cut_off < sending.len());
    assert!(answers == (0..10_000).flat_map(done).collect::<Vec<u8>>());
    running.stop().await;
}

#[tokio::test]
async fn a_large_image_goes_both_ways() {
    let display = Display::new(Size { width: 1920, height: 1080 }, Color::BLACK).unwrap();
    let running = start_with(display, ServerOptions::default()).await;
    let mut client = running.connect().await;
    let image: Vec<u8> =
        (0..1920 * 1080u32).flat_map(|i| i.wrapping_mul(0x9e37_79b9).to_be_bytes()).collect();
    client.send(&request(1, "put_image", (0, 0, 1920, 1080, Bin(image.clone())))).await;
    client.send(&request(2, "get_image", (0, 0, 1920, 1080))).await;
    client.expect(&done(1)).await;
    client.expect(&answer(2, Bin(image))).await;
    client.send(&request(3, "get_image", (0, 0, 1920, 60_000))).await;
    client
        .expect(&fault(3, "too_large: an image of 1920x60000 has 460800000 bytes; the limit is 16777152: ask for bands of rows"))
        .await;
    client.send(&request(4, "sync", NONE)).await;
    client.expect(&done(4)).await;
    until("the buffers to be given back", || running.display.stats().buffered < 16 << 10).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_draw_their_stripes_at_once() {
    const CLIENTS: u32 = 64;
    let display = Display::new(Size { width: 2 * CLIENTS, height: 100 }, Color::WHITE).unwrap();
    let running = start_with(display, ServerOptions::default()).await;
    let stripes = (0..CLIENTS).map(|i| {
        let address = running.address;
        tokio::spawn(async move {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let mut client = Client { stream };
            for y in 0..100u32 {
                let color = i << 16 | y << 8 | 0xff;
                let message = request(y, "draw_pixel", (2 * i, y, color));
                client.send(&[message, request(y, "fill_rect", (2 * i + 1, y, 1, 1, color))].concat()).await;
            }
            client.expect(&(0..100).flat_map(|y| [done(y), done(y)].concat()).collect::<Vec<_>>()).await;
        })
    });
    let stripes: Vec<_> = stripes.collect();
    for stripe in stripes {
        stripe.await.unwrap();
    }
    for (x, y) in (0..2 * CLIENTS).flat_map(|x| (0..100).map(move |y| (x, y))) {
        let color = Color::from_u32((x / 2) << 16 | y << 8 | 0xff);
        assert_eq!(running.display.framebuffer().get_pixel(x as i32, y as i32), Some(color), "({x}, {y})");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_presenter_is_woken_for_what_a_client_draws() {
    let running = start(ServerOptions::default()).await;
    let woken = std::sync::Arc::new(AtomicU32::new(0));
    let count = woken.clone();
    let framebuffer = running.display.framebuffer();
    let mut subscription = framebuffer.subscribe(move || _ = count.fetch_add(1, Ordering::Relaxed));
    let mut damage = framebuffer.no_damage();
    subscription.take(&mut damage);
    assert_eq!(damage.rows().next(), Some(0..framebuffer.size().height));
    let mut client = running.connect().await;
    client.send(&request(1, "fill_rect", (0, 10, 5, 2, 1))).await;
    client.send(&request(2, "draw_pixel", (63, 47, 1))).await;
    client.expect(&[done(1), done(2)].concat()).await;
    assert!(woken.load(Ordering::Relaxed) >= 2);
    subscription.take(&mut damage);
    assert_eq!(damage.rows().collect::<Vec<_>>(), [10..12, 47..48]);
    running.stop().await;
}
