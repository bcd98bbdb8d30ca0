//! Where a display is: `host`, `host:port`, `[ipv6]`, `[ipv6]:port`.

use crate::error::{Error, Result};
use draw_protocol::limits;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The environment variable that names the display for programs that name none.
pub const DRAW_DISPLAY: &str = "DRAW_DISPLAY";

/// The address that `open` uses: that of `DRAW_DISPLAY`, or `localhost:3729`.
pub fn default_address() -> String {
    std::env::var(DRAW_DISPLAY)
        .ok()
        .filter(|address| !address.is_empty())
        .unwrap_or_else(|| format!("localhost:{}", limits::PORT))
}

/// Reads an address; the port is [`limits::PORT`] unless given.
///
/// # Errors
/// [`Error::Address`], saying what is wrong with it.
pub fn parse(text: &str) -> Result<(String, u16)> {
    let wrong = |problem| Error::Address { text: text.chars().take(100).collect(), problem };
    let (host, rest) = match text.strip_prefix('[') {
        Some(inner) => inner.split_once(']').ok_or_else(|| wrong("the bracket is not closed"))?,
        None if text.matches(':').count() > 1 => return Err(wrong("an IPv6 address goes in brackets")),
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if host.is_empty() {
        return Err(wrong("there is no host"));
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => limits::PORT,
        None => return Err(wrong("behind the bracket comes a colon and the port")),
        Some(port) => match port.parse() {
            Ok(port @ 1..) if port_is_plain(rest) => port,
            _ => return Err(wrong("the port is a number from 1 to 65535")),
        },
    };
    Ok((host.to_owned(), port))
}

/// `parse` would take a sign.
fn port_is_plain(rest: &str) -> bool {
    rest[1..].bytes().all(|b| b.is_ascii_digit())
}

/// How errors write an address.
pub fn show(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Divides what is left of one deadline among the addresses not tried yet, so that a silent one does not use it all.
pub(crate) fn share(deadline: Instant, now: Instant, addresses_left: usize) -> Duration {
    // connect_timeout refuses zero.
    (deadline.saturating_duration_since(now) / addresses_left.max(1) as u32).max(Duration::from_millis(1))
}

/// No address could be connected to.
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
        ] {
            assert_eq!(parse(text).unwrap(), (host.to_owned(), port), "{text}");
        }
        for (text, says) in [
            ("", "there is no host"),
            (":3729", "there is no host"),
            ("::1", "an IPv6 address goes in brackets"),
            ("[::1", "the bracket is not closed"),
            ("[::1]3729", "comes a colon"),
            ("host:", "the port is a number"),
            ("host:0", "the port is a number"),
            ("host:+5", "the port is a number"),
            ("host:65536", "the port is a number"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("host:port"), "{text}: {error}");
        }
    }
}
