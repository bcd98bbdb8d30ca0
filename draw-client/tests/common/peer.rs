//! Servers that a test drives step by step, in memory and over real sockets.

use draw_client::{Color, ConnectOptions, Display};
use draw_protocol::server::{Config, Connection, Step};
use draw_protocol::{Answer, Code, Fault, Request, Size, limits};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Returns the state machine of a server of 2000x2000 pixels, for peers that a test drives step by step.
pub(crate) fn machine() -> Connection {
    let size = Size { width: 2000, height: 2000 };
    Connection::new(
        Config {
            display: draw_protocol::DisplayName::main(),
            server: "a test".into(),
            size,
            message: limits::MESSAGE,
            instance: None,
            has_journal: false,
            nonce: None,
        },
        Instant::now(),
    )
}

/// Responds to a client's greeting over a real socket.
pub(crate) fn greet(stream: &mut TcpStream) -> Connection {
    let mut machine = machine();
    let mut buffer = [0; 1000];
    let n = stream.read(&mut buffer).unwrap();
    while !matches!(machine.handle_input(&mut &buffer[..n], Instant::now()), Step::Continue) {}
    let bytes = machine.poll_transmit(Instant::now()).to_vec();
    stream.write_all(&bytes).unwrap();
    machine.handle_transmitted(bytes.len(), Instant::now());
    machine
}

/// Executes the requests in `input`; drawing at x >= 10 fails. Returns the number of requests.
fn execute(machine: &mut Connection, mut input: &[u8]) -> usize {
    let mut requests = 0;
    loop {
        match machine.handle_input(&mut input, Instant::now()) {
            Step::Execute(request, _) => {
                let result = match request {
                    Request::DrawPixel { x: 10.., .. } => Err(Fault::new(Code::OutOfBounds, "as a test")),
                    Request::GetPixel { .. } => Ok(Answer::Pixel(Color::RED)),
                    _ => Ok(Answer::Done(())),
                };
                machine.answer(result);
                requests += 1;
            }
            Step::Greet(_) => unreachable!("it has its display"),
            Step::Resume(_) => machine.resume(&mut None),
            Step::Continue => {}
            Step::Wait => return requests,
        }
    }
}

/// Executes and answers over a real socket, until `requests` requests are answered or the client disconnects.
pub(crate) fn serve(stream: &mut TcpStream, machine: &mut Connection, mut requests: usize) {
    let mut buffer = vec![0; limits::READ];
    while requests > 0 {
        let Ok(n @ 1..) = stream.read(&mut buffer) else { return };
        requests = requests.saturating_sub(execute(machine, &buffer[..n]));
        let bytes = machine.poll_transmit(Instant::now()).to_vec();
        if stream.write_all(&bytes).is_err() {
            return;
        }
        machine.handle_transmitted(bytes.len(), Instant::now());
    }
}

/// Executes `requests` requests over a real socket, and answers none.
pub(crate) fn swallow(stream: &mut TcpStream, machine: &mut Connection, mut requests: usize) {
    let mut buffer = vec![0; limits::READ];
    while requests > 0 {
        let Ok(n @ 1..) = stream.read(&mut buffer) else { return };
        requests = requests.saturating_sub(execute(machine, &buffer[..n]));
    }
}

/// Listens for one client, answers its greeting and runs `behaviour`. Returns the address.
pub(crate) fn listen(behaviour: impl FnOnce(TcpStream, Connection) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let machine = greet(&mut stream);
        behaviour(stream, machine);
    });
    address
}

/// The server's side of a connection in memory, driven by the test.
pub(crate) struct Peer {
    pub(crate) stream: DuplexStream,
    pub(crate) machine: Connection,
}

impl Peer {
    pub(crate) fn new(stream: DuplexStream) -> Peer {
        Peer { stream, machine: machine() }
    }

    /// Reads once and executes; drawing at x >= 10 fails.
    pub(crate) async fn turn(&mut self) -> usize {
        let mut buffer = vec![0; limits::READ];
        let n = self.stream.read(&mut buffer).await.unwrap();
        execute(&mut self.machine, &buffer[..n]);
        n
    }

    pub(crate) async fn answer(&mut self) {
        let bytes = self.machine.poll_transmit(Instant::now()).to_vec();
        self.stream.write_all(&bytes).await.unwrap();
        self.machine.handle_transmitted(bytes.len(), Instant::now());
    }
}

/// Connects a client to a peer that answers the greeting and then does nothing by itself.
pub(crate) async fn greeted(options: ConnectOptions) -> (Display, Peer) {
    let (near, far) = tokio::io::duplex(4096);
    let mut peer = Peer::new(far);
    let (display, ()) = tokio::join!(options.over(near), async {
        peer.turn().await;
        peer.answer().await;
    });
    (display.unwrap(), peer)
}

pub(crate) fn patient(seconds: u64) -> ConnectOptions {
    ConnectOptions::new().timeout(Duration::from_secs(seconds))
}
