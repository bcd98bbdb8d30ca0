//! Waits of the asynchronous client: for credit, for answers, for the end.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::peer::{Peer, greeted, patient};
use common::{DEADLINE, TestServer, runtime, soon};
use draw_client::{Color, ConnectOptions, Display, Error, Outcome};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// Makes calls until one waits for credit.
async fn use_up_credit(display: &Display) {
    loop {
        let mut call = pin!(display.draw_pixel(1, 1, Color::RED));
        // The first poll may only yield.
        if futures::poll!(&mut call).is_pending() && futures::poll!(&mut call).is_pending() {
            return;
        }
    }
}

/// A future that is kept and not polled, as by `select!` in a loop, has the first turn. Those behind it wait for their
/// own deadlines, not for it.
#[tokio::test(start_paused = true)]
async fn a_turn_that_nobody_polls_holds_up_the_others_until_its_deadline_at_most() {
    let (display, mut peer) = greeted(patient(7)).await;
    use_up_credit(&display).await;
    let mut cx = Context::from_waker(Waker::noop());
    let mut kept = Box::pin(display.draw_pixel(1, 1, Color::RED));
    assert!(kept.as_mut().poll(&mut cx).is_pending());

    let started = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = soon(display.draw_pixel(1, 1, Color::RED)).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Rejected, .. }), "{error}");
    assert_eq!(started.elapsed().as_secs(), 8);

    // Another future that is not polled while there is credit again.
    let mut kept_too = Box::pin(display.draw_pixel(1, 1, Color::RED));
    assert!(kept_too.as_mut().poll(&mut cx).is_pending());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (accepted, ()) = tokio::join!(display.draw_pixel(1, 1, Color::RED), async {
        peer.turn().await;
        peer.answer().await;
    });
    accepted.unwrap();
    assert_eq!(started.elapsed().as_secs(), 15, "when the other's turn was over");
    drop((kept, kept_too));
}

/// A linear search for each of them would take minutes.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_calls_may_wait() {
    let (display, _peer) = greeted(patient(7)).await;
    use_up_credit(&display).await;
    let started = std::time::Instant::now();
    let mut cx = Context::from_waker(Waker::noop());
    let mut waiting: Vec<_> = (0..100_000).map(|_| Box::pin(display.draw_pixel(1, 1, Color::RED))).collect();
    for _ in 0..2 {
        for call in &mut waiting {
            assert!(call.as_mut().poll(&mut cx).is_pending());
        }
    }
    while waiting.pop().is_some() {}
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

/// The bytes of a callback's calls are bounded, as their number is.
#[tokio::test]
async fn a_callback_may_not_keep_more_than_its_bytes_under_way() {
    let (give, take) = mpsc::channel::<Display>();
    let (tell, told) = mpsc::channel();
    let options = ConnectOptions::new().on_error(move |_| {
        let Ok(display) = take.recv() else { return };
        let megabyte = vec![0; 1 << 20];
        let put = async || display.put_image(0, 0, 512, 512, &megabyte).await.map(|_| ());
        tell.send((0..50).map(|_| futures::executor::block_on(put())).collect::<Vec<_>>()).unwrap();
    });
    let (display, mut peer) = greeted(options).await;
    display.draw_pixel(10, 0, Color::RED).await.unwrap();
    peer.turn().await;
    peer.answer().await;
    give.send(display.clone()).unwrap();
    // From here on the peer does not read.
    let results = tokio::task::spawn_blocking(move || told.recv_timeout(DEADLINE).unwrap()).await.unwrap();
    let accepted = results.iter().take_while(|result| result.is_ok()).count();
    assert_eq!(accepted, 9, "8 MiB beyond what is worth having under way, and what that is exceeded by");
    assert!(
        results[accepted..]
            .iter()
            .all(|result| matches!(result, Err(Error::WouldDeadlock { in_callback: true })))
    );
}

struct Idle;

impl Wake for Idle {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test(start_paused = true)]
async fn close_that_is_polled_often_waits_once() {
    let (display, _peer) = greeted(patient(7)).await;
    display.draw_pixel(1, 1, Color::RED).await.unwrap();
    let idle = Arc::new(Idle);
    let waker = Waker::from(Arc::clone(&idle));
    let mut closing = Box::pin(display.close());
    for _ in 0..1_000 {
        assert!(closing.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    // The runtime's timer holds one too.
    assert!(Arc::strong_count(&idle) < 10, "{} wakers are kept", Arc::strong_count(&idle));
}

/// The driver is polled only after the deadline of `close`.
#[tokio::test(start_paused = true)]
async fn closing_late_when_all_is_done_is_no_error() {
    let (near, far) = tokio::io::duplex(4096);
    let mut peer = Peer::new(far);
    let (made, ()) = tokio::join!(patient(7).over_with_driver(near), async {
        peer.turn().await;
        peer.answer().await;
    });
    let (display, driver) = made.unwrap();
    let mut closing = Box::pin(display.close());
    assert!(closing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    tokio::time::advance(Duration::from_secs(8)).await;
    let (closed, ()) = tokio::join!(closing, driver);
    closed.unwrap();
}

/// An error callback with a runtime of its own, without timers.
#[test]
fn a_callback_may_close_on_a_runtime_without_timers() {
    let server = TestServer::start(10, 10);
    runtime().block_on(soon(async {
        let (give, take) = mpsc::channel::<Display>();
        let (tell, told) = mpsc::channel();
        let display = ConnectOptions::new()
            .on_error(move |_| {
                let display = take.recv().unwrap();
                let plain = tokio::runtime::Builder::new_current_thread().build().unwrap();
                tell.send(plain.block_on(display.close())).unwrap();
            })
            .connect(&server.address)
            .await
            .unwrap();
        display.draw_pixel(10, 0, Color::RED).await.unwrap();
        give.send(display).unwrap();
        let closed = tokio::task::spawn_blocking(move || told.recv()).await.unwrap();
        closed.expect("the callback did not panic").unwrap();
    }));
}

/// Later calls have deadlines of their own, which are earlier than that of a reply that is awaited again.
#[tokio::test(start_paused = true)]
async fn a_reply_that_is_awaited_again_after_its_timeout_waits_for_another() {
    let (display, mut peer) = greeted(patient(7)).await;
    let started = tokio::time::Instant::now();
    let elapsed = || started.elapsed().as_secs();
    let mut replies = Vec::new();
    for _ in 0..3 {
        replies.push(display.fill_rect(0, 0, 1, 1, Color::RED).await.unwrap());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let [first, second, third] = &mut replies[..] else { unreachable!("there are three") };
    for timeouts in 1..=3 {
        let error = soon(&mut *first).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
        assert_eq!(elapsed(), 7.max(7 * timeouts), "it waits as long each time");
    }
    let (one, two, (three, at)) = tokio::join!(soon(&mut *first), soon(&mut *second), async {
        let later = soon(display.fill_rect(0, 0, 1, 1, Color::RED).await.unwrap()).await;
        (later, elapsed())
    });
    assert!([one, two, three].iter().all(|one| matches!(one, Err(Error::Timeout { .. }))));
    assert_eq!(at, 28);
    // The outcome is still available.
    let (third, ()) = tokio::join!(soon(&mut *third), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        peer.turn().await;
        peer.answer().await;
    });
    third.unwrap_err();
    let (first, second) = tokio::join!(soon(first), soon(second));
    first.unwrap();
    second.unwrap();
}
