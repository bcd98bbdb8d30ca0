//! A distant network within the process: a TCP relay that delays every byte.

#[cfg(test)]
mod tests;

use draw_protocol::trace::Direction;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// The longest round trip. Radio to Mars takes 45 minutes at most.
pub const LONGEST: Duration = Duration::from_secs(3_600);

/// Bytes in transit in one direction of one connection before the sender has to wait. Twice what a drawing client may
/// have unanswered (8 MiB), so that the line never limits it; at 25 ms one way it allows 670 MB/s.
const UNDER_WAY: usize = 16 << 20;

/// The cost of a chunk besides its bytes (its place in the queue and its allocation), so that a flood of tiny chunks is
/// bounded too.
const CHUNK: usize = 64;

/// Bytes read at once: the size at which system calls no longer dominate.
const READ: usize = 64 << 10;

/// The longest time that the bytes of one read may take on a line with a rate: the granularity of tokio's timers, so
/// that the first byte is not delayed until the last.
const PIECE: Duration = Duration::from_millis(1);

/// The pause after a connection could not be accepted, for instance for lack of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A point on a line where bytes are observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The line has taken them from their sender.
    Sent,
    /// The line is about to deliver them: the receiver cannot have answered them yet.
    Arrived,
}

/// Observes the bytes of a [`DelayLine`], on the line's own thread: a slow observer delays the line.
pub trait Tap: Send + Sync + 'static {
    /// Reports `bytes` of a connection at `point`. Connections are numbered from 0 in the order in which they are
    /// accepted.
    fn pass(&self, connection: u64, direction: Direction, point: Point, bytes: &[u8]);
}

/// A relay on its own thread between clients and one server that adds half a round trip to every byte, each way.
///
/// Bytes keep their order and are not limited in rate, unless a rate is given: all bytes sent at one moment arrive
/// together, half a round trip later, as they would over a long fast line. Up to 16 MiB are in transit in each
/// direction of a connection; then the sender waits. The end of a stream is delayed like its bytes, so one direction
/// may end before the other; a connection that breaks on one side is closed on the other. A server that refuses appears
/// as a connection that is closed at once.
///
/// The delay is never shorter than given. It may be longer by up to 1 ms each way, the granularity of tokio's timers: a
/// round trip below 2 ms is imitated badly. Connecting itself is not delayed.
///
/// The relay ends, with every connection, when it is dropped.
///
/// ```
/// # use std::io::{Read, Write};
/// # use std::net::{TcpListener, TcpStream};
/// use draw_examples::DelayLine;
/// use std::time::{Duration, Instant};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let far_away = DelayLine::start(server.local_addr()?, Duration::from_millis(20))?;
/// let mut client = TcpStream::connect(far_away.address())?;
///
/// let (mut served, _) = server.accept()?;
/// let sent = Instant::now();
/// client.write_all(b"hello")?;
/// let mut greeting = [0; 5];
/// served.read_exact(&mut greeting)?;
/// assert_eq!(&greeting, b"hello");
/// assert!(sent.elapsed() >= Duration::from_millis(10));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct DelayLine {
    address: SocketAddr,
    /// Taken by `drop`. The thread ends when it is dropped.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl DelayLine {
    /// Listens on a free port of 127.0.0.1 and relays each connection to `target`.
    ///
    /// # Errors
    /// The system's error if there is no port, thread or poller; [`io::ErrorKind::InvalidInput`] for a round trip above
    /// [`LONGEST`].
    pub fn start(target: SocketAddr, rtt: Duration) -> io::Result<DelayLine> {
        DelayLine::start_line(Line { target, path: Path::new(rtt, None), tap: None })
    }

    /// Does the same, and calls `tap` with every byte, when it was sent and when it arrives. The round trip may be
    /// zero.
    ///
    /// # Errors
    /// See [`DelayLine::start`].
    pub fn start_tapped(target: SocketAddr, rtt: Duration, tap: Arc<dyn Tap>) -> io::Result<DelayLine> {
        DelayLine::start_line(Line { target, path: Path::new(rtt, None), tap: Some(tap) })
    }

    /// Does the same over a line that carries this many bits a second, in each direction of each connection: bytes
    /// leave one after the other.
    ///
    /// # Errors
    /// See [`DelayLine::start`]; [`io::ErrorKind::InvalidInput`] also for a rate of zero.
    pub fn start_limited(target: SocketAddr, rtt: Duration, bits_per_second: u64) -> io::Result<DelayLine> {
        if bits_per_second == 0 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a line without any rate carries nothing",
            ));
        }
        DelayLine::start_line(Line { target, path: Path::new(rtt, Some(bits_per_second)), tap: None })
    }

    fn start_line(line: Line) -> io::Result<DelayLine> {
        let rtt = line.path.delay.saturating_mul(2);
        if rtt > LONGEST {
            let says = format!("a round trip of {rtt:?} was asked for; at most {LONGEST:?} is possible");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, says));
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        // The runtime is created on the thread that owns it: callers may be async or not, and may block.
        let (started, has_started) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("delay-line".into()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(error))),
            };
            runtime.block_on(async {
                let listener = match TcpListener::from_std(listener) {
                    Ok(listener) => listener,
                    Err(error) => return drop(started.send(Err(error))),
                };
                // The receiver is dropped only with the caller; then `stop` is dropped as well.
                drop(started.send(Ok(())));
                tokio::select! {
                    _ = stopped => {}
                    never = accept(&listener, &line) => match never {},
                }
            });
        })?;
        let line = DelayLine { address, stop: Some(stop), thread: Some(thread) };
        has_started.recv().map_err(|_| io::Error::other("the thread of the delay line ended"))??;
        Ok(line)
    }

    /// Returns the address that clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DelayLine {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // This is an error only if the thread panicked, which has printed the panic.
            drop(thread.join());
        }
    }
}

async fn accept(listener: &TcpListener, line: &Line) -> std::convert::Infallible {
    let mut connections = JoinSet::new();
    let mut numbers = 0..;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(relay(client, line.clone(), numbers.next().unwrap_or(u64::MAX)));
                }
                Err(_) => sleep(BACK_OFF).await,
            },
            // Removes connections that ended; both sides have received their errors.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(mut client: TcpStream, line: Line, number: u64) -> io::Result<()> {
    let mut server = TcpStream::connect(line.target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let tap = |direction| {
        let tap = line.tap.as_deref();
        move |point, bytes: &[u8]| {
            if let Some(tap) = tap {
                tap.pass(number, direction, point, bytes);
            }
        }
    };
    tokio::try_join!(
        carry(from_client, to_server, line.path, tap(Direction::ToDisplay)),
        carry(from_server, to_client, line.path, tap(Direction::ToClient)),
    )?;
    Ok(())
}

/// The target of a line and its properties.
#[derive(Clone)]
struct Line {
    target: SocketAddr,
    path: Path,
    tap: Option<Arc<dyn Tap>>,
}

/// One direction of the line.
#[derive(Debug, Clone, Copy)]
struct Path {
    delay: Duration,
    /// Bits per second, if it has a limit.
    rate: Option<u64>,
}

impl Path {
    fn new(rtt: Duration, rate: Option<u64>) -> Path {
        Path { delay: rtt / 2, rate }
    }

    /// Returns the time that this number of bytes takes to leave.
    fn takes(self, bytes: usize) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(8.0 * bytes as f64 / rate as f64))
    }

    /// Returns the number of bytes that may be taken as one piece.
    fn most_at_once(self) -> usize {
        let within = |rate: u64| (rate as f64 / 8.0 * PIECE.as_secs_f64()) as usize;
        self.rate.map_or(READ, |rate| within(rate).clamp(1, READ))
    }
}

/// Data in transit, and the time when it is due.
struct Due {
    at: Instant,
    what: io::Result<Vec<u8>>,
}

/// Carries one direction to its end. An error is one of the sender's side: it ends the whole connection.
///
/// When the receiver's side breaks, nothing more is carried but the connection stays: the last bytes of the receiver,
/// which may be in transit in the other direction, are delivered first, and then that direction ends the connection.
async fn carry(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    path: Path,
    tap: impl Fn(Point, &[u8]),
) -> io::Result<()> {
    let tap = &tap;
    // The channel itself is unbounded; `room` bounds it, in bytes.
    let (line, mut arriving) = mpsc::unbounded_channel();
    let room = Semaphore::new(UNDER_WAY);
    let room = &room;

    let collect = async move {
        let mut buffer = vec![0; path.most_at_once()];
        // The time when the last byte so far has left.
        let mut free = Instant::now();
        loop {
            let what = from.read(&mut buffer).await.map(|n| buffer[..n].to_vec());
            if let Ok(bytes) = &what {
                tap(Point::Sent, bytes);
            }
            free = free.max(Instant::now()) + path.takes(what.as_ref().map_or(0, Vec::len));
            let at = free + path.delay;
            let is_last = what.as_ref().map_or(true, Vec::is_empty);
            let cost = what.as_ref().map_or(0, Vec::len) + CHUNK;
            // Both fail only when the other half of this function has ended.
            let Ok(permit) = room.acquire_many(cost as u32).await else { return };
            permit.forget();
            if line.send(Due { at, what }).is_err() || is_last {
                return;
            }
        }
    };

    let deliver = async move {
        while let Some(Due { at, what }) = arriving.recv().await {
            if Instant::now() < at {
                sleep_until(at).await;
            }
            let bytes = what?;
            tap(Point::Arrived, &bytes);
            let done = if bytes.is_empty() { to.shutdown().await } else { to.write_all(&bytes).await };
            if done.is_err() || bytes.is_empty() {
                break;
            }
            room.add_permits(bytes.len() + CHUNK);
        }
        Ok(())
    };

    tokio::pin!(deliver);
    tokio::select! {
        ended = &mut deliver => return ended,
        () = collect => {}
    }
    deliver.await
}
