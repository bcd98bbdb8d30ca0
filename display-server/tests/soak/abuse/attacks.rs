//! The individual attacks.

use super::{notification, request};
use serde::Serialize;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Size of the attacked display: the default size.
pub(super) const WIDTH: u32 = 640;
pub(super) const HEIGHT: u32 = 480;

/// Length of a name that is too long and still fits in a first message.
const LONG_NAME: usize = 4_000;
/// Length of the image whose last byte is missing: almost as long as the largest message may be.
const UNFINISHED: usize = (16 << 20) - 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attack {
    /// Connects and disconnects.
    Connects,
    /// Connects, sends a byte that begins no message, and waits for the end of the connection.
    WrongBytes,
    /// Connects, sends a hello with a long client name or a request with a long method name, and waits for the answer.
    LongNames,
    /// Requests the digest of the whole picture repeatedly.
    Digests,
    /// Fills everything below the honest client's pixel without a pause.
    Fills,
    /// Adds a pixel and syncs it, repeatedly.
    Syncs,
    /// Requests images and never reads.
    Deaf,
    /// Sends an image without its last byte.
    Unfinished,
    /// Connects and sends nothing.
    Silent,
}

impl Attack {
    pub(super) const ALL: [Attack; 9] = [
        Attack::Connects,
        Attack::WrongBytes,
        Attack::LongNames,
        Attack::Digests,
        Attack::Fills,
        Attack::Syncs,
        Attack::Deaf,
        Attack::Unfinished,
        Attack::Silent,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Attack::Connects => "connects",
            Attack::WrongBytes => "wrong first bytes",
            Attack::LongNames => "long names",
            Attack::Digests => "digests",
            Attack::Fills => "fills",
            Attack::Syncs => "syncs",
            Attack::Deaf => "deaf",
            Attack::Unfinished => "unfinished messages",
            Attack::Silent => "silent connections",
        }
    }

    pub(super) fn clients(self) -> usize {
        match self {
            Attack::Connects | Attack::WrongBytes | Attack::LongNames => 8,
            Attack::Digests | Attack::Fills => 100,
            Attack::Syncs => 50,
            Attack::Deaf => 300,
            Attack::Unfinished => 60,
            Attack::Silent => 1_024,
        }
    }

    /// Returns how many clients must have begun for the attack to be under way. A few of the silent ones get no place,
    /// since other clients have one.
    pub(super) fn begun(self) -> usize {
        match self {
            Attack::Silent => self.clients() - 24,
            // The display may end some before the last has connected.
            Attack::Deaf | Attack::Unfinished => self.clients() / 2,
            _ => self.clients(),
        }
    }
}

/// Counts for all clients of an attack.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) begun: AtomicUsize,
    pub(super) done: AtomicUsize,
}

/// Runs one client of an attack for ever. The client reconnects when the display ends its connection.
pub(super) async fn attack(attack: Attack, number: usize, address: SocketAddr, tally: Arc<Tally>) {
    let mut is_first = true;
    let mut begun = || {
        if std::mem::take(&mut is_first) {
            tally.begun.fetch_add(1, Relaxed);
        }
    };
    loop {
        let round = async {
            let mut stream = TcpStream::connect(address).await?;
            // Otherwise the machine would run out of ports.
            _ = stream.set_zero_linger();
            let done = || _ = tally.done.fetch_add(1, Relaxed);
            match attack {
                Attack::Connects => done(),
                Attack::WrongBytes => {
                    stream.write_all(b"G").await?;
                    _ = stream.read(&mut [0; 64]).await?;
                    done();
                }
                Attack::LongNames => {
                    stream.write_all(&long_name(number)).await?;
                    _ = stream.read(&mut [0; 512]).await?;
                    done();
                }
                Attack::Digests => {
                    begun();
                    asks(&mut stream, &request(7, "get_digest", (0, 0, WIDTH, HEIGHT)), 38, done).await?;
                }
                Attack::Fills => {
                    begun();
                    let fills = notification("fill_rect", (0, 8, WIDTH, HEIGHT - 8, 7)).repeat(4);
                    while stream.write_all(&fills).await.is_ok() {
                        done();
                    }
                }
                Attack::Syncs => {
                    begun();
                    let add = request(7, "add_pixel", (number as u32, 20, 1));
                    // Each of the two answers is [1, 7, nil, nil].
                    asks(&mut stream, &[add, request(7, "sync_durable", [0; 0])].concat(), 10, done).await?;
                }
                Attack::Deaf => {
                    let asks = request(7, "get_image", (0, 0, WIDTH, HEIGHT)).repeat(1_000);
                    stream.write_all(&asks).await?;
                    begun();
                    done();
                    // Continues until the display ends the connection.
                    while stream.write_all(&asks).await.is_ok() {}
                }
                Attack::Unfinished => {
                    let image = unfinished();
                    stream.write_all(&image).await?;
                    begun();
                    done();
                    _ = stream.read(&mut [0; 512]).await?;
                }
                Attack::Silent => {
                    begun();
                    done();
                    _ = stream.read(&mut [0; 64]).await?;
                }
            }
            begun();
            io::Result::Ok(())
        };
        if round.await.is_err() {
            // The connection was refused, or ended by the display.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::task::yield_now().await;
    }
}

/// Sends a request and reads an answer of `answer` bytes, repeatedly.
async fn asks(stream: &mut TcpStream, request: &[u8], answer: usize, done: impl Fn()) -> io::Result<()> {
    let mut room = vec![0; answer];
    loop {
        stream.write_all(request).await?;
        done();
        stream.read_exact(&mut room).await?;
    }
}

fn long_name(number: usize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Hello {
        version: u32,
        client: String,
    }
    let name = "n".repeat(LONG_NAME);
    if number.is_multiple_of(2) {
        return request(7, &name, [0; 0]);
    }
    let hello = Hello { version: 1, client: name };
    let mut bytes = b"\x94\x00\x00\xa5hello\x91".to_vec();
    bytes.extend(rmp_serde::to_vec_named(&hello).unwrap());
    bytes
}

fn unfinished() -> Vec<u8> {
    let mut bytes = b"\x94\x00\x07\xa9put_image\x95\x00\x00\xcd\x08\x00\xcd\x08\x00\xc6".to_vec();
    bytes.extend((UNFINISHED as u32).to_be_bytes());
    bytes.resize(bytes.len() + UNFINISHED - 1, 0);
    bytes
}
