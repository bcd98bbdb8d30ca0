//! The way from an example to a display: direct, or through a relay that delays or records messages.

use crate::DelayLine;
use crate::timeline::Recorder;
use std::error::Error;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// The time that a host has to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A way to a display. It ends when it is dropped.
#[derive(Debug)]
pub struct Route {
    address: String,
    recorder: Option<Arc<Recorder>>,
    _relay: Option<DelayLine>,
}

impl Route {
    /// Makes a way to the display at `address` with this round trip. It is direct if the round trip is zero and
    /// nothing is recorded.
    ///
    /// # Errors
    /// If a relay is needed, and nothing answers at the address or the system refuses the relay.
    pub fn new(
        address: &str,
        rtt: Duration,
        is_recorded: bool,
    ) -> Result<Route, Box<dyn Error + Send + Sync>> {
        let recorder = is_recorded.then(Recorder::new);
        let relay = match &recorder {
            Some(recorder) => Some(DelayLine::start_tapped(resolve(address)?, rtt, recorder.clone())?),
            None if rtt.is_zero() => None,
            None => Some(DelayLine::start(resolve(address)?, rtt)?),
        };
        let name = address.split_once('/').map_or(String::new(), |(_, name)| format!("/{name}"));
        let address =
            relay.as_ref().map_or_else(|| address.to_owned(), |line| format!("{}{name}", line.address()));
        Ok(Route { address, recorder, _relay: relay })
    }

    /// Returns the address to connect to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the recorder of what passes, if there is one.
    pub fn recorder(&self) -> Option<&Recorder> {
        self.recorder.as_deref()
    }
}

/// Returns the address of the host and port in a display's address. A name may stand for several addresses: the first
/// that answers is the display's.
fn resolve(address: &str) -> Result<SocketAddr, Box<dyn Error + Send + Sync>> {
    let with_port = with_port(address);
    let mut found = with_port.to_socket_addrs()?;
    let answering = found.find(|one| TcpStream::connect_timeout(one, PATIENCE).is_ok());
    answering.ok_or_else(|| format!("nothing answers at {with_port}").into())
}

fn with_port(address: &str) -> String {
    let (address, _) = address.split_once('/').unwrap_or((address, ""));
    if address.contains("]:") || (!address.contains(']') && address.contains(':')) {
        address.to_owned()
    } else {
        format!("{address}:{}", draw_client::PORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_the_usual_one_unless_it_is_named() {
        for (address, expected) in [
            ("host", "host:3729"),
            ("host:1", "host:1"),
            ("host/plots", "host:3729"),
            ("[::1]", "[::1]:3729"),
            ("[::1]:1/plots", "[::1]:1"),
        ] {
            assert_eq!(with_port(address), expected);
        }
    }

    #[test]
    fn a_direct_way_is_the_display_s_own_address() {
        let route = Route::new("nosuch.invalid/plots", Duration::ZERO, false).unwrap();
        assert_eq!(route.address(), "nosuch.invalid/plots");
        assert!(route.recorder().is_none());
    }

    #[test]
    fn a_relay_keeps_the_name_of_the_display() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let display = format!("{}/plots", listener.local_addr().unwrap());
        let route = Route::new(&display, Duration::from_millis(1), true).unwrap();
        assert!(route.recorder().is_some());
        assert!(route.address() != display && route.address().ends_with("/plots"), "{}", route.address());
    }
}
