//! Kills and stops displays with `--journal` and their clients, and fills their disk: every call is executed exactly
//! once.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod checker;
mod client;
#[cfg(target_os = "linux")]
mod full;
mod history;
mod planted;
#[path = "../common/processes.rs"]
mod processes;
mod stopped;

use checker::Executed;
use client::Client;
use draw_client::Color;
use draw_client::blocking::Display;
use history::{Answer, CELLS, Call, Life, Made};
use processes::{Dice, Directory, PATIENCE, Server, free_port};
use std::time::Duration;

/// Number of kills, unless the environment variable `KILLS` sets another. A release runs 1,000, which takes four
/// minutes: `KILLS=1000 cargo test -p display-server --test unkillable`.
const KILLS: usize = 50;
const CLIENTS: usize = 4;

/// The display and its clients, with the assigned rows.
struct World {
    directory: Directory,
    address: String,
    /// One row for each possible life, and the last one for all.
    rows: usize,
    lives: usize,
    clients: Vec<Client>,
}

impl World {
    fn start_client(&mut self) -> Client {
        let life = self.lives;
        self.lives += 1;
        Client::start(life, &self.history(life), &self.address, self.rows - 1, PATIENCE)
    }

    fn history(&self, life: usize) -> std::path::PathBuf {
        self.directory.path(&format!("life-{life}"))
    }

    /// Kills a client and starts another in its place, with a session and a row of its own, as if a user had started
    /// the program again.
    fn kill_client(&mut self, at: usize) {
        self.clients.swap_remove(at).kill();
        let another = self.start_client();
        self.clients.push(another);
    }
}

#[test]
fn displays_and_clients_are_killed_again_and_again_and_everything_is_drawn_once() {
    let kills = std::env::var("KILLS").map_or(KILLS, |kills| kills.parse().expect("a number"));
    let port = free_port();
    let rows = CLIENTS + kills + 1;
    let directory = Directory::new("unkillable");
    let (journal, size) = (directory.path("journal"), format!("{CELLS}x{rows}"));
    let address = format!("127.0.0.1:{port}");
    let mut server = Server::start(&journal, port, &size);
    let mut world = World { directory, address, rows, lives: 0, clients: Vec::new() };
    for _ in 0..CLIENTS {
        let client = world.start_client();
        world.clients.push(client);
    }
    let mut dice = Dice::new(99);
    for _ in 0..kills {
        // Long enough for clients to reconnect, and at a random moment of their work.
        std::thread::sleep(Duration::from_millis(dice.below(300) as u64));
        // Of ten kills, four hit the display, four hit a client, and two hit both, one right after the other.
        let (victim, unlucky) = (dice.below(10), dice.below(CLIENTS));
        if victim >= 4 {
            world.kill_client(unlucky);
        }
        if !(4..8).contains(&victim) {
            drop(server);
            server = Server::start(&journal, port, &size);
        }
    }
    world.clients.iter_mut().for_each(Client::stop);
    for client in std::mem::take(&mut world.clients) {
        assert!(client.ended().success(), "a client has failed");
    }
    check(&world, kills);
    drop(server);
}

/// Checks that the display's row can result from these calls. Returns how many of them were executed.
fn check_row(made: &[Made], display: &Display, row: usize) -> Executed {
    let shown = display.get_image(0, row as i32, CELLS as u32, 1).unwrap();
    let shown: Vec<_> = shown.as_chunks().0.iter().map(|pixel| u32::from_be_bytes(*pixel)).collect();
    checker::check(made, &shown).unwrap_or_else(|fault| panic!("row {row}: {fault}"))
}

/// Checks that all answers to the clients were true.
fn check(world: &World, kills: usize) {
    let display = Display::connect(&world.address).unwrap();
    let (mut calls, mut cut, mut ended, mut counted) = (0, 0, 0, 0..=0);
    for life in 0..world.lives {
        let Life { made, has_ended } = Life::read(&world.history(life));
        let executed = check_row(&made, &display, life);
        let counts = |number: &usize| {
            let count = |(call, answer): &&_| *call == Call::Count && *answer != Some(Answer::Rejected);
            made[..*number].iter().filter(count).count()
        };
        counted = counted.start() + counts(executed.start())..=counted.end() + counts(executed.end());
        for (call, answer) in &made {
            // A client that was not killed gets an answer to every call, and errors only for calls outside of the
            // display.
            let is_outside = *call == Call::Outside;
            assert!(answer.is_some() || !has_ended, "life {life}: {call} has no answer");
            assert!(
                answer.is_none_or(|answer| (answer == Answer::Rejected) == is_outside),
                "{call} {answer:?}"
            );
            assert!(*answer != Some(Answer::Unknown), "life {life}: {call} is unknown");
        }
        (calls, ended) = (calls + made.len(), ended + usize::from(has_ended));
        cut += usize::from(made.iter().any(|(_, answer)| answer.is_none()));
    }
    let shown = display.get_pixel(0, world.rows as i32 - 1).unwrap().to_u32() - Color::BLACK.to_u32();
    assert!(counted.contains(&(shown as usize)), "{shown} is counted, and {counted:?} was called");
    println!("{kills} kills, {} lives, {cut} of them ended within a call, {calls} calls", world.lives);
    assert_eq!(ended, CLIENTS, "those that were not killed have ended");
    // Otherwise the test has exercised nothing.
    assert!(calls >= 100 * kills && cut >= kills / 10, "{calls} calls, {cut} were cut");
}
