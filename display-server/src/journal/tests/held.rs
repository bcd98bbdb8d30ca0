//! Tests the answers to clients that wait for the disk, with a slow disk and with a failing one.

use super::memory::{Memory, Trouble};
use super::served::{Client, DEADLINE, journal, server};
use crate::Display;
use crate::Journal;
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// `[0, 0, "hello", [{"version": 1, "durable": true}]]`
const DURABLE: &[u8] = b"\x94\x00\x00\xa5hello\x91\x82\xa7version\x01\xa7durable\xc3";
const RED: u32 = 0xff00_00ff;
const NONE: [u8; 0] = [];

/// A display on a disk whose syncs end when the test allows it. Everything but the syncs runs on the test's thread.
struct Slow {
    storage: Memory,
    _last: LetGo,
    journal: Journal,
    display: Display,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// Releases all syncs when a test ends; otherwise the end of the journal would wait for them.
struct LetGo(Memory);

impl Drop for LetGo {
    fn drop(&mut self) {
        self.0.set_syncs_left(None);
    }
}

impl Slow {
    async fn start() -> Slow {
        let storage = Memory::new(Trouble::None, true);
        let journal = journal(&storage);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (server, display) = (server(&journal), journal.display().clone());
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(async move { server.run(listener, async { _ = stopped.await }).await });
        Slow { _last: LetGo(storage.clone()), storage, journal, display, address, stop, task }
    }

    async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.expect("a server"))
    }

    /// Connects a client that has received its welcome and receives only durable results.
    async fn durable(&self) -> Client {
        let mut client = self.client().await;
        client.0.write_all(DURABLE).await.expect("it is read");
        let mut welcome = Vec::with_capacity(4096);
        let read = timeout(DEADLINE, client.0.read_buf(&mut welcome)).await.expect("in time");
        read.expect("nothing was executed, so nothing waits");
        assert!(welcome.starts_with(&[0x94, 1, 0, 0xc0]), "{}", welcome.escape_ascii());
        client
    }

    /// Waits until `n` requests have been executed, and a sync is waiting.
    async fn executed(&self, n: u64) {
        let executed = async {
            while self.display.stats().executed < n {
                tokio::task::yield_now().await;
            }
        };
        timeout(DEADLINE, executed).await.expect("in time");
        self.storage.wait_for_sync();
    }

    /// Checks that the reader has received nothing, although every task has had a turn and everything sent has arrived.
    /// Sends three requests.
    async fn tells_nothing<T>(&self, reading: &JoinHandle<T>) {
        let mut other = self.client().await;
        for n in 1..=3 {
            other.send((0, n, "get_size", NONE)).await;
            other.expect((1, n, (), (7, 5))).await;
        }
        assert!(!reading.is_finished(), "it was told before the disk had it");
    }
}

async fn finish<T>(reading: JoinHandle<T>) -> T {
    timeout(DEADLINE, reading).await.expect("in time").expect("what was expected")
}

#[tokio::test]
async fn nothing_leaves_before_the_sync_has_ended() {
    let slow = Slow::start().await;
    let mut client = slow.durable().await;
    slow.storage.set_syncs_left(Some(0));
    // Sent in one piece, so that they are executed in one turn.
    let calls = ((0, 1, "draw_pixel", (1, 2, RED)), (0, 2, "get_pixel", (1, 2)), (0, 3, "clear", ("red",)));
    let [draw, ask, refused] = [
        rmp_serde::to_vec(&calls.0).expect("it can be written"),
        rmp_serde::to_vec(&calls.1).expect("it can be written"),
        rmp_serde::to_vec(&calls.2).expect("it can be written"),
    ];
    client.0.write_all(&[draw, ask, refused].concat()).await.expect("it is read");
    let reading = tokio::spawn(async move {
        client.expect((1, 2, (), RED)).await;
        let mut fault = [0; 3];
        client.0.read_exact(&mut fault).await.expect("a fault");
        assert_eq!(fault, [0x94, 1, 3]);
    });
    slow.executed(2).await;
    slow.tells_nothing(&reading).await;
    slow.storage.set_syncs_left(None);
    finish(reading).await;
}

#[tokio::test]
async fn who_never_pauses_is_told_after_each_sync_what_it_has_brought() {
    let slow = Slow::start().await;
    let mut client = slow.durable().await;
    slow.storage.set_syncs_left(Some(0));
    client.send((0, 1, "draw_pixel", (1, 2, RED))).await;
    slow.executed(1).await;
    for n in 2..20u32 {
        // The sync for the previous request is running, and the next request arrives before it ends.
        client.send((0, n, "draw_pixel", (1, 2, RED))).await;
        slow.executed(n.into()).await;
        slow.storage.set_syncs_left(Some(1));
        client.expect((2, "progress", (n - 1,))).await;
    }
}

#[tokio::test]
async fn sync_durable_waits_and_keeps_nobody_else_waiting() {
    let slow = Slow::start().await;
    let (mut waits, mut draws) = (slow.client().await, slow.client().await);
    slow.storage.set_syncs_left(Some(0));
    waits.send((0, 7, "draw_pixel", (1, 2, RED))).await;
    waits.expect((1, 7, (), ())).await;
    waits.send((2, "draw_pixel", (2, 2, RED))).await;
    waits.send((0, 8, "sync_durable", NONE)).await;
    waits.send((0, 9, "get_pixel", (1, 2))).await;
    let reading = tokio::spawn(async move {
        waits.expect((1, 8, (), ())).await;
        waits.expect((1, 9, (), RED)).await;
        waits
    });
    slow.executed(4).await;
    slow.tells_nothing(&reading).await;
    draws.send((0, 1, "draw_pixel", (3, 2, RED))).await;
    draws.expect((1, 1, (), ())).await;
    slow.storage.set_syncs_left(None);
    let mut waits = finish(reading).await;
    assert!(*slow.journal.durable().borrow() >= 2, "the notification, too");
    waits.send((0, 10, "get_size", NONE)).await;
    waits.expect((1, 10, (), (7, 5))).await;
}

#[tokio::test]
async fn a_sync_that_fails_is_no_success_for_anybody() {
    let slow = Slow::start().await;
    let (mut durable, mut plain) = (slow.durable().await, slow.client().await);
    slow.storage.set_syncs_left(Some(0));
    slow.storage.set_sync_failure();
    durable.send((0, 1, "draw_pixel", (1, 2, RED))).await;
    slow.executed(1).await;
    durable.send((0, 2, "sync_durable", NONE)).await;
    plain.send((0, 1, "sync_durable", NONE)).await;
    plain.send((0, 2, "draw_pixel", (1, 2, RED))).await;
    plain.send((0, 3, "sync_durable", NONE)).await;
    slow.executed(5).await;
    slow.storage.set_syncs_left(None);
    let said = durable.rest().await;
    assert!(said.contains("goodbye") && said.contains("a sync to its disk failed"), "{said}");
    assert!(!said.contains("progress") && said.starts_with("\\x93\\x02\\xa7goodbye"), "{said}");
    assert_eq!(plain.rest().await, "");
    finish(slow.task).await.expect("it ends by itself");
}

#[tokio::test]
async fn a_full_disk_refuses_nobody_who_only_waits() {
    let slow = Slow::start().await;
    let mut client = slow.durable().await;
    client.send((0, 1, "draw_pixel", (1, 2, RED))).await;
    client.expect((2, "progress", (1,))).await;
    slow.storage.set_trouble(Trouble::Error { from: 0, count: u64::MAX, kind: ErrorKind::StorageFull });
    // All calls are on the disk already.
    client.send((0, 2, "sync_durable", NONE)).await;
    client.expect((1, 2, (), ())).await;
}

#[tokio::test]
async fn what_could_not_be_written_at_first_is_tried_again_for_who_waits() {
    let slow = Slow::start().await;
    let mut client = slow.durable().await;
    client.send((0, 1, "draw_pixel", (1, 2, RED))).await;
    client.expect((2, "progress", (1,))).await;
    // The file has room, so the next operation writes the next call, which is drawn by then.
    let from = slow.storage.operations() + 1;
    slow.storage.set_trouble(Trouble::Error { from, count: 1, kind: ErrorKind::Other });
    client.send((0, 2, "draw_pixel", (1, 2, RED))).await;
    client.expect((2, "progress", (2,))).await;
    assert_eq!(*slow.journal.durable().borrow(), 2);
}

#[tokio::test]
async fn what_waits_when_the_display_ends_is_told_if_the_disk_comes_in_time() {
    let slow = Slow::start().await;
    let mut client = slow.durable().await;
    slow.storage.set_syncs_left(Some(0));
    client.send((0, 1, "draw_pixel", (1, 2, RED))).await;
    slow.executed(1).await;
    slow.stop.send(()).expect("it runs");
    let storage = slow.storage.clone();
    let reading = tokio::spawn(async move { client.rest().await });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!reading.is_finished());
    storage.set_syncs_left(None);
    let said = finish(reading).await;
    assert!(
        said.starts_with("\\x93\\x02\\xa8progress\\x91\\x01") && said.contains("shutting_down"),
        "{said}"
    );
    finish(slow.task).await.expect("it ends");
}
