//! Lets clients in, and sees them out.

use crate::budget::Budget;
use crate::clock::now;
use crate::connection::{self, LAST_FAREWELL};
use crate::display::Display;
use crate::journal::Journal;
use draw_protocol::session::Nonce;
use draw_protocol::{limits, server};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// The first pause after an error of accept, and the longest. With no descriptors left, accept fails at once, again
/// and again, until somebody else closes one.
const BACK_OFF: Duration = Duration::from_millis(10);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

/// A client whose machine vanishes without a word is found out after three minutes, and its place is free again. There is
/// no hurry: one that comes back takes its session from the older connection, and one that reads nothing has
/// [`limits::STALLED`].
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(8);

/// The same while there is something that its machine has not acknowledged: then keep-alive does not ask.
#[cfg(any(target_os = "linux", target_os = "android"))]
const VANISHED: Duration = Duration::from_secs(180);

/// How long connections have to end when the server does: their farewell and a little for the scheduler.
const SHUTDOWN: Duration = LAST_FAREWELL.saturating_add(Duration::from_millis(300));

/// What a server allows its clients. The default is what [`limits`] says.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections at a time. Further clients wait to be accepted.
    pub connections: usize,
    /// Bytes that the buffers of all connections may hold together.
    pub memory: usize,
    /// Bytes that one message may have.
    pub message: usize,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions { connections: limits::CONNECTIONS, memory: limits::MEMORY, message: limits::MESSAGE }
    }
}

/// Serves clients of one display. Clones share the limits.
///
/// ```
/// use display_server::{Display, Server, ServerOptions};
/// use draw_protocol::{Color, Size};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let display = Display::new(Size { width: 64, height: 48 }, Color::BLACK)?;
/// let server = Server::new(display, ServerOptions { connections: 2, ..ServerOptions::default() });
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// println!("listening on {}", listener.local_addr()?);
/// server.run(listener, async { /* ends at once */ }).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Server {
    /// What it calls itself.
    name: &'static str,
    display: Display,
    journal: Option<Journal>,
    options: ServerOptions,
    budget: Budget,
}

/// Serves clients that come to `listener` until `shutdown`, with default limits: see [`Server::run`].
///
/// # Errors
/// If `listener` has no address.
pub async fn run(
    listener: TcpListener,
    display: Display,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    Server::new(display, ServerOptions::default()).run(listener, shutdown).await
}

impl Server {
    /// A server of `display`.
    pub fn new(display: Display, mut options: ServerOptions) -> Server {
        options.connections = options.connections.clamp(1, Semaphore::MAX_PERMITS);
        options.message = options.message.clamp(limits::FIRST_MESSAGE, limits::MESSAGE_HARDEST);
        let budget = Budget::new(options.memory, options.connections);
        let name = concat!("display-server ", env!("CARGO_PKG_VERSION"));
        Server { name, display, journal: None, options, budget }
    }

    /// The same, but of the display of `journal`, which each drawing call is written to first.
    #[must_use]
    pub fn journaled(self, journal: Journal) -> Server {
        Server { display: journal.display().clone(), journal: Some(journal), ..self }
    }

    /// What its clients draw on.
    pub fn display(&self) -> &Display {
        &self.display
    }

    /// Where its clients' drawing calls are kept.
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Serves clients that come to `listener` until `shutdown`. Then nobody is let in any more, everybody is told,
    /// and within two seconds it returns, whatever the clients do.
    ///
    /// With a journal it ends by itself when a sync fails: see [`Journal::failure`].
    ///
    /// # Errors
    /// If `listener` has no address. What goes wrong with single clients, or with accepting them, is logged.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            warn!(
                "any program that reaches {address} can draw on this display and read what is on it; to allow only \
                 programs of this machine, listen on 127.0.0.1"
            );
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        send_unpaced(&listener, address);
        let (stop, stopped) = watch::channel(false);
        let mut entrance = Entrance::new(listener, allowed_connections(self.options.connections));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut failed = pin!(async {
            match &self.journal {
                Some(journal) => {
                    // Not within the macro, which evaluates nothing when nobody listens.
                    let failure = journal.failed().await;
                    error!("{failure}");
                }
                None => std::future::pending().await,
            }
        });
        info!(%address, size = %self.display.size(), "serving");
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = &mut failed => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => report(ended),
                (stream, peer, permit) = entrance.next() => {
                    let (server, mut stopped) = (self.clone(), stopped.clone());
                    connections.spawn(async move {
                        let stopped = async move { _ = stopped.wait_for(|&is_stopped| is_stopped).await };
                        server.serve(stream, &peer.to_string(), stopped).await;
                        drop(permit);
                    });
                }
            }
        }
        drop(entrance);
        _ = stop.send(true);
        let all_ended = async {
            while let Some(ended) = connections.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(SHUTDOWN, all_ended).await.is_err() {
            warn!("cut {} connections that did not end within {SHUTDOWN:?}", connections.len());
        }
        info!(%address, "stopped serving");
        // Dropping the set aborts what is left, without waiting for it.
        Ok(())
    }

    /// Serves one client over any stream, until either side ends the connection or `shutdown` does. `peer` is what the
    /// log calls it. The limit of connections is not counted here.
    pub async fn serve<S>(&self, stream: S, peer: &str, shutdown: impl Future<Output = ()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.serve_with(nonce(), stream, peer, shutdown).await;
    }

    /// Serves one client, whose sessions are confirmed with `nonce`: random, but for a test that knows it.
    async fn serve_with<S>(
        &self,
        nonce: Option<Nonce>,
        stream: S,
        peer: &str,
        shutdown: impl Future<Output = ()>,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let config = server::Config {
            server: self.name.to_owned(),
            size: self.display.size(),
            message: self.options.message,
            instance: Some(self.display.sessions().instance()),
            has_journal: self.journal.is_some(),
            nonce,
        };
        let machine = server::Connection::new(config, now());
        let journal = self.journal.as_ref();
        connection::serve(stream, peer, machine, (&self.display, journal), self.budget.share(), shutdown)
            .await;
    }
}

/// A nonce for a connection. Where the system gives no random bytes there is none, and sessions do without.
fn nonce() -> Option<Nonce> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).ok()?;
    Some(Nonce::new(u64::from_ne_bytes(random)))
}

#[cfg(test)]
mod spec;

/// Where clients come in.
struct Entrance {
    listener: TcpListener,
    permits: Arc<Semaphore>,
    connections: usize,
    /// The current pause after errors, and until when it lasts.
    back_off: Duration,
    pause: Option<Instant>,
    is_full: bool,
}

impl Entrance {
    fn new(listener: TcpListener, connections: usize) -> Entrance {
        let permits = Arc::new(Semaphore::new(connections));
        Entrance { listener, permits, connections, back_off: BACK_OFF, pause: None, is_full: false }
    }

    /// The next client. The future may be dropped and made again; nothing is lost.
    async fn next(&mut self) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        let permit = self.permit().await;
        loop {
            if let Some(until) = self.pause {
                tokio::time::sleep_until(until).await;
                self.pause = None;
            }
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    self.back_off = BACK_OFF;
                    set_up(&stream, peer);
                    return (stream, peer, permit);
                }
                Err(error) => {
                    warn!("cannot accept a client ({error}): trying again in {:?}", self.back_off);
                    self.pause = Some(Instant::now() + self.back_off);
                    self.back_off = (2 * self.back_off).min(LONGEST_BACK_OFF);
                }
            }
        }
    }

    /// Taken before a client is accepted, so that one too many waits in the system's queue and costs nothing here.
    async fn permit(&mut self) -> OwnedSemaphorePermit {
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            self.is_full = false;
            return permit;
        }
        if !self.is_full {
            warn!("{} connections are open, which is the limit: the next client waits", self.connections);
            self.is_full = true;
        }
        match self.permits.clone().acquire_owned().await {
            Ok(permit) => permit,
            // It is never closed; were it, nobody more would be let in.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Any of it is better than no client.
fn set_up(stream: &TcpStream, peer: SocketAddr) {
    let socket = SockRef::from(stream);
    // An answer is a small packet that somebody waits for.
    if let Err(error) = socket.set_tcp_nodelay(true) {
        debug!(%peer, "no TCP_NODELAY: {error}");
    }
    if let Err(error) = socket.set_tcp_keepalive(&KEEP_ALIVE) {
        debug!(%peer, "no TCP keep-alive: {error}");
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket.set_tcp_user_timeout(Some(VANISHED)) {
        debug!(%peer, "no TCP_USER_TIMEOUT: {error}");
    }
}

/// Within a machine there is no network to be careful with, and a system that sends by a timer all the same (congestion control
/// `bbr`) takes up to half of the time of images for it. A connection that has begun so goes on, so that the listener is asked,
/// and only one that no other machine reaches.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn send_unpaced(listener: &TcpListener, address: SocketAddr) {
    if address.ip().is_loopback()
        && let Err(error) = SockRef::from(listener).set_tcp_congestion(b"reno")
    {
        debug!(%address, "the congestion control stays as it is: {error}");
    }
}

/// As many of `wanted` connections as leave [`limits::SPARE_DESCRIPTORS`] under this process's limit.
fn allowed_connections(wanted: usize) -> usize {
    let Some(descriptors) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current else {
        return wanted;
    };
    let allowed = descriptors.saturating_sub(limits::SPARE_DESCRIPTORS).max(1);
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    if allowed < wanted {
        info!(
            "serving at most {allowed} connections at a time instead of {wanted}, because this process may open \
             {descriptors} files: raise that with `ulimit -n`"
        );
    }
    wanted.min(allowed)
}

fn report(ended: Result<(), JoinError>) {
    if let Err(failure) = ended {
        error!("serving a connection failed, and the connection was cut: {failure}");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_vanishes_will_be_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut entrance = Entrance::new(listener, 1);
        let (client, (stream, ..)) = tokio::join!(TcpStream::connect(address), entrance.next());
        client.expect("it listens");
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("an option") && socket.keepalive().expect("an option"));
        let (time, interval) = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval());
        let retries = socket.tcp_keepalive_retries().expect("an option");
        assert_eq!(time.expect("an option") + retries * interval.expect("an option"), VANISHED);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(VANISHED));
    }

    #[tokio::test]
    async fn only_within_a_machine_are_connections_unpaced() {
        let is_unpaced = async |address: &str| {
            let listener = TcpListener::bind((address, 0)).await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let usual = SockRef::from(&listener).tcp_congestion().expect("an option");
            send_unpaced(&listener, (listener.local_addr()).expect("an address"));
            let mut entrance = Entrance::new(listener, 1);
            let (client, (stream, ..)) =
                tokio::join!(TcpStream::connect(("127.0.0.1", port)), entrance.next());
            client.expect("it listens");
            let used = SockRef::from(&stream).tcp_congestion().expect("an option");
            // The name has a fixed size, and zeros behind it.
            (used.starts_with(b"reno\0"), used == usual)
        };
        assert!(is_unpaced("127.0.0.1").await.0);
        assert!(is_unpaced("0.0.0.0").await.1, "what comes from elsewhere is left to the system");
    }
}
