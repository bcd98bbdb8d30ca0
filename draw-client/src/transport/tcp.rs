//! TCP connections on a tokio runtime.

use super::{Dialer, address, socket};
use crate::clock::now;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};

/// Returns a dialer of TCP connections to one address.
pub(crate) fn dialer(host: String, port: u16, attempt: Duration) -> Dialer {
    let connect = move || {
        let host = host.clone();
        async move {
            let dialed = dial(&host, port, now() + attempt).await;
            let stream =
                dialed.map_err(|error| error.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into()))?;
            Ok(stream.into())
        }
    };
    Dialer::new(connect)
}

pub(crate) async fn dial(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, Option<io::Error>> {
    let found = tokio::time::timeout_at(deadline.into(), tokio::net::lookup_host((host, port))).await;
    let late = || io::Error::from(ErrorKind::TimedOut);
    let found: Vec<_> = found.unwrap_or_else(|_| Err(late())).map_err(Some)?.collect();
    let mut last = None;
    for (i, one) in found.iter().enumerate() {
        let share = address::share(deadline, now(), found.len() - i);
        let connecting = async {
            let socket = socket::open(one)?;
            socket.set_nonblocking(true)?;
            TcpSocket::from_std_stream(socket.into()).connect(*one).await
        };
        match tokio::time::timeout(share, connecting).await.unwrap_or_else(|_| Err(late())) {
            Ok(stream) => {
                socket::set_up((&stream).into())?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use draw_protocol::limits;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_dead_network_will_be_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let stream = dial("127.0.0.1", port, now() + limits::CONNECT_TIMEOUT).await.expect("it listens");
        socket::check((&stream).into());
    }
}
