//! A thread that draws while it is inside of the same display, as a signal handler would: it is told so, and does not wait for
//! itself. A waker and a `tracing` subscriber stand for the handler, for both are called where a handler may come.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::Cutter;
use common::peer::machine;
use common::{DEADLINE, TestServer};
use draw_client::{Color, Display, Error, blocking};
use futures::FutureExt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Does this on a thread of its own, within the deadline.
fn within_the_deadline(what: impl FnOnce() + Send + 'static) {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        what();
        tell.send(()).unwrap();
    });
    told.recv_timeout(DEADLINE).expect("it does not wait for itself");
    thread.join().unwrap();
}

/// Draws on the display whenever there is an event.
struct Draws {
    display: OnceLock<blocking::Display>,
    told: Mutex<Vec<Error>>,
}

impl Subscriber for Draws {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("draw_client")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        if let Some(display) = self.display.get() {
            let error = display.draw_pixel(1, 1, Color::RED).unwrap_err();
            self.told.lock().unwrap().push(error);
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_subscriber_that_draws_on_a_synchronous_display_is_told_that_it_is_inside_of_it() {
    within_the_deadline(|| {
        // That the connection is lost is an event, and so is that there is another.
        let server = TestServer::start(64, 48);
        let cutter = Cutter::start(&server.address, vec![(300, usize::MAX)]);
        let display = blocking::Display::connect(&cutter.address).unwrap();
        let draws = Arc::new(Draws { display: OnceLock::new(), told: Mutex::default() });
        draws.display.set(display.clone()).ok().unwrap();
        let dispatch = tracing::Dispatch::from(Arc::clone(&draws));
        tracing::dispatcher::with_default(&dispatch, || {
            (0..64).for_each(|x| display.draw_pixel(x, 0, Color::RED).unwrap());
        });
        let told = draws.told.lock().unwrap();
        assert_eq!(cutter.relayed(), 2);
        assert!(!told.is_empty() && told.iter().all(|error| matches!(error, Error::Reentrant)), "{told:?}");
        let text = told[0].to_string();
        assert!(
            text.contains("a signal handler or a `tracing` subscriber; this call was not sent"),
            "{text}"
        );
    });
}

/// Draws on the display when it wakes the driver, which is done under the lock of its state.
struct DrawsWhenWoken {
    display: OnceLock<Display>,
    told: Mutex<Vec<Result<(), Error>>>,
}

impl Wake for DrawsWhenWoken {
    fn wake(self: Arc<Self>) {
        let Some(display) = self.display.get() else { return };
        let drawn = display.draw_pixel(1, 1, Color::RED).now_or_never().expect("it does not wait");
        // What could not be accepted has no reply.
        self.told.lock().unwrap().push(drawn.map(drop));
        let asked = display.sync().now_or_never().expect("it does not wait");
        self.told.lock().unwrap().push(asked);
    }
}

#[test]
fn a_call_within_a_call_of_an_asynchronous_display_is_told_so() {
    within_the_deadline(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(4096);
            let (display, driver) = tokio::join!(Display::builder().over_with_driver(near), async {
                let (mut machine, mut buffer) = (machine(), [0; 1000]);
                let n = far.read(&mut buffer).await.unwrap();
                while !matches!(
                    machine.handle_input(&mut &buffer[..n], Instant::now()),
                    draw_protocol::server::Step::Continue
                ) {}
                far.write_all(machine.poll_transmit(Instant::now())).await.unwrap();
            })
            .0
            .unwrap();
            let mut driver = pin!(driver);
            let draws = Arc::new(DrawsWhenWoken { display: OnceLock::new(), told: Mutex::default() });
            let waker = Waker::from(Arc::clone(&draws));
            assert!(matches!(driver.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Pending));
            // From now on the driver is woken by calls only: by the second, for the first is written by its caller.
            draws.display.set(display.clone()).ok().unwrap();
            for x in 0..3 {
                display.fill_rect(x, 0, 1, 1, Color::RED).await.unwrap();
            }
            let told = draws.told.lock().unwrap();
            assert!(!told.is_empty(), "the driver was woken");
            assert!(told.iter().all(|told| matches!(told, Err(Error::Reentrant))), "{told:?}");
            // The display goes on.
            drop(told);
            assert_eq!(display.stats().calls, 3);
        });
    });
}

#[test]
fn clones_in_other_threads_wait_for_each_other_as_before() {
    let server = TestServer::start(64, 48);
    let display = blocking::Display::connect(&server.address).unwrap();
    std::thread::scope(|scope| {
        for y in 0..8 {
            let display = &display;
            scope.spawn(move || (0..64).for_each(|x| display.draw_pixel(x, y, Color::RED).unwrap()));
        }
    });
    assert!((0..64).all(|x| (0..8).all(|y| server.shown(x, y) == Color::RED)));
}
