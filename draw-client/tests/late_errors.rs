//! The rule for errors: an error goes to the reply that awaits it, else to the callback, else to the next sync or
//! close.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::{TestServer, runtime, soon};
use draw_client::{Color, ConnectOptions, DisconnectReason, Display, Error, LateError, Outcome, Pixel};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Connects a display whose callback records its errors.
async fn listening(server: &TestServer) -> (Display, Arc<Mutex<Vec<LateError>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let writes = Arc::clone(&heard);
    let display = ConnectOptions::new()
        .on_error(move |late| writes.lock().unwrap().push(late))
        .connect(&server.address)
        .await
        .unwrap();
    (display, heard)
}

#[test]
fn ten_thousand_late_failures_are_heard_each_once_with_its_own_call() {
    let server = TestServer::start(64, 64);
    for runtime in [runtime(), tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()] {
        runtime.block_on(soon(async {
            let (display, heard) = listening(&server).await;
            for i in 0..10_000 {
                // Every other call succeeds.
                display.draw_pixel(i % 64, 1, Color::RED).await.unwrap();
                display.draw_pixel(1000 + i, 7, Color::BLUE).await.unwrap();
            }
            display.close().await.unwrap();
            let heard = heard.lock().unwrap();
            assert_eq!(heard.len(), 10_000);
            for (i, late) in heard.iter().enumerate() {
                let call = late.calls().next().unwrap();
                assert_eq!(late.calls().len(), 1);
                assert_eq!(call.number(), 2 * i as u64 + 2);
                assert_eq!(call.call().to_string(), format!("draw_pixel({}, 7, #0000ffff)", 1000 + i));
                let x = 1000 + i;
                assert_eq!(late.fault().unwrap().message, format!("({x}, 7) is outside 64x64"));
                assert_eq!(late.outcome(), Outcome::Rejected);
                assert!(call.age() < common::DEADLINE && call.calls_since() < 20_000);
            }
        }));
    }
}

#[test]
fn an_error_goes_to_whoever_waits_and_to_nobody_else() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let (display, heard) = listening(&server).await;
        let awaited = display.draw_pixel(10, 0, Color::RED).await.unwrap();
        let ignored = display.draw_pixel(20, 0, Color::RED).await.unwrap();
        ignored.ignore();
        let dropped_late = display.draw_pixel(30, 0, Color::RED).await.unwrap().into_owned();
        display.draw_pixel(40, 0, Color::RED).await.unwrap();
        let fine = display.draw_pixel(1, 1, Color::RED).await.unwrap();
        display.sync().await.unwrap();

        // All calls are done now; a reply that exists still has its error.
        assert_eq!(awaited.await.unwrap_err().to_string(), "out_of_bounds: (10, 0) is outside 10x10");
        fine.await.unwrap();
        drop(dropped_late);
        display.close().await.unwrap();
        let numbers: Vec<_> =
            heard.lock().unwrap().iter().map(|late| late.calls().next().unwrap().number()).collect();
        assert_eq!(
            numbers,
            [4, 3],
            "the call whose reply was never named, then the one whose reply was dropped"
        );
    }));
}

/// The texts name lines of this file, which the test records with `line!`.
#[test]
fn a_late_error_names_the_line_that_made_the_call() {
    /// Makes its calls in the name of its caller.
    #[track_caller]
    fn dot(display: &Display, x: i32) -> draw_client::Draw<'_, 'static> {
        display.draw_pixel(x, 10, Color::RED)
    }
    let server = TestServer::start(640, 480);
    runtime().block_on(soon(async {
        let (display, heard) = listening(&server).await;
        let mut lines = Vec::new();
        for x in 638..642 {
            display.draw_pixel(x, 10, Color::GREEN).await.unwrap();
        }
        lines.push(line!() - 2);
        dot(&display, 700).await.unwrap();
        lines.push(line!() - 1);
        display.draw_pixel(0, 480, Color::RED).await.unwrap();
        lines.push(line!() - 1);
        let pixels: Vec<_> = (0..20).map(|x| Pixel::new(x, 470 + x, Color::RED)).collect();
        display.draw_pixels(&pixels).await.unwrap();
        lines.push(line!() - 1);
        display.close().await.unwrap();

        let heard = heard.lock().unwrap();
        let texts: Vec<_> = heard
            .iter()
            .map(|late| {
                let call = late.calls().next().unwrap();
                assert_eq!(late.outcome(), Outcome::Rejected);
                let age = format!(" ({} call", call.calls_since());
                let text = late.to_string();
                let (text, age) = text.split_at(text.find(&age).expect("its age"));
                common::assert_age(age);
                text.to_owned()
            })
            .collect();
        let at = |i: usize, column: u32| format!("draw-client/tests/late_errors.rs:{}:{column} ", lines[i]);
        let size = "out of bounds: the display is 640x480; not drawn";
        let mut expected = vec![
            at(0, 21) + "draw_pixel(640, 10, #00ff00ff): " + size,
            at(0, 21) + "draw_pixel(641, 10, #00ff00ff): " + size,
            at(1, 9) + "draw_pixel(700, 10, #ff0000ff): " + size,
            at(2, 17) + "draw_pixel(0, 480, #ff0000ff): " + size,
        ];
        expected.push(
            at(3, 17)
                + "draw_pixels(20 pixels): out of bounds: 10 of 20 pixels are outside 640x480: (10, 480), (11, 481), \
                   (12, 482), (13, 483), (14, 484), (15, 485), (16, 486), (17, 487), (18, 488), (19, 489); the others were drawn",
        );
        assert_eq!(texts, expected);
        let location = heard[2].calls().next().unwrap().location().unwrap();
        assert_eq!((location.file(), location.line()), ("draw-client/tests/late_errors.rs", lines[1]));
    }));
}

#[test]
fn without_a_callback_the_next_sync_or_close_tells() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let display = Display::connect(&server.address).await.unwrap();
        for i in 0..1_500 {
            display.draw_pixel(10 + i, 0, Color::RED).await.unwrap();
        }
        let Err(Error::Late(late)) = display.sync().await else { panic!("1,500 calls failed") };
        assert_eq!((late.total(), late.errors().len()), (1_500, 1_000));
        let text = late.to_string();
        assert!(
            text.starts_with("1500 earlier calls failed, the first: draw-client/tests/late_errors.rs:"),
            "{text}"
        );
        assert!(
            text.contains("draw_pixel(10, 0, #ff0000ff): out of bounds: the display is 10x10; not drawn ("),
            "{text}"
        );
        assert_eq!(late.errors()[999].calls().next().unwrap().number(), 1_000);
        display.sync().await.expect("they are told once");

        display.draw_pixel(10, 0, Color::RED).await.unwrap();
        let Err(Error::Late(late)) = display.close().await else { panic!("one call failed") };
        assert!(
            late.to_string().starts_with("an earlier call failed: draw-client/tests/late_errors.rs:"),
            "{late}"
        );
        assert_eq!(late.errors()[0].calls().next().unwrap().number(), 1503);
    }));
}

#[test]
fn a_cut_connection_names_every_call_exactly_once() {
    for cut_after in [0usize, 1, 40, 5_000, 30_000, 100_000] {
        let server = TestServer::start(64, 64);
        runtime().block_on(soon(cut_in_the_middle(&server, cut_after)));
    }
}

/// Cuts the connection after the server has read `cut_after` bytes. Each call is then either done, failed by its own
/// fault, or named as Unknown, or as Rejected if nothing of it was sent; each exactly once.
async fn cut_in_the_middle(server: &TestServer, cut_after: usize) {
    let relay = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = relay.local_addr().unwrap().to_string();
    let target = server.address.clone();
    tokio::spawn(async move {
        use tokio::io::AsyncReadExt;
        let (client, _) = relay.accept().await.unwrap();
        let server = tokio::net::TcpStream::connect(target).await.unwrap();
        let (from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        // The greeting passes; it is about 80 bytes.
        let mut limited = from_client.take(100 + cut_after as u64);
        tokio::select! {
            _ = tokio::io::copy(&mut limited, &mut to_server) => {}
            _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
        }
    });
    let (display, heard) = {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let writes = Arc::clone(&heard);
        let display = ConnectOptions::new()
            .reconnect(Duration::ZERO)
            .on_error(move |late: LateError| writes.lock().unwrap().push(late));
        (display.connect(&address).await.unwrap(), heard)
    };
    let mut accepted = 0;
    let error = loop {
        // Odd calls fail at the display.
        let x = if accepted % 2 == 0 { 1 } else { 100 };
        match display.draw_pixel(x, 1, Color::RED).await {
            Ok(reply) => {
                accepted += 1;
                assert_eq!(reply.number(), accepted);
            }
            Err(error) => break error,
        }
    };
    assert!(error.is_disconnected() && error.outcome() == Outcome::Rejected, "{error}");
    let _ = display.close().await;

    let heard = heard.lock().unwrap();
    let mut named = BTreeMap::new();
    let mut losses = Vec::new();
    for late in heard.iter() {
        let told = (late.outcome(), late.error().is_disconnected());
        if told.1 {
            losses.push((told.0, late.calls().len()));
        }
        for call in late.calls() {
            assert_eq!(named.insert(call.number(), told), None, "call {} was named twice", call.number());
        }
    }
    // A lost connection is one callback, or two: one for calls that were sent, and one for calls that were not. A reply
    // that exists at that moment keeps its error; this program has at most one such reply, and drops it.
    let (unknown, unsent) = ((Outcome::Unknown, true), (Outcome::Rejected, true));
    if losses.len() > 1 {
        losses.pop_if(|(_, calls)| *calls == 1);
    }
    assert!(matches!(losses[..], [] | [_] | [(Outcome::Unknown, _), (Outcome::Rejected, _)]), "{losses:?}");
    // Calls are executed in order: up to some number all are done (the odd ones are named as rejected), after it all
    // are Unknown, up to the last that was sent.
    let lost = |wanted| move |(_, told): &(&u64, &(Outcome, bool))| **told == wanted;
    let of = |wanted| named.iter().filter(lost(wanted)).map(|(number, _)| *number);
    let done = of(unknown).chain(of(unsent)).min().map_or(accepted, |first| first - 1);
    let sent = of(unknown).max().unwrap_or(done);
    for number in 1..=accepted {
        let want = match number {
            n if n > sent => Some(unsent),
            n if n > done => Some(unknown),
            n if n % 2 == 0 => Some((Outcome::Rejected, false)),
            _ => None,
        };
        assert_eq!(
            named.get(&number).copied(),
            want,
            "call {number} of {accepted}, cut after {cut_after} bytes"
        );
    }
}

#[test]
fn a_callback_that_panics_loses_nothing_but_its_own_work() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let count = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&count);
        let display = ConnectOptions::new()
            .on_error(move |_| {
                if counts.fetch_add(1, Ordering::SeqCst) == 0 {
                    panic!("as a test");
                }
            })
            .connect(&server.address)
            .await
            .unwrap();
        for _ in 0..3 {
            display.draw_pixel(10, 0, Color::RED).await.unwrap();
        }
        display.close().await.unwrap();
        assert_eq!(count.load(Ordering::SeqCst), 3);
    }));
}

#[test]
fn a_callback_may_call_the_display_and_drop_it_and_close_it() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let (give, take) = mpsc::channel::<Display>();
        let (tell, told) = mpsc::channel();
        let display = ConnectOptions::new()
            .on_error(move |late| {
                let display = take.recv().unwrap();
                let corrected = futures::executor::block_on(async {
                    display.draw_pixel(5, 5, Color::GREEN).await?.await?;
                    let pixel = display.get_pixel(5, 5).await?;
                    display.close().await?;
                    Ok::<_, Error>(pixel)
                });
                drop(display);
                tell.send((late, corrected)).unwrap();
            })
            .connect(&server.address)
            .await
            .unwrap();
        let keep = display.clone();
        display.draw_pixel(10, 0, Color::RED).await.unwrap();
        give.send(display).unwrap();
        let (late, corrected) = tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
        assert_eq!(late.calls().next().unwrap().number(), 1);
        assert_eq!(corrected.unwrap(), Color::GREEN);
        assert!(matches!(
            keep.draw_pixel(0, 0, Color::RED).await,
            Err(Error::Disconnected { reason: DisconnectReason::Closed { .. }, .. })
        ));
    }));
}

/// While the callback blocks on the first error, the credit is used up; its own calls are accepted up to a fixed bound.
#[test]
fn a_slow_callback_slows_the_program_down_and_is_busy_past_its_bound() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let (give, take) = mpsc::channel::<Display>();
        let (go, wait) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let mut is_first = true;
        let display = ConnectOptions::new()
            .on_error(move |_| {
                if !std::mem::take(&mut is_first) {
                    return;
                }
                let display = take.recv().unwrap();
                wait.recv().unwrap();
                let results: Vec<_> = (0..3_000)
                    .map(|_| {
                        futures::executor::block_on(async {
                            display.fill_rect(99, 0, 1, 1, Color::RED).await.map(|_| ())
                        })
                    })
                    .collect();
                tell.send(results).unwrap();
            })
            .timeout(Duration::from_secs(2))
            .connect(&server.address)
            .await
            .unwrap();
        give.send(display.clone()).unwrap();
        let mut accepted = 0u32;
        let error = loop {
            match display.fill_rect(10, 0, 1, 1, Color::RED).await {
                Ok(_) => accepted += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Timeout { outcome: Outcome::Rejected, .. }), "{error}");
        assert_eq!(accepted, 65_536, "every error not heard yet counts against the credit");
        go.send(()).unwrap();
        let results = tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
        let busy = results
            .iter()
            .filter(|result| matches!(result, Err(Error::WouldDeadlock { in_callback: true })))
            .count();
        assert_eq!(busy, 3_000 - 1_024);
        display.sync().await.unwrap();
        display.close().await.unwrap();
    }));
}

#[test]
fn dropping_the_last_handle_still_sends_and_still_tells() {
    let server = TestServer::start(100, 100);
    runtime().block_on(soon(async {
        let (tell, told) = mpsc::channel();
        let display = ConnectOptions::new()
            .on_error(move |late| tell.send(late).unwrap())
            .connect(&server.address)
            .await
            .unwrap();
        for x in 0..=100 {
            display.draw_pixel(x, 3, Color::RED).await.unwrap();
        }
        let reply = display.draw_pixel(0, 4, Color::GREEN).await.unwrap().into_owned();
        drop(display);
        reply.await.unwrap();
        let late = tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
        assert_eq!(late.calls().next().unwrap().number(), 101);
        assert_eq!(server.shown(99, 3), Color::RED);
        assert_eq!(server.shown(0, 4), Color::GREEN);
    }));
}

#[test]
fn a_runtime_that_ends_is_an_error_and_not_a_hang() {
    let server = TestServer::start(10, 10);
    let first = runtime();
    let display = first.block_on(soon(Display::connect(&server.address))).unwrap();
    drop(first);
    let error = runtime().block_on(soon(display.sync())).unwrap_err();
    assert!(error.to_string().contains("call `close().await` before the runtime ends"), "{error}");
}

/// Futures are dropped in any state: accepted calls are executed, and each failure is reported once, to the poll that
/// returned it or to the callback.
#[test]
fn dropping_a_future_at_any_point_loses_nothing() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let (display, heard) = listening(&server).await;
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen_by_polls = 0;
        for polls in 0..4 {
            let mut question = Some(Box::pin(display.get_pixel(50, 50)));
            let mut drawing = Some(Box::pin(async { display.draw_pixel(60, 60, Color::RED).await?.await }));
            for _ in 0..polls {
                // An answer may arrive meanwhile; a future that is ready is not polled again.
                if let Some(Poll::Ready(answer)) =
                    question.as_mut().map(|future| future.as_mut().poll(&mut cx))
                {
                    answer.expect_err("it is outside");
                    seen_by_polls += 1;
                    question = None;
                }
                if let Some(Poll::Ready(done)) = drawing.as_mut().map(|future| future.as_mut().poll(&mut cx))
                {
                    done.expect_err("it is outside");
                    seen_by_polls += 1;
                    drawing = None;
                }
            }
        }
        assert_eq!(display.get_pixel(1, 1).await.unwrap(), Color::BLACK);
        display.close().await.unwrap();
        let heard = heard.lock().unwrap();
        let mut numbers: Vec<_> = heard.iter().map(|late| late.calls().next().unwrap().number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), heard.len(), "none is told twice");
        // The accepted of two calls in each of three rounds (accepting takes a second poll if the first only yields);
        // the last question, which succeeds, is subtracted.
        let accepted = display.stats().calls as usize - 1;
        assert!((2 * 2..=2 * 3).contains(&accepted), "{accepted}");
        assert_eq!(heard.len() + seen_by_polls, accepted);
    }));
}
