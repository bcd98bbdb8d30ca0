//! A network that is far away, in the same process: a TCP relay that holds back every byte.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// The longest round trip that can be asked for. Radio to Mars takes 45 minutes at most.
pub const LONGEST: Duration = Duration::from_secs(3_600);

/// Bytes under way in one direction of one connection before the sender is held back. Twice what a drawing client may
/// have unanswered (8 MiB), so that the line holds back none; at 25 ms one way it lets 670 MB/s pass.
const UNDER_WAY: usize = 16 << 20;

/// What a chunk costs beside its bytes (its place in the queue and its allocation), so that a flood of tiny ones is bounded too.
const CHUNK: usize = 64;

/// Bytes read at once: the size at which system calls no longer dominate.
const READ: usize = 64 << 10;

/// How much time the bytes that are read at once may take on a line with a rate: the granularity of tokio's timers, so
/// that the first of them is not kept for the last.
const PIECE: Duration = Duration::from_millis(1);

/// How long to wait when no connection can be accepted, for instance for want of file descriptors.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A relay on its own thread between clients and one server that puts half a round trip on every byte, each way.
///
/// Bytes keep their order and are not limited in rate, unless that is asked for: all that was sent at one moment arrives
/// together, half a round trip later, as it would over a long fast line. Up to 16 MiB are under way in each direction of a connection;
/// beyond it the sender is held back. The end of a stream travels as its bytes do, so one direction may end
/// while the other goes on; a connection that breaks on one side is closed on the other. A server that refuses shows as
/// a connection that is closed at once.
///
/// The delay is never shorter than asked. It may be longer by up to 1 ms each way, the granularity of tokio's timers:
/// a round trip below 2 ms is not imitated well. Connecting itself is not delayed.
///
/// It ends, with every connection, when it is dropped.
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
    /// Taken by drop; its end is what the thread waits for.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl DelayLine {
    /// Listens on a free port of 127.0.0.1 and relays each connection to `target`.
    ///
    /// # Errors
    /// What the system says when there is no port, thread or poller to be had; [`io::ErrorKind::InvalidInput`] for a
    /// round trip above [`LONGEST`].
    pub fn start(target: SocketAddr, rtt: Duration) -> io::Result<DelayLine> {
        DelayLine::start_path(target, rtt, None)
    }

    /// The same over a line that carries so many bits a second, in each direction of each connection: bytes leave one
    /// after the other, and wait for those before them.
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
        DelayLine::start_path(target, rtt, Some(bits_per_second))
    }

    fn start_path(target: SocketAddr, rtt: Duration, rate: Option<u64>) -> io::Result<DelayLine> {
        let path = Path { delay: rtt / 2, rate };
        if rtt > LONGEST {
            let says = format!("a round trip of {rtt:?} was asked for; at most {LONGEST:?} is possible");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, says));
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        // A runtime of its own, made on the thread that owns it: callers may be async or not, and may block.
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
                // Nobody waits for it only if the caller is gone; then `stop` is gone as well.
                drop(started.send(Ok(())));
                tokio::select! {
                    _ = stopped => {}
                    never = accept(&listener, target, path) => match never {},
                }
            });
        })?;
        let line = DelayLine { address, stop: Some(stop), thread: Some(thread) };
        has_started.recv().map_err(|_| io::Error::other("the thread of the delay line ended"))??;
        Ok(line)
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for DelayLine {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It would be an error only if the thread had panicked, which has said so itself.
            drop(thread.join());
        }
    }
}

async fn accept(listener: &TcpListener, target: SocketAddr, path: Path) -> std::convert::Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    connections.spawn(relay(client, target, path));
                }
                Err(_) => sleep(BACK_OFF).await,
            },
            // Forgets those that ended; their errors have been told to both sides.
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn relay(mut client: TcpStream, target: SocketAddr, path: Path) -> io::Result<()> {
    let mut server = TcpStream::connect(target).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(carry(from_client, to_server, path), carry(from_server, to_client, path))?;
    Ok(())
}

/// One direction of the line.
#[derive(Debug, Clone, Copy)]
struct Path {
    delay: Duration,
    /// Bits a second, if it has a limit.
    rate: Option<u64>,
}

impl Path {
    /// How long so many bytes take to leave.
    fn takes(self, bytes: usize) -> Duration {
        self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(8.0 * bytes as f64 / rate as f64))
    }

    /// Bytes that may be taken for one piece.
    fn most_at_once(self) -> usize {
        let within = |rate: u64| (rate as f64 / 8.0 * PIECE.as_secs_f64()) as usize;
        self.rate.map_or(READ, |rate| within(rate).clamp(1, READ))
    }
}

/// What travels, and when it is due.
struct Due {
    at: Instant,
    what: io::Result<Vec<u8>>,
}

/// Carries one direction to its end. An error is that of the sender's side: it ends the whole connection.
///
/// When the receiver's side breaks, nothing more is carried but the connection stays: the receiver's last words, which
/// may be under way in the other direction, are delivered first, and then that direction ends it.
async fn carry(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, path: Path) -> io::Result<()> {
    // Unbounded as far as the channel knows; `room` is what bounds it, in bytes.
    let (line, mut arriving) = mpsc::unbounded_channel();
    let room = Semaphore::new(UNDER_WAY);
    let room = &room;

    let collect = async move {
        let mut buffer = vec![0; path.most_at_once()];
        // When the last byte so far has left.
        let mut free = Instant::now();
        loop {
            let what = from.read(&mut buffer).await.map(|n| buffer[..n].to_vec());
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::Instant;

    /// Fails a test that hangs; nothing here takes a tenth of it.
    const HANGS: Duration = Duration::from_secs(30);

    fn patient(stream: TcpStream) -> TcpStream {
        stream.set_read_timeout(Some(HANGS)).unwrap();
        stream.set_write_timeout(Some(HANGS)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A delay line, and both ends of one connection through it.
    fn connected(rtt: Duration) -> (DelayLine, TcpStream, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let line = DelayLine::start(server.local_addr().unwrap(), rtt).unwrap();
        let client = TcpStream::connect(line.address()).unwrap();
        (line, patient(client), patient(server.accept().unwrap().0))
    }

    /// Bytes that show when two of them change places.
    fn pattern(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            // Numerical Recipes' generator.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn a_ping_takes_a_round_trip_however_its_bytes_are_split() {
        let rtt = Duration::from_millis(20);
        let (_line, mut client, mut server) = connected(rtt);
        let bytes = pattern(1_000);
        let echo = thread::spawn(move || {
            let mut buffer = [0; 333];
            loop {
                match server.read(&mut buffer).unwrap() {
                    0 => return,
                    n => server.write_all(&buffer[..n]).unwrap(),
                }
            }
        });
        for size in [1_000, 999, 500, 100, 7, 1] {
            let sent = Instant::now();
            for piece in bytes.chunks(size) {
                client.write_all(piece).unwrap();
            }
            let mut back = vec![0; bytes.len()];
            client.read_exact(&mut back[..1]).unwrap();
            assert!(sent.elapsed() >= rtt, "pieces of {size}: back after {:?}", sent.elapsed());
            client.read_exact(&mut back[1..]).unwrap();
            assert_eq!(back, bytes);
        }
        client.shutdown(Shutdown::Write).unwrap();
        echo.join().unwrap();
    }

    #[test]
    fn each_way_takes_half() {
        let (_line, client, server) = connected(Duration::from_millis(40));
        for (mut from, mut to) in [(&client, &server), (&server, &client)] {
            let sent = Instant::now();
            from.write_all(b"x").unwrap();
            to.read_exact(&mut [0]).unwrap();
            assert!(sent.elapsed() >= Duration::from_millis(20));
        }
    }

    #[test]
    fn eight_mebibytes_each_way_arrive_in_order() {
        let (_line, client, mut server) = connected(Duration::from_millis(10));
        let bytes = pattern(8 << 20);
        let expected = bytes.clone();
        thread::scope(|scope| {
            let mut sender = client.try_clone().unwrap();
            scope.spawn(move || {
                sender.write_all(&bytes).unwrap();
                sender.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                let mut all = Vec::new();
                server.read_to_end(&mut all).unwrap();
                server.write_all(&all).unwrap();
            });
            let mut back = Vec::new();
            (&client).read_to_end(&mut back).unwrap();
            assert!(back == expected, "{} bytes came back", back.len());
        });
    }

    #[test]
    fn a_line_with_a_rate_takes_its_time_each_way_and_no_longer() {
        // 250 kB at 10 Mbit/s: 200 ms, and half a round trip of 40 ms.
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let rtt = Duration::from_millis(40);
        let line = DelayLine::start_limited(server.local_addr().unwrap(), rtt, 10_000_000).unwrap();
        let client = patient(TcpStream::connect(line.address()).unwrap());
        let server = patient(server.accept().unwrap().0);
        let bytes = pattern(250_000);
        for (mut from, mut to) in [(&client, &server), (&server, &client)] {
            thread::scope(|scope| {
                let began = Instant::now();
                scope.spawn(|| from.write_all(&bytes).unwrap());
                let mut arrived = vec![0; bytes.len()];
                to.read_exact(&mut arrived[..1]).unwrap();
                // Bytes do not wait for those behind them; the bound is for a machine that does other things as well.
                assert!(began.elapsed() < Duration::from_millis(150), "first after {:?}", began.elapsed());
                to.read_exact(&mut arrived[1..]).unwrap();
                assert!(began.elapsed() >= Duration::from_millis(219), "all after {:?}", began.elapsed());
                assert!(arrived == bytes);
            });
        }
        let error = DelayLine::start_limited(line.address(), rtt, 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn an_end_travels_like_a_byte_and_ends_one_direction_only() {
        let rtt = Duration::from_millis(30);
        let (_line, mut client, mut server) = connected(rtt);
        let ended = Instant::now();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        assert!(ended.elapsed() >= rtt / 2);
        server.write_all(b"and yet it answers").unwrap();
        drop(server);
        let mut last = String::new();
        client.read_to_string(&mut last).unwrap();
        assert_eq!(last, "and yet it answers");
        assert!(ended.elapsed() >= rtt);
    }

    #[test]
    fn last_words_arrive_although_nobody_listens_any_more() {
        let (_line, mut client, mut server) = connected(Duration::from_millis(30));
        server.write_all(b"goodbye").unwrap();
        drop(server);
        // Meets a closed port: the relay's write fails while the goodbye is still under way.
        client.write_all(b"are you there?").unwrap();
        let mut last = [0; 7];
        client.read_exact(&mut last).unwrap();
        assert_eq!(&last, b"goodbye");
        assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
    }

    #[test]
    fn a_connection_that_breaks_is_closed_on_the_other_side() {
        let (_line, client, mut server) = connected(Duration::from_millis(10));
        server.write_all(b"unread").unwrap();
        client.peek(&mut [0]).unwrap();
        // Closing with unread bytes breaks a TCP connection instead of ending it.
        drop(client);
        match server.read(&mut [0]) {
            Ok(n) => assert_eq!(n, 0, "nobody sent anything"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    #[test]
    fn a_server_that_refuses_closes_the_connection() {
        // Bound but not listening: refuses, and nobody else can take the port meanwhile.
        let nobody = tokio::net::TcpSocket::new_v4().unwrap();
        nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let line = DelayLine::start(nobody.local_addr().unwrap(), Duration::ZERO).unwrap();
        let mut client = patient(TcpStream::connect(line.address()).unwrap());
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_sender_is_held_back_when_nobody_reads_and_loses_nothing() {
        let (_line, mut client, mut server) = connected(Duration::from_millis(2));
        // The system's own buffers on both sides of the relay take some MiB each.
        let most = UNDER_WAY + (48 << 20);
        let bytes = pattern(1 << 20);
        client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut sent = 0;
        while sent < most {
            match client.write(&bytes[sent % bytes.len()..]) {
                Ok(n) => sent += n,
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                    break;
                }
            }
        }
        assert!((UNDER_WAY..most).contains(&sent), "{sent} bytes were taken");
        drop(client);
        let mut received = 0;
        let mut piece = vec![0; 64 << 10];
        loop {
            let n = server.read(&mut piece).unwrap();
            if n == 0 {
                break;
            }
            let expected = bytes.iter().cycle().skip(received % bytes.len());
            assert!(piece[..n].iter().eq(expected.take(n)), "byte {received} and on");
            received += n;
        }
        assert_eq!(received, sent);
    }

    #[test]
    fn fifty_connections_are_far_away_at_the_same_time() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let rtt = Duration::from_millis(20);
        let line = DelayLine::start(server.local_addr().unwrap(), rtt).unwrap();
        let mut ends: Vec<_> = (0..50_u8)
            .map(|n| {
                let mut client = patient(TcpStream::connect(line.address()).unwrap());
                client.write_all(&[n]).unwrap();
                (client, patient(server.accept().unwrap().0))
            })
            .collect();
        for (_, served) in &mut ends {
            let mut name = [0];
            served.read_exact(&mut name).unwrap();
            served.write_all(&name).unwrap();
        }
        for (n, (client, _)) in ends.iter_mut().enumerate() {
            let mut name = [0];
            client.read_exact(&mut name).unwrap();
            assert_eq!(usize::from(name[0]), n);
        }
    }

    #[test]
    fn dropping_it_ends_everything() {
        let (line, mut client, mut server) = connected(Duration::from_secs(1_000));
        let address = line.address();
        client.write_all(b"never arrives").unwrap();
        drop(line);
        for end in [&mut client, &mut server] {
            assert!(matches!(end.read(&mut [0]), Ok(0) | Err(_)));
        }
        assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_round_trip_without_end_is_refused() {
        let error = DelayLine::start("127.0.0.1:1".parse().unwrap(), Duration::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn it_starts_and_ends_within_a_runtime() {
        let line = DelayLine::start("127.0.0.1:1".parse().unwrap(), Duration::ZERO).unwrap();
        drop(line);
    }
}
