//! Socket options of the TCP connections of both clients.

use crate::limits;
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::SocketAddr;

/// Sets that small messages are sent at once and that a dead network is noticed.
///
/// # Errors
/// If the former cannot be set. If the system does not know one of the other options, the connection works without it, and a dead network
/// is noticed later, by the system's own timeouts.
pub(crate) fn set_up(socket: SockRef<'_>) -> io::Result<()> {
    // A call is a few bytes whose answer is waited for: it is not held back to fill a packet.
    socket.set_tcp_nodelay(true)?;
    if let Err(error) = notice_dead_network(&socket) {
        tracing::debug!("cannot set the timeouts that detect a dead network: {error}");
    }
    Ok(())
}

/// Opens a socket that is about to be connected to `peer`.
pub(crate) fn open(peer: &SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(*peer), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if peer.ip().is_loopback()
        && let Err(error) = send_unpaced(&socket)
    {
        tracing::debug!("cannot set the congestion control: {error}");
    }
    Ok(socket)
}

/// Chooses a congestion control that sends at once, for connections within a machine. Some systems send by a timer (`bbr`), which takes up
/// to half of the time of batches and images. Every Linux has `reno`. A connection that has begun to use a timer keeps it, so this is
/// set before connecting.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn send_unpaced(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_congestion(b"reno")
}

/// Sets that a network which has died silently is noticed. While nothing is under way, keep-alive probes the other
/// side. While something is, only the time for which it stays unacknowledged shows that the network is dead, which is a
/// quarter of an hour on most systems.
fn notice_dead_network(socket: &SockRef<'_>) -> io::Result<()> {
    let keep_alive = TcpKeepalive::new().with_time(limits::KEEP_ALIVE);
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple", windows))]
    let keep_alive =
        keep_alive.with_interval(limits::KEEP_ALIVE_INTERVAL).with_retries(limits::KEEP_ALIVE_PROBES);
    socket.set_tcp_keepalive(&keep_alive)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(limits::DEAD_NETWORK))?;
    Ok(())
}

/// Checks that the options are set.
#[cfg(all(test, target_os = "linux"))]
pub(crate) fn check(socket: SockRef<'_>) {
    use std::time::Duration;
    let seconds = Duration::from_secs;
    assert!(socket.tcp_nodelay().expect("an option") && socket.keepalive().expect("an option"));
    assert_eq!(socket.tcp_keepalive_time().expect("an option"), seconds(8));
    assert_eq!(socket.tcp_keepalive_interval().expect("an option"), seconds(4));
    assert_eq!(socket.tcp_keepalive_retries().expect("an option"), 3);
    assert_eq!(socket.tcp_user_timeout().expect("an option"), Some(seconds(20)));
    // The name has a fixed size, and zeros behind it.
    assert!(socket.tcp_congestion().expect("an option").starts_with(b"reno\0"));
}
