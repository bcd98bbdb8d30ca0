//! Sessions with known ids, to check later whether they still exist.

use draw_protocol::client::Connection;
use draw_protocol::session::{Id, Standing};
use draw_protocol::{Hello, Request};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

/// Number of sessions of each kind.
const EACH: u8 = 16;

fn id(number: u8) -> Id {
    Id([number + 1; 16])
}

/// Sends pending bytes and reads, until there is nothing to wait for.
fn exchange(machine: &mut Connection, stream: &mut TcpStream) {
    while !machine.poll_transmit().is_empty() {
        let bytes = machine.poll_transmit().to_vec();
        stream.write_all(&bytes).unwrap();
        machine.handle_transmitted(bytes.len());
    }
    while machine.welcome().is_none() || machine.in_flight() > 0 {
        let mut buffer = [0; 4096];
        let n = stream.read(&mut buffer).unwrap();
        assert!(n > 0, "the display has ended: {:?}", machine.goodbye());
        let mut input = &buffer[..n];
        while machine.handle_input(&mut input, Instant::now()).expect("an honest display").is_some() {}
    }
}

/// Connects clients that draw and disconnect, the first half of them ending their sessions. When they reconnect, the
/// ended sessions are unknown, and the others are resumed.
pub(crate) fn check_that_ended_sessions_are_gone(address: &str) {
    for number in 0..2 * EACH {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut machine =
            Connection::new(&Hello::new("probe").with_session(id(number)).with_confirmation(false));
        exchange(&mut machine, &mut stream);
        machine.call(&Request::AddPixel { x: -1, y: 0, amount: 1 }, Instant::now()).unwrap();
        exchange(&mut machine, &mut stream);
        if number < EACH {
            machine.end_session();
            exchange(&mut machine, &mut stream);
        }
        // The display ends the connection when it has read everything.
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read_to_end(&mut Vec::new()).unwrap();
    }
    for number in 0..2 * EACH {
        let mut hello = Hello::new("probe").with_session(id(number)).with_confirmation(false);
        (hello.attempt, hello.born, hello.ack, hello.next) = (2, 1, 1, 2);
        let mut machine = Connection::new(&hello);
        exchange(&mut machine, &mut TcpStream::connect(address).unwrap());
        let standing = machine.welcome().and_then(|welcome| welcome.session);
        let expected = if number < EACH { Standing::Fresh } else { Standing::Resumed };
        assert_eq!(standing, Some(expected), "probe {number}");
    }
}
