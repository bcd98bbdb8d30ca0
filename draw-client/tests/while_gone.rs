//! Programs that neither wait nor fail while their display is offline: the oldest calls are dropped.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::{Cutter, WHOLE};
use common::{TestServer, runtime, soon, text};
use draw_client::blocking::Pipeline;
use draw_client::{
    Color, ConnectOptions, DisconnectReason, Display, Error, LateError, Outcome, Result, Status, WhileOffline,
};
use futures::FutureExt;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The number of drawing calls that the queue holds, and the number of their bytes.
const ROOM: u64 = 65_536;
const ROOM_BYTES: u64 = 8 << 20;

/// The row of the pixels that count.
const COUNTS: i32 = 47;

/// Returns the count of a pixel of this color, which was black at first.
fn count(color: Color) -> u64 {
    u64::from(color.to_u32() - Color::BLACK.to_u32())
}

fn counted(server: &TestServer) -> u64 {
    count(server.shown(0, COUNTS))
}

/// The statuses and errors that the callbacks receive.
struct Ears {
    statuses: Receiver<Status>,
    late: Receiver<LateError>,
}

impl Ears {
    fn new() -> (impl FnMut(Status) + Send + 'static, impl FnMut(LateError) + Send + 'static, Ears) {
        let ((tell_status, statuses), (tell, late)) = (mpsc::channel(), mpsc::channel());
        (
            move |status| _ = tell_status.send(status),
            move |error| _ = tell.send(error),
            Ears { statuses, late },
        )
    }

    /// Waits until the loss of the connection is detected.
    fn hear_loss(&self) {
        let status = self.statuses.recv_timeout(common::DEADLINE).unwrap();
        assert!(matches!(status, Status::Reconnecting { .. }), "{status}");
    }

    /// Waits until the connection is restored, or given up. Returns the number of dropped calls, and the final status.
    fn hear_end(&self) -> (u64, Status) {
        let mut dropped = 0;
        loop {
            match self.statuses.recv_timeout(common::DEADLINE).unwrap() {
                Status::Reconnecting { .. } => {}
                Status::Dropped { calls } => dropped += calls,
                status => return (dropped, status),
            }
        }
    }
}

fn pipeline(cutter: &Cutter) -> (Pipeline, Ears) {
    let (status, error, ears) = Ears::new();
    let options =
        ConnectOptions::new().while_offline(WhileOffline::DropOldest).on_status(status).on_error(error);
    (options.connect_pipeline(&cutter.address).unwrap(), ears)
}

async fn asynchronous(cutter: &Cutter) -> (Display, Ears) {
    let (status, error, ears) = Ears::new();
    let options =
        ConnectOptions::new().while_offline(WhileOffline::DropOldest).on_status(status).on_error(error);
    (soon(options.connect(&cutter.address)).await.unwrap(), ears)
}

/// Returns the pixel of call `i` in an animation of one dot.
fn dot(i: u64) -> (i32, i32, Color) {
    ((i % 64) as i32, (i / 64 % 40) as i32, Color::from_u32(i as u32 + 1))
}

/// Checks that the display shows the last dots of `made` that fit on it.
fn assert_newest(server: &TestServer, made: u64) {
    for i in made - 64 * 40..made {
        let (x, y, color) = dot(i);
        assert_eq!(server.shown(x, y), color, "dot {i} of {made}");
    }
}

/// Checks the late error for the dropped calls.
fn assert_told(ears: &Ears, dropped: u64) {
    let late = ears.late.recv_timeout(common::DEADLINE).unwrap();
    assert!(matches!(late.error(), Error::Dropped), "{late}");
    assert_eq!((late.total(), late.outcome()), (dropped, Outcome::Rejected));
    assert_eq!(late.calls().len() as u64, dropped.min(100), "the first by name");
    let numbers: Vec<_> = late.calls().map(|call| call.number()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert!(ears.late.try_recv().is_err(), "once");
}

#[test]
fn a_pipeline_draws_on_without_waiting_and_the_newest_is_shown_when_the_display_is_back() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    let (display, ears) = pipeline(&cutter);
    display.sync().unwrap();
    cutter.cut();
    ears.hear_loss();
    let made = 3 * ROOM;
    for i in 0..made {
        let (x, y, color) = dot(i);
        display.draw_pixel(x, y, color).unwrap();
        display.add_pixel(0, COUNTS, 1).unwrap();
    }
    assert_eq!(server.screen.stats().executed, 1, "nothing but the first sync has come to the display");
    cutter.admit();
    display.sync().unwrap();
    let (dropped, status) = ears.hear_end();
    assert!(matches!(status, Status::Resumed), "{status}");
    assert_eq!(dropped, 2 * made - ROOM, "as many as there was no place for");
    let drawn = counted(&server);
    assert_eq!(drawn, ROOM / 2);
    assert_newest(&server, made);
    assert_told(&ears, dropped);
    assert_eq!(display.stats().calls, 2 + 2 * made);
    display.close().unwrap();
}

#[test]
fn so_does_an_asynchronous_display_whose_runtime_has_one_thread() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(soon(async {
        let (display, ears) = asynchronous(&cutter).await;
        display.sync().await.unwrap();
        cutter.cut();
        // The program draws without a pause; the task that reconnects runs all the same.
        let (mut made, mut is_gone) = (0, false);
        let dropped = loop {
            let (x, y, color) = dot(made);
            display.draw_pixel(x, y, color).await.unwrap();
            display.add_pixel(0, COUNTS, 1).await.unwrap();
            made += 1;
            match ears.statuses.try_recv() {
                Ok(Status::Reconnecting { .. }) => is_gone = true,
                Ok(Status::Dropped { calls }) => break calls,
                Ok(status) => panic!("{status}"),
                Err(_) => {}
            }
            if is_gone && made == 4 * ROOM {
                cutter.admit();
            }
        };
        display.sync().await.unwrap();
        assert!(made >= 4 * ROOM && dropped >= 3 * ROOM, "{dropped} of {made}");
        assert!((made - counted(&server)).abs_diff(dropped / 2) <= 1, "every other call counts");
        assert_newest(&server, made);
        assert_told(&ears, dropped);
        display.close().await.unwrap();
    }));
}

#[test]
fn of_large_images_as_many_are_kept_as_fit() {
    let server = TestServer::start(512, 513);
    let cutter = Cutter::start(&server.address, vec![]);
    let (display, ears) = pipeline(&cutter);
    cutter.cut();
    ears.hear_loss();
    let image = |i: u8| vec![i; 512 * 512 * 4];
    for i in 1..=30 {
        display.put_image(0, 0, 512, 512, &image(i)).unwrap();
        display.add_pixel(0, 512, 1).unwrap();
    }
    cutter.admit();
    display.sync().unwrap();
    let (dropped, _) = ears.hear_end();
    // A little less than eight images, since the other calls and the headers count too.
    let kept = ROOM_BYTES / (512 * 512 * 4) - 1;
    let drawn = count(server.shown(0, 512));
    assert_eq!((dropped + kept + drawn, drawn), (60, kept + 1));
    assert_eq!(display.get_image(0, 0, 512, 512).unwrap(), image(30));
}

#[test]
fn each_reply_of_a_dropped_call_says_so_at_once_and_the_others_when_they_are_drawn() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    runtime().block_on(soon(async {
        let (display, ears) = asynchronous(&cutter).await;
        display.draw_pixel(0, 0, Color::RED).await.unwrap().await.unwrap();
        cutter.cut();
        ears.hear_loss();
        let more = 1_000;
        let (tell, told) = mpsc::channel();
        // One reply is awaited before its call is dropped.
        let first = display.add_pixel(0, COUNTS, 1).await.unwrap().into_owned();
        let waits = tokio::spawn(async move { tell.send(first.await).unwrap() });
        tokio::task::yield_now().await;
        let mut replies = Vec::new();
        for _ in 1..ROOM + more {
            replies.push(display.add_pixel(0, COUNTS, 1).await.unwrap());
        }
        waits.await.unwrap();
        let error = told.recv().unwrap().unwrap_err();
        let text = "dropped for newer calls while the display was offline or behind; this call was not drawn";
        assert_eq!((error.to_string().as_str(), error.outcome()), (text, Outcome::Rejected));
        assert!(!error.is_disconnected());
        let kept = replies.split_off(more as usize - 1);
        assert_eq!((replies[0].number(), kept[0].number()), (3, more + 2), "numbers go on");
        // A dropped reply of a dropped call is a late error.
        drop(replies.pop());
        let late = ears.late.recv_timeout(common::DEADLINE).unwrap();
        assert_eq!(late.calls().map(|call| call.number()).collect::<Vec<_>>(), [more + 1]);
        for reply in replies {
            assert!(matches!(reply.await, Err(Error::Dropped)));
        }
        cutter.admit();
        for reply in kept {
            reply.await.unwrap();
        }
        assert_eq!(counted(&server), ROOM);
        assert_eq!(ears.hear_end().0, more);
        assert!(ears.late.try_recv().is_err());
        // Numbers still increase by one, and errors name the right calls.
        let made = display.stats().calls;
        let reply = display.draw_pixel(700, 0, Color::RED).await.unwrap();
        assert_eq!(reply.number(), made + 1);
        drop(reply);
        display.sync().await.unwrap();
        let late = ears.late.recv_timeout(common::DEADLINE).unwrap();
        assert_eq!(late.calls().map(|call| call.number()).collect::<Vec<_>>(), [made + 1]);
    }));
}

#[test]
fn questions_are_answered_in_their_place_whatever_is_dropped_around_them() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    runtime().block_on(soon(async {
        let (display, ears) = asynchronous(&cutter).await;
        display.add_pixel(0, COUNTS, 1).await.unwrap().await.unwrap();
        cutter.cut();
        ears.hear_loss();
        let mut questions = Vec::new();
        for i in 0..3 * ROOM {
            display.add_pixel(0, COUNTS, 1).await.unwrap();
            if i % 10_000 == 0 {
                let mut question = Box::pin(display.get_pixel(0, COUNTS));
                let before = display.stats().calls;
                // The first poll may only yield before the call is accepted.
                while display.stats().calls == before {
                    assert!((&mut question).now_or_never().is_none(), "it waits");
                }
                questions.push((i, question));
            }
        }
        cutter.admit();
        for (i, question) in questions {
            // All calls before it but the newest were dropped.
            let kept = (i + 1).saturating_sub(2 * ROOM);
            assert_eq!(count(question.await.unwrap()), 1 + kept, "asked after {i}");
        }
        assert_eq!(ears.hear_end().0, 2 * ROOM);
    }));
}

#[test]
fn a_connection_that_is_cut_again_while_the_queue_is_sent_loses_and_doubles_nothing() {
    let server = TestServer::start(64, 48);
    let up = |bytes| (bytes, usize::MAX);
    let cutter = Cutter::start(&server.address, vec![WHOLE, up(100_000), (usize::MAX, 700), up(300_000)]);
    let (display, ears) = pipeline(&cutter);
    cutter.cut();
    ears.hear_loss();
    let mut made = 0;
    let mut draw = |calls| {
        for _ in 0..calls {
            // Two kinds of calls, so that none of them are sent together.
            display.add_pixel(0, COUNTS, 1).unwrap();
            let (x, y, color) = dot(made);
            display.draw_pixel(x, y, color).unwrap();
            made += 1;
        }
    };
    draw(ROOM);
    cutter.admit();
    // The program continues to draw through all the other outages.
    let began = std::time::Instant::now();
    draw(5 * ROOM);
    while cutter.relayed() < 5 {
        assert!(began.elapsed() < common::DEADLINE, "it is cut as planned");
        draw(1_000);
    }
    draw(5 * ROOM);
    display.sync().unwrap();
    assert_eq!(cutter.relayed(), 5, "it was cut as planned");
    // Each count is one more than the last, except for dropped calls. Equal numbers of both kinds are dropped, or one
    // less of one kind, each time that the queue is full: while the display is offline, and whenever it is behind. One
    // connection carries thousands.
    let (counted, mut dropped, mut late) = (counted(&server), 0, 0);
    let began = std::time::Instant::now();
    while dropped < ROOM || late != dropped || (made - counted).abs_diff(dropped / 2) > 64 {
        let said = format!("{counted} of {made} were drawn, {dropped} dropped, and {late} of them told");
        assert!(began.elapsed() < common::DEADLINE, "{said}");
        for status in ears.statuses.try_iter() {
            if let Status::Dropped { calls } = status {
                dropped += calls;
            }
        }
        late += ears.late.try_iter().map(|late| late.total()).sum::<u64>();
    }
    assert_newest(&server, made);
}

#[test]
fn close_waits_until_the_queue_is_drawn() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    runtime().block_on(soon(async {
        let (display, ears) = asynchronous(&cutter).await;
        cutter.cut();
        ears.hear_loss();
        for _ in 0..2 * ROOM {
            display.add_pixel(0, COUNTS, 1).await.unwrap();
        }
        let closing = display.clone();
        let mut close = Box::pin(closing.close());
        assert!((&mut close).now_or_never().is_none());
        assert!(matches!(
            display.add_pixel(0, COUNTS, 1).await,
            Err(Error::Disconnected { reason: DisconnectReason::Closed { .. }, .. })
        ));
        cutter.admit();
        close.await.unwrap();
        assert_eq!(counted(&server), ROOM);
        assert_eq!(ears.hear_end().0, ROOM);
        assert_told(&ears, ROOM);
    }));
}

#[test]
fn so_does_the_drop_of_the_last_handle_for_a_while() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    let (display, ears) = pipeline(&cutter);
    cutter.cut();
    ears.hear_loss();
    for _ in 0..ROOM + 5 {
        display.add_pixel(0, COUNTS, 1).unwrap();
    }
    cutter.admit();
    drop(display);
    assert_eq!(counted(&server), ROOM);
    assert_told(&ears, 5);
}

#[test]
fn when_the_display_does_not_come_back_what_was_never_sent_is_known_not_to_be_drawn() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    runtime().block_on(soon(async {
        let (status, error, ears) = Ears::new();
        let display = ConnectOptions::new()
            .while_offline(WhileOffline::DropOldest)
            // Longer than a machine under load takes for the calls below, all of which are made before the client gives
            // up.
            .reconnect(Duration::from_secs(10))
            .on_status(status)
            .on_error(error)
            .connect(&cutter.address)
            .await
            .unwrap();
        cutter.cut();
        ears.hear_loss();
        let early = display.add_pixel(0, COUNTS, 1).await.unwrap();
        for _ in 0..ROOM + 6 {
            display.add_pixel(0, COUNTS, 1).await.unwrap();
        }
        let (reply, question) = (display.clear(Color::RED).await.unwrap(), display.get_pixel(0, COUNTS));
        let (early, reply, question) = tokio::join!(early, reply, question);
        assert!(matches!(early, Err(Error::Dropped)));
        for error in [reply.unwrap_err(), question.unwrap_err()] {
            assert!(
                matches!(error, Error::Disconnected { reason: DisconnectReason::GaveUp { .. }, .. }),
                "{error}"
            );
            assert_eq!(error.outcome(), Outcome::Rejected);
            assert!(error.to_string().ends_with("; this call was not sent"), "{error}");
        }
        assert!(matches!(ears.hear_end(), (8, Status::Disconnected(_))));
        let late: Vec<_> = (0..2).map(|_| ears.late.recv_timeout(common::DEADLINE).unwrap()).collect();
        assert_eq!(late.iter().map(LateError::total).collect::<Vec<_>>(), [7, ROOM - 1]);
        assert_eq!(late.iter().map(LateError::outcome).collect::<Vec<_>>(), [Outcome::Rejected; 2]);
        assert!(matches!(late[1].error(), Error::Disconnected { .. }));
    }));
}

#[test]
fn callbacks_may_draw_on_the_display_that_is_gone_or_back() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    let own = Arc::new(OnceLock::<Pipeline>::new());
    let (lost, on_status) = (Arc::clone(&own), Arc::clone(&own));
    let (tell, told) = mpsc::channel();
    let display = ConnectOptions::new()
        .while_offline(WhileOffline::DropOldest)
        .on_error(move |late| {
            lost.get().unwrap().draw_pixel(1, 0, Color::RED).unwrap();
            tell.send(late.total()).unwrap();
        })
        .on_status(move |status| {
            let (display, gone) = (on_status.get().unwrap(), matches!(status, Status::Reconnecting { .. }));
            display.draw_pixel(if gone { 2 } else { 3 }, 0, Color::RED).unwrap();
            // The question waits for the display, and for the calls before it.
            if !gone {
                assert_eq!(display.get_pixel(3, 0).unwrap(), Color::RED);
            }
        })
        .connect_pipeline(&cutter.address)
        .unwrap();
    own.set(display.clone()).unwrap();
    cutter.cut();
    // After a second attempt to connect the loss is known.
    while cutter.connections() < 2 {
        std::thread::yield_now();
    }
    for _ in 0..2 * ROOM {
        display.add_pixel(0, COUNTS, 1).unwrap();
    }
    cutter.admit();
    assert!(told.recv_timeout(common::DEADLINE).unwrap() >= ROOM);
    display.sync().unwrap();
    assert_eq!((server.shown(1, 0), server.shown(3, 0)), (Color::RED, Color::RED));
    display.close().unwrap();
}

#[test]
fn each_scope_hears_of_its_own_and_without_a_callback_the_next_sync_does() -> Result<()> {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    let (status, error, ears) = Ears::new();
    let display = ConnectOptions::new()
        .while_offline(WhileOffline::DropOldest)
        .on_status(status)
        .connect_pipeline(&cutter.address)?;
    let legend = display.scope("legend").on_error(error);
    cutter.cut();
    ears.hear_loss();
    for _ in 0..ROOM {
        legend.add_pixel(0, COUNTS, 1)?;
    }
    display.add_pixel(0, COUNTS, 1)?.ignore();
    for _ in 0..ROOM + 2 {
        display.add_pixel(0, COUNTS, 1)?;
    }
    cutter.admit();
    let Err(Error::Late(late)) = display.sync() else { panic!("two of its own were dropped") };
    assert_eq!(late.total(), 2);
    let line = late.errors()[0].calls().next().unwrap().location().unwrap().line();
    let text = late.errors()[0].to_string();
    let told = format!(
        "2 calls were dropped for newer ones while the display was offline or behind, and were not drawn, from \
         {}:{line}:17 add_pixel(0, 47, 1) and 1 more",
        file!()
    );
    assert_eq!(text, told, "as many as are named at once were the legend's");
    let own = ears.late.recv_timeout(common::DEADLINE).unwrap();
    assert_eq!(own.total(), ROOM);
    assert!(own.to_string().ends_with(" add_pixel(0, 47, 1) in legend and 65436 more"), "{own}");
    assert_eq!(ears.hear_end().0, ROOM + 3, "one of which nobody wanted to hear");
    display.sync()
}

#[test]
fn a_single_dropped_call_is_told_as_any_other() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    let (display, ears) = pipeline(&cutter);
    cutter.cut();
    ears.hear_loss();
    display.draw_pixel(1, 1, Color::RED).unwrap();
    for _ in 0..ROOM {
        display.add_pixel(0, COUNTS, 1).unwrap().ignore();
    }
    cutter.admit();
    assert_eq!(ears.hear_end().0, 1);
    let late = ears.late.recv_timeout(common::DEADLINE).unwrap();
    let told = text(&late);
    let end = "draw_pixel(1, 1, #ff0000ff): dropped for newer calls while the display was offline or behind; this call was not drawn";
    assert!(told.ends_with(end), "{told}");
}
