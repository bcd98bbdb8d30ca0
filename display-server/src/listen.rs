//! Addresses to listen on.

use crate::error::Error;
use draw_protocol::limits::PORT;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};

/// Listens on `address`: `host:port`, where the host may be a name, an IPv6 address stands in brackets if a port follows,
/// the port may be left out ([`PORT`]), and 0 is any free one. With `or_any_port`, a port that is taken is replaced by
/// a free one.
///
/// The socket does not block: it is for a runtime.
///
/// # Errors
/// [`Error::Address`] if that is no address, [`Error::Listen`] if none of the addresses it stands for can be had.
pub fn bind(address: &str, or_any_port: bool) -> Result<TcpListener, Error> {
    let places = resolve(address).map_err(|source| Error::Address { address: address.to_owned(), source })?;
    let free: Vec<_> = places.iter().map(|place| SocketAddr::new(place.ip(), 0)).collect();
    let bound = match TcpListener::bind(&places[..]) {
        Err(error) if or_any_port && error.kind() == io::ErrorKind::AddrInUse => TcpListener::bind(&free[..]),
        bound => bound,
    };
    bound.and_then(|listener| listener.set_nonblocking(true).map(|()| listener)).map_err(|source| {
        let hint = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "is a display running there already? Choose another port, or port 0 for any free one"
            }
            io::ErrorKind::AddrNotAvailable => "choose an address of this machine",
            io::ErrorKind::PermissionDenied => "choose a port from 1024 up",
            _ => "choose another address",
        };
        Error::Listen { address: address.to_owned(), source, hint }
    })
}

/// The addresses that a text stands for, IPv4 first: of `localhost` it is the one that every client tries.
fn resolve(text: &str) -> io::Result<Vec<SocketAddr>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, PORT)]);
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => {
            let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
            let port = port.parse::<u16>().ok().filter(|_| is_number);
            (host, port.ok_or_else(|| invalid("a port is a number from 0 to 65535"))?)
        }
        None => (text, PORT),
    };
    if host.is_empty() {
        return Err(invalid("the host is missing"));
    }
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let mut places: Vec<_> = (host, port).to_socket_addrs()?.collect();
    if places.is_empty() {
        return Err(invalid("the name has no address"));
    }
    places.sort_by_key(SocketAddr::is_ipv6);
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_may_be_left_out() {
        for (text, want) in [
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("127.0.0.1", "127.0.0.1:3729"),
            (" 127.0.0.1:0 ", "127.0.0.1:0"),
            ("[::1]:5000", "[::1]:5000"),
            ("[::1]", "[::1]:3729"),
            ("::1", "[::1]:3729"),
            ("localhost", "127.0.0.1:3729"),
            ("localhost:0", "127.0.0.1:0"),
        ] {
            assert_eq!(resolve(text).unwrap()[0].to_string(), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_explained() {
        for (text, says) in [
            ("", "the host is missing"),
            (":3729", "the host is missing"),
            ("127.0.0.1:", "a port is a number"),
            ("127.0.0.1:+1", "a port is a number"),
            ("127.0.0.1:65536", "a port is a number"),
        ] {
            let error = bind(text, false).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("127.0.0.1:3729"), "{error}");
        }
    }

    #[test]
    fn a_port_that_is_taken_is_an_error_or_replaced() {
        let first = bind("127.0.0.1:0", false).unwrap();
        let address = first.local_addr().unwrap().to_string();
        let error = bind(&address, false).unwrap_err().to_string();
        assert!(error.contains(&address) && error.contains("port 0"), "{error}");
        let second = bind(&address, true).unwrap().local_addr().unwrap();
        assert!(second.port() != 0 && second.to_string() != address);
    }
}
