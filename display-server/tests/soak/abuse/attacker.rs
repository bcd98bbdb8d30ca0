//! Attackers as separate processes: this test program, started again at idle priority.

use super::attacks::{self, Attack};
use crate::processes::PATIENCE;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Environment variables: the attack, and the address of the display.
const ATTACK: &str = "ABUSE_ATTACK";
const ADDRESS: &str = "ABUSE_ADDRESS";

/// Raises the limit of descriptors to the maximum of this process.
pub(super) fn raise_descriptors() {
    let descriptors = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: descriptors.maximum, ..descriptors }).unwrap();
}

/// A process that attacks until `end` is called.
pub(super) struct Attacker {
    process: Child,
    alive: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
    began: Instant,
}

impl Attacker {
    /// Starts the attack, and returns when it is under way.
    pub(super) fn start(attack: Attack, address: &str) -> Attacker {
        let mut process = Command::new("chrt")
            .args(["--idle", "0"])
            .arg(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "abuse::attacker::process"])
            .env(ATTACK, attack.name())
            .env(ADDRESS, address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("chrt is there, as on any Linux");
        let (alive, says) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        let mut attacker = Attacker { process, alive, says, began: Instant::now() };
        assert_eq!(attacker.hear("under way"), 0);
        attacker.began = Instant::now();
        attacker
    }

    /// Waits for a line that contains `word`, and returns the number after it.
    fn hear(&mut self, word: &str) -> usize {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "an attacker has failed");
            // The test harness may have written the beginning of the line.
            if let Some((_, number)) = line.trim().split_once(word) {
                return number.trim().parse().unwrap();
            }
        }
    }

    /// Ends the attack. Returns the number of actions, in total and per second.
    pub(super) fn end(mut self) -> (usize, usize) {
        let took = self.began.elapsed();
        self.alive = None;
        let done = self.hear("has done");
        (done, (done as f64 / took.as_secs_f64()) as usize)
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

#[test]
#[ignore = "the process of an attacker, started by another test"]
fn process() {
    let Ok(attack) = std::env::var(ATTACK) else { return };
    let attack = Attack::ALL.into_iter().find(|known| known.name() == attack).expect("a known attack");
    let address: SocketAddr = std::env::var(ADDRESS).unwrap().parse().unwrap();
    raise_descriptors();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tally = Arc::new(attacks::Tally::default());
    for number in 0..attack.clients() {
        runtime.spawn(attacks::attack(attack, number, address, Arc::clone(&tally)));
    }
    let begun = Instant::now();
    while tally.begun.load(Relaxed) < attack.begun() && begun.elapsed() < PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    println!("under way 0");
    std::io::stdout().flush().unwrap();
    _ = std::io::stdin().read_to_end(&mut Vec::new());
    println!("has done {}", tally.done.load(Relaxed));
    std::process::exit(0);
}
