//! Tests that input that arrives late, twice, or in large amounts does not harm other clients.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;
#[path = "common/processes.rs"]
mod processes;

use common::*;
use display_server::{Color, Server, ServerOptions};
use draw_client::ConnectOptions;
use draw_protocol::client::{Connection, Event};
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Hello, Request};
use processes::{Directory, PATIENCE, free_port, go_on, stop};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

fn id(n: u64) -> Id {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&n.to_le_bytes());
    Id(id)
}

/// A client state machine, and everything that it has sent on its connection.
struct Program<S> {
    machine: Connection,
    client: Client<S>,
    said: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Program<S> {
    /// Connects a client and waits for its welcome.
    async fn new(client: Client<S>, hello: Hello) -> Program<S> {
        let mut program = Program { machine: Connection::new(&hello), client, said: Vec::new() };
        assert!(matches!(program.event().await, Event::Welcome));
        program
    }

    async fn send(&mut self) {
        while !self.machine.poll_transmit().is_empty() {
            let bytes = self.machine.poll_transmit().to_vec();
            self.client.send(&bytes).await;
            self.machine.handle_transmitted(bytes.len());
            self.said.extend(bytes);
        }
    }

    /// Reads until there is an event. Returns `None` when all calls are done.
    async fn told(&mut self) -> Option<Event> {
        self.send().await;
        let mut buffer = [0; 4096];
        while self.machine.welcome().is_none()
            || self.machine.in_flight() > 0
            || !self.said.starts_with(b"\x94")
        {
            let n = within("an answer", self.client.stream.read(&mut buffer)).await.unwrap();
            assert!(n > 0, "the server has ended: {:?}", self.machine.goodbye());
            if let Some(event) = self.machine.handle_input(&mut &buffer[..n], Instant::now()).unwrap() {
                return Some(event);
            }
        }
        None
    }

    async fn event(&mut self) -> Event {
        self.told().await.expect("there is something to tell")
    }

    /// Adds to the pixel once, and waits for the answer.
    async fn add(&mut self) {
        self.machine.call(&Request::AddPixel { x: 1, y: 1, amount: 0x100 }, Instant::now()).unwrap();
        while self.machine.in_flight() > 0 {
            self.told().await;
        }
    }

    /// Reconnects on another connection, and returns the standing of the session.
    async fn come_back(&mut self, client: Client<S>) -> Standing {
        self.client = client;
        self.machine.handle_disconnected(Vec::new());
        self.machine.reconnect(false);
        self.send().await;
        let mut buffer = [0; 4096];
        loop {
            let n = within("an answer", self.client.stream.read(&mut buffer)).await.unwrap();
            assert!(n > 0, "the server has ended: {:?}", self.machine.goodbye());
            match self.machine.handle_input(&mut &buffer[..n], Instant::now()).unwrap() {
                Some(Event::Resumed(standing, _)) => return standing,
                Some(event) => panic!("{event:?}"),
                None => {}
            }
        }
    }
}

fn hello(n: u64, confirms: bool) -> Hello {
    Hello::new("test").with_session(id(n)).with_confirmation(confirms)
}

/// Returns how many times programs have added to the pixel.
fn count(display: &display_server::Display) -> u32 {
    let color = display.framebuffer().get_pixel(1, 1).unwrap();
    (color.to_u32() - Color::BLACK.to_u32()) / 0x100
}

/// Sends the bytes of an earlier connection on a new one, and returns everything that is received until the end.
async fn replay<S: AsyncRead + AsyncWrite + Unpin>(mut client: Client<S>, bytes: &[u8]) -> String {
    client.send(bytes).await;
    String::from_utf8_lossy(&client.rest().await).into_owned()
}

#[tokio::test]
async fn bytes_of_a_connection_that_arrive_again_are_not_executed_when_its_session_has_ended() {
    for (n, confirms) in [(1, true), (2, false)] {
        let running = start(ServerOptions::default()).await;
        let mut program = Program::new(running.connect().await, hello(n, confirms)).await;
        program.add().await;
        let copy = program.said.clone();
        // Hello 2 executes one more call, and ends the session.
        assert_eq!(program.come_back(running.connect().await).await, Standing::Resumed);
        program.add().await;
        program.machine.end_session();
        program.send().await;
        drop(program);
        until("the connection to end", || running.display.stats().connections == 0).await;
        assert_eq!(count(&running.display), 2);

        let said = replay(running.connect().await, &copy).await;
        assert!(said.contains(if confirms { "unconfirmed" } else { "superseded" }), "{said:?}");
        assert_eq!((count(&running.display), running.display.stats().executed), (2, 2), "{confirms}");
        running.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_of_a_connection_that_arrive_again_are_not_executed_when_its_lease_is_over() {
    for (confirms, later) in [(true, 121), (true, 100_000), (false, 121), (false, 719)] {
        let display = display();
        let server = Server::new(display.clone(), ServerOptions::default());
        let (client, task) = pipe(&server, 1 << 16);
        let mut program = Program::new(client, hello(1, confirms)).await;
        program.add().await;
        let copy = std::mem::take(&mut program.said);
        drop(program.client);
        within("the connection to end", task).await.unwrap();
        tokio::time::advance(Duration::from_secs(later)).await;

        let (client, _task) = pipe(&server, 1 << 16);
        let said = replay(client, &copy).await;
        assert!(said.contains(if confirms { "unconfirmed" } else { "superseded" }), "{said:?}");
        assert_eq!((count(&display), display.stats().executed), (1, 1), "{confirms}");
    }
}

#[tokio::test]
async fn an_older_hello_that_comes_late_does_not_disturb_the_connection_that_has_its_session() {
    let running = start(ServerOptions::default()).await;
    let mut program = Program::new(running.connect().await, hello(1, true)).await;
    // Hello 2 is still on its way when hello 3 is answered.
    program.machine.handle_disconnected(Vec::new());
    program.machine.reconnect(false);
    let late = program.machine.poll_transmit().to_vec();
    assert_eq!(program.come_back(running.connect().await).await, Standing::Resumed);
    program.add().await;
    let said = replay(running.connect().await, &late).await;
    assert!(
        said.contains("superseded") && said.contains("this is hello 2 of the session, and 3 has come"),
        "{said:?}"
    );
    // A copy of the client's own bytes does not disturb it either.
    let copy = program.said.clone();
    for _ in 0..2 {
        replay(running.connect().await, &copy).await;
    }
    program.add().await;
    assert_eq!((count(&running.display), program.machine.goodbye()), (2, None));
    running.stop().await;
}

/// The abandoned sessions come from the address of `near` (streams without an address count as one), and from another
/// address than that of `far`.
#[tokio::test]
async fn sessions_that_are_begun_and_left_push_out_no_client_with_work() {
    let running = start(ServerOptions::default()).await;
    let (client, task) = running.pipe(1 << 16);
    let mut near = Program::new(client, hello(1, true)).await;
    let mut far = Program::new(running.connect().await, hello(2, true)).await;
    near.add().await;
    far.add().await;
    let (client, _) = running.pipe(1 << 16);
    drop(std::mem::replace(&mut near.client, client));
    within("the connection to end", task).await.unwrap();
    drop(std::mem::replace(&mut far.client, running.connect().await));

    for n in 0..4_200 {
        let (client, task) = running.pipe(1 << 12);
        drop(Program::new(client, hello(1_000 + n, n % 2 == 0)).await);
        within("the connection to end", task).await.unwrap();
    }
    let (client, _task) = running.pipe(1 << 16);
    assert_eq!(near.come_back(client).await, Standing::Resumed);
    assert_eq!(far.come_back(running.connect().await).await, Standing::Resumed);
    near.add().await;
    far.add().await;
    assert_eq!(count(&running.display), 4);
    running.stop().await;
}

/// A network between client and display that can lose its connections while the display is stopped.
struct Relay {
    address: String,
    connections: Arc<AtomicUsize>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn start(target: &str) -> Relay {
        let (listener, target) = (TcpListener::bind("127.0.0.1:0").unwrap(), target.to_owned());
        let address = listener.local_addr().unwrap().to_string();
        let (connections, streams) = (Arc::new(AtomicUsize::new(0)), Arc::<Mutex<Vec<TcpStream>>>::default());
        let relay = Relay { address, connections: connections.clone(), streams: streams.clone() };
        std::thread::spawn(move || {
            for client in listener.incoming() {
                // The operating system accepts the connection even if the display is stopped.
                let (client, server) = (client.unwrap(), TcpStream::connect(&target).unwrap());
                streams.lock().unwrap().push(client.try_clone().unwrap());
                connections.fetch_add(1, SeqCst);
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server.try_clone().unwrap(), client.try_clone().unwrap()),
                ] {
                    std::thread::spawn(move || {
                        _ = std::io::copy(&mut from, &mut to);
                        _ = to.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        relay
    }

    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            _ = stream.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_display_that_stands_still_while_its_client_comes_back_again_and_again_costs_nothing() {
    const ROWS: i32 = 48;
    let (directory, port) = (Directory::new("frozen"), free_port());
    let server = processes::Server::start(&directory.path("journal"), port, "64x48");
    for round in 0..3_u8 {
        let relay = Relay::start(&server.address);
        let display = ConnectOptions::new()
            .reconnect(PATIENCE)
            .timeout(PATIENCE)
            .connect_timeout(Duration::from_millis(300))
            .connect_pipeline(&relay.address)
            .unwrap();
        let row = |y: i32| vec![(y as u8) ^ (round << 6); 64 * 4];
        for y in 0..ROWS {
            display.put_image(0, y, 64, 1, &row(y)).unwrap().ignore();
            if y == ROWS / 2 {
                display.sync().unwrap();
                stop(&server.process);
                relay.cut();
                // Hellos pile up before the display: the client abandons each after a while, and sends the next one.
                let began = Instant::now();
                while relay.connections.load(SeqCst) < 5 {
                    assert!(began.elapsed() < PATIENCE, "it does not come back");
                    std::thread::sleep(Duration::from_millis(10));
                }
                go_on(&server.process);
            }
        }
        display.sync().unwrap();
        for y in 0..ROWS {
            assert_eq!(display.get_image(0, y, 64, 1).unwrap(), row(y), "row {y} of round {round}");
        }
        display.close().unwrap();
    }
}
