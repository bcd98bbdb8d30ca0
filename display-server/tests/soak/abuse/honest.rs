//! Honest clients, and measurements of how long they wait.

use super::attacks::{HEIGHT, WIDTH};
use super::request;
use crate::processes::PATIENCE;
use draw_client::{Color, ConnectOptions, Display};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A client that draws and reads, one call after another.
pub(super) struct Honest {
    display: Display,
    count: u32,
}

impl Honest {
    pub(super) async fn connect(address: &str) -> Honest {
        let display =
            ConnectOptions::new().timeout(PATIENCE).connect_timeout(PATIENCE).reconnect(Duration::ZERO);
        Honest { display: display.connect(address).await.unwrap(), count: 0 }
    }

    /// Makes calls until `until`, and returns how long each took, sorted. Every call succeeds.
    pub(super) async fn call(&mut self, until: Instant) -> Vec<Duration> {
        let mut took = Vec::new();
        let first = match self.count {
            0 => self.display.get_pixel(3, 4).await.unwrap().to_u32(),
            _ => Color::BLACK.to_u32(),
        };
        assert_eq!(first, Color::BLACK.to_u32());
        while took.is_empty() || Instant::now() < until {
            let began = Instant::now();
            self.display.add_pixel(3, 4, 1).await.unwrap().await.unwrap();
            self.count += 1;
            let drawn = Instant::now();
            let shown = self.display.get_pixel(3, 4).await.unwrap();
            took.extend([drawn - began, drawn.elapsed()]);
            assert_eq!(shown.to_u32(), Color::BLACK.to_u32() + self.count);
        }
        took.sort_unstable();
        took
    }

    /// Reads the picture, as bands of rows.
    pub(super) async fn image(&self) {
        let image = self.display.get_image(0, 0, WIDTH, HEIGHT).await.unwrap();
        assert_eq!(image.len(), (WIDTH * HEIGHT * 4) as usize);
    }
}

/// A client of plain MessagePack-RPC that gets the whole picture repeatedly, with a pause after each.
pub(super) struct Watcher {
    stream: TcpStream,
}

impl Watcher {
    pub(super) fn connect(address: &str) -> Watcher {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Watcher { stream }
    }

    /// Gets images until `until`, and returns how long each took, sorted.
    pub(super) fn watch(&mut self, until: Instant) -> Vec<Duration> {
        let mut took = Vec::new();
        while took.is_empty() || Instant::now() < until {
            took.push(self.image());
            std::thread::sleep(Duration::from_millis(3));
        }
        took.sort_unstable();
        took
    }

    /// Gets one image, and returns how long it took.
    pub(super) fn image(&mut self) -> Duration {
        let began = Instant::now();
        self.stream.write_all(&request(9, "get_image", (0, 0, WIDTH, HEIGHT))).unwrap();
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).unwrap();
        // `[1, 9, nil, bin]` up to the length of the bin.
        assert!(head.starts_with(b"\x94\x01\x09\xc0\xc6"), "no image: {}", head.escape_ascii());
        let mut image = vec![0; (WIDTH * HEIGHT * 4) as usize];
        self.stream.read_exact(&mut image).unwrap();
        began.elapsed()
    }
}
