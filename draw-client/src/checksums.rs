//! Whether what crosses the network is looked at for bytes that were altered on their way.

use crate::error::Lost;
use crate::reconnect::{is_altered, is_refused_as_late};
use draw_protocol::client::Connection;
use draw_protocol::limits;
use std::io;
use std::net::SocketAddr;

/// Whether a connection to this address is to have checksums, unless the program says so itself.
///
/// What goes to this very machine never leaves its memory. TCP's own checksum has 16 bits, and boxes on the way write it anew.
pub(crate) fn are_wanted(asked: Option<bool>, peer: io::Result<SocketAddr>) -> bool {
    // A connection whose other side is not known is broken already.
    asked.unwrap_or_else(|| !peer.is_ok_and(|address| address.ip().to_canonical().is_loopback()))
}

/// Whether the first greeting may be tried once more, on another connection, after so many tries: it, or its answer, may have been
/// altered on its way, or a copy of it came first. A display that does not know checksums answers in the same way, each time.
pub(crate) fn may_greet_again(machine: &Connection, lost: &Lost, tries: u32) -> bool {
    // A display that could not read what it was sent says nothing.
    let may_be_altered = matches!(lost, Lost::Eof | Lost::Io(_)) || is_altered(lost);
    ((machine.is_checked() && may_be_altered) || is_refused_as_late(lost)) && tries < limits::GREETINGS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_has_checksums_unless_the_program_says_otherwise() {
        for (address, leaves) in [
            ("127.0.0.1:3729", false),
            ("127.8.0.1:1", false),
            ("[::1]:3729", false),
            ("[::ffff:127.0.0.1]:3729", false),
            ("192.168.0.7:3729", true),
            ("[fe80::1]:3729", true),
            ("[::ffff:192.168.0.7]:3729", true),
        ] {
            let peer = || Ok(address.parse().expect("an address"));
            assert_eq!(are_wanted(None, peer()), leaves, "{address}");
            assert!(are_wanted(Some(true), peer()) && !are_wanted(Some(false), peer()));
        }
        assert!(are_wanted(None, Err(io::ErrorKind::NotConnected.into())));
    }
}
