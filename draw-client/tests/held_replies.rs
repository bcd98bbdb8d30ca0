//! A reply that is alive when the connection is lost for good returns the error; the callback receives it only if the
//! reply is dropped unread.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::peer::{listen, swallow};
use common::{DEADLINE, ear, numbers, runtime, soon};
use draw_client::{Color, ConnectOptions, Error, Outcome, Status};
use std::net::Shutdown;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Starts a display that executes one request, answers none, and ends when it gets a message on the returned channel.
fn silent() -> (String, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let address = listen(move |mut stream, mut machine| {
        swallow(&mut stream, &mut machine, 1);
        _ = wait.recv();
        _ = stream.shutdown(Shutdown::Both);
    });
    (address, go)
}

fn options() -> (ConnectOptions, mpsc::Receiver<Status>) {
    let (tell, told) = mpsc::channel();
    let options =
        ConnectOptions::new().reconnect(Duration::ZERO).on_status(move |status| _ = tell.send(status));
    (options, told)
}

fn hear_end(statuses: &mpsc::Receiver<Status>) {
    while !matches!(statuses.recv_timeout(DEADLINE).unwrap(), Status::Disconnected(_)) {}
}

#[test]
fn the_error_of_a_held_reply_of_a_pipeline_is_told_there_and_only_there() {
    let (address, go) = silent();
    let ((options, statuses), (listens, heard)) = (options(), ear());
    let display = options.on_error(listens).connect_pipeline(&address).unwrap();
    let held = display.fill_rect(0, 0, 1, 1, Color::RED).unwrap().into_owned();
    let unread = display.fill_rect(1, 0, 1, 1, Color::RED).unwrap();
    go.send(()).unwrap();
    hear_end(&statuses);
    let error = held.wait().unwrap_err();
    assert!(matches!(error, Error::Disconnected { outcome: Outcome::Unknown, .. }), "{error}");
    assert_eq!(numbers(&heard), [0; 0], "the replies have them");
    drop(unread);
    _ = display.close();
    assert_eq!(numbers(&heard), [2], "nobody has read that one");
}

#[test]
fn without_a_callback_what_a_dropped_reply_had_goes_to_close() {
    let (address, go) = silent();
    let (options, statuses) = options();
    let display = options.connect_pipeline(&address).unwrap();
    let held = display.fill_rect(0, 0, 1, 1, Color::RED).unwrap().into_owned();
    let unread = display.fill_rect(1, 0, 1, 1, Color::RED).unwrap();
    go.send(()).unwrap();
    hear_end(&statuses);
    assert!(held.wait().is_err());
    drop(unread);
    let Err(Error::Late(late)) = display.close() else { panic!("one was not told") };
    assert_eq!((late.total(), late.errors()[0].calls().next().unwrap().number()), (1, 2));
}

#[test]
fn a_reply_that_has_told_that_nothing_is_known_is_not_told_again_elsewhere() {
    let (address, go) = silent();
    let ((options, statuses), (listens, heard)) = (options(), ear());
    let options = options.timeout(Duration::from_millis(200));
    let display = options.on_error(listens).connect_pipeline(&address).unwrap();
    let held = display.fill_rect(0, 0, 1, 1, Color::RED).unwrap();
    let error = held.wait().unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
    go.send(()).unwrap();
    hear_end(&statuses);
    _ = display.close();
    assert_eq!(numbers(&heard), [0; 0], "it was told by its reply");
}

#[test]
fn nor_is_a_call_of_an_asynchronous_display_that_was_sent_or_not() {
    let (address, go) = silent();
    runtime().block_on(soon(async {
        let (listens, heard) = ear();
        let (tell, told) = mpsc::channel();
        let options =
            ConnectOptions::new().reconnect(Duration::ZERO).on_status(move |status| _ = tell.send(status));
        let display = options.on_error(listens).connect(&address).await.unwrap();
        let replies = [
            display.fill_rect(0, 0, 1, 1, Color::RED).await.unwrap(),
            display.fill_rect(1, 0, 1, 1, Color::RED).await.unwrap(),
        ];
        go.send(()).unwrap();
        let began = Instant::now();
        while !matches!(told.try_recv(), Ok(Status::Disconnected(_))) {
            assert!(began.elapsed() < DEADLINE, "it is lost");
            tokio::task::yield_now().await;
        }
        for reply in replies {
            assert!(reply.await.unwrap_err().is_disconnected());
        }
        _ = display.close().await;
        assert_eq!(numbers(&heard), [0; 0]);
    }));
}
