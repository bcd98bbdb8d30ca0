//! A network that breaks every connection after some number of bytes, at any byte.

use crate::processes::Dice;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// How many bytes a connection carries to the display, and from it, before it is lost. The ranges begin a little above
/// a greeting, since a session that was never established is not resumed.
const CARRIED: [std::ops::Range<usize>; 2] = [500..30_000, 1_500..10_000];

pub(crate) struct Lossy {
    pub(crate) address: SocketAddr,
    cut: Arc<AtomicUsize>,
}

impl Lossy {
    /// Starts a lossy relay to `target`.
    pub(crate) fn start(runtime: &Runtime, target: SocketAddr) -> Lossy {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (address, cut) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&cut);
        runtime.spawn(async move {
            let mut dice = Dice::new(1);
            while let Ok((client, _)) = listener.accept().await {
                let limits = CARRIED.map(|range| (range.start + dice.below(range.len())) as u64);
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    if let Ok(true) = relay(client, target, limits).await {
                        counted.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        Lossy { address, cut }
    }

    /// Returns how many connections were lost.
    pub(crate) fn cut(&self) -> usize {
        self.cut.load(Relaxed)
    }
}

/// Relays a connection until both sides have ended it or it is lost. Returns `true` if it was lost.
async fn relay(mut client: TcpStream, target: SocketAddr, [up, down]: [u64; 2]) -> io::Result<bool> {
    let mut display = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    display.set_nodelay(true)?;
    let ((from_client, to_client), (from_display, to_display)) = (client.split(), display.split());
    let both = tokio::try_join!(carry(from_client, to_display, up), carry(from_display, to_client, down));
    // Dropping both sockets discards what they have not delivered.
    match both {
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::Other => Ok(true),
        Err(error) => Err(error),
    }
}

/// Carries one direction to its end. Fails if the connection is lost first.
async fn carry(from: ReadHalf<'_>, mut to: WriteHalf<'_>, most: u64) -> io::Result<()> {
    if copy(&mut from.take(most), &mut to).await? == most {
        return Err(io::Error::other("it is lost"));
    }
    to.shutdown().await
}
