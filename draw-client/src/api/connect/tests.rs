//! A connection that is resumed while a caller is writing.

use super::*;
use crate::transport::Halves;
use crate::{Color, ConnectOptions, Status};
use display_server::{Display as Screen, Server, ServerOptions};
use std::io;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, ready};
use std::time::Duration;
use tokio::io::ReadBuf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The time after which a test counts as hanging.
const HANGS: Duration = Duration::from_secs(10);

/// One half of a connection. It runs a hook before its first read, or after its first write, and reading ends when
/// `end` completes.
struct Staged<S> {
    stream: S,
    first: Option<Box<dyn FnOnce() + Send>>,
    end: Option<oneshot::Receiver<()>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Staged<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(first) = self.first.take() {
            first();
            // The driver is about to write. It must not process more input before that.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.end.as_mut().is_some_and(|end| Pin::new(end).poll(cx).is_ready()) {
            self.end = None;
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Staged<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.first.take().into_iter().for_each(|first| first());
        Poll::Ready(written)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Returns the halves of a connection with these hooks.
fn staged(
    stream: TcpStream,
    read: Option<Box<dyn FnOnce() + Send>>,
    written: Option<Box<dyn FnOnce() + Send>>,
    end: Option<oneshot::Receiver<()>>,
) -> Halves {
    let (reader, writer) = stream.into_split();
    Halves {
        reader: Box::new(Staged { stream: reader, first: read, end }),
        writer: Box::new(Staged { stream: writer, first: written, end: None }),
    }
}

/// Meets another thread: sends to it, and waits until it has sent.
fn meet(here: &Sender<()>, there: &Receiver<()>) {
    here.send(()).expect("the others are there");
    there.recv_timeout(HANGS).expect("the others come");
}

/// A caller that finds the writer free writes all pending bytes to the stream, here `hello` on another connection. The
/// calls to be sent again are known only when `hello` is answered, possibly while the caller is still writing: then the
/// driver cannot write, and the caller does not know that there is more.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_to_be_sent_again_is_sent_although_a_caller_was_writing_when_that_was_known() {
    let screen = Screen::new(Size { width: 8, height: 8 }, Color::BLACK).expect("it is small");
    let server = Server::new(screen.clone(), ServerOptions::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { server.run(listener, std::future::pending()).await });

    // On the second connection the driver's first read lets the caller write, and waits until it does. The caller
    // writes until the program learns that the session is resumed. By then the driver has tried to write.
    let (reads, has_read) = channel();
    let (holds, held) = channel();
    let (resumed, lets_go) = channel();
    let mut hooks = Some((
        Box::new(move || meet(&reads, &held)) as Box<dyn FnOnce() + Send>,
        Box::new(move || meet(&holds, &lets_go)) as Box<dyn FnOnce() + Send>,
    ));
    let again = move || {
        let hooks = hooks.take();
        async move {
            let (read, written) = hooks.unzip();
            Ok(staged(TcpStream::connect(address).await?, read, written, None))
        }
    };
    let (cut, end) = oneshot::channel();
    let first = TcpStream::connect(address).await.expect("it listens");
    let options =
        ConnectOptions::new().reconnect(3 * HANGS).connect_timeout(3 * HANGS).on_status(move |status| {
            if let Status::Resumed = status {
                resumed.send(()).expect("the caller waits for it");
            }
        });
    // The driver's timers must not fire before the test fails.
    let greeted = options.handshake(
        "a staged stream",
        staged(first, None, None, Some(end)),
        Some(Dialer::new(again)),
        (false, None),
        Printer::default(),
        now() + HANGS,
    );
    let (display, driver) = greeted.await.expect("a display");
    tokio::spawn(driver);
    cut.send(()).expect("it is connected");

    // No reply is awaited: the call is sent by itself, or not at all.
    let (caller, runtime) = (display.clone(), tokio::runtime::Handle::current());
    let calling = tokio::task::spawn_blocking(move || {
        has_read.recv_timeout(HANGS).expect("there is another connection");
        runtime.block_on(async { caller.fill_rect(1, 1, 2, 2, Color::RED).await.map(drop) })
    });
    calling.await.expect("no panic").expect("it is accepted");
    let deadline = now() + HANGS;
    while screen.framebuffer().get_pixel(2, 2) != Some(Color::RED) {
        assert!(now() < deadline, "the call was never sent");
        tokio::task::yield_now().await;
    }
    display.close().await.expect("all is done");
}
