//! Closes a connection so that the client receives the last error.
//!
//! Closing a socket with unread input sends a reset, which makes the peer's system discard bytes that the peer has not
//! read yet, and with them the error that says why. So the write side is closed first, and input is read and discarded
//! until the client closes its side.

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

/// The most input that is discarded: a client may be in the middle of its largest message, and may have sent a second
/// one.
const DISCARDED: usize = 2 * limits::MESSAGE;

/// The most input that [`refuse_now`] reads: a first message, and more that a client has sent by then.
const READ_AT_ONCE: usize = 256 << 10;

/// Feeds the received input to `machine`, which refuses it, sends the answer, and closes the write side, all without
/// waiting. Nothing was sent before, so the socket has room. Other received input is discarded; only later input causes
/// a reset.
///
/// Uses the socket directly: the runtime does not know yet whether a new stream is readable.
///
/// # Errors
/// Those of the stream, after which it cannot be used.
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

/// Sends `words`, and closes the write side, without waiting, as [`refuse_now`] does.
///
/// # Errors
/// Those of the stream, after which it cannot be used.
pub(crate) fn send_and_close_now(stream: &TcpStream, words: &[u8]) -> io::Result<()> {
    take_arrived(stream, |_| ())?;
    let stream = SockRef::from(stream);
    // A socket that has sent nothing has room for all of it.
    _ = (&*stream).write(words)?;
    stream.shutdown(Shutdown::Write)
}

/// Reads the received input, and passes it to `taken`.
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

/// The unsent output of a connection, of any protocol.
pub(crate) trait Outgoing {
    /// Returns the bytes to send next; empty if there are none.
    fn unsent(&mut self, now: Instant) -> &[u8];

    /// Removes the first `bytes` bytes, which were sent.
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

/// Sends the unsent output, closes the write side, and discards input until the client closes its side, all within
/// `limit`.
///
/// # Errors
/// Those of the stream, after which it cannot be used.
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
        // Input is read while output is sent: a client whose own sending blocks may not read.
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
                // This also flushes.
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
