//! Reports the state of the peer without reading, since a connection that waits for memory does not read.

use futures::FutureExt;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The state of the peer of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// The peer may send more.
    Open,
    /// The peer has closed its side, with this many bytes still to be read, and may still read answers.
    HalfClosed(usize),
    /// The same, and the peer reads nothing more.
    Closed(usize),
}

/// Returns the state of the peer of a stream.
pub(crate) type Probe<S> = fn(&S) -> PeerState;

/// Returns a socket with a probe of its peer.
pub(crate) fn probed(stream: TcpStream) -> (TcpStream, Probe<TcpStream>) {
    (stream, probe)
}

/// Returns a stream whose peer cannot be probed.
pub(crate) fn unprobed<S>(stream: S) -> (S, Probe<S>) {
    (stream, |_| PeerState::Open)
}

/// Returns the state of a socket's peer. Needs a system call only once the peer has closed its side.
///
/// The closing is known from an event (`EPOLLRDHUP`), even with unread bytes before it. The system then counts the
/// unread bytes (`FIONREAD`), to which none are added any more.
fn probe(stream: &TcpStream) -> PeerState {
    let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).now_or_never();
    let Some(Ok(ready)) = ready else { return PeerState::Open };
    if !ready.is_read_closed() {
        return PeerState::Open;
    }
    // If the system does not count them, assume more than any message has.
    let left = rustix::io::ioctl_fionread(stream)
        .map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
    if ready.is_write_closed() { PeerState::Closed(left) } else { PeerState::HalfClosed(left) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    /// Waits until the socket says so.
    async fn becomes(stream: &TcpStream, ahead: PeerState) {
        let seen = async {
            while probe(stream) != ahead {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(20), seen).await;
        assert!(seen.is_ok(), "{:?} and not {ahead:?}", probe(stream));
    }

    #[tokio::test]
    async fn the_end_of_a_client_is_seen_behind_what_is_unread_and_that_is_counted() {
        let (mut client, mut stream) = pair().await;
        client.write_all(&[7; 100_000]).await.unwrap();
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        assert_eq!(probe(&stream), PeerState::Open);
        client.shutdown().await.unwrap();
        becomes(&stream, PeerState::HalfClosed(99_000)).await;
        stream.read_exact(&mut [0; 99_000]).await.unwrap();
        becomes(&stream, PeerState::HalfClosed(0)).await;
        // It still reads.
        stream.write_all(b"answer").await.unwrap();
        client.read_exact(&mut [0; 6]).await.unwrap();
    }

    #[tokio::test]
    async fn one_that_is_reset_is_gone_and_what_it_sent_before_is_still_counted() {
        let (mut client, mut stream) = pair().await;
        client.write_all(&[7; 5000]).await.unwrap();
        stream.read_exact(&mut [0; 1000]).await.unwrap();
        client.set_zero_linger().unwrap();
        drop(client);
        becomes(&stream, PeerState::Closed(4000)).await;
    }
}
