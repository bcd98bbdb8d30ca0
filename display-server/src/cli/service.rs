//! What a service manager such as systemd passes to the program, and what it is told.
//!
//! Sockets are passed as sd_listen_fds(3) describes, notifications are sent as sd_notify(3) describes. No other process has to be a
//! systemd: the tests pass sockets and read notifications themselves.

use display_server::doors::pixelflut;
use display_server::{Door, Error, bind, bind_or};
use std::env;
use std::ffi::OsStr;
use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;
use tracing::warn;

/// Names the socket that notifications are sent to.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// The longest wait for a service manager that does not read its notifications.
const PATIENCE: Duration = Duration::from_secs(1);

/// Takes the sockets that the service manager has opened for this process. There are none without a service manager.
///
/// Changes the environment, so it is called before there is another thread.
#[cfg(all(feature = "systemd", target_os = "linux"))]
pub(super) fn passed_sockets() -> Result<Vec<(TcpListener, Door)>, Error> {
    /// More are taken for a mistake. Sockets of one service are told apart by hand.
    const MOST: usize = 64;

    let failed = |index: usize, source| Error::Listen {
        address: format!("the descriptor {} that the service manager passed", index + 3),
        source,
        hint: "pass TCP sockets that listen, as ListenStream=127.0.0.1:3729 with Accept=no does".into(),
    };
    // An inherited variable may be for another process.
    if env::var("LISTEN_PID").ok().and_then(|pid| pid.parse().ok()) != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = env::var("LISTEN_FDS").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    if count > MOST {
        return Err(failed(MOST, io::Error::other(format!("there are {count}, at most {MOST} are taken"))));
    }
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let name = names.next().unwrap_or_default();
        let listens = |socket: TcpListener| match socket2::SockRef::from(&socket).is_listener()? {
            true => socket.set_nonblocking(true).map(|()| socket),
            false => Err(io::Error::other("it does not listen")),
        };
        let socket = passed.take_tcp_listener(index).and_then(|socket| socket.map(listens).transpose());
        let door = if name == "pixelflut" { Door::Pixelflut } else { Door::Native };
        sockets.extend(socket.map_err(|source| failed(index, source))?.map(|socket| (socket, door)));
    }
    Ok(sockets)
}

/// Takes no sockets: this program is built without the feature `systemd`, or for another system than Linux.
#[cfg(not(all(feature = "systemd", target_os = "linux")))]
pub(super) fn passed_sockets() -> Result<Vec<(TcpListener, Door)>, Error> {
    Ok(Vec::new())
}

/// Returns the listeners of the server: the passed sockets, and those that it opens itself. The first is for the native protocol.
///
/// The address `listen` is only used if no passed socket is for the native protocol, so that a server never serves an address that
/// its service manager does not know of.
pub(super) fn listeners(
    mut passed: Vec<(TcpListener, Door)>,
    listen: &str,
    pixelflut: Option<&str>,
) -> Result<Vec<(TcpListener, Door)>, Error> {
    passed.sort_by_key(|(_, door)| *door != Door::Native);
    if passed.first().is_none_or(|(_, door)| *door != Door::Native) {
        passed.insert(0, (bind(listen, false)?, Door::Native));
    }
    if let Some(address) = pixelflut {
        passed.push((bind_or(address, pixelflut::PORT, false)?, Door::Pixelflut));
    }
    Ok(passed)
}

/// Tells the service manager that clients can connect.
pub(super) fn ready() {
    notify("READY=1\n");
}

/// Tells the service manager that the server ends.
pub(super) fn stopping() {
    notify("STOPPING=1\n");
}

/// Sends a notification, if a service manager waits for some.
fn notify(state: &str) {
    let Some(socket) = env::var_os(NOTIFY_SOCKET).filter(|socket| !socket.is_empty()) else {
        return;
    };
    if let Err(error) = send(&socket, state) {
        let (state, socket) = (state.trim_end(), socket.display());
        warn!("cannot send {state} to the service manager at {socket} ({error}): check {NOTIFY_SOCKET}");
    }
}

fn send(socket: &OsStr, state: &str) -> io::Result<()> {
    let sender = UnixDatagram::unbound()?;
    sender.set_write_timeout(Some(PATIENCE))?;
    match socket.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => connect_abstract(&sender, name)?,
        None => sender.connect(socket)?,
    }
    sender.send(state.as_bytes()).map(|_| ())
}

/// Connects to a socket that has a name but no file, as systemd writes with an `@`.
#[cfg(target_os = "linux")]
fn connect_abstract(sender: &UnixDatagram, name: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    sender.connect_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_abstract(_sender: &UnixDatagram, _name: &[u8]) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "names with @ exist on Linux only"))
}
