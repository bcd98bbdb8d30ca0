//! What a stream tells of its client without being read: a connection that waits for memory does not read.

use futures::FutureExt;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What may still come from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// Anything.
    Open,
    /// So many bytes, which are there to be read. The client has ended its side and may still read answers.
    HalfClosed(usize),
    /// The same, and the client reads nothing more.
    Closed(usize),
}

/// Looks at a stream.
pub(crate) type Probe<S> = fn(&S) -> PeerState;

/// A socket of the system.
pub(crate) fn probed(stream: TcpStream) -> (TcpStream, Probe<TcpStream>) {
    (stream, probe)
}

/// A stream of which nothing is known.
pub(crate) fn unprobed<S>(stream: S) -> (S, Probe<S>) {
    (stream, |_| PeerState::Open)
}

/// Looks at a socket of the system. Costs a system call only when the client has ended its side.
///
/// That is known from the event that comes with the end (`EPOLLRDHUP`), whatever is unread before it. The system then counts
/// the unread bytes exactly (`FIONREAD`): nothing is added to them any more.
fn probe(stream: &TcpStream) -> PeerState {
    let ready = stream.ready(Interest::READABLE | Interest::WRITABLE).now_or_never();
    let Some(Ok(ready)) = ready else { return PeerState::Open };
    if !ready.is_read_closed() {
        return PeerState::Open;
    }
    // As if there were more than any message has, where it is not told.
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
