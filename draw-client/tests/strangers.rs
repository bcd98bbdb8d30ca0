//! Addresses where there is no display: the errors that a user gets.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says what it expected by failing")]

mod common;

use common::program::{self, said};
use common::{runtime, soon};
use draw_client::{Code, ConnectOptions, Error, Outcome, blocking};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::process::Termination;
use std::time::{Duration, Instant};

/// Connects each client to the address and returns the errors.
fn errors(address: &str, checksums: Option<bool>) -> Vec<Error> {
    let options = || match checksums {
        Some(on) => ConnectOptions::new().checksums(on),
        None => ConnectOptions::new(),
    };
    vec![
        options().connect_blocking(address).map(drop).unwrap_err(),
        options().connect_pipeline(address).map(drop).unwrap_err(),
        runtime().block_on(soon(options().connect(address))).map(drop).unwrap_err(),
    ]
}

/// Starts a server that sends `says` to each client, at once or after the client has sent something.
fn stranger(says: &'static [u8], speaks_first: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if !speaks_first {
                _ = stream.read(&mut [0; 1000]);
            }
            _ = stream.write_all(says);
            _ = stream.shutdown(Shutdown::Write);
            while stream.read(&mut [0; 1000]).is_ok_and(|n| n > 0) {}
        }
    });
    address
}

#[test]
fn a_stranger_is_named_with_and_without_checksums() {
    for (says, speaks_first, told) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n<html>"[..],
            false,
            "HTTP, \"HTTP/1.1 400 Bad Request\"",
        ),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", true, "SSH, \"SSH-2.0-OpenSSH_9.2p1 Debian-2\""),
        (b"RFB 003.008\n", true, "VNC, \"RFB 003.008\""),
        (b"220 mail ESMTP\r\n", true, "SMTP or FTP, \"220 mail ESMTP\""),
        (b"\x15\x03\x01\x00\x02\x02\x16", false, "TLS (an alert); a display speaks without it"),
        (b"\x1b[31mhello", true, ""),
    ] {
        let address = stranger(says, speaks_first);
        for checksums in [true, false] {
            for (client, error) in errors(&address, Some(checksums)).iter().enumerate() {
                let text = error.to_string();
                assert!(!text.contains('\x1b'), "{text}");
                if told.is_empty() {
                    continue;
                }
                let told = format!("not a display: it answered {told}. Check the address");
                assert!(text.starts_with(&told), "client {client}, {checksums}: {text}");
                assert_eq!(error.outcome(), Outcome::Rejected);
            }
        }
    }
}

#[test]
fn a_connection_that_ends_during_the_greeting_was_never_made() {
    let closed = "the other side closed the connection during the greeting: check the address, and whether the display there is \
                  starting, ending or full; then try again";
    let broken = ": check the address; if a display is there, the network or the display is defective";
    for (says, kind, ends) in [
        // Closes without an answer, and in the middle of one.
        (&b""[..], ErrorKind::UnexpectedEof, closed),
        (b"\x94\x01\x00\xc0", ErrorKind::UnexpectedEof, closed),
        // The answer to a request that was not made.
        (b"\x94\x01\x05\xc0\xc0", ErrorKind::InvalidData, broken),
    ] {
        let address = stranger(says, false);
        for (client, error) in errors(&address, Some(false)).iter().enumerate() {
            let text = error.to_string();
            assert!(
                text.starts_with(&format!("could not connect to {address}: ")),
                "client {client}: {text}"
            );
            assert!(text.ends_with(ends), "client {client}: {text}");
            assert!(
                matches!(error, Error::Connect { source, .. } if source.kind() == kind),
                "client {client}: {error:#?}"
            );
            assert!(
                error.is_disconnected() && error.outcome() == Outcome::Rejected,
                "client {client}: {text}"
            );
        }
    }
    // A display that gives the reason for closing.
    let address = stranger(b"\x93\x02\xa7goodbye\x91\x82\xa4code\xa4busy\xa7message\xa4full", false);
    for (client, error) in errors(&address, Some(false)).iter().enumerate() {
        let text = error.to_string();
        assert!(text.starts_with("the display refused the greeting: busy: full"), "client {client}: {text}");
        assert_eq!(error.fault().map(|fault| &fault.code), Some(&Code::Busy), "client {client}");
    }
    // A stream has no address.
    let (near, far) = tokio::io::duplex(100);
    drop(far);
    let error = runtime().block_on(soon(ConnectOptions::new().over(near))).map(drop).unwrap_err().to_string();
    assert!(error.contains("the other end of the stream") && !error.contains("is lost"), "{error}");
}

#[test]
fn an_unknown_name_is_told_in_the_resolvers_words_and_only_a_refusal_says_to_start_a_display() {
    for error in errors("nosuch.invalid", None) {
        let text = error.to_string();
        assert!(text.starts_with("no display at nosuch.invalid:3729 (failed to lookup address"), "{text}");
        assert!(text.ends_with(": check the name, or use a numeric address"), "{text}");
        assert!(!text.contains("uncategorized") && !text.contains("start one"), "{text}");
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for error in errors(&free, None) {
        let text = format!(
            "no display at {free} (connection refused): start one with `display-server`, or set DRAW_DISPLAY"
        );
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn an_address_that_is_none_says_what_one_looks_like() {
    for address in ["", "http://host", "host:notaport", "a b", "::1"] {
        let began = Instant::now();
        for error in errors(address, None) {
            let text = error.to_string();
            assert!(text.starts_with(&format!("{address:?} is not an address of a display: ")), "{text}");
            assert!(
                text.contains("write host or host:port, as in localhost:3729, IPv6 as [::1]:3729, and"),
                "{text}"
            );
        }
        assert!(began.elapsed() < Duration::from_secs(10), "no resolver is asked");
    }
}

/// What a `main` that returns an error prints: [`Termination`] is what runs there.
#[test]
fn a_main_that_returns_an_error_prints_the_sentence() {
    const TEST: &str = "a_main_that_returns_an_error_prints_the_sentence";
    if let Some((role, address)) = program::role() {
        if role == "empty" {
            let opened = blocking::Display::open().map(drop);
            _ = opened.report();
            return;
        }
        let error = blocking::Display::connect(&address).map(drop).unwrap_err();
        let fields = format!("{error:#?}");
        assert!(fields.starts_with("Connect {\n    address: \"127.0.0.1:"), "{fields}");
        assert!(fields.contains("source: Os {\n"), "{fields}");
        _ = Err::<(), _>(error).report();
        _ = Err::<(), Box<dyn std::error::Error>>("#12".parse::<draw_client::Color>().unwrap_err().into())
            .report();
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (_, complained) = said(&program::run(TEST, "main", &free));
    let sentence = format!(
        "Error: no display at {free} (connection refused): start one with `display-server`, or set DRAW_DISPLAY\n"
    );
    assert!(complained.contains(&sentence), "{complained}");
    assert!(complained.contains("Error: \"#12\" is no colour: write rrggbb"), "{complained}");
    // An empty variable names no display, and is not treated as unset.
    let mut command = program::command(TEST, "empty", &free);
    let output = command.env("DRAW_DISPLAY", "").output().unwrap();
    let (_, complained) = said(&output);
    assert!(complained.contains("Error: \"\" is not an address of a display: it is empty"), "{complained}");
}
