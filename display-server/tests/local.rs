//! Tests a display in the caller's process.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use display_server::{Color, Error, Options, Position, Present, Size, with_display};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

fn any_port() -> Options {
    Options { listen: "127.0.0.1:0".into(), present: Present::None, ..Options::default() }
}

/// `[0, 1, "get_mouse", []]`
const GET_MOUSE: &[u8] = b"\x94\x00\x01\xa9get_mouse\x90";

fn ask(stream: &mut TcpStream, question: &[u8], length: usize) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(question).unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn the_body_draws_over_tcp_and_its_value_is_returned() {
    let options = Options { size: Size { width: 3, height: 2 }, background: Color::WHITE, ..any_port() };
    let local = String::from("borrowed, so nothing has to be 'static");
    let value = with_display(options, |handle| {
        let mut client = TcpStream::connect(handle.address()).unwrap();
        assert_eq!(ask(&mut client, GET_MOUSE, 5), b"\x94\x01\x01\xc0\xc0");
        handle.display().set_mouse(Some(Position { x: 3, y: 4 }));
        assert_eq!(ask(&mut client, GET_MOUSE, 7), b"\x94\x01\x01\xc0\x92\x03\x04");
        assert_eq!(handle.display().framebuffer().get_pixel(2, 1), Some(Color::WHITE));
        local.len()
    });
    assert_eq!(value.unwrap(), local.len());
}

#[test]
fn a_panic_of_the_body_is_the_callers() {
    let panic = catch_unwind(AssertUnwindSafe(|| {
        with_display(any_port(), |_| std::panic::resume_unwind(Box::new("of the body")))
    }));
    let payload = panic.map(|result: Result<(), Error>| result.is_ok()).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"of the body"));
}

#[test]
fn a_port_that_is_taken_is_an_error_unless_any_will_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let options = Options { listen: listen.clone(), ..any_port() };
    let error = with_display(options.clone(), |_| ()).unwrap_err();
    assert!(matches!(error, Error::Listen { .. }) && error.to_string().contains(&listen), "{error}");
    let other = with_display(Options { or_any_port: true, ..options }, |handle| handle.address()).unwrap();
    assert_ne!(other.to_string(), listen);
    let size = Options { size: Size { width: 0, height: 1 }, ..any_port() };
    assert!(matches!(with_display(size, |_| ()), Err(Error::Size(_))));
}

#[test]
fn the_server_can_be_stopped_before_the_body_ends() {
    let began = Instant::now();
    with_display(any_port(), |handle| {
        let mut client = TcpStream::connect(handle.address()).unwrap();
        assert_eq!(ask(&mut client, GET_MOUSE, 5), b"\x94\x01\x01\xc0\xc0");
        handle.clone().stop();
        assert_eq!(client.read(&mut [0]).unwrap(), 0, "the client is let go");
        assert_eq!(handle.display().size(), Size { width: 640, height: 480 });
    })
    .unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn without_a_window_nobody_waits_for_it() {
    let seen = with_display(any_port(), |handle| (handle.has_window(), handle.wait_closed()));
    assert_eq!(seen.unwrap(), (false, false));
}

#[test]
fn it_can_be_called_from_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let address = runtime.block_on(async { with_display(any_port(), |handle| handle.address()) });
    assert_ne!(address.unwrap().port(), 0);
}
