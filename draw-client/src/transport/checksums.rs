//! Whether messages are checked for bytes that were altered on the way.

use std::io;
use std::net::SocketAddr;

/// Returns whether a connection to this address uses checksums, if the program has not decided.
///
/// Bytes to this machine never leave its memory. TCP's own checksum has 16 bits, and devices on the way may compute it
/// anew.
pub(crate) fn are_wanted(asked: Option<bool>, peer: io::Result<SocketAddr>) -> bool {
    // A connection whose peer is not known is broken already.
    asked.unwrap_or_else(|| !peer.is_ok_and(|address| address.ip().to_canonical().is_loopback()))
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
