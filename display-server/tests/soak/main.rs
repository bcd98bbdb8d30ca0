//! Runs displays for a long time, as processes of their own: with clients whose connections break all the time, and
//! among hostile clients. Memory is checked continuously; times are only printed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod abuse;
mod lossy;
mod probe;
#[path = "../common/processes.rs"]
mod processes;

use draw_client::{Color, ConnectOptions, Pixel, Status, blocking};
use draw_protocol::limits;
use lossy::Lossy;
use processes::{Dice, Directory, PATIENCE, Server, free_port};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Duration of each test in seconds, unless the environment variable `SOAK` sets another. A release runs `SOAK=3600
/// cargo test --release -p display-server --test soak -- --nocapture`.
const SECONDS: u64 = 5;

const CLIENTS: usize = 64;
/// Cells in a client's own row.
const CELLS: usize = 64;

/// How much higher the memory peak of a display may be in the second half than in the first: each client may have a
/// read buffer at one of the two peaks and not at the other. A leak per connection, session or call exceeds this after
/// a minute or two, in which there are some 10,000 connections and 2,000 sessions.
const GROWTH: u64 = (CLIENTS * limits::READ) as u64;

fn duration() -> Duration {
    Duration::from_secs(std::env::var("SOAK").map_or(SECONDS, |seconds| seconds.parse().expect("a number")))
}

/// Counts of calls and sessions of all clients.
#[derive(Default)]
struct Tally {
    calls: AtomicUsize,
    lives: AtomicUsize,
    resumed: AtomicUsize,
    /// Set when an unexpected status or error is reported.
    is_wrong: AtomicBool,
}

/// Draws with one session after another, and returns how much was added to each cell.
async fn draw(number: usize, address: SocketAddr, until: Instant, tally: Arc<Tally>) -> Vec<u32> {
    let (mut row, mut dice) = (vec![0_u32; CELLS], Dice::new(number as u64));
    loop {
        let (told, late) = (Arc::clone(&tally), Arc::clone(&tally));
        let options = ConnectOptions::new().reconnect(PATIENCE).timeout(PATIENCE).connect_timeout(PATIENCE);
        let options = options.on_status(move |status| match status {
            Status::Reconnecting { .. } => {}
            Status::Resumed => _ = told.resumed.fetch_add(1, Relaxed),
            other => {
                eprintln!("client {number}: {other:?}");
                told.is_wrong.store(true, Relaxed);
            }
        });
        let options = options.on_error(move |error| {
            eprintln!("client {number}: {error}");
            late.is_wrong.store(true, Relaxed);
        });
        let display = options.connect(&address.to_string()).await.unwrap();
        let calls = 200 + dice.below(3_000);
        for _ in 0..calls {
            let (cell, amount) = (dice.below(CELLS), 1 + dice.below(1 << 20) as u32);
            row[cell] = row[cell].wrapping_add(amount);
            let reply = match dice.below(8) {
                0 => {
                    let other = dice.below(CELLS);
                    row[other] = row[other].wrapping_add(amount);
                    let pixels = [cell, other].map(|x| Pixel::adding(x as u16, number as u16, amount));
                    display.add_pixels(&pixels).await.unwrap()
                }
                _ => display.add_pixel(cell as i32, number as i32, amount).await.unwrap(),
            };
            // All clients count their calls in the last row.
            let counted = display.add_pixel(cell as i32, CLIENTS as i32, 1).await.unwrap();
            if dice.below(64) == 0 {
                reply.await.unwrap();
                counted.await.unwrap();
            }
        }
        display.close().await.unwrap();
        tally.calls.fetch_add(2 * calls, Relaxed);
        tally.lives.fetch_add(1, Relaxed);
        if Instant::now() >= until {
            return row;
        }
    }
}

/// Returns the peak memory of a display until `until`.
fn peak(server: &Server, until: Instant) -> u64 {
    let mut peak = server.memory();
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
        peak = peak.max(server.memory());
    }
    peak
}

/// Checks that everything was added exactly once.
fn check_picture(address: &str, rows: &[Vec<u32>], calls: usize) {
    let display = blocking::Display::connect(address).unwrap();
    let image = display.get_image(0, 0, CELLS as u32, CLIENTS as u32 + 1).unwrap();
    let shown: Vec<_> = image.as_chunks().0.iter().map(|&pixel| u32::from_be_bytes(pixel)).collect();
    let shown: Vec<_> = shown.iter().map(|pixel| pixel.wrapping_sub(Color::BLACK.to_u32())).collect();
    let (counts, shown) = shown.split_last_chunk::<CELLS>().map(|(rows, counts)| (counts, rows)).unwrap();
    assert_eq!(rows.len(), CLIENTS);
    for (number, (row, shown)) in rows.iter().zip(shown.chunks(CELLS)).enumerate() {
        assert_eq!(row, shown, "of client {number} something is lost, or was drawn twice");
    }
    let counted: usize = counts.iter().map(|&count| count as usize).sum();
    assert_eq!(2 * counted, calls, "every other call was counted");
}

fn soak(server: &Server) {
    let runtime = Runtime::new().unwrap();
    let lossy = Lossy::start(&runtime, server.address.parse().unwrap());
    let (tally, length) = (Arc::new(Tally::default()), duration());
    let began = Instant::now();
    let draw = |number| draw(number, lossy.address, began + length, Arc::clone(&tally));
    let clients: Vec<_> = (0..CLIENTS).map(|number| runtime.spawn(draw(number))).collect();
    let [before, after] = [length / 2, length].map(|part| peak(server, began + part));
    let rows: Vec<_> = clients.into_iter().map(|client| runtime.block_on(client).unwrap()).collect();
    let [calls, lives, resumed] = [&tally.calls, &tally.lives, &tally.resumed].map(|n| n.load(Relaxed));
    println!(
        "{calls} calls of {lives} sessions, {} connections cut, {resumed} resumed; at most {} KiB and then {} KiB",
        lossy.cut(),
        before >> 10,
        after >> 10
    );
    assert!(!tally.is_wrong.load(Relaxed), "something was told that is not to happen");
    // Otherwise the test has exercised nothing.
    assert!(resumed >= CLIENTS / 4 && calls >= 400 * lives);
    check_picture(&server.address, &rows, calls);
    assert!(after <= before + GROWTH, "it grows: {before} bytes at first, {after} later");
    probe::check_that_ended_sessions_are_gone(&server.address);
}

#[test]
fn clients_whose_connections_are_lost_all_the_time_draw_everything_once() {
    let server = Server::start_plain(&format!("{CELLS}x{}", CLIENTS + 1));
    soak(&server);
}

#[test]
fn so_they_do_on_a_display_that_keeps_a_journal() {
    let directory = Directory::new("soak");
    let server = Server::start(&directory.path("journal"), free_port(), &format!("{CELLS}x{}", CLIENTS + 1));
    soak(&server);
    assert!(server.end().success());
}
