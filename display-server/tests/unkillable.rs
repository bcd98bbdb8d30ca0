//! The program with `--journal` is killed again and again while clients draw: every call is executed once.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use draw_client::blocking::{Display, Pipeline};
use draw_client::{Color, Pixel};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// How often it is killed; the environment variable `KILLS` says otherwise.
const KILLS: usize = 50;
const CLIENTS: u16 = 4;

/// A directory of this test's own, removed in the end.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that is killed when it is dropped.
struct Server(Child);

impl Server {
    fn start(journal: &Directory, port: u16) -> Server {
        let mut child = Command::new(env!("CARGO_BIN_EXE_display-server"))
            .args(["--headless", "--size", "64x64", "--log", "warn", "--journal-size", "1"])
            .args(["--listen", &format!("127.0.0.1:{port}"), "--journal"])
            .arg(&journal.0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on "), "{line:?}");
        Server(child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Numbers that look like chance, the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((self.0 >> 33) % u64::from(n)) as u32
    }
}

/// Adds and draws in rows of its own until it is told to stop; answers what those rows are to be.
fn draw(client: u16, address: &str, stop: &AtomicBool) -> (Vec<u32>, u64) {
    let display = Pipeline::builder()
        .reconnect(Duration::from_secs(60))
        .timeout(Duration::from_secs(60))
        .on_error(|late| panic!("{late}"))
        .connect(address)
        .unwrap();
    let mut dice = Dice(u64::from(client) + 1);
    let (top, mut rows, mut calls) = (client * 16, vec![Color::BLACK.to_u32(); 64 * 15], 0);
    while !stop.load(SeqCst) {
        let at = dice.below(64 * 15);
        let (x, y) = ((at % 64) as u16, top + (at / 64) as u16);
        let cell = &mut rows[at as usize];
        calls += 1;
        match dice.below(100) {
            0..90 => {
                let amount = dice.below(1 << 30);
                *cell = cell.wrapping_add(amount);
                display.add_pixel(x.into(), y.into(), amount).unwrap();
            }
            90..97 => {
                // Draws over what was added: in another order the sum would be another.
                *cell = dice.below(1 << 30);
                display.draw_pixel(x.into(), y.into(), Color::from_u32(*cell)).unwrap();
            }
            97 => {
                *cell = cell.wrapping_add(1).wrapping_add(2);
                let pixels = [Pixel::adding(x, y, 1), Pixel::adding(x, y, 2)];
                display.add_pixels(&pixels).unwrap().wait().unwrap();
            }
            98 => assert_eq!(display.get_pixel(x.into(), y.into()).unwrap().to_u32(), *cell),
            // All clients together count in one place.
            _ => drop(display.add_pixel(63, 63, 1).unwrap()),
        }
    }
    display.sync().unwrap();
    display.close().unwrap();
    let mut counted = Dice(u64::from(client) + 1);
    let mut together = 0;
    for _ in 0..calls {
        counted.below(64 * 15);
        match counted.below(100) {
            0..97 => _ = counted.below(1 << 30),
            99 => together += 1,
            _ => {}
        }
    }
    (rows, together)
}

/// A port that no connection gets by chance while the display is away, as those above may.
fn free_port() -> u16 {
    let first = 20_000 + (std::process::id() % 10_000) as u16;
    (first..32_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("one of them is free")
}

#[test]
fn a_display_that_is_killed_again_and_again_has_drawn_everything_once() {
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let journal =
        Directory(std::env::temp_dir().join(format!("display-server-unkillable-{}", std::process::id())));
    // Clients come back to the address that they know.
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let mut server = Server::start(&journal, port);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let (address, stop) = (address.clone(), Arc::clone(&stop));
            std::thread::spawn(move || draw(client, &address, &stop))
        })
        .collect();
    let mut dice = Dice(99);
    for _ in 0..kills {
        // Long enough for clients to be back, and at no particular moment of what they do.
        let until = Instant::now() + Duration::from_millis(u64::from(dice.below(300)));
        while Instant::now() < until {
            std::thread::yield_now();
        }
        drop(server);
        server = Server::start(&journal, port);
    }
    stop.store(true, SeqCst);
    let mut together = 0;
    let display = Display::connect(&address).unwrap();
    for (client, drawn) in (0..).zip(clients) {
        let (rows, counted) = drawn.join().unwrap();
        together += counted;
        let shown = display.get_image(0, client * 16, 64, 15).unwrap();
        let shown: Vec<_> = shown.as_chunks().0.iter().map(|pixel| u32::from_be_bytes(*pixel)).collect();
        assert!(shown == rows, "client {client} has drawn something else");
    }
    let black = u64::from(Color::BLACK.to_u32());
    assert_eq!(u64::from(display.get_pixel(63, 63).unwrap().to_u32()), black + together);
    drop(server);
}
