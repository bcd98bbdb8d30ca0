//! Faults.

use super::{Happening, World, id};
use draw_protocol::limits;
use std::time::Duration;

impl World {
    /// Flips a bit in flight, on a connection with checks.
    pub(super) fn alter(&mut self) {
        let is_looked_at = |link: &&usize| self.links[**link].kind.is_checked;
        let links: Vec<_> = self.live.iter().filter(is_looked_at).copied().collect();
        if links.is_empty() {
            return;
        }
        let (link, up) = (links[self.spoiler.below(links.len())], self.spoiler.happens(1, 2));
        let way = if up { &mut self.links[link].up } else { &mut self.links[link].down };
        if let Some(bit) = way.alter(&mut self.spoiler) {
            self.run.altered[0] += 1;
            self.note(Happening::Altered { link, up, bit });
        }
    }

    pub(super) fn fault(&mut self) {
        let at = self.random.below(self.programs.len());
        match self.random.below(26) {
            20 | 21 => self.freeze(),
            22 | 23 => self.copy(),
            24 => self.rob(),
            0..8 => {
                if !self.live.is_empty() {
                    let link = self.any_link();
                    let (up, down) = [(true, true), (true, false), (false, true)][self.random.below(3)];
                    if up {
                        self.links[link].up.cut(&mut self.random);
                    }
                    if down {
                        self.links[link].down.cut(&mut self.random);
                    }
                    self.note(Happening::Cut { link, up, down });
                }
            }
            // The client reconnects without a reason, once or several times.
            8..13 => {
                for _ in 0..[1, 1, 2, 7][self.random.below(4)] {
                    self.leave(at);
                    self.connect(at);
                    if self.random.happens(1, 2) {
                        self.send(at);
                    }
                }
            }
            13..15 => self.restart_client(at),
            15 | 16 | 25 => {
                let instance = id(&mut self.random);
                self.frozen = 0;
                self.host.restart(&mut self.links, instance, self.now, &mut self.ledger);
                self.note(Happening::ServerRestarts { has_journal: self.host.has_journal() });
                self.live.clone().into_iter().for_each(|link| self.bury(link));
            }
            17 | 18 => {
                let (least, more) = [(100, 100), (0, 20)][self.random.below(2)];
                let time = Duration::from_secs(least + self.random.next() % more);
                self.pass(time);
            }
            _ => self.end_session(at),
        }
    }

    /// Stops the display's process. Its system still accepts connections, and clients time out and greet again.
    fn freeze(&mut self) {
        self.frozen = 10 + self.random.below(60);
        self.note(Happening::Frozen { steps: self.frozen });
        for _ in 0..self.random.below(5) {
            self.pass(limits::CONNECT_TIMEOUT);
            for at in 0..self.programs.len() {
                if self.random.happens(1, 2) {
                    self.leave(at);
                    self.connect(at);
                    self.send(at);
                }
            }
        }
    }

    /// Continues the display's process. Everything queued arrives at once, in a random order of the connections.
    pub(super) fn thaw(&mut self) {
        self.frozen = 0;
        let hellos = self.host.waiting(&self.links);
        self.run.doubled[0] += usize::from(hellos > 1);
        self.note(Happening::Thawed { hellos });
        let mut links = self.live.clone();
        while !links.is_empty() {
            let link = links.swap_remove(self.random.below(links.len()));
            self.arrive(link);
            if self.random.happens(1, 2) {
                self.answer(link);
            }
        }
        self.host.time_passes(self.now);
    }

    /// Delivers the bytes of a present or past connection again, on another.
    fn copy(&mut self) {
        if self.links.is_empty() {
            return;
        }
        let unanswered = self.programs.iter().filter(|program| !program.is_greeted);
        let unanswered: Vec<_> = unanswered.filter_map(|program| program.link).collect();
        let link = match self.random.below(2) {
            0 if !unanswered.is_empty() => unanswered[self.random.below(unanswered.len())],
            _ => self.random.below(self.links.len()),
        };
        if !self.links[link].is_copy {
            let copy = self.copy_of(link);
            // The copy may overtake the original.
            if self.random.happens(1, 2) {
                self.arrive(copy);
            }
        }
    }

    pub(super) fn copy_of(&mut self, link: usize) -> usize {
        let copied = self.links[link].copy(&mut self.random);
        let (copy, bytes) = (self.links.len(), copied.up.len());
        self.run.doubled[if copied.kind.confirms { 1 } else { 2 }] += 1;
        self.links.push(copied);
        self.live.push(copy);
        self.host.accept(copy, self.random.next(), self.now);
        self.note(Happening::Copied { link, copy, bytes });
        copy
    }

    /// Takes the session away from a connection.
    fn rob(&mut self) {
        if !self.live.is_empty() {
            let link = self.any_link();
            if self.host.rob(link, self.now) {
                self.links[link].is_robbed = true;
                self.run.doubled[4] += 1;
                self.note(Happening::Robbed { link });
            }
        }
    }

    /// Ends the program without notice to the display, and starts another.
    pub(super) fn restart_client(&mut self, at: usize) {
        self.leave(at);
        self.programs[at].give_up(&mut self.ledger);
        let before = self.programs[at].session;
        self.run.altered[1] += self.programs[at].altered;
        self.run.doubled[3] += self.programs[at].overtaken;
        self.programs[at] = self.program();
        self.note(Happening::ClientRestarts { before, after: self.programs[at].session });
    }

    /// Ends the session of a program that has no calls in flight.
    fn end_session(&mut self, at: usize) {
        let program = &mut self.programs[at];
        if program.machine.in_flight() == 0 && program.machine.is_resumable() && program.link.is_some() {
            program.machine.end_session();
            program.has_ended = true;
            let session = program.session;
            self.note(Happening::SessionEnds { session });
            self.send(at);
            self.restart_client(at);
        }
    }
}
