//! A relay that prints the messages between any client and any display.

use draw_printer::{Detail, Printer};
use draw_protocol::limits::{PORT, READ};
use draw_protocol::text::count;
use draw_protocol::trace::Direction;
use std::convert::Infallible;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The pause after a connection could not be accepted, for instance for lack of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A relay between clients and a display. Clones share it.
///
/// Every byte is forwarded unchanged, in both directions, even if it cannot be parsed. One direction may end before the
/// other.
#[derive(Debug, Clone)]
pub struct Wire<W> {
    display: String,
    detail: Detail,
    to: W,
    seen: Arc<Seen>,
}

/// Counters of all connections together.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    to_display: Counts,
    to_client: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// Returns the address with the default port if it has none: `host`, `host:port` or `[ipv6]:port`.
pub fn with_port(address: &str) -> String {
    let has_port = match address.rsplit_once(':') {
        Some((host, port)) => {
            (host.ends_with(']') || !host.contains(':')) && port.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => false,
    };
    match (has_port, address.contains(':') && !address.starts_with('[')) {
        (true, _) => address.to_owned(),
        (false, true) => format!("[{address}]:{PORT}"),
        (false, false) => format!("{address}:{PORT}"),
    }
}

impl<W: Write + Clone + Send + Sync + 'static> Wire<W> {
    /// Creates a relay to the display at `display` that prints on `to`.
    pub fn new(display: &str, detail: Detail, to: W) -> Wire<W> {
        Wire { display: with_port(display), detail, to, seen: Arc::default() }
    }

    /// Relays the clients of `listener` until it is dropped; then all connections are closed.
    pub async fn run(&self, listener: TcpListener) -> Infallible {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((client, _)) => {
                        let wire = self.clone();
                        connections.spawn(async move { wire.relay(client).await });
                    }
                    Err(_) => tokio::time::sleep(BACK_OFF).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Returns one line about everything that has passed.
    pub fn summary(&self) -> String {
        let Seen { connections, to_display, to_client } = &*self.seen;
        let says = |counts: &Counts| {
            let (messages, bytes) = (counts.messages.load(Relaxed), counts.bytes.load(Relaxed));
            format!("{}, {}", count(messages, "message"), count(bytes, "byte"))
        };
        let connections = connections.load(Relaxed);
        let connections = count(connections, "connection");
        format!("{connections}; -> {}; <- {}", says(to_display), says(to_client))
    }

    async fn relay(&self, mut client: TcpStream) {
        let printer = Printer::new(self.detail, self.to.clone(), Instant::now);
        let from = client.peer_addr().map_or_else(|error| error.to_string(), |address| address.to_string());
        printer.note(|| format!("a client at {from}, to {}", self.display));
        self.seen.connections.fetch_add(1, Relaxed);
        let mut display = match TcpStream::connect(&self.display).await {
            Ok(display) => display,
            Err(error) => {
                printer.note(|| {
                    format!(
                        "no display at {} ({error}), the client is cut off: start one with `display-server`",
                        self.display
                    )
                });
                return;
            }
        };
        // Small messages are sent without delay, as by their senders.
        _ = client.set_nodelay(true).and_then(|()| display.set_nodelay(true));
        let (from_client, to_client) = client.split();
        let (from_display, to_display) = display.split();
        let carried = tokio::try_join!(
            self.carry(&printer, Direction::ToDisplay, from_client, to_display),
            self.carry(&printer, Direction::ToClient, from_display, to_client),
        );
        if let Err(error) = carried {
            printer.note(|| format!("broken: {error}"));
        }
    }

    /// Carries one direction to its end. An error is one of the sender's side: it ends the whole connection.
    ///
    /// When the receiver's side breaks, nothing more is carried but the connection stays: the last bytes of the
    /// receiver may still be in transit in the other direction.
    async fn carry(
        &self,
        printer: &Printer,
        direction: Direction,
        mut from: ReadHalf<'_>,
        mut to: WriteHalf<'_>,
    ) -> io::Result<()> {
        let counts = match direction {
            Direction::ToDisplay => &self.seen.to_display,
            Direction::ToClient => &self.seen.to_client,
        };
        let mut buffer = vec![0; READ];
        loop {
            let n = from.read(&mut buffer).await?;
            if n == 0 {
                printer.end(direction);
                _ = to.shutdown().await;
                return Ok(());
            }
            // They are printed before they are forwarded, so that no answer is printed before its request.
            let messages = printer.pass(direction, &buffer[..n]);
            counts.messages.fetch_add(messages as u64, Relaxed);
            counts.bytes.fetch_add(n as u64, Relaxed);
            if to.write_all(&buffer[..n]).await.is_err() {
                return Ok(());
            }
        }
    }
}
