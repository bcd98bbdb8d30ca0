//! Late errors as `tracing` events: their fields, the span they are in, and that a subscriber may use the display.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::Cutter;
use common::peer::greeted;
use common::{DEADLINE, TestServer, soon};
use draw_client::blocking::Pipeline;
use draw_client::{Color, ConnectOptions, DisconnectReason, Display, Error, WhileOffline};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Id, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The events and span ends that a subscriber sees, in order.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Late { level: Level, span: Option<&'static str>, fields: Fields },
    Closed(&'static str),
}

type Fields = BTreeMap<&'static str, String>;

/// A layer that sends late errors and the ends of spans to a channel.
struct Tell(mpsc::Sender<Seen>);

#[derive(Default)]
struct Reader(Fields);

impl Visit for Reader {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Tell {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::always()
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == "draw_client::late" {
            let mut reader = Reader::default();
            event.record(&mut reader);
            let span = context.event_span(event).map(|span| span.name());
            let level = *event.metadata().level();
            _ = self.0.send(Seen::Late { level, span, fields: reader.0 });
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        _ = self.0.send(Seen::Closed(context.span(&id).unwrap().name()));
    }
}

/// Returns a subscriber for this thread, and what it sees. Events of other threads reach it through their span.
fn subscriber() -> (impl Subscriber + Send + Sync, mpsc::Receiver<Seen>) {
    let (tell, seen) = mpsc::channel();
    (tracing_subscriber::registry().with(Tell(tell)), seen)
}

/// Returns the span of a late error, and its fields of these names.
fn late<'s>(seen: &'s Seen, names: &[&'s str]) -> (Option<&'static str>, Vec<&'s str>) {
    let Seen::Late { level, span, fields } = seen else { panic!("{seen:?} is no late error") };
    assert_eq!(*level, Level::WARN);
    let missing = "-";
    (*span, names.iter().map(|name| fields.get(name).map_or(missing, |value| value)).collect())
}

#[test]
fn a_late_error_is_an_event_with_all_its_fields_in_the_span_of_the_call() {
    let server = TestServer::start(640, 480);
    let (subscriber, seen) = subscriber();
    let (error, text, line) = tracing::subscriber::with_default(subscriber, || {
        let (listens, heard) = common::ear();
        let display = ConnectOptions::new().on_error(listens).connect_pipeline(&server.address).unwrap();
        let legend = display.scope("legend");
        let line = tracing::info_span!("drawing").in_scope(|| {
            legend.draw_pixel(700, 10, Color::RED).unwrap();
            line!() - 1
        });
        display.close().unwrap();
        let heard = heard.lock().unwrap();
        (heard[0].clone(), heard[0].to_string(), line)
    });
    let seen: Vec<_> = seen.try_iter().collect();
    let [late, closed] = &seen[..] else { panic!("{seen:?}") };
    // The span is kept until its error is reported, and no longer.
    assert_eq!(*closed, Seen::Closed("drawing"));
    let call = error.calls().next().unwrap();
    let expected = [
        ("message", text),
        ("location", format!("draw-client/tests/tracing_events.rs:{line}:20")),
        ("method", "draw_pixel".to_owned()),
        ("parameters", "700, 10, #ff0000ff".to_owned()),
        ("call", "1".to_owned()),
        ("age", format!("{:?}", call.age())),
        ("calls_since", call.calls_since().to_string()),
        ("scope", "legend".to_owned()),
        ("code", "out_of_bounds".to_owned()),
        ("fault", "(700, 10) is outside 640x480".to_owned()),
        ("outcome", "rejected".to_owned()),
    ];
    let fields = expected.into_iter().collect();
    assert_eq!(*late, Seen::Late { level: Level::WARN, span: Some("drawing"), fields });
}

#[test]
fn each_call_of_a_batch_has_its_own_span_and_those_without_a_callback_too() {
    let server = TestServer::start(10, 10);
    let (subscriber, seen) = subscriber();
    tracing::subscriber::with_default(subscriber, || {
        let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        current.block_on(soon(async {
            let display = Display::connect(&server.address).await.unwrap();
            let (even, odd) = (tracing::info_span!("even"), tracing::info_span!("odd"));
            for x in 10..20 {
                let span = if x % 2 == 0 { &even } else { &odd };
                let call = span.in_scope(|| display.draw_pixel(x, 0, Color::RED));
                // The call is made when it is awaited.
                tracing::Instrument::instrument(call, span.clone()).await.unwrap();
            }
            display.draw_pixel(20, 0, Color::RED).await.unwrap();
            drop((even, odd));
            display.close().await.expect_err("nobody has heard of them");
        }));
    });
    let seen: Vec<_> = seen.try_iter().collect();
    for (x, seen) in (10..20).zip(&seen) {
        let span = if x % 2 == 0 { "even" } else { "odd" };
        let parameters = format!("{x}, 0, #ff0000ff");
        assert_eq!(late(seen, &["parameters", "scope"]), (Some(span), vec![&*parameters, "-"]));
    }
    assert_eq!(late(&seen[10], &["call"]), (None, vec!["11"]));
    assert_eq!(seen[11..], [Seen::Closed("even"), Seen::Closed("odd")]);
}

#[test]
fn each_call_that_a_lost_connection_left_is_an_event() {
    let (subscriber, seen) = subscriber();
    tracing::subscriber::with_default(subscriber, || {
        let address = common::peer::listen(|mut stream, mut machine| {
            common::peer::swallow(&mut stream, &mut machine, 3);
        });
        let (listens, heard) = common::ear();
        let display = Pipeline::connect(&address).unwrap();
        let legend = display.scope("legend").on_error(listens);
        // Each of them is a request of its own.
        tracing::info_span!("first").in_scope(|| legend.clear(Color::RED).unwrap());
        legend.clear(Color::RED).unwrap();
        tracing::info_span!("third").in_scope(|| legend.clear(Color::RED).unwrap());
        display.close().unwrap_err();
        assert_eq!(common::numbers(&heard), [1, 2, 3]);
    });
    // Two events, and the ends of two spans; the thread that ran the callback drops the spans last.
    let seen: Vec<_> = (0..4).map(|_| seen.recv_timeout(DEADLINE).expect("it comes")).collect();
    let names = ["call", "code", "outcome", "scope"];
    assert_eq!(late(&seen[0], &names), (Some("first"), vec!["1", "-", "unknown", "legend"]));
    // The second event has no span and is made on another thread: only a subscriber of all threads sees it.
    assert_eq!(late(&seen[1], &names), (Some("third"), vec!["3", "-", "unknown", "legend"]));
    let Seen::Late { fields, .. } = &seen[0] else { unreachable!("it was looked at") };
    assert!(fields["message"].contains("in legend: the connection to the display is lost"), "{fields:?}");
    for name in ["first", "third"] {
        assert!(seen[2..].contains(&Seen::Closed(name)), "{seen:?}");
    }
}

/// A subscriber that draws on the same display at each event: it is never called under the connection's lock.
#[test]
fn a_subscriber_may_call_the_display() {
    struct Draws(Arc<OnceLock<Mutex<(Pipeline, u32)>>>);
    impl Draws {
        fn draw(&self) {
            if let Some(drawn) = self.0.get() {
                // (Drawing may drop a span, and so end it.)
                let Ok(mut drawn) = drawn.try_lock() else { return };
                match drawn.0.draw_pixel(5, 5, Color::GREEN) {
                    // Events still occur while the connection ends.
                    Err(Error::Disconnected { reason: DisconnectReason::Closed { .. }, .. }) => return,
                    drawing => drop(drawing.unwrap()),
                }
                assert!(drawn.0.stats().calls > 0);
                drawn.1 += 1;
            }
        }
    }
    impl<S: Subscriber> Layer<S> for Draws {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            if event.metadata().target() == "draw_client::late" {
                self.draw();
            }
        }
        fn on_close(&self, _: Id, _: Context<'_, S>) {
            self.draw();
        }
    }
    let server = TestServer::start(10, 10);
    let slot = Arc::new(OnceLock::new());
    let subscriber = tracing_subscriber::registry().with(Draws(Arc::clone(&slot)));
    let (done, is_done) = mpsc::channel();
    let address = server.address.clone();
    std::thread::spawn(move || {
        tracing::subscriber::with_default(subscriber, || {
            let display = Pipeline::connect(&address).unwrap();
            let _ = slot.set(Mutex::new((display.clone(), 0)));
            let listening = display.scope("a").on_error(|_| {});
            for x in 0..100 {
                let span = tracing::info_span!("one");
                let _entered = span.enter();
                // Some calls fail; some of those are kept, and the replies of some are dropped late.
                let handle = if x % 4 == 0 { &display } else { &listening };
                let reply = handle.draw_pixel(-(x % 2), 0, Color::RED).unwrap();
                if x % 8 == 3 {
                    display.get_pixel(1, 1).unwrap();
                    drop(reply);
                }
            }
            let handle = display.clone();
            let reply = handle.draw_pixel(10, 0, Color::RED).unwrap();
            _ = display.sync();
            tracing::info_span!("waited")
                .in_scope(|| display.draw_pixel(10, 0, Color::RED).unwrap().wait())
                .unwrap_err();
            tracing::info_span!("ignored")
                .in_scope(|| display.draw_pixel(10, 0, Color::RED).unwrap().ignore());
            drop(reply);
            _ = display.sync();
            _ = display.close();
            done.send(slot.get().unwrap().lock().unwrap().1).unwrap();
        });
    });
    let drawn = is_done.recv_timeout(DEADLINE).expect("it does not deadlock");
    assert!(drawn >= 10, "{drawn}");
    assert_eq!(server.shown(5, 5), Color::GREEN);
}

/// Spans that are kept for a loop of calls end when the calls are done.
#[test]
fn a_span_is_let_go_of_when_its_calls_are_done() {
    let server = TestServer::start(100, 100);
    let (subscriber, seen) = subscriber();
    tracing::subscriber::with_default(subscriber, || {
        let display = Pipeline::connect(&server.address).unwrap();
        tracing::info_span!("loop").in_scope(|| {
            for i in 0..50_000 {
                display.draw_pixel(i % 100, 1, Color::RED).unwrap();
            }
        });
        display.sync().unwrap();
        assert_eq!(seen.recv_timeout(DEADLINE), Ok(Seen::Closed("loop")));
        display.close().unwrap();
    });
    assert!(seen.try_recv().is_err(), "nothing has failed");
}

#[test]
fn dropped_calls_are_an_event_each_as_far_as_they_are_named_and_the_others_are_one() {
    let server = TestServer::start(64, 48);
    let cutter = Cutter::start(&server.address, vec![]);
    let (subscriber, seen) = subscriber();
    let (tell, told) = mpsc::channel();
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(soon(async {
            let options = ConnectOptions::new().while_offline(WhileOffline::DropOldest);
            let display = options
                .on_status(move |status| _ = tell.send(status))
                .connect(&cutter.address)
                .await
                .unwrap();
            cutter.cut();
            while told.try_recv().is_err() {
                tokio::task::yield_now().await;
            }
            for _ in 0..65_536 + 150 {
                display.add_pixel(1, 1, 1).await.unwrap();
            }
            cutter.admit();
            let Err(Error::Late(late)) = display.close().await else { panic!("some were dropped") };
            assert_eq!((late.total(), late.errors().len()), (150, 1));
        }));
    });
    let seen: Vec<_> = seen.try_iter().collect();
    assert_eq!(seen.len(), 101);
    let text = "dropped for newer calls while the display was offline or behind; this call was not drawn";
    let (span, [message, call, outcome]) = of(&seen[99]);
    assert_eq!((span, call, outcome), (None, "100", "rejected"));
    assert!(message.contains(&format!(" add_pixel(1, 1, 1): {text} (")), "{message}");
    let fields = late(&seen[100], &["message", "calls", "outcome"]);
    assert_eq!(fields, (None, vec![&*format!("and 50 more: {text}"), "50", "rejected"]));
}

/// Returns the span, text, number and outcome of an event.
fn of(seen: &Seen) -> (Option<&'static str>, [&str; 3]) {
    let (span, fields) = late(seen, &["message", "call", "outcome"]);
    (span, fields.try_into().unwrap())
}

#[test]
fn the_event_of_a_call_that_was_lost_says_whether_it_was_sent() {
    let (subscriber, seen) = subscriber();
    tracing::subscriber::with_default(subscriber, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(soon(async {
            let (display, peer) = greeted(ConnectOptions::new()).await;
            // A lone call is written at once, and the next one by the driver, which does not run in time.
            display.draw_pixel(1, 1, Color::RED).await.unwrap();
            display.draw_pixel(2, 1, Color::RED).await.unwrap();
            drop(peer);
            assert!(display.close().await.is_err());
        }));
    });
    let seen: Vec<_> = seen.try_iter().collect();
    let (_, [message, call, outcome]) = of(&seen[0]);
    assert_eq!((call, outcome), ("1", "unknown"));
    assert!(message.contains("; whether this call was executed is unknown (1 call and "), "{message}");
    let (_, [message, call, outcome]) = of(&seen[1]);
    assert_eq!((call, outcome), ("2", "rejected"));
    assert!(message.contains("; this call was not sent (0 calls and "), "{message}");
}
