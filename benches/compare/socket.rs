//! The socket options of all programs of the comparison.

use crate::failure::{Context, Result};
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

/// Bytes of one write and of one read of a stream, as in our client and server.
pub(crate) const BLOCK: usize = 64 << 10;

/// A peer that sends nothing for this long is considered broken.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Listens for connections that send unpaced, as those of our own display do: an accepted connection inherits the
/// congestion control of the listener.
pub(crate) fn listen() -> Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening for a connection")?;
    unpaced(&listener).context("listening for a connection")?;
    Ok(listener)
}

/// Opens a connection that sends unpaced, as those of our own clients do.
pub(crate) fn connect(address: SocketAddr) -> Result<TcpStream> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        unpaced(&socket)?;
        socket.connect(&address.into())?;
        Ok(TcpStream::from(socket))
    };
    prepared(open())
}

/// Selects a congestion control that does not pace.
#[cfg(target_os = "linux")]
pub(crate) fn unpaced(socket: impl std::os::fd::AsFd) -> std::io::Result<()> {
    Ok(rustix::net::sockopt::set_tcp_congestion(socket, "reno")?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn unpaced<S>(_: S) -> std::io::Result<()> {
    Ok(())
}

/// Sets the options that all connections have in common.
pub(crate) fn prepared(stream: std::io::Result<TcpStream>) -> Result<TcpStream> {
    let prepare = |stream: TcpStream| {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(stream)
    };
    stream.and_then(prepare).context("opening a connection")
}
