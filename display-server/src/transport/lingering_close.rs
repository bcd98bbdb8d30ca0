//! Closes a connection so that the client learns why.
//!
//! A socket that is closed while there is input it has not read answers with a reset, and a reset makes the peer's
//! system throw away what the peer has not read yet: our last error would be lost just when it matters. So the write
//! side is closed first, and input is read and discarded until the client ends too.

use crate::clock::now;
use crate::resources::buffers::ReadBuffer;
use draw_printer::Printer;
use draw_protocol::limits;
use draw_protocol::server::{self, Step};
use draw_protocol::trace::Direction;
use socket2::SockRef;
use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How long closing a connection may take: to send what is unsent, and to wait for the client to close its side.
pub(crate) const LINGER: Duration = Duration::from_secs(2);

/// The same when the server shuts down, which is to take less than two seconds.
pub(crate) const SHUTDOWN_LINGER: Duration = Duration::from_secs(1);

/// What is discarded at most: a client may be in the middle of its largest message, and a second one may be under way.
const DISCARDED: usize = 2 * limits::MESSAGE;

/// What [`refuse_now`] reads at most: a first message, and what a client has sent behind it by then.
const READ_AT_ONCE: usize = 256 << 10;

/// Has `machine` refuse what has arrived, sends what it says to that, and ends the write side, all without waiting. Nothing was sent
/// before, so there is room for it. What has arrived behind it is discarded, and only what arrives later is answered with a reset.
///
/// The stream is asked itself: one that has only just come is not known to be readable yet.
///
/// # Errors
/// Whatever the stream says; then there is nothing left to do for it.
pub(crate) fn refuse_now(stream: &TcpStream, machine: &mut server::Connection) -> io::Result<()> {
    take_arrived(stream, |mut input| {
        while machine.closing().is_none() && !matches!(machine.handle_input(&mut input, now()), Step::Wait) {}
    })?;
    let stream = SockRef::from(stream);
    let unsent = machine.poll_transmit(now());
    if !unsent.is_empty() {
        let sent = (&*stream).write(unsent)?;
        machine.handle_transmitted(sent, now());
    }
    stream.shutdown(Shutdown::Write)
}

/// Sends `words`, which no protocol has to encode, and ends the write side, without waiting, as [`refuse_now`] does.
///
/// # Errors
/// Whatever the stream says; then there is nothing left to do for it.
pub(crate) fn send_and_close_now(stream: &TcpStream, words: &[u8]) -> io::Result<()> {
    take_arrived(stream, |_| ())?;
    let stream = SockRef::from(stream);
    // Of a socket that has sent nothing all of it has room.
    _ = (&*stream).write(words)?;
    stream.shutdown(Shutdown::Write)
}

/// Reads what has arrived, and hands it to `taken`.
fn take_arrived(stream: &TcpStream, mut taken: impl FnMut(&[u8])) -> io::Result<()> {
    let (stream, mut buffer) = (SockRef::from(stream), ReadBuffer::take(false));
    let mut read = 0;
    while read < READ_AT_ONCE {
        let room = buffer.room();
        let n = match (&*stream).read(room) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        read += n;
        taken(&room[..n]);
    }
    Ok(())
}

/// What a connection has to send, of whatever protocol.
pub(crate) trait Outgoing {
    /// Returns what is to be sent next; empty if that is nothing.
    fn unsent(&mut self, now: Instant) -> &[u8];

    /// Takes away the first `bytes` bytes of it, which are sent.
    fn sent(&mut self, bytes: usize, now: Instant);
}

impl Outgoing for server::Connection {
    fn unsent(&mut self, now: Instant) -> &[u8] {
        self.poll_transmit(now)
    }

    fn sent(&mut self, bytes: usize, now: Instant) {
        self.handle_transmitted(bytes, now);
    }
}

/// Sends what is unsent, ends the write side, and discards input until the client ends, all within `limit`.
///
/// # Errors
/// Whatever the stream says; then there is nothing left to do for it.
pub(crate) async fn close<S>(
    stream: &mut S,
    outgoing: &mut impl Outgoing,
    trace: &Printer,
    limit: Duration,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut is_shut, mut is_at_end, mut discarded) = (false, false, 0);
    let closing = poll_fn(|cx| {
        // Reading goes on while there is something to send: a client that is stuck in its own sending reads nothing.
        while !is_at_end && discarded < DISCARDED {
            let mut buffer = ReadBuffer::take(false);
            let mut room = ReadBuf::new(buffer.room());
            if Pin::new(&mut *stream).poll_read(cx, &mut room)?.is_pending() {
                break;
            }
            is_at_end = room.filled().is_empty();
            discarded += room.filled().len();
        }
        while !is_shut {
            let (now, mut stream) = (now(), Pin::new(&mut *stream));
            let unsent = outgoing.unsent(now);
            if unsent.is_empty() {
                // This flushes, too.
                std::task::ready!(stream.poll_shutdown(cx))?;
                is_shut = true;
                break;
            }
            match std::task::ready!(stream.as_mut().poll_write(cx, unsent))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => {
                    trace.pass(Direction::ToClient, &unsent[..n]);
                    outgoing.sent(n, now);
                }
            }
        }
        if is_at_end || discarded >= DISCARDED { Poll::Ready(Ok(())) } else { Poll::Pending }
    });
    let expired = || io::Error::new(io::ErrorKind::TimedOut, "the client did not end in time");
    tokio::time::timeout(limit, closing).await.unwrap_or_else(|_| Err(expired()))
}
