//! A call of the blocking client ends by its deadline, against hostile displays.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::peer::greet;
use draw_client::{Color, ConnectOptions, Error, Outcome, blocking};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// The timeout of these calls.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The time that scheduling and one more check of the clock may add on a machine under load. It is less than
/// [`TIMEOUT`], so a deadline that is counted twice is detected.
const SLACK: Duration = Duration::from_millis(400);

/// The time for which the peers misbehave: much longer than the deadline.
const LONG: Duration = Duration::from_secs(5);

/// Connects a client to a peer that answers the greeting and then runs `behaviour`.
fn against(timeout: Duration, behaviour: impl FnOnce(TcpStream) + Send + 'static) -> blocking::Display {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        greet(&mut stream);
        behaviour(stream);
    });
    ConnectOptions::new().timeout(timeout).connect_blocking(&address).unwrap()
}

/// Checks that the call ends with a timeout when its deadline has passed.
fn ends_in_time<T: std::fmt::Debug>(call: impl FnOnce() -> draw_client::Result<T>) {
    let started = Instant::now();
    let error = call().unwrap_err();
    let took = started.elapsed();
    assert!(matches!(error, Error::Timeout { outcome: Outcome::Unknown, .. }), "{error}");
    assert!((TIMEOUT..TIMEOUT + SLACK).contains(&took), "{took:?}");
}

#[test]
fn a_display_that_takes_an_image_in_sips() {
    let display = against(TIMEOUT, |mut stream| {
        let started = Instant::now();
        let mut sip = vec![0; 32 << 10];
        while started.elapsed() < LONG && stream.read(&mut sip).is_ok_and(|n| n > 0) {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    ends_in_time(|| display.put_image(0, 0, 2000, 2000, &vec![0; 16_000_000]));
}

#[test]
fn a_display_that_takes_an_image_late_and_never_answers() {
    let display = against(TIMEOUT, |mut stream| {
        std::thread::sleep(TIMEOUT - Duration::from_millis(100));
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    ends_in_time(|| display.put_image(0, 0, 2000, 2000, &vec![0; 16_000_000]));
}

#[test]
fn a_display_that_talks_without_end_and_never_answers() {
    let display = against(TIMEOUT, |mut stream| {
        // A little at a time: the client disconnects from a faster one before the deadline.
        let unknown = b"\x93\x02\xa5event\x91\x00".repeat(300);
        let started = Instant::now();
        while started.elapsed() < LONG && stream.write_all(&unknown).is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    ends_in_time(|| display.draw_pixel(1, 1, Color::RED));
}

#[test]
fn an_answer_that_trickles_in() {
    let display = against(TIMEOUT, |mut stream| {
        // The first 32 rows, 256,000 bytes, of which a part arrives at once.
        let mut start = b"\x94\x01\x01\xc0\xc6\x00\x03\xe8\x00".to_vec();
        start.extend([0; 100_000]);
        let started = Instant::now();
        let mut sent = stream.write_all(&start);
        while started.elapsed() < LONG && sent.is_ok() {
            std::thread::sleep(Duration::from_millis(50));
            sent = stream.write_all(&[0; 10]);
        }
    });
    ends_in_time(|| display.get_image(0, 0, 2000, 2000));
    // The rest of that answer gives the next call neither more time nor less.
    ends_in_time(|| display.draw_pixel(1, 1, Color::RED));
}

/// Each call that is given up leaves its bytes in the send buffer; a program that continues must not accumulate them.
#[test]
fn a_display_that_has_stopped_is_not_given_more_than_it_granted() {
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let display = against(Duration::from_millis(1), move |stream| {
        let _ = wait.recv();
        drop(stream);
    });
    let megabyte = vec![0; 1 << 20];
    let outcomes: Vec<_> = (0..20)
        .map(|_| match display.put_image(0, 0, 512, 512, &megabyte).unwrap_err() {
            Error::Timeout { outcome, .. } => outcome,
            other => panic!("{other}"),
        })
        .collect();
    // One image is more than the client keeps in flight while it has not measured the path.
    assert_eq!(outcomes[0], Outcome::Unknown);
    assert!(outcomes[1..].iter().all(|&outcome| outcome == Outcome::Rejected), "{outcomes:?}");
    assert_eq!(display.stats().calls, 1);
    drop(done);
}
