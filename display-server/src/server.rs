//! Accepts clients, starts a task for each connection, and shuts them down.

mod acceptor;
#[cfg(test)]
mod spec;

use crate::canvas::display::Display;
use crate::canvas::hasher::Hasher;
use crate::canvas::{Canvas, Journal};
use crate::clock::now;
use crate::displays::{self, DisplaySelector, Displays};
use crate::doors::native;
use crate::doors::{Door, pixelflut};
use crate::error::Error;
use crate::limits;
use crate::resources::admission::{Decision, Slot};
use crate::resources::budget::Budget;
use crate::resources::fairness::{Lane, Work};
use crate::transport::lingering_close::{self, SHUTDOWN_LINGER};
use crate::transport::peer_state::{self, Probe};
use crate::transport::socket;
use crate::window::{Event, Present, Windows};
use acceptor::{Acceptor, Incoming, allowed_connections, busy, report};
use draw_protocol::session::Nonce;
use draw_protocol::text::Printable;
use draw_protocol::text::count;
use draw_protocol::{DisplayName, Fault, server};
use futures::future::select_all;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{debug, error, info, warn};

/// How long a client without a place has to send its first message, and to read that the display is busy.
const TURNING_AWAY: Duration = Duration::from_secs(1);

/// How long connections have to end when the server shuts down: their lingering close, and a little for the scheduler.
const SHUTDOWN: Duration = SHUTDOWN_LINGER.saturating_add(Duration::from_millis(300));

/// The limits of a server. The defaults are those of [`limits`].
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections at a time. Further clients wait for a short time, and are then told that the display is busy.
    pub connections: usize,
    /// The memory of the buffers of all connections together, in bytes.
    pub memory: usize,
    /// The size of the largest message, in bytes.
    pub message: usize,
}

impl Default for ServerOptions {
    fn default() -> ServerOptions {
        ServerOptions { connections: limits::CONNECTIONS, memory: limits::MEMORY, message: limits::MESSAGE }
    }
}

/// Serves clients of one or several displays. Clones share the limits.
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
    /// The name that clients are told.
    name: &'static str,
    pub(crate) displays: Displays,
    options: ServerOptions,
    budget: Budget,
    pub(crate) lane: Lane,
    hasher: Hasher,
}

/// Serves clients of `listener` until `shutdown` is ready, with default limits: see [`Server::run`].
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
    /// Creates a server of `display`.
    pub fn new(display: Display, mut options: ServerOptions) -> Server {
        options.connections = options.connections.max(1);
        options.message = options.message.clamp(limits::FIRST_MESSAGE, limits::MESSAGE_HARDEST);
        let budget = Budget::new(options.memory, options.connections);
        let name = concat!("display-server ", env!("CARGO_PKG_VERSION"));
        let (lane, hasher) = (Lane::default(), Hasher::default());
        Server { name, displays: Displays::new(Canvas::new(display)), options, budget, lane, hasher }
    }

    /// Replaces the display by that of `journal`, which each drawing call is written to before it is drawn.
    #[must_use]
    pub fn journaled(mut self, journal: Journal) -> Server {
        self.displays.set_first(Canvas::journaled(journal));
        self
    }

    /// Adds a display that clients select by its name. Clients that name none get the display of [`Server::new`], which
    /// is named `main`.
    ///
    /// # Errors
    /// [`Error::Name`] if there is a display of that name, [`Error::Displays`] if there are too many.
    pub fn with_display(mut self, name: DisplayName, display: Display) -> Result<Server, Error> {
        self.displays.add(name, Canvas::new(display))?;
        Ok(self)
    }

    /// Adds the display of `journal`: see [`Server::with_display`].
    ///
    /// # Errors
    /// Those of [`Server::with_display`].
    pub fn with_journaled(mut self, name: DisplayName, journal: Journal) -> Result<Server, Error> {
        self.displays.add(name, Canvas::journaled(journal))?;
        Ok(self)
    }

    /// Returns the display of clients that name none.
    pub fn display(&self) -> &Display {
        self.displays.first().display()
    }

    /// Returns the journal of [`Server::display`], if it has one.
    pub fn journal(&self) -> Option<&Journal> {
        self.displays.first().canvas().journal()
    }

    /// Returns all displays with their names, `main` first.
    pub fn displays(&self) -> impl Iterator<Item = (&DisplayName, &Display)> {
        self.displays.all().map(|named| (named.name(), named.display()))
    }

    /// Returns the journals of all displays that have one.
    pub fn journals(&self) -> impl Iterator<Item = &Journal> {
        self.displays.journals()
    }

    /// Shows each display in as many windows as `each` says, and returns at once: see [`window::open`](crate::window::open).
    pub fn show(
        &self,
        each: u8,
        present: Present,
        address: SocketAddr,
        on_event: impl FnMut(Event) + Send + 'static,
    ) -> Option<Windows> {
        displays::show(&self.displays, each, present, address, on_event)
    }

    /// Serves clients of `listener` until `shutdown` is ready. Then it accepts no more clients, tells all clients that
    /// the display ends, and returns within two seconds, whatever the clients do.
    ///
    /// With a journal, it also returns when a sync fails: see [`Journal::failure`].
    ///
    /// # Errors
    /// If `listener` has no address. Errors of single clients, and of accepting clients, are logged.
    pub async fn run(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        self.run_doors(vec![(listener, Door::Native)], shutdown).await
    }

    /// Does what [`Server::run`] does for several listeners, each with its protocol. All of them share the limits.
    ///
    /// # Errors
    /// If a listener has no address.
    pub async fn run_doors(
        &self,
        listeners: Vec<(TcpListener, Door)>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        for (listener, door) in &listeners {
            let address = listener.local_addr()?;
            if !address.ip().is_loopback() {
                warn!(
                    "any program that can reach {address} can draw on this display and read its pixels; to allow only \
                     programs of this machine, listen on 127.0.0.1"
                );
            }
            #[cfg(any(target_os = "linux", target_os = "android"))]
            socket::send_unpaced(listener, address);
            let reached = if *door == Door::Native { usize::MAX } else { 1 };
            for (name, shown) in self.displays().take(reached) {
                let name = self.displays.are_several().then(|| name.as_str());
                info!(%address, ?door, display = name, size = %shown.size(), "serving");
            }
        }
        let (stop, stopped) = watch::channel(false);
        let mut acceptor = Acceptor::new(listeners, allowed_connections(self.options.connections));
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut failed = pin!(async {
            let failed = |journal: &Journal| {
                let journal = journal.clone();
                Box::pin(async move { (journal.failed().await, journal) })
            };
            let failures: Vec<_> = self.journals().map(failed).collect();
            if failures.is_empty() {
                return std::future::pending().await;
            }
            // Awaited outside the macro, which evaluates its arguments only if the event is logged.
            let ((failure, journal), ..) = select_all(failures).await;
            error!("the journal in {}: {failure}", journal.directory().display());
        });
        let reclaims = self.displays().map(|(_, display)| Box::pin(display.reclaim()));
        let mut reclaim = select_all(reclaims);
        loop {
            while let Some(next) = acceptor.next_step() {
                self.take_step(next, &mut acceptor, &mut connections, &stopped);
            }
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = &mut failed => break,
                Some(ended) = connections.join_next_with_id(), if !connections.is_empty() => acceptor.ended(ended),
                () = acceptor.wait() => {}
                (never, ..) = &mut reclaim => match never {},
            }
        }
        let end = || self.displays.end(None);
        for newcomer in acceptor.close() {
            self.refuse(&newcomer, end());
        }
        _ = stop.send(true);
        let all_ended = async {
            while let Some(ended) = connections.join_next().await {
                report(ended.err());
            }
        };
        if tokio::time::timeout(SHUTDOWN, all_ended).await.is_err() {
            let left = count(connections.len() as u64, "connection");
            warn!("closed {left} that did not finish within {SHUTDOWN:?}");
        }
        info!("stopped serving");
        // Dropping the set aborts the remaining tasks, without waiting for them.
        Ok(())
    }

    /// Serves one client over any stream, until either side ends the connection or `shutdown` is ready. `peer` names
    /// the client in the log. The connection does not count towards the limit of connections.
    pub async fn serve<S>(&self, stream: S, peer: &str, shutdown: impl Future<Output = ()>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let slot = Slot::new(now());
        let machine = || self.machine();
        self.serve_with(peer_state::unprobed(stream), peer, (machine, nonce()), &slot, shutdown).await;
    }

    /// Returns the state machine of a new connection, whose first message selects its display.
    pub(crate) fn machine(&self) -> server::Connection {
        server::Connection::open(self.options.message, now())
    }

    /// Does what [`Server::serve`] does, with the state machine that `machine` creates, and with a nonce that confirms
    /// its sessions, which is random except in tests. An argument of an `async fn` occupies its future twice for the
    /// whole connection, so the machine is created inside, and this method returns the future itself.
    pub(crate) fn serve_with<'a, S>(
        &'a self,
        stream: (S, Probe<S>),
        peer: &'a str,
        (machine, nonce): (impl FnOnce() -> server::Connection + 'a, Option<Nonce>),
        slot: &'a Slot,
        shutdown: impl Future<Output = ()> + 'a,
    ) -> impl Future<Output = ()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'a,
    {
        let means = (self.budget.share(), Work::new(&self.lane, slot.peer(), now()), &self.hasher, slot);
        let (displays, server, message) = (&self.displays, self.name, self.options.message);
        let selector = DisplaySelector { displays, server, message, nonce };
        native::serve(stream, peer, machine, selector, means, shutdown)
    }

    fn take_step(
        &self,
        next: Decision<Incoming>,
        acceptor: &mut Acceptor,
        connections: &mut JoinSet<()>,
        stopped: &watch::Receiver<bool>,
    ) {
        let (server, mut stopped) = (self.clone(), stopped.clone());
        let stopped = async move { _ = stopped.wait_for(|&is_stopped| is_stopped).await };
        match next {
            Decision::Admit((stream, address, door), peer) => {
                let slot = Arc::new(Slot::of(peer, now()));
                let own = slot.clone();
                let task = connections.spawn(async move {
                    socket::set_up(&stream, address);
                    let address = address.to_string();
                    match door {
                        Door::Native => {
                            let stream = peer_state::probed(stream);
                            let machine = (|| server.machine(), nonce());
                            server.serve_with(stream, &address, machine, &own, stopped).await;
                        }
                        Door::Pixelflut => {
                            let work = Work::new(&server.lane, own.peer(), now());
                            let means = (server.budget.share(), work, &*own);
                            let canvas = server.displays.first().canvas();
                            pixelflut::serve(stream, &address, canvas, means, stopped).await;
                        }
                    }
                });
                acceptor.admission.occupy(task, slot, now());
            }
            Decision::TurnAway((stream, peer, Door::Native))
                if acceptor.turned_away.len() < limits::WAITING =>
            {
                let busy = busy(acceptor.connections);
                let task = connections.spawn(async move {
                    let (peer, slot) = (peer.to_string(), Slot::new(now()));
                    let machine = (|| server.machine().refusing(busy), nonce());
                    let stream = peer_state::probed(stream);
                    let telling = server.serve_with(stream, &peer, machine, &slot, stopped);
                    _ = tokio::time::timeout(TURNING_AWAY, telling).await;
                });
                acceptor.turned_away.insert(task.id());
            }
            Decision::TurnAway(newcomer) => self.refuse(&newcomer, busy(acceptor.connections)),
            Decision::Drop(_) => {}
        }
    }

    /// Sends `fault` to a client that is not served, and closes, without waiting.
    fn refuse(&self, (stream, peer, door): &Incoming, fault: Fault) {
        if *door == Door::Pixelflut {
            return pixelflut::refuse(stream, peer, self.display(), &fault);
        }
        let mut machine = self.machine().refusing(fault);
        let told = lingering_close::refuse_now(stream, &mut machine);
        let counters = self.display().counters();
        counters.accepted.fetch_add(1, Relaxed);
        if let Some(fault) = machine.closing() {
            counters.closed_for_fault.fetch_add(1, Relaxed);
            info!(%peer, code = fault.code.as_str(), "closing the connection: {}", Printable(&fault.message));
        }
        if let Err(error) = told {
            debug!(%peer, "cannot notify a client that was turned away: {error}");
        }
    }
}

/// Returns a nonce for a connection. `None` if the system gives no random bytes; sessions work without it.
fn nonce() -> Option<Nonce> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).ok()?;
    Some(Nonce::new(u64::from_ne_bytes(random)))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use draw_protocol::{Color, Size};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_digest_that_cannot_be_computed_is_answered_with_an_error() {
        let display = Display::new(Size { width: 8, height: 8 }, Color::BLACK).expect("it is small");
        let server = Server { hasher: Hasher::broken(), ..Server::new(display, ServerOptions::default()) };
        let (mut client, theirs) = tokio::io::duplex(1 << 10);
        let served =
            tokio::spawn(async move { server.serve(theirs, "a test", std::future::pending()).await });
        // [0, 5, "get_digest", [0, 0, 8, 8]], and [0, 6, "sync", []].
        let ask = b"\x94\x00\x05\xaaget_digest\x94\x00\x00\x08\x08\x94\x00\x06\xa4sync\x90";
        client.write_all(ask).await.expect("it is read");
        client.shutdown().await.expect("it is open");
        let mut heard = Vec::new();
        let hearing = tokio::time::timeout(Duration::from_secs(20), client.read_to_end(&mut heard));
        hearing.await.expect("the question is answered").expect("it is open");
        let text = heard.escape_ascii().to_string();
        assert!(text.contains("answer_lost: the digest could not be computed"), "{text}");
        assert!(heard.ends_with(b"\x94\x01\x06\xc0\xc0"), "{text}");
        served.await.expect("the connection has ended");
    }
}
