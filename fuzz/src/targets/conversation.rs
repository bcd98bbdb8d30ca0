use crate::common::calls::call;
use crate::common::model::{Model, Said, said};
use crate::common::{SMALL, config};
use arbitrary::{Result, Unstructured};
use draw_protocol::client::{self, Ended, Event};
use draw_protocol::server::{self, Step};
use draw_protocol::session::{Claim, Id, Nonce, Peer, Resume, Sessions};
use draw_protocol::{Code, Fault, Hello, limits};
use std::time::{Duration, Instant};

/// A program that makes calls, a network that cuts, delays and alters bytes, and a display: once everything works
/// again, each call was executed once and in order, and the program received for each what a display in memory returns
/// directly. Bytes of lost connections may still arrive, and all that a connection has carried may arrive again on
/// another; neither has any effect.
pub fn conversation(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(mode) = input.arbitrary::<u8>() else { return };
    let mut world = World::new(mode);
    // Long inputs find nothing that short ones do not, and take long.
    for _ in 0..300 {
        if input.is_empty() || world.step(&mut input).is_err() {
            break;
        }
    }
    world.settle();
}

struct World {
    client: client::Connection,
    /// Set if bytes are taken out of the state machine rather than borrowed.
    swaps: bool,
    taken: Vec<u8>,
    sent: usize,
    has_checks: bool,
    /// Set if a message to the client did not arrive in time.
    is_late: bool,
    is_new: bool,
    links: Vec<Link>,
    /// Index of the client's connection in `links`.
    link: Option<usize>,
    sessions: Sessions<usize>,
    display: Model,
    /// The display as it will be when all calls are executed.
    model: Model,
    calls: u64,
    expected: Vec<(u64, Said)>,
    told: Vec<(u64, Said)>,
    now: Instant,
    end: Instant,
}

/// A connection, and the bytes in transit.
struct Link {
    server: Option<server::Connection>,
    up: Vec<u8>,
    down: Vec<u8>,
    is_altered: bool,
    /// All that the client has sent.
    sent: Vec<u8>,
    /// Set if it repeats what another connection has carried.
    is_copy: bool,
}

const SESSION: Id = Id([9; 16]);

impl World {
    fn new(mode: u8) -> World {
        let now = Instant::now();
        let has_checks = mode & 1 > 0;
        World {
            client: client::Connection::new(
                &Hello::new("fuzz")
                    .with_session(SESSION)
                    .with_checks(has_checks)
                    .with_confirmation(mode & 4 == 0),
            ),
            swaps: mode & 2 > 0,
            taken: Vec::new(),
            sent: 0,
            has_checks,
            is_late: false,
            is_new: true,
            links: Vec::new(),
            link: None,
            sessions: Sessions::default(),
            display: Model::new(SMALL),
            model: Model::new(SMALL),
            calls: 0,
            expected: Vec::new(),
            told: Vec::new(),
            now,
            // Before a parked session is forgotten.
            end: now + limits::SESSION_LEASE - Duration::from_secs(10),
        }
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let step = input.arbitrary::<u8>()?;
        // Mostly all available bytes, otherwise a few.
        let most = if step & 0x80 > 0 { input.arbitrary::<u8>()?.into() } else { usize::MAX };
        match step & 0x0f {
            0..4 => self.call(input)?,
            4 | 5 => self.send(most),
            6 | 7 => self.arrive(self.any(step), most),
            8 | 9 => self.answer(self.any(step), most),
            10 | 11 => self.hear(most),
            12 => {
                self.leave(most);
                self.connect();
            }
            13 => self.server_leaves(self.any(step)),
            14 => self.pass(Duration::from_millis(u64::from(input.arbitrary::<u8>()?) * 40)),
            _ if self.has_checks => self.alter(self.any(step), input)?,
            _ => self.copy(self.any(step)),
        }
        Ok(())
    }

    /// Returns the client's own connection, or one of the latest.
    fn any(&self, step: u8) -> usize {
        let back = usize::from(step >> 4 & 7);
        self.links.len().saturating_sub(1 + back.saturating_sub(3))
    }

    fn call(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let call = call(input)?;
        let request = call.request();
        if self.client.welcome().is_none() || !self.client.has_credit(&request, 0) {
            return Ok(());
        }
        match (self.client.call(&request, self.now), self.model.apply(&request)) {
            (Ok(number), said) => {
                self.calls += 1;
                assert_eq!(number, self.calls);
                if said.is_err() || request.method().has_answer() {
                    self.expected.push((number, said));
                }
            }
            (Err(fault), said) => assert_eq!(said.map_err(|(code, _)| code), Err(fault.code)),
        }
        Ok(())
    }

    fn connect(&mut self) {
        if !std::mem::take(&mut self.is_new) {
            self.client.reconnect(false);
        }
        self.accept(Vec::new(), false);
        self.link = Some(self.links.len() - 1);
    }

    /// Adds a connection with these bytes in transit.
    fn accept(&mut self, up: Vec<u8>, is_copy: bool) {
        let server = Some(server::Connection::open(limits::FIRST_MESSAGE, self.now));
        let (down, sent, is_altered) = (Vec::new(), Vec::new(), false);
        self.links.push(Link { server, up, down, is_altered, sent, is_copy });
    }

    /// Delivers what a connection has carried so far on another one.
    fn copy(&mut self, number: usize) {
        if let Some(link) = self.links.get(number).filter(|link| !link.is_copy) {
            self.accept(link.sent.clone(), true);
        }
    }

    fn send(&mut self, most: usize) {
        let Some(link) = self.link else { return self.connect() };
        let Link { up, sent, .. } = &mut self.links[link];
        if self.swaps {
            if self.sent == self.taken.len() {
                (self.taken, self.sent) = (self.client.swap_transmit(std::mem::take(&mut self.taken)), 0);
            }
            let n = most.min(self.taken.len() - self.sent);
            up.extend_from_slice(&self.taken[self.sent..][..n]);
            sent.extend_from_slice(&self.taken[self.sent..][..n]);
            self.sent += n;
        } else {
            let bytes = self.client.poll_transmit();
            let n = most.min(bytes.len());
            up.extend_from_slice(&bytes[..n]);
            sent.extend_from_slice(&bytes[..n]);
            self.client.handle_transmitted(n);
        }
    }

    /// Makes the client give its connection up, possibly in the middle of a write of unknown progress.
    fn leave(&mut self, most: usize) {
        let Some(link) = self.link.take() else { return };
        if most < 128 {
            let bytes = if self.swaps { &self.taken[self.sent..] } else { self.client.poll_transmit() };
            let n = most.min(bytes.len());
            self.links[link].up.extend_from_slice(&bytes[..n]);
            self.links[link].sent.extend_from_slice(&bytes[..n]);
        }
        (self.sent, self.is_late) = (0, false);
        self.client.handle_disconnected(std::mem::take(&mut self.taken));
    }

    fn arrive(&mut self, number: usize, most: usize) {
        let Some(link) = self.links.get_mut(number) else { return };
        let Some(mut server) = link.server.take() else { return link.up.clear() };
        let bytes: Vec<_> = link.up.drain(..most.min(link.up.len())).collect();
        let mut input = &bytes[..];
        loop {
            match server.handle_input(&mut input, self.now) {
                Step::Execute(request, stamp) => {
                    assert!(!self.links[number].is_copy, "{} came late", request.call());
                    assert!(
                        stamp.is_some_and(|stamp| stamp.session == SESSION),
                        "it is no part of the session"
                    );
                    let result = self.display.apply(&request);
                    server.answer(
                        result
                            .map_err(|(code, rejected)| Fault::of_pixels(code, "it lies outside", rejected)),
                    );
                }
                Step::Greet(_) => {
                    let mut config = config(SMALL);
                    // The lowest limit that a client accepts: larger images are split into bands.
                    config.message = limits::FIRST_MESSAGE;
                    config.nonce = Some(Nonce::new(number as u64));
                    server.choose(Ok(config));
                }
                Step::Resume(asked) => self.resume(&mut server, number, asked),
                Step::Continue => {}
                Step::Wait => break,
            }
        }
        if server.closing().is_none() {
            // The server reads no further while too much waits to be sent.
            self.links[number].up.splice(..0, input.iter().copied());
        }
        self.links[number].server = Some(server);
    }

    fn resume(&mut self, server: &mut server::Connection, number: usize, asked: Resume) {
        let id = asked.session;
        let held = match self.sessions.claim(&asked, Peer::default(), number, self.now) {
            Claim::Granted(found) => Ok(found),
            Claim::Held(&other) => Err(other),
            Claim::Overtaken(latest) => return server.overtaken(latest),
        };
        let mut found = held.unwrap_or_else(|other| {
            self.part(other);
            match self.sessions.claim(&asked, Peer::default(), number, self.now) {
                Claim::Granted(found) => found,
                other => panic!("it was parked: {other:?}"),
            }
        });
        server.resume(&mut found);
        match (server.session(), found) {
            (Some(_), _) => {}
            (None, Some(session)) => self.sessions.park(id, session, self.now),
            (None, None) => self.sessions.forget(id),
        }
    }

    /// Takes the session back from a connection.
    fn part(&mut self, number: usize) {
        if let Some((id, session)) =
            self.links[number].server.as_mut().and_then(server::Connection::take_session)
        {
            self.sessions.park(id, session, self.now);
        }
    }

    fn server_leaves(&mut self, number: usize) {
        if number < self.links.len() {
            self.part(number);
            self.links[number].server = None;
        }
    }

    fn answer(&mut self, number: usize, most: usize) {
        let Some(link) = self.links.get_mut(number) else { return };
        let Some(server) = &mut link.server else { return };
        let bytes = server.poll_transmit(self.now);
        let n = most.min(bytes.len());
        link.down.extend_from_slice(&bytes[..n]);
        server.handle_transmitted(n, self.now);
        if server.closing().is_some() && server.unsent() == 0 {
            self.server_leaves(number);
        }
    }

    fn hear(&mut self, most: usize) {
        let Some(link) = self.link else { return };
        let down = &mut self.links[link].down;
        let bytes: Vec<_> = down.drain(..most.min(down.len())).collect();
        let (mut input, before) = (&bytes[..], self.client.done());
        loop {
            match self.client.handle_input(&mut input, self.now) {
                Ok(None) => break,
                Ok(Some(Event::Fault(made, fault))) => self.told.push((made.number, said(Err(fault)))),
                Ok(Some(Event::Answer(made, answer))) => self.told.push((made.number, Ok(answer))),
                Ok(Some(Event::Resumed(_, lost))) => {
                    assert!(lost.is_empty(), "nothing is ever lost here: {lost:?}");
                }
                Ok(Some(_)) => {}
                Err(Ended::Refused(fault)) if matches!(fault.code, Code::Superseded | Code::TooSlow) => {
                    return self.leave(usize::MAX);
                }
                // A message that is overdue may have been altered to appear longer than it is.
                Err(Ended::Corrupted(_)) if self.links[link].is_altered || self.is_late => {
                    return self.leave(usize::MAX);
                }
                Err(ended) => panic!("an honest display is believed: {ended}"),
            }
        }
        assert!(
            self.client.done() >= before && self.expected.starts_with(&self.told),
            "{:?}",
            self.told.last()
        );
    }

    /// Alters a byte in transit if there are checks. Only once per connection: two alterations that match each other
    /// would be deliberate.
    fn alter(&mut self, number: usize, input: &mut Unstructured<'_>) -> Result<()> {
        let (at, by): (u8, u8) = (input.arbitrary()?, input.arbitrary()?);
        if let Some(link) = self.links.get_mut(number).filter(|link| self.has_checks && !link.is_altered) {
            let way = if by & 1 > 0 { &mut link.up } else { &mut link.down };
            if let Some(byte) = way.get_mut(usize::from(at)) {
                *byte ^= by.max(1);
                link.is_altered = true;
            }
        }
        Ok(())
    }

    fn pass(&mut self, time: Duration) {
        self.now = (self.now + time).min(self.end);
        self.is_late |= self.client.poll_timeout().is_some_and(|at| at <= self.now);
        self.client.handle_timeout(self.now);
        for number in 0..self.links.len() {
            if let Some(server) = &mut self.links[number].server {
                server.handle_timeout(self.now);
            }
        }
    }

    /// Runs on without faults until everything is done.
    fn settle(mut self) {
        // An altered connection may wait for bytes that never arrive.
        self.leave(usize::MAX);
        for round in 0..200 {
            if self.link.is_none() {
                self.connect();
            }
            self.send(usize::MAX);
            for number in 0..self.links.len() {
                self.arrive(number, usize::MAX);
                self.answer(number, usize::MAX);
            }
            self.hear(usize::MAX);
            let is_over = |link: usize| self.links[link].server.is_none() && self.links[link].down.is_empty();
            if self.link.is_some_and(is_over) {
                self.leave(usize::MAX);
            }
            let is_idle = self.client.in_flight() == 0 && self.client.unsent() == 0 && round > 2;
            if is_idle && self.link.is_some() {
                break;
            }
        }
        assert_eq!(
            (self.client.in_flight(), self.client.done()),
            (0, self.calls),
            "it does not come to an end"
        );
        assert_eq!(self.told, self.expected);
        assert!(self.display == self.model, "the picture is another: something was executed twice, or not");
    }
}
