//! Scopes: which callback receives an error, when the callback is dropped, and the text of a lost connection.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::peer::{greeted, patient};
use common::{DEADLINE, TestServer, ear, numbers, runtime, soon, text};
use draw_client::blocking::Pipeline;
use draw_client::{Color, ConnectOptions, Display, Error, LateError, Outcome};
use std::collections::BTreeSet;
use std::sync::mpsc::{self, RecvTimeoutError};

#[test]
fn an_error_goes_to_the_waiter_else_the_scope_else_the_one_around_it_else_the_display() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let ((on_display, display_heard), (on_chart, chart_heard), (on_axis, axis_heard)) =
            (ear(), ear(), ear());
        let display = ConnectOptions::new().on_error(on_display).connect(&server.address).await.unwrap();
        let chart = display.scope("chart").on_error(on_chart);
        let (legend, axis) = (chart.scope("legend"), chart.scope("axis").on_error(on_axis));
        let title = display.scope("title");
        let waits = axis.draw_pixel(10, 1, Color::RED).await.unwrap();
        axis.draw_pixel(10, 2, Color::RED).await.unwrap().ignore();
        axis.clone().draw_pixel(10, 3, Color::RED).await.unwrap();
        legend.draw_pixel(10, 4, Color::RED).await.unwrap();
        chart.draw_pixel(10, 5, Color::RED).await.unwrap();
        title.draw_pixel(10, 6, Color::RED).await.unwrap();
        display.draw_pixel(10, 7, Color::RED).await.unwrap();
        let dropped_late = axis.draw_pixel(10, 8, Color::RED).await.unwrap().into_owned();
        axis.draw_pixel(1, 1, Color::RED).await.unwrap().await.unwrap();
        waits.await.expect_err("it is outside");
        drop(dropped_late);
        assert!(axis.get_pixel(10, 9).await.unwrap_err().fault().is_some(), "a question is waited for");
        axis.sync().await.unwrap();
        display.close().await.unwrap();
        assert_eq!(numbers(&axis_heard), [3, 8]);
        assert_eq!(numbers(&chart_heard), [4, 5]);
        assert_eq!(numbers(&display_heard), [6, 7]);
        let scopes = |heard: &common::Heard| -> Vec<_> {
            let heard = heard.lock().unwrap();
            heard.iter().map(|late| late.calls().next().unwrap().scope().map(str::to_owned)).collect()
        };
        assert_eq!(scopes(&chart_heard), [Some("chart/legend".into()), Some("chart".into())]);
        assert_eq!(scopes(&display_heard), [Some("title".into()), None]);
    }));
}

/// The name of a scope may come from an untrusted source.
#[test]
fn the_name_of_a_scope_does_nothing_to_a_terminal() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let display = Display::connect(&server.address).await.unwrap();
        display.scope("a\u{202e}b\u{1b}[2J").draw_pixel(10, 0, Color::RED).await.unwrap();
        let text = display.sync().await.unwrap_err().to_string();
        assert!(text.contains(r" in a\u{202e}b\u{1b}[2J"), "{text}");
        display.close().await.unwrap();
    }));
}

#[test]
fn without_any_callback_the_next_sync_or_close_tells_and_names_the_scope() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let display = Display::connect(&server.address).await.unwrap();
        let (legend, (listens, heard)) = (display.scope("legend"), ear());
        let axis = display.scope("axis").on_error(listens);
        legend.draw_pixel(10, 0, Color::RED).await.unwrap();
        axis.draw_pixel(11, 0, Color::RED).await.unwrap();
        display.draw_pixel(12, 0, Color::RED).await.unwrap();
        let Err(Error::Late(late)) = display.sync().await else { panic!("two calls failed") };
        let texts: Vec<_> = late.errors().iter().map(text).collect();
        assert_eq!(late.total(), 2);
        let size = "out of bounds: the display is 10x10; not drawn";
        assert!(texts[0].ends_with(&format!("draw_pixel(10, 0, #ff0000ff) in legend: {size}")), "{texts:?}");
        assert!(texts[1].ends_with(&format!("draw_pixel(12, 0, #ff0000ff): {size}")), "{texts:?}");
        display.sync().await.expect("they are told once");
        legend.draw_pixel(10, 0, Color::RED).await.unwrap();
        // Any handle reports them.
        let Err(Error::Late(late)) = axis.close().await else { panic!("one call failed") };
        assert_eq!(late.errors()[0].calls().next().unwrap().scope(), Some("legend"));
        assert_eq!(numbers(&heard), [2]);
    }));
}

/// The pixels are sent together, in a few requests.
#[test]
fn single_pixels_of_three_scopes_in_turn_each_find_their_own_callback() {
    let server = TestServer::start(64, 64);
    runtime().block_on(soon(async {
        let ears = [ear(), ear(), ear()];
        let (listens, heard): (Vec<_>, Vec<_>) = ears.into_iter().unzip();
        let display = Display::connect(&server.address).await.unwrap();
        let names = ["a", "b", "c"];
        let scopes: Vec<_> =
            names.iter().zip(listens).map(|(name, listens)| display.scope(name).on_error(listens)).collect();
        for i in 0..30_000u32 {
            // Two calls of one scope, then two of the next; every other pixel lies outside.
            let x = if i % 2 == 0 { 1 } else { 1000 + i as i32 };
            scopes[i as usize / 2 % 3].draw_pixel(x, 1, Color::RED).await.unwrap();
        }
        display.close().await.unwrap();
        for (i, heard) in heard.iter().enumerate() {
            let expected: Vec<_> = (0..5_000).map(|n| n * 6 + i as u64 * 2 + 2).collect();
            assert_eq!(numbers(heard), expected);
            assert!(heard.lock().unwrap().iter().all(|late| {
                late.calls().all(|call| {
                    call.scope() == Some(names[i])
                        && call.parameters().to_string() == format!("{}, 1, #ff0000ff", 999 + call.number())
                })
            }));
        }
    }));
}

#[tokio::test]
async fn a_lost_connection_is_one_call_of_each_callback_and_names_each_call_once() {
    let ((on_display, display_heard), (on_legend, legend_heard), (on_idle, idle_heard)) =
        (ear(), ear(), ear());
    let (display, mut peer) = greeted(patient(7).on_error(on_display)).await;
    let (legend, title) = (display.scope("legend").on_error(on_legend), display.scope("title"));
    let idle = display.scope("idle").on_error(on_idle);
    idle.draw_pixel(1, 1, Color::RED).await.unwrap();
    peer.turn().await;
    peer.answer().await;
    display.sync_with(&mut peer).await;
    for (i, handle) in [&display, &legend, &title, &legend, &display, &legend].iter().enumerate() {
        handle.draw_pixel(i as i32, 1, Color::RED).await.unwrap();
    }
    let waits = legend.draw_pixel(1, 1, Color::RED).await.unwrap();
    // All of them are sent: the first alone, since nothing was in flight.
    peer.turn().await;
    peer.turn().await;
    // The handles of the scopes are dropped before the connection.
    drop((title, idle));
    drop(peer);
    assert_eq!(waits.await.unwrap_err().outcome(), Outcome::Unknown);
    assert!(display.close().await.unwrap_err().is_disconnected());
    let (by_display, by_legend) = (display_heard.lock().unwrap(), legend_heard.lock().unwrap());
    assert_eq!((by_display.len(), by_legend.len(), idle_heard.lock().unwrap().len()), (1, 1, 0));
    let calls = |late: &LateError| -> Vec<_> {
        late.calls().map(|call| (call.number(), call.scope().map(str::to_owned))).collect()
    };
    let (legend, title) = (Some("legend".to_owned()), Some("title".to_owned()));
    assert_eq!(calls(&by_display[0]), [(3, None), (5, title), (7, None)]);
    assert_eq!(calls(&by_legend[0]), [(4, legend.clone()), (6, legend.clone()), (8, legend)]);
    assert_eq!(by_legend[0].outcome(), Outcome::Unknown);
    let text = by_legend[0].to_string();
    let begins = "the connection to the display is lost: the other side closed it; whether this call was executed is \
                  unknown; 3 calls were unanswered, from draw-client/tests/scopes.rs:";
    assert!(text.starts_with(begins), "{text}");
    assert!(text.contains("draw_pixel(1, 1, #ff0000ff) in legend to "), "{text}");
    assert!(text.ends_with("draw_pixel(5, 1, #ff0000ff) in legend"), "{text}");
}

/// Makes the peer answer one barrier.
trait SyncWith {
    async fn sync_with(&self, peer: &mut common::peer::Peer);
}

impl SyncWith for Display {
    async fn sync_with(&self, peer: &mut common::peer::Peer) {
        let (synced, ()) = tokio::join!(self.sync(), async {
            peer.turn().await;
            peer.answer().await;
        });
        synced.unwrap();
    }
}

/// Returns a callback whose channel is disconnected when the callback is dropped.
fn telling() -> (impl FnMut(LateError) + Send + 'static, mpsc::Receiver<u64>) {
    let (tell, told) = mpsc::channel();
    (move |late: LateError| tell.send(late.calls().next().unwrap().number()).unwrap(), told)
}

#[test]
fn a_scope_whose_handle_is_gone_still_hears_and_is_let_go_of_when_its_calls_are_done() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let display = Display::connect(&server.address).await.unwrap();
        let (listens, told) = telling();
        let scope = display.scope("brief").on_error(listens);
        // Calls of other handles do not keep the scope alive.
        display.draw_pixel(1, 1, Color::RED).await.unwrap();
        scope.draw_pixel(10, 0, Color::RED).await.unwrap();
        scope.scope("inner").draw_pixel(11, 0, Color::RED).await.unwrap();
        let living = scope.draw_pixel(12, 0, Color::RED).await.unwrap().into_owned();
        drop(scope);
        display.sync().await.unwrap();
        assert_eq!(told.recv_timeout(DEADLINE), Ok(2));
        assert_eq!(told.recv_timeout(DEADLINE), Ok(3));
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Empty), "a reply lives, and with it the scope");
        drop(living);
        assert_eq!(told.recv_timeout(DEADLINE), Ok(4));
        assert_eq!(told.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
        display.close().await.unwrap();
    }));
}

#[test]
fn ten_thousand_scopes_that_come_and_go_are_all_let_go_of() {
    let server = TestServer::start(10, 10);
    let display = Pipeline::connect(&server.address).unwrap();
    let (listens, told) = telling();
    let listens = std::sync::Arc::new(std::sync::Mutex::new(listens));
    for i in 0..10_000 {
        let listens = std::sync::Arc::clone(&listens);
        let scope = display.scope("brief").on_error(move |late| (listens.lock().unwrap())(late));
        scope.draw_pixel(i % 2 * 10, 0, Color::RED).unwrap();
    }
    drop(listens);
    display.sync().unwrap();
    let mut heard = BTreeSet::new();
    // Ends when the last callback is dropped, while the connection exists.
    loop {
        match told.recv_timeout(DEADLINE) {
            Ok(number) => assert!(heard.insert(number), "call {number} was told twice"),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => panic!("the callbacks are kept"),
        }
    }
    assert_eq!(heard, (1..=5_000).map(|n| 2 * n).collect());
    display.close().unwrap();
}

#[test]
fn the_end_of_the_connection_lets_go_of_callbacks_whose_handles_live() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let ((on_display, by_display), (on_scope, by_scope)) = (telling(), telling());
        let display = ConnectOptions::new().on_error(on_display).connect(&server.address).await.unwrap();
        let scope = display.scope("a").on_error(on_scope);
        scope.draw_pixel(10, 0, Color::RED).await.unwrap();
        display.close().await.unwrap();
        let both = tokio::task::spawn_blocking(move || (by_display.iter().count(), by_scope.iter().count()));
        assert_eq!(both.await.unwrap(), (0, 1));
        // A callback that is set afterwards receives nothing, and is dropped at once.
        let (listens, told) = telling();
        let _late = scope.on_error(listens);
        assert_eq!(told.recv_timeout(DEADLINE), Err(RecvTimeoutError::Disconnected));
    }));
}

#[test]
fn a_callback_may_be_set_late_and_take_the_place_of_another() {
    let server = TestServer::start(10, 10);
    let display = Pipeline::connect(&server.address).unwrap();
    let scope = display.scope("a");
    scope.draw_pixel(10, 0, Color::RED).unwrap();
    let Err(Error::Late(late)) = display.sync() else { panic!("nobody listens yet") };
    assert_eq!(late.total(), 1);
    let ((first, by_first), (second, by_second), (on_display, by_display)) =
        (telling(), telling(), telling());
    let scope = scope.on_error(first);
    scope.draw_pixel(10, 0, Color::RED).unwrap();
    display.sync().unwrap();
    assert_eq!(by_first.recv_timeout(DEADLINE), Ok(3));
    let scope = scope.on_error(second);
    assert_eq!(
        by_first.recv_timeout(DEADLINE),
        Err(RecvTimeoutError::Disconnected),
        "the first is let go of"
    );
    scope.draw_pixel(10, 0, Color::RED).unwrap();
    // On the display itself, through any handle without a scope.
    let display = display.on_error(on_display);
    display.draw_pixel(10, 0, Color::RED).unwrap();
    display.close().unwrap();
    assert_eq!(by_second.iter().collect::<Vec<_>>(), [5]);
    assert_eq!(by_display.iter().collect::<Vec<_>>(), [6]);
}
