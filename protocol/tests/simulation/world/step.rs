//! Steps without faults.

use super::super::link::Link;
use super::super::program::Next;
use super::super::workload;
use super::{CLIENT_MEMORY, Happening, World};
use draw_protocol::session::Standing;
use draw_protocol::{Request, limits};
use std::time::Duration;

impl World {
    /// Performs a random step without faults.
    pub(super) fn step(&mut self) {
        if self.frozen > 0 {
            self.frozen -= 1;
            if self.frozen == 0 {
                self.thaw();
            }
        }
        let at = self.random.below(self.programs.len());
        match self.random.below(100) {
            0..25 => self.call(at),
            25..45 => self.send(at),
            45..50 if self.programs[at].link.is_none() => self.connect(at),
            50..52 => {
                let time = Duration::from_micros(self.random.next() % 3000);
                self.pass(time);
            }
            52..54 => {
                self.host.sync(&self.ledger);
                self.note(Happening::Synced { executions: self.ledger.executions() });
            }
            _ => {
                if !self.live.is_empty() {
                    let link = self.any_link();
                    match self.random.below(3) {
                        0 => self.arrive(link),
                        1 => self.answer(link),
                        _ => self.hear(link),
                    }
                }
            }
        }
    }

    fn call(&mut self, at: usize) {
        let session = self.programs[at].session;
        if self.programs[at].has_ended {
            return;
        }
        let count = if self.is_busy && self.random.happens(1, 12) { 260 } else { 1 };
        let kind = self.random.below(3);
        for _ in 0..count {
            let (random, ledger, program) = (&mut self.random, &mut self.ledger, &mut self.programs[at]);
            let asked = || ledger.next_question(session);
            let mut call = match (count, kind) {
                (1, _) => workload::call(random, asked),
                (_, 0) => workload::rectangle(random),
                (_, 1) => workload::call(random, asked),
                _ => workload::read(asked),
            };
            if program.machine.welcome().is_none() || !program.machine.has_credit(&call.request(), 0) {
                return;
            }
            if count == 1 && random.happens(1, 20) {
                // An invalid call is refused at once and leaves nothing behind.
                let wrong = Request::PutImage { x: 0, y: 0, width: 2, height: 2, rgba: &[0] };
                let is_refused = program.machine.call(&wrong, self.now).is_err();
                ledger.check(is_refused, || "a call that cannot be was made".into());
            }
            ledger.call(session, &mut call);
            let number = program.machine.call(&call.request(), self.now).expect("a valid call");
            let calls = ledger.calls(session);
            ledger.check(number == calls, || format!("call {calls} has number {number}"));
            let memory = program.machine.memory();
            ledger.check(memory < CLIENT_MEMORY, || format!("a client has {memory} bytes"));
            let call = call.request().call().to_string();
            self.note(Happening::Call { session, number, call });
        }
    }

    pub(super) fn connect(&mut self, at: usize) {
        let link = self.links.len();
        self.links.push(Link::new(at, self.ledger.process(), self.programs[at].kind, self.now));
        self.live.push(link);
        self.host.accept(link, self.random.next(), self.now);
        self.programs[at].connect(link, &mut self.random, self.now);
        self.note(Happening::Connect { session: self.programs[at].session, link });
    }

    pub(super) fn send(&mut self, at: usize) {
        let Some(link) = self.programs[at].link else { return };
        let before = self.links[link].up.len();
        self.programs[at].send(&mut self.links[link], &mut self.random);
        let bytes = self.links[link].up.len() - before;
        self.note(Happening::Send { link, bytes });
    }

    pub(super) fn arrive(&mut self, link: usize) {
        if self.frozen > 0 {
            return;
        }
        if !self.may_arrive(link) {
            let way = &mut self.links[link];
            let n = way.up.len();
            way.up.drop_first(n);
        }
        let way = &mut self.links[link];
        if !way.has_server {
            let n = way.up.len();
            way.up.drop_first(n);
            return self.bury(link);
        }
        if way.up.has_ended() {
            self.host.leave(link, way, self.now);
            self.note(Happening::ServerLeaves { link });
            return self.bury(link);
        }
        let bytes = self.random.portion(way.up.len());
        self.host.take(link, way, bytes, self.now, &mut self.ledger);
        self.note(Happening::Arrive { link, bytes });
    }

    /// Returns whether the network may still deliver the bytes of a link. Copies of clients that confirm may arrive at
    /// any time; others only as long as the display knows the session or its tombstone.
    fn may_arrive(&self, link: usize) -> bool {
        let link = &self.links[link];
        let is_fresh =
            self.now - link.began < limits::SESSION_TOMBSTONE && link.process == self.ledger.process();
        !link.is_copy || link.kind.confirms || is_fresh
    }

    pub(super) fn answer(&mut self, link: usize) {
        let way = &mut self.links[link];
        if way.has_server && self.frozen == 0 {
            let before = way.down.len();
            self.host.send(link, way, &mut self.random, self.now);
            let bytes = way.down.len() - before;
            self.note(Happening::Answer { link, bytes });
        }
    }

    pub(super) fn hear(&mut self, link: usize) {
        let way = &mut self.links[link];
        let at = way.client;
        if !way.has_client {
            let n = way.down.len();
            way.down.drop_first(n);
            return self.bury(link);
        }
        if way.down.has_ended() {
            return self.leave(at);
        }
        let bytes = self.random.portion(way.down.len());
        let program = &mut self.programs[at];
        let (by, may_lose) = (way.process, way.is_copied || way.is_robbed);
        let next = program.take(way.down.first(bytes), by, may_lose, self.now, &mut self.ledger);
        way.down.drop_first(bytes);
        let (session, done, resumed) = (program.session, program.machine.done(), program.resumed.take());
        self.note(Happening::Hear { link, bytes, done });
        if let Some(standing) = resumed {
            let kinds = [Standing::Resumed, Standing::Regressed, Standing::Expired, Standing::StateLost];
            if let Some(at) = kinds.iter().position(|kind| *kind == standing) {
                self.run.standings[at] += 1;
            }
            self.note(Happening::Resumed { session, standing: standing.as_str() });
        }
        match next {
            Next::GoOn => {}
            Next::Leave => self.leave(at),
            Next::Decide => {
                self.leave(at);
                let is_accepted = self.random.happens(2, 3);
                self.note(Happening::LossAccepted { session, is_accepted });
                if is_accepted {
                    self.programs[at].accept_loss();
                    self.ledger.forgive(session);
                } else {
                    self.restart_client(at);
                }
            }
        }
    }

    /// Closes the client's end of its connection.
    pub(super) fn leave(&mut self, at: usize) {
        if let Some(link) = self.programs[at].link {
            self.programs[at].disconnect(&mut self.links[link], &mut self.random);
            self.note(Happening::ClientLeaves { link, session: self.programs[at].session });
            self.bury(link);
        }
    }

    pub(super) fn bury(&mut self, link: usize) {
        let way = &self.links[link];
        if !way.has_client && !way.has_server {
            self.live.retain(|&live| live != link);
        }
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
        if self.frozen == 0 {
            self.host.time_passes(self.now);
        }
        for at in 0..self.programs.len() {
            self.programs[at].machine.handle_timeout(self.now);
            if self.programs[at].is_impatient(self.now) {
                self.leave(at);
            }
        }
        self.note(Happening::Time { ms: time.as_millis() as u64 });
    }
}
