//! The two state machines of the protocol without a network between them: all that the benchmarks need to drive a
//! machine.
//!
//! Both ends are honest, so an error that one of them finds is a defect, and panics.

use crate::pictures::SIZE;
use draw_protocol::session::Id;
use draw_protocol::{Answer, Fault, Hello, Request, client, limits, server};
use std::time::Instant;

/// The client's end.
#[derive(Debug)]
pub struct Client {
    machine: client::Connection,
    now: Instant,
}

impl Client {
    /// Makes a call.
    ///
    /// # Panics
    /// If no display could execute it.
    #[inline]
    pub fn call(&mut self, request: &Request<'_>) {
        self.machine.call(request, self.now).expect("a call that is in order");
    }

    /// Returns the bytes to be sent.
    pub fn unsent(&mut self) -> &[u8] {
        self.machine.poll_transmit()
    }

    /// Hands over the bytes to be sent.
    #[inline]
    pub fn send(&mut self, take: impl FnOnce(&[u8])) {
        let bytes = self.unsent();
        take(bytes);
        let sent = bytes.len();
        self.machine.handle_transmitted(sent);
    }

    /// Handles the bytes of the server. Returns the number of events.
    ///
    /// # Panics
    /// If the bytes are not those of a server.
    #[inline]
    pub fn take(&mut self, mut input: &[u8]) -> usize {
        let mut events = 0;
        while self.machine.handle_input(&mut input, self.now).expect("an honest server").is_some() {
            events += 1;
        }
        events
    }

    /// Returns the number of calls that are neither done nor failed.
    pub fn in_flight(&self) -> u64 {
        self.machine.in_flight()
    }
}

/// The server's end.
#[derive(Debug)]
pub struct Server {
    machine: server::Connection,
    now: Instant,
}

impl Server {
    /// Creates a server before the handshake, with a display of [`SIZE`].
    pub fn new() -> Server {
        let now = Instant::now();
        let config = server::Config {
            display: draw_protocol::DisplayName::main(),
            server: "benches".into(),
            size: SIZE,
            message: limits::MESSAGE,
            instance: Some((Id([2; 16]), 1)),
            has_journal: false,
            nonce: None,
        };
        Server { machine: server::Connection::new(config, now), now }
    }

    /// Handles and executes the bytes of the client.
    ///
    /// # Panics
    /// If the bytes are not those of a client, or if more answers are unsent than a server allows.
    #[inline]
    pub fn take(&mut self, mut input: &[u8], mut execute: impl FnMut(&Request<'_>) -> Result<Answer, Fault>) {
        loop {
            match self.machine.handle_input(&mut input, self.now) {
                server::Step::Execute(request, _) => {
                    let result = execute(&request);
                    self.machine.answer(result);
                }
                server::Step::Greet(_) => unreachable!("it has its display"),
                server::Step::Resume(_) => self.machine.resume(&mut None),
                server::Step::Continue => {}
                server::Step::Wait => break,
            }
        }
        assert!(input.is_empty(), "the server takes no more: {:?}", self.machine.closing());
    }

    /// Receives one request and leaves it unanswered.
    ///
    /// # Panics
    /// If it is anything else.
    pub fn take_one(&mut self, mut input: &[u8]) {
        let step = self.machine.handle_input(&mut input, self.now);
        assert!(matches!(step, server::Step::Execute(..)), "one request, and not {step:?}");
    }

    /// Responds to the request left by [`take_one`](Server::take_one).
    #[inline]
    pub fn answer(&mut self, result: Result<Answer, Fault>) {
        self.machine.answer(result);
    }

    /// Hands over the bytes to be sent.
    #[inline]
    pub fn send(&mut self, take: impl FnOnce(&[u8])) {
        let bytes = self.machine.poll_transmit(self.now);
        take(bytes);
        let sent = bytes.len();
        self.machine.handle_transmitted(sent, self.now);
    }

    /// Returns the number of requests that were answered with a fault.
    pub fn faults(&self) -> u64 {
        self.machine.stats().faults
    }
}

impl Default for Server {
    fn default() -> Server {
        Server::new()
    }
}

/// Responds to every request as if it had been drawn, so that only the state machines are measured.
///
/// # Errors
/// None.
#[inline]
pub fn draw_nothing(_: &Request<'_>) -> Result<Answer, Fault> {
    Ok(Answer::Done(()))
}

/// A client and a server that have exchanged greetings.
#[derive(Debug)]
pub struct Conversation {
    /// The calling end.
    pub client: Client,
    /// The executing end.
    pub server: Server,
}

impl Conversation {
    /// Creates a conversation without calls and without a session.
    pub fn new() -> Conversation {
        Conversation::greeting(&Hello::new("benches"))
    }

    /// Returns the same conversation with a session.
    pub fn in_session() -> Conversation {
        Conversation::greeting(&Hello::new("benches").with_session(Id([1; 16])))
    }

    /// Returns the same conversation without a session, and with a checksum before each message.
    pub fn with_checks() -> Conversation {
        Conversation::greeting(&Hello::new("benches").with_checks(true))
    }

    fn greeting(hello: &Hello) -> Conversation {
        let machine = client::Connection::new(hello);
        let client = Client { machine, now: Instant::now() };
        let mut new = Conversation { client, server: Server::new() };
        new.carry(draw_nothing);
        new
    }

    /// Passes the bytes of the client to the server, which executes them with `execute`, and then passes the answers
    /// back. Returns the number of answer bytes.
    #[inline]
    pub fn carry(&mut self, execute: impl FnMut(&Request<'_>) -> Result<Answer, Fault>) -> usize {
        let Conversation { client, server } = self;
        client.send(|bytes| server.take(bytes, execute));
        let mut answered = 0;
        server.send(|bytes| {
            answered = bytes.len();
            client.take(bytes);
        });
        answered
    }
}

impl Default for Conversation {
    fn default() -> Conversation {
        Conversation::new()
    }
}

/// Returns the bytes of these calls, as a client sends them first after the greeting, each in its own message.
pub fn recorded<'r>(requests: impl IntoIterator<Item = Request<'r>>) -> Vec<u8> {
    let mut client = Conversation::new().client;
    for request in requests {
        client.call(&request);
        // Messages that have been handed over are not merged with later ones.
        client.unsent();
    }
    client.unsent().to_vec()
}
