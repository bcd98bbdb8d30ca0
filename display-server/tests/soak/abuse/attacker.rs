//! Attackers as processes of their own: this test program once more, at the priority of idle time.

use super::attacks::{self, Attack};
use crate::processes::PATIENCE;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

/// Which attack it is, and where the display is.
const ATTACK: &str = "ABUSE_ATTACK";
const ADDRESS: &str = "ABUSE_ADDRESS";

/// As many descriptors as this process may have.
pub(super) fn raise_descriptors() {
    let descriptors = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: descriptors.maximum, ..descriptors }).unwrap();
}

/// A process that attacks until it is told to end.
pub(super) struct Attacker {
    process: Child,
    alive: Option<ChildStdin>,
    says: BufReader<ChildStdout>,
    began: Instant,
}

impl Attacker {
    /// Returns when the attack is under way.
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

    /// Waits for a line that begins so, and answers the number behind that.
    fn hear(&mut self, word: &str) -> usize {
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "an attacker has failed");
            // The test harness may have begun the line.
            if let Some((_, number)) = line.trim().split_once(word) {
                return number.trim().parse().unwrap();
            }
        }
    }

    /// Ends it. Answers how much it has done, and how much that is in a second.
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
