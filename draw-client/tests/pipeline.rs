//! The asynchronous client of a program without a runtime: where errors go, how it begins and how it ends.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::peer::{listen, serve};
use common::{DEADLINE, TestServer, runtime};
use draw_client::blocking::{Display, Pipeline};
use draw_client::{Color, ConnectOptions, DisconnectReason, Error, LateError, Outcome, Pixel};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Connects a pipeline whose callback records its errors.
fn listening(address: &str) -> (Pipeline, Arc<Mutex<Vec<LateError>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let writes = Arc::clone(&heard);
    let options = ConnectOptions::new().on_error(move |late| writes.lock().unwrap().push(late));
    (options.connect_pipeline(address).unwrap(), heard)
}

fn numbers(heard: &Mutex<Vec<LateError>>) -> Vec<u64> {
    heard.lock().unwrap().iter().flat_map(|late| late.calls().map(|call| call.number())).collect()
}

#[test]
fn an_error_goes_to_whoever_waits_and_to_nobody_else() {
    let server = TestServer::start(10, 10);
    let (display, heard) = listening(&server.address);
    let awaited = display.draw_pixel(10, 0, Color::RED).unwrap();
    assert_eq!(awaited.number(), 1);
    display.draw_pixel(20, 0, Color::RED).unwrap().ignore();
    let dropped_late = display.draw_pixel(30, 0, Color::RED).unwrap().into_owned();
    display.draw_pixel(40, 0, Color::RED).unwrap();
    let fine = display.draw_pixel(1, 1, Color::RED).unwrap();
    display.sync().unwrap();
    assert_eq!(server.shown(1, 1), Color::RED);

    // All calls are done now; a reply that exists still has its error.
    assert_eq!(awaited.wait().unwrap_err().to_string(), "out_of_bounds: (10, 0) is outside 10x10");
    fine.wait().unwrap();
    drop(dropped_late);
    display.close().unwrap();
    assert_eq!(numbers(&heard), [4, 3], "the reply that was never named, then the one that was dropped");
}

#[test]
fn without_a_callback_the_next_sync_or_close_tells() {
    let server = TestServer::start(10, 10);
    let display = Pipeline::connect(&server.address).unwrap();
    for i in 0..1_500 {
        display.draw_pixel(10 + i, 0, Color::RED).unwrap();
    }
    let Err(Error::Late(late)) = display.sync() else { panic!("1,500 calls failed") };
    assert_eq!((late.total(), late.errors().len()), (1_500, 1_000));
    display.sync().expect("they are told once");
    display.draw_pixel(10, 0, Color::RED).unwrap();
    let Err(Error::Late(late)) = display.close() else { panic!("one call failed") };
    assert_eq!(late.errors()[0].calls().next().unwrap().number(), 1_503);
}

#[test]
fn a_hundred_thousand_calls_are_drawn_and_each_failure_is_heard_once() {
    let server = TestServer::start(100, 100);
    let (display, heard) = listening(&server.address);
    std::thread::scope(|scope| {
        for y in 0..2 {
            let display = display.clone();
            scope.spawn(move || {
                for i in 0..50_000 {
                    // One in a hundred lies outside.
                    display.draw_pixel(i % 100 + i % 100 / 99, y, Color::RED).unwrap();
                }
            });
        }
    });
    display.close().unwrap();
    let mut numbers = numbers(&heard);
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!((numbers.len(), heard.lock().unwrap().len()), (1_000, 1_000));
    assert!((0..99).all(|x| (server.shown(x, 0), server.shown(x, 1)) == (Color::RED, Color::RED)));
}

#[test]
fn dropping_the_last_handle_waits_until_all_is_drawn_and_told() {
    let server = TestServer::start(100, 100);
    for _ in 0..20 {
        let (display, heard) = listening(&server.address);
        display.fill_rect(0, 0, 100, 100, Color::BLACK).unwrap();
        for x in 0..=100 {
            display.draw_pixel(x, 3, Color::RED).unwrap();
        }
        let reply = display.clone().draw_pixel(0, 4, Color::GREEN).unwrap().into_owned();
        drop(display);
        assert_eq!((server.shown(99, 3), server.shown(0, 4)), (Color::RED, Color::GREEN));
        assert_eq!(numbers(&heard), [102]);
        reply.wait().unwrap();
    }
}

#[test]
fn dropping_the_last_handle_gives_a_silent_display_five_seconds() {
    let (done, wait) = mpsc::channel::<()>();
    let address = listen(move |stream, _| {
        let _ = wait.recv();
        drop(stream);
    });
    let (display, heard) = listening(&address);
    display.draw_pixel(1, 1, Color::RED).unwrap();
    let started = Instant::now();
    drop(display);
    let took = started.elapsed();
    assert!((Duration::from_secs(5)..Duration::from_secs(8)).contains(&took), "{took:?}");
    let heard = heard.lock().unwrap();
    assert_eq!((heard.len(), heard[0].outcome()), (1, Outcome::Unknown));
    drop(done);
}

#[test]
fn a_callback_may_call_the_pipeline_and_close_it_and_drop_it() {
    let server = TestServer::start(10, 10);
    for closes in [true, false] {
        let (give, take) = mpsc::channel::<Pipeline>();
        let (tell, told) = mpsc::channel();
        let display = ConnectOptions::new()
            .on_error(move |late| {
                let display = take.recv().unwrap();
                let corrected = (|| {
                    display.draw_pixel(5, 5, Color::GREEN)?.wait()?;
                    let pixel = display.get_pixel(5, 5)?;
                    if closes { display.close().map(|()| pixel) } else { Ok(pixel) }
                })();
                // Dropping the last handle does not wait for this error, which counts as delivered only when the
                // callback returns.
                let started = Instant::now();
                drop(display);
                tell.send((late, corrected, started.elapsed())).unwrap();
            })
            .connect_pipeline(&server.address)
            .unwrap();
        display.draw_pixel(10, 0, Color::RED).unwrap();
        give.send(display).unwrap();
        let (late, corrected, took) = told.recv_timeout(DEADLINE).unwrap();
        assert_eq!(late.calls().next().unwrap().number(), 1);
        assert_eq!(corrected.unwrap(), Color::GREEN);
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
}

/// The display reads nothing while the callback draws.
#[test]
fn a_callback_does_not_wait_for_credit_and_is_busy_past_its_bound() {
    let (done, wait) = mpsc::channel::<()>();
    let address = listen(move |mut stream, mut machine| {
        serve(&mut stream, &mut machine, 1);
        let _ = wait.recv();
    });
    let (give, take) = mpsc::channel::<Pipeline>();
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .on_error(move |_| {
            let Ok(display) = take.recv() else { return };
            let megabyte = vec![0; 1 << 20];
            let put = |_| display.put_image(0, 0, 512, 512, &megabyte).map(|_| ());
            tell.send((0..50).map(put).collect::<Vec<_>>()).unwrap();
        })
        .timeout(Duration::from_secs(1))
        .connect_pipeline(&address)
        .unwrap();
    display.draw_pixel(10, 0, Color::RED).unwrap();
    give.send(display.clone()).unwrap();
    drop(give);
    let results = told.recv_timeout(DEADLINE).unwrap();
    let accepted = results.iter().take_while(|result| result.is_ok()).count();
    assert_eq!(accepted, 9, "8 MiB beyond what is worth having under way, and what that is exceeded by");
    assert!(
        results[accepted..]
            .iter()
            .all(|result| matches!(result, Err(Error::WouldDeadlock { in_callback: true })))
    );
    drop((display.close(), done));
}

#[test]
fn a_callback_that_panics_loses_nothing_but_its_own_work() {
    let server = TestServer::start(10, 10);
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .on_error(move |late| {
            tell.send(late).unwrap();
            panic!("as a test");
        })
        .connect_pipeline(&server.address)
        .unwrap();
    for _ in 0..3 {
        display.draw_pixel(10, 0, Color::RED).unwrap();
    }
    display.close().unwrap();
    assert_eq!(told.iter().count(), 3);
}

#[test]
fn a_display_that_stops_is_told_of_by_the_deadline_and_memory_stays_bounded() {
    let (done, wait) = mpsc::channel::<()>();
    let address = listen(move |stream, _| {
        let _ = wait.recv();
        drop(stream);
    });
    let timeout = Duration::from_millis(500);
    let display = ConnectOptions::new().timeout(timeout).connect_pipeline(&address).unwrap();
    let first = display.draw_pixel(1, 1, Color::RED).unwrap();
    let error = first.wait().unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
    let error = display.get_mouse().unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");

    let mut accepted = 2u32;
    let error = loop {
        match display.draw_pixel(1, 1, Color::RED) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Rejected, .. }), "{error}");
    let bytes = accepted as usize * Pixel::SIZE;
    assert!(bytes <= draw_protocol::limits::WINDOW_FIRST + 100, "{accepted} calls");

    let Err(Error::Late(late)) = display.close() else { panic!("the calls are unanswered") };
    assert!(late.to_string().contains("the display had not answered for 500ms"), "{late}");
    // The operating system may have taken all of them, or some.
    let outcomes: Vec<_> = late.errors().iter().map(LateError::outcome).collect();
    assert!([Outcome::Unknown, Outcome::Rejected].starts_with(&outcomes) && !outcomes.is_empty(), "{late}");
    assert_eq!(
        late.total(),
        u64::from(accepted - 2),
        "the first two have told already that they are unknown"
    );
    assert!(matches!(display.draw_pixel(1, 1, Color::RED), Err(Error::Disconnected { .. })));
    drop(done);
}

#[test]
fn a_cut_connection_names_every_call_exactly_once() {
    for answered in [0, 1, 2, 30] {
        let address = listen(move |mut stream, mut machine| serve(&mut stream, &mut machine, answered));
        let (display, heard) = listening(&address);
        let mut accepted = 0;
        let error = loop {
            // No two of them are sent together, and odd ones fail at the display.
            let x = if accepted % 2 == 0 { 10 } else { 1 };
            match display.draw_pixel(x, -1, Color::RED) {
                Ok(reply) => {
                    accepted += 1;
                    assert_eq!(reply.number(), accepted);
                }
                Err(error) => break error,
            }
        };
        assert!(error.is_disconnected() && error.outcome() == Outcome::Rejected, "{error}");
        assert!(display.close().unwrap_err().is_disconnected());
        drop(display);

        let heard = heard.lock().unwrap();
        let mut named = std::collections::BTreeMap::new();
        for late in heard.iter() {
            for call in late.calls() {
                let told = (late.outcome(), late.error().is_disconnected());
                assert_eq!(named.insert(call.number(), told), None, "call {}", call.number());
            }
        }
        let of = |wanted| named.iter().filter(move |(_, told)| **told == wanted).map(|(number, _)| *number);
        let (unknown, unsent) = ((Outcome::Unknown, true), (Outcome::Rejected, true));
        let done = of(unknown).chain(of(unsent)).min().map_or(accepted, |first| first - 1);
        let sent = of(unknown).max().unwrap_or(done);
        assert!(done >= answered as u64, "{done} of {accepted}");
        for number in 1..=accepted {
            let want = match number {
                n if n > sent => Some(unsent),
                n if n > done => Some(unknown),
                n if n % 2 == 1 => Some((Outcome::Rejected, false)),
                _ => None,
            };
            assert_eq!(named.get(&number).copied(), want, "call {number} of {accepted}, {answered} answered");
        }
    }
}

#[test]
fn other_handles_of_the_synchronous_display_hear_where_their_connection_went() {
    let server = TestServer::start(10, 10);
    let display = Display::connect(&server.address).unwrap();
    display.draw_pixel(0, 0, Color::RED).unwrap();
    let clone = display.clone();
    let pipeline = display.pipelined().unwrap();
    assert_eq!(pipeline.size(), clone.size());
    assert_eq!(pipeline.draw_pixel(1, 1, Color::RED).unwrap().number(), 2, "the numbers go on");
    pipeline.sync().unwrap();
    assert_eq!((pipeline.stats().calls, clone.stats().calls), (3, 1));

    let error = clone.draw_pixel(0, 0, Color::BLUE).unwrap_err();
    assert!(matches!(
        error,
        Error::Disconnected { reason: DisconnectReason::Pipelined, outcome: Outcome::Rejected }
    ));
    let want = "the connection to the display is lost: `pipelined` moved it into a `Pipeline`; this call was not sent";
    assert_eq!(error.to_string(), want);
    assert!(clone.clone().pipelined().unwrap_err().is_disconnected());
    assert!(clone.close().unwrap_err().is_disconnected(), "it is not theirs to close");
    pipeline.sync().unwrap();

    let closed = Display::connect(&server.address).unwrap();
    closed.close().unwrap();
    assert!(matches!(
        closed.pipelined(),
        Err(Error::Disconnected { reason: DisconnectReason::Closed { .. }, .. })
    ));
}

/// Calls that were given up after their deadline: half of their bytes are sent, and one of them fails later.
#[test]
fn calls_given_up_before_go_on_and_their_errors_are_late() {
    let (wake, woken) = mpsc::channel::<()>();
    let address = listen(move |mut stream, mut machine| {
        let _ = woken.recv();
        serve(&mut stream, &mut machine, usize::MAX);
    });
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .timeout(Duration::from_millis(200))
        .on_error(move |late: LateError| tell.send(late).unwrap())
        .connect_blocking(&address)
        .unwrap();
    let error = display.draw_pixel(10, 0, Color::RED).unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
    let error = display.put_image(0, 0, 2000, 2000, &vec![0; 16_000_000]).unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");

    let pipeline = display.pipelined().unwrap();
    let question = std::thread::spawn({
        let pipeline = pipeline.clone();
        move || pipeline.get_pixel(1, 1)
    });
    drop(wake);
    let late = told.recv_timeout(DEADLINE).unwrap();
    assert_eq!(late.calls().map(|call| call.number()).collect::<Vec<_>>(), [1]);
    assert_eq!(late.fault().unwrap().message, "as a test");
    assert_eq!(question.join().unwrap().unwrap(), Color::RED, "behind the whole of the image");
    pipeline.close().unwrap();
    assert!(told.recv().is_err(), "nothing else has failed");
}

#[test]
fn it_may_be_used_and_dropped_inside_of_runtimes() {
    let server = TestServer::start(10, 10);
    let body = |color| {
        let display = ConnectOptions::new().on_error(|_| {}).connect_pipeline(&server.address).unwrap();
        display.draw_pixel(10, 1, color).unwrap();
        display.draw_pixel(1, 1, color).unwrap().wait().unwrap();
        assert_eq!(display.get_pixel(1, 1).unwrap(), color);
        display.clone().close().unwrap();
        drop(display);
        let display = Display::connect(&server.address).unwrap().pipelined().unwrap();
        display.draw_pixel(2, 2, color).unwrap();
        drop(display);
        assert_eq!(server.shown(2, 2), color);
    };
    runtime().block_on(async { body(Color::RED) });
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    current.block_on(async { body(Color::GREEN) });
    // A runtime without timers and sockets.
    let plain = tokio::runtime::Builder::new_current_thread().build().unwrap();
    plain.block_on(async { body(Color::BLUE) });
    futures::executor::block_on(async { body(Color::WHITE) });
}
