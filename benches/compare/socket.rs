//! The socket options of all programs of the comparison.

use crate::failure::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Bytes of one write of a stream, and of one read: what our client and server use.
pub(crate) const BLOCK: usize = 64 << 10;

/// A peer that is silent for this long is broken.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Listens, for connections that send unpaced as those of our own display do: what is accepted has the congestion control of the
/// listener.
pub(crate) fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening for a connection")?;
    unpaced(&listener).context("listening for a connection")?;
    Ok(listener)
}

/// A connection that sends unpaced, as those of our own clients do.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        unpaced(&socket)?;
        socket.connect(&address.into())?;
        Ok(TcpStream::from(socket))
    };
    prepared(open())
}

/// Chooses the congestion control that does not pace.
#[cfg(target_os = "linux")]
pub(crate) fn unpaced(socket: impl std::os::fd::AsFd) -> std::io::Result<()> {
    Ok(rustix::net::sockopt::set_tcp_congestion(socket, "reno")?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unpaced<S>(_: S) -> std::io::Result<()> {
    Ok(())
}

/// Sets what all connections have in common.
pub(crate) fn prepared(stream: std::io::Result<TcpStream>) -> Result<TcpStream> {
    let prepare = |stream: TcpStream| {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(stream)
    };
    stream.and_then(prepare).context("opening a connection")
}
