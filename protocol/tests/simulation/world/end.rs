//! The end of a run: the faults stop, all calls are done, and nothing is left behind.

use super::World;
use std::time::Duration;

impl World {
    /// Runs without faults until all calls are done. Fails after 4,000 rounds.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        if self.frozen > 0 {
            self.thaw();
        }
        for round in 0..4_000 {
            if round % 4 == 0 {
                self.host.sync(&self.ledger);
            }
            for at in 0..self.programs.len() {
                if self.programs[at].link.is_none() {
                    self.connect(at);
                }
                self.send(at);
            }
            if self.spoils > 0 && round % 32 == 31 {
                // A message whose length was corrupted waits for bytes that do not arrive.
                self.pass(Duration::from_secs(25));
            }
            for link in self.live.clone() {
                self.arrive(link);
                self.answer(link);
                self.hear(link);
                self.verdict()?;
            }
            let is_done = self.programs.iter().all(|it| it.is_greeted && it.machine.in_flight() == 0);
            let are_greeted = self.links.iter().all(|link| link.has_client == link.has_server);
            if is_done && are_greeted {
                return Ok(());
            }
        }
        let waiting: Vec<_> = self.programs.iter().map(|program| program.machine.in_flight()).collect();
        Err(format!("it does not come to an end: {waiting:?} calls in flight"))
    }

    /// Ends all connections and checks that every session is forgotten after its lease. Copies that arrive later have
    /// no effect.
    pub(super) fn end(&mut self) -> Result<(), String> {
        for at in 0..self.programs.len() {
            self.leave(at);
        }
        for link in self.live.clone() {
            self.arrive_all(link)?;
        }
        self.pass(Duration::from_secs(200));
        for _ in 0..self.links.len().min(8) {
            let link = self.random.below(self.links.len());
            if !self.links[link].is_copy {
                let copy = self.copy_of(link);
                self.arrive_all(copy)?;
            }
        }
        self.pass(Duration::from_secs(200));
        let (all, parked) = self.host.sessions();
        self.ledger.check(parked == 0, || format!("{parked} of {all} sessions wait for ever"));
        self.verdict()
    }

    /// Delivers all bytes in flight to the display, until it detects the end of the connection.
    fn arrive_all(&mut self, link: usize) -> Result<(), String> {
        for _ in 0..10_000 {
            if !self.links[link].has_server {
                return self.verdict();
            }
            self.arrive(link);
            self.answer(link);
            self.verdict()?;
        }
        Err(format!("connection {link} does not come to an end"))
    }
}
