//! The side of the stream that is written to.

use draw_printer::Printer;
use draw_protocol::client::Connection;
use draw_protocol::trace::Direction;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

/// The half of the stream that is written to, and what it has not taken yet.
pub(crate) struct Writer {
    stream: Box<dyn AsyncWrite + Send + Unpin>,
    /// It is the machine's, which gets it back when all of it is sent.
    bytes: Vec<u8>,
    sent: usize,
    /// The stream has taken bytes that it may still hold back, as a buffer or TLS does.
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

    /// Takes over what the machine has to send. To be called when empty.
    pub(crate) fn refill(&mut self, machine: &mut Connection) {
        self.bytes = machine.swap_transmit(std::mem::take(&mut self.bytes));
        self.sent = 0;
        // Before they are written: another thread may read the answer as soon as they are.
        self.trace.pass(Direction::ToDisplay, &self.bytes);
    }

    /// The stream is lost. Answers what was taken over from the machine last, sent or not.
    pub(crate) fn disconnect(&mut self, cx: &mut Context<'_>) -> Vec<u8> {
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.stream = Box::new(tokio::io::sink());
        (self.sent, self.is_held_back) = (0, false);
        std::mem::take(&mut self.bytes)
    }

    /// There is another stream.
    pub(crate) fn connect(&mut self, stream: Box<dyn AsyncWrite + Send + Unpin>) {
        self.stream = stream;
    }

    /// Tells the other side that nothing more comes, and lets go of the stream although handles may live on.
    pub(crate) fn close(&mut self, cx: &mut Context<'_>) {
        let _ = Pin::new(&mut self.stream).poll_shutdown(cx);
        std::mem::take(&mut self.trace).end(Direction::ToDisplay);
        self.stream = Box::new(tokio::io::sink());
    }

    /// The stream is another process's: it is neither used nor closed, which would end it there.
    pub(crate) fn detach(&mut self) {
        std::mem::forget(std::mem::replace(&mut self.stream, Box::new(tokio::io::sink())));
        (self.bytes, self.sent, self.is_held_back) = (Vec::new(), 0, false);
    }

    /// Writes until all is gone, out of the stream too, or the stream takes no more.
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
