//! The options of listeners and of client sockets.

use socket2::{SockRef, TcpKeepalive};
use std::net::SocketAddr;
use std::time::Duration;
#[cfg(any(target_os = "linux", target_os = "android"))]
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tracing::debug;

/// Detects after three minutes that a client's machine has vanished, which frees its place. Sooner is not necessary: a
/// client that reconnects takes its session from the older connection, and a client that reads nothing is limited by
/// [`STALLED`](draw_protocol::limits::STALLED).
const KEEP_ALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(8);

/// The same while bytes are unacknowledged, when keep-alive sends no probes.
#[cfg(any(target_os = "linux", target_os = "android"))]
const VANISHED: Duration = Duration::from_secs(180);

/// Bytes that the system buffers for a connection beyond those in flight. Without it, 300 clients that read nothing
/// take 1.2 GiB of the system's memory, and beyond 1.5 GiB, on a machine of 24 GiB, the system slows down every
/// connection.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 256 << 10;

/// Sets the options of a client's socket. Failures are not fatal: the connection works without these options.
pub(crate) fn set_up(stream: &TcpStream, peer: SocketAddr) {
    let socket = SockRef::from(stream);
    // Answers are small packets that clients wait for.
    if let Err(error) = socket.set_tcp_nodelay(true) {
        debug!(%peer, "cannot set TCP_NODELAY: {error}");
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket.set_tcp_notsent_lowat(UNSENT) {
        debug!(%peer, "cannot set TCP_NOTSENT_LOWAT: {error}");
    }
    if let Err(error) = socket.set_tcp_keepalive(&KEEP_ALIVE) {
        debug!(%peer, "cannot enable TCP keep-alive: {error}");
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = socket.set_tcp_user_timeout(Some(VANISHED)) {
        debug!(%peer, "cannot set TCP_USER_TIMEOUT: {error}");
    }
}

/// Sets a congestion control without pacing on a listener that only this machine reaches. Within a machine there is no
/// congestion, but pacing (by `bbr`) takes up to half of the time of images. The option is set on the listener, since a
/// connection that has begun with pacing keeps it.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn send_unpaced(listener: &TcpListener, address: SocketAddr) {
    if address.ip().is_loopback()
        && let Err(error) = SockRef::from(listener).set_tcp_congestion(b"reno")
    {
        debug!(%address, "cannot set the congestion control: {error}");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

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
