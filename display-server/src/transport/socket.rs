//! Options of the sockets on which clients come.

use socket2::{SockRef, TcpKeepalive};
use std::net::SocketAddr;
use std::time::Duration;
#[cfg(any(target_os = "linux", target_os = "android"))]
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tracing::debug;

/// A client whose machine vanishes without a word is found out after three minutes, and its place is free again. There is
/// no hurry: one that comes back takes its session from the older connection, and one that reads nothing has
/// [`STALLED`](draw_protocol::limits::STALLED).
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

/// Sets the options of a client's socket. Failures are not fatal: the connection works without these options.
pub(crate) fn set_up(stream: &TcpStream, peer: SocketAddr) {
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
pub(crate) fn send_unpaced(listener: &TcpListener, address: SocketAddr) {
    if address.ip().is_loopback()
        && let Err(error) = SockRef::from(listener).set_tcp_congestion(b"reno")
    {
        debug!(%address, "the congestion control stays as it is: {error}");
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
