//! Blocking TCP connections, and reads with a deadline.

use super::{address, socket};
use crate::error::Result;
use socket2::Socket;
use std::io::{self, ErrorKind, Read};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// After a write has blocked for this long, the client reads what has arrived. Otherwise both sides could wait for ever
/// for the other to read first.
const WRITE_SLICE: Duration = Duration::from_millis(100);

/// Connects a socket and sets its options.
pub(crate) fn dial(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, Option<io::Error>> {
    let found: Vec<_> = (host, port).to_socket_addrs().map_err(Some)?.collect();
    let mut last = None;
    for (i, one) in found.iter().enumerate() {
        let share = address::share(deadline, Instant::now(), found.len() - i);
        let connect =
            |socket: Socket| socket.connect_timeout(&(*one).into(), share).map(|()| TcpStream::from(socket));
        match socket::open(one).and_then(connect) {
            Ok(stream) => {
                socket::set_up((&stream).into())?;
                stream.set_write_timeout(Some(WRITE_SLICE))?;
                limit_reads(&stream, deadline.saturating_duration_since(Instant::now()))?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last)
}

/// Returns whether a read or write ended because its timeout has passed.
pub(crate) fn would_block(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::WouldBlock => true,
        // Windows reports a timeout like this. Where another system does, the network is dead.
        ErrorKind::TimedOut => cfg!(windows) || error.raw_os_error().is_none(),
        _ => false,
    }
}

/// Sets the timeout of reads to `left`.
pub(crate) fn limit_reads(stream: &TcpStream, left: Duration) -> io::Result<()> {
    // The system takes a timeout of zero for no timeout.
    stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))
}

/// How late reads may end. Setting the system's timeout for each read of an image takes a tenth of the time.
const LATE: Duration = Duration::from_millis(10);

/// Reads until a deadline, however slowly the bytes arrive.
pub(crate) struct DeadlineReader<'a> {
    pub(crate) stream: &'a TcpStream,
    pub(crate) deadline: Instant,
    /// When the socket's timeout was last set for this deadline.
    pub(crate) limited: &'a mut Option<Instant>,
}

impl DeadlineReader<'_> {
    /// Sets the timeout so that the next read ends by the deadline.
    pub(crate) fn limit(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let left = self.deadline.saturating_duration_since(now);
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        if self.limited.is_none_or(|at| now > at + LATE) {
            limit_reads(self.stream, left)?;
            *self.limited = Some(now);
        }
        Ok(())
    }
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.limit()?;
        self.stream.read(buffer)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use draw_protocol::limits;

    #[test]
    fn a_dead_network_will_be_noticed() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let deadline = Instant::now() + limits::CONNECT_TIMEOUT;
        let stream = dial("127.0.0.1", port, deadline).expect("it listens");
        socket::check((&stream).into());
        // A dead network ends the connection; a read whose timeout has passed does not.
        let timed_out = io::Error::from_raw_os_error(110);
        assert!(timed_out.kind() == ErrorKind::TimedOut && !would_block(&timed_out));
        limit_reads(&stream, Duration::from_millis(1)).expect("an option");
        assert!(would_block(&(&stream).read(&mut [0]).expect_err("nothing is written")));
    }
}
