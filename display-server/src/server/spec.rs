//! Plays the conversations of the specification against this server, whose bytes must be exactly those of `bytes.md`.

mod codes;
mod read;
mod refusals;
mod vectors;

use super::{Server, ServerOptions, Slot};
use crate::Journal;
use crate::canvas::display::Display;
use crate::canvas::framebuffer::Framebuffer;
use crate::clock::now;
use crate::journal;
use draw_protocol::session::{Id, Nonce};
use draw_protocol::{Color, Position, Scan, Size, limits};
use read::{Block, Step, blocks, conversations};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Long enough for the slowest machine; nothing waits for it unless the test fails.
const DEADLINE: Duration = Duration::from_secs(20);

/// The display of the specification's bytes.
const SIZE: Size = Size { width: 640, height: 480 };
const INSTANCE: Id = Id(*b"\xd1the display\x00\x00\x00\x01");

/// Returns the nonce of the connection that comes after so many others.
fn nonce(connection: u64) -> Nonce {
    match connection {
        0 => Nonce::new(0x0001_2345_6789_abcd),
        1 => Nonce::new(0x000f_edcb_a987_6543),
        more => Nonce::new(more),
    }
}

/// Waits for `future`; fails with `what` if it does not end.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

/// The display of the specification's bytes, served.
struct Scene {
    server: Server,
    /// The directory of its journal, if it has one.
    directory: Option<PathBuf>,
    /// How many have come.
    connections: Cell<u64>,
    stop: watch::Sender<bool>,
}

impl Scene {
    fn new(has_journal: bool) -> Scene {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let framebuffer = Framebuffer::new(SIZE, Color::BLACK).expect("memory");
        let server = Server::new(Display::of_instance(framebuffer, INSTANCE), ServerOptions::default());
        let framebuffer = Framebuffer::new(Size { width: 64, height: 48 }, Color::BLACK).expect("memory");
        let plots = Display::of_instance(framebuffer, Id(*b"\xd1the display\x00\x00\x00\x02"));
        let server = server.with_display("plots".parse().expect("a name"), plots).expect("it is the second");
        let ((stop, _), connections) = (watch::channel(false), Cell::new(0));
        if !has_journal {
            return Scene { server: Server { name: "demo", ..server }, directory: None, connections, stop };
        }
        let name = format!("display-server-spec-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(name);
        let journal = Journal::open(&directory, &journal::Options::default(), &mut |_, _| ());
        // Its own is random; what it is makes no difference to anything that is said.
        let journal = journal.expect("an empty directory").with_instance((INSTANCE, 1));
        let server = Server { name: "demo", ..server.journaled(journal) };
        Scene { server, directory: Some(directory), connections, stop }
    }

    fn connect(&self) -> Line {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let (server, mut stopped) = (self.server.clone(), self.stop.subscribe());
        let nonce = nonce(self.connections.replace(self.connections.get() + 1));
        let task = tokio::spawn(async move {
            let stopped = async move { _ = stopped.wait_for(|&is_stopped| is_stopped).await };
            let machine = (|| server.machine(), Some(nonce));
            let slot = Slot::new(now());
            server
                .serve_with(
                    crate::transport::peer_state::unprobed(theirs),
                    "bytes.md",
                    machine,
                    &slot,
                    stopped,
                )
                .await;
        });
        Line { stream: ours, task, requests: 0, heard: Vec::new() }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// One connection, seen from the client.
struct Line {
    stream: DuplexStream,
    task: JoinHandle<()>,
    /// Requests for the display that were sent.
    requests: u64,
    /// What has come and was not expected yet.
    heard: Vec<u8>,
}

impl Line {
    async fn send(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Ok(Some(length)) = Scan::default().run(rest, limits::MESSAGE) {
            let is_hello = rest[3..].starts_with(b"\xa5hello");
            self.requests += u64::from(rest.starts_with(b"\x94\x00") && !is_hello);
            rest = &rest[length..];
        }
        soon("the display to read", self.stream.write_all(bytes)).await.expect("it reads");
    }

    /// Waits until so many bytes have come. Returns false if the display ends the connection before.
    async fn has(&mut self, length: usize) -> bool {
        while self.heard.len() < length {
            let read = soon("the display to say more", self.stream.read_buf(&mut self.heard)).await;
            if read.expect("no reset") == 0 {
                return false;
            }
        }
        true
    }

    /// Returns the next `length` bytes, or fewer if the display ends the connection before.
    async fn hear(&mut self, length: usize) -> Vec<u8> {
        self.has(length).await;
        self.heard.drain(..length.min(self.heard.len())).collect()
    }

    /// Returns the next message.
    async fn message(&mut self) -> Vec<u8> {
        loop {
            if let Ok(Some(length)) = Scan::default().run(&self.heard, limits::MESSAGE) {
                return self.hear(length).await;
            }
            let is_there = self.has(self.heard.len() + 1).await;
            assert!(is_there, "the display ended the connection after {}", hex(&self.heard));
        }
    }

    /// Ends what the client says, and returns what the display still had to say.
    async fn rest(mut self) -> Vec<u8> {
        soon("the display to read", self.stream.shutdown()).await.expect("it reads");
        let mut rest = std::mem::take(&mut self.heard);
        soon("the display to end", self.stream.read_to_end(&mut rest)).await.expect("no reset");
        soon("the connection to end", self.task).await.expect("no panic");
        rest
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect()
}

/// Plays one conversation. Returns what the display said otherwise than bytes.md shows.
async fn play(line: &str, steps: &[Step], blocks: &[Block]) -> Vec<String> {
    let block = |name: &str| {
        let block = blocks.iter().find(|block| block.name == name);
        block.unwrap_or_else(|| panic!("{line}: bytes.md has no block {name}"))
    };
    let scene = Scene::new(steps.contains(&Step::Event("the display keeps a journal")));
    let display = scene.server.display().clone();
    let mut wrong = Vec::new();
    let mut client = scene.connect();
    let mut executed = 0;
    for step in steps {
        match *step {
            Step::Client(name) => client.send(&block(name).bytes).await,
            Step::Display(name) => {
                let due = &block(name).bytes;
                let said = client.hear(due.len()).await;
                if said != *due {
                    // Whatever else it said belongs to it.
                    let said = [said, client.rest().await].concat();
                    wrong.push(format!("{name}\n  bytes.md {}\n  display  {}", hex(due), hex(&said)));
                    return wrong;
                }
            }
            Step::Event("the display keeps a journal" | "the server has a display plots of 64x48") => {}
            Step::Event("the pointer comes to (320, 240)") => {
                display.set_mouse(Some(Position { x: 320, y: 240 }));
            }
            Step::Event("the display ends") => _ = scene.stop.send(true),
            Step::Event("when all is executed, the connection breaks; the client makes another") => {
                executed += std::mem::take(&mut client.requests);
                soon("the requests to be executed", async {
                    while display.stats().executed < executed {
                        tokio::task::yield_now().await;
                    }
                })
                .await;
                // The older one ends when the newer one takes its session over.
                client = scene.connect();
            }
            Step::Event("the client clears 1,022 times more, and progress covers it") => {
                for number in 4..=1025_u32 {
                    client.send(&rmp_serde::to_vec(&(0, number, "clear", (0xff,))).expect("a message")).await;
                }
                loop {
                    let said = client.message().await;
                    let (_, _, [number]): (u8, String, [u64; 1]) =
                        rmp_serde::from_slice(&said).unwrap_or_else(|_| panic!("{line}: {}", hex(&said)));
                    if number == 1025 {
                        break;
                    }
                }
            }
            Step::Event(other) => panic!("{line}: the test does not know how to do {other:?}"),
        }
    }
    let rest = client.rest().await;
    if !rest.is_empty() {
        wrong.push(format!("{line}\n  at the end the display says more: {}", hex(&rest)));
    }
    wrong
}

#[tokio::test]
async fn the_display_says_the_bytes_of_the_specification() {
    let (blocks, conversations) = (blocks(), conversations());
    let mut wrong = BTreeSet::new();
    for (line, steps) in &conversations {
        wrong.extend(play(line, steps, &blocks).await);
    }
    let wrong: Vec<_> = wrong.into_iter().collect();
    assert!(wrong.is_empty(), "the display says something else than bytes.md shows:\n{}", wrong.join("\n"));
}

#[test]
fn every_block_of_bytes_is_played_by_the_side_and_on_the_connection_that_it_names() {
    let (blocks, conversations) = (blocks(), conversations());
    let steps = |kind| {
        let of_kind = conversations.iter().filter(move |(line, _)| line.split(' ').next() == Some(kind));
        of_kind.flat_map(|(_, steps)| steps)
    };
    for Block { name, side, kind, .. } in &blocks {
        let is_played = match *side {
            "client" => steps(kind).any(|step| *step == Step::Client(name)),
            "display" => steps(kind).any(|step| *step == Step::Display(name)),
            "part of" => blocks.iter().any(|block| block.name == *kind),
            other => panic!("{name}: there is no side {other:?}"),
        };
        assert!(is_played, "no conversation on a {kind} connection has {name} said by the {side}");
    }
    let kinds: BTreeSet<_> = conversations.iter().filter_map(|(line, _)| line.split(' ').next()).collect();
    assert_eq!(kinds, BTreeSet::from(["plain", "hello", "session", "durable", "checks"]));
}
