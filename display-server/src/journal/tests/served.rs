//! Tests what clients observe when the journal of a display is on a failing disk.

use super::memory::{Memory, Trouble};
use super::world::SIZE;
use crate::journal::Options;
use crate::{Journal, Server, ServerOptions};
use draw_protocol::Color;
use serde::Serialize;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) fn journal(storage: &Memory) -> Journal {
    let options = Options { size: Some(SIZE), ..Options::default() };
    Journal::open_in(Arc::new(storage.clone()), &options).expect("a disk in order")
}

pub(super) fn server(journal: &Journal) -> Server {
    Server::new(journal.display().clone(), ServerOptions::default()).journaled(journal.clone())
}

pub(super) struct Client(pub(super) TcpStream);

impl Client {
    pub(super) async fn send(&mut self, message: impl Serialize) {
        let bytes = rmp_serde::to_vec(&message).expect("it can be written");
        timeout(DEADLINE, self.0.write_all(&bytes)).await.expect("in time").expect("it is read");
    }

    /// Asserts that the next response is `message`.
    pub(super) async fn expect(&mut self, message: impl Serialize) {
        let wanted = rmp_serde::to_vec(&message).expect("it can be written");
        let mut got = vec![0; wanted.len()];
        timeout(DEADLINE, self.0.read_exact(&mut got)).await.expect("in time").expect("an answer");
        assert!(got == wanted, "{} instead of {}", got.escape_ascii(), wanted.escape_ascii());
    }

    pub(super) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        timeout(DEADLINE, self.0.read_to_end(&mut bytes)).await.expect("in time").expect("an end");
        bytes.escape_ascii().to_string()
    }
}

#[tokio::test]
async fn a_call_is_durable_soon_and_a_question_is_not_kept() {
    let storage = Memory::new(Trouble::None, true);
    let journal = journal(&storage);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = server(&journal);
    let task = tokio::spawn(async move { served.run(listener, std::future::pending()).await });
    let mut client = Client(TcpStream::connect(address).await.expect("a server"));
    client.send((0, 1, "draw_pixel", (1, 2, 0xff00_00ffu32))).await;
    client.send((0, 2, "get_pixel", (1, 2))).await;
    client.send((0, 3, "draw_pixel", ("one", 2, 0))).await;
    client.send((2, "clear", (0x0000_ffffu32,))).await;
    client.send((0, 4, "draw_pixel", (99, 2, 0))).await;
    client.expect((1, 1, (), ())).await;
    client.expect((1, 2, (), 0xff00_00ffu32)).await;
    let mut durable = journal.durable();
    // The pixel, the notification, and the pixel outside count, but neither the query nor the request with a wrong
    // type.
    timeout(DEADLINE, durable.wait_for(|&number| number == 3)).await.expect("in time").expect("it is open");
    task.abort();
    _ = task.await;
    drop(durable);
    drop(journal);
    let again = self::journal(&storage.after_kill());
    assert_eq!(again.display().framebuffer().get_pixel(1, 2), Some(Color::BLUE));
    assert_eq!((again.boot(), *again.durable().borrow()), (2, 3));
}

#[tokio::test]
async fn a_full_disk_refuses_drawing_and_answers_questions() {
    let storage = Memory::new(Trouble::None, false);
    let journal = journal(&storage);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = server(&journal);
    let _task = tokio::spawn(async move { served.run(listener, std::future::pending()).await });
    let mut client = Client(TcpStream::connect(address).await.expect("a server"));
    // After one call it is known that the file system does not reserve space.
    client.send((0, 1, "draw_pixel", (1, 2, 0xff00_00ffu32))).await;
    client.expect((1, 1, (), ())).await;
    let mut durable = journal.durable();
    timeout(DEADLINE, durable.wait_for(|&number| number == 1)).await.expect("in time").expect("it is open");
    storage.set_trouble(Trouble::Error { from: 0, count: u64::MAX, kind: ErrorKind::StorageFull });
    client.send((0, 2, "clear", (0,))).await;
    let why = "no_space: the journal cannot be written (no storage space), so nothing is drawn until it can";
    client.expect((1, 2, (0, why), ())).await;
    client.send((0, 3, "get_pixel", (1, 2))).await;
    client.expect((1, 3, (), 0xff00_00ffu32)).await;
    storage.set_trouble(Trouble::None);
    client.send((0, 4, "clear", (0x0000_ffffu32,))).await;
    client.expect((1, 4, (), ())).await;
    timeout(DEADLINE, durable.wait_for(|&number| number == 2)).await.expect("in time").expect("it is open");
}

#[tokio::test]
async fn a_failed_sync_ends_the_server_and_says_so() {
    let storage = Memory::new(Trouble::None, true);
    let journal = journal(&storage);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = server(&journal);
    let task = tokio::spawn(async move { served.run(listener, std::future::pending()).await });
    let mut client = Client(TcpStream::connect(address).await.expect("a server"));
    // [0, 0, "hello", [{"version": 1}]]
    client.0.write_all(b"\x94\x00\x00\xa5hello\x91\x81\xa7version\x01").await.expect("it is read");
    client.send((0, 1, "draw_pixel", (1, 2, 0xff00_00ffu32))).await;
    let mut durable = journal.durable();
    timeout(DEADLINE, durable.wait_for(|&number| number == 1)).await.expect("in time").expect("it is open");
    // The next turn has room already: it writes (one operation, or two for a longer write) and syncs.
    storage.set_sync_failure();
    client.send((0, 2, "clear", (0,))).await;
    let said = client.rest().await;
    assert!(said.contains("goodbye") && said.contains("shutting_down"), "{said}");
    assert!(
        said.contains("a sync to its disk failed") && said.contains("since record 1 may not be in it"),
        "{said}"
    );
    timeout(DEADLINE, task).await.expect("in time").expect("no panic").expect("it ends by itself");
    let error = journal.close().expect_err("something may be lost").to_string();
    assert!(error.contains("a sync to its disk failed"), "{error}");
    assert_eq!(*journal.durable().borrow(), 1, "and it was never tried again");
}

#[tokio::test]
async fn clients_of_a_healthy_display_are_told_which_journal_failed_and_not_its_records() {
    let [healthy, failing] = [Memory::new(Trouble::None, true), Memory::new(Trouble::None, true)];
    let journals = [journal(&healthy), journal(&failing)];
    let server = server(&journals[0])
        .with_journaled("plots".parse().expect("a name"), journals[1].clone())
        .expect("there is none of this name");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let served = server.clone();
    let task = tokio::spawn(async move { served.run(listener, std::future::pending()).await });
    let mut of_main = Client(TcpStream::connect(address).await.expect("a server"));
    let mut of_plots = Client(TcpStream::connect(address).await.expect("a server"));
    // [0, 0, "hello", [{"version": 1}]], and the same with "display": "plots".
    of_main.0.write_all(b"\x94\x00\x00\xa5hello\x91\x81\xa7version\x01").await.expect("it is read");
    of_main.send((0, 1, "draw_pixel", (1, 2, 7))).await;
    let hello = b"\x94\x00\x00\xa5hello\x91\x82\xa7version\x01\xa7display\xa5plots";
    of_plots.0.write_all(hello).await.expect("it is read");
    of_plots.send((0, 1, "draw_pixel", (1, 2, 7))).await;
    for journal in &journals {
        let mut durable = journal.durable();
        timeout(DEADLINE, durable.wait_for(|&n| n == 1)).await.expect("in time").expect("it is open");
    }
    failing.set_sync_failure();
    of_plots.send((0, 2, "clear", (0,))).await;
    let (main, plots) = (of_main.rest().await, of_plots.rest().await);
    timeout(DEADLINE, task).await.expect("in time").expect("no panic").expect("it ends by itself");
    let says = "the server shuts down, because the journal of the display plots failed";
    assert!(main.contains("shutting_down") && main.contains(says), "{main}");
    assert!(!main.contains("record") && !main.contains("sync"), "{main}");
    assert!(plots.contains("shutting_down") && plots.contains("since record 1 may not be in it"), "{plots}");
    assert!(!plots.contains(says), "{plots}");
    // Clients that have not selected a display get the same message as those of the healthy one.
    assert_eq!(server.displays.end(None).message, says);
}
