//! A network that corrupts bytes without the program noticing: with checksums every call is executed exactly once, as
//! it was made, and every answer is the one that the display sent.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::{Altered, Cutter};
use common::{Asynchronous, Client, TestServer, runtime, soon};
use draw_client::limits;
use draw_client::{Color, ConnectOptions, Outcome, Pixel, Result};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Connects one of the three clients, with or without checksums.
fn connect(kind: usize, address: &str, checksums: bool) -> Result<Box<dyn Client>> {
    Ok(match kind {
        0 => Box::new(ConnectOptions::new().checksums(checksums).connect_blocking(address)?),
        1 => Box::new(ConnectOptions::new().checksums(checksums).connect_pipeline(address)?),
        _ => {
            let runtime = runtime();
            let connecting = async { ConnectOptions::new().checksums(checksums).connect(address).await };
            let display = runtime.block_on(soon(connecting))?;
            Box::new(Asynchronous { runtime, display })
        }
    })
}

fn image() -> Vec<u8> {
    (0..100 * 40 * 4u32).map(|i| (i / 3) as u8).collect()
}

/// Makes calls that change a counter, calls that fail and calls with large data, and returns the answers.
fn program(display: &dyn Client) -> Result<Vec<String>> {
    let (image, mut told) = (image(), Vec::new());
    for i in 0..3 {
        display.add_pixel(1, 1, 256)?;
        let row: Vec<_> = (0..40).map(|x| Pixel::adding(x, 2, 256)).collect();
        display.add_pixels(&row)?;
        told.push(display.get_pixel(1, 1)?.to_string());
        display.put_image(0, 10 + i, 100, 40, &image)?;
        assert!(display.get_image(0, 10 + i, 100, 40)? == image);
        told.extend(display.draw_pixel(700, i, Color::RED).err().map(|error| error.to_string()));
    }
    told.push(format!("{:?}", display.get_digest(0, 0, 100, 60)?));
    Ok(told)
}

/// The number of requests that `program` makes of a display.
const REQUESTS: u64 = 3 * 6 + 1;

#[test]
fn what_is_altered_is_sent_again() {
    let whole = TestServer::start(100, 60);
    let expected = program(&*connect(0, &whole.address, false).unwrap()).unwrap();
    let plans = [
        // The greeting and its answer, before anything else is sent.
        vec![Altered::Up(20), Altered::Up(70), Altered::Down(40)],
        // The greetings of reconnections.
        vec![Altered::Up(1_000), Altered::Up(150), Altered::Down(150), Altered::Up(5)],
        // In an image that is sent, and in an image that is returned.
        vec![Altered::Up(9_000), Altered::Down(9_000), Altered::Up(17_500), Altered::Down(9_000)],
        // A digest.
        vec![Altered::Down(15), Altered::Down(500)],
    ];
    for plan in plans {
        for kind in 0..3 {
            let server = TestServer::start(100, 60);
            let cutter = Cutter::start_altering(&server.address, plan.clone());
            let display = connect(kind, &cutter.address, true).unwrap();
            let told = program(&*display);
            assert_eq!(told.unwrap(), expected, "client {kind}, {plan:?}");
            assert_eq!(server.screen.stats().executed, REQUESTS, "each once: client {kind}, {plan:?}");
            assert_eq!(cutter.connections(), plan.len() + 1, "client {kind}, {plan:?}");
        }
    }
}

/// Starts a display that knows no checksums: it answers every greeting with a fault. Returns its address and the number
/// of connections so far.
fn ignorant() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, came) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&came);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut buffer) = (stream.unwrap(), [0; 1_000]);
            count.fetch_add(1, SeqCst);
            assert!(stream.read(&mut buffer).unwrap() > 0);
            stream.write_all(b"\x94\x01\x00\x92\x00\xb2unknown_method: no\xc0").unwrap();
            // Reads until the client closes the connection.
            while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
        }
    });
    (address, came)
}

#[test]
fn a_display_that_does_not_know_checksums_is_told_from_a_bad_network_after_some_tries() {
    for kind in 0..3 {
        let (address, came) = ignorant();
        let began = Instant::now();
        let error = connect(kind, &address, true).err().expect("it is not greeted");
        let text = error.to_string();
        assert!(text.contains("or the display does not know checksums"), "client {kind}: {text}");
        assert!(text.starts_with(&format!("could not connect to {address}: ")), "client {kind}: {text}");
        assert!(text.contains("came without a check during the greeting"), "client {kind}: {text}");
        assert!(error.is_disconnected() && error.outcome() == Outcome::Rejected, "client {kind}");
        assert_eq!(came.load(SeqCst), limits::GREETINGS as usize, "client {kind}");
        assert!(began.elapsed() < limits::CONNECT_TIMEOUT, "client {kind}");
        // Without checksums the display refuses once and the client does not try again.
        let error = connect(kind, &address, false).err().expect("it is not greeted");
        assert!(error.to_string().contains("the display refused the greeting"), "client {kind}: {error}");
        assert_eq!(came.load(SeqCst), limits::GREETINGS as usize + 1, "client {kind}");
    }
}

#[test]
fn a_client_that_does_not_want_a_new_connection_says_what_has_happened() {
    let server = TestServer::start(100, 60);
    let cutter = Cutter::start_altering(&server.address, vec![Altered::Up(9_000), Altered::Up(20)]);
    let options = || ConnectOptions::new().checksums(true).reconnect(Duration::ZERO);
    let display = options().connect_blocking(&cutter.address).unwrap();
    let error = display.put_image(0, 0, 100, 40, &image()).unwrap_err().to_string();
    let wanted = "the connection to the display is lost: the display closed it: corrupted: what came was altered on its way: a \
                  message of 16021 bytes is not what its check says; whether this call was executed is unknown";
    assert_eq!(error, wanted);
    let error = options().connect_blocking(&cutter.address).unwrap_err().to_string();
    assert!(error.contains("altered on its way"), "{error}");
}

#[test]
fn a_network_that_alters_the_same_each_time_is_given_up() {
    let within = Duration::from_secs(2);
    for kind in 0..2 {
        let server = TestServer::start(100, 60);
        let cutter = Cutter::start_altering(&server.address, vec![Altered::Up(9_000); 100]);
        let error = if kind == 0 {
            let display = ConnectOptions::new().checksums(true).reconnect(within);
            display.connect_blocking(&cutter.address).unwrap().put_image(0, 0, 100, 40, &image()).unwrap_err()
        } else {
            let display = ConnectOptions::new().checksums(true).reconnect(within);
            let display = display.connect_pipeline(&cutter.address).unwrap();
            display.put_image(0, 0, 100, 40, &image()).unwrap().wait().unwrap_err()
        };
        let text = error.to_string();
        assert!(
            text.contains("the display was offline for ") && text.contains("altered on its way"),
            "{text}"
        );
        // The pauses between the attempts grow: 0.1 s, 0.2 s, 0.4 s and so on.
        assert!((4..8).contains(&cutter.connections()), "client {kind}: {}", cutter.connections());
        assert_eq!(server.screen.stats().executed, 0, "client {kind}");
    }
}

#[test]
fn bytes_that_do_not_leave_the_machine_have_no_checksums_unless_asked_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for (wanted, first) in [(None, &b"\x94\x00\x00\xa5hello"[..]), (Some(true), b"\x93\x02\xa5check")] {
        let options = ConnectOptions::new().reconnect(Duration::ZERO);
        let options = match wanted {
            Some(wanted) => options.checksums(wanted),
            None => options,
        };
        let address = address.clone();
        let client = std::thread::spawn(move || options.connect_blocking(&address).is_err());
        let (mut stream, mut buffer) = (listener.accept().unwrap().0, [0; 8]);
        stream.read_exact(&mut buffer).unwrap();
        assert_eq!(buffer, first[..8]);
        drop(stream);
        assert!(client.join().unwrap());
    }
}

/// Takes as long as the client waits before it considers a network dead.
#[test]
fn an_answer_that_seems_longer_than_it_is_is_asked_for_again_before_the_call_is_over() {
    let image = vec![7; 100 * 9 * 4];
    let run = |kind| {
        let server = TestServer::start(100, 60);
        // The answer has 3,600 bytes; its altered length announces 256 more, which never come.
        let cutter = Cutter::start_altering(&server.address, vec![Altered::DownBehind(b"\xc0\xc5")]);
        let display = connect(kind, &cutter.address, true).unwrap();
        display.put_image(0, 0, 100, 9, &image).unwrap();
        let began = Instant::now();
        assert!(display.get_image(0, 0, 100, 9).unwrap() == image, "client {kind}");
        let took = began.elapsed();
        assert!((limits::DEAD_NETWORK..limits::ANSWER_TIMEOUT).contains(&took), "client {kind}: {took:?}");
        assert_eq!((cutter.connections(), server.screen.stats().executed), (2, 2), "client {kind}");
    };
    std::thread::scope(|scope| (0..3).for_each(|kind| _ = scope.spawn(move || run(kind))));
}
