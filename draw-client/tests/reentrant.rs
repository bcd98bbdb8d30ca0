//! A thread that draws inside a call of the same display, as a signal handler may: the call fails and does not
//! deadlock. A waker and a `tracing` subscriber stand for the handler, since both run where a handler may.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::Cutter;
use common::peer::machine;
use common::{DEADLINE, TestServer};
use draw_client::{Color, ConnectOptions, Display, Driver, Error, blocking};
use futures::FutureExt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Runtime;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Runs `what` on a thread of its own, within the deadline.
fn within_the_deadline(what: impl FnOnce() + Send + 'static) {
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        what();
        tell.send(()).unwrap();
    });
    told.recv_timeout(DEADLINE).expect("it does not wait for itself");
    thread.join().unwrap();
}

/// A subscriber that draws on the display at each event.
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
        // The loss of the connection is an event, and so is the new connection.
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
        assert!(
            !told.is_empty()
                && told.iter().all(|error| matches!(error, Error::WouldDeadlock { in_callback: false })),
            "{told:?}"
        );
        let text = told[0].to_string();
        assert!(
            text.contains("a signal handler or a `tracing` subscriber; this call was not sent"),
            "{text}"
        );
    });
}

/// A subscriber that draws on an asynchronous display at each event, which wakes its driver.
struct FillsTwice(Display);

impl Subscriber for FillsTwice {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("draw_client")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {
        (0..2).for_each(|_| fill(&self.0).unwrap());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Connects a display to a stream whose other end answers the greeting and does nothing more.
async fn greeted() -> (Display, Driver, DuplexStream) {
    let (near, mut far) = tokio::io::duplex(4096);
    let (display, driver) = tokio::join!(ConnectOptions::new().over_with_driver(near), async {
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
    (display, driver, far)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_call_within_a_call_of_an_asynchronous_display_is_told_so() {
    within_the_deadline(|| {
        runtime().block_on(async {
            let (display, driver, _far) = greeted().await;
            let (mut driver, told, is_on) = (pin!(driver), Told::default(), Arc::new(AtomicBool::new(false)));
            let (on, drawn, tell) = (Arc::clone(&is_on), display.clone(), Arc::clone(&told));
            when_woken(driver.as_mut(), move || {
                if on.load(SeqCst) {
                    // A call that is not accepted has no reply.
                    let (filled, asked) =
                        (fill(&drawn), drawn.sync().now_or_never().expect("it does not wait"));
                    tell.lock().unwrap().extend([filled, asked]);
                }
            });
            is_on.store(true, SeqCst);
            (0..3).for_each(|_| fill(&display).unwrap());
            is_on.store(false, SeqCst);
            let told = std::mem::take(&mut *told.lock().unwrap());
            assert!(!told.is_empty(), "the driver was woken");
            assert!(
                told.iter().all(|told| matches!(told, Err(Error::WouldDeadlock { in_callback: false }))),
                "{told:?}"
            );
            // The display continues to work.
            assert_eq!(display.stats().calls, 3);
        });
    });
}

type Told = Arc<Mutex<Vec<Result<(), Error>>>>;

/// Runs a closure when the driver of a display is woken, which happens under the lock of its state.
struct WhenWoken(Box<dyn Fn() + Send + Sync>);

impl Wake for WhenWoken {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// Polls the driver once; then the second call wakes it, since the first call is written by its caller.
fn when_woken(driver: Pin<&mut Driver>, what: impl Fn() + Send + Sync + 'static) {
    let waker = Waker::from(Arc::new(WhenWoken(Box::new(what))));
    assert!(matches!(driver.poll(&mut Context::from_waker(&waker)), Poll::Pending));
}

fn fill(display: &Display) -> Result<(), Error> {
    let mut call = pin!(display.fill_rect(0, 0, 1, 1, Color::RED));
    // A call that lets the driver run first does so once.
    (0..2).find_map(|_| call.as_mut().now_or_never()).expect("it does not wait").map(drop)
}

#[test]
fn a_call_within_a_call_of_another_display_within_a_call_is_told_so() {
    within_the_deadline(|| {
        runtime().block_on(async {
            let ((a, driver_a, _far_a), (b, driver_b, _far_b)) = (greeted().await, greeted().await);
            let (told, is_on) = (Told::default(), Arc::new(AtomicBool::new(false)));
            let (mut driver_a, mut driver_b) = (pin!(driver_a), pin!(driver_b));
            let (on, drawn) = (Arc::clone(&is_on), b.clone());
            when_woken(driver_a.as_mut(), move || {
                (0..3).filter(|_| on.load(SeqCst)).for_each(|_| fill(&drawn).unwrap());
            });
            let (on, drawn, tell) = (Arc::clone(&is_on), a.clone(), Arc::clone(&told));
            when_woken(driver_b.as_mut(), move || {
                if on.load(SeqCst) {
                    tell.lock().unwrap().push(fill(&drawn));
                }
            });
            is_on.store(true, SeqCst);
            (0..3).for_each(|_| fill(&a).unwrap());
            is_on.store(false, SeqCst);
            let told = std::mem::take(&mut *told.lock().unwrap());
            assert!(!told.is_empty(), "both drivers were woken");
            assert!(
                told.iter().all(|told| matches!(told, Err(Error::WouldDeadlock { in_callback: false }))),
                "{told:?}"
            );
            // Both displays continue to work.
            assert_eq!((a.stats().calls, b.stats().calls), (3, 3));
        });
    });
}

#[test]
fn a_call_of_a_synchronous_display_within_a_call_within_its_own_is_told_so() {
    within_the_deadline(|| {
        let runtime = runtime();
        let (a, driver_a, _far_a) = runtime.block_on(greeted());
        let server = TestServer::start(64, 48);
        let cutter = Cutter::start(&server.address, vec![(300, usize::MAX)]);
        let b = blocking::Display::connect(&cutter.address).unwrap();
        let (told, is_on) = (Told::default(), Arc::new(AtomicBool::new(false)));
        let mut driver_a = pin!(driver_a);
        let (on, drawn, tell) = (Arc::clone(&is_on), b.clone(), Arc::clone(&told));
        let _within = runtime.enter();
        when_woken(driver_a.as_mut(), move || {
            if on.load(SeqCst) {
                tell.lock().unwrap().push(drawn.draw_pixel(1, 1, Color::RED));
            }
        });
        is_on.store(true, SeqCst);
        let dispatch = tracing::Dispatch::new(FillsTwice(a.clone()));
        tracing::dispatcher::with_default(&dispatch, || {
            (0..64).for_each(|x| b.draw_pixel(x, 0, Color::RED).unwrap());
        });
        is_on.store(false, SeqCst);
        let told = std::mem::take(&mut *told.lock().unwrap());
        assert_eq!(cutter.relayed(), 2, "that the connection was lost is an event");
        assert!(!told.is_empty(), "the driver was woken");
        assert!(
            told.iter().all(|told| matches!(told, Err(Error::WouldDeadlock { in_callback: false }))),
            "{told:?}"
        );
    });
}

#[test]
fn two_threads_inside_of_a_display_each_that_draw_on_the_others_do_not_wait_for_ever() {
    within_the_deadline(|| {
        let told = Told::default();
        let inside = Arc::new(Barrier::new(2));
        let runtime = runtime();
        let displays: Vec<_> = (0..2).map(|_| runtime.block_on(greeted())).collect();
        let handles: [Display; 2] = [displays[0].0.clone(), displays[1].0.clone()];
        std::thread::scope(|scope| {
            for (i, (own, driver, far)) in displays.into_iter().enumerate() {
                let (other, both, tell) = (handles[1 - i].clone(), Arc::clone(&inside), Arc::clone(&told));
                let (runtime, inside) = (runtime.handle(), &*inside);
                scope.spawn(move || {
                    let _within = runtime.enter();
                    let (mut driver, is_first) = (pin!(driver), AtomicBool::new(true));
                    when_woken(driver.as_mut(), move || {
                        // The driver is woken again when its handles are dropped.
                        if is_first.swap(false, SeqCst) {
                            both.wait();
                            let drawn = fill(&other);
                            tell.lock().unwrap().push(drawn);
                        }
                    });
                    (0..2).for_each(|_| fill(&own).unwrap());
                    // Neither thread ends before both are done.
                    inside.wait();
                    drop(far);
                });
            }
        });
        let told = std::mem::take(&mut *told.lock().unwrap());
        assert_eq!(told.len(), 2);
        assert!(
            told.iter().any(|told| matches!(told, Err(Error::WouldDeadlock { in_callback: false }))),
            "{told:?}"
        );
        assert!(
            told.iter().all(|told| matches!(told, Ok(()) | Err(Error::WouldDeadlock { in_callback: false }))),
            "{told:?}"
        );
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
