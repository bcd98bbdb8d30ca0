//! The writing half of a stream.

use draw_printer::Printer;
use draw_protocol::client::Connection;
use draw_protocol::trace::Direction;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// The half of the stream that is written to, and the bytes that it has not taken yet.
pub(crate) struct Writer {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    /// The machine's send buffer, which it gets back when all of it is sent.
    bytes: Vec<u8>,
    sent: usize,
    /// The stream has taken bytes that it may still buffer, as TLS does.
    is_held_back: bool,
    trace: Printer,
}

impl Writer {
    pub(crate) fn new(stream: Box<dyn AsyncWrite + Send + Unpin>, trace: Printer) -> Writer {
        Writer { stream, bytes: Vec::new(), sent: 0, is_held_back: false, trace }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Takes over what the machine has to send. Must be called when empty.
    pub(crate) fn refill(&mut self, machine: &mut Connection) {
        self.bytes = machine.swap_transmit(std::mem::take(&mut self.bytes));
        self.sent = 0;
        // The trace precedes the write: another thread may read the answer as soon as the bytes are written.
        self.trace.pass(Direction::ToDisplay, &self.bytes);
    }

    /// Drops a stream that is lost. Returns the bytes that were taken over from the machine last, sent or not.
    pub(crate) fn disconnect(&mut self, cx: &mut Context<'_>) -> Vec<u8> {
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.stream = Box::new(tokio::io::sink());
        (self.sent, self.is_held_back) = (0, false);
        std::mem::take(&mut self.bytes)
    }

    /// Continues with another stream.
    pub(crate) fn connect(&mut self, stream: Box<dyn AsyncWrite + Send + Unpin>) {
        self.stream = stream;
    }

    /// Shuts the stream down and drops it, although handles may live on.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>) {
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        std::mem::take(&mut self.trace).end(Direction::ToDisplay);
        self.stream = Box::new(tokio::io::sink());
    }

    /// Leaves the stream to the process that this one was forked from. It is neither used nor closed, which would end
    /// it there.
    pub(crate) fn detach(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.stream, Box::new(tokio::io::sink())));
        (self.bytes, self.sent, self.is_held_back) = (Vec::new(), 0, false);
    }

    /// Writes until everything is written and flushed, or the stream takes no more.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        while !self.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.bytes[self.sent..]) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(n)) => {
                    self.sent += n;
                    self.is_held_back = true;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if self.is_held_back {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.is_held_back = false;
        }
        Poll::Ready(Ok(()))
    }
}
