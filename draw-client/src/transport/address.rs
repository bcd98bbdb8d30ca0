//! Addresses of displays: `host`, `host:port`, `[ipv6]`, `[ipv6]:port`, or `port`, which is one of this machine. Each
//! may be followed by `/NAME` for a display of that name.

use crate::error::{Error, Result};
use draw_protocol::{DisplayName, limits};
use std::fmt;
use std::io;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The environment variable that names the display for programs that are not given one.
pub const DRAW_DISPLAY: &str = "DRAW_DISPLAY";

/// Returns the address that `open` uses: that of `DRAW_DISPLAY`, or `localhost:3729` if it is not set. An empty one is
/// not an address, and `connect` reports that.
pub fn default_address() -> String {
    match std::env::var_os(DRAW_DISPLAY) {
        Some(address) => address.to_string_lossy().into_owned(),
        None => format!("localhost:{}", limits::PORT),
    }
}

/// The address of a display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address, without brackets.
    pub host: String,
    /// The port of the server.
    pub port: u16,
    /// The name of the display on the server. `None` is the first.
    pub display: Option<DisplayName>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&show(&self.host, self.port))?;
        match &self.display {
            Some(name) => write!(f, "/{name}"),
            None => Ok(()),
        }
    }
}

/// Parses an address. The port is [`limits::PORT`] unless given.
///
/// # Errors
/// [`Error::Address`] with what is wrong with it.
pub fn parse(whole: &str) -> Result<Address> {
    let wrong = |problem| Err(Error::Address { text: whole.chars().take(100).collect(), problem });
    let text = whole;
    if text.is_empty() {
        return wrong("it is empty (is a variable set to nothing?)");
    }
    if text.contains("://") {
        return wrong("it is a URL; write only the host, the port, and /NAME for a display of that name");
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return wrong("it has a space or a control character in it");
    }
    let (text, display) = match text.split_once('/') {
        None => (text, None),
        Some((server, name)) => match name.parse() {
            Ok(name) => (server, Some(name)),
            Err(_) => {
                return wrong(
                    "the slash must be followed by the name of a display, 1 to 32 characters of a-z, 0-9 and -",
                );
            }
        },
    };
    if text.contains(['\\', '@', '?', '#', ',']) {
        return wrong("a host name cannot have such a character");
    }
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    // No host has a number as its name, and the resolver would take it for an address: 4100 for 0.0.16.4.
    if is_number(text) && !text.is_empty() {
        return match text.parse() {
            Ok(port @ 1..) => Ok(Address { host: "localhost".to_owned(), port, display }),
            _ => wrong("the port is a number from 1 to 65535"),
        };
    }
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => match inner.split_once(']') {
            Some((host, rest)) if is_ipv6(host) => (host, rest),
            Some(_) => return wrong("the text in brackets is not an IPv6 address"),
            None => return wrong("the bracket is not closed"),
        },
        None if is_ipv6(text) => return wrong("an IPv6 address goes in brackets"),
        None if text.contains(['[', ']']) => {
            return wrong("brackets are only possible around an IPv6 address");
        }
        None if text.matches(':').count() > 1 => return wrong("it has more than one colon"),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if host.is_empty() {
        return wrong("the host is missing");
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => limits::PORT,
        None => return wrong("the bracket must be followed by a colon and the port"),
        Some(port) => match port.parse() {
            // `parse` would take a sign.
            Ok(port @ 1..) if is_number(&rest[1..]) => port,
            _ => return wrong("the port is a number from 1 to 65535"),
        },
    };
    Ok(Address { host: host.to_owned(), port, display })
}

/// Returns whether it is an IPv6 address, perhaps with a zone: `fe80::1%eth0`.
fn is_ipv6(host: &str) -> bool {
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty()
}

/// Formats an address as errors print it.
pub(crate) fn show(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Divides what is left of one deadline among the addresses not tried yet, so that a silent one does not use it all.
pub(crate) fn share(deadline: Instant, now: Instant, addresses_left: usize) -> Duration {
    // connect_timeout refuses zero.
    (deadline.saturating_duration_since(now) / addresses_left.max(1) as u32).max(Duration::from_millis(1))
}

/// Returns the error for a name none of whose addresses could be connected to.
pub(crate) fn unreachable(address: &str, last: Option<io::Error>) -> Error {
    let source = last.unwrap_or_else(|| io::Error::other("the name has no address"));
    Error::Connect { address: address.to_owned(), source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, host, port) in [
            ("localhost", "localhost", 3729),
            ("localhost:80", "localhost", 80),
            ("192.168.0.7", "192.168.0.7", 3729),
            ("[::1]", "::1", 3729),
            ("[fe80::1]:9", "fe80::1", 9),
            ("[fe80::1%eth0]:9", "fe80::1%eth0", 9),
            ("4100", "localhost", 4100),
        ] {
            for (behind, display) in [("", None), ("/main", Some("main")), ("/plots-2", Some("plots-2"))] {
                let (text, display) = (format!("{text}{behind}"), display.map(|name| name.parse().unwrap()));
                let address = Address { host: host.to_owned(), port, display };
                assert_eq!(parse(&text).unwrap(), address, "{text}");
                assert_eq!(parse(&address.to_string()).unwrap(), address, "{text}");
            }
        }
        for (text, says) in [
            ("", "it is empty"),
            (":3729", "the host is missing"),
            ("::1", "an IPv6 address goes in brackets"),
            ("a:b:3729", "it has more than one colon"),
            ("[::1", "the bracket is not closed"),
            ("[host]:3729", "is not an IPv6 address"),
            ("[]:3729", "is not an IPv6 address"),
            ("::1]:3729", "brackets are only possible around"),
            ("http://host", "it is a URL"),
            ("https://host:3729/", "it is a URL"),
            ("host/", "the slash must be followed by the name of a display"),
            ("host:80/Plots", "the slash must be followed by the name of a display"),
            ("host/a/b", "the slash must be followed by the name of a display"),
            ("host/../etc", "the slash must be followed by the name of a display"),
            ("[::1]/é", "the slash must be followed by the name of a display"),
            ("/plots", "the host is missing"),
            ("::1/plots", "an IPv6 address goes in brackets"),
            ("host:/plots", "the port is a number"),
            ("host\\display", "such a character"),
            ("me@host", "such a character"),
            ("host:notaport", "the port is a number"),
            ("70000", "the port is a number"),
            ("0", "the port is a number"),
            ("a host", "a space"),
            (" localhost", "a space"),
            ("localhost\n", "a space"),
            ("[::1]3729", "followed by a colon"),
            ("host:", "the port is a number"),
            ("host:0", "the port is a number"),
            ("host:+5", "the port is a number"),
            ("host:65536", "the port is a number"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(error.contains("write host or host:port, as in localhost:3729"), "{text}: {error}");
        }
    }
}
