//! Tests sessions over sockets: a client whose connection breaks continues, and no call is executed twice.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use common::*;
use display_server::{Color, Server, ServerOptions};
use draw_protocol::client::{Connection, Ended, Event};
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Answer, Code, Hello, Request};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A client state machine and its current connection.
struct Program {
    machine: Connection,
    stream: TcpStream,
    told: VecDeque<Event>,
}

fn machine(session: u8) -> Connection {
    Connection::new(&Hello::new("test").with_session(Id([session; 16])))
}

impl Program {
    async fn new(running: &Running, session: u8) -> Program {
        let (machine, stream) = (machine(session), running.connect().await.stream);
        let mut program = Program { machine, stream, told: VecDeque::new() };
        assert!(matches!(program.event().await, Ok(Event::Welcome)));
        program
    }

    fn call(&mut self, request: &Request<'_>) -> u64 {
        self.machine.call(request, Instant::now()).unwrap()
    }

    fn draw(&mut self, x: i32, y: i32, color: Color) -> u64 {
        self.call(&Request::DrawPixel { x, y, color })
    }

    async fn send(&mut self) {
        while !self.machine.poll_transmit().is_empty() {
            let bytes = self.machine.poll_transmit().to_vec();
            within("the server to read", self.stream.write_all(&bytes)).await.unwrap();
            self.machine.handle_transmitted(bytes.len());
        }
    }

    /// Sends pending bytes, and reads until there is an event.
    async fn event(&mut self) -> Result<Event, Ended> {
        self.send().await;
        while self.told.is_empty() {
            self.read().await?;
        }
        Ok(self.told.pop_front().expect("it was waited for"))
    }

    async fn until_done(&mut self) {
        self.send().await;
        while self.machine.in_flight() > 0 {
            self.read().await.expect("an honest server");
        }
    }

    async fn read(&mut self) -> Result<(), Ended> {
        let mut buffer = [0; 4096];
        let n = within("an answer", self.stream.read(&mut buffer)).await.unwrap();
        assert!(n > 0, "the server has ended: {:?}", self.machine.goodbye());
        let mut input = &buffer[..n];
        while let Some(event) = self.machine.handle_input(&mut input, Instant::now())? {
            self.told.push_back(event);
        }
        Ok(())
    }

    /// Reconnects. The older connection stays open, as it does when a network fails.
    async fn come_back(&mut self, running: &Running) -> TcpStream {
        self.machine.handle_disconnected(Vec::new());
        self.machine.reconnect(false);
        std::mem::replace(&mut self.stream, running.connect().await.stream)
    }
}

#[tokio::test]
async fn a_client_that_comes_back_goes_on_and_takes_the_session_from_its_older_connection() {
    let running = start(ServerOptions::default()).await;
    let mut program = Program::new(&running, 1).await;
    program.draw(1, 1, Color::RED);
    program.until_done().await;

    // The first half of a request is on its way when the network fails; the rest is still in the older connection.
    program.draw(2, 1, Color::GREEN);
    let bytes = program.machine.poll_transmit().to_vec();
    program.machine.handle_transmitted(bytes.len());
    let (first, rest) = bytes.split_at(bytes.len() / 2);
    program.stream.write_all(first).await.unwrap();
    let mut older = program.come_back(&running).await;
    assert!(matches!(program.event().await, Ok(Event::Resumed(Standing::Resumed, lost)) if lost.is_empty()));
    // Another client draws over the pixel. If the rest from the older connection were executed, the pixel would be
    // green again.
    program.until_done().await;
    running.check_that_a_new_client_draws().await;
    let mut other = Program::new(&running, 2).await;
    other.draw(2, 1, Color::BLUE);
    other.until_done().await;

    _ = older.write_all(rest).await;
    let mut said = Vec::new();
    within("the older connection to end", older.read_to_end(&mut said)).await.unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("goodbye") && said.contains("superseded"), "{said:?}");
    let pixel = |x| running.display.framebuffer().get_pixel(x, 1);
    assert_eq!((pixel(1), pixel(2)), (Some(Color::RED), Some(Color::BLUE)));
    assert_eq!(running.display.stats().executed, 2 + 2 + 1, "each once");
    running.stop().await;
}

#[tokio::test]
async fn what_a_lost_connection_did_not_deliver_is_said_again() {
    let running = start(ServerOptions::default()).await;
    let mut program = Program::new(&running, 1).await;
    program.draw(1, 1, Color::RED);
    program.call(&Request::GetPixel { x: 1, y: 1 });
    program.draw(640, 1, Color::RED);
    program.call(&Request::Sync {});
    program.send().await;
    // All requests are executed, and nothing that the server sends is read.
    until("the requests to be executed", || running.display.stats().executed == 4).await;
    drop(program.come_back(&running).await);

    assert!(matches!(program.event().await, Ok(Event::Resumed(Standing::Resumed, lost)) if lost.is_empty()));
    program.until_done().await;
    let told = program.told.drain(..).map(|event| match event {
        Event::Answer(made, answer) => (made.number, Ok(answer)),
        Event::Fault(made, fault) => (made.number, Err(fault.code)),
        other => panic!("{other:?}"),
    });
    let expected =
        [(2, Ok(Answer::Pixel(Color::RED))), (3, Err(Code::OutOfBounds)), (4, Ok(Answer::Done(())))];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(running.display.stats().executed, 4, "each once");
    running.stop().await;
}

/// Draws a pixel, loses the connection, and reconnects after `pause`. Returns the standing of the session and the
/// number of lost calls.
async fn stand_after(pause: Duration) -> (Standing, usize) {
    let display = display();
    let server = Server::new(display.clone(), ServerOptions::default());
    let mut machine = machine(1);
    let (mut client, task) = pipe(&server, 1 << 16);
    converse(&mut client, &mut machine).await;
    machine.call(&Request::DrawPixel { x: 1, y: 1, color: Color::RED }, Instant::now()).unwrap();
    send(&mut client, &mut machine).await;
    until("it to be executed", || display.stats().executed == 1).await;
    drop(client);
    within("the connection to end", task).await.unwrap();
    machine.handle_disconnected(Vec::new());
    machine.reconnect(false);
    tokio::time::advance(pause).await;

    let (mut client, _task) = pipe(&server, 1 << 16);
    match converse(&mut client, &mut machine).await {
        Event::Resumed(standing, lost) => (standing, lost.len()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_forgotten_after_its_lease_and_the_client_is_told() {
    assert_eq!(stand_after(Duration::from_secs(119)).await, (Standing::Resumed, 0));
    assert_eq!(stand_after(Duration::from_secs(121)).await, (Standing::Expired, 1));
}

async fn send(client: &mut Client<tokio::io::DuplexStream>, machine: &mut Connection) {
    while !machine.poll_transmit().is_empty() {
        let bytes = machine.poll_transmit().to_vec();
        client.send(&bytes).await;
        machine.handle_transmitted(bytes.len());
    }
}

/// Exchanges bytes until there is an event.
async fn converse(client: &mut Client<tokio::io::DuplexStream>, machine: &mut Connection) -> Event {
    send(client, machine).await;
    let mut buffer = [0; 4096];
    loop {
        let n = within("an answer", client.stream.read(&mut buffer)).await.unwrap();
        assert!(n > 0, "the server has ended: {:?}", machine.goodbye());
        if let Some(event) = machine.handle_input(&mut &buffer[..n], Instant::now()).unwrap() {
            return event;
        }
    }
}

#[tokio::test]
async fn a_client_of_another_display_is_told_that_its_state_is_lost() {
    let (first, second) = (start(ServerOptions::default()).await, start(ServerOptions::default()).await);
    let mut program = Program::new(&first, 1).await;
    program.draw(1, 1, Color::RED);
    program.send().await;
    program.come_back(&second).await;
    // This call is made before the loss is known. It was never sent, so it goes to the new display.
    program.draw(2, 2, Color::GREEN);
    match program.event().await {
        Ok(Event::Resumed(Standing::StateLost, lost)) => {
            assert_eq!(lost.iter().map(|made| made.number).collect::<Vec<_>>(), [1]);
        }
        other => panic!("{other:?}"),
    }
    program.until_done().await;
    let pixel = |x, y| second.display.framebuffer().get_pixel(x, y);
    assert_eq!((pixel(1, 1), pixel(2, 2)), (Some(Color::BLACK), Some(Color::GREEN)));
}
