//! Tests what clients observe of a display that was started with a full disk.

use super::memory::{Full, Memory};
use super::returning::{DEADLINE, Running, add, connect, soon};
use super::world::SIZE;
use draw_client::{ConnectOptions, Display, Durability, Error, Outcome, Picture, Status, digest_of_image};
use draw_protocol::{Code, Color};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// Returns the disk of a killed display, which is full.
fn full(storage: &Memory) -> Memory {
    let left = storage.after_kill();
    left.set_full(Full::ForBytes);
    left
}

async fn is_resumed(told: &mut UnboundedReceiver<Status>) {
    loop {
        match soon(told.recv()).await {
            Some(Status::Reconnecting { .. }) => {}
            Some(Status::Resumed) => return,
            other => panic!("{other:?}"),
        }
    }
}

/// Checks that the display shows its picture, answers queries, and draws nothing.
async fn check_refusing(running: &Running, display: &Display, counted: u32) {
    let (width, height) = (SIZE.width, SIZE.height);
    let before = Color::BLACK.to_u32() + counted;
    assert_eq!(soon(display.get_pixel(1, 0)).await.expect("an answer").to_u32(), before);
    let image = soon(display.get_image(0, 0, width, height)).await.expect("an answer");
    assert_eq!(image[4..8], before.to_be_bytes());
    let digest = soon(display.get_digest(0, 0, width, height)).await.expect("an answer");
    assert_eq!(digest, digest_of_image(&image));
    assert_eq!(soon(display.get_size()).await.expect("an answer"), SIZE);
    assert_eq!(soon(display.get_mouse()).await.expect("an answer"), None);
    soon(display.sync()).await.expect("there is nothing to wait for");
    soon(display.sync_durable()).await.expect("all there is is on the disk");
    let refused = add(display, 1, 90_000).await.expect_err("there is no room");
    assert_eq!(refused.outcome(), Outcome::Rejected);
    assert_eq!(refused.fault().map(|fault| &fault.code), Some(&Code::NoSpace), "{refused}");
    assert_eq!(running.shown(1), counted, "nothing is drawn");
}

#[tokio::test]
async fn who_comes_back_goes_on_and_who_is_new_may_ask_and_later_draw() {
    let running = Running::new().await;
    let (display, mut told) = connect(&running, false).await;
    add(&display, 1, 10).await.expect("a display in order");
    let left = full(&running.storage);
    let running = running.restart_on(left).await;
    is_resumed(&mut told).await;
    check_refusing(&running, &display, 10).await;
    let (other, mut other_told) = connect(&running, false).await;
    check_refusing(&running, &other, 10).await;

    // Another restart, since nothing was written: nothing changes for the client that was connected before.
    let left = full(&running.storage);
    let boot = running.journal.boot();
    let running = running.restart_on(left).await;
    is_resumed(&mut told).await;
    check_refusing(&running, &display, 10).await;
    assert_eq!(running.journal.boot(), boot);
    // The client that was new is new again. It has lost nothing, so no loss is reported to it.
    let status = soon(async {
        loop {
            match other_told.recv().await {
                Some(Status::Reconnecting { .. }) => {}
                other => return other,
            }
        }
    });
    assert!(matches!(status.await, Some(Status::SessionLost { picture: Picture::Kept, unknown: 0 })));

    running.storage.set_full(Full::No);
    add(&display, 1, 200).await.expect("there is room");
    add(&other, 1, 3_000).await.expect("there is room");
    assert_eq!(running.shown(1), 3_210);
    // From here on both clients behave as if there had always been room.
    let left = running.storage.after_kill();
    let running = running.restart_on(left).await;
    is_resumed(&mut told).await;
    is_resumed(&mut other_told).await;
    add(&display, 1, 40_000).await.expect("a display in order");
    add(&other, 1, 500_000).await.expect("a display in order");
    assert_eq!((running.shown(1), running.journal.boot()), (543_210, boot + 1));
}

#[tokio::test]
async fn who_is_owed_answers_hears_them_and_what_was_not_executed_is_refused() {
    let running = Running::new().await;
    let (tell, mut told) = unbounded_channel();
    let options = ConnectOptions::new().reconnect(DEADLINE).durability(Durability::Durable);
    let options = options.on_status(move |status| _ = tell.send(status));
    let display = soon(options.connect(&running.address.to_string())).await.expect("a display");
    add(&display, 1, 10).await.expect("a display in order");
    // Executed and in the file, but held back by a sync that does not end.
    running.storage.set_syncs_left(Some(0));
    let executed = running.journal.display().stats().executed;
    let inside = display.add_pixel(1, 0, 200).await.expect("there is a display");
    let outside = display.add_pixel(99, 0, 1).await.expect("there is a display");
    soon(async {
        while running.journal.display().stats().executed < executed + 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let left = full(&running.storage);
    // Kept longer than the display, since its end waits for that sync.
    let (storage, journal) = (running.storage.clone(), running.journal.clone());
    let address = running.kill().await;
    // This call is made while there is no display.
    let late = display.add_pixel(1, 0, 3_000).await.expect("it waits");
    storage.set_syncs_left(None);
    drop(journal);

    let running = Running::start(left, address).await;
    soon(inside).await.expect("it was executed");
    let error = soon(outside).await.expect_err("it was not");
    assert_eq!(error.fault().map(|fault| &fault.code), Some(&Code::OutOfBounds), "{error}");
    let error: Error = soon(late).await.expect_err("there is no room");
    assert_eq!(error.fault().map(|fault| &fault.code), Some(&Code::NoSpace), "{error}");
    assert_eq!(error.outcome(), Outcome::Rejected);
    is_resumed(&mut told).await;
    assert_eq!(running.shown(1), 210);
}
