//! Tests clients that reconnect to a display whose disk has failed: no call is executed twice, and no client gets a
//! wrong answer.

use super::memory::{Dice, Memory, Trouble};
use super::world::{SIZE, open};
use crate::journal::Options;
use crate::{Journal, Server, ServerOptions};
use draw_client::{ConnectOptions, DisconnectReason, Display, Error, Outcome, Picture, Status};
use draw_protocol::{Code, Color};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(DEADLINE, future).await.expect("in time")
}

/// A display with sessions and a disk in memory, at an address that stays the same.
pub(super) struct Running {
    pub(super) storage: Memory,
    pub(super) journal: Journal,
    pub(super) address: SocketAddr,
    task: JoinHandle<std::io::Result<()>>,
}

impl Running {
    pub(super) async fn start(storage: Memory, address: SocketAddr) -> Running {
        let options = Options { size: Some(SIZE), ..Options::default() };
        let journal = Journal::open_in(Arc::new(storage.clone()), &options).expect("a disk in order");
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server =
            Server::new(journal.display().clone(), ServerOptions::default()).journaled(journal.clone());
        let task = tokio::spawn(async move { server.run(listener, std::future::pending()).await });
        Running { storage, journal, address, task }
    }

    pub(super) async fn new() -> Running {
        Running::start(Memory::new(Trouble::None, true), SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Waits until everything written is on the disk. Returns the number of the last call.
    async fn durable(&self) -> u64 {
        let last = crate::journal::lock::locked(&self.journal.recorder().core().log).place.next - 1;
        let mut durable = self.journal.durable();
        soon(durable.wait_for(|durable| *durable >= last)).await.expect("it is open");
        last
    }

    /// Kills the display.
    pub(super) async fn kill(self) -> SocketAddr {
        self.task.abort();
        _ = self.task.await;
        self.address
    }

    /// Kills the display, and starts another one on what is left of the disk.
    pub(super) async fn restart_on(self, left: Memory) -> Running {
        let address = self.kill().await;
        Running::start(left, address).await
    }

    pub(super) fn shown(&self, x: i32) -> u32 {
        let color = self.journal.display().framebuffer().get_pixel(x, 0).expect("it is inside");
        color.to_u32() - Color::BLACK.to_u32()
    }
}

pub(super) async fn connect(running: &Running, accepts_loss: bool) -> (Display, UnboundedReceiver<Status>) {
    let (tell, told) = unbounded_channel();
    let options = ConnectOptions::new().reconnect(DEADLINE).accept_loss(accepts_loss);
    let options = options.on_status(move |status| _ = tell.send(status));
    (soon(options.connect(&running.address.to_string())).await.expect("a display"), told)
}

pub(super) async fn add(display: &Display, x: i32, amount: u32) -> Result<(), Error> {
    soon(async { display.add_pixel(x, 0, amount).await?.await }).await
}

#[tokio::test]
async fn after_a_failed_sync_clients_come_back_and_everything_is_there_once() {
    let running = Running::new().await;
    let (display, mut told) = connect(&running, false).await;
    add(&display, 1, 10).await.expect("a display in order");
    running.durable().await;
    running.storage.set_sync_failure();
    // The call is in the file, and no more was promised.
    add(&display, 1, 200).await.expect("it was written");
    match soon(told.recv()).await {
        Some(Status::Reconnecting { reason: DisconnectReason::ClosedByDisplay(fault), .. }) => {
            assert_eq!(fault.code, Code::ShuttingDown);
            assert!(fault.message.contains("a sync to its disk failed"), "{fault}");
        }
        other => panic!("{other:?}"),
    }
    // This call is made while there is no display.
    let made = display.add_pixel(1, 0, 3_000).await.expect("it waits");
    let mut running = running;
    soon(&mut running.task).await.expect("no panic").expect("it ends by itself");
    running.task = tokio::spawn(async { Ok(()) });

    let left = running.storage.after_kill();
    let running = running.restart_on(left).await;
    soon(made).await.expect("it goes on");
    assert!(
        matches!(soon(display.get_pixel(1, 0)).await, Ok(color) if color.to_u32() == 3_210 + Color::BLACK.to_u32())
    );
    assert_eq!(running.shown(1), 3_210, "each once");
    loop {
        match soon(told.recv()).await {
            Some(Status::Reconnecting { .. }) => {}
            Some(Status::Resumed) => break,
            other => panic!("{other:?}"),
        }
    }
    soon(display.close()).await.expect("all is done");
}

/// Returns what is left of the disk after a loss of power that took everything that was not synced.
fn without_what_was_not_synced(storage: &Memory, durable: u64) -> Memory {
    let last = |left: &Memory| open(&left.after_kill()).map(|world| world.last());
    let mut left = (0..1_000).map(|seed| storage.after_power_loss(&mut Dice::new(seed)));
    left.find(|left| last(left).is_ok_and(|last| last == durable)).expect("the end can be lost")
}

#[tokio::test]
async fn an_end_that_was_not_synced_is_said_to_be_lost_when_it_is() {
    for accepts_loss in [false, true] {
        let running = Running::new().await;
        let (display, mut told) = connect(&running, accepts_loss).await;
        add(&display, 1, 10).await.expect("a display in order");
        let durable = running.durable().await;
        running.storage.set_sync_failure();
        add(&display, 1, 200).await.expect("it was written");
        let left = without_what_was_not_synced(&running.storage, durable);
        let running = running.restart_on(left).await;
        let last = loop {
            match soon(told.recv()).await {
                Some(Status::Reconnecting { .. }) => {}
                last => break last,
            }
        };
        if accepts_loss {
            assert!(
                matches!(last, Some(Status::SessionLost { picture: Picture::Stale, unknown: 0 })),
                "{last:?}"
            );
            add(&display, 1, 3_000).await.expect("it goes on");
            assert_eq!(running.shown(1), 3_010);
        } else {
            let Some(Status::Disconnected(DisconnectReason::Refused(fault))) = last else {
                panic!("{last:?}")
            };
            assert_eq!(fault.code, Code::StateRegressed);
            let error = add(&display, 1, 3_000).await.expect_err("the program believes what is not so");
            assert!(error.is_disconnected() && error.outcome() == Outcome::Rejected, "{error}");
            assert_eq!(running.shown(1), 10);
        }
    }
}

/// Space was reserved, and still a write fails: the call is drawn by then, and is in no file.
#[tokio::test]
async fn nobody_is_told_what_could_not_be_written() {
    for is_killed in [false, true] {
        let running = Running::new().await;
        let (display, _told) = connect(&running, false).await;
        add(&display, 1, 10).await.expect("a display in order");
        running.durable().await;
        running.storage.set_trouble(Trouble::Error { from: 0, count: u64::MAX, kind: ErrorKind::Other });
        let call = display.add_pixel(1, 0, 200).await.expect("there is a display");
        let mut call = std::pin::pin!(call.into_future());
        // The write is retried, and the client receives nothing.
        let before = running.storage.operations();
        soon(async {
            while running.storage.operations() < before + 3 {
                assert!(futures::poll!(&mut call).is_pending(), "it is not in the journal");
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(running.shown(1), 210, "it is drawn");
        // Meanwhile a third client is refused, as on a full disk, and a new client does not see the unwritten call.
        let (third, _told) = connect(&running, false).await;
        let refused = add(&third, 2, 5).await.expect_err("it cannot be written");
        assert_eq!(refused.fault().map(|fault| &fault.code), Some(&Code::NoSpace), "{refused}");
        let address = running.address.to_string();
        let other = ConnectOptions::new().connect_timeout(DEADLINE).connect(&address);
        let mut other = std::pin::pin!(async move { other.await?.get_pixel(1, 0).await });
        let before = running.storage.operations();
        soon(async {
            while running.storage.operations() < before + 3 {
                assert!(futures::poll!(&mut other).is_pending(), "it is not in the journal");
                tokio::task::yield_now().await;
            }
        })
        .await;

        let running = if is_killed {
            let left = running.storage.after_kill();
            running.restart_on(left).await
        } else {
            running.storage.set_trouble(Trouble::None);
            soon(other).await.expect("it is written by then");
            running
        };
        soon(call).await.expect("it is written by now");
        assert_eq!(running.shown(1), 210, "once");
        let left = running.storage.after_kill();
        let running = running.restart_on(left).await;
        assert_eq!(running.shown(1), 210, "and it stays");
    }
}
