//! A server on a free port, and a client that sends raw bytes.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use display_server::{Color, Display, Door, Server, ServerOptions, Size};
use serde::{Serialize, Serializer};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Deadline, long enough for the slowest machine; only a test that fails waits for it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Returns the output of `future`, or fails with `what` after the deadline.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} for {what}"),
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A server with a display of 64x48 black pixels.
pub(crate) struct Running {
    pub(crate) display: Display,
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

pub(crate) fn display() -> Display {
    Display::new(Size { width: 64, height: 48 }, Color::BLACK).unwrap()
}

pub(crate) async fn start(options: ServerOptions) -> Running {
    start_with(display(), options).await
}

pub(crate) async fn start_with(display: Display, options: ServerOptions) -> Running {
    start_doors(display, options, &[]).await.0
}

/// Starts a server with a native listener and the listeners of these doors. Returns the addresses of those.
pub(crate) async fn start_doors(
    display: Display,
    options: ServerOptions,
    others: &[Door],
) -> (Running, Vec<SocketAddr>) {
    let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
    for door in [&[Door::Native], others].concat() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        listeners.push((listener, door));
    }
    let server = Server::new(display.clone(), options);
    let (stop, stopped) = oneshot::channel();
    let running = server.clone();
    let task = tokio::spawn(async move { running.run_doors(listeners, async { _ = stopped.await }).await });
    let address = addresses.remove(0);
    (Running { display, server, address, stop, task }, addresses)
}

impl Running {
    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        let stream = within("a connection", TcpStream::connect(self.address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }

    /// Connects a client over a pipe that holds `buffer` bytes in each direction.
    pub(crate) fn pipe(&self, buffer: usize) -> (Client<DuplexStream>, JoinHandle<()>) {
        pipe(&self.server, buffer)
    }

    pub(crate) async fn stop(self) {
        _ = self.stop.send(());
        within("the server to end", self.task).await.unwrap().unwrap();
    }

    /// Checks that a new client can draw, as each test of bad behaviour does at its end.
    pub(crate) async fn check_that_a_new_client_draws(&self) {
        let mut client = self.connect().await;
        client.send(&request(1, "draw_pixel", (7, 5, 0x0102_0304))).await;
        client.send(&request(2, "get_pixel", (7, 5))).await;
        client.expect(&done(1)).await;
        client.expect(&answer(2, 0x0102_0304)).await;
        assert_eq!(self.display.framebuffer().get_pixel(7, 5), Some(Color::from_u32(0x0102_0304)));
    }
}

pub(crate) fn pipe(server: &Server, buffer: usize) -> (Client<DuplexStream>, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(buffer);
    let server = server.clone();
    let task = tokio::spawn(async move { server.serve(theirs, "pipe", std::future::pending()).await });
    (Client { stream: ours }, task)
}

pub(crate) struct Client<S> {
    pub(crate) stream: S,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        within("the server to read", self.stream.write_all(bytes)).await.unwrap();
    }

    /// Asserts that the next bytes are these.
    pub(crate) async fn expect(&mut self, bytes: &[u8]) {
        let (mut got, mut length) = (vec![0; bytes.len()], 0);
        while length < bytes.len() {
            let read = within("an answer", self.stream.read(&mut got[length..])).await.unwrap();
            length += read;
            let (came, due) = (&got[..length], &bytes[..length]);
            assert!(came == due && read > 0, "{} instead of {}", printable(came), printable(bytes));
        }
    }

    /// Returns everything that arrives until the server ends the connection, which must not be by a reset.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        within("the end of the connection", self.stream.read_to_end(&mut bytes)).await.unwrap();
        bytes
    }
}

pub(crate) fn printable(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(300)].escape_ascii().to_string()
}

/// Returns a MessagePack-RPC request, written by an encoder that is not the server's.
pub(crate) fn request(msgid: u32, method: &str, params: impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(&(0, msgid, method, params)).unwrap()
}

pub(crate) fn notification(method: &str, params: impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(&(2, method, params)).unwrap()
}

pub(crate) fn answer(msgid: u32, result: impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec(&(1, msgid, (), result)).unwrap()
}

pub(crate) fn done(msgid: u32) -> Vec<u8> {
    answer(msgid, ())
}

pub(crate) fn fault(msgid: u32, text: &str) -> Vec<u8> {
    rmp_serde::to_vec(&(1, msgid, (0, text), ())).unwrap()
}

/// No parameters, as an empty array; `()` would be nil.
pub(crate) const NONE: [u8; 0] = [];

/// Returns the first message of one of this project's own clients.
pub(crate) fn hello() -> Vec<u8> {
    #[derive(Serialize)]
    struct Hello {
        version: u32,
        client: &'static str,
    }
    let hello = Hello { version: 1, client: "test" };
    let mut bytes = b"\x94\x00\x00\xa5hello\x91".to_vec();
    bytes.extend(rmp_serde::to_vec_named(&hello).unwrap());
    bytes
}

/// Bytes that are encoded as `bin`.
pub(crate) struct Bin(pub(crate) Vec<u8>);

impl Serialize for Bin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}
