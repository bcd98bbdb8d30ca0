//! Drawing calls do not wait with `DropOldest`, even if the connected display is behind or has stopped answering.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::peer::{listen, serve};
use common::{DEADLINE, TestServer, runtime, soon};
use draw_client::{Color, ConnectOptions, Error, LateError, Status, WhileOffline};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The number of drawing calls that the client keeps.
const ROOM: u64 = 65_536;

/// Starts a display that answers the greeting, and then neither reads nor answers until it gets a message on the
/// returned channel; then it serves.
fn sleeper() -> (String, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let address = listen(move |mut stream, mut machine| {
        if wait.recv().is_ok() {
            serve(&mut stream, &mut machine, usize::MAX);
        }
    });
    (address, go)
}

/// Starts a relay that passes the greeting and its answer on, and then nothing until it gets a message on the returned
/// channel.
fn stopped(server: &TestServer) -> (String, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, target) = (listener.local_addr().unwrap().to_string(), server.address.clone());
    let (go, wait) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut client, mut server) = (listener.accept().unwrap().0, TcpStream::connect(target).unwrap());
        let mut buffer = [0; 1000];
        let n = client.read(&mut buffer).unwrap();
        server.write_all(&buffer[..n]).unwrap();
        let n = server.read(&mut buffer).unwrap();
        client.write_all(&buffer[..n]).unwrap();
        _ = wait.recv();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        _ = std::io::copy(&mut server, &mut client);
    });
    (address, go)
}

/// Longer than any call of a live picture takes.
const NEVER: Duration = Duration::from_secs(5);

#[test]
fn a_pipeline_draws_on_while_a_connected_display_says_nothing_and_the_newest_are_drawn() {
    let server = TestServer::start(64, 48);
    let (address, go) = stopped(&server);
    let ((tell_status, statuses), (tell, late)) = (mpsc::channel(), mpsc::channel::<LateError>());
    let display = ConnectOptions::new()
        .while_offline(WhileOffline::DropOldest)
        .on_status(move |status| _ = tell_status.send(status))
        .on_error(move |error| _ = tell.send(error))
        .connect_pipeline(&address)
        .unwrap();
    let made = 6 * ROOM;
    for i in 0..made {
        let began = Instant::now();
        display.add_pixel(0, 0, 1).unwrap();
        assert!(began.elapsed() < NEVER, "call {i} has waited");
    }
    display.draw_pixel(1, 1, Color::RED).unwrap();
    go.send(()).unwrap();
    display.sync().unwrap();
    let status = statuses.recv_timeout(DEADLINE).unwrap();
    let Status::Dropped { calls: dropped } = status else { panic!("{status}") };
    assert!(status.to_string().contains("offline or behind"), "{status}");
    display.close().unwrap();
    let drawn = u64::from(server.shown(0, 0).to_u32() - Color::BLACK.to_u32());
    assert_eq!(drawn + dropped, made, "each was drawn or dropped");
    assert_eq!(server.shown(1, 1), Color::RED, "the newest was drawn");
    assert!(drawn >= ROOM - 1, "as many as there is room for: {drawn}");
    let late: Vec<_> = late.try_iter().collect();
    assert!(late.iter().all(|late| matches!(late.error(), Error::Dropped)), "{late:?}");
    assert_eq!(late.iter().map(LateError::total).sum::<u64>(), dropped);
}

#[test]
fn an_asynchronous_display_does_the_same_and_its_questions_wait_in_their_place() {
    let (address, go) = sleeper();
    runtime().block_on(soon(async {
        let options = ConnectOptions::new().while_offline(WhileOffline::DropOldest);
        let display = options.timeout(Duration::from_millis(300)).connect(&address).await.unwrap();
        let made = 4 * ROOM;
        for i in 0..made {
            let began = Instant::now();
            display.add_pixel(0, 0, i as u32).await.unwrap();
            assert!(began.elapsed() < NEVER, "call {i} has waited");
        }
        // A question waits until its timeout.
        assert!(matches!(display.get_pixel(0, 0).await, Err(Error::Timeout { .. })));
        let reply = display.add_pixel(0, 0, 1).await.unwrap();
        go.send(()).unwrap();
        let late = loop {
            match display.sync().await {
                Err(Error::Late(late)) => break late,
                Err(Error::Timeout { .. }) => {}
                other => panic!("{:?}: some were dropped", other),
            }
        };
        assert!(matches!(late.errors()[0].error(), Error::Dropped), "{late}");
        reply.await.unwrap();
        assert_eq!(display.get_pixel(0, 0).await.unwrap(), Color::RED);
    }));
}

#[test]
fn the_other_policies_still_wait_for_credit() {
    for policy in [WhileOffline::Wait, WhileOffline::Fail] {
        let (address, go) = sleeper();
        let options = ConnectOptions::new().while_offline(policy).timeout(Duration::from_millis(200));
        let display = options.connect_pipeline(&address).unwrap();
        let error = (0..6 * ROOM).find_map(|_| display.draw_pixel(0, 0, Color::RED).map(drop).err());
        assert!(matches!(error, Some(Error::Timeout { .. })), "{error:?}");
        // What was accepted is drawn after all.
        go.send(()).unwrap();
        display.sync().unwrap();
    }
}
