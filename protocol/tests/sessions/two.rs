//! A display that records the executed requests, and its one client, in one thread.

use crate::common::{Raw, SIZE, config};
use draw_protocol::client::{self, Ended, Event};
use draw_protocol::server::{self, Step};
use draw_protocol::session::{Id, Nonce, Session};
use draw_protocol::{Answer, Code, Color, Hello, Request, limits};
use std::time::Instant;

pub(crate) const SESSION: Id = Id([3; 16]);
pub(crate) const CLEAR: Request<'static> = Request::Clear { color: Color::RED };
pub(crate) const FILL: Request<'static> =
    Request::FillRect { x: 0, y: 0, width: 1, height: 1, color: Color::RED };
pub(crate) const ASK: Request<'static> = Request::GetPixel { x: 0, y: 0 };

/// A display that records the executed requests, and its one client.
pub(crate) struct Two {
    pub(crate) client: client::Connection,
    pub(crate) server: server::Connection,
    /// The display's only session.
    pub(crate) parked: Option<Session>,
    pub(crate) instance: Id,
    /// The limit on the bytes of a message.
    pub(crate) message: usize,
    /// The number of connections so far. Each has a nonce of its own.
    pub(crate) connections: u64,
    pub(crate) executed: Vec<String>,
    pub(crate) told: Vec<Event>,
    pub(crate) now: Instant,
}

impl Two {
    pub(crate) fn new() -> Two {
        Two::with(Hello::new("test"))
    }

    /// Returns a session with a confirmed welcome.
    pub(crate) fn with(hello: Hello) -> Two {
        let mut two = Two::greeted(hello);
        two.up();
        assert!(!two.server.is_unconfirmed());
        two
    }

    /// Returns a client that has received the welcome and sent nothing since.
    pub(crate) fn greeted(hello: Hello) -> Two {
        let now = Instant::now();
        let mut two = Two {
            client: client::Connection::new(&hello.with_session(SESSION)),
            server: server::Connection::new(config(SIZE), now),
            parked: None,
            instance: Id([1; 16]),
            message: limits::MESSAGE,
            connections: 0,
            executed: Vec::new(),
            told: Vec::new(),
            now,
        };
        two.accept();
        two.round();
        assert!(matches!(two.told[..], [Event::Welcome]));
        two.told.clear();
        two
    }

    /// Opens another connection at the server's end.
    pub(crate) fn accept(&mut self) {
        self.connections += 1;
        self.server = self.accept_with(Some(Nonce::new(self.connections)));
    }

    /// Returns the server's end of another connection with this nonce.
    pub(crate) fn accept_with(&self, nonce: Option<Nonce>) -> server::Connection {
        let mut config = config(SIZE);
        (config.instance, config.has_journal) = (Some((self.instance, 1)), false);
        (config.message, config.nonce) = (self.message, nonce);
        server::Connection::new(config, self.now)
    }

    /// Takes the client's output, which the caller may drop.
    pub(crate) fn send(&mut self) -> Vec<u8> {
        let mut sent = Vec::new();
        while !self.client.poll_transmit().is_empty() {
            let next = self.client.poll_transmit().to_vec();
            self.client.handle_transmitted(next.len());
            sent.extend(next);
        }
        sent
    }

    /// Carries the client's output to the server, which executes it.
    pub(crate) fn up(&mut self) {
        let sent = self.send();
        self.hear(&sent);
    }

    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        let mut input = bytes;
        loop {
            match self.server.handle_input(&mut input, self.now) {
                Step::Execute(request, _) => {
                    self.executed.push(request.call().to_string());
                    let answer = match request {
                        Request::GetPixel { .. } => Ok(Answer::Pixel(Color::RED)),
                        Request::Clear { .. } => Err(draw_protocol::Fault::new(Code::NoMemory, "not now")),
                        _ => Ok(Answer::Done(())),
                    };
                    self.server.answer(answer);
                }
                Step::Greet(_) => unreachable!("it has its display"),
                Step::Resume(_) => self.server.resume(&mut self.parked),
                Step::Continue => {}
                Step::Wait => return,
            }
        }
    }

    /// Takes the server's output, which the caller may drop.
    pub(crate) fn say(&mut self) -> Vec<u8> {
        let said = self.server.poll_transmit(self.now).to_vec();
        self.server.handle_transmitted(said.len(), self.now);
        said
    }

    pub(crate) fn tell(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        let mut input = bytes;
        while let Some(event) = self.client.handle_input(&mut input, self.now)? {
            self.told.push(event);
        }
        Ok(())
    }

    pub(crate) fn round(&mut self) {
        self.up();
        let said = self.say();
        self.tell(&said).expect("an honest server");
    }

    pub(crate) fn call(&mut self, request: &Request<'_>) {
        self.client.call(request, self.now).expect("a valid call");
    }

    /// Loses the connection, with both ends aware of it, and opens another.
    pub(crate) fn reconnect(&mut self) {
        self.client.handle_disconnected(Vec::new());
        self.parked = self.server.take_session().map(|(_, session)| session).or(self.parked.take());
        self.accept();
        self.client.reconnect(false);
    }
}

pub(crate) fn closing(two: &Two) -> Option<Code> {
    two.server.closing().map(|fault| fault.code.clone())
}

/// Returns the bytes that confirm the welcome with this nonce.
pub(crate) fn confirm(nonce: u64) -> Vec<u8> {
    let mut bytes = Raw::notification("confirm").bytes(&[0x91, 0xcf]).0;
    bytes.extend(nonce.to_be_bytes());
    bytes
}
