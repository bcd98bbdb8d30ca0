//! Displays that accept connections and are of no use: they reset each connection, or send messages without effect
//! endlessly. The client's pauses grow, and it gives up in the end.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::cutter::Cutter;
use common::{Asynchronous, Client, TestServer, runtime, soon};
use draw_client::{Color, ConnectOptions, Result};
use draw_protocol::limits;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Starts a listener that runs `behaviour` for each connection. Returns its address and the number of connections so
/// far.
fn each(behaviour: impl Fn(TcpStream, usize) + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, came) = (listener.local_addr().unwrap().to_string(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&came);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            behaviour(stream.unwrap(), count.fetch_add(1, SeqCst));
        }
    });
    (address, came)
}

fn connect(kind: usize, address: &str, within: Duration) -> Result<Box<dyn Client>> {
    Ok(match kind {
        0 => Box::new(ConnectOptions::new().reconnect(within).connect_blocking(address)?),
        1 => Box::new(ConnectOptions::new().reconnect(within).connect_pipeline(address)?),
        _ => {
            let runtime = runtime();
            let display = runtime.block_on(soon(ConnectOptions::new().reconnect(within).connect(address)))?;
            Box::new(Asynchronous { runtime, display })
        }
    })
}

/// Returns the answer to the greeting of a display of the present version when a session begins.
fn welcome(standing: &[u8], applied: u8) -> Vec<u8> {
    let mut bytes =
        b"\x94\x01\x00\xc0\x89\xa7version\x01\xa5width\xcd\x02\x80\xa6height\xcd\x01\xe0".to_vec();
    bytes.extend(b"\xa5calls\xcd\x01\x00\xa5bytes\xce\x02\x00\x00\x00\xa7message\xce\x01\x00\x00\x00");
    bytes.extend(b"\xa5batch\xce\x00\x01\x00\x00\xa7session");
    bytes.push(0xa0 | standing.len() as u8);
    bytes.extend(standing);
    bytes.extend(b"\xa7applied");
    bytes.push(applied);
    bytes
}

/// Reads the greeting and answers with these bytes.
fn answer(stream: &mut TcpStream, bytes: &[u8]) {
    _ = std::io::Read::read(stream, &mut [0; 1000]);
    _ = stream.write_all(bytes);
}

#[test]
fn a_display_that_greets_and_resets_is_asked_ever_more_seldom_and_given_up() {
    let within = Duration::from_secs(2);
    for kind in 0..3 {
        let (address, came) = each(|mut stream, number| {
            answer(&mut stream, &welcome(if number == 0 { b"fresh" } else { b"resumed" }, 0));
            _ = stream.shutdown(Shutdown::Both);
        });
        let began = Instant::now();
        let display = connect(kind, &address, within).unwrap();
        let error = display.fill_rect(0, 0, 1, 1, Color::RED).unwrap_err();
        assert!(error.to_string().contains("the display was offline for "), "client {kind}: {error}");
        assert!(error.is_disconnected() && began.elapsed() >= within / 2, "client {kind}: {error}");
        // The pauses grow: 0.1 s, 0.2 s, 0.4 s and so on.
        let came = came.load(SeqCst);
        assert!((3..9).contains(&came), "client {kind}: {came} connections");
    }
}

#[test]
fn a_display_that_says_each_time_that_it_has_forgotten_the_client_is_no_better() {
    let within = Duration::from_secs(2);
    // Each time, the call in flight fails and the program makes the next. The display reports the number of the
    // client's requests that were sent, and that it knows none of them.
    let (address, came) = each(|mut stream, number| {
        let number = u8::try_from(number).unwrap();
        answer(&mut stream, &welcome(if number == 0 { b"fresh" } else { b"state_lost" }, number));
        _ = std::io::Read::read(&mut stream, &mut [0; 1000]);
        _ = stream.shutdown(Shutdown::Both);
    });
    let display = connect(0, &address, within).unwrap();
    let began = Instant::now();
    let error = loop {
        let error = display.fill_rect(0, 0, 1, 1, Color::RED).unwrap_err();
        if error.is_disconnected() {
            break error;
        }
        assert!(began.elapsed() < common::DEADLINE, "it is given up");
    };
    let came = came.load(SeqCst);
    assert!((3..10).contains(&came), "{came} connections: {error}");
}

/// Each of these messages has no effect.
#[test]
fn a_display_that_floods_is_left_after_a_megabyte_each_time_and_given_up() {
    let within = Duration::from_secs(1);
    let nothing: [&'static [u8]; 3] = [
        b"\x93\x02\xa8progress\x91\x00",
        b"\x93\x02\xa5later\x90",
        b"\x93\x02\xa7goodbye\x91\x82\xa4code\xa8too_slow\xa7message\xa0",
    ];
    for (kind, nothing) in nothing.into_iter().enumerate() {
        let sent = Arc::new(AtomicUsize::new(0));
        let counts = Arc::clone(&sent);
        let (address, came) = each(move |mut stream, number| {
            answer(&mut stream, &welcome(if number == 0 { b"fresh" } else { b"resumed" }, 0));
            let flood = nothing.repeat(1000);
            while let Ok(n) = stream.write(&flood) {
                counts.fetch_add(n, SeqCst);
            }
        });
        let display = connect(kind, &address, within).unwrap();
        let error = display.fill_rect(0, 0, 1, 1, Color::RED).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("offline for ") && text.contains("floods this client"),
            "client {kind}: {text}"
        );
        let (came, sent) = (came.load(SeqCst), sent.load(SeqCst));
        assert!((2..8).contains(&came), "client {kind}: {came} connections");
        // The buffers of both systems hold bytes in addition to those that the client reads.
        assert!(sent < came * (limits::TALK as usize + (12 << 20)), "client {kind}: {sent} bytes");
    }
}

#[test]
fn a_network_on_which_something_is_achieved_each_time_is_come_back_to_at_once() {
    let server = TestServer::start(64, 48);
    // Each connection carries the greeting and a few calls, so each loss is a new outage, and no pause grows.
    let cuts = 12;
    let cutter = Cutter::start(&server.address, vec![(600, usize::MAX); cuts]);
    let display = connect(1, &cutter.address, Duration::from_secs(2)).unwrap();
    let began = Instant::now();
    for i in 0..cuts as i32 * 64 {
        display.add_pixel(i % 64, 0, 1).unwrap();
    }
    assert_eq!(cutter.relayed(), cuts + 1);
    // If the pauses grew, the client would give up after 2 s without a connection.
    assert!(began.elapsed() < common::DEADLINE);
    display.close().unwrap();
}
