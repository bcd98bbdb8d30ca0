//! Tests Pixelflut over sockets: the behaviour that client programs rely on, and hostile clients.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use common::*;
use display_server::{Color, Display, Door, ServerOptions, Size};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// A server with a Pixelflut listener and a native one.
struct Wall {
    running: Running,
    address: SocketAddr,
}

impl Wall {
    async fn start() -> Wall {
        Wall::start_with(display(), ServerOptions::default()).await
    }

    async fn start_with(display: Display, options: ServerOptions) -> Wall {
        let (running, addresses) = start_doors(display, options, &[Door::Pixelflut]).await;
        Wall { running, address: addresses[0] }
    }

    async fn connect(&self) -> Client<TcpStream> {
        let stream = within("a connection", TcpStream::connect(self.address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }

    fn color(&self, x: i32, y: i32) -> Color {
        self.running.display.framebuffer().get_pixel(x, y).unwrap()
    }

    /// Sends `lines`, ends the sending side, and returns the replies.
    async fn talk(&self, lines: &[u8]) -> String {
        let mut client = self.connect().await;
        client.send(lines).await;
        client.stream.shutdown().await.unwrap();
        String::from_utf8(client.rest().await).unwrap()
    }
}

#[tokio::test]
async fn each_command_does_what_help_says() {
    let wall = Wall::start().await;
    let help = wall.talk(b"HELP\n").await;
    for line in ["SIZE: ", "PX x y rrggbb: ", "PX x y rrggbbaa: ", "PX x y gg: ", "PX x y: ", "OFFSET x y: "]
    {
        assert_eq!(help.lines().filter(|told| told.starts_with(line)).count(), 1, "{line:?} in {help:?}");
    }
    assert_eq!(wall.talk(b"SIZE\n").await, "SIZE 64 48\n");
    let lines = "PX 1 2 ff8000\nPX 1 2\nPX 3 4 7f\r\nPX 3 4\r\nPX 63 47 AbCdEf\nPX 63 47\nPX 0 0\n";
    let replies = "PX 1 2 ff8000\nPX 3 4 7f7f7f\nPX 63 47 abcdef\nPX 0 0 000000\n";
    assert_eq!(wall.talk(lines.as_bytes()).await, replies);
    assert_eq!(wall.color(1, 2), Color::rgb(0xff, 0x80, 0));
    assert_eq!(wall.color(3, 4), Color::rgb(0x7f, 0x7f, 0x7f));
    // Each connection has its own offset, which replies do not include.
    let lines = "OFFSET 10 20\nPX 1 2 0000ff\nPX 1 2\nOFFSET -1 -2\nPX 12 24\nPX 1 2 00ff00\nSIZE\n";
    assert_eq!(wall.talk(lines.as_bytes()).await, "PX 1 2 0000ff\nPX 12 24 0000ff\nSIZE 64 48\n");
    assert_eq!([wall.color(11, 22), wall.color(0, 0)], [Color::BLUE, Color::GREEN]);
    assert_eq!(wall.talk(b"PX 1 2\n").await, "PX 1 2 ff8000\n");
    wall.running.stop().await;
}

#[tokio::test]
async fn a_colour_with_alpha_is_blended_with_what_is_there() {
    let wall = Wall::start().await;
    let lines = "PX 1 1 ffffff80\nPX 1 1\nPX 1 1 ff000080\nPX 1 1\nPX 1 1 00ff0000\nPX 1 1\nPX 1 1 00ff00ff\nPX 1 1\n";
    let replies = "PX 1 1 808080\nPX 1 1 c04040\nPX 1 1 c04040\nPX 1 1 00ff00\n";
    assert_eq!(wall.talk(lines.as_bytes()).await, replies);
    // Blending also works on pixels that were drawn just before, in the same read.
    assert_eq!(
        wall.talk(b"PX 2 2 ffffff\nPX 2 2 00000080\nPX 2 2 00000080\nPX 2 2\n").await,
        "PX 2 2 3f3f3f\n"
    );
    assert_eq!(wall.color(2, 2), Color::rgb(0x3f, 0x3f, 0x3f), "what is blended is opaque");
    // A pixel stored with alpha by a native client counts as it is shown: over black.
    let framebuffer = wall.running.display.framebuffer();
    framebuffer.draw_pixel(5, 5, Color::from_u32(0xff80_0080), &mut framebuffer.no_damage());
    assert_eq!(wall.talk(b"PX 5 5\nPX 5 5 0000ff80\nPX 5 5\n").await, "PX 5 5 804000\nPX 5 5 402080\n");
    wall.running.stop().await;
}

#[tokio::test]
async fn lines_may_be_split_at_any_byte() {
    let wall = Wall::start().await;
    let lines = b"PX 12 34 ff8000\nPX 12 34\nOFFSET 1 1\r\nPX 13 3 0102037f\nSIZE\nHELP me\nPX 13 3\n";
    let replies = "PX 12 34 ff8000\nSIZE 64 48\nPX 13 3 000101\n";
    for cut in 0..=lines.len() {
        let framebuffer = wall.running.display.framebuffer();
        framebuffer.clear(Color::BLACK, &mut framebuffer.no_damage());
        let mut client = wall.connect().await;
        // The reply shows that the first part was read, so the second part arrives in a read of its own.
        client.send(&[b"SIZE\n", &lines[..cut]].concat()).await;
        client.expect(b"SIZE 64 48\n").await;
        client.send(&lines[cut..]).await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(String::from_utf8(client.rest().await).unwrap(), replies, "cut at {cut}");
    }
    wall.running.stop().await;
}

#[tokio::test]
async fn a_picture_in_one_write_is_drawn_whole() {
    let display = Display::new(Size { width: 640, height: 480 }, Color::BLACK).unwrap();
    let wall = Wall::start_with(display, ServerOptions::default()).await;
    let color = |x: u32, y: u32| (x * 7919 + y * 104_729) & 0xff_ffff;
    let mut lines = String::new();
    for (x, y) in (0..480).flat_map(|y| (0..640).map(move |x| (x, y))) {
        lines += &format!("PX {x} {y} {:06x}\n", color(x, y));
    }
    lines += "PX 639 479\n";
    let last = format!("PX 639 479 {:06x}\n", color(639, 479));
    assert_eq!(wall.talk(lines.as_bytes()).await, last);
    for (x, y) in (0..480).flat_map(|y| (0..640).map(move |x| (x, y))) {
        let drawn = wall.color(x as i32, y as i32);
        assert_eq!(drawn, Color::from_u32(color(x, y) << 8 | 0xff), "({x}, {y})");
    }
    assert_eq!(wall.running.display.stats().executed, 640 * 480 + 1);
    wall.running.stop().await;
}

#[tokio::test]
async fn bad_lines_and_pixels_outside_are_ignored_and_counted() {
    let wall = Wall::start().await;
    let bad = [
        "GET / HTTP/1.1\r\n",
        "PX 1 1 ff80\n",
        "PX 1 1 zz0000\n",
        "PX 64 0 ff0000\n",
        "PX 0 48 ff0000\n",
        "PX -1 0 ff0000\n",
        "PX 99999999999 0 ff000080\n",
        "PX 64 0\n",
        "OFFSET x y\n",
    ];
    let lines = format!("{}\n\r\n\0\u{1}\u{ff}\nSIZE\n", bad.concat());
    assert_eq!(wall.talk(lines.as_bytes()).await, "SIZE 64 48\n");
    let stats = wall.running.display.stats();
    assert_eq!(
        stats.unheard_faults,
        bad.len() as u64 + 1,
        "each bad line, and the one of control characters"
    );
    assert_eq!(stats.executed, 6, "the five pixels that are outside, and SIZE");
    assert!((0..64).all(|x| (0..48).all(|y| wall.color(x, y) == Color::BLACK)));
    wall.running.stop().await;
}

#[tokio::test]
async fn a_line_that_never_ends_takes_no_memory_and_the_next_one_is_read() {
    let wall = Wall::start().await;
    let mut client = wall.connect().await;
    client.send(b"PX 3 3 ").await;
    for _ in 0..64 {
        client.send(&[b'f'; 1 << 16]).await;
        let buffered = wall.running.display.stats().buffered;
        assert!(buffered <= 300 << 10, "{buffered} bytes");
    }
    wall.running.check_that_a_new_client_draws().await;
    client.send(b"\nPX 2 2 0000ff\nPX 2 2\n").await;
    client.expect(b"PX 2 2 0000ff\n").await;
    assert_eq!(wall.color(3, 3), Color::BLACK);
    let stats = wall.running.display.stats();
    assert_eq!(
        (stats.unheard_faults, stats.buffered),
        (1, 0),
        "one line, and an idle connection holds nothing"
    );
    wall.running.stop().await;
}

#[tokio::test]
async fn a_line_that_is_cut_off_by_the_end_is_not_executed() {
    let wall = Wall::start().await;
    assert_eq!(wall.talk(b"PX 1 1 ffffff\nPX 2 2 ff").await, "");
    assert_eq!([wall.color(1, 1), wall.color(2, 2)], [Color::WHITE, Color::BLACK]);
    wall.running.stop().await;
}

/// Sends questions without reading, until the display holds the maximum of replies for this client. The replies are
/// twice as long as the questions, so that the display reads large pieces before it has to stop. Returns the side that
/// receives the replies.
async fn ask_and_never_read(wall: &Wall) -> OwnedReadHalf {
    let (replies, mut questions) = wall.connect().await.stream.into_split();
    tokio::spawn(async move {
        let lines = b"PX 1 1\n".repeat(10_000);
        while questions.write_all(&lines).await.is_ok() {}
    });
    // When it stops, the display holds a large buffer and the maximum of replies; before that it holds less.
    until("the display to stop", || wall.running.display.stats().buffered > (256 + 32) << 10).await;
    replies
}

#[tokio::test]
async fn a_client_that_never_reads_is_not_read_from_and_holds_little() {
    let wall = Wall::start().await;
    let _replies = ask_and_never_read(&wall).await;
    for _ in 0..100 {
        assert_eq!(wall.talk(b"SIZE\n").await, "SIZE 64 48\n");
        let stats = wall.running.display.stats();
        assert!(stats.buffered <= 400 << 10, "{} bytes", stats.buffered);
        // Much more than the two operating systems and the display can buffer.
        assert!(stats.executed * 14 < 64 << 20, "{} questions are answered", stats.executed);
    }
    wall.running.check_that_a_new_client_draws().await;
    wall.running.stop().await;
}

#[tokio::test]
async fn a_client_that_never_reads_loses_its_memory_to_one_that_needs_it() {
    let display = Display::new(Size { width: 1024, height: 1024 }, Color::BLACK).unwrap();
    // The shared memory is less than what the image and the unread input of the first client take.
    let options = ServerOptions { connections: 2, memory: 5 << 20, ..ServerOptions::default() };
    let wall = Wall::start_with(display, options).await;
    let mut replies = ask_and_never_read(&wall).await;
    let mut client = wall.running.connect().await;
    client.send(&request(1, "put_image", (0, 0, 1024, 1024, Bin(vec![255; 4 << 20])))).await;
    client.expect(&done(1)).await;
    // The replies that the operating system has buffered are received first.
    _ = within("the end of the first client", replies.read_to_end(&mut Vec::new())).await;
    assert_eq!(wall.running.display.stats().closed_for_fault, 1);
    wall.running.stop().await;
}

#[tokio::test]
async fn native_clients_see_what_pixelflut_draws_and_the_other_way_round() {
    let wall = Wall::start().await;
    let (mut native, mut flut) = (wall.running.connect().await, wall.connect().await);
    let (woken, wakes) = tokio::sync::mpsc::unbounded_channel();
    let framebuffer = wall.running.display.framebuffer();
    let mut subscription = framebuffer.subscribe(move || _ = woken.send(()));
    let mut damage = framebuffer.no_damage();
    subscription.take(&mut damage);
    let mut wakes = wakes;
    _ = wakes.try_recv();
    flut.send(b"PX 7 9 123456\n").await;
    within("the damage", wakes.recv()).await.unwrap();
    subscription.take(&mut damage);
    assert!(damage.rows().any(|rows| rows.contains(&9)), "{damage:?}");
    native.send(&request(1, "get_pixel", (7, 9))).await;
    native.expect(&answer(1, 0x1234_56ff_u32)).await;
    native.send(&request(2, "draw_pixel", (7, 9, 0xff00_00ff_u32))).await;
    native.expect(&done(2)).await;
    flut.send(b"PX 7 9\n").await;
    flut.expect(b"PX 7 9 ff0000\n").await;
    wall.running.stop().await;
}

#[tokio::test]
async fn clients_of_all_doors_are_counted_together() {
    let wall = Wall::start().await;
    let display = wall.running.display.clone();
    let (mut native, mut flut) = (wall.running.connect().await, wall.connect().await);
    native.send(&request(1, "sync", NONE)).await;
    native.expect(&done(1)).await;
    flut.send(b"PX 1 1 ff0000\nPX 1 1 00ff00\nOFFSET 1 1\nPX 0 0\nPX 70 70 ffffff\nnothing\nSIZE\n").await;
    flut.expect(b"PX 0 0 00ff00\nSIZE 64 48\n").await;
    until("the counters", || {
        let stats = display.stats();
        (stats.connections, stats.accepted, stats.executed, stats.faults, stats.unheard_faults)
            == (2, 2, 7, 0, 2)
    })
    .await;
    drop(flut);
    until("the end of a connection", || display.stats().connections == 1).await;
    assert_eq!(display.stats().closed_for_fault, 0);
    wall.running.stop().await;
}

#[tokio::test]
async fn clients_of_all_doors_share_the_places_and_one_without_is_told() {
    let options = ServerOptions { connections: 1, ..ServerOptions::default() };
    let wall = Wall::start_with(display(), options).await;
    let mut native = wall.running.connect().await;
    native.send(&request(1, "sync", NONE)).await;
    native.expect(&done(1)).await;
    let mut flut = wall.connect().await;
    flut.send(b"SIZE\n").await;
    let told = String::from_utf8(flut.rest().await).unwrap();
    assert!(
        told.starts_with("ERROR this display takes at most 1 connection, ") && told.ends_with("\n"),
        "{told:?}"
    );
    drop(native);
    until("the place to be free", || wall.running.display.stats().connections == 0).await;
    assert_eq!(wall.talk(b"SIZE\n").await, "SIZE 64 48\n");
    wall.running.stop().await;
}

#[tokio::test]
async fn the_end_of_the_display_closes_connections_and_loses_no_reply() {
    let wall = Wall::start().await;
    let (mut idle, mut asking) = (wall.connect().await, wall.connect().await);
    let mut stuck = ask_and_never_read(&wall).await;
    asking.send(b"PX 1 1 ff0000\nPX 1 1\n").await;
    until("the pixel", || wall.color(1, 1) == Color::RED).await;
    idle.send(b"PX 9").await;
    wall.running.stop().await;
    assert_eq!(asking.rest().await, b"PX 1 1 ff0000\n");
    assert_eq!(idle.rest().await, b"");
    // The connection ends, with or without an error.
    _ = within("the end of the connection", stuck.read_to_end(&mut Vec::new())).await;
}
