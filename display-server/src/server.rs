//! Lets clients in, and sees them out.

use crate::admission::{Admission, LOOK, Next, Pace, Seat};
use crate::budget::Budget;
use crate::clock::now;
use crate::connection::{self, LAST_FAREWELL, Look};
use crate::display::Display;
use crate::fairness::{Lane, Work};
use crate::farewell;
use crate::hasher::Hasher;
use crate::journal::Journal;
use draw_protocol::session::Nonce;
use draw_protocol::text::Printable;
use draw_protocol::{Code, Fault, limits, server};
use socket2::{SockRef, TcpKeepalive};
use std::collections::HashSet;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
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

/// Bytes that the system takes of a connection beyond what is on its way. Of 300 clients that read nothing it would take 1.2 GiB, and
/// above 1.5 GiB, on a machine of 24, it slows down every connection.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 256 << 10;

/// How long one that is told that there is no place has to say what it wants, and to hear that.
const TURNING_AWAY: Duration = Duration::from_secs(1);

/// How long connections have to end when the server does: their farewell and a little for the scheduler.
const SHUTDOWN: Duration = LAST_FAREWELL.saturating_add(Duration::from_millis(300));

/// What a server allows its clients. The default is what [`limits`] says.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections at a time. Further clients wait for a moment, and are told that the display is busy.
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
    pub(crate) lane: Lane,
    hasher: Hasher,
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
        options.connections = options.connections.max(1);
        options.message = options.message.clamp(limits::FIRST_MESSAGE, limits::MESSAGE_HARDEST);
        let budget = Budget::new(options.memory, options.connections);
        let name = concat!("display-server ", env!("CARGO_PKG_VERSION"));
        let (lane, hasher) = (Lane::default(), Hasher::default());
        Server { name, display, journal: None, options, budget, lane, hasher }
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
        let mut reclaim = pin!(self.display.reclaim());
        info!(%address, size = %self.display.size(), "serving");
        loop {
            while let Some(next) = entrance.next_step() {
                self.take_step(next, &mut entrance, &mut connections, &stopped);
            }
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = &mut failed => break,
                Some(ended) = connections.join_next_with_id(), if !connections.is_empty() => entrance.ended(ended),
                () = entrance.wait() => {}
                never = &mut reclaim => match never {},
            }
        }
        let end = || match self.journal.as_ref().and_then(Journal::failure) {
            Some(failure) => Fault::new(Code::ShuttingDown, &*failure),
            None => self.display.end(),
        };
        for newcomer in entrance.close() {
            self.refuse(&newcomer, end());
        }
        _ = stop.send(true);
        let all_ended = async {
            while let Some(ended) = connections.join_next().await {
                report(ended.err());
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
        let seat = Seat::new(now());
        let machine = || self.machine(nonce());
        self.serve_with(connection::plain(stream), peer, machine, &seat, shutdown).await;
    }

    /// The machine of a connection, whose sessions are confirmed with `nonce`: random, but for a test that knows it.
    pub(crate) fn machine(&self, nonce: Option<Nonce>) -> server::Connection {
        let config = server::Config {
            server: self.name.to_owned(),
            size: self.display.size(),
            message: self.options.message,
            instance: Some(self.display.sessions().instance()),
            has_journal: self.journal.is_some(),
            nonce,
        };
        server::Connection::new(config, now())
    }

    /// As [`Server::serve`], with the state machine that `machine` makes. An argument of an `async fn` takes its room twice, for as long
    /// as the connection lasts: so that is made where it stays, and this returns the future itself.
    pub(crate) fn serve_with<'a, S>(
        &'a self,
        stream: (S, Look<S>),
        peer: &'a str,
        machine: impl FnOnce() -> server::Connection + 'a,
        seat: &'a Seat,
        shutdown: impl Future<Output = ()> + 'a,
    ) -> impl Future<Output = ()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'a,
    {
        let means = (self.budget.share(), Work::new(&self.lane, seat.peer(), now()), &self.hasher, seat);
        connection::serve(stream, peer, machine, (&self.display, self.journal.as_ref()), means, shutdown)
    }

    fn take_step(
        &self,
        next: Next<Newcomer>,
        entrance: &mut Entrance,
        connections: &mut JoinSet<()>,
        stopped: &watch::Receiver<bool>,
    ) {
        let (server, mut stopped) = (self.clone(), stopped.clone());
        let stopped = async move { _ = stopped.wait_for(|&is_stopped| is_stopped).await };
        match next {
            Next::Admit((stream, address), peer) => {
                let seat = Arc::new(Seat::of(peer, now()));
                let own = seat.clone();
                let task = connections.spawn(async move {
                    set_up(&stream, address);
                    let stream = connection::socket(stream);
                    let machine = || server.machine(nonce());
                    server.serve_with(stream, &address.to_string(), machine, &own, stopped).await;
                });
                entrance.admission.seat(task, seat, now());
            }
            Next::TurnAway((stream, peer)) if entrance.turned_away.len() < limits::WAITING => {
                let busy = busy(entrance.connections);
                let task = connections.spawn(async move {
                    let (peer, seat) = (peer.to_string(), Seat::new(now()));
                    let machine = || server.machine(nonce()).refusing(busy);
                    let stream = connection::socket(stream);
                    let telling = server.serve_with(stream, &peer, machine, &seat, stopped);
                    _ = tokio::time::timeout(TURNING_AWAY, telling).await;
                });
                entrance.turned_away.insert(task.id());
            }
            Next::TurnAway(newcomer) => self.refuse(&newcomer, busy(entrance.connections)),
            Next::Drop(_) => {}
        }
    }

    /// Tells a client that has no connection `fault`, and closes, without waiting.
    fn refuse(&self, (stream, peer): &Newcomer, fault: Fault) {
        let mut machine = self.machine(nonce()).refusing(fault);
        let told = farewell::at_once(stream, &mut machine);
        let counters = self.display.counters();
        counters.accepted.fetch_add(1, Relaxed);
        if let Some(fault) = machine.closing() {
            counters.closed_for_fault.fetch_add(1, Relaxed);
            info!(%peer, code = fault.code.as_str(), "closing the connection: {}", Printable(&fault.message));
        }
        if let Err(error) = told {
            debug!(%peer, "a client that has no place was not told: {error}");
        }
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

/// One that has come.
type Newcomer = (TcpStream, SocketAddr);

/// Where clients come in.
struct Entrance {
    listener: TcpListener,
    connections: usize,
    admission: Admission<Newcomer>,
    /// Those that are being told that there is no place.
    turned_away: HashSet<Id>,
    pace: Pace,
    /// The current pause after errors, and until when it lasts.
    back_off: Duration,
    pause: Option<Instant>,
    is_full: bool,
}

impl Entrance {
    fn new(listener: TcpListener, connections: usize) -> Entrance {
        Entrance {
            listener,
            connections,
            admission: Admission::new(connections, now()),
            turned_away: HashSet::new(),
            pace: Pace::new(now()),
            back_off: BACK_OFF,
            pause: None,
            is_full: false,
        }
    }

    /// What is to be done for those that have come.
    fn next_step(&mut self) -> Option<Next<Newcomer>> {
        let is_full = self.admission.is_full();
        if is_full && !self.is_full && self.admission.has_waiting() {
            warn!("{} connections are open, which is the limit: the next client waits", self.connections);
        }
        self.is_full = is_full && (self.is_full || self.admission.has_waiting());
        self.admission.next(now(), |(stream, _)| has_spoken(stream))
    }

    /// Waits for one more to come, or for a moment while somebody waits. The future may be dropped and made again; nothing is lost.
    async fn wait(&mut self) {
        if self.admission.has_waiting() {
            _ = tokio::time::timeout(LOOK, self.come()).await;
        } else {
            self.come().await;
        }
    }

    async fn come(&mut self) {
        if !self.admission.has_room_to_wait() {
            // Until there is.
            return std::future::pending().await;
        }
        if let Some(until) = self.pause {
            tokio::time::sleep_until(until).await;
            self.pause = None;
        }
        match self.listener.accept().await {
            Ok((stream, peer)) => {
                self.back_off = BACK_OFF;
                self.admission.come((stream, peer), peer.ip().into(), now());
                if let Err(until) = self.pace.take(now()) {
                    self.pause = Some(until.into());
                }
            }
            Err(error) => {
                warn!("accepting a client failed, next try in {:?}: {error}", self.back_off);
                self.pause = Some(Instant::now() + self.back_off);
                self.back_off = (2 * self.back_off).min(LONGEST_BACK_OFF);
            }
        }
    }

    /// Closes the listener. Returns the clients that wait for a place.
    fn close(self) -> impl Iterator<Item = Newcomer> {
        self.admission.into_waiting()
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        self.turned_away.remove(&id);
        self.admission.free(id);
        report(ended.err());
    }
}

/// Whether a client has sent anything. A client that has only ended takes no place from another.
fn has_spoken(stream: &TcpStream) -> bool {
    SockRef::from(stream).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0)
}

fn busy(connections: usize) -> Fault {
    let text = format!(
        "{connections} connections are open, the most that this display takes, and none of them ended within {} s: try again later",
        limits::WAITING_TIME.as_secs()
    );
    Fault::new(Code::Busy, text)
}

/// Any of it is better than no client.
fn set_up(stream: &TcpStream, peer: SocketAddr) {
    let socket = SockRef::from(stream);
    // An answer is a small packet that somebody waits for.
    if let Err(error) = socket.set_tcp_nodelay(true) {
        debug!(%peer, "no TCP_NODELAY: {error}");
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket.set_tcp_notsent_lowat(UNSENT) {
        debug!(%peer, "no TCP_NOTSENT_LOWAT: {error}");
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
    let beside = limits::SPARE_DESCRIPTORS + 2 * limits::WAITING as u64;
    let allowed = descriptors.saturating_sub(beside).max(1);
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    if allowed < wanted {
        info!(
            "serving at most {allowed} connections at a time instead of {wanted}, because this process may open \
             {descriptors} files: raise that with `ulimit -n`"
        );
    }
    wanted.min(allowed)
}

fn report(failure: Option<JoinError>) {
    // One that has given its place to another was cancelled.
    if let Some(failure) = failure.filter(|failure| !failure.is_cancelled()) {
        error!("serving a connection failed, and the connection was cut: {failure}");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use draw_protocol::{Color, Size};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_client_that_vanishes_will_be_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).await;
        client.expect("it listens");
        let (stream, peer) = listener.accept().await.expect("one has come");
        set_up(&stream, peer);
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().expect("an option") && socket.keepalive().expect("an option"));
        let (time, interval) = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval());
        let retries = socket.tcp_keepalive_retries().expect("an option");
        assert_eq!(time.expect("an option") + retries * interval.expect("an option"), VANISHED);
        assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(VANISHED));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_takes_little_for_a_client_that_does_not_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let client = TcpStream::connect(address).await.expect("it listens");
        SockRef::from(&client).set_recv_buffer_size(64 << 10).expect("an option");
        let (stream, peer) = listener.accept().await.expect("one has come");
        set_up(&stream, peer);
        let (mut taken, some) = (0, vec![0; 64 << 10]);
        // Once it takes nothing for a while, all of it is on the way or waits.
        while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), stream.writable()).await {
            written.expect("it is open");
            match stream.try_write(&some) {
                Ok(more) => taken += more,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
            assert!(taken < 2 << 20, "{taken} bytes, and it takes more");
        }
        assert!(taken > 0);
    }

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

    #[tokio::test]
    async fn only_within_a_machine_are_connections_unpaced() {
        let is_unpaced = async |address: &str| {
            let listener = TcpListener::bind((address, 0)).await.expect("a port");
            let port = listener.local_addr().expect("an address").port();
            let usual = SockRef::from(&listener).tcp_congestion().expect("an option");
            send_unpaced(&listener, (listener.local_addr()).expect("an address"));
            let client = TcpStream::connect(("127.0.0.1", port)).await;
            client.expect("it listens");
            let (stream, _) = listener.accept().await.expect("one has come");
            let used = SockRef::from(&stream).tcp_congestion().expect("an option");
            // The name has a fixed size, and zeros behind it.
            (used.starts_with(b"reno\0"), used == usual)
        };
        assert!(is_unpaced("127.0.0.1").await.0);
        assert!(is_unpaced("0.0.0.0").await.1, "what comes from elsewhere is left to the system");
    }
}
