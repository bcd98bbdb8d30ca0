//! Error callbacks that panic, block or use the display: nothing deadlocks, the connection continues, and the other
//! errors still arrive.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::peer::{Peer, greeted, patient};
use common::{DEADLINE, TestServer, ear, numbers, runtime, soon};
use draw_client::blocking::Pipeline;
use draw_client::{Color, ConnectOptions, DisconnectReason, Display, Error, LateError, Outcome};
use futures::executor::block_on;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A callback that blocks at its first error until the gate opens, and records the errors that it receives. Dropping
/// `opens` opens the gate.
struct Gate {
    stands: Receiver<()>,
    opens: Sender<()>,
    heard: common::Heard,
}

fn gate() -> (impl FnMut(LateError) + Send + 'static, Gate) {
    let (tell, stands) = mpsc::channel();
    let (opens, wait) = mpsc::channel::<()>();
    let (mut listens, heard) = ear();
    let callback = move |late| {
        _ = tell.send(());
        // Blocks at the first error until the sender is dropped; later errors do not block.
        _ = wait.recv();
        listens(late);
    };
    (callback, Gate { stands, opens, heard })
}

/// Runs the runtime until the callback blocks at its gate, without advancing a paused clock.
async fn stands(gate: &Gate) {
    let began = Instant::now();
    while gate.stands.try_recv().is_err() {
        assert!(began.elapsed() < DEADLINE, "the callback was not called");
        tokio::task::yield_now().await;
    }
}

/// Serves as the display until the client disconnects.
async fn serve(mut peer: Peer) {
    while peer.turn().await > 0 {
        peer.answer().await;
    }
}

/// Uses the runtime's clock, which the test advances by hand.
#[tokio::test(start_paused = true)]
async fn a_callback_that_blocks_for_a_minute_holds_up_nothing_but_the_callbacks() {
    let (callback, gate) = gate();
    let (on_display, by_display) = ear();
    let (display, peer) = greeted(patient(30).on_error(on_display)).await;
    tokio::spawn(serve(peer));
    let legend = display.scope("legend").on_error(callback);
    legend.draw_pixel(10, 1, Color::RED).await.unwrap();
    stands(&gate).await;
    for minute in 0..4 {
        tokio::time::advance(Duration::from_secs(20)).await;
        // Drawing, in the scope and elsewhere, with its errors; waiting for one error; a question.
        legend.draw_pixel(11, minute, Color::RED).await.unwrap();
        display.draw_pixel(12, minute, Color::RED).await.unwrap();
        assert_eq!(display.get_pixel(1, 1).await.unwrap(), Color::RED);
        let waited = display.draw_pixel(13, minute, Color::RED).await.unwrap().await;
        assert_eq!(waited.unwrap_err().fault().unwrap().message, "as a test");
    }
    assert_eq!((numbers(&gate.heard).len(), numbers(&by_display).len()), (0, 0));

    // The display has nothing left to do, so `close` gives up on the callback, at twice the timeout.
    let began = tokio::time::Instant::now();
    let error = display.close().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
    assert_eq!(began.elapsed().as_secs(), 60);
    drop(gate.opens);
    // In real time again, since `close` waits for a real thread.
    tokio::time::resume();
    soon(display.close()).await.unwrap();
    assert_eq!(numbers(&gate.heard), [1, 2, 6, 10, 14]);
    assert_eq!(numbers(&by_display), [3, 7, 11, 15]);
}

/// Errors that no callback has received yet count against credit, for every scope.
#[test]
fn while_a_callback_blocks_drawing_goes_on_until_credit_is_used() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let (callback, gate) = gate();
        let (on_display, by_display) = ear();
        let options = ConnectOptions::new().on_error(on_display).timeout(Duration::from_secs(1));
        let display = options.connect(&server.address).await.unwrap();
        let legend = display.scope("legend").on_error(callback);
        let handles = [&legend, &display];
        let mut accepted = 0;
        let error = loop {
            match handles[accepted % 2].fill_rect(10, 0, 1, 1, Color::RED).await {
                Ok(_) => accepted += 1,
                Err(error) => break error,
            }
            if accepted == 1_000 {
                assert_eq!(display.get_pixel(1, 1).await.unwrap(), Color::BLACK);
            }
        };
        assert!(matches!(error, Error::Timeout { outcome: Outcome::Rejected, .. }), "{error}");
        assert_eq!(accepted, 65_536);
        drop(gate.opens);
        display.sync().await.unwrap();
        display.close().await.unwrap();
        assert_eq!((numbers(&gate.heard).len(), numbers(&by_display).len()), (32_768, 32_768));
    }));
}

#[test]
fn a_callback_that_panics_each_time_loses_nothing_but_its_own_work() {
    let server = TestServer::start(10, 10);
    let (on_display, by_display) = ear();
    let display = ConnectOptions::new().on_error(on_display).connect_pipeline(&server.address).unwrap();
    let (mut listens, heard) = ear();
    let bad = display.scope("bad").on_error(move |late| {
        listens(late);
        panic!("as a test");
    });
    /// Panics when it is dropped.
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("as a test, when dropped");
        }
    }
    let bomb = Bomb;
    let worse = display.scope("worse").on_error(move |_| _ = &bomb);
    for x in 10..20 {
        bad.draw_pixel(x, 0, Color::RED).unwrap();
        display.draw_pixel(x, 1, Color::RED).unwrap();
        worse.draw_pixel(x, 2, Color::RED).unwrap();
    }
    drop(worse);
    display.sync().unwrap();
    bad.draw_pixel(10, 0, Color::RED).unwrap();
    assert_eq!(display.get_pixel(1, 1).unwrap(), Color::BLACK);
    display.close().unwrap();
    assert_eq!(numbers(&heard), (0..10).map(|i| 3 * i + 1).chain([32]).collect::<Vec<_>>());
    assert_eq!(numbers(&by_display), (0..10).map(|i| 3 * i + 2).collect::<Vec<_>>());
}

#[test]
fn a_callback_draws_and_asks_and_syncs_and_sets_up_another_scope() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let (give, take) = mpsc::channel::<Display>();
        let (tell, told) = mpsc::channel();
        let (mut on_inner, by_inner) = ear();
        let (inner_heard, hear_inner) = mpsc::channel();
        let mut on_inner = Some(move |late| {
            on_inner(late);
            inner_heard.send(()).unwrap();
        });
        let display = Display::connect(&server.address).await.unwrap();
        let mut inner = None;
        let legend = display.scope("legend").on_error(move |_| {
            let Some(on_inner) = on_inner.take() else { return };
            let display: Display = take.recv().unwrap();
            let result = block_on(async {
                display.draw_pixel(5, 5, Color::GREEN).await?.await?;
                display.sync().await?;
                let corrected = display.scope("corrected").on_error(on_inner);
                corrected.draw_pixel(-1, 0, Color::RED).await?;
                // Its error, and that of the scope whose callback this is, come after this one.
                display.scope("nobody's").draw_pixel(-2, 0, Color::RED).await?.ignore();
                inner = Some(corrected);
                display.get_pixel(5, 5).await
            });
            tell.send(result).unwrap();
        });
        legend.draw_pixel(10, 0, Color::RED).await.unwrap();
        give.send(display.clone()).unwrap();
        let result = tokio::task::spawn_blocking(move || {
            let result = told.recv_timeout(DEADLINE).unwrap();
            hear_inner.recv_timeout(DEADLINE).unwrap();
            result
        });
        assert_eq!(result.await.unwrap().unwrap(), Color::GREEN);
        display.close().await.unwrap();
        let by_inner = by_inner.lock().unwrap();
        let call = by_inner[0].calls().next().unwrap();
        assert_eq!((by_inner.len(), call.scope()), (1, Some("corrected")));
        assert_eq!(call.parameters().to_string(), "-1, 0, #ff0000ff");
    }));
}

/// Even if the connection has ended meanwhile, the new callback receives the errors of calls that failed before.
#[test]
fn a_callback_may_put_another_in_its_own_place() {
    let server = TestServer::start(10, 10);
    let display = Pipeline::connect(&server.address).unwrap();
    let (give, take) = mpsc::channel::<Pipeline>();
    let (tell, told) = mpsc::channel();
    let scope = display.scope("a").on_error(move |late: LateError| {
        let (tell, number) = (tell.clone(), |late: &LateError| late.calls().next().unwrap().number());
        tell.send(("first", number(&late))).unwrap();
        let scope = take.recv().unwrap();
        drop(scope.on_error(move |late| tell.send(("second", number(&late))).unwrap()));
    });
    scope.draw_pixel(10, 0, Color::RED).unwrap();
    scope.draw_pixel(11, 0, Color::RED).unwrap();
    scope.draw_pixel(12, 0, Color::RED).unwrap();
    scope.sync().unwrap();
    let closing = std::thread::spawn(move || display.close());
    // No call is accepted once `close` has begun.
    let began = Instant::now();
    while !matches!(
        scope.draw_pixel(1, 1, Color::RED),
        Err(Error::Disconnected { reason: DisconnectReason::Closed { .. }, .. })
    ) {
        assert!(began.elapsed() < DEADLINE, "it is not closed");
        std::thread::yield_now();
    }
    give.send(scope.clone()).unwrap();
    closing.join().unwrap().unwrap();
    assert_eq!(told.iter().collect::<Vec<_>>(), [("first", 1), ("second", 2), ("second", 3)]);
}

/// The test gives its handles away first, so that those in the callbacks are the last.
#[test]
fn callbacks_may_drop_the_last_handle() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let (give, take) = mpsc::channel::<[Display; 2]>();
        let (mut listens, heard) = ear();
        let (tell, told) = mpsc::channel();
        let display = Display::connect(&server.address).await.unwrap();
        let legend = display.scope("legend").on_error(move |late| {
            listens(late);
            drop(take.recv());
            tell.send(()).unwrap();
        });
        legend.draw_pixel(10, 0, Color::RED).await.unwrap();
        legend.draw_pixel(11, 0, Color::RED).await.unwrap();
        legend.draw_pixel(3, 3, Color::GREEN).await.unwrap();
        give.send([display, legend]).unwrap();
        drop(give);
        // The callback is dropped after both errors: the connection ends by itself.
        let times = tokio::task::spawn_blocking(move || told.iter().count()).await.unwrap();
        assert_eq!((times, numbers(&heard)), (2, vec![1, 2]));
        assert_eq!(server.shown(3, 3), Color::GREEN);
    }));
}

/// A callback is dropped with what it holds, possibly the last handle: the connection's thread must not then wait for
/// the connection to end.
#[test]
fn a_callback_that_holds_the_last_handle_goes_with_its_scope() {
    let server = TestServer::start(10, 10);
    for (fails, by_another) in [(true, false), (false, false), (true, true), (false, true)].repeat(25) {
        let display = Pipeline::connect(&server.address).unwrap();
        let (tell, told) = mpsc::channel();
        let mut keep = Some(display.clone());
        let scope = display.scope("a").on_error(move |_| {
            // Dropped at the first error.
            drop(keep.take());
            tell.send(()).unwrap();
        });
        let began = Instant::now();
        scope.draw_pixel(if fails { 10 } else { 3 }, 3, Color::GREEN).unwrap();
        if by_another {
            // Both are dropped at once, and either may be the last.
            let other = std::thread::spawn(move || drop(display));
            drop(scope);
            other.join().unwrap();
        } else {
            drop(display);
            drop(scope);
        }
        assert_eq!(told.iter().count(), usize::from(fails));
        // A thread that waits for itself gives up after ten seconds.
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
    assert_eq!(server.shown(3, 3), Color::GREEN);
}

/// Callbacks run one at a time, on one thread, in the order of the errors, across all scopes.
#[test]
fn all_callbacks_of_a_connection_run_on_one_thread_in_order() {
    let server = TestServer::start(10, 10);
    let order = Arc::new(Mutex::new(Vec::new()));
    let listen = || {
        let order = Arc::clone(&order);
        move |late: LateError| {
            let mut order = order.try_lock().expect("one at a time");
            order.push((std::thread::current().id(), late.calls().next().unwrap().number()));
        }
    };
    let display = ConnectOptions::new().on_error(listen()).connect_pipeline(&server.address).unwrap();
    let (a, b) = (display.scope("a").on_error(listen()), display.scope("b").on_error(listen()));
    for i in 0..999 {
        [&a, &b, &display][i % 3].draw_pixel(10, 0, Color::RED).unwrap();
    }
    display.close().unwrap();
    let order = order.lock().unwrap();
    assert_eq!(order.iter().map(|(_, number)| *number).collect::<Vec<_>>(), (1..=999).collect::<Vec<_>>());
    assert!(order.iter().all(|(thread, _)| *thread == order[0].0));
}
