//! A client, a server and a display in one thread, with a clock that the tests move.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod calls;
pub(crate) mod display;
pub(crate) mod garbage;

use display::Display;
use draw_protocol::client::{self, Event};
use draw_protocol::server::{self, Step};
use draw_protocol::session::Id;
use draw_protocol::{Answer, Code, Hello, Range, Request, Size, Welcome, limits};
use std::time::{Duration, Instant};

/// An event of the client, in a form that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Welcome,
    /// Number of the call, the call as printed, code, text, and the rejected pixels.
    Fault(u64, String, Code, String, Vec<Range>),
    Answer(u64, Answer),
}

impl From<Event> for Told {
    fn from(event: Event) -> Told {
        match event {
            Event::Fault(made, fault) => Told::Fault(
                made.number,
                made.call.to_string(),
                fault.code.clone(),
                fault.message.clone(),
                fault.rejected().to_vec(),
            ),
            Event::Answer(made, answer) => Told::Answer(made.number, answer),
            _ => Told::Welcome,
        }
    }
}

pub(crate) const SIZE: Size = Size { width: 640, height: 480 };

pub(crate) fn config(size: Size) -> server::Config {
    server::Config {
        display: draw_protocol::DisplayName::main(),
        server: "demo".into(),
        size,
        message: limits::MESSAGE,
        instance: None,
        has_journal: true,
        nonce: None,
    }
}

/// A server state machine with its display.
pub(crate) struct Host {
    pub(crate) server: server::Connection,
    pub(crate) display: Display,
    pub(crate) now: Instant,
}

impl Host {
    pub(crate) fn new(size: Size) -> Host {
        Host::with(config(size))
    }

    pub(crate) fn with(config: server::Config) -> Host {
        let now = Instant::now();
        let display = Display::new(config.size);
        Host { server: server::Connection::new(config, now), display, now }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
    }

    /// Passes `bytes` to the server and executes the requests. Returns the number of bytes taken.
    pub(crate) fn hear(&mut self, bytes: &[u8]) -> usize {
        let mut input = bytes;
        loop {
            match self.server.handle_input(&mut input, self.now) {
                Step::Execute(request, _) => {
                    let result = self.display.apply(&request);
                    self.server.answer(result);
                }
                Step::Greet(_) => unreachable!("it has its display"),
                Step::Resume(_) => self.server.resume(&mut None),
                Step::Continue => {}
                Step::Wait => return bytes.len() - input.len(),
            }
        }
    }

    /// Takes the server's released output. Output that waits for the disk stays.
    pub(crate) fn say_released(&mut self) -> Vec<u8> {
        let said = self.server.poll_transmit(self.now).to_vec();
        self.server.handle_transmitted(said.len(), self.now);
        said
    }

    /// Takes all of the server's output. The disk has everything at once.
    pub(crate) fn say(&mut self) -> Vec<u8> {
        let mut said = self.say_released();
        while self.server.mark() {
            self.server.release();
            said.extend(self.say_released());
        }
        said
    }

    /// Passes `bytes` to the server and returns its output.
    pub(crate) fn ask(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.hear(bytes);
        self.say()
    }

    /// Sends `hello` and discards the answer.
    pub(crate) fn greeted(mut self) -> Host {
        let answer = self.ask(client::Connection::new(&Hello::new("test")).poll_transmit());
        assert!(answer.starts_with(&[0x94, 0x01, 0x00, 0xc0]), "{answer:02x?}");
        self
    }
}

/// A client and a server.
pub(crate) struct World {
    pub(crate) client: client::Connection,
    pub(crate) host: Host,
    pub(crate) told: Vec<Told>,
    /// All bytes that either side has sent.
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
}

impl World {
    /// Returns a client and a server that have greeted each other.
    pub(crate) fn new(size: Size) -> World {
        World::silent(size).greeted()
    }

    pub(crate) fn greeted(mut self) -> World {
        self.round();
        assert_eq!(std::mem::take(&mut self.told), [Told::Welcome]);
        self
    }

    /// Returns a client that has not sent its `hello` yet.
    pub(crate) fn silent(size: Size) -> World {
        World::with(config(size))
    }

    /// Returns the same as [`World::silent`], with these settings of the server.
    pub(crate) fn with(config: server::Config) -> World {
        let client = client::Connection::new(&Hello::new("demo"));
        World { client, host: Host::with(config), told: vec![], to_server: vec![], to_client: vec![] }
    }

    /// Returns a client in a session of a display with these settings.
    pub(crate) fn in_session(config: server::Config) -> World {
        let client = client::Connection::new(&Hello::new("demo").with_session(Id([9; 16])));
        let world = World { client, ..World::with(config) }.greeted();
        assert!(world.client.is_resumable());
        world
    }

    /// Loses the connection and continues the session on another.
    pub(crate) fn come_back(&mut self, config: server::Config) {
        let mut found = self.host.server.take_session().map(|(_, session)| session);
        assert!(found.is_some());
        self.host.server = server::Connection::new(config, self.host.now);
        self.client.handle_disconnected(Vec::new());
        self.client.reconnect(false);
        let greeting = self.client.poll_transmit().to_vec();
        self.client.handle_transmitted(greeting.len());
        let mut input = &greeting[..];
        assert!(matches!(self.host.server.handle_input(&mut input, self.host.now), Step::Resume(_)));
        assert!(input.is_empty());
        self.host.server.resume(&mut found);
        self.down(&mut uncut);
    }

    /// Returns a client with a welcome that `change` has modified, for example to grant less than the server does.
    pub(crate) fn granted(size: Size, change: impl FnOnce(&mut Welcome)) -> World {
        let mut world = World::silent(size);
        world.up(&mut uncut);
        world.host.say();
        world.hear_from_server(&welcome(size, change));
        assert_eq!(std::mem::take(&mut world.told), [Told::Welcome]);
        world
    }

    pub(crate) fn call(&mut self, request: &Request<'_>) -> u64 {
        self.client.call(request, self.host.now).expect("a call that can be sent")
    }

    /// Carries the output of both sides once.
    pub(crate) fn round(&mut self) {
        self.up(&mut uncut);
        self.down(&mut uncut);
    }

    /// Carries the client's output, in pieces of the lengths that `cut` returns.
    pub(crate) fn up(&mut self, cut: &mut impl FnMut() -> usize) {
        let sent = self.client.poll_transmit().to_vec();
        self.client.handle_transmitted(sent.len());
        for piece in pieces(&sent, cut) {
            assert_eq!(self.host.hear(piece), piece.len(), "an honest client is heard");
        }
        self.to_server.extend(sent);
    }

    /// Carries the server's output.
    pub(crate) fn down(&mut self, cut: &mut impl FnMut() -> usize) {
        let said = self.host.say();
        for piece in pieces(&said, cut) {
            self.hear_from_server(piece);
        }
        self.to_client.extend(said);
    }

    pub(crate) fn hear_from_server(&mut self, bytes: &[u8]) {
        // The server answers requests that were sent.
        self.client.poll_transmit();
        let before = self.client.done();
        let mut input = bytes;
        while let Some(event) = self.client.handle_input(&mut input, self.host.now).expect("an honest server")
        {
            self.told.push(event.into());
        }
        assert!(input.is_empty(), "all of it was taken");
        assert!(self.client.done() >= before, "what is done stays done");
    }
}

pub(crate) fn uncut() -> usize {
    usize::MAX
}

/// Splits `bytes` into pieces of at least one byte.
pub(crate) fn pieces<'a>(bytes: &'a [u8], cut: &mut impl FnMut() -> usize) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    std::iter::from_fn(|| {
        let (piece, after) = rest.split_at(cut().clamp(1, rest.len().max(1)).min(rest.len()));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
    .collect()
}

/// Returns the answer to `hello` with a welcome that `change` has modified.
pub(crate) fn welcome(size: Size, change: impl FnOnce(&mut Welcome)) -> Vec<u8> {
    let mut welcome = Welcome::new("demo", size, limits::MESSAGE);
    change(&mut welcome);
    let map = rmp_serde::to_vec_named(&welcome).expect("a map");
    [&[0x94, 0x01, 0x00, 0xc0][..], &map].concat()
}

/// Bytes of a message, written by hand in the tests.
pub(crate) struct Raw(pub(crate) Vec<u8>);

impl Raw {
    pub(crate) fn request(msgid: u32, method: &str) -> Raw {
        Raw(vec![0x94, 0x00]).uint(msgid).str(method)
    }

    pub(crate) fn response(msgid: u32) -> Raw {
        Raw(vec![0x94, 0x01]).uint(msgid)
    }

    pub(crate) fn notification(method: &str) -> Raw {
        Raw(vec![0x93, 0x02]).str(method)
    }

    pub(crate) fn uint(mut self, n: u32) -> Raw {
        rmp::encode::write_uint(&mut self.0, u64::from(n)).expect("a Vec takes every byte");
        self
    }

    pub(crate) fn str(mut self, text: &str) -> Raw {
        rmp::encode::write_str(&mut self.0, text).expect("a Vec takes every byte");
        self
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Raw {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn bin(mut self, bytes: &[u8]) -> Raw {
        rmp::encode::write_bin(&mut self.0, bytes).expect("a Vec takes every byte");
        self
    }
}

/// Returns the texts of the faults in plain responses, in order. Panics on anything else.
pub(crate) fn plain_faults(mut bytes: &[u8]) -> Vec<(u32, String)> {
    let mut faults = Vec::new();
    while !bytes.is_empty() {
        let (one, msgid, (kind, text), result): (u8, u32, (u8, String), Option<()>) =
            rmp_serde::from_read(&mut bytes).expect("a plain fault");
        assert_eq!((one, kind, result), (1, 0, None));
        faults.push((msgid, text));
    }
    faults
}
