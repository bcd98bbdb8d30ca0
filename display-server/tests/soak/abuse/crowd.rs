//! Slow senders, clients that never read, and a flood of connections, all in this process.

use super::{quantile, request};
use crate::processes::{PATIENCE, Server};
use crate::{duration, peak};
use draw_client::{Color, ConnectOptions, Display};
use draw_protocol::limits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

/// Number of clients that send a byte at a time. One half sends a hundred bytes a second, which is in time for a small
/// request; the other half sends one a second, which is not.
const SLOW: usize = 500;
const PAUSES: [Duration; 2] = [Duration::from_millis(10), Duration::from_secs(1)];
/// Number of clients that send requests and never read.
const DEAF: usize = 32;
/// Number of clients that connect and disconnect repeatedly, as fast as possible.
const FLOOD: usize = 4;

const SIDE: u32 = 64;
/// Length of an answer that the clients that never read request.
const IMAGE: usize = (SIDE * SIDE * 4) as usize;

/// How much more memory a display may use with all of them than without. Each client may have a read buffer and its
/// reserved memory; each client that never reads may have as many answers as a display keeps, in buffers that grow to
/// twice their contents. The clients of the flood are not counted, since they have disconnected.
const BOUND: u64 = ((SLOW + DEAF) * 2 * limits::READ + DEAF * 2 * (limits::UNSENT + IMAGE)) as u64;

/// The address of the display, and counts of what the clients have done.
#[derive(Clone)]
struct Harm {
    address: SocketAddr,
    /// Waits until all senders have connected.
    all_in: Arc<Barrier>,
    floods: Arc<AtomicUsize>,
    sent: Arc<AtomicUsize>,
}

impl Harm {
    /// Connects and sends `request` in pieces of `piece` bytes repeatedly, with pauses. Reconnects when the display
    /// ends the connection.
    async fn send(self, request: Vec<u8>, piece: usize, pause: Duration) {
        let mut is_first = true;
        loop {
            let Ok(mut stream) = TcpStream::connect(self.address).await else {
                tokio::task::yield_now().await;
                continue;
            };
            // Otherwise the machine would run out of ports.
            _ = stream.set_zero_linger();
            if std::mem::take(&mut is_first) {
                self.all_in.wait().await;
            }
            for piece in request.chunks(piece).cycle() {
                if stream.write_all(piece).await.is_err() {
                    break;
                }
                self.sent.fetch_add(1, Relaxed);
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn flood(self) {
        loop {
            if let Ok(stream) = TcpStream::connect(self.address).await {
                _ = stream.set_zero_linger();
                self.floods.fetch_add(1, Relaxed);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Draws and reads a pixel, one call after another, and returns how long each call took.
async fn honest(display: &Display, until: Instant, count: &mut u32) -> Vec<Duration> {
    let mut took = Vec::new();
    while took.is_empty() || Instant::now() < until {
        let began = Instant::now();
        display.add_pixel(3, 4, 1).await.unwrap().await.unwrap();
        *count += 1;
        let drawn = Instant::now();
        let shown = display.get_pixel(3, 4).await.unwrap();
        took.extend([drawn - began, drawn.elapsed()]);
        assert_eq!(shown.to_u32(), Color::BLACK.to_u32() + *count);
    }
    took.sort_unstable();
    took
}

#[test]
fn an_honest_client_is_answered_among_clients_that_mean_harm() {
    let descriptors = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: descriptors.maximum, ..descriptors }).unwrap();
    let server = Server::start_plain(&format!("{SIDE}x{SIDE}"));
    let (runtime, mut count) = (Runtime::new().unwrap(), 0);
    let display = ConnectOptions::new().timeout(PATIENCE).reconnect(Duration::ZERO);
    let display = runtime.block_on(display.connect(&server.address)).unwrap();
    let alone = runtime.block_on(honest(&display, Instant::now() + duration() / 5, &mut count));
    let before = server.memory();

    let harm = Harm {
        address: server.address.parse().unwrap(),
        all_in: Arc::new(Barrier::new(SLOW + DEAF + 1)),
        floods: Arc::default(),
        sent: Arc::default(),
    };
    for number in 0..SLOW {
        let ask = request(7, "get_pixel", (1, 1));
        runtime.spawn(harm.clone().send(ask, 1, PAUSES[number % PAUSES.len()]));
    }
    for _ in 0..DEAF {
        let ask = request(7, "get_image", (0, 0, SIDE, SIDE));
        runtime.spawn(harm.clone().send(ask.repeat(1_000), usize::MAX, Duration::ZERO));
    }
    let all_in = async { tokio::time::timeout(PATIENCE, harm.all_in.wait()).await };
    runtime.block_on(all_in).expect("all come in");
    (0..FLOOD).for_each(|_| drop(runtime.spawn(harm.clone().flood())));
    let until = Instant::now() + duration();
    let calling = runtime.spawn(async move {
        let took = honest(&display, until, &mut count).await;
        (took, count)
    });
    let most = peak(&server, until);
    let (among, count) = runtime.block_on(calling).expect("every call succeeds");
    // This ends all of those clients.
    runtime.shutdown_timeout(PATIENCE);

    let p99 = |took: &[Duration]| quantile(took, 99);
    let [sent, floods] = [&harm.sent, &harm.floods].map(|n| n.load(Relaxed));
    println!(
        "{} calls alone, p99 {:?}; {} among {floods} connects and {sent} pieces, p99 {:?}; {} KiB at first, at most {} KiB",
        alone.len(),
        p99(&alone),
        among.len(),
        p99(&among),
        before >> 10,
        most >> 10
    );
    // Otherwise the test has exercised nothing.
    assert!(sent >= SLOW && floods > 0);
    assert!(most <= before + BOUND, "{most} bytes, of which {before} were there before");
    let display = ConnectOptions::new().timeout(PATIENCE).connect_timeout(PATIENCE);
    let display = display.connect_blocking(&server.address).unwrap();
    assert_eq!(display.get_pixel(3, 4).unwrap().to_u32(), Color::BLACK.to_u32() + count);
    assert!(server.end().success());
}
