//! Parses addresses, and listens on them.

use crate::error::Error;
use draw_protocol::limits::PORT;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};

/// Listens on `address`, which is `host:port`. The host may be a name; an IPv6 address is in brackets if a port
/// follows. The port may be omitted ([`PORT`]), and 0 is any free port. A port alone is one of 127.0.0.1. With
/// `or_any_port`, a port that is taken is replaced by a free one.
///
/// The socket is non-blocking, for use with a runtime.
///
/// # Errors
/// [`Error::Address`] if `address` cannot be parsed, [`Error::Host`] if its host cannot be resolved, [`Error::Listen`]
/// if none of its addresses can be bound.
pub fn bind(address: &str, or_any_port: bool) -> Result<TcpListener, Error> {
    bind_or(address, PORT, or_any_port)
}

/// Does the same as [`bind`], with another default port.
///
/// # Errors
/// Those of [`bind`].
pub fn bind_or(address: &str, default_port: u16, or_any_port: bool) -> Result<TcpListener, Error> {
    let places = resolve(address, default_port)?;
    let free: Vec<_> = places.iter().map(|place| SocketAddr::new(place.ip(), 0)).collect();
    let bound = match TcpListener::bind(&places[..]) {
        Err(error) if or_any_port && error.kind() == io::ErrorKind::AddrInUse => TcpListener::bind(&free[..]),
        bound => bound,
    };
    bound.and_then(|listener| listener.set_nonblocking(true).map(|()| listener)).map_err(|source| {
        let port = places[0].port();
        // A port alone is reported with its host.
        let address = if is_number(address.trim()) { places[0].to_string() } else { address.to_owned() };
        Error::Listen { address, hint: hint(source.kind(), port, default_port), source }
    })
}

/// Returns advice for a failure to listen on `port`.
fn hint(kind: io::ErrorKind, port: u16, default_port: u16) -> String {
    match kind {
        io::ErrorKind::AddrInUse => format!(
            "is a display running there already? Choose another port than {port}, or port 0 for any free one"
        ),
        io::ErrorKind::AddrNotAvailable => {
            format!("choose an address of this machine, for example 127.0.0.1:{port}")
        }
        io::ErrorKind::PermissionDenied if (1..1024).contains(&port) => {
            format!(
                "ports below 1024 are for privileged programs: choose a port from 1024 up, for example {default_port}"
            )
        }
        _ => "choose another address".to_owned(),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Resolves an address, IPv4 first, since that is the address of `localhost` that every client tries.
fn resolve(address: &str, default_port: u16) -> Result<Vec<SocketAddr>, Error> {
    let invalid = |problem| Error::Address { address: address.to_owned(), problem, port: default_port };
    let port = |text: &str| {
        let port = text.parse::<u16>().ok().filter(|_| is_number(text));
        port.ok_or_else(|| invalid("a port is a number from 0 to 65535"))
    };
    let text = address.trim();
    if text.is_empty() {
        return Err(invalid("it is empty"));
    }
    if is_number(text) {
        return Ok(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port(text)?)]);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, default_port)]);
    }
    if let Some(wrong) = text.chars().find(|&c| c == '/' || c.is_whitespace() || c.is_control()) {
        return Err(invalid(if wrong == '/' {
            "an address has no slash"
        } else {
            "an address has no space"
        }));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, digits)) => (host, port(digits)?),
        None => (text, default_port),
    };
    if host.is_empty() {
        return Err(invalid("the host is missing"));
    }
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if bracketed.is_none() && host.contains([':', '[', ']']) {
        return Err(invalid("an IPv6 address goes in brackets"));
    }
    let unknown = |source| Error::Host { host: host.to_owned(), port: default_port, source };
    let mut places: Vec<_> = (bracketed.unwrap_or(host), port).to_socket_addrs().map_err(unknown)?.collect();
    if places.is_empty() {
        return Err(unknown(io::Error::other("the name has no address")));
    }
    places.sort_by_key(SocketAddr::is_ipv6);
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_or_the_host_may_be_left_out() {
        for (text, want) in [
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("127.0.0.1", "127.0.0.1:3729"),
            (" 127.0.0.1:0 ", "127.0.0.1:0"),
            ("[::1]:5000", "[::1]:5000"),
            ("[::1]", "[::1]:3729"),
            ("::1", "[::1]:3729"),
            ("localhost", "127.0.0.1:3729"),
            ("localhost:0", "127.0.0.1:0"),
            ("4100", "127.0.0.1:4100"),
            (" 0 ", "127.0.0.1:0"),
        ] {
            assert_eq!(resolve(text, PORT).unwrap()[0].to_string(), want, "{text}");
        }
    }

    #[test]
    fn a_port_that_is_left_out_is_the_one_of_the_protocol() {
        for (text, want) in [
            ("127.0.0.1", "127.0.0.1:1234"),
            ("::1", "[::1]:1234"),
            ("localhost", "127.0.0.1:1234"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
        ] {
            assert_eq!(resolve(text, 1234).unwrap()[0].to_string(), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_explained() {
        for (text, says) in [
            ("", "it is empty"),
            (":3729", "the host is missing"),
            ("127.0.0.1:", "a port is a number"),
            ("127.0.0.1:+1", "a port is a number"),
            ("127.0.0.1:65536", "a port is a number"),
            ("65536", "a port is a number"),
            ("http://localhost:3729", "an address has no slash"),
            ("localhost 3729", "an address has no space"),
            ("fe80::1:x:80", "an IPv6 address goes in brackets"),
            ("[::1:80", "an IPv6 address goes in brackets"),
        ] {
            let error = bind(text, false).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("127.0.0.1:3729"), "{error}");
            assert!(error.starts_with(&format!("{text:?} is not an address to listen on")), "{error}");
        }
    }

    #[test]
    fn an_example_in_an_error_has_the_port_of_what_listens() {
        let invalid = bind_or("foo:bar", 1234, false).unwrap_err().to_string();
        assert!(invalid.contains("for example 127.0.0.1:1234, or a port alone"), "{invalid}");
        let unknown = bind_or("nosuch.invalid", 1234, false).unwrap_err().to_string();
        assert!(unknown.ends_with("for example 127.0.0.1:1234"), "{unknown}");
        assert!(hint(io::ErrorKind::PermissionDenied, 80, 1234).ends_with("for example 1234"));
    }

    #[test]
    fn a_host_that_is_not_known_is_told_in_the_resolvers_words() {
        let error = bind("nosuch.invalid:80", false).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with("cannot listen on the host \"nosuch.invalid\": failed to lookup"), "{said}");
        assert!(said.ends_with("write an address of this machine, for example 127.0.0.1:3729"), "{said}");
    }

    #[test]
    fn a_hint_names_the_port() {
        assert!(
            hint(io::ErrorKind::PermissionDenied, 80, PORT)
                .starts_with("ports below 1024 are for privileged")
        );
        assert_eq!(hint(io::ErrorKind::PermissionDenied, 8080, PORT), "choose another address");
        assert!(hint(io::ErrorKind::AddrInUse, 4100, PORT).contains("another port than 4100, or port 0"));
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_or_replaced() {
        let first = bind("127.0.0.1:0", false).unwrap();
        let address = first.local_addr().unwrap().to_string();
        let error = bind(&address, false).unwrap_err().to_string();
        assert!(error.contains(&address) && error.contains("port 0"), "{error}");
        let port = &address["127.0.0.1:".len()..];
        let error = bind(port, false).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot listen on {address} (")), "{error}");
        let second = bind(&address, true).unwrap().local_addr().unwrap();
        assert!(second.port() != 0 && second.to_string() != address);
    }
}
