//! The far end of a client's connection: a server in the same thread, which has answered a write before the write
//! returns.

use benches::conversation::{Server, draw_nothing};
use draw_protocol::Request;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose far end draws nothing and acknowledges everything. It accepts all writes, never blocks, and makes no
/// system call.
pub(crate) struct Far {
    server: Server,
    answers: Vec<u8>,
    /// Number of bytes of `answers` that have been read.
    read: usize,
    reader: Option<Waker>,
    drawn: Arc<AtomicU64>,
}

impl Far {
    /// Creates a far end, and returns with it the counter of requested pixels.
    pub(crate) fn new() -> (Far, Arc<AtomicU64>) {
        let drawn = Arc::new(AtomicU64::new(0));
        let (server, counted) = (Server::new(), Arc::clone(&drawn));
        (Far { server, answers: Vec::new(), read: 0, reader: None, drawn: counted }, drawn)
    }
}

/// Does all the work of the server. The client's instructions are those outside this function, the server's those
/// inside: the script refers to it by name.
#[inline(never)]
fn far_end(far: &mut Far, bytes: &[u8]) {
    let Far { server, answers, drawn, .. } = far;
    server.take(bytes, |request| {
        drawn.fetch_add(pixels_of(request), Relaxed);
        draw_nothing(request)
    });
    server.send(|bytes| answers.extend_from_slice(bytes));
}

/// Returns the number of pixels that a request draws, for the requests used here.
fn pixels_of(request: &Request<'_>) -> u64 {
    match request {
        Request::DrawPixel { .. } => 1,
        Request::DrawPixels { pixels } => pixels.len() as u64,
        _ => 0,
    }
}

impl AsyncWrite for Far {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let far = self.get_mut();
        far_end(far, bytes);
        if let Some(reader) = far.reader.take_if(|_| far.read < far.answers.len()) {
            reader.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Far {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let far = self.get_mut();
        let unread = &far.answers[far.read..];
        if unread.is_empty() {
            far.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let taken = unread.len().min(buffer.remaining());
        buffer.put_slice(&unread[..taken]);
        far.read += taken;
        if far.read == far.answers.len() {
            far.answers.clear();
            far.read = 0;
        }
        Poll::Ready(Ok(()))
    }
}
